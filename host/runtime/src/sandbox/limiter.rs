//! Memory, tables and instances of one store: limits on all memories and on all tables together, and the peak for the
//! ledger.

use crate::Limits;
use crate::limits::{Limit, Spending};
use serde::Serialize;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// What an instance used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// Linear memory at its peak, in bytes.
    pub memory_peak_bytes: u64,
    /// CPU time in milliseconds, counted in ticks of 10 ms.
    pub cpu_ms: u64,
    /// The host process's own resident memory at its peak, in bytes, where the system tells (Linux).
    pub host_memory_peak_bytes: Option<u64>,
}

impl Usage {
    /// Takes in what an instance used.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
        self.cpu_ms += other.cpu_ms;
        self.host_memory_peak_bytes = self
            .host_memory_peak_bytes
            .max(other.host_memory_peak_bytes);
    }
}

/// `VmHWM` of this process.
pub(crate) fn host_memory_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[derive(Debug)]
pub(crate) struct Limiter {
    spending: Arc<Spending>,
    memory_limit: usize,
    table_limit: usize,
    count_limit: usize,
    memory: usize,
    table_elements: usize,
    pub(crate) memory_peak: usize,
    /// The last growth that was refused, in words: what a trap report needs to explain an allocation failure.
    pub(crate) refused: Option<String>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits, spending: Arc<Spending>) -> Self {
        Self {
            spending,
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            count_limit: limits.instances,
            memory: 0,
            table_elements: 0,
            memory_peak: 0,
            refused: None,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = (self.memory - current.min(self.memory)).saturating_add(desired);
        if total > self.memory_limit {
            self.refused = Some(format!(
                "memory: {total} bytes wanted, {} allowed",
                self.memory_limit
            ));
            return Ok(false);
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        self.spending.note(Limit::MemoryBytes, total as u64);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total =
            (self.table_elements - current.min(self.table_elements)).saturating_add(desired);
        if total > self.table_limit {
            self.refused = Some(format!(
                "table: {total} elements wanted, {} allowed",
                self.table_limit
            ));
            return Ok(false);
        }
        self.table_elements = total;
        self.spending.note(Limit::TableElements, total as u64);
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.count_limit
    }

    fn tables(&self) -> usize {
        self.count_limit
    }

    fn memories(&self) -> usize {
        self.count_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_and_all_tables_count_together() {
        let limits = Limits {
            memory_bytes: 100,
            table_elements: 10,
            ..Limits::default()
        };
        let spending = Arc::new(Spending::default());
        let mut limiter = Limiter::new(&limits, Arc::clone(&spending));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(limiter.table_growing(0, 6, None).unwrap());
        assert!(!limiter.table_growing(0, 5, None).unwrap());
        assert!(limiter.table_growing(0, 4, None).unwrap());
        let refused = limiter.refused.unwrap();
        assert_eq!(refused, "table: 11 elements wanted, 10 allowed");
        assert_eq!(spending.peak(Limit::MemoryBytes), 100);
        assert_eq!(spending.peak(Limit::TableElements), 10);
    }
}
