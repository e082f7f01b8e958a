//! One clock for everything that waits: schedule, back-off, quota windows, time-outs, and the clocks a plugin sees.
//!
//! [`Clock::system`] is the machine's. [`Clock::simulated`] stands still until somebody sleeps: then, once every other task
//! has had its turn, it jumps to the next moment anybody waits for. A test of an hour's back-off takes no time and is
//! exactly repeatable. Simulated time belongs on a current-thread tokio runtime, where "every other task has had its turn"
//! means something.
//!
//! A *sleep* moves simulated time; a *time-out* only watches it. So a time-out never fires because real work (a commit on
//! another thread, say) took a while. Where others may sleep while such work goes on, [`Clock::hold`] keeps time where it is.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a sleeper lets the other tasks run before it concludes that all of them are waiting too.
const TURNS_BEFORE_A_JUMP: u32 = 64;

/// A clock; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Simulated(Arc<Mutex<Simulated>>),
}

#[derive(Debug)]
struct Simulated {
    started_unix: Duration,
    elapsed: Duration,
    next_id: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
    /// Pieces of real work under way.
    held: usize,
}

/// Keeps simulated time where it is until it is dropped; see [`Clock::hold`].
#[derive(Debug)]
pub struct Hold(Option<Arc<Mutex<Simulated>>>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            lock(state).held -= 1;
        }
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System {
            started: Instant::now(),
        })
    }

    /// A clock that starts at `unix_ms` (milliseconds since 1970) and moves only as this module's head describes.
    pub fn simulated(unix_ms: u64) -> Self {
        Self(Source::Simulated(Arc::new(Mutex::new(Simulated {
            started_unix: Duration::from_millis(unix_ms),
            elapsed: Duration::ZERO,
            next_id: 0,
            waiting: BTreeMap::new(),
            held: 0,
        }))))
    }

    /// Wall-clock time since 1970.
    pub fn since_epoch(&self) -> Duration {
        match &self.0 {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            Source::Simulated(state) => {
                let state = lock(state);
                state.started_unix + state.elapsed
            }
        }
    }

    /// Wall-clock time, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        milliseconds(self.since_epoch())
    }

    /// Monotonic time since this clock was made.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Simulated(state) => lock(state).elapsed,
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System { .. } => tokio::time::sleep(duration).await,
            Source::Simulated(state) => Timer::new(state, duration, true).await,
        }
    }

    /// Runs `work` for at most `limit`; `None` if it took longer.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        match &self.0 {
            Source::System { .. } => tokio::time::timeout(limit, work).await.ok(),
            Source::Simulated(state) => {
                tokio::select! {
                    biased;
                    done = work => Some(done),
                    () = Timer::new(state, limit, false) => None,
                }
            }
        }
    }

    /// A future that ends when `limit` has passed, without moving simulated time.
    pub(crate) fn watch(&self, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match &self.0 {
            Source::System { .. } => Box::pin(tokio::time::sleep(limit)),
            Source::Simulated(state) => Box::pin(Timer::new(state, limit, false)),
        }
    }

    /// Keeps simulated time where it is as long as the guard lives: for work on another thread, which takes no simulated time,
    /// while somebody else sleeps. Does nothing to the system's clock.
    #[must_use]
    pub fn hold(&self) -> Hold {
        match &self.0 {
            Source::System { .. } => Hold(None),
            Source::Simulated(state) => {
                lock(state).held += 1;
                Hold(Some(Arc::clone(state)))
            }
        }
    }

    /// Moves simulated time forward, waking whoever waited for a moment that has passed. Does nothing to the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Simulated(state) = &self.0 {
            let mut state = lock(state);
            let target = state.elapsed + by;
            state.jump_to(target);
        }
    }
}

impl Simulated {
    fn jump_to(&mut self, target: Duration) {
        self.elapsed = self.elapsed.max(target);
        let later = self.waiting.split_off(&(self.elapsed, u64::MAX));
        for (_, waker) in std::mem::replace(&mut self.waiting, later) {
            waker.wake();
        }
    }
}

fn lock(state: &Mutex<Simulated>) -> MutexGuard<'_, Simulated> {
    // The state is consistent after every statement, so a panic elsewhere does not spoil it.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Timer {
    state: Arc<Mutex<Simulated>>,
    deadline: Duration,
    id: u64,
    moves_time: bool,
    turns: u32,
    seen: Duration,
}

impl Timer {
    fn new(state: &Arc<Mutex<Simulated>>, duration: Duration, moves_time: bool) -> Self {
        let mut inner = lock(state);
        inner.next_id += 1;
        Self {
            deadline: inner.elapsed.saturating_add(duration),
            id: inner.next_id,
            seen: inner.elapsed,
            moves_time,
            turns: 0,
            state: Arc::clone(state),
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = lock(&this.state);
        if state.elapsed >= this.deadline {
            return Poll::Ready(());
        }
        state
            .waiting
            .insert((this.deadline, this.id), context.waker().clone());
        if this.moves_time {
            if this.seen != state.elapsed || state.held > 0 {
                this.seen = state.elapsed;
                this.turns = 0;
            }
            this.turns += 1;
            if this.turns > TURNS_BEFORE_A_JUMP {
                this.turns = 0;
                if let Some((&(next, _), _)) = state.waiting.first_key_value() {
                    state.jump_to(next);
                }
                if state.elapsed >= this.deadline {
                    return Poll::Ready(());
                }
                state
                    .waiting
                    .insert((this.deadline, this.id), context.waker().clone());
            }
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        lock(&self.state).waiting.remove(&(self.deadline, self.id));
    }
}

/// A time in whole milliseconds, as documents and the journal have them.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_hour_of_simulated_sleep_passes_at_once() {
        let clock = Clock::simulated(1_000);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
        assert_eq!(clock.now_ms(), 3_601_000);
    }

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines() {
        let clock = Clock::simulated(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [30u64, 10, 20]
            .into_iter()
            .map(|seconds| {
                let (clock, order) = (clock.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    order
                        .lock()
                        .unwrap()
                        .push((seconds, clock.elapsed().as_secs()));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [(10, 10), (20, 20), (30, 30)]);
    }

    #[tokio::test]
    async fn a_timeout_does_not_fire_while_real_work_goes_on() {
        let clock = Clock::simulated(0);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let worker = std::thread::spawn(move || {
            (0..1_000).for_each(|_| std::thread::yield_now());
            sender.send(7).unwrap();
        });
        let done = clock.timeout(Duration::from_millis(1), receiver).await;
        worker.join().unwrap();
        assert_eq!(done.unwrap().unwrap(), 7);
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn nobody_sleeps_time_away_while_work_of_another_thread_holds_it() {
        let clock = Clock::simulated(0);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let holding = clock.clone();
        let work = async move {
            let _held = holding.hold();
            let worker = std::thread::spawn(move || {
                (0..10_000).for_each(|_| std::thread::yield_now());
                sender.send(()).unwrap();
            });
            receiver.await.unwrap();
            worker.join().unwrap();
            holding.elapsed()
        };
        let (_, at_its_end) = tokio::join!(clock.sleep(Duration::from_secs(60)), work);
        assert_eq!(at_its_end, Duration::ZERO);
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_timeout_fires_when_a_sleep_moves_time_past_it() {
        let clock = Clock::simulated(0);
        let work = clock.sleep(Duration::from_secs(60));
        assert!(clock.timeout(Duration::from_secs(5), work).await.is_none());
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }
}
