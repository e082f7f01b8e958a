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
    total: Duration,
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Counts time from now until the guard is dropped.
    pub(crate) fn wait(self: &std::sync::Arc<Self>) -> Wait {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.depth == 0 {
            state.since = self.clock.elapsed();
        }
        state.depth += 1;
        Wait(std::sync::Arc::clone(self))
    }

    /// The total so far.
    pub(crate) fn waited(&self) -> Duration {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.depth {
            0 => state.total,
            _ => state.total + self.clock.elapsed().saturating_sub(state.since),
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
            let waited = self.0.clock.elapsed().saturating_sub(state.since);
            state.total += waited;
        }
    }
}
