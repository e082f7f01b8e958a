//! How long an instance has been waiting in egress, so that its own time can be told from the vendor's.
//!
//! Every wait ends at its own deadline at the latest: one that nobody looks after, or one beside it, makes no time count that
//! it does not cover itself.

use crate::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time spent in egress by one instance; nested and overlapping waits count once.
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Clock,
    state: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By when each open wait has given up, under its number.
    open: Vec<(u64, Duration)>,
    next: u64,
    /// Up to when `total` is counted. Every open wait began before.
    counted: Duration,
    total: Duration,
}

impl Waiting {
    /// Counts up to `now`: as far as the longest of the open waits reaches.
    fn count(&mut self, now: Duration) {
        let until = self.open.iter().map(|&(_, until)| until).max();
        let end = now.min(until.unwrap_or_default());
        self.total += end.saturating_sub(self.counted);
        self.counted = now;
    }
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn counted<R>(&self, change: impl FnOnce(&mut Waiting, Duration) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        state.count(now);
        change(&mut state, now)
    }

    /// Counts time from now until the guard is dropped, but not more than `limit`.
    pub(crate) fn wait(self: &Arc<Self>, limit: Duration) -> Wait {
        let number = self.counted(|state, now| {
            let number = state.next;
            state.next += 1;
            state.open.push((number, now.saturating_add(limit)));
            number
        });
        Wait {
            meter: Arc::clone(self),
            number,
        }
    }

    /// The total so far.
    pub(crate) fn waited(&self) -> Duration {
        self.counted(|state, _| state.total)
    }
}

/// See [`Meter::wait`].
#[derive(Debug)]
pub(crate) struct Wait {
    meter: Arc<Meter>,
    number: u64,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.meter.counted(|state, _| {
            state.open.retain(|&(number, _)| number != self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn meter() -> (Clock, Arc<Meter>) {
        let clock = Clock::simulated(0);
        (clock.clone(), Arc::new(Meter::new(clock)))
    }

    #[test]
    fn overlapping_waits_count_once_and_none_counts_for_ever() {
        let (clock, meter) = meter();
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

    #[test]
    fn a_wait_that_was_forgotten_makes_no_time_count_when_another_begins() {
        let (clock, meter) = meter();
        let first = meter.wait(seconds(10));
        clock.advance(seconds(1000));
        let second = meter.wait(seconds(10));
        assert_eq!(meter.waited(), seconds(10));
        clock.advance(seconds(3));
        drop(second);
        clock.advance(seconds(1000));
        assert_eq!(meter.waited(), seconds(13));
        drop(first);
        assert_eq!(meter.waited(), seconds(13));
    }

    #[test]
    fn a_wait_that_has_ended_leaves_nothing_of_its_limit_to_those_beside_it() {
        let (clock, meter) = meter();
        let forgotten = meter.wait(seconds(10));
        drop(meter.wait(seconds(330)));
        clock.advance(seconds(1000));
        assert_eq!(meter.waited(), seconds(10));
        drop(forgotten);
    }
}
