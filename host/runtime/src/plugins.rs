//! Plugins: find `*.wasm` files, decide whether each may run here, and make the ones that may ready to instantiate.
//!
//! A file is read once; its digest is of exactly the bytes that are compiled. Imports are compared with
//! [`imports::OFFERED`] before anything is linked, so a plugin that wants more is refused with a sentence that names the
//! import. One bad file is reported and skipped, never fatal.

pub mod imports;

use crate::manifest::{Manifest, ManifestError};
use crate::sandbox::{Engine, Prepared};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// A line of `plugins list`: one file and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The file.
    pub path: PathBuf,
    /// Its connector type, if it got as far as `describe`.
    pub id: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Why it was skipped; `None` if it can be used.
    pub refused: Option<String>,
}

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
    },
    /// `describe` returned something unusable.
    #[error("{}: {source}. The file was skipped.", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// Another file has the same id.
    #[error("{}: has the id `{id}` of {}. The file was skipped.", path.display(), other.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// The file that stays.
        other: PathBuf,
    },
}

impl Plugin {
    /// Reads, checks and compiles one file, and asks it to describe itself.
    ///
    /// # Errors
    /// With the reason, in a sentence that names the file.
    pub async fn load(engine: &Engine, path: &Path) -> Result<Self, PluginError> {
        let read = |source| PluginError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            // Opening a pipe would wait for whoever writes to it, and a device has no end.
            return Err(read(std::io::Error::other("it is not a regular file")));
        }
        let size = metadata.len();
        let limit = engine.limits().component_bytes;
        if size > limit {
            return Err(PluginError::TooLarge {
                path: path.to_owned(),
                size,
                limit,
            });
        }
        let bytes = std::fs::read(path).map_err(read)?;
        Self::from_bytes(engine, path, &bytes).await
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
        let path = path.to_owned();
        let component = match engine.compile(bytes) {
            Ok(component) => component,
            Err(error) => {
                let message = shorten(&format!("{error:#}"));
                return Err(PluginError::NotAComponent { path, message });
            }
        };
        let wanted = engine.imports(&component);
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
                let message = error.to_string();
                return Err(PluginError::Describe { path, message });
            }
        };
        let limit = engine.limits().manifest_bytes;
        if text.len() > limit {
            let message = format!(
                "it returned a manifest of {} bytes, and at most {limit} are allowed",
                text.len()
            );
            return Err(PluginError::Describe { path, message });
        }
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(source) => return Err(PluginError::Manifest { path, source }),
        };
        Ok(Self {
            sha256: hex(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
            imports: wanted,
            manifest,
            prepared,
            path,
        })
    }
}

/// The plugins of a directory, and what became of every file in it.
#[derive(Debug, Default)]
pub struct Directory {
    plugins: Vec<Arc<Plugin>>,
    listings: Vec<Listing>,
}

impl Directory {
    /// Loads every `*.wasm` of `directory`, in the order of their names. A bad file is listed with its reason.
    ///
    /// # Errors
    /// Only if the directory itself cannot be read.
    pub async fn load(engine: &Engine, directory: &Path) -> Result<Self, PluginError> {
        let read = |source| PluginError::Read {
            path: directory.to_owned(),
            source,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                files.push(path);
            }
        }
        files.sort();
        let mut loaded = Self::default();
        for path in files {
            let plugin = match Plugin::load(engine, &path).await {
                Ok(plugin) => match loaded.find(&plugin.manifest.id) {
                    None => Ok(plugin),
                    Some(other) => Err(PluginError::Duplicate {
                        path: path.clone(),
                        id: plugin.manifest.id,
                        other: other.path.clone(),
                    }),
                },
                Err(error) => Err(error),
            };
            loaded.take_up(path, plugin);
        }
        Ok(loaded)
    }

    fn take_up(&mut self, path: PathBuf, plugin: Result<Plugin, PluginError>) {
        match plugin {
            Ok(plugin) => {
                self.listings.push(Listing {
                    path,
                    id: Some(plugin.manifest.id.clone()),
                    version: Some(plugin.manifest.version.clone()),
                    sha256: Some(plugin.sha256.clone()),
                    size: plugin.size,
                    refused: None,
                });
                self.plugins.push(Arc::new(plugin));
            }
            Err(error) => {
                tracing::warn!("{error}");
                let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                self.listings.push(Listing {
                    path,
                    id: None,
                    version: None,
                    sha256: None,
                    size,
                    refused: Some(error.to_string()),
                });
            }
        }
    }

    /// The plugin for connectors of type `id`.
    pub fn find(&self, id: &str) -> Option<&Arc<Plugin>> {
        self.plugins.iter().find(|plugin| plugin.manifest.id == id)
    }

    /// The plugins that can be used.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Every file with its verdict.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}
