//! Why a backup was not taken or not restored.

use connector_runtime::journal::JournalError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a backup was not taken or not restored. Unless it says otherwise, nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// Something is there already.
    #[error("{path} is there already, and nothing is overwritten: name a new folder")]
    Exists {
        /// The folder that was named.
        path: PathBuf,
    },
    /// A key was asked for, and there is none in a file.
    #[error(
        "there is no key in {path} that could go into the backup: nothing was sealed yet, or the key is in the environment. Leave out --with-key, and keep the environment's key elsewhere"
    )]
    NoKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// A file or folder could not be used.
    #[error("{path}: {source}; check the path, its permissions and the space on the disk")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no backup.
    #[error("{path} is no backup of this program ({why}): name the folder that `backup` has made")]
    NoBackup {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not what it was.
    #[error("{path} is damaged: {what}. Take another backup; this one is not used")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Files would be replaced.
    #[error(
        "the data directory {directory} has {}: say with --replace that the backup's take their place (they are kept aside), or name an empty directory with --data-dir", .files.join(", ")
    )]
    InTheWay {
        /// The data directory.
        directory: PathBuf,
        /// Their names.
        files: Vec<String>,
    },
    /// A database of a consumer's could not be copied.
    #[error(
        "{path} cannot be copied: {source}; if it is damaged, move it away: it is made again from the journal"
    )]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl BackupError {
    /// What became of `path`.
    pub(super) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Stable and searchable.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Exists { .. } | Self::InTheWay { .. } => "conflict",
            _ => "backup",
        }
    }
}
