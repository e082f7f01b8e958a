//! What is counted for one connector, and for all together.

use connector_runtime::runs::{Ledger, RunOutcome};
use std::collections::BTreeMap;

/// Upper bounds of the buckets of a run's duration, in seconds; the last bucket takes the rest.
pub(super) const DURATIONS: [u64; 10] = [1, 5, 15, 60, 300, 900, 3_600, 10_800, 43_200, 86_400];

/// Every way in which a run ends, so that its series are there before the first one does.
pub(super) const OUTCOMES: [RunOutcome; 5] = [
    RunOutcome::Done,
    RunOutcome::Incomplete,
    RunOutcome::Postponed,
    RunOutcome::Stopped,
    RunOutcome::Failed,
];

/// Counts since the process began. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// Runs that have ended, by outcome.
    pub(super) runs: BTreeMap<&'static str, u64>,
    /// Runs that have not.
    pub(super) under_way: u64,
    pub(super) records: u64,
    pub(super) record_bytes: u64,
    /// Requests that were sent.
    pub(super) calls: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) waited: u64,
    /// Failures and faults, by a word of ours.
    pub(super) errors: BTreeMap<String, u64>,
    /// Runs by duration; see [`DURATIONS`].
    pub(super) durations: [u64; DURATIONS.len() + 1],
    pub(super) duration: u64,
    /// The most memory that one instance of a plugin ever had, in bytes.
    pub(super) memory_peak: u64,
    pub(super) cpu: u64,
}

impl Totals {
    pub(super) fn error(&mut self, code: &str) {
        *self.errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Takes a run's ledger in.
    pub(super) fn observe(&mut self, ledger: &Ledger) {
        *self.runs.entry(ledger.outcome.as_str()).or_default() += 1;
        self.records += ledger.records;
        for content in &ledger.contents {
            self.record_bytes += content.bytes;
            if let Some(failure) = &content.failure {
                self.error(failure.kind.as_str());
            }
            for fault in &content.faults {
                self.error(fault.kind.as_str());
            }
        }
        if let Some(fault) = &ledger.start_fault {
            self.error(fault.kind.as_str());
        }
        self.calls += ledger.traffic.requests;
        self.bytes_sent += ledger.traffic.bytes_sent;
        self.bytes_received += ledger.traffic.bytes_received;
        self.waited += ledger.waited_ms;
        let duration = ledger.ended.saturating_sub(ledger.started);
        let fits = |most: &u64| duration <= most * 1_000;
        let bucket = DURATIONS.iter().position(fits);
        self.durations[bucket.unwrap_or(DURATIONS.len())] += 1;
        self.duration += duration;
        self.memory_peak = self.memory_peak.max(ledger.usage.memory_peak_bytes);
        self.cpu += ledger.usage.cpu_ms;
    }
}
