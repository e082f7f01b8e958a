//! What can go wrong with the file of the assets.

use super::column::ColumnError;
use crate::consumers::ConsumerError;
use std::io;
use std::path::PathBuf;

/// Why assets could not be kept or shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssetError {
    /// SQLite.
    #[error(
        "the assets: {0}. Look at the disk and the permissions of assets.sqlite in the data directory; if it is moved away, it is made again of what the journal still has."
    )]
    Database(#[from] rusqlite::Error),
    /// The schema could not be made.
    #[error("{}: its tables could not be made ({source}); if the file is moved away, it is made again", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Box<rusqlite_migration::Error>,
    },
    /// A later version of this program has written the file.
    #[error("{}: a newer version of this program has written it (schema {found}, known are {known}); use that version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest known here.
        known: usize,
    },
    /// An earlier version of this program has written the file.
    #[error("{}: an older version of this program has written it; `connector-host serve` brings it up to date", path.display())]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// The file system.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file has gone while it was open.
    #[error("{}: it was deleted or replaced while it was open; the assets are made again of what the journal still has", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A column or a value that cannot be asked for.
    #[error(transparent)]
    Column(#[from] ColumnError),
}

impl AssetError {
    /// Whether the file is no database (any more), so that it must be made again.
    pub(super) fn is_damage(&self) -> bool {
        let source = match self {
            Self::Database(source) => source,
            Self::Schema { source, .. } => match source.as_ref() {
                rusqlite_migration::Error::RusqliteError { err, .. } => err,
                // An earlier draft of the tables: what is there cannot be brought up to date.
                _ => return true,
            },
            _ => return false,
        };
        match source {
            rusqlite::Error::SqliteFailure(failure, _) => matches!(
                failure.code,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
            ),
            // A table that is not as it was made.
            rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..) => true,
            _ => false,
        }
    }
}

impl From<AssetError> for ConsumerError {
    fn from(error: AssetError) -> Self {
        Self::Files(error.to_string())
    }
}
