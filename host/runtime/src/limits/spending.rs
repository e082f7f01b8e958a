//! What a run spent of each limit: its largest use, and the sum of all.

use super::{Limit, Limits, TABLE};
use crate::clock::milliseconds;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The use of every limit by one run; its instances share it.
#[derive(Debug)]
pub struct Spending(Vec<Use>);

#[derive(Debug, Default)]
struct Use {
    peak: AtomicU64,
    total: AtomicU64,
}

/// A limit and its use, as in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// The limit's key in the configuration.
    pub limit: &'static str,
    /// `bytes`, `milliseconds` or `count`.
    pub unit: &'static str,
    /// What was allowed at once.
    pub allowed: u64,
    /// The most that was used at once; none where that cannot be seen.
    pub peak: Option<u64>,
    /// The sum of all uses; none where a sum would say nothing.
    pub total: Option<u64>,
}

impl Default for Spending {
    fn default() -> Self {
        Self(TABLE.iter().map(|_| Use::default()).collect())
    }
}

impl Spending {
    /// Notes one use, in the unit in which use is told.
    pub(crate) fn note(&self, limit: Limit, amount: u64) {
        let one = &self.0[limit as usize];
        one.peak.fetch_max(amount, Ordering::Relaxed);
        one.total.fetch_add(amount, Ordering::Relaxed);
    }

    /// Notes one use of time.
    pub(crate) fn note_time(&self, limit: Limit, time: Duration) {
        self.note(limit, milliseconds(time));
    }

    /// The most that was used at once.
    pub fn peak(&self, limit: Limit) -> u64 {
        self.0[limit as usize].peak.load(Ordering::Relaxed)
    }

    /// Every limit with its use.
    pub fn of(&self, limits: &Limits) -> Vec<Spent> {
        TABLE
            .iter()
            .zip(&self.0)
            .map(|(row, one)| {
                let (has_peak, has_total) = row.is_measured();
                Spent {
                    limit: row.key,
                    unit: row.unit.told_in(),
                    allowed: row.get(limits),
                    peak: has_peak.then(|| one.peak.load(Ordering::Relaxed)),
                    total: has_total.then(|| one.total.load(Ordering::Relaxed)),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_use_and_the_sum_are_kept_beside_what_was_allowed() {
        let spending = Spending::default();
        spending.note_time(Limit::CallCpu, Duration::from_millis(40));
        spending.note_time(Limit::CallCpu, Duration::from_millis(20));
        let spent = spending.of(&Limits::default());
        let cpu = spent
            .iter()
            .find(|spent| spent.limit == "call_cpu_seconds")
            .unwrap();
        assert_eq!(
            (cpu.allowed, cpu.peak, cpu.total),
            (60_000, Some(40), Some(60))
        );
        let stack = &spent[Limit::StackBytes as usize];
        assert_eq!((stack.peak, stack.total), (None, None));
    }
}
