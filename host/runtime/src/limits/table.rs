//! The limits by name: one list for the host's configuration, the ledger and the README.

use super::Limits;
use crate::clock::milliseconds;
use std::time::Duration;

/// A limit. Its place here is its place in [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the rows of the table say what each bounds")]
pub enum Limit {
    ComponentBytes,
    CompileTime,
    CompileMemory,
    ManifestBytes,
    Remarks,
    MemoryBytes,
    TableElements,
    Instances,
    StackBytes,
    CallCpu,
    CallWall,
    HostcallBytes,
    Handles,
    HeaderBytes,
    RunLogLines,
    LogLines,
    LogLineBytes,
    StderrBytes,
    Requests,
    RequestBytes,
    ResponseBytes,
    Connections,
    UncoveredCalls,
    ConnectTime,
    FirstByteTime,
    IdleTime,
    ResponseTime,
    UnreadTime,
    EmitItems,
    ItemBytes,
    ItemDepth,
    BatchItems,
    BatchBytes,
    BatchTime,
    CursorBytes,
    ReportBytes,
    CacheEntryBytes,
    CacheBatchBytes,
    CacheBytes,
    IdleBatches,
    RunBatches,
    RunBytes,
}

/// In what a limit is set, and in what its use is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Set in MiB, told in bytes.
    Mebibytes,
    /// Set in KiB, told in bytes.
    Kibibytes,
    /// Set in seconds, told in milliseconds.
    Seconds,
    /// A plain number.
    Count,
}

impl Unit {
    /// How much of what is told one of what is set is.
    #[must_use]
    pub const fn scale(self) -> u64 {
        match self {
            Self::Mebibytes => 1 << 20,
            Self::Kibibytes => 1 << 10,
            Self::Seconds => 1000,
            Self::Count => 1,
        }
    }

    /// The unit in which use is told: `bytes`, `milliseconds` or `count`.
    #[must_use]
    pub const fn told_in(self) -> &'static str {
        match self {
            Self::Mebibytes | Self::Kibibytes => "bytes",
            Self::Seconds => "milliseconds",
            Self::Count => "count",
        }
    }
}

/// Where a limit lies in [`Limits`].
enum Slot<'a> {
    Bytes(&'a mut u64),
    Size(&'a mut usize),
    Time(&'a mut Duration),
    Number(&'a mut u32),
}

/// What there is to know about a limit.
pub struct Row {
    /// Which.
    pub limit: Limit,
    /// Its key in the configuration's `[limits]`.
    pub key: &'static str,
    /// What it bounds.
    pub meaning: &'static str,
    /// In what it is set.
    pub unit: Unit,
    /// The least that can be set, in that unit.
    pub least: u64,
    /// The most that can be set, in that unit.
    pub most: u64,
    /// The room that enforces it.
    pub room: &'static str,
    /// How its use is known.
    measure: Measure,
    slot: fn(&mut Limits) -> Slot<'_>,
}

/// How the use of a limit is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Its largest use, and the sum of all.
    Summed,
    /// Its largest use; a sum would say nothing.
    Peak,
    /// Not from outside: what enforces it does not tell.
    Unknown,
}

use Measure::{Peak, Summed, Unknown};
use Slot::{Bytes, Number, Size, Time};
use Unit::{Count, Kibibytes, Mebibytes, Seconds};

macro_rules! row {
    ($limit:ident, $key:literal, $meaning:literal, $unit:expr, $least:literal..=$most:literal, $room:literal, $measure:expr, $kind:ident($field:ident)) => {
        Row {
            limit: Limit::$limit,
            key: $key,
            meaning: $meaning,
            unit: $unit,
            least: $least,
            most: $most,
            room: $room,
            measure: $measure,
            slot: |limits| $kind(&mut limits.$field),
        }
    };
}

/// Every limit, in the order of [`Limit`].
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row!(ComponentBytes, "component_mib", "size of a component", Mebibytes, 1..=256, "plugins", Peak, Bytes(component_bytes)),
    row!(CompileTime, "compile_seconds", "CPU time of compiling a component in a process of its own; by the clock ten times that", Seconds, 1..=3600, "sandbox/compiler", Unknown, Time(compile_time)),
    row!(CompileMemory, "compile_memory_mib", "memory of compiling a component, in a process of its own", Mebibytes, 64..=16_384, "sandbox/compiler", Unknown, Bytes(compile_memory_bytes)),
    row!(ManifestBytes, "manifest_kib", "what `describe` returns", Kibibytes, 16..=16_384, "plugins", Unknown, Size(manifest_bytes)),
    row!(Remarks, "remarks", "remarks of one `configure`, and checks of one `test`", Count, 1..=10_000, "sandbox/instance", Peak, Size(remarks)),
    row!(MemoryBytes, "memory_mib", "linear memory of an instance, all memories together", Mebibytes, 1..=4096, "sandbox/limiter", Peak, Size(memory_bytes)),
    row!(TableElements, "table_elements", "elements of all tables together", Count, 1..=10_000_000, "sandbox/limiter", Peak, Size(table_elements)),
    row!(Instances, "core_instances", "core instances, memories and tables of a component, each", Count, 1..=1000, "sandbox/limiter", Peak, Size(instances)),
    row!(StackBytes, "stack_kib", "the guest's stack", Kibibytes, 64..=8192, "sandbox/engine", Unknown, Size(stack_bytes)),
    row!(CallCpu, "call_cpu_seconds", "CPU time of one call, with what the host does for it", Seconds, 1..=3600, "sandbox/engine", Summed, Time(call_cpu)),
    row!(CallWall, "call_seconds", "wall-clock time of one call, the vendor's time not counted", Seconds, 1..=7200, "sandbox/instance", Summed, Time(call_wall)),
    row!(HostcallBytes, "hostcall_mib", "what one call of a host function may copy out of the guest", Mebibytes, 1..=256, "sandbox/engine", Peak, Size(hostcall_bytes)),
    row!(Handles, "handles", "open handles (requests, bodies, streams), as seen at the ends of calls", Count, 16..=65_536, "sandbox/state", Peak, Size(resources)),
    row!(HeaderBytes, "headers_kib", "headers of a request or response, in memory", Kibibytes, 4..=1024, "sandbox/state", Peak, Size(header_bytes)),
    row!(RunLogLines, "log_lines_per_run", "log lines of one run; further ones are counted and dropped", Count, 0..=1_000_000, "sandbox/log", Peak, Number(run_log_lines)),
    row!(LogLines, "log_lines_per_call", "log lines of one call; further ones are counted and dropped", Count, 0..=10_000, "sandbox/log", Summed, Number(log_lines)),
    row!(LogLineBytes, "log_line_kib", "one log line; the rest is cut", Kibibytes, 1..=64, "sandbox/log", Peak, Size(log_line_bytes)),
    row!(StderrBytes, "stderr_kib", "what is kept of the guest's standard error, from its end", Kibibytes, 1..=1024, "sandbox/stderr", Summed, Size(stderr_bytes)),
    row!(Requests, "requests_per_call", "requests of one call", Count, 48..=1000, "egress", Summed, Number(requests)),
    row!(RequestBytes, "request_kib", "body of a request; those of all unanswered ones together, that for each of `connections`", Kibibytes, 1..=16_384, "egress", Summed, Size(request_bytes)),
    row!(ResponseBytes, "response_mib", "body of a response", Mebibytes, 1..=1_048_576, "egress/body", Summed, Bytes(response_bytes)),
    row!(Connections, "connections", "requests of a connector under way at the same time, whatever the quota says", Count, 1..=64, "egress", Peak, Number(connections)),
    row!(UncoveredCalls, "uncovered_calls_per_hour", "calls an hour, of all plugins on one origin and account, to paths that no bucket of the caller's manifest counts", Count, 1..=100_000, "egress/quota", Unknown, Number(uncovered_calls)),
    row!(ConnectTime, "connect_seconds", "connect, with name look-up and TLS", Seconds, 1..=300, "egress/network", Unknown, Time(connect_timeout)),
    row!(FirstByteTime, "first_byte_seconds", "first byte of a response", Seconds, 1..=3600, "egress", Summed, Time(first_byte_timeout)),
    row!(IdleTime, "idle_seconds", "silence inside a response", Seconds, 1..=3600, "egress/body", Peak, Time(idle_timeout)),
    row!(ResponseTime, "response_seconds", "waiting for the pieces of one response, all together", Seconds, 1..=86_400, "egress/body", Summed, Time(total_timeout)),
    row!(UnreadTime, "unread_seconds", "a response that the plugin does not read, before it is dropped for others to go on", Seconds, 5..=3600, "egress/body", Peak, Time(unread_timeout)),
    row!(EmitItems, "emit_items", "items of one `emit`", Count, 1..=1_000_000, "sandbox/sink", Summed, Size(emit_items)),
    row!(ItemBytes, "item_mib", "one record's body", Mebibytes, 1..=32, "interflow", Summed, Size(item_bytes)),
    row!(ItemDepth, "item_depth", "how deep the JSON of a body may nest", Count, 2..=1024, "interflow", Peak, Size(item_depth)),
    row!(BatchItems, "batch_items", "items of a batch, before the plugin is asked to return; one more `emit` is accepted", Count, 1..=100_000, "sandbox/sink", Summed, Number(batch_items)),
    row!(BatchBytes, "batch_mib", "bytes of a batch, before the plugin is asked to return; one more item is accepted", Mebibytes, 1..=256, "sandbox/sink", Summed, Bytes(batch_bytes)),
    row!(BatchTime, "batch_seconds", "time of a batch, before the plugin is asked to return", Seconds, 1..=3600, "runs", Summed, Time(batch_soft_deadline)),
    row!(CursorBytes, "cursor_kib", "a cursor", Kibibytes, 1..=1024, "sandbox/instance", Peak, Size(cursor_bytes)),
    row!(ReportBytes, "report_mib", "a batch's report", Mebibytes, 1..=64, "sandbox/instance", Peak, Size(report_bytes)),
    row!(CacheEntryBytes, "cache_entry_kib", "one cache entry with its key", Kibibytes, 1..=16_384, "sandbox/cache", Peak, Size(cache_entry_bytes)),
    row!(CacheBatchBytes, "cache_batch_mib", "what a batch writes to the cache", Mebibytes, 1..=1024, "sandbox/cache", Summed, Size(cache_batch_bytes)),
    row!(CacheBytes, "cache_mib", "the cache of one connector", Mebibytes, 1..=102_400, "sandbox/cache", Peak, Bytes(cache_bytes)),
    row!(IdleBatches, "idle_batches", "batches in a row that bring nothing, move no cursor and still ask for more", Count, 10..=1_000_000, "runs", Peak, Number(idle_batches)),
    row!(RunBatches, "run_batches", "batches of one content type in one run; the next run goes on from there", Count, 10..=100_000_000, "runs", Peak, Number(run_batches)),
    row!(RunBytes, "run_mib", "records and notes of one content type in one run, before compression; the next run goes on from there", Mebibytes, 64..=16_777_216, "runs", Peak, Bytes(run_bytes)),
];

impl Limit {
    /// What there is to know about it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl Row {
    /// Its value in `limits`, in the unit in which use is told.
    #[must_use]
    pub fn get(&self, limits: &Limits) -> u64 {
        match (self.slot)(&mut limits.clone()) {
            Bytes(bytes) => *bytes,
            Size(size) => *size as u64,
            Time(time) => milliseconds(*time),
            Number(number) => u64::from(*number),
        }
    }

    /// Sets it, in the unit of the configuration, as far as its bounds allow.
    pub fn set(&self, limits: &mut Limits, value: u64) {
        let value = value.clamp(self.least, self.most) * self.unit.scale();
        match (self.slot)(limits) {
            Bytes(bytes) => *bytes = value,
            Size(size) => *size = usize::try_from(value).unwrap_or(usize::MAX),
            Time(time) => *time = Duration::from_millis(value),
            Number(number) => *number = u32::try_from(value).unwrap_or(u32::MAX),
        }
    }

    /// Whether its largest use is known, and whether the sum of all says something.
    pub(super) fn is_measured(&self) -> (bool, bool) {
        (self.measure != Unknown, self.measure == Summed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_stands_at_its_place_under_a_key_of_its_own() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.limit as usize, place, "{}", row.key);
            assert_eq!(TABLE.iter().filter(|other| other.key == row.key).count(), 1);
        }
    }

    #[test]
    fn every_default_lies_within_its_bounds_and_every_bound_can_be_set() {
        for row in TABLE {
            let default = row.get(&Limits::default());
            let scale = row.unit.scale();
            assert!(
                (row.least * scale..=row.most * scale).contains(&default),
                "{}: {default}",
                row.key
            );
            let mut limits = Limits::default();
            for (value, expected) in [(row.least, row.least), (row.most + 1, row.most)] {
                row.set(&mut limits, value);
                assert_eq!(row.get(&limits), expected * scale, "{}", row.key);
            }
        }
    }
}
