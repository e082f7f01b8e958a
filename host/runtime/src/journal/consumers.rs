//! What the journal knows of those who take its blocks: how far each has come, and whether it is waited for.
//!
//! A consumer's own files say what it holds; the note here says which blocks nobody needs any more. It is written after the
//! consumer has made its part durable, so it is never ahead of it.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};

/// What happens when the journal has no room left because a consumer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBehind {
    /// Collection waits for it.
    Wait,
    /// It loses what it has not taken; the range is noted.
    Skip,
}

impl WhenBehind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wait, Self::Skip];

    /// The word in configuration, tables and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Skip => "skip",
        }
    }
}

/// Where a consumer that has never taken anything begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest block that the journal has.
    Oldest,
    /// Behind the newest one.
    Now,
}

/// One consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRow {
    /// Unique.
    pub name: String,
    /// The names of the tenants whose blocks it takes; none: of all.
    pub tenants: Option<Vec<String>>,
    /// Whether it is waited for.
    pub when_behind: WhenBehind,
    /// The offset of the last block that it holds durably; 0 before the first.
    pub acknowledged: u64,
    /// When it was registered, in milliseconds since 1970.
    pub added_ms: u64,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ConsumerRow> {
    let tenants: Option<String> = row.get(1)?;
    let when_behind: String = row.get(2)?;
    Ok(ConsumerRow {
        name: row.get(0)?,
        // Written below; one name a line, since a tenant's has no control characters.
        tenants: tenants.map(|names| names.lines().map(str::to_owned).collect()),
        when_behind: WhenBehind::ALL
            .into_iter()
            .find(|word| word.as_str() == when_behind)
            .unwrap_or(WhenBehind::Wait),
        acknowledged: loaded(row.get(3)?),
        added_ms: loaded(row.get(4)?),
    })
}

const COLUMNS: &str = "name, tenants, when_behind, acknowledged, added";

impl Journal {
    /// Makes a consumer known, and answers what is known of it: one that is there keeps its place and gets the given tenants
    /// and `when_behind`; a new one begins at `start`.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn register_consumer(
        &self,
        name: &str,
        tenants: Option<&[String]>,
        when_behind: WhenBehind,
        start: Start,
        now_ms: u64,
    ) -> Result<ConsumerRow, JournalError> {
        let name = name.to_owned();
        let tenants = tenants.map(|names| names.join("\n"));
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO consumers (name, tenants, when_behind, acknowledged, added)
                 VALUES (?1, ?2, ?3, CASE WHEN ?4 THEN coalesce(
                     (SELECT seq FROM sqlite_sequence WHERE name = 'blocks'), 0) ELSE 0 END, ?5)
                 ON CONFLICT DO UPDATE SET tenants = excluded.tenants, when_behind = excluded.when_behind",
                params![name, tenants, when_behind.as_str(), start == Start::Now, stored(now_ms)],
            )?;
            Ok(connection.query_row(
                &format!("SELECT {COLUMNS} FROM consumers WHERE name = ?1"),
                [&name],
                from_row,
            )?)
        })
        .await
    }

    /// Notes that a consumer holds everything up to a block durably. What it has lost since it took the block stays lost.
    /// Nothing happens if it is not registered (any more).
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn acknowledge(&self, consumer: &str, offset: u64) -> Result<(), JournalError> {
        let consumer = consumer.to_owned();
        self.write(move |connection| note(connection, &consumer, offset))
            .await
    }

    /// As [`Journal::acknowledge`], for callers that are not asynchronous: waits on the present thread.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn acknowledge_and_wait(&self, consumer: &str, offset: u64) -> Result<(), JournalError> {
        let consumer = consumer.to_owned();
        self.write_and_wait(move |connection| note(connection, &consumer, offset))
    }

    /// Notes where a consumer stands that has just opened what it keeps: behind what was noted, if it has lost something.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn place_consumer(&self, consumer: &str, offset: u64) -> Result<(), JournalError> {
        let consumer = consumer.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE consumers SET acknowledged = ?2 WHERE name = ?1")?
                .execute(params![consumer, stored(offset)])?;
            Ok(())
        })
        .await
    }

    /// Forgets a consumer: no block is kept for it any more. False if there was none.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn remove_consumer(&self, name: &str) -> Result<bool, JournalError> {
        let name = name.to_owned();
        self.write(move |connection| {
            Ok(connection.execute("DELETE FROM consumers WHERE name = ?1", [&name])? > 0)
        })
        .await
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn consumers(&self) -> Result<Vec<ConsumerRow>, JournalError> {
        self.read(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn consumer(&self, name: &str) -> Result<Option<ConsumerRow>, JournalError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM consumers WHERE name = ?1"))?
                .query_row([name], from_row)
                .optional()?)
        })
    }
}

fn note(connection: &Connection, consumer: &str, offset: u64) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "UPDATE consumers SET acknowledged = max(acknowledged, ?2) WHERE name = ?1",
        )?
        .execute(params![consumer, stored(offset)])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> Result<Vec<ConsumerRow>, JournalError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM consumers ORDER BY name"))?
        .query_map([], from_row)?
        .collect::<Result<_, _>>()?)
}
