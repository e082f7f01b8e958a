//! Reading again: what a connector's cursors and its plugin's cache know is given up.
//!
//! A reset forgets where a walk stands, so that the next run starts from the beginning. A recollection keeps the cursor and
//! notes the moment from which on everything is to be read again, until the first batch of that walk is committed. Both
//! empty the cache, since what it remembers as seen must be emitted again, and both bump the generation, so that a batch
//! that is under way is refused.
//!
//! Never here: blocks. What was collected stays, and the same state keeps its id.

use rusqlite::{Connection, params};

use super::Journal;
use super::error::JournalError;
use super::schema::stored;

/// What is to be read again of one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recollection {
    /// The connector's id.
    pub connector: String,
    /// Which content types; empty for all that it has or will have, which needs `since_ms` to be none.
    pub content_types: Vec<String>,
    /// From when on, in milliseconds since 1970; none for everything.
    pub since_ms: Option<u64>,
}

impl Recollection {
    /// Writes it, inside a caller's own write (see [`Journal::write`]). If it is noted that a content type is to be read again
    /// from an earlier moment on, that one stays.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`]; what SQLite says.
    pub fn write(&self, connection: &Connection) -> Result<(), JournalError> {
        // The cache is not kept apart by content type, so it goes whole: what it remembers as seen must be read again.
        let known = connection.execute(
            "UPDATE connectors SET cache_bytes = 0, generation = generation + ?2 WHERE id = ?1",
            params![self.connector, i64::from(self.content_types.is_empty())],
        )?;
        if known == 0 {
            return Err(JournalError::UnknownConnector {
                id: self.connector.clone(),
            });
        }
        connection.execute("DELETE FROM cache WHERE connector = ?1", [&self.connector])?;
        if self.content_types.is_empty() {
            self.forget_cursors(connection, None)?;
        }
        for content_type in &self.content_types {
            connection.execute(
                "INSERT INTO resets (connector, content_type, generation) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET generation = generation + 1",
                [&self.connector, content_type],
            )?;
            match self.since_ms {
                None => self.forget_cursors(connection, Some(content_type))?,
                Some(since) => {
                    connection.execute(
                        "INSERT INTO recollections (connector, content_type, since) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
                        params![self.connector, content_type, stored(since)],
                    )?;
                }
            }
        }
        Ok(())
    }

    fn forget_cursors(
        &self,
        connection: &Connection,
        content_type: Option<&str>,
    ) -> Result<(), JournalError> {
        for table in ["cursors", "recollections"] {
            connection.execute(
                &format!("DELETE FROM {table} WHERE connector = ?1 AND content_type = coalesce(?2, content_type)"),
                params![self.connector, content_type],
            )?;
        }
        Ok(())
    }
}

impl Journal {
    /// Forgets the cursors of a connector, all or those of one content type, and what its plugin has cached: the next run
    /// starts from the beginning. A batch under way will be refused. Blocks stay.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`].
    pub async fn reset(
        &self,
        connector: &str,
        content_type: Option<&str>,
    ) -> Result<(), JournalError> {
        self.recollect(Recollection {
            connector: connector.to_owned(),
            content_types: content_type.map(str::to_owned).into_iter().collect(),
            since_ms: None,
        })
        .await
    }

    /// Lets the next run read again; see [`Recollection`]. A batch under way will be refused. Blocks stay.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`].
    pub async fn recollect(&self, recollection: Recollection) -> Result<(), JournalError> {
        self.write(move |connection| recollection.write(connection))
            .await
    }
}
