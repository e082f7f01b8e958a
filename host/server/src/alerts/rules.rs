//! When an alert holds, and when it is over.
//!
//! A state that passes (collecting, waiting) says nothing: what was known before it still holds, so a connector that fails
//! again and again has one alert and not one for each run.

use super::{Kind, Seen};
use crate::figures;
use std::collections::BTreeMap;
use std::time::Duration;

/// Without data for so long.
const NO_DATA_HOURS: u64 = 24;
/// Due so many intervals ago.
const BEHIND_INTERVALS: u64 = 3;
/// A consumer that fails for so long is told of.
const CONSUMER_FAILING_MINUTES: u64 = 10;
/// One is behind that has yet to take more blocks than this, the oldest of them older than this.
const CONSUMER_LAG_BLOCKS: u64 = 100;
const CONSUMER_LAG_MINUTES: u64 = 60;
/// A connector whose interval is longer than an alert's time is given so many of them.
const LEAST_INTERVALS: u32 = 2;

/// Whether a connector's alert of a kind is to be open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Holds {
        /// What to say.
        message: String,
        /// Since when, milliseconds since 1970.
        since_ms: u64,
    },
    /// It is not.
    Over,
    /// Nobody can say at present: it stays as it is.
    Open,
}

/// What a state means for alerts.
enum Standing {
    /// It is not meant to collect.
    Idle,
    /// It will be known later.
    Passing,
    /// All is well.
    Well,
    /// Something is wrong. `stopped` if nothing is collected before somebody has done something.
    Ill { kind: Kind, stopped: bool },
}

impl Standing {
    fn of(state: &str) -> Self {
        let ill = |kind, stopped| Self::Ill { kind, stopped };
        match state {
            "inactive" | "not-in-a-profile" => Self::Idle,
            "healthy" => Self::Well,
            "failing" | "held-back" => ill(Kind::Failing, false),
            "incomplete" => ill(Kind::Incomplete, false),
            "stopped-after-refused-login" => ill(Kind::LoginRefused, true),
            "suspended" => ill(Kind::Suspended, true),
            "set-aside" => ill(Kind::SetAside, true),
            _ => Self::Passing,
        }
    }
}

/// The times after which somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Hours without data; 0 never tells.
    pub(crate) no_data_hours: u64,
    /// In place of it for the connectors of single tenants, by name.
    pub(crate) tenants: BTreeMap<String, u64>,
    /// In place of both for single connectors, by `tenant/name`.
    pub(crate) connectors: BTreeMap<String, u64>,
    /// Intervals that a run may be late; 0 never tells.
    pub(crate) behind_intervals: u64,
    /// Minutes that a consumer may fail; 0 never tells.
    pub(crate) consumer_failing_minutes: u64,
    /// Blocks that a consumer may have yet to take, however old they are.
    pub(crate) consumer_lag_blocks: u64,
    /// How old the oldest of more than those may be, in minutes; 0 never tells.
    pub(crate) consumer_lag_minutes: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            no_data_hours: NO_DATA_HOURS,
            tenants: BTreeMap::new(),
            connectors: BTreeMap::new(),
            behind_intervals: BEHIND_INTERVALS,
            consumer_failing_minutes: CONSUMER_FAILING_MINUTES,
            consumer_lag_blocks: CONSUMER_LAG_BLOCKS,
            consumer_lag_minutes: CONSUMER_LAG_MINUTES,
        }
    }
}

impl Rules {
    /// Judges one kind of alert of one connector.
    pub(crate) fn judge(&self, kind: Kind, seen: &Seen, now: u64) -> Verdict {
        match (kind, Standing::of(&seen.state)) {
            (_, Standing::Idle) => Verdict::Over,
            (Kind::NoData, _) => self.no_data(seen, now),
            // What stands still until somebody does something is not late as well.
            (Kind::Behind, Standing::Ill { stopped: true, .. }) => Verdict::Over,
            (Kind::Behind, _) => self.behind(seen, now),
            (_, Standing::Passing) => Verdict::Open,
            (kind, Standing::Ill { kind: ill, .. }) if kind == ill => Verdict::Holds {
                message: seen.message.clone(),
                since_ms: seen.since_ms,
            },
            (_, Standing::Well | Standing::Ill { .. }) => Verdict::Over,
        }
    }

    fn hours(&self, connector: &str) -> u64 {
        let tenant = connector.split_once('/').map_or("", |(tenant, _)| tenant);
        let own = self.connectors.get(connector);
        *own.or_else(|| self.tenants.get(tenant))
            .unwrap_or(&self.no_data_hours)
    }

    fn no_data(&self, seen: &Seen, now: u64) -> Verdict {
        let hours = Duration::from_secs(self.hours(&seen.name).saturating_mul(3600));
        if hours.is_zero() {
            return Verdict::Over;
        }
        let patience = hours.max(seen.interval.saturating_mul(LEAST_INTERVALS));
        let last = seen.last_data_ms.unwrap_or(0);
        let since_ms = last.max(seen.expected_since_ms);
        let silence = now.saturating_sub(since_ms);
        if silence < milliseconds(patience) {
            return Verdict::Over;
        }
        let message = match seen.last_data_ms {
            Some(last) => format!(
                "no data was received for {}; the last came {}",
                figures::milliseconds(silence),
                figures::moment(last)
            ),
            None => format!(
                "no data was ever received, and some is expected for {}",
                figures::milliseconds(silence)
            ),
        };
        Verdict::Holds { message, since_ms }
    }

    fn behind(&self, seen: &Seen, now: u64) -> Verdict {
        let Some(due) = seen.due_ms.filter(|_| self.behind_intervals > 0) else {
            return Verdict::Over;
        };
        let late = now.saturating_sub(due);
        if late <= milliseconds(seen.interval).saturating_mul(self.behind_intervals) {
            return Verdict::Over;
        }
        Verdict::Holds {
            message: format!(
                "the run that was due {} has not begun, {} later",
                figures::moment(due),
                figures::milliseconds(late)
            ),
            since_ms: due,
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_000 * HOUR;

    fn seen(state: &str) -> Seen {
        Seen {
            connector: "c1".into(),
            name: "acme/scanner".into(),
            state: state.into(),
            message: "what the status says".into(),
            since_ms: NOW - HOUR,
            expected_since_ms: 0,
            last_data_ms: Some(NOW),
            due_ms: Some(NOW),
            interval: Duration::from_secs(300),
        }
    }

    fn open(rules: &Rules, seen: &Seen) -> Vec<&'static str> {
        Kind::OF_CONNECTORS
            .into_iter()
            .filter(|kind| matches!(rules.judge(*kind, seen, NOW), Verdict::Holds { .. }))
            .map(Kind::as_str)
            .collect()
    }

    #[test]
    fn every_bad_state_has_its_alert_and_a_good_one_none() {
        let rules = Rules::default();
        for (state, kinds) in [
            ("healthy", &[][..]),
            ("collecting", &[]),
            ("failing", &["failing"]),
            ("held-back", &["failing"]),
            ("incomplete", &["incomplete"]),
            ("stopped-after-refused-login", &["login-refused"]),
            ("suspended", &["suspended"]),
            ("set-aside", &["set-aside"]),
        ] {
            assert_eq!(open(&rules, &seen(state)), kinds, "{state}");
        }
        let verdict = rules.judge(Kind::Failing, &seen("failing"), NOW);
        let message = "what the status says".to_owned();
        let since_ms = NOW - HOUR;
        assert_eq!(verdict, Verdict::Holds { message, since_ms });
    }

    #[test]
    fn a_state_that_passes_leaves_what_was_known() {
        let rules = Rules::default();
        for state in ["waiting", "collecting", "waiting-for-quota", "never-run"] {
            let verdict = rules.judge(Kind::Failing, &seen(state), NOW);
            assert_eq!(verdict, Verdict::Open, "{state}");
        }
        for state in ["healthy", "incomplete", "inactive", "not-in-a-profile"] {
            let verdict = rules.judge(Kind::Failing, &seen(state), NOW);
            assert_eq!(verdict, Verdict::Over, "{state}");
        }
    }

    #[test]
    fn silence_counts_from_the_last_data_or_from_when_some_was_expected() {
        let mut rules = Rules::default();
        let mut silent = seen("healthy");
        silent.last_data_ms = Some(NOW - 24 * HOUR + 1);
        assert!(open(&rules, &silent).is_empty());
        silent.last_data_ms = Some(NOW - 24 * HOUR);
        assert_eq!(open(&rules, &silent), ["no-data"]);
        silent.expected_since_ms = NOW - HOUR;
        assert!(open(&rules, &silent).is_empty(), "activated an hour ago");
        silent.last_data_ms = None;
        silent.expected_since_ms = NOW - 25 * HOUR;
        assert_eq!(open(&rules, &silent), ["no-data"]);
        silent.state = "inactive".into();
        assert!(open(&rules, &silent).is_empty());
        silent.state = "healthy".into();
        rules.tenants.insert("acme".into(), 48);
        assert!(open(&rules, &silent).is_empty());
        rules.connectors.insert("acme/scanner".into(), 2);
        assert_eq!(open(&rules, &silent), ["no-data"]);
        rules.connectors.insert("acme/scanner".into(), 0);
        assert!(open(&rules, &silent).is_empty(), "0 never tells");
        rules.connectors.clear();
        rules.tenants.clear();
        silent.interval = Duration::from_secs(13 * 3600);
        assert!(open(&rules, &silent).is_empty(), "less than two intervals");
    }

    #[test]
    fn a_run_is_behind_when_it_is_late_by_more_than_three_intervals_and_could_run() {
        let mut rules = Rules::default();
        let mut late = seen("waiting");
        late.due_ms = Some(NOW - 900_000);
        assert!(open(&rules, &late).is_empty());
        late.due_ms = Some(NOW - 900_001);
        assert_eq!(open(&rules, &late), ["behind"]);
        late.state = "suspended".into();
        assert_eq!(open(&rules, &late), ["suspended"]);
        late.state = "waiting".into();
        rules.behind_intervals = 4;
        assert!(open(&rules, &late).is_empty());
    }
}
