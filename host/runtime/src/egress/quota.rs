//! The vendor's limits, kept by the host: one budget for all connectors of the same origin and account.
//!
//! A permit is taken before a request and held until its body has ended or was dropped. Of the vendor's concurrency one
//! place stays free, and of its calls a twentieth, for whatever else the customer runs on the same subscription. What the
//! vendor's headers report replaces what the manifest assumed.

use super::Origin;
use super::grant::path_matches;
use crate::Clock;
use crate::manifest::{Bucket, Quota, QuotaHeaders};
use http::HeaderMap;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The part of a window's calls that is left to others: one in this many.
const RESERVE: u32 = 20;
/// No window and no wait is longer: what a manifest or a header says beyond that is a mistake, or meant to do harm.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Budgets by origin and account.
#[derive(Debug, Default)]
pub struct QuotaBook(Mutex<HashMap<(Origin, String), Arc<Account>>>);

impl QuotaBook {
    pub(crate) fn account(&self, origin: &Origin, user: &str) -> Arc<Account> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (origin.clone(), user.to_owned());
        Arc::clone(book.entry(key).or_default())
    }
}

/// The bucket that counts `path`.
pub(crate) fn bucket<'a>(quota: &'a Quota, path: &str) -> Option<&'a Bucket> {
    quota
        .buckets
        .iter()
        .find(|bucket| path_matches(&bucket.path, path))
}

/// The budgets of one origin and account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    buckets: Mutex<HashMap<String, State>>,
    returned: Notify,
}

#[derive(Debug)]
struct State {
    calls: u32,
    window: Duration,
    concurrency: u32,
    running: u32,
    /// When calls of this window were made, on the clock's monotonic time.
    made: VecDeque<Duration>,
    /// The vendor said not before this.
    not_before: Duration,
}

impl State {
    fn new(bucket: &Bucket) -> Self {
        Self {
            calls: bucket.calls,
            window: Duration::from_secs(bucket.window_seconds).min(LONGEST),
            concurrency: bucket.concurrency,
            running: 0,
            made: VecDeque::new(),
            not_before: Duration::ZERO,
        }
    }

    /// How long until a call is allowed; `None` if that depends on another call's end.
    fn wait(&mut self, now: Duration) -> Option<Duration> {
        while self
            .made
            .front()
            .is_some_and(|&made| made + self.window <= now)
        {
            self.made.pop_front();
        }
        let usable = (self.calls - self.calls / RESERVE).max(1) as usize;
        let window = if self.made.len() < usable {
            Duration::ZERO
        } else {
            // The call whose leaving makes room.
            (self.made[self.made.len() - usable] + self.window).saturating_sub(now)
        };
        let wait = window.max(self.not_before.saturating_sub(now));
        if wait.is_zero() && self.running >= self.concurrency.saturating_sub(1).max(1) {
            return None;
        }
        Some(wait)
    }
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a permit, waiting for at most `patience`.
    ///
    /// # Errors
    /// With the time after which it is worth asking again.
    pub(crate) async fn permit(
        self: &Arc<Self>,
        bucket: &Bucket,
        clock: &Clock,
        patience: Duration,
    ) -> Result<Permit, Duration> {
        let deadline = clock.elapsed() + patience;
        loop {
            // Registered before looking, so that a permit returned in between is not missed.
            let returned = self.returned.notified();
            let now = clock.elapsed();
            let wait = {
                let mut buckets = self.lock();
                let state = buckets
                    .entry(bucket.id.clone())
                    .or_insert_with(|| State::new(bucket));
                let wait = state.wait(now);
                if wait == Some(Duration::ZERO) {
                    state.running += 1;
                    state.made.push_back(now);
                    return Ok(Permit {
                        account: Arc::clone(self),
                        bucket: bucket.id.clone(),
                    });
                }
                wait
            };
            let left = deadline.saturating_sub(now);
            match wait {
                Some(wait) if wait > left => return Err(wait),
                Some(wait) => clock.sleep(wait).await,
                None if left.is_zero() => return Err(patience),
                None => {
                    // Whether a permit came back or the time is over: the next turn finds out.
                    let _ = clock.timeout(left, returned).await;
                }
            }
        }
    }

    /// Takes in what the vendor's response headers report. Values that are missing, empty or no numbers change nothing.
    pub(crate) fn observe(
        &self,
        bucket: &Bucket,
        names: &QuotaHeaders,
        headers: &HeaderMap,
        now: Duration,
    ) {
        let number = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| headers.get(name.as_str()))
                .find_map(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        };
        let positive = |names: &[String]| number(names).filter(|&value| value > 0);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let mut buckets = self.lock();
        let Some(state) = buckets.get_mut(&bucket.id) else {
            return;
        };
        if let Some(calls) = positive(&names.limit) {
            state.calls = small(calls);
        }
        if let Some(seconds) = positive(&names.window_seconds) {
            state.window = Duration::from_secs(seconds).min(LONGEST);
        }
        if let Some(concurrency) = positive(&names.concurrency_limit) {
            state.concurrency = small(concurrency);
        }
        if let Some(seconds) = positive(&names.wait_seconds) {
            let wait = Duration::from_secs(seconds).min(LONGEST);
            state.not_before = state.not_before.max(now + wait);
        }
    }
}

/// The right to have one request under way.
#[derive(Debug)]
pub(crate) struct Permit {
    account: Arc<Account>,
    bucket: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(state) = self.account.lock().get_mut(&self.bucket) {
            state.running -= 1;
        }
        self.account.returned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(calls: u32, concurrency: u32) -> Bucket {
        Bucket {
            id: "assets".into(),
            path: "/assets".into(),
            calls,
            window_seconds: 3600,
            concurrency,
        }
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_twentieth_of_the_calls_is_left_to_others_and_the_window_rolls() {
        let clock = Clock::simulated(0);
        let account = Arc::new(Account::default());
        let bucket = bucket(40, 2);
        for _ in 0..38 {
            account.permit(&bucket, &clock, PATIENCE).await.unwrap();
        }
        let refused = account.permit(&bucket, &clock, PATIENCE).await.unwrap_err();
        assert_eq!(refused, Duration::from_secs(3600));
        clock.advance(Duration::from_secs(3590));
        account.permit(&bucket, &clock, PATIENCE).await.unwrap();
        assert_eq!(
            clock.elapsed(),
            Duration::from_secs(3600),
            "it waited for the window"
        );
    }

    #[tokio::test]
    async fn one_place_stays_free_and_a_dropped_permit_lets_the_next_in() {
        let clock = Clock::simulated(0);
        let account = Arc::new(Account::default());
        let bucket = bucket(300, 3);
        let first = account.permit(&bucket, &clock, PATIENCE).await.unwrap();
        let _second = account.permit(&bucket, &clock, PATIENCE).await.unwrap();
        let third = tokio::spawn({
            let (account, bucket, clock) = (Arc::clone(&account), bucket.clone(), clock.clone());
            async move { account.permit(&bucket, &clock, PATIENCE).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        assert!(third.await.unwrap());
    }

    #[tokio::test]
    async fn windows_and_waits_without_end_are_cut_to_a_month() {
        let clock = Clock::simulated(0);
        let account = Arc::new(Account::default());
        let endless = Bucket {
            window_seconds: u64::MAX,
            ..bucket(1, 2)
        };
        let names = QuotaHeaders {
            window_seconds: vec!["x-window".into()],
            wait_seconds: vec!["x-wait".into()],
            ..QuotaHeaders::default()
        };
        drop(account.permit(&endless, &clock, PATIENCE).await.unwrap());
        let refused = account.permit(&endless, &clock, PATIENCE).await;
        assert_eq!(refused.unwrap_err(), LONGEST);
        let mut headers = HeaderMap::new();
        for name in ["x-window", "x-wait"] {
            headers.insert(name, u64::MAX.into());
        }
        account.observe(&endless, &names, &headers, Duration::from_secs(5));
        let refused = account.permit(&endless, &clock, PATIENCE).await;
        assert_eq!(refused.unwrap_err(), LONGEST + Duration::from_secs(5));
    }

    #[tokio::test]
    async fn what_the_vendor_reports_replaces_what_was_assumed() {
        let clock = Clock::simulated(0);
        let account = Arc::new(Account::default());
        let bucket = bucket(300, 2);
        let names = QuotaHeaders {
            limit: vec!["x-limit".into()],
            wait_seconds: vec!["x-wait".into()],
            ..QuotaHeaders::default()
        };
        drop(account.permit(&bucket, &clock, PATIENCE).await.unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("x-limit", "".parse().unwrap());
        headers.insert("x-wait", "725".parse().unwrap());
        account.observe(&bucket, &names, &headers, clock.elapsed());
        let refused = account.permit(&bucket, &clock, PATIENCE).await.unwrap_err();
        assert_eq!(refused, Duration::from_secs(725));
    }
}
