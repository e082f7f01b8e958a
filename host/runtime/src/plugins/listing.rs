//! What became of a file of the plugin directory: a line of `plugins list`.

use super::GrantRequest;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The most characters of an id or version that are shown of a file which is refused.
const LONGEST_NAME: usize = 64;

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

    /// Takes id and version from a manifest that is otherwise of no use, as far as it tells them.
    pub(super) fn name_as_told(&mut self, manifest: &str) {
        #[derive(Deserialize)]
        struct Name {
            id: Option<String>,
            version: Option<String>,
        }
        let Ok(name) = serde_json::from_str::<Name>(manifest) else {
            return;
        };
        let short = |text: String| text.chars().take(LONGEST_NAME).collect();
        self.id = name.id.map(short);
        self.version = name.version.map(short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_another_version_still_tells_its_name() {
        let mut listing = Listing::of_path(Path::new("acme.wasm"));
        listing.name_as_told(
            r#"{"manifest_version": 2, "id": "acme-scanner", "version": "3.0.0", "more": [1]}"#,
        );
        assert_eq!(listing.id.as_deref(), Some("acme-scanner"));
        assert_eq!(listing.version.as_deref(), Some("3.0.0"));
        listing.name_as_told(&format!(r#"{{"id": "{}"}}"#, "a".repeat(1000)));
        assert_eq!(listing.id.map(|id| id.len()), Some(LONGEST_NAME));
        assert_eq!(listing.version, None);
    }
}
