//! The CPU time of a call: of the guest's own code, and of the host's functions that work for it.
//!
//! The engine's epoch interrupts the guest's own code and nothing else: a function of the host that takes a second passes as
//! one tick, and a guest could have little more done than such functions. So the thread's CPU time is read, too, from the
//! moment at which a call is polled. What the call awaits takes none, and neither does what else the machine has to do.

use super::gate::{Gate, Turns};
use super::meter::Meter;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::ready;
use std::time::Duration;

/// No call is being polled.
const STOPPED: u64 = u64::MAX;

/// CPU time in ticks of the engine's epoch.
pub(crate) struct Cpu {
    pub(crate) call_ticks: u64,
    pub(crate) total_ticks: u64,
    pub(crate) limit_ticks: u64,
}

impl Cpu {
    pub(super) fn new(limit: Duration, tick: Duration) -> Self {
        Self {
            call_ticks: 0,
            total_ticks: 0,
            limit_ticks: nanoseconds(limit) / nanoseconds(tick).max(1),
        }
    }

    /// Counts. False if that is more than one call may use.
    pub(super) fn spend(&mut self, ticks: u64) -> bool {
        self.call_ticks = self.call_ticks.saturating_add(ticks);
        self.total_ticks = self.total_ticks.saturating_add(ticks);
        self.call_ticks <= self.limit_ticks
    }
}

/// Reads the CPU time of an instance's calls, which are never polled by two threads at the same time.
pub(super) struct Stopwatch {
    tick: u64,
    /// The thread's CPU time when the poll began, or when it was last read.
    since: AtomicU64,
    /// What has not been counted yet.
    left: AtomicU64,
    /// Where a call has to pass before it is polled.
    gate: Option<Gate>,
}

impl Stopwatch {
    pub(super) fn new(tick: Duration, gate: Option<Gate>) -> Self {
        Self {
            tick: nanoseconds(tick).max(1),
            since: AtomicU64::new(STOPPED),
            left: AtomicU64::new(0),
            gate,
        }
    }

    /// Runs a call; what was left of an earlier one is forgotten. Time at the gate is counted by `meter`.
    pub(super) async fn run<F: Future>(&self, meter: Option<&Arc<Meter>>, call: F) -> F::Output {
        self.left.store(0, Ordering::Relaxed);
        let mut turns = Turns::new(self.gate.as_ref(), meter);
        let mut call = pin!(call);
        poll_fn(|context| {
            let _place = ready!(turns.poll(context));
            self.since.store(thread_time(), Ordering::Relaxed);
            let polled = call.as_mut().poll(context);
            self.read(thread_time());
            self.since.store(STOPPED, Ordering::Relaxed);
            polled
        })
        .await
    }

    fn read(&self, now: u64) {
        let since = self.since.swap(now, Ordering::Relaxed);
        // Stopped, nothing has passed: no time is later than that.
        self.left
            .fetch_add(now.saturating_sub(since), Ordering::Relaxed);
    }

    /// Whole ticks since this was last asked, and `least` if they are fewer; the rest is for the next time.
    pub(super) fn ticks(&self, least: u64) -> u64 {
        if self.since.load(Ordering::Relaxed) != STOPPED {
            self.read(thread_time());
        }
        let left = self.left.load(Ordering::Relaxed);
        let ticks = (left / self.tick).max(least);
        let rest = left.saturating_sub(ticks.saturating_mul(self.tick));
        self.left.store(rest, Ordering::Relaxed);
        ticks
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of this thread, in nanoseconds.
#[cfg(unix)]
fn thread_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let whole = |number| u64::try_from(number).unwrap_or(0);
    whole(time.tv_sec)
        .saturating_mul(1_000_000_000)
        .saturating_add(whole(time.tv_nsec))
}

/// Elapsed time, in nanoseconds: the nearest that there is without a thread's own.
#[cfg(not(unix))]
fn thread_time() -> u64 {
    static STARTED: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    nanoseconds(STARTED.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    /// Works until the thread has used so much more CPU time.
    fn work(ticks: u64) {
        let until = thread_time() + ticks * nanoseconds(TICK);
        while thread_time() < until {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn work_within_a_call_counts_however_long_nobody_asked() {
        let watch = Stopwatch::new(TICK, None);
        let counted = watch
            .run(None, async {
                work(5);
                let first = watch.ticks(1);
                tokio::task::yield_now().await;
                work(3);
                (first, watch.ticks(1))
            })
            .await;
        assert!(counted.0 >= 5 && counted.1 >= 3, "{counted:?}");
        watch.run(None, async { work(4) }).await;
        assert!(watch.ticks(0) >= 4, "after its end, too");
        assert_eq!(watch.ticks(0), 0, "once");
    }

    #[tokio::test]
    async fn work_of_others_does_not_count() {
        let watch = Stopwatch::new(TICK, None);
        work(20);
        let waited = async {
            let (done, waiting) = tokio::sync::oneshot::channel();
            tokio::spawn(async {
                work(20);
                done.send(())
            });
            waiting.await
        };
        watch.run(None, waited).await.unwrap();
        work(20);
        let counted = watch.ticks(0);
        assert!(counted < 20, "{counted}");
        assert_eq!(watch.ticks(1), 1, "but a tick of the epoch always does");
    }

    #[test]
    fn what_is_more_than_a_call_may_use_is_said() {
        let mut cpu = Cpu::new(Duration::from_millis(300), TICK);
        assert!(cpu.spend(30));
        assert!(!cpu.spend(1));
    }
}
