//! Plugins: find `*.wasm` files, decide whether each may run here, and make the ones that may ready to instantiate.
//!
//! A file is read once; its digest is of exactly the bytes that are compiled. Where the operator asks for a signature, it is
//! checked before anything is compiled. Imports are compared with [`imports::OFFERED`] before anything is linked, so a
//! plugin that wants more is refused with a sentence that names the import. One bad file is listed and skipped, never fatal;
//! one that is replaced while it runs does not disturb the run; one that asks for more than was accepted runs no connector.
//! What a file was refused for is noted ([`Refusals`]), so that finding it out delays one command and not every one.

mod directory;
mod error;
pub mod grant;
pub mod imports;
mod listing;
mod refusals;
mod trust;

pub use directory::{Changes, Directory};
pub use error::PluginError;
pub use grant::{AcceptedGrants, GrantRequest, Suspension};
pub use listing::Listing;
pub use refusals::Refusals;
pub use trust::{Pin, PublicKey, Trust, TrustError};

use crate::digest::{hex, sha256};
use crate::manifest::Manifest;
use crate::sandbox::{CompileError, Engine, FaultKind, Prepared};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A plugin that passed every check.
pub struct Plugin {
    /// Where its file lies.
    pub path: PathBuf,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What it imports, as written in the component.
    pub imports: Vec<String>,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it asks to be granted.
    pub grant: GrantRequest,
    pub(crate) prepared: Prepared,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Plugin")
            .field("path", &self.path)
            .field("id", &self.manifest.id)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// A file of the plugin directory that has been read.
struct Found {
    path: PathBuf,
    sha256: String,
    bytes: Vec<u8>,
}

impl Found {
    /// Reads a file, never more than a component may have.
    fn read(path: &Path, limit: u64) -> Result<Self, PluginError> {
        let path = path.to_owned();
        let read = |source| PluginError::Read {
            path: path.clone(),
            source,
        };
        let metadata = std::fs::metadata(&path).map_err(read)?;
        if !metadata.is_file() {
            // Opening a pipe would wait for whoever writes to it, and a device has no end.
            return Err(read(std::io::Error::other("it is not a regular file")));
        }
        let mut bytes = Vec::new();
        let mut size = metadata.len();
        if size <= limit {
            // It may grow while it is read.
            let file = std::fs::File::open(&path).map_err(read)?;
            file.take(limit + 1).read_to_end(&mut bytes).map_err(read)?;
            size = bytes.len() as u64;
        }
        if size > limit {
            return Err(PluginError::TooLarge { path, size, limit });
        }
        Ok(Self::of(path, bytes))
    }

    fn of(path: PathBuf, bytes: Vec<u8>) -> Self {
        Self {
            sha256: sha256(&bytes),
            path,
            bytes,
        }
    }
}

impl Plugin {
    /// Reads, checks and compiles one file, and asks it to describe itself.
    ///
    /// # Errors
    /// With the reason, in a sentence that names the file.
    pub async fn load(engine: &Engine, path: &Path) -> Result<Self, PluginError> {
        let found = Found::read(path, engine.limits().component_bytes)?;
        Self::examine(engine, found, &mut Listing::of_path(path)).await
    }

    /// Like [`Plugin::load`], for bytes that are in memory; `path` stands for them in messages.
    ///
    /// # Errors
    /// With the reason, in a sentence that names `path`.
    pub async fn from_bytes(
        engine: &Engine,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Self, PluginError> {
        let found = Found::of(path.to_owned(), bytes.to_vec());
        Self::examine(engine, found, &mut Listing::of_path(path)).await
    }

    /// Checks and compiles what was read. What is learned on the way goes into `listing`, however far it gets.
    async fn examine(
        engine: &Engine,
        found: Found,
        listing: &mut Listing,
    ) -> Result<Self, PluginError> {
        let Found {
            path,
            sha256,
            bytes,
        } = found;
        let size = bytes.len() as u64;
        listing.size = size;
        listing.sha256 = Some(sha256.clone());
        let compiling = engine.clone();
        let compiled = tokio::task::spawn_blocking(move || compiling.compile(&bytes)).await;
        let component = match compiled {
            Ok(Ok(component)) => component,
            Ok(Err(CompileError::Refused(message))) => {
                let message = shorten(&message);
                return Err(PluginError::NotAComponent { path, message });
            }
            Ok(Err(error)) => {
                return Err(PluginError::Compile {
                    path,
                    message: shorten(&error.to_string()),
                    limit: matches!(error, CompileError::Limit(_)),
                });
            }
            Err(error) => {
                return Err(PluginError::Compile {
                    path,
                    message: format!("the thread that compiles it ended ({error})"),
                    limit: false,
                });
            }
        };
        let wanted = engine.imports(&component);
        listing.imports.clone_from(&wanted);
        let exports = engine.exports(&component);
        let other = |name: &&String| imports::is_of_another_version(name);
        if let Some(interface) = wanted.iter().chain(&exports).find(other) {
            let interface = interface.clone();
            return Err(PluginError::Version { path, interface });
        }
        if let Some(import) = wanted.iter().find(|import| !imports::is_offered(import)) {
            let import = import.clone();
            return Err(PluginError::Import { path, import });
        }
        let prepared = match engine.prepare(&component) {
            Ok(prepared) => prepared,
            Err(error) => {
                let message = shorten(&format!("{error:#}"));
                return Err(PluginError::Export { path, message });
            }
        };
        let text = match prepared.describe().await {
            Ok(text) => text,
            Err(error) => {
                let message = error.to_string().trim_end_matches('.').to_owned();
                return Err(PluginError::Describe {
                    path,
                    message,
                    by_host: error.kind == FaultKind::Host,
                });
            }
        };
        let limit = engine.limits().manifest_bytes;
        if text.len() > limit {
            let message = format!(
                "it returned a manifest of {} bytes, and at most {limit} are allowed",
                text.len()
            );
            return Err(PluginError::Describe {
                path,
                message,
                by_host: false,
            });
        }
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(source) => {
                listing.name_as_told(&text);
                return Err(PluginError::Manifest { path, source });
            }
        };
        let grant = GrantRequest::of(&manifest, &wanted);
        listing.id = Some(manifest.id.clone());
        listing.version = Some(manifest.version.clone());
        listing.grant = Some(grant.clone());
        Ok(Self {
            path,
            sha256,
            size,
            imports: wanted,
            manifest,
            grant,
            prepared,
        })
    }

    /// The same plugin, found under another path.
    fn at(&self, path: PathBuf) -> Self {
        Self {
            path,
            sha256: self.sha256.clone(),
            size: self.size,
            imports: self.imports.clone(),
            manifest: self.manifest.clone(),
            grant: self.grant.clone(),
            prepared: self.prepared.clone(),
        }
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}
