//! How a journal is, looked at from outside: also while another process writes it, and also if it is damaged.
//!
//! Promised: nothing of it is changed. Never here: what is to be done about it.

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::FILE_NAME;
use super::error::JournalError;
use super::files::{Lock, PATIENCE};
use super::schema::{self, loaded};
use super::space::{self, Size};

/// At most so many sentences about damage.
const SENTENCES: usize = 5;

/// How much of the file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every page, as far as it can be judged without the indexes.
    Quick,
    /// Also whether indexes and tables agree.
    Whole,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// How many steps of the schema it has seen.
    pub schema: usize,
    /// Its size.
    pub size: Size,
    /// What is damaged, in SQLite's words; empty if nothing is.
    pub damage: Vec<String>,
    /// The latest moment that it has from a clock, in milliseconds since 1970.
    pub latest_ms: Option<u64>,
    /// Connectors, deleted ones included.
    pub connectors: u64,
    /// Runs.
    pub runs: u64,
    /// Blocks of records.
    pub blocks: u64,
    /// Records in all blocks.
    pub records: u64,
}

/// Looks at the journal in `dir`.
///
/// # Errors
/// [`JournalError::Missing`] if there is none; what SQLite says of a file that is no database, or that another process holds
/// for longer than ten seconds.
pub fn examine(dir: &Path, depth: Depth) -> Result<Examination, JournalError> {
    let connection = connect(dir)?;
    let count = |sql: &str| -> Result<u64, JournalError> {
        Ok(loaded(
            connection
                .query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?
                .unwrap_or(0),
        ))
    };
    let check = match depth {
        Depth::Quick => format!("PRAGMA quick_check({SENTENCES})"),
        Depth::Whole => format!("PRAGMA integrity_check({SENTENCES})"),
    };
    let mut damage: Vec<String> = connection
        .prepare(&check)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    damage.retain(|sentence| sentence != "ok");
    let orphans: Option<String> = connection
        .query_row("PRAGMA foreign_key_check", [], |row| row.get(0))
        .optional()?;
    if let Some(table) = orphans {
        damage.push(format!("rows of {table} belong to nothing"));
    }
    Ok(Examination {
        schema: schema::version(&connection)?,
        size: space::size(&connection)?,
        damage,
        latest_ms: connection.query_row(
            "SELECT max(time) FROM (SELECT max(max(started), coalesce(max(ended), 0)) AS time FROM runs
                 UNION ALL SELECT written FROM blocks WHERE offset = (SELECT max(offset) FROM blocks))",
            [],
            |row| Ok(row.get::<_, Option<i64>>(0)?.map(loaded)),
        )?,
        connectors: count("SELECT count(*) FROM connectors")?,
        runs: count("SELECT count(*) FROM runs")?,
        blocks: count("SELECT count(*) FROM blocks")?,
        records: count("SELECT sum(records) FROM blocks")?,
    })
}

/// A connection of its own that cannot write.
pub(super) fn connect(dir: &Path) -> Result<Connection, JournalError> {
    let path = dir.join(FILE_NAME);
    if !path.is_file() {
        return Err(JournalError::Missing {
            path: dir.to_owned(),
        });
    }
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Who owns a data directory now: `process 4711`, or `another process`; none if nobody does.
///
/// # Errors
/// [`JournalError::File`] if its lock cannot be opened or tried, as on a file system without locks.
pub fn owner(dir: &Path) -> Result<Option<String>, JournalError> {
    let path = dir.join("lock");
    let failed = |source| JournalError::File {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        return Ok(None);
    }
    let mut file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        // Given back when the file is closed, a few lines below.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only for the sentence: where a locked file cannot be read, it names no number.
            let _ = file.read_to_string(&mut pid);
            Ok(Some(match pid.trim().parse::<u32>() {
                Ok(pid) => format!("process {pid}"),
                Err(_) => "another process".to_owned(),
            }))
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Bytes of the disk of `dir` that are free for this user.
///
/// # Errors
/// [`JournalError::File`].
pub fn free_bytes(dir: &Path) -> Result<u64, JournalError> {
    fs4::available_space(dir).map_err(|source| JournalError::File {
        path: dir.to_owned(),
        source,
    })
}

/// The ownership of a data directory without its journal being opened; it ends when this is dropped, or the process.
pub struct Ownership {
    _lock: Lock,
}

impl Ownership {
    /// Takes it; the directory is made if it is not there.
    ///
    /// # Errors
    /// [`JournalError::InUse`], or what the file system says.
    pub fn take(dir: &Path) -> Result<Self, JournalError> {
        super::files::make_private(dir)?;
        Ok(Self {
            _lock: Lock::take(dir)?,
        })
    }
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ownership").finish_non_exhaustive()
    }
}
