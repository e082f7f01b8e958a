//! When a connector is to run next, from what is known of it.

use super::ScheduleOptions;
use crate::status::{Facts, State};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Minutes between runs of a connector whose settings have no interval.
const DEFAULT_INTERVAL_MINUTES: u64 = 5;

/// The time between two starts.
pub(crate) fn interval_ms(minutes: u64) -> u64 {
    match minutes {
        0 => DEFAULT_INTERVAL_MINUTES * 60_000,
        minutes => minutes.saturating_mul(60_000),
    }
}

/// What jitter delays a connector by: the same each time, so that its runs are an interval apart.
pub(crate) fn jitter_ms(id: &str, jitter: Duration) -> u64 {
    let most = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    if most == 0 {
        return 0;
    }
    let digest = Sha256::digest(id.as_bytes());
    let number = digest
        .iter()
        .take(8)
        .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    number % most.saturating_add(1)
}

/// The moment of the next run on this host; none if only a person or a change can bring one.
///
/// A wait that the vendor has named ends in a run, whatever the interval: the walk has only been put off. What else must not
/// be before a moment (a plugin that is held back) waits for its due time as well.
pub(crate) fn next(facts: &Facts, options: &ScheduleOptions) -> Option<u64> {
    if !facts.active
        || facts.run_on != options.device
        || facts.lacks_a_profile()
        || facts.suspended.is_some()
    {
        return None;
    }
    let due = facts.due?;
    let jitter = match facts.started {
        // The first run is at once.
        None => 0,
        Some(_) => jitter_ms(&facts.id, options.jitter),
    };
    let due = due.saturating_add(jitter);
    match (facts.judged(), facts.not_before) {
        (Some(State::StoppedAfterRefusedLogin | State::SetAside), _) => None,
        (Some(State::WaitingForQuota | State::WaitingForRoom), Some(not_before)) => {
            Some(not_before)
        }
        (_, not_before) => Some(due.max(not_before.unwrap_or(0))),
    }
}
