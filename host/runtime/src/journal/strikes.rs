//! Strikes: connectors whose plugin faulted too often, and until when each is held back.

use rusqlite::{OptionalExtension as _, params};

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};

/// What is remembered of a connector whose last runs were given up because of its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrikeRow {
    /// The plugin that did it: SHA-256 of its file, 64 hexadecimal digits. Another file starts anew.
    pub plugin: String,
    /// Runs in a row that ended so.
    pub runs: u32,
    /// Not to be run before, in milliseconds since 1970.
    pub not_before_ms: u64,
}

impl Journal {
    /// What is remembered of a connector, if anything.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn strikes(&self, connector: &str) -> Result<Option<StrikeRow>, JournalError> {
        self.read(|database| {
            Ok(database
                .prepare_cached(
                    "SELECT plugin, runs, not_before FROM strikes WHERE connector = ?1",
                )?
                .query_row([connector], |row| {
                    Ok(StrikeRow {
                        plugin: row.get(0)?,
                        runs: row.get(1)?,
                        not_before_ms: loaded(row.get(2)?),
                    })
                })
                .optional()?)
        })
    }

    /// Remembers, or with `None` forgets.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn set_strikes(
        &self,
        connector: &str,
        row: Option<StrikeRow>,
    ) -> Result<(), JournalError> {
        let connector = connector.to_owned();
        self.write(move |database| {
            match &row {
                None => database.execute("DELETE FROM strikes WHERE connector = ?1", [&connector])?,
                Some(row) => database.execute(
                    "INSERT OR REPLACE INTO strikes (connector, plugin, runs, not_before) VALUES (?1, ?2, ?3, ?4)",
                    params![connector, row.plugin, row.runs, stored(row.not_before_ms)],
                )?,
            };
            Ok(())
        })
        .await
    }
}
