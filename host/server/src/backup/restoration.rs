//! A backup becomes a data directory again.
//!
//! ```text
//! manifest ──▶ copies, digests compared ──▶ opened, brought up to date, checked ──▶ old files aside ──▶ in place
//! ```
//!
//! Promises: a backup that is damaged, incomplete or of a newer version changes nothing; what is replaced is kept aside in
//! the data directory; the journal is replaced by one rename, the last step, so that a restoration that was cut off leaves
//! the old one in place (or none where there was none) and can be run again. The data directory is owned all the while.

use super::error::BackupError;
use super::manifest::{Manifest, Stored};
use super::{ASSETS, Staging, copy_file};
use crate::connectors::{key, schema};
use connector_runtime::Clock;
use connector_runtime::journal::{self, Depth, Journal, JournalError, Ownership};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// What consumers have made of the journal that is there: it fits no other one. They make it again.
const DERIVED: [&str; 5] = [
    "index",
    ASSETS,
    "assets.sqlite-wal",
    "assets.sqlite-shm",
    crate::forwarders::FOLDER,
];

/// A backup that was restored.
#[derive(Debug, Serialize)]
pub(crate) struct Restored {
    /// The data directory.
    pub(crate) directory: PathBuf,
    /// Of the backup.
    pub(crate) manifest: Manifest,
    /// Where what was replaced lies; none if nothing was.
    pub(crate) aside: Option<PathBuf>,
    /// Whether there is a key file now.
    pub(crate) has_key: bool,
}

/// Restores the backup in the folder `backup` to the data directory `data`; with `replace`, what lies there is put aside.
///
/// # Errors
/// If the backup cannot be used, files are in the way, or somebody owns the directory.
pub(crate) fn restore(
    backup: &Path,
    data: &Path,
    replace: bool,
    clock: &Clock,
) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(backup)?;
    let known = schema::migrations().len();
    if manifest.schema > known {
        return Err(BackupError::Journal(JournalError::SchemaNewer {
            path: backup.to_owned(),
            found: manifest.schema,
            known,
        }));
    }
    let ownership = Ownership::take(data)?;
    let in_the_way = in_the_way(&manifest, data)?;
    if !replace && !in_the_way.is_empty() {
        return Err(BackupError::InTheWay {
            directory: data.to_owned(),
            files: in_the_way,
        });
    }
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let staging = Staging::new(data.join(format!(".restore-{}", &unique[..8])))?;
    for file in &manifest.files {
        let from = backup.join(&file.name);
        copy_file(&from, &staging.path().join(&file.name))?;
        if Stored::of(staging.path(), &file.name)? != *file {
            return Err(BackupError::Damaged {
                path: from,
                what: "it is not the file that was written (its SHA-256 differs)".into(),
            });
        }
    }
    check_journal(staging.path(), backup, &manifest)?;

    let aside = match in_the_way.is_empty() {
        true => None,
        false => Some(make_aside(data, clock.now_ms())?),
    };
    if let Some(aside) = &aside {
        for name in DERIVED {
            let old = data.join(name);
            if old.exists() {
                fs::rename(&old, aside.join(name)).map_err(BackupError::of(&old))?;
            }
        }
    }
    for name in manifest.names().filter(|name| *name != journal::FILE_NAME) {
        let place = data.join(name);
        if let Some(aside) = &aside
            && place.exists()
        {
            copy_file(&place, &aside.join(name))?;
        }
        fs::rename(staging.path().join(name), &place).map_err(BackupError::of(&place))?;
    }
    let new = staging.path().join(journal::FILE_NAME);
    // Without anything in the way there is no journal, and nothing is put there.
    let aside_or_none = aside.as_deref().unwrap_or(staging.path());
    journal::replace(data, &new, aside_or_none, &ownership)?;
    Ok(Restored {
        directory: data.to_owned(),
        manifest,
        aside,
        has_key: data.join(key::FILE_NAME).is_file(),
    })
}

/// Files of the data directory that would be replaced by others.
fn in_the_way(manifest: &Manifest, data: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for file in &manifest.files {
        let place = data.join(&file.name);
        // Of a journal, not all may be in its file.
        let is_journal = file.name == journal::FILE_NAME;
        if place.exists() && (is_journal || Stored::of(data, &file.name)? != *file) {
            names.push(file.name.clone());
        }
    }
    let derived = DERIVED.into_iter().filter(|name| data.join(name).exists());
    for name in derived {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The copy of the journal opens here, and is whole.
fn check_journal(staging: &Path, backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let damaged = |what: String| BackupError::Damaged {
        path: backup.join(journal::FILE_NAME),
        what,
    };
    let found =
        journal::examine(staging, Depth::Whole).map_err(|error| damaged(error.to_string()))?;
    if let Some(damage) = found.damage.first() {
        return Err(damaged(damage.clone()));
    }
    if (found.schema, found.records) != (manifest.schema, manifest.records) {
        return Err(damaged(format!(
            "it has schema {} and {} records, and the manifest says {} and {}",
            found.schema, found.records, manifest.schema, manifest.records
        )));
    }
    // Brought up to date before it is in place: what cannot be, never gets there.
    drop(Journal::open(staging, schema::migrations())?);
    Ok(())
}

fn make_aside(data: &Path, now_ms: u64) -> Result<PathBuf, BackupError> {
    let path = data.join(format!("before-restore-{now_ms}"));
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&path).map_err(BackupError::of(&path))?;
    Ok(path)
}
