//! What became of a file of the plugin directory: a line of `plugins list`.

use super::GrantRequest;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One file and what became of it. What is known is told, also of a file that is refused.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The file.
    pub path: PathBuf,
    /// Its connector type, if it got as far as `describe`.
    pub id: Option<String>,
    /// Its version, likewise.
    pub version: Option<String>,
    /// SHA-256 of the file, 64 hex digits; `None` if it was not read, because it cannot be or is too large.
    pub sha256: Option<String>,
    /// Bytes.
    pub size: u64,
    /// What it imports, if it could be compiled.
    pub imports: Vec<String>,
    /// What it asks to be granted, if it got as far as `describe`.
    pub grant: Option<GrantRequest>,
    /// Why it is skipped, in a sentence; `None` if it can be used.
    pub refused: Option<String>,
    /// Why it was taken up but runs no connector: what it asks for that was not accepted.
    pub suspended: Option<String>,
    /// SHA-256 of the plugin that this file held before and that stays in use, since the file now is refused.
    pub kept: Option<String>,
}

impl Listing {
    /// A file of which nothing is known yet.
    pub(super) fn of_path(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            id: None,
            version: None,
            sha256: None,
            size: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            imports: Vec::new(),
            grant: None,
            refused: None,
            suspended: None,
            kept: None,
        }
    }
}
