//! The consumers of a data directory, as they are shown.

use super::state::State;
use connector_runtime::journal::{Journal, JournalError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A consumer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ListedConsumer {
    /// `index`, `assets`, or `forwarder:` and its name in `host.toml`.
    pub(crate) name: String,
    /// The names of the tenants whose records it takes; null: of all.
    pub(crate) tenants: Option<Vec<String>>,
    /// `wait` or `skip`: what happens when the journal is full because it is behind.
    pub(crate) when_behind: String,
    /// The offset of the last block of the journal that it holds.
    pub(crate) offset: u64,
    /// How many blocks it has not taken yet.
    pub(crate) lag_blocks: u64,
    /// When the oldest of those was written, in milliseconds since 1970.
    pub(crate) behind_since: Option<u64>,
    /// Why its last attempt failed; null if it did not, or if nobody serves.
    pub(crate) failure: Option<String>,
    /// Since when every attempt has failed.
    pub(crate) failing_since: Option<u64>,
    /// When it was registered.
    pub(crate) added: u64,
}

/// What the journal knows of its consumers, and what their followers, if there are any, say.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn list(
    journal: &Journal,
    states: &[State],
) -> Result<Vec<ListedConsumer>, JournalError> {
    let rows = journal.consumers()?;
    let last = journal.last_offset()?;
    let listed = rows.into_iter().map(|row| {
        let state = states.iter().find(|state| state.name == row.name);
        let offset = state.map_or(row.acknowledged, |state| state.offset);
        Ok(ListedConsumer {
            lag_blocks: last.saturating_sub(offset),
            behind_since: journal.written_after(offset)?,
            offset,
            failure: state.and_then(|state| state.failure.clone()),
            failing_since: state.and_then(|state| state.failing_since),
            name: row.name,
            tenants: row.tenants,
            when_behind: row.when_behind.as_str().to_owned(),
            added: row.added_ms,
        })
    });
    listed.collect()
}
