//! Why the journal did not do what it was asked.

use std::io;
use std::path::PathBuf;

/// Why the journal did not do what it was asked. After any of these, nothing of the call has been written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file or directory could not be used.
    #[error("{path}: {source}. Choose a data directory that this user may write to")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process owns the data directory.
    #[error(
        "the data directory {path} is in use by {owner}: stop it first, or choose another with --data-dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// `process 4711`, or `another process` if it has left no number.
        owner: String,
    },
    /// There is no journal to read.
    #[error(
        "there is no journal in {path} yet: collect something first, or name the right directory with --data-dir"
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// A later version has written the file.
    #[error(
        "{path} was written by a newer version (schema {found}, this one knows {known}): use that version, or another data directory"
    )]
    SchemaNewer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest that is known here.
        known: usize,
    },
    /// An earlier version has written the file, and it was opened to read only.
    #[error(
        "{path} was written by an older version (schema {found}, this one needs {known}): run any command that writes (`collect`, say) once to bring it up to date"
    )]
    SchemaOlder {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The one that is needed.
        known: usize,
    },
    /// A step of the schema failed.
    #[error("{path} could not be brought up to date, and was left as it was: {source}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// Which step, and why.
        source: Box<rusqlite_migration::Error>,
    },
    /// The cursor was reset while a batch was under way.
    #[error(
        "connector {connector}, {content_type}: the cursor was reset while this batch was collected (generation {expected}, now {found}). The batch was dropped; the next run starts from the new cursor"
    )]
    Superseded {
        /// The connector's id.
        connector: String,
        /// Of which content type.
        content_type: String,
        /// The generation that the batch started from.
        expected: u64,
        /// The present one.
        found: u64,
    },
    /// Too little space is left.
    #[error("the disk is full: {what}. Nothing is lost; free some space, and collection goes on")]
    DiskFull {
        /// How full, and where.
        what: String,
    },
    /// A connector of this name exists with another plugin.
    #[error(
        "tenant {tenant} has a connector {name} of type {kind} already: use another name for one of type {asked}"
    )]
    OtherKind {
        /// The tenant's name.
        tenant: String,
        /// The connector's name.
        name: String,
        /// The type it has.
        kind: String,
        /// The type that was asked for.
        asked: String,
    },
    /// No such connector.
    #[error("the journal has no connector {id:?}: it may have been deleted meanwhile")]
    UnknownConnector {
        /// The id.
        id: String,
    },
    /// No such run, or it has ended before.
    #[error("the journal has no run {id:?} that is under way")]
    UnknownRun {
        /// The id.
        id: String,
    },
    /// The journal was opened to read.
    #[error("the journal was opened to read only")]
    ReadOnly,
    /// The thread that writes has ended.
    #[error("the journal's writer has ended: restart, and read the log for the reason")]
    Closed,
    /// A write panicked; it was rolled back.
    #[error("a write to the journal failed in a way nobody foresaw, and was rolled back: {0}")]
    Panicked(String),
    /// A block was not what its caller said.
    #[error("the block was refused: {0}")]
    BadBlock(String),
    /// A block in the file cannot be read.
    #[error(
        "block {offset} of the journal is damaged: {what}. Check the disk, and restore the data directory from a copy"
    )]
    Damaged {
        /// Its offset.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Records could not be compressed.
    #[error("records could not be compressed: {0}")]
    Compression(io::Error),
    /// Where records were to be written did not take them.
    #[error("the output did not take the records: {0}")]
    Output(io::Error),
    /// A caller's own work refused itself (see [`Journal::write`](super::Journal::write)).
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// Somebody reads the journal that is to be replaced.
    #[error(
        "the journal in {path} is being read by another command: try again when that has ended"
    )]
    Read {
        /// The directory.
        path: PathBuf,
    },
    /// SQLite said no.
    #[error("the journal's database: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull {
                what: error.to_string(),
            },
            _ => Self::Sqlite(error),
        }
    }
}
