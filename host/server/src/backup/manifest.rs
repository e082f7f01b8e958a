//! The manifest of a backup: what is in it, and how to tell whether it still is.

use super::error::BackupError;
use super::{ASSETS, CONFIGURATION, write_file};
use crate::connectors::key;
use connector_runtime::journal::{self, Examination};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The file in the backup.
pub(crate) const FILE_NAME: &str = "manifest.json";
/// The format written here.
const FORMAT: u32 = 1;
/// Longer than any manifest.
const LONGEST: u64 = 64 << 10;
/// What may be in a backup. A name from a manifest goes into a path only if it is one of these.
const FILES: [&str; 4] = [ASSETS, journal::FILE_NAME, CONFIGURATION, key::FILE_NAME];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// 1.
    format: u32,
    /// Of the program that took it.
    pub(crate) version: String,
    /// How many steps of the journal's schema it has seen.
    pub(crate) schema: usize,
    /// When it was taken, in milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) connectors: u64,
    pub(crate) runs: u64,
    pub(crate) blocks: u64,
    pub(crate) records: u64,
    pub(crate) files: Vec<Stored>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// 64 hexadecimal digits.
    pub(crate) sha256: String,
}

impl Stored {
    /// The file `name` of `folder` as it is now.
    pub(super) fn of(folder: &Path, name: &str) -> Result<Self, BackupError> {
        let path = folder.join(name);
        let mut digest = Sha256::new();
        let bytes = File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut digest))
            .map_err(BackupError::of(&path))?;
        let sha256 = digest.finalize();
        Ok(Self {
            name: name.to_owned(),
            bytes,
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

impl Manifest {
    pub(super) fn new(found: &Examination, files: Vec<Stored>, created: u64) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            schema: found.schema,
            created,
            connectors: found.connectors,
            runs: found.runs,
            blocks: found.blocks,
            records: found.records,
            files,
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        // Plain data with text keys: serialising it cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        write_file(&folder.join(FILE_NAME), text.as_bytes())
    }

    /// Reads the manifest of a backup, and refuses one that names what no backup has.
    pub(super) fn read(backup: &Path) -> Result<Self, BackupError> {
        let path = backup.join(FILE_NAME);
        let refused = |why: String| BackupError::NoBackup {
            path: path.clone(),
            why,
        };
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|error| refused(error.to_string()))?;
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(refused(format!(
                "its format is {}, and {FORMAT} is known here",
                manifest.format
            )));
        }
        let mut names: Vec<_> = manifest.names().collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != manifest.files.len() || names.iter().any(|name| !FILES.contains(name)) {
            return Err(refused("it names files that no backup has".into()));
        }
        if !manifest.has(journal::FILE_NAME) {
            return Err(refused("it has no journal".into()));
        }
        Ok(manifest)
    }

    /// The names of the files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Whether a file is in the backup.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }
}
