//! How long an instance has been waiting in egress, so that its own time can be told from the vendor's.

use crate::Clock;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time spent in egress by one instance; nested and overlapping waits count once.
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Clock,
    state: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    depth: u32,
    since: Duration,
    /// What waits now has given up by then, so that a wait nobody looks after does not count for ever.
    until: Duration,
    total: Duration,
}

impl Waiting {
    fn running(&self, now: Duration) -> Duration {
        now.min(self.until).saturating_sub(self.since)
    }
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Counts time from now until the guard is dropped, but not more than `limit`.
    pub(crate) fn wait(self: &std::sync::Arc<Self>, limit: Duration) -> Wait {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        if state.depth == 0 {
            state.since = now;
            state.until = Duration::ZERO;
        }
        state.until = state.until.max(now.saturating_add(limit));
        state.depth += 1;
        Wait(std::sync::Arc::clone(self))
    }

    /// The total so far.
    pub(crate) fn waited(&self) -> Duration {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.depth {
            0 => state.total,
            _ => state.total + state.running(self.clock.elapsed()),
        }
    }
}

/// See [`Meter::wait`].
#[derive(Debug)]
pub(crate) struct Wait(std::sync::Arc<Meter>);

impl Drop for Wait {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.depth -= 1;
        if state.depth == 0 {
            let waited = state.running(self.0.clock.elapsed());
            state.total += waited;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn overlapping_waits_count_once_and_none_counts_for_ever() {
        let clock = Clock::simulated(0);
        let meter = Arc::new(Meter::new(clock.clone()));
        let seconds = Duration::from_secs;
        let first = meter.wait(seconds(10));
        clock.advance(seconds(4));
        let second = meter.wait(seconds(10));
        clock.advance(seconds(4));
        assert_eq!(meter.waited(), seconds(8));
        drop(first);
        // Nobody looks after the second one any more.
        clock.advance(seconds(3600));
        assert_eq!(meter.waited(), seconds(14));
        drop(second);
        assert_eq!(meter.waited(), seconds(14));
    }
}
