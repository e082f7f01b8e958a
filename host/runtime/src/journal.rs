//! The journal: what must not be lost, in one SQLite file.
//!
//! Connectors and their tenants, cursors, what plugins cache, runs, spent quota, and blocks of records. A [`Commit`] writes the records
//! of one batch, its cache and its cursor in one transaction; readers follow the blocks by their offset.
//!
//! Promised: what [`Journal::commit`] has confirmed survives a crash of the process and of the machine; what it refused, or
//! what was cut off before it answered, leaves all or nothing. A commit names the generation of the cursor that it started
//! from, and a reset in the meantime refuses it whole. A data directory has one owner at a time, and the lock dies with its
//! process; readers need no lock and see only what is committed.
//!
//! Writes go through one thread that puts waiting ones into one transaction, since the wait for the disk is what a commit
//! costs; each keeps its own savepoint, so that one that fails takes no other with it.
//!
//! Never here: what a record means, retries, or a transaction that stays open while something else is waited for.

mod block;
mod commit;
mod connectors;
mod consumers;
mod copy;
mod error;
mod files;
mod grants;
mod health;
mod quota;
mod recollection;
mod retention;
mod room;
mod runs;
mod schema;
mod space;
mod strikes;
mod writer;

#[cfg(test)]
mod tests;

pub use block::{Block, Blocks, Records, StoredBlock};
pub use commit::{Commit, Committed, Position};
pub use connectors::ConnectorRow;
pub use consumers::{ConsumerRow, Start, WhenBehind};
pub use copy::{copy, replace};
pub use error::JournalError;
pub use grants::AcceptedGrant;
pub use health::{Depth, Examination, Ownership, examine, free_bytes, owner};
pub use recollection::Recollection;
pub use retention::{Retention, SkipRow, Trimmed};
pub use room::Shortage;
pub use runs::RunRow;
pub use schema::migrations;
pub use space::Size;
pub use strikes::StrikeRow;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite_migration::M;
use tokio::sync::{Mutex, oneshot, watch};

use files::{Lock, Readers};
use space::{Bounds, Floor};
use writer::Writer;

/// The file in the data directory.
pub const FILE_NAME: &str = "journal.sqlite";

/// A handle on the journal of one data directory; clones share it. Closing the last one waits for the writes under way and
/// gives the directory free.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

/// Dropped from top to bottom: the readers before the writer, since only a writer that is the last to close the file takes
/// its log away, and with it the former state of what was overwritten; the writer before the lock.
struct Inner {
    readers: Readers,
    writer: Option<Writer>,
    /// Tells of the newest block that this handle has written.
    newest: watch::Sender<u64>,
    floor: Arc<Floor>,
    bounds: Bounds,
    /// Held by whoever frees space: two at once would only do the same twice.
    trimming: Mutex<()>,
    _lock: Option<Lock>,
}

impl Journal {
    /// Opens the journal in `dir` to write, and makes both if there are none (the directory readable by its owner only).
    ///
    /// `steps` is the whole schema, in the order in which its steps were released: [`migrations`] for a caller with no tables
    /// of its own, otherwise those and the caller's.
    /// Runs that have no end belong to a process that is gone, and are marked `interrupted`.
    ///
    /// # Errors
    /// [`JournalError::InUse`] if another process (or another handle) owns the directory, [`JournalError::SchemaNewer`] if a
    /// later version has written the file, or what the file system or SQLite says.
    pub fn open(dir: &Path, steps: Vec<M<'static>>) -> Result<Self, JournalError> {
        files::make_private(dir)?;
        let lock = Lock::take(dir)?;
        let path = dir.join(FILE_NAME);
        let connection = schema::open(&path, steps)?;
        runs::mark_interrupted(&connection)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer: Some(Writer::start(connection)?),
                readers: Readers::new(path),
                newest: watch::Sender::new(0),
                floor: Arc::new(Floor::new(dir)),
                bounds: Bounds::default(),
                trimming: Mutex::default(),
                _lock: Some(lock),
            }),
        })
    }

    /// Opens the journal in `dir` to read, also while another process writes it. `steps` as for [`Journal::open`].
    ///
    /// # Errors
    /// [`JournalError::Missing`] if there is no journal, [`JournalError::SchemaNewer`] or [`JournalError::SchemaOlder`] if
    /// another version has written it, or what SQLite says.
    pub fn open_read_only(dir: &Path, steps: &[M<'static>]) -> Result<Self, JournalError> {
        let path = dir.join(FILE_NAME);
        if !path.is_file() {
            return Err(JournalError::Missing {
                path: dir.to_owned(),
            });
        }
        let readers = Readers::new(path.clone());
        readers.with(|connection| schema::check(connection, &path, steps.len()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer: None,
                readers,
                newest: watch::Sender::new(0),
                floor: Arc::new(Floor::new(dir)),
                bounds: Bounds::default(),
                trimming: Mutex::default(),
                _lock: None,
            }),
        })
    }

    /// Runs `work` on the writer's connection, in a transaction that may hold other writes as well, and answers when it is
    /// on disk. For the caller's own tables (see [`Journal::open`]). `work` runs inside a savepoint, is rolled back if it
    /// fails, and is called once more if a neighbour's failure ended the shared transaction; it must not begin or end
    /// transactions. If the caller stops waiting, the write still happens.
    ///
    /// # Errors
    /// What `work` answers, or why the transaction did not come to its end; nothing is written then.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.write_weighing(0, work).await
    }

    async fn write_weighing<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.writer()?.send(bytes, work, move |result| {
            // Whoever asked may have stopped waiting.
            drop(reply.send(result));
        })?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    /// As [`Journal::write`], for callers that are not asynchronous: waits on the present thread.
    fn write_and_wait<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.writer()?.send(0, work, move |result| {
            drop(reply.send(result));
        })?;
        answer.recv().map_err(|_| JournalError::Closed)?
    }

    /// Runs `work` on a connection that can only read, in one short transaction: it sees one state of the journal, and must
    /// not wait for anything else.
    ///
    /// # Errors
    /// What `work` answers.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        self.inner.readers.with(work)
    }

    fn writer(&self) -> Result<&Writer, JournalError> {
        self.inner.writer.as_ref().ok_or(JournalError::ReadOnly)
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Journal")
            .field(&self.inner.readers.path())
            .finish()
    }
}
