//! Strikes: what follows when a plugin faults again and again.
//!
//! Traps, broken limits and broken contracts are strikes. Three of them end a run; the connector is then held back for a
//! while, longer each time, and after three such runs in a row set aside. A plugin's file that is replaced starts anew, and
//! so does a run that keeps a batch and has no fault. What a vendor does (an error, a time-out, a page that cannot be read) is no strike.

use crate::clock::milliseconds;
use crate::journal::StrikeRow;
use std::time::Duration;

/// Strikes of one run before it is given up.
pub(crate) const STRIKES: u32 = 3;
/// Runs in a row that were given up so before a connector is set aside.
const RUNS: u32 = 3;
/// How long a connector is held back after the first such run; four times as long after the second.
const BACK_OFF: Duration = Duration::from_secs(5 * 60);

/// Why a connector may not run now. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    /// For a while.
    #[error(
        "the plugin faulted {STRIKES} times in the last run, so this connector is held back for another {} s: run it then, replace the plugin's file, or run it anyway with --force",
        left.as_secs() + 1
    )]
    Back {
        /// How much longer.
        left: Duration,
    },
    /// Until somebody does something.
    #[error(
        "the plugin faulted {STRIKES} times in each of {runs} runs in a row, so this connector is set aside: replace the plugin's file, or run it anyway with --force"
    )]
    Aside {
        /// How many.
        runs: u32,
    },
}

/// What to remember after another run that was given up.
pub(crate) fn after(before: Option<&StrikeRow>, plugin: &str, now_ms: u64) -> StrikeRow {
    let earlier = before
        .filter(|row| row.plugin == plugin)
        .map_or(0, |row| row.runs);
    let back_off = BACK_OFF * 4u32.pow(earlier.min(RUNS));
    StrikeRow {
        plugin: plugin.to_owned(),
        runs: earlier + 1,
        not_before_ms: now_ms + milliseconds(back_off),
    }
}

/// Whether a connector may run now.
pub(crate) fn check(row: Option<&StrikeRow>, plugin: &str, now_ms: u64) -> Result<(), Held> {
    let Some(row) = row.filter(|row| row.plugin == plugin) else {
        return Ok(());
    };
    if row.runs >= RUNS {
        return Err(Held::Aside { runs: row.runs });
    }
    let left = Duration::from_millis(row.not_before_ms.saturating_sub(now_ms));
    // A clock that was set back must not hold anybody for longer than was meant.
    let left = left.min(BACK_OFF * 4u32.pow(RUNS));
    if left.is_zero() {
        Ok(())
    } else {
        Err(Held::Back { left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_held_back_longer_each_time_and_then_set_aside() {
        let first = after(None, "a", 1_000);
        assert_eq!(
            check(Some(&first), "a", 1_000),
            Err(Held::Back {
                left: Duration::from_secs(300)
            })
        );
        assert_eq!(check(Some(&first), "a", 301_000), Ok(()));
        let second = after(Some(&first), "a", 1_000);
        assert_eq!(second.not_before_ms, 1_201_000);
        let third = after(Some(&second), "a", 1_000);
        assert_eq!(
            check(Some(&third), "a", u64::MAX),
            Err(Held::Aside { runs: 3 })
        );
    }

    #[test]
    fn another_file_starts_anew_and_a_clock_set_back_holds_nobody_for_ever() {
        let row = StrikeRow {
            plugin: "a".into(),
            runs: 2,
            not_before_ms: u64::MAX,
        };
        assert_eq!(check(Some(&row), "b", 0), Ok(()));
        assert_eq!(after(Some(&row), "b", 0).runs, 1);
        let Err(Held::Back { left }) = check(Some(&row), "a", 0) else {
            panic!("not held");
        };
        assert!(left <= Duration::from_secs(86_400), "{left:?}");
    }
}
