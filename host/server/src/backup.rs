//! Backups: one folder with a copy of what a data directory must not lose.
//!
//! ```text
//! <backup>/manifest.json    version, schema, counts, and the SHA-256 of every other file
//! <backup>/assets.sqlite    the assets, if there are any: they know more than the journal still has
//! <backup>/journal.sqlite   records, cursors, runs, connectors with their sealed secrets, ...
//! <backup>/host.toml        if it lies in the data directory
//! <backup>/secret.key       only if asked for: whoever has it and the journal has the secrets
//! ```
//!
//! Promises: a backup is one state of the journal, also while another process collects; it appears under its name only when
//! it is complete and on disk, and nothing that is there is overwritten; folder 0700, files 0600.
//!
//! Never here: plugins, certificates, compiled code and the search index, which come from elsewhere or can be made again.

pub(crate) mod error;
pub(crate) mod manifest;
pub(crate) mod restoration;

use crate::connectors::key;
use connector_runtime::Clock;
use connector_runtime::journal::{self, Depth};
use error::BackupError;
use manifest::{Manifest, Stored};
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long whoever writes a database may hold up that it is copied.
const PATIENCE: Duration = Duration::from_secs(10);
/// The configuration, if it lies in the data directory.
pub(crate) const CONFIGURATION: &str = "host.toml";

/// The assets.
pub(crate) const ASSETS: &str = "assets.sqlite";

/// A backup that was taken.
#[derive(Debug, Serialize)]
pub(crate) struct Taken {
    /// Its folder.
    pub(crate) backup: PathBuf,
    pub(crate) manifest: Manifest,
    /// Whether the key of the secrets is in it.
    pub(crate) with_key: bool,
}

/// Takes a backup of the data directory `data` to the new folder `target`.
///
/// # Errors
/// If `target` is there already, the journal cannot be read or is damaged, or a file cannot be written; nothing is left then.
pub(crate) fn take(
    data: &Path,
    target: &Path,
    with_key: bool,
    clock: &Clock,
) -> Result<Taken, BackupError> {
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists {
            path: target.to_owned(),
        });
    }
    if with_key && !data.join(key::FILE_NAME).is_file() {
        return Err(BackupError::NoKey {
            path: data.join(key::FILE_NAME),
        });
    }
    let staging = Staging::beside(target)?;
    let mut files = Vec::new();
    // Before the journal: assets that know of blocks which are not in the backup would never see those that come instead.
    if data.join(ASSETS).is_file() {
        copy_database(&data.join(ASSETS), &staging.path().join(ASSETS))?;
        files.push(Stored::of(staging.path(), ASSETS)?);
    }
    let copy = staging.path().join(journal::FILE_NAME);
    journal::copy(data, &copy)?;
    let found = journal::examine(staging.path(), Depth::Quick)?;
    if let Some(damage) = found.damage.first() {
        return Err(BackupError::Damaged {
            path: data.join(journal::FILE_NAME),
            what: damage.clone(),
        });
    }
    files.push(Stored::of(staging.path(), journal::FILE_NAME)?);
    for (name, wanted) in [(CONFIGURATION, true), (key::FILE_NAME, with_key)] {
        if wanted && data.join(name).is_file() {
            copy_file(&data.join(name), &staging.path().join(name))?;
            files.push(Stored::of(staging.path(), name)?);
        }
    }
    let manifest = Manifest::new(&found, files, clock.now_ms());
    manifest.write(staging.path())?;
    staging.become_folder(target)?;
    Ok(Taken {
        backup: target.to_owned(),
        manifest,
        with_key,
    })
}

/// A folder that is being filled, and taken away again unless it becomes what it was made for.
struct Staging {
    path: PathBuf,
}

impl Staging {
    /// Beside `target`, so that it can be renamed to it.
    fn beside(target: &Path) -> Result<Self, BackupError> {
        let name = target.file_name().ok_or_else(|| BackupError::File {
            path: target.to_owned(),
            source: io::Error::other("a backup needs a name of its own"),
        })?;
        let name = format!(
            ".{}.{}.part",
            name.to_string_lossy(),
            uuid::Uuid::new_v4().simple()
        );
        Self::new(target.with_file_name(name))
    }

    fn new(path: PathBuf) -> Result<Self, BackupError> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(BackupError::of(&path))?;
        Ok(Self { path })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn become_folder(self, target: &Path) -> Result<(), BackupError> {
        sync(&self.path)?;
        // Only an empty folder could be replaced by this; one with a file in it refuses.
        fs::rename(&self.path, target).map_err(BackupError::of(target))?;
        let parent = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // It has another name if all went well; otherwise the reason to tell is the first one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies a file to a new one, for its owner only, and waits until it is on disk.
fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(BackupError::of(from))?;
    let mut copy = create(to)?;
    io::copy(&mut source, &mut copy)
        .and_then(|_| copy.sync_all())
        .map_err(BackupError::of(to))
}

/// Copies an SQLite database, also while somebody writes it, to a new file for its owner only.
fn copy_database(from: &Path, to: &Path) -> Result<(), BackupError> {
    let file = create(to)?;
    let copied = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(
        |connection| {
            connection.busy_timeout(PATIENCE)?;
            connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])
        },
    );
    copied.map_err(|source| BackupError::Database {
        path: from.to_owned(),
        source,
    })?;
    file.sync_all().map_err(BackupError::of(to))
}

fn write_file(to: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = create(to)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(BackupError::of(to))
}

fn create(path: &Path) -> Result<File, BackupError> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(BackupError::of(path))
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    match cfg!(unix) {
        true => File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(BackupError::of(directory)),
        false => Ok(()),
    }
}
