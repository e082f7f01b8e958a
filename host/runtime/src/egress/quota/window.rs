//! One bucket: the calls of its window, and when the next one may be made.
//!
//! All times are milliseconds on the account's own line of time, which looks like the wall clock's but never jumps. A stored
//! bucket has wall-clock times; a wall clock that was set back in between makes nothing wait longer than it would have.

use super::Declared;
use crate::manifest::Bucket;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The part of a window's calls that is left to others: one in this many.
const RESERVE: u32 = 20;
/// Calls that are kept one by one. Beyond, those of one part in this many of the window count as made with its last.
const EXACT: usize = 256;
/// No window and no wait that a vendor reports is believed to be longer: 31 days.
const LONGEST_MS: u64 = 31 * 24 * 3_600_000;

/// What is known of a bucket; for the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketState {
    /// The bucket's id in the manifest.
    pub bucket: String,
    /// Calls that this host has made in the window that ends now.
    pub calls_in_window: u32,
    /// Calls that the vendor allows per window: as it reported, or as the manifest assumes.
    pub limit: u32,
    /// The window.
    pub window_seconds: u64,
    /// Calls left, those of others taken off; the reserve is part of it.
    pub remaining: u32,
    /// The vendor wants no call before this, milliseconds since 1970.
    pub not_before: Option<u64>,
    /// Calls at the same time that the vendor allows.
    pub concurrency: u32,
}

/// A bucket as it is stored. All times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBucket {
    /// What tells it from the others of its account.
    pub bucket: String,
    /// What was declared. A row without that counts for nothing.
    #[serde(default)]
    pub declared: Option<Declared>,
    /// When a plugin that declares it made its last call.
    #[serde(default)]
    pub used_ms: u64,
    /// When this was saved.
    pub saved_ms: u64,
    /// Calls per window, if the vendor has reported it.
    pub calls: Option<u32>,
    /// The window, if the vendor has reported it.
    pub window_ms: Option<u64>,
    /// Calls at the same time, if the vendor has reported it.
    pub concurrency: Option<u32>,
    /// No call before this.
    pub not_before_ms: u64,
    /// Calls of this host: when, and how many.
    pub made: Vec<(u64, u32)>,
    /// Calls of others: when the vendor reported them, and how many.
    pub others: Option<(u64, u32)>,
}

/// What the headers of one answer say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reported {
    pub(super) calls: Option<u32>,
    pub(super) window_ms: Option<u64>,
    /// Not of an answer that refuses: what that says about the time to wait is to be obeyed, and the next answer tells more.
    pub(super) remaining: Option<u32>,
    pub(super) concurrency: Option<u32>,
    pub(super) wait_ms: Option<u64>,
}

/// When a call is allowed; what holds it back longer is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    Now,
    /// When another one has ended.
    Busy,
    After(Duration),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    calls: Option<u32>,
    window_ms: Option<u64>,
    concurrency: Option<u32>,
    running: u32,
    made: VecDeque<(u64, u32)>,
    /// Calls that the vendor counted and this host did not make. They are taken as made when they were reported, so that
    /// they are never thought to be over too early.
    others: Option<(u64, u32)>,
    not_before: u64,
}

/// Milliseconds of a bucket's window as its plugin declares it.
pub(super) fn declared_length(bucket: &Bucket) -> u64 {
    bucket.window_seconds.saturating_mul(1000).min(LONGEST_MS)
}

impl Window {
    fn limit(&self, bucket: &Bucket) -> u32 {
        self.calls.unwrap_or(bucket.calls)
    }

    fn length(&self, bucket: &Bucket) -> u64 {
        self.window_ms.unwrap_or(declared_length(bucket))
    }

    /// How long calls are remembered: neither what was declared nor what was reported makes them forgotten early.
    fn kept(&self, bucket: &Bucket) -> u64 {
        self.length(bucket).max(declared_length(bucket))
    }

    fn places(&self, bucket: &Bucket) -> u32 {
        self.concurrency.unwrap_or(bucket.concurrency)
    }

    /// Forgets what has left the window.
    fn roll(&mut self, bucket: &Bucket, now: u64) {
        let (kept, length) = (self.kept(bucket), self.length(bucket));
        let is_over = |at: u64, length: u64| at.saturating_add(length) <= now;
        while self.made.front().is_some_and(|&(at, _)| is_over(at, kept)) {
            self.made.pop_front();
        }
        self.others = self.others.filter(|&(at, _)| !is_over(at, length));
    }

    /// Calls of this host in the last `length` milliseconds.
    fn own(&self, length: u64, now: u64) -> u32 {
        self.made
            .iter()
            .filter(|&&(at, _)| at.saturating_add(length) > now)
            .fold(0, |sum: u32, &(_, calls)| sum.saturating_add(calls))
    }

    fn used(&self, length: u64, now: u64) -> u32 {
        let others = self.others.map_or(0, |(_, calls)| calls);
        self.own(length, now).saturating_add(others)
    }

    /// Milliseconds until one more call fits `limit` calls in `length` milliseconds, besides those in `others`.
    fn full_for(&self, limit: u32, length: u64, others: Option<(u64, u32)>, now: u64) -> u64 {
        let usable = (limit - limit / RESERVE).max(1);
        let others_calls = others.map_or(0, |(_, calls)| calls);
        let used = self.own(length, now).saturating_add(others_calls);
        let mut excess = used.saturating_add(1).saturating_sub(usable);
        let mut wait = 0;
        if excess > 0 {
            let mut leaving: Vec<_> = self
                .made
                .iter()
                .copied()
                .chain(others)
                .filter(|&(at, _)| at.saturating_add(length) > now)
                .collect();
            leaving.sort_unstable();
            for (at, calls) in leaving {
                wait = wait.max(at.saturating_add(length) - now);
                excess = excess.saturating_sub(calls);
                if excess == 0 {
                    break;
                }
            }
        }
        wait
    }

    /// When the next call of a plugin that declares this bucket is allowed.
    pub(super) fn next(&mut self, bucket: &Bucket, now: u64) -> Next {
        self.roll(bucket, now);
        let (limit, length) = (self.limit(bucket), self.length(bucket));
        let wait =
            self.not_before
                .saturating_sub(now)
                .max(self.full_for(limit, length, self.others, now));
        self.allow(wait, self.places(bucket))
    }

    /// When the next call of a plugin that does not declare this bucket is allowed. What was learnt through the header
    /// names of this one holds such a plugin back no more than what was declared: it may have been made up.
    pub(super) fn next_of_neighbour(&mut self, bucket: &Bucket, now: u64) -> Next {
        self.roll(bucket, now);
        let wait = self
            .full_for(bucket.calls, declared_length(bucket), None, now)
            .min(self.full_for(self.limit(bucket), self.length(bucket), None, now));
        self.allow(wait, self.places(bucket).max(bucket.concurrency))
    }

    fn allow(&self, wait: u64, places: u32) -> Next {
        if wait > 0 {
            Next::After(Duration::from_millis(wait))
        } else if self.running >= places.saturating_sub(1).max(1) {
            Next::Busy
        } else {
            Next::Now
        }
    }

    /// A window that goes on from this one under other numbers, and with what was learnt if the same headers told it.
    pub(super) fn successor(&self, with_learnt: bool) -> Self {
        let made = self.made.clone();
        let learnt = if with_learnt {
            self.clone()
        } else {
            Self::default()
        };
        Self {
            running: 0,
            made,
            ..learnt
        }
    }

    /// Counts a call that begins.
    pub(super) fn begin(&mut self, bucket: &Bucket, now: u64) {
        self.running += 1;
        let part = (self.kept(bucket) / EXACT as u64).max(1);
        let is_full = self.made.len() >= EXACT;
        match self.made.back_mut() {
            Some((at, calls)) if *at == now || (is_full && *at / part == now / part) => {
                *at = now;
                *calls = calls.saturating_add(1);
            }
            _ => self.made.push_back((now, 1)),
        }
    }

    /// A call has ended.
    pub(super) fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Takes back a call that began at `at` and was never sent.
    pub(super) fn take_back(&mut self, at: u64) {
        if let Some(position) = self.made.iter().rposition(|&(made, _)| made == at) {
            self.made[position].1 -= 1;
            if self.made[position].1 == 0 {
                self.made.remove(position);
            }
        }
    }

    /// Takes in what the vendor reports.
    pub(super) fn observe(&mut self, bucket: &Bucket, reported: &Reported, now: u64) {
        self.calls = reported.calls.or(self.calls);
        self.window_ms = reported
            .window_ms
            .map(|ms| ms.min(LONGEST_MS))
            .or(self.window_ms);
        self.concurrency = reported.concurrency.or(self.concurrency);
        if let Some(wait) = reported.wait_ms {
            self.not_before = self.not_before.max(now + wait.min(LONGEST_MS));
        }
        if let Some(remaining) = reported.remaining {
            self.roll(bucket, now);
            let used = self.limit(bucket).saturating_sub(remaining);
            let others = used.saturating_sub(self.own(self.length(bucket), now));
            self.others = (others > 0).then_some((now, others));
        }
    }

    /// For the ledger. `wall` is the wall clock's time at `now`.
    pub(super) fn state(&mut self, bucket: &Bucket, now: u64, wall: u64) -> BucketState {
        self.roll(bucket, now);
        let length = self.length(bucket);
        let not_before = (self.not_before > now).then(|| wall + (self.not_before - now));
        BucketState {
            bucket: bucket.id.clone(),
            calls_in_window: self.own(length, now),
            limit: self.limit(bucket),
            window_seconds: length / 1000,
            remaining: self.limit(bucket).saturating_sub(self.used(length, now)),
            not_before,
            concurrency: self.places(bucket),
        }
    }

    /// For the store. `wall` is the wall clock's time at `now`.
    pub(super) fn store(&self, bucket: &str, now: u64, wall: u64) -> StoredBucket {
        // Both lines of time run alike, so a moment is as far away on one as on the other.
        let moved = |at: u64| match at >= now {
            true => wall.saturating_add(at - now),
            false => wall.saturating_sub(now - at),
        };
        StoredBucket {
            bucket: bucket.to_owned(),
            declared: None,
            used_ms: 0,
            saved_ms: wall,
            calls: self.calls,
            window_ms: self.window_ms,
            concurrency: self.concurrency,
            not_before_ms: moved(self.not_before),
            made: self
                .made
                .iter()
                .map(|&(at, calls)| (moved(at), calls))
                .collect(),
            others: self.others.map(|(at, calls)| (moved(at), calls)),
        }
    }

    /// From the store, at `now`, which is the wall clock's time.
    pub(super) fn load(stored: &StoredBucket, now: u64) -> Self {
        // Saved in the future: the wall clock was set back since. Then it counts as saved just now.
        let back = stored.saved_ms.saturating_sub(now);
        let moved = |at: u64| at.saturating_sub(back);
        let mut made: Vec<_> = stored
            .made
            .iter()
            // No call is made after it was saved.
            .map(|&(at, calls)| (moved(at).min(now), calls))
            .collect();
        made.sort_unstable();
        Self {
            calls: stored.calls.filter(|&calls| calls > 0),
            window_ms: stored.window_ms.filter(|&ms| ms > 0),
            concurrency: stored.concurrency.filter(|&calls| calls > 0),
            running: 0,
            made: made.into(),
            others: stored.others.map(|(at, calls)| (moved(at).min(now), calls)),
            not_before: moved(stored.not_before_ms).min(now + LONGEST_MS),
        }
    }
}
