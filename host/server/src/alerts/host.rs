//! Alerts of the host itself: its journal, its disk, and the consumers of the journal.
//!
//! Promises: whoever belongs to one tenant hears of a consumer only if it takes that tenant's records and nobody else's; the
//! journal and the disk are everybody's, so only those hear of them who may see every tenant.

use super::Kind;
use super::rules::{Rules, Verdict};
use crate::consumers::listing::{self, ListedConsumer};
use crate::consumers::state::State;
use crate::figures;
use connector_runtime::journal::{Journal, JournalError, SkipRow};

const MINUTE_MS: u64 = 60_000;
/// A skip is told for so long after the last block was lost.
const SKIP_MS: u64 = 24 * 3_600_000;
/// An alert about the size is over this many percent below the mark at which it was raised, so that it does not flutter.
const SLACK: u64 = 5;

/// How the host is. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostSeen {
    /// Bytes of the journal that are used.
    pub(crate) used_bytes: u64,
    /// How many it may use.
    pub(crate) limit_bytes: u64,
    /// Why the disk has no room for another batch, with what must be freed; none if it has.
    pub(crate) disk_shortage: Option<String>,
    /// Those who take the journal's blocks.
    pub(crate) consumers: Vec<ListedConsumer>,
    /// What they have lost, the latest first.
    pub(crate) skips: Vec<SkipRow>,
}

/// What an alert of the host is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// `journal`, `disk`, or `consumer` and its name.
    pub(crate) name: String,
    /// The name of the one tenant whose records a consumer takes; none if they are several's, or nobody's.
    pub(crate) tenant: Option<String>,
}

impl Subject {
    fn of_host(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant: None,
        }
    }

    fn of(consumer: &ListedConsumer) -> Self {
        let tenant = match consumer.tenants.as_deref() {
            Some([only]) => Some(only.clone()),
            _ => None,
        };
        Self {
            name: format!("consumer {}", consumer.name),
            tenant,
        }
    }
}

impl HostSeen {
    /// Looks at the journal, its disk, and its consumers with what their followers say.
    ///
    /// # Errors
    /// If the journal or the disk cannot be looked at.
    pub(crate) fn of(journal: &Journal, states: &[State]) -> Result<Self, JournalError> {
        Ok(Self {
            used_bytes: journal.size()?.used_bytes(),
            limit_bytes: journal.retention().size_bytes,
            disk_shortage: journal.disk_shortage()?,
            consumers: listing::list(journal, states)?,
            skips: journal.skips()?,
        })
    }

    /// How many percent of its limit the journal uses.
    pub(crate) fn percent(&self) -> u64 {
        let percent = u128::from(self.used_bytes) * 100 / u128::from(self.limit_bytes.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Judges every kind of alert of everything that the host consists of.
pub(crate) fn judge(rules: &Rules, seen: &HostSeen, now: u64) -> Vec<(Subject, Kind, Verdict)> {
    let journal = Subject::of_host("journal");
    let mut judged = vec![
        (
            journal.clone(),
            Kind::JournalFilling,
            filling(rules, seen, 50, now),
        ),
        (
            journal,
            Kind::JournalNearlyFull,
            filling(rules, seen, 80, now),
        ),
        (Subject::of_host("disk"), Kind::DiskFull, disk(seen, now)),
    ];
    for consumer in &seen.consumers {
        let subject = Subject::of(consumer);
        judged.extend([
            (
                subject.clone(),
                Kind::ConsumerFailing,
                failing(rules, consumer, now),
            ),
            (
                subject.clone(),
                Kind::ConsumerBehind,
                behind(rules, consumer, now),
            ),
            (
                subject,
                Kind::ConsumerSkipped,
                skipped(&seen.skips, consumer, now),
            ),
        ]);
    }
    judged
}

fn filling(rules: &Rules, seen: &HostSeen, mark: u64, now: u64) -> Verdict {
    let percent = seen.percent();
    if percent < mark {
        let is_over = percent < mark - SLACK;
        return if is_over {
            Verdict::Over
        } else {
            Verdict::Open
        };
    }
    let laggard = seen
        .consumers
        .iter()
        .filter(|consumer| consumer.lag_blocks > rules.consumer_lag_blocks)
        .max_by_key(|consumer| consumer.lag_blocks);
    let then = match laggard {
        Some(laggard) if laggard.when_behind == "skip" => format!(
            "the consumer {} has yet to take {}: at the limit it loses the oldest of them",
            laggard.name,
            figures::counted(laggard.lag_blocks, "block")
        ),
        Some(laggard) => format!(
            "the consumer {} has yet to take {}: at the limit collection waits for it",
            laggard.name,
            figures::counted(laggard.lag_blocks, "block")
        ),
        None => "at the limit the oldest records are deleted before `retention_days`".to_owned(),
    };
    Verdict::Holds {
        message: format!(
            "the journal uses {percent} % of its size limit ({} of {}); {then}",
            figures::mebibytes(seen.used_bytes),
            figures::mebibytes(seen.limit_bytes)
        ),
        since_ms: now,
    }
}

fn disk(seen: &HostSeen, now: u64) -> Verdict {
    match &seen.disk_shortage {
        None => Verdict::Over,
        Some(what) => Verdict::Holds {
            message: format!(
                "collection has stopped: {what}. Nothing is lost, and it goes on by itself"
            ),
            since_ms: now,
        },
    }
}

fn failing(rules: &Rules, consumer: &ListedConsumer, now: u64) -> Verdict {
    let Some(since_ms) = consumer.failing_since else {
        return Verdict::Over;
    };
    let patience = rules.consumer_failing_minutes.saturating_mul(MINUTE_MS);
    let failing = now.saturating_sub(since_ms);
    if patience == 0 {
        return Verdict::Over;
    }
    if failing < patience {
        return Verdict::Open;
    }
    Verdict::Holds {
        message: format!(
            "it has failed for {}: {}",
            figures::milliseconds(failing),
            consumer.failure.as_deref().unwrap_or("no reason is known")
        ),
        since_ms,
    }
}

fn behind(rules: &Rules, consumer: &ListedConsumer, now: u64) -> Verdict {
    let patience = rules.consumer_lag_minutes.saturating_mul(MINUTE_MS);
    match consumer.behind_since {
        Some(since_ms)
            if patience > 0
                && consumer.lag_blocks > rules.consumer_lag_blocks
                && now.saturating_sub(since_ms) > patience =>
        {
            Verdict::Holds {
                message: format!(
                    "it has yet to take {}, the oldest written {}",
                    figures::counted(consumer.lag_blocks, "block"),
                    figures::moment(since_ms)
                ),
                since_ms,
            }
        }
        _ => Verdict::Over,
    }
}

fn skipped(skips: &[SkipRow], consumer: &ListedConsumer, now: u64) -> Verdict {
    let mut own = skips
        .iter()
        .filter(|skip| skip.consumer == consumer.name)
        .filter(|skip| now.saturating_sub(skip.noted_ms) < SKIP_MS);
    let Some(latest) = own.next() else {
        return Verdict::Over;
    };
    let more = match own.count() {
        0 => String::new(),
        ranges => format!(", and {} before", figures::counted(ranges as u64, "range")),
    };
    Verdict::Holds {
        message: format!(
            "it was too far behind when the journal was full, and has lost the blocks {} to {}{more}: {} with {}, written {} to {}",
            latest.first,
            latest.last,
            figures::counted(latest.blocks, "block"),
            figures::counted(latest.records, "record"),
            figures::moment(latest.first_written_ms),
            figures::moment(latest.last_written_ms)
        ),
        since_ms: latest.noted_ms,
    }
}

#[cfg(test)]
mod tests;
