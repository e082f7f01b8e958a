//! The buckets of one origin and account, shared by everybody who calls in its name.

use super::window::{Next, Reported, Window};
use super::{BucketState, QuotaStore, Saving};
use crate::Clock;
use crate::manifest::{Bucket, Quota, QuotaHeaders};
use http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Hears of a wait before it begins: how long, and why, in a sentence. No time is known if it depends on another call.
pub(crate) type Waiting<'a> = &'a (dyn Fn(Option<Duration>, &str) + Send + Sync);

/// The budgets of one origin and account.
pub(crate) struct Account {
    key: String,
    store: Option<Arc<dyn QuotaStore>>,
    clock: Clock,
    /// The wall clock's time when the account was opened, less the clock's monotonic time then.
    began: u64,
    buckets: Mutex<HashMap<String, Window>>,
    returned: Notify,
}

impl Account {
    /// Opens an account with what is stored of it.
    pub(super) fn open(key: String, store: Option<Arc<dyn QuotaStore>>, clock: &Clock) -> Self {
        let now = clock.now_ms();
        let stored = match store.as_ref().map(|store| store.load(&key)) {
            None => Vec::new(),
            Some(Ok(stored)) => stored,
            Some(Err(error)) => {
                tracing::warn!(
                    "what is left of the vendor's quota is not known; its answers will tell: {error}"
                );
                Vec::new()
            }
        };
        let buckets = stored
            .iter()
            .map(|stored| (stored.bucket.clone(), Window::load(stored, now)));
        Self {
            buckets: Mutex::new(buckets.collect()),
            began: now.saturating_sub(milliseconds(clock.elapsed())),
            clock: clock.clone(),
            returned: Notify::new(),
            key,
            store,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Window>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.began
            .saturating_add(milliseconds(self.clock.elapsed()))
    }

    /// Begins to save a bucket. The caller holds the lock, so that states are saved in the order in which they came about.
    fn save(&self, bucket: &str, window: &Window, now: u64) -> Option<Saving> {
        let store = self.store.as_ref()?;
        Some(store.save(&self.key, window.store(bucket, now, self.clock.now_ms())))
    }

    /// Takes a permit, waiting for at most `patience`. The call is counted from then on.
    ///
    /// # Errors
    /// With the time after which it is worth asking again.
    pub(crate) async fn permit(
        self: &Arc<Self>,
        bucket: &Bucket,
        patience: Duration,
        waiting: Waiting<'_>,
    ) -> Result<Permit, Duration> {
        let deadline = self.clock.elapsed() + patience;
        let mut is_told = false;
        loop {
            // Registered before looking, so that a permit returned in between is not missed.
            let returned = self.returned.notified();
            let next = {
                let mut buckets = self.lock();
                let window = buckets.entry(bucket.id.clone()).or_default();
                let now = self.now();
                let next = window.next(bucket, now);
                if next == Next::Now {
                    window.begin(bucket, now);
                    return Ok(Permit {
                        saving: self.save(&bucket.id, window, now),
                        account: Arc::clone(self),
                        bucket: bucket.id.clone(),
                        began: now,
                    });
                }
                next
            };
            let left = deadline.saturating_sub(self.clock.elapsed());
            match next {
                Next::Now => {}
                Next::After(wait) if wait > left => return Err(wait),
                Next::After(wait) => {
                    let reason = format!("The vendor's budget `{}` is used up.", bucket.id);
                    waiting(Some(wait), &reason);
                    self.clock.sleep(wait).await;
                }
                Next::Busy if left.is_zero() => return Err(patience),
                Next::Busy => {
                    if !std::mem::replace(&mut is_told, true) {
                        let reason = format!(
                            "As many calls of the vendor's budget `{}` as are allowed at the same time are under way.",
                            bucket.id
                        );
                        waiting(None, &reason);
                    }
                    // Whether a permit came back or the time is over: the next turn finds out.
                    let _ = self.clock.timeout(left, returned).await;
                }
            }
        }
    }

    /// Takes in what an answer's status and headers report. Values that are missing, empty or no numbers change nothing.
    pub(crate) fn observe(
        &self,
        bucket: &Bucket,
        names: &QuotaHeaders,
        status: StatusCode,
        headers: &HeaderMap,
        permit: &mut Permit,
    ) {
        let number = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| headers.get(name.as_str()))
                .find_map(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        };
        let positive = |names: &[String]| number(names).filter(|&value| value > 0);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let reported = Reported {
            calls: positive(&names.limit).map(small),
            window_ms: positive(&names.window_seconds).map(|seconds| seconds.saturating_mul(1000)),
            remaining: number(&names.remaining)
                .filter(|_| status.is_success())
                .map(small),
            concurrency: positive(&names.concurrency_limit).map(small),
            wait_ms: positive(&names.wait_seconds).map(|seconds| seconds.saturating_mul(1000)),
        };
        let mut buckets = self.lock();
        let window = buckets.entry(bucket.id.clone()).or_default();
        let now = self.now();
        window.observe(bucket, &reported, now);
        permit.saving = self.save(&bucket.id, window, now);
    }

    /// What is known of every bucket of `quota`.
    pub(crate) fn state(&self, quota: &Quota) -> Vec<BucketState> {
        let (now, wall) = (self.now(), self.clock.now_ms());
        let mut buckets = self.lock();
        let buckets = quota.buckets.iter().map(|bucket| {
            let window = buckets.entry(bucket.id.clone()).or_default();
            window.state(bucket, now, wall)
        });
        buckets.collect()
    }
}

/// The right to have one request under way.
pub(crate) struct Permit {
    account: Arc<Account>,
    bucket: String,
    began: u64,
    saving: Option<Saving>,
}

impl Permit {
    /// Ends when the call is counted durably, or cannot be: then it is counted in memory, and the log says why.
    pub(crate) async fn counted(&mut self) {
        if let Some(saving) = self.saving.take()
            && let Err(error) = saving.await
        {
            tracing::warn!("a call of the vendor's quota is counted in memory only: {error}");
        }
    }

    /// Gives the permit back unused: nothing was sent, so nothing counts.
    pub(crate) fn give_back(self) {
        let mut buckets = self.account.lock();
        if let Some(window) = buckets.get_mut(&self.bucket) {
            window.take_back(self.began);
            // Not waited for: that it is counted until then makes no vendor refuse.
            drop(self.account.save(&self.bucket, window, self.account.now()));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(window) = self.account.lock().get_mut(&self.bucket) {
            window.end();
        }
        self.account.returned.notify_waiters();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
