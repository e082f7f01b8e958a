//! Events: what was done to a connector, and when. Written in the transaction of what they tell.

use super::Catalogue;
use super::error::CatalogueError;
use super::{loaded, stored};
use rusqlite::{Connection, params};
use serde::Serialize;
use utoipa::ToSchema;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Event {
    /// In milliseconds since 1970.
    pub(crate) time: u64,
    /// `created`, `edited`, `activated`, `deactivated`, `deleted`, `profile`, `filter`, `device`, `tenant`, `key`,
    /// `status`, `user`, `token`, `alert`, `recollect`.
    pub(crate) kind: String,
    /// One sentence; never a value.
    pub(crate) text: String,
}

/// Writes an event; `connector` is an id, or none for what is about no connector.
pub(super) fn note(
    database: &Connection,
    time: i64,
    connector: Option<&str>,
    kind: &str,
    text: &str,
) -> Result<(), CatalogueError> {
    database
        .prepare_cached("INSERT INTO events (time, connector, kind, text) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![time, connector, kind, text])?;
    Ok(())
}

impl Catalogue {
    /// The last `limit` events of a connector, the newest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn events(
        &self,
        connector: &str,
        limit: usize,
    ) -> Result<Vec<Event>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT time, kind, text FROM events WHERE connector = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = rows.query_map(params![connector, stored(limit as u64)], |row| {
                Ok(Event {
                    time: loaded(row.get(0)?),
                    kind: row.get(1)?,
                    text: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
