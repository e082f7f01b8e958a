//! What a plugin may spend, and what it spent. Every number here is enforced in the room named beside it; [`TABLE`] gives
//! each its name, its unit and the bounds within which an operator may set it, and [`Spending`] keeps its use in a run.

mod spending;
mod table;

pub use spending::{Spending, Spent};
pub use table::{Limit, Row, TABLE, Unit};

use std::time::Duration;

/// Limits of one plugin instance, its calls and its requests.
///
/// Sizes are bytes. The defaults suit a large estate; a test that breaks a limit sets a small one.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of a component file (`plugins`).
    pub component_bytes: u64,
    /// CPU time that compiling a component may take, whole seconds; by the clock ten times that (`sandbox::compiler`).
    pub compile_time: Duration,
    /// Memory that compiling a component may take (`sandbox::compiler`).
    pub compile_memory_bytes: u64,
    /// What `describe` returns (`plugins`).
    pub manifest_bytes: usize,
    /// Remarks of one `configure`, and checks of one `test` (`sandbox::instance`).
    pub remarks: usize,
    /// Linear memory of an instance, all memories together (`sandbox::limiter`).
    pub memory_bytes: usize,
    /// Elements of all tables together (`sandbox::limiter`).
    pub table_elements: usize,
    /// Core instances, memories and tables of a component (`sandbox::limiter`).
    pub instances: usize,
    /// Stack of the guest; host functions have the same again (`sandbox::engine`).
    pub stack_bytes: usize,
    /// CPU time of one call into the plugin and of the host's functions that it calls, counted in ticks of 10 ms
    /// (`sandbox::engine`, `sandbox::cpu`).
    pub call_cpu: Duration,
    /// Wall-clock time of one call, not counting what is spent in egress (`sandbox::instance`).
    pub call_wall: Duration,
    /// Bytes that one host call may copy out of the guest (`sandbox::instance`).
    pub hostcall_bytes: usize,
    /// Handles that are open at the same time (`sandbox::state`).
    pub resources: usize,
    /// Request or response headers, in memory (`sandbox::state`).
    pub header_bytes: usize,
    /// Log lines of one run; further ones are counted and dropped (`sandbox::log`).
    pub run_log_lines: u32,
    /// Log lines of one call; further ones are counted and dropped (`sandbox::log`).
    pub log_lines: u32,
    /// Bytes of one log line; the rest is cut (`sandbox::log`).
    pub log_line_bytes: usize,
    /// What is kept of the guest's standard error, from its end (`sandbox::stderr`).
    pub stderr_bytes: usize,
    /// Requests of one call (`egress`).
    pub requests: u32,
    /// Requests of one connector that are under way at the same time, whatever the vendor's quota allows (`egress`).
    pub connections: u32,
    /// Calls an hour, for all plugins on one origin and account together, to paths that no bucket of the caller's manifest
    /// counts (`egress::quota`).
    pub uncovered_calls: u32,
    /// Body of a request; the bodies of all unanswered ones together hold that for each of `connections` (`egress`).
    pub request_bytes: usize,
    /// Body of one response (`egress::body`).
    pub response_bytes: u64,
    /// For the name's look-up, and again for connect and TLS handshake together (`egress::network`).
    pub connect_timeout: Duration,
    /// From the request until the response's first byte (`egress`).
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body while the guest waits for one (`egress::body`).
    pub idle_timeout: Duration,
    /// A whole response, while the guest is reading (`egress::body`).
    pub total_timeout: Duration,
    /// How long a response is kept that the guest does not read (`egress::body`).
    pub unread_timeout: Duration,
    /// Items of one `emit` (`sandbox::sink`).
    pub emit_items: usize,
    /// Body of one item (`interflow::check`).
    pub item_bytes: usize,
    /// Depth of an item's JSON (`interflow::check`).
    pub item_depth: usize,
    /// After this many items a plugin is asked to return (`runs`), at the next place where it can. Those of one more `emit`
    /// of the largest size are accepted, and no more (`sandbox::sink`).
    pub batch_items: u32,
    /// After this many bytes a plugin is asked to return (`runs`). That and one more item of the largest size are the end (`sandbox::sink`).
    pub batch_bytes: u64,
    /// After this time a plugin is asked to return (`runs`).
    pub batch_soft_deadline: Duration,
    /// Batches of one content type in one run; the next run goes on from there (`runs`).
    pub run_batches: u32,
    /// Records and notes of one content type in one run, before compression; the next run goes on from there (`runs`).
    pub run_bytes: u64,
    /// Batches in a row that bring nothing, move no cursor and still ask for more (`runs`).
    pub idle_batches: u32,
    /// A cursor (`sandbox::instance`).
    pub cursor_bytes: usize,
    /// A report (`sandbox::instance`).
    pub report_bytes: usize,
    /// One cache entry with its key (`sandbox::cache`).
    pub cache_entry_bytes: usize,
    /// Cache writes of one batch (`sandbox::cache`).
    pub cache_batch_bytes: usize,
    /// The cache of one connector (`sandbox::cache`).
    pub cache_bytes: u64,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 32 * MIB as u64,
            compile_time: Duration::from_secs(60),
            compile_memory_bytes: 512 * MIB as u64,
            manifest_bytes: 256 * KIB,
            remarks: 100,
            memory_bytes: 64 * MIB,
            table_elements: 100_000,
            instances: 64,
            stack_bytes: MIB,
            call_cpu: Duration::from_secs(60),
            call_wall: Duration::from_secs(120),
            hostcall_bytes: 64 * MIB,
            resources: 256,
            header_bytes: 64 * KIB,
            run_log_lines: 10_000,
            log_lines: 200,
            log_line_bytes: 4 * KIB,
            stderr_bytes: 8 * KIB,
            requests: 64,
            connections: 8,
            uncovered_calls: 1_000,
            request_bytes: MIB,
            response_bytes: 16 * 1024 * MIB as u64,
            connect_timeout: Duration::from_secs(20),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
            total_timeout: Duration::from_secs(2 * 3600),
            unread_timeout: Duration::from_secs(60),
            emit_items: 10_000,
            item_bytes: 16 * MIB,
            item_depth: 64,
            batch_items: 5_000,
            batch_bytes: 8 * MIB as u64,
            batch_soft_deadline: Duration::from_secs(10),
            run_batches: 1_000_000,
            run_bytes: 64 * 1024 * MIB as u64,
            idle_batches: 1_000,
            cursor_bytes: 64 * KIB,
            report_bytes: 8 * MIB,
            cache_entry_bytes: 256 * KIB,
            cache_batch_bytes: 32 * MIB,
            cache_bytes: 1024 * MIB as u64,
        }
    }
}

impl Limits {
    /// Pairs that contradict each other: the key that is too small, and a sentence that says below what.
    #[must_use]
    pub fn contradictions(&self) -> Vec<(&'static str, String)> {
        let pairs = [
            (Limit::HostcallBytes, Limit::ItemBytes),
            (Limit::CacheBatchBytes, Limit::CacheEntryBytes),
            (Limit::CacheBytes, Limit::CacheBatchBytes),
        ];
        pairs
            .into_iter()
            .map(|(larger, smaller)| (larger.row(), smaller.row()))
            .filter(|(larger, smaller)| larger.get(self) < smaller.get(self))
            .map(|(larger, smaller)| {
                let message = format!("must not be less than {}", smaller.key);
                (larger.key, message)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_each_other_and_others_are_named() {
        let mut limits = Limits::default();
        assert!(limits.contradictions().is_empty());
        limits.hostcall_bytes = MIB;
        let found = limits.contradictions();
        assert_eq!(
            found,
            [("hostcall_mib", "must not be less than item_mib".to_owned())]
        );
    }
}
