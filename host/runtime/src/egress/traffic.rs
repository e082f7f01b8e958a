//! What went over the wire in one run, for its ledger.

use crate::clock::milliseconds;
use crate::limits::Spending;
use crate::redaction::Redactor;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Counters of one run; shared by its instances. Its sentences name what a guest asked for, so they are redacted.
#[derive(Debug, Default)]
pub struct Traffic {
    counts: Mutex<TrafficCounts>,
    spending: Arc<Spending>,
    redactor: Arc<Redactor>,
}

/// A snapshot of [`Traffic`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrafficCounts {
    /// Requests sent to the vendor.
    pub requests: u64,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of response bodies.
    pub bytes_received: u64,
    /// Milliseconds that requests waited for a permit.
    pub permit_wait_ms: u64,
    /// Requests that egress answered itself because no permit came free.
    pub held_back: u64,
    /// Requests that were refused, in sentences; at most the first 20.
    pub denials: Vec<String>,
    /// How many requests were refused.
    pub denied: u64,
    /// The last failure of the network, in a sentence.
    pub last_failure: Option<String>,
}

const SENTENCES: usize = 20;
const SENTENCE_BYTES: usize = 600;

impl Traffic {
    /// Counters of one run of the connector whose secrets `redactor` knows.
    pub fn new(redactor: Arc<Redactor>) -> Self {
        Self {
            counts: Mutex::default(),
            spending: Arc::default(),
            redactor,
        }
    }

    /// What keeps the connector's secrets out of texts.
    pub(crate) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    fn with<R>(&self, change: impl FnOnce(&mut TrafficCounts) -> R) -> R {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What has been counted so far.
    pub fn counts(&self) -> TrafficCounts {
        self.with(|counts| counts.clone())
    }

    /// What the run spent of its limits.
    pub fn spending(&self) -> &Arc<Spending> {
        &self.spending
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.with(|counts| {
            counts.requests += 1;
            counts.bytes_sent += bytes;
        });
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.with(|counts| counts.bytes_received += bytes);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.with(|counts| {
            counts.permit_wait_ms += milliseconds(time);
        });
    }

    pub(crate) fn held_back(&self) {
        self.with(|counts| counts.held_back += 1);
    }

    /// Counts a refusal. What it says quotes the guest, which may repeat itself for ever: it is logged as often as it is
    /// kept.
    pub(crate) fn denied(&self, sentence: impl Into<String>) {
        let sentence = self.redactor.line(&sentence.into(), SENTENCE_BYTES);
        self.with(|counts| {
            counts.denied += 1;
            if counts.denials.len() < SENTENCES && !counts.denials.contains(&sentence) {
                tracing::warn!("egress: {sentence}");
                counts.denials.push(sentence);
            }
        });
    }

    pub(crate) fn failed(&self, sentence: impl Into<String>) {
        let sentence = self.redactor.line(&sentence.into(), SENTENCE_BYTES);
        self.with(|counts| counts.last_failure = Some(sentence));
    }
}
