//! Copies of a journal, taken while it is written, and put in its place again.
//!
//! Promised: a copy is one state of the journal, complete and on disk; taking it holds up no writer. Putting one in place is
//! one rename: before it the old journal is whole, after it the new one, and the old one lies aside.
//!
//! Never here: judging a copy (see [`examine`](super::examine)), and any file but the journal.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::error::JournalError;
use super::health::{self, Ownership};
use super::space::{self, Floor};
use super::{FILE_NAME, Journal};

/// How long a reader may hold up that a journal is replaced.
const READERS_PATIENCE: Duration = Duration::from_secs(2);
/// What SQLite keeps beside the file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::File { path, source }
}

/// Writes a copy of the journal in `dir` to the file `to`, for its owner only, also while another process writes the journal.
///
/// # Errors
/// [`JournalError::Missing`]; [`JournalError::DiskFull`] if the copy would leave less than 256 MiB free;
/// [`JournalError::File`] if `to` is there already. What was begun is taken away again.
pub fn copy(dir: &Path, to: &Path) -> Result<(), JournalError> {
    let connection = health::connect(dir)?;
    let bytes = space::size(&connection)?.used_bytes();
    let folder = to.parent().unwrap_or(Path::new("."));
    Floor::new(folder).check(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(to).map_err(failed(to))?;
    let copied = write(&connection, to).and_then(|()| file.sync_all().map_err(failed(to)));
    if copied.is_err() {
        // The reason to tell is the first one.
        let _ = fs::remove_file(to);
    }
    copied
}

fn write(connection: &Connection, to: &Path) -> Result<(), JournalError> {
    let name = to.to_str().ok_or_else(|| JournalError::File {
        path: to.to_owned(),
        source: std::io::Error::other("the path is not UTF-8"),
    })?;
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// Puts the journal file `new` (closed, with nothing beside it) in the place of the one in `dir`, which is owned. The old
/// one, if there is one, lies in the folder `aside` afterwards.
///
/// # Errors
/// [`JournalError::Read`] if somebody is reading the old one; what the file system says. The old one is in its place
/// then, unless it was damaged already: it lies aside, and calling this again goes on.
pub fn replace(
    dir: &Path,
    new: &Path,
    aside: &Path,
    _ownership: &Ownership,
) -> Result<(), JournalError> {
    let old = dir.join(FILE_NAME);
    if old.exists() {
        let to = aside.join(FILE_NAME);
        match settle(&old, dir) {
            // Linked, so that at every moment there is a journal.
            Ok(()) => fs::hard_link(&old, &to)
                .or_else(|_| fs::copy(&old, &to).map(drop))
                .map_err(failed(&to))?,
            Err(error) if is_damage(&error) => move_aside(&old, aside)?,
            Err(error) => return Err(error),
        }
    }
    // What is beside a file that is not there belongs to nothing, and must not be taken for the new one's.
    for ending in BESIDE {
        let stale = dir.join(format!("{FILE_NAME}{ending}"));
        if stale.exists() {
            let to = aside.join(format!("{FILE_NAME}{ending}"));
            fs::rename(&stale, &to).map_err(failed(&stale))?;
        }
    }
    fs::rename(new, &old).map_err(failed(&old))?;
    sync(dir)
}

/// Brings everything of `old` into the one file, with nothing beside it.
fn settle(old: &Path, dir: &Path) -> Result<(), JournalError> {
    let connection = Connection::open(old)?;
    connection.busy_timeout(READERS_PATIENCE)?;
    let mode: Result<String, _> =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0));
    match mode {
        Ok(mode) if mode.eq_ignore_ascii_case("delete") => Ok(()),
        Ok(_) => Err(JournalError::Read {
            path: dir.to_owned(),
        }),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(JournalError::Read {
                path: dir.to_owned(),
            }),
            _ => Err(error.into()),
        },
    }
}

fn is_damage(error: &JournalError) -> bool {
    let JournalError::Sqlite(error) = error else {
        return false;
    };
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn move_aside(old: &Path, aside: &Path) -> Result<(), JournalError> {
    fs::rename(old, aside.join(FILE_NAME)).map_err(failed(old))
}

fn sync(dir: &Path) -> Result<(), JournalError> {
    match cfg!(unix) {
        true => File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed(dir)),
        false => Ok(()),
    }
}

impl Journal {
    /// Bytes of the disk that collection leaves free unless told otherwise; see [`Journal::set_disk_floor`].
    pub const DISK_FLOOR: u64 = Floor::DEFAULT;
}
