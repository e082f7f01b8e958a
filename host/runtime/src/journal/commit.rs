//! Cursors, cache, and the commit that moves them on together with the records they stand for.

use rusqlite::{Connection, OptionalExtension as _, params};

use tokio::sync::watch;

use super::Journal;
use super::block::{self, Block};
use super::error::JournalError;
use super::schema::{loaded, stored};

/// Everything that one batch leaves behind. Written whole or not at all.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The connector's id.
    pub connector: String,
    /// Whose cursor moves.
    pub content_type: String,
    /// Which part of a walk in several parts; empty if it is walked in one piece.
    pub part: String,
    /// From the [`Position`] that the batch started from.
    pub expected_generation: u64,
    /// Where the next batch begins.
    pub cursor: String,
    /// When the batch was written, in milliseconds since 1970.
    pub written_ms: u64,
    /// What the plugin put into its cache. The last put of a key counts.
    pub cache_puts: Vec<(String, Vec<u8>)>,
    /// What it removed. A key that is also put is put.
    pub cache_removes: Vec<String>,
    /// The records and notes, if there are any.
    pub block: Option<Block>,
}

/// What has become of a [`Commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Where its block lies; none if it had none. Offsets only grow, and are never used again.
    pub offset: Option<u64>,
}

/// Where a walk stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// None before the first batch and after a reset.
    pub cursor: Option<String>,
    /// Grows with every reset or recollection that reaches this cursor, and with nothing else.
    pub generation: u64,
    /// From when on everything is to be read again, in milliseconds since 1970; the first commit ends that.
    pub since_ms: Option<u64>,
}

fn generation(
    connection: &Connection,
    connector: &str,
    content_type: &str,
) -> Result<u64, JournalError> {
    connection
        .prepare_cached(
            "SELECT c.generation + coalesce(r.generation, 0) FROM connectors c
             LEFT JOIN resets r ON r.connector = c.id AND r.content_type = ?2 WHERE c.id = ?1",
        )?
        .query_row([connector, content_type], |row| Ok(loaded(row.get(0)?)))
        .optional()?
        .ok_or_else(|| JournalError::UnknownConnector {
            id: connector.to_owned(),
        })
}

impl Commit {
    fn bytes(&self) -> usize {
        let puts = self.cache_puts.iter();
        let cache: usize = puts.map(|(key, value)| key.len() + value.len()).sum();
        cache + self.cursor.len() + self.block.as_ref().map_or(0, Block::stored_bytes)
    }

    fn write(&self, connection: &Connection) -> Result<Committed, JournalError> {
        let found = generation(connection, &self.connector, &self.content_type)?;
        if found != self.expected_generation {
            return Err(JournalError::Superseded {
                connector: self.connector.clone(),
                content_type: self.content_type.clone(),
                expected: self.expected_generation,
                found,
            });
        }
        self.write_cache(connection)?;
        connection
            .prepare_cached(
                "INSERT INTO cursors (connector, content_type, part, cursor, generation, updated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
                 cursor = excluded.cursor, generation = excluded.generation, updated = excluded.updated",
            )?
            .execute(params![
                self.connector,
                self.content_type,
                self.part,
                self.cursor,
                stored(found),
                stored(self.written_ms),
            ])?;
        // The walk that begins here is in the cursor from now on.
        connection
            .prepare_cached("DELETE FROM recollections WHERE connector = ?1 AND content_type = ?2")?
            .execute([&self.connector, &self.content_type])?;
        let offset = match &self.block {
            Some(block) => Some(block::insert(
                connection,
                &self.connector,
                &self.content_type,
                self.written_ms,
                block,
            )?),
            None => None,
        };
        Ok(Committed { offset })
    }

    fn write_cache(&self, connection: &Connection) -> Result<(), JournalError> {
        if self.cache_puts.is_empty() && self.cache_removes.is_empty() {
            return Ok(());
        }
        let mut remove = connection.prepare_cached(
            "DELETE FROM cache WHERE connector = ?1 AND key = ?2
             RETURNING octet_length(key) + length(value)",
        )?;
        let mut put = connection
            .prepare_cached("INSERT INTO cache (connector, key, value) VALUES (?1, ?2, ?3)")?;
        let mut freed = 0;
        let mut taken = 0;
        let mut forget = |key: &str| -> Result<(), JournalError> {
            let bytes: Option<i64> = remove
                .query_row([self.connector.as_str(), key], |row| row.get(0))
                .optional()?;
            freed += bytes.unwrap_or(0);
            Ok(())
        };
        for key in &self.cache_removes {
            forget(key)?;
        }
        for (key, value) in &self.cache_puts {
            forget(key)?;
            put.execute(params![self.connector, key, value])?;
            taken += stored((key.len() + value.len()) as u64);
        }
        connection
            .prepare_cached("UPDATE connectors SET cache_bytes = cache_bytes + ?2 WHERE id = ?1")?
            .execute(params![self.connector, taken - freed])?;
        Ok(())
    }
}

impl Journal {
    /// Writes a batch: cache, cursor and block in one transaction, confirmed when it is on disk. If the caller stops
    /// waiting, it may have happened or not; the cursor tells.
    ///
    /// # Errors
    /// [`JournalError::Superseded`] if the cursor was reset since the batch began, [`JournalError::DiskFull`] if too little
    /// space is left; then, and after any other error, nothing of the batch is written.
    pub async fn commit(&self, batch: Commit) -> Result<Committed, JournalError> {
        let floor = self.inner.floor.clone();
        let bytes = batch.bytes();
        let committed = self
            .write_weighing(bytes, move |connection| {
                floor.check(bytes)?;
                batch.write(connection)
            })
            .await?;
        if let Some(offset) = committed.offset {
            self.inner
                .newest
                .send_if_modified(|newest| std::mem::replace(newest, offset.max(*newest)) < offset);
        }
        Ok(committed)
    }

    /// Changes whenever a block is committed through this handle or a clone of it; the value is the largest offset so far,
    /// 0 before the first. A hint when to look, not a place: what others have committed is not told.
    #[must_use]
    pub fn watch_blocks(&self) -> watch::Receiver<u64> {
        self.inner.newest.subscribe()
    }

    /// Where a walk stands. `part` is empty for a content type that is walked in one piece.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`].
    pub fn cursor(
        &self,
        connector: &str,
        content_type: &str,
        part: &str,
    ) -> Result<Position, JournalError> {
        self.read(|connection| {
            let cursor = connection
                .prepare_cached(
                    "SELECT cursor FROM cursors WHERE connector = ?1 AND content_type = ?2 AND part = ?3",
                )?
                .query_row([connector, content_type, part], |row| row.get(0))
                .optional()?;
            let since_ms = connection
                .prepare_cached(
                    "SELECT since FROM recollections WHERE connector = ?1 AND content_type = ?2",
                )?
                .query_row([connector, content_type], |row| Ok(loaded(row.get(0)?)))
                .optional()?;
            Ok(Position {
                cursor,
                generation: generation(connection, connector, content_type)?,
                since_ms,
            })
        })
    }

    /// What the plugin of a connector has cached under `keys`, in their order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn cache_get(
        &self,
        connector: &str,
        keys: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, JournalError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT value FROM cache WHERE connector = ?1 AND key = ?2")?;
            keys.iter()
                .map(|key| {
                    let value = statement.query_row([connector, key], |row| row.get(0));
                    Ok(value.optional()?)
                })
                .collect()
        })
    }

    /// How many bytes the plugin of a connector has cached, keys and values together.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`].
    pub fn cache_bytes(&self, connector: &str) -> Result<u64, JournalError> {
        self.read(|database| {
            database
                .prepare_cached("SELECT cache_bytes FROM connectors WHERE id = ?1")?
                .query_row([connector], |row| Ok(loaded(row.get(0)?)))
                .optional()?
                .ok_or_else(|| JournalError::UnknownConnector {
                    id: connector.to_owned(),
                })
        })
    }
}
