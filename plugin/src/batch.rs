//! Batch: what one call is asked for, what it comes to, and what is gathered on the way.

use std::collections::HashSet;

use crate::cursor::Inside;
use crate::environment::Environment;
use crate::fault::{Fault, FaultKind};
use crate::outbox::Outbox;
use crate::report::Report;

/// Inside a host a batch goes on for this many items or bytes beyond its limits, so that most hosts stay in one piece.
const SLACK_ITEMS: u64 = 1_000;
const SLACK_BYTES: u64 = 1 << 20;
const SLACK_MS: u64 = 2_000;
/// The list of hosts in a report ends the batch at this size.
const SEEN_BYTES: usize = 1 << 20;
/// Hosts bound the requests of one call (64 is common). Half of that leaves room for what isolation asks, and for a stricter host.
const PAGES_PER_BATCH: u32 = 32;

/// What one batch is asked for.
#[derive(Debug, Clone, Default)]
pub struct BatchRequest {
    /// `hosts` or `vulnerabilities`.
    pub content_type: String,
    /// None before the very first batch.
    pub cursor: Option<String>,
    /// Items after which the batch ends at the next safe point.
    pub max_items: u32,
    /// The same in bytes.
    pub max_bytes: u64,
    /// The same in time.
    pub soft_deadline_ms: u64,
    /// How often this cursor was tried before.
    pub attempt: u32,
    /// One JSON object.
    pub options: String,
}

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where to go on.
    pub next: String,
    /// The walk is not finished.
    pub more: bool,
    /// Items emitted.
    pub emitted: u64,
    /// Everything listed is accounted for.
    pub complete: bool,
    /// JSON, for the ledger.
    pub report: String,
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) full: bool,
    /// With `full`: nothing older is wanted again.
    pub(crate) since_ms: Option<u64>,
    pub(crate) skip: HashSet<String>,
}

impl Options {
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let bad = || {
            Fault::new(
                FaultKind::Internal,
                "options-unreadable",
                "The options of the batch are no JSON object.",
                "",
            )
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| bad())?;
        let map = value.as_object().ok_or_else(bad)?;
        let skip = map
            .get("skip")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten();
        Ok(Self {
            full: map
                .get("full")
                .and_then(serde_json::Value::as_bool)
                .unwrap_or(false),
            since_ms: map.get("since_ms").and_then(serde_json::Value::as_u64),
            skip: skip
                .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))
                .collect(),
        })
    }
}

/// What is gathered during one call.
pub(crate) struct BatchState {
    pub(crate) report: Report,
    pub(crate) outbox: Outbox,
    pub(crate) options: Options,
    pub(crate) attempt: u32,
    pub(crate) max_items: u64,
    pub(crate) max_bytes: u64,
    pub(crate) deadline: u64,
    pub(crate) progress: bool,
    /// Where the call began: a fault at the same place is told at once, or its attempts would never be counted.
    pub(crate) from: Option<(u64, Option<Inside>)>,
    /// Pages opened in this call; a question of isolation counts as one.
    pub(crate) opened: u32,
    /// The first page of this call is the one that `attempt` counts for.
    pub(crate) first_page: bool,
}

impl BatchState {
    /// True where a batch ends between two hosts. `page_open`: going on costs no request.
    pub(crate) fn reached<E: Environment>(&self, environment: &E, page_open: bool) -> bool {
        (!page_open && self.opened >= PAGES_PER_BATCH)
            || self.outbox.total_items >= self.max_items
            || self.outbox.total_bytes >= self.max_bytes
            || self.report.seen_bytes >= SEEN_BYTES
            || environment.monotonic_ms() >= self.deadline
    }

    /// The same inside a host.
    pub(crate) fn far_beyond<E: Environment>(&self, environment: &E) -> bool {
        // The clock is asked between pieces of a host only, not for each detection.
        self.much_more() || environment.monotonic_ms() >= self.deadline.saturating_add(SLACK_MS)
    }

    pub(crate) fn much_more(&self) -> bool {
        self.outbox.total_items >= self.max_items.saturating_add(SLACK_ITEMS)
            || self.outbox.total_bytes >= self.max_bytes.saturating_add(SLACK_BYTES)
            || self.report.seen_bytes >= SEEN_BYTES + (SEEN_BYTES >> 1)
    }
}
