//! Why a file of the plugin directory is not used.

use super::imports;
use super::trust::TrustError;
use crate::manifest::ManifestError;
use std::path::PathBuf;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The file or directory cannot be read.
    #[error("{}: cannot be read ({source}). Check the path and its permissions.", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Over the size limit.
    #[error("{}: {size} bytes is more than the {limit} that a plugin may have. The file was skipped.", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Not a component, or one that the engine refuses.
    #[error("{}: is not a WebAssembly component that this host can run ({message}). The file was skipped.", path.display())]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What the engine said, shortened.
        message: String,
    },
    /// The host could not get it compiled, or not within its limits.
    #[error("{}: {message}. The file was skipped.", path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// What happened, and which limit it was.
        message: String,
        /// It takes more than a limit allows, and will do so again.
        limit: bool,
    },
    /// Made for another version of the contract.
    #[error("{}: has {interface}, and this host speaks version {} of the contract: build the plugin for that, or use a host of its version. The file was skipped.", path.display(), imports::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// The interface with its version, as the component imports or exports it.
        interface: String,
    },
    /// Not the file that the operator named in the configuration.
    #[error("{}: {reason}. The file was skipped.", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What is missing or different, and what to do.
        reason: TrustError,
    },
    /// Imports something that is not offered.
    #[error("{}: imports {import}, which this host does not offer (see `plugins inspect`). The file was skipped.", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// The import.
        import: String,
    },
    /// Lacks the exports of the world.
    #[error("{}: does not export {}, so it is not a connector of this contract ({message}). The file was skipped.", path.display(), imports::EXPORT)]
    Export {
        /// The file.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
    /// `describe` failed.
    #[error("{}: its `describe` failed: {message}. The file was skipped.", path.display())]
    Describe {
        /// The file.
        path: PathBuf,
        /// The trap, in words.
        message: String,
        /// It was the host that could not do its part; another time it may.
        by_host: bool,
    },
    /// `describe` returned something unusable.
    #[error("{}: {source}. The file was skipped.", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// The same bytes were refused before, in these words.
    #[error("{0}")]
    Known(String),
    /// Another file has the same id.
    #[error("{}: has the id `{id}` of {}, which stays in use. Remove one of the two, or pin the right one ([plugins.{id}] sha256). The file was skipped.", path.display(), other.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// The file that stays.
        other: PathBuf,
    },
}

impl PluginError {
    /// Whether the same bytes would be refused again, whatever else changes.
    pub(super) fn is_of_the_bytes(&self) -> bool {
        match self {
            Self::NotAComponent { .. }
            | Self::Version { .. }
            | Self::Import { .. }
            | Self::Export { .. }
            | Self::Manifest { .. }
            | Self::Known(_) => true,
            Self::Compile { limit, .. } => *limit,
            Self::Describe { by_host, .. } => !by_host,
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Untrusted { .. }
            | Self::Duplicate { .. } => false,
        }
    }
}
