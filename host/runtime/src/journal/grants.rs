//! What was accepted for each plugin. Here it is a text; what it means is the plugins' room's business.

use rusqlite::params;

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};

/// What was accepted for one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedGrant {
    /// The plugin's id.
    pub plugin: String,
    /// SHA-256 of the file that last ran under it, 64 hex digits.
    pub sha256: String,
    /// What was accepted, in its canonical form.
    pub grant: String,
    /// When, in milliseconds since 1970.
    pub accepted_ms: u64,
}

impl Journal {
    /// What was accepted, for every plugin that ever ran, by their ids.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn accepted_grants(&self) -> Result<Vec<AcceptedGrant>, JournalError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, sha256, granted, accepted FROM grants ORDER BY plugin",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(AcceptedGrant {
                    plugin: row.get(0)?,
                    sha256: row.get(1)?,
                    grant: row.get(2)?,
                    accepted_ms: loaded(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Remembers what was accepted for a plugin, in the place of what was before.
    ///
    /// # Errors
    /// [`JournalError::ReadOnly`] if the journal was opened to read, or what SQLite says.
    pub async fn accept_grant(&self, grant: AcceptedGrant) -> Result<(), JournalError> {
        self.write(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO grants (plugin, sha256, granted, accepted) VALUES (?1, ?2, ?3, ?4)",
                params![
                    grant.plugin,
                    grant.sha256,
                    grant.grant,
                    stored(grant.accepted_ms)
                ],
            )?;
            Ok(())
        })
        .await
    }
}
