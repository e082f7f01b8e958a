//! Notes of what files were refused for, so that a bad file delays one command and not every one.
//!
//! Promised: a refusal that lies in the bytes themselves (the engine does not take them, they need more than a limit allows,
//! their `describe` traps) is noted under their digest, the options of the engine and all limits. Where all of those are the
//! same, the next look says the same sentence, and starts no child, compiles nothing and runs nothing of the file. Another
//! limit or another version of the host looks anew, and so does whoever asks for it ([`Refusals::rechecked`]).
//!
//! Never here: a refusal that something else has brought about, like a missing signature, a pin, a second file with the
//! same id, or a host that could not do its part; and no word in favour of a file.

use super::{Listing, PluginError, imports};
use crate::sandbox::Engine;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

/// Longer notes do without the list of imports: reading one must cost less than looking at the file.
const LONGEST: usize = 64 * 1024;

/// The notes of one data directory.
#[derive(Clone, Debug)]
pub struct Refusals {
    folder: PathBuf,
    recheck: bool,
}

/// One note.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The sentence, without the file's path in front.
    reason: String,
    /// What [`Listing`] tells beside it.
    id: Option<String>,
    version: Option<String>,
    imports: Vec<String>,
}

impl Refusals {
    /// Notes in `folder`, one small file each. Whoever can write there can have files refused; only the host's user should.
    pub fn kept_in(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            recheck: false,
        }
    }

    /// Believes no earlier note: every file is looked at again, and noted again if it is still refused.
    #[must_use]
    pub fn rechecked(mut self) -> Self {
        self.recheck = true;
        self
    }

    /// The refusal of these bytes, if it is known; what else is known of them goes into `listing`.
    pub(super) fn known(
        &self,
        engine: &Engine,
        sha256: &str,
        listing: &mut Listing,
    ) -> Option<PluginError> {
        let file = self.file(engine, sha256);
        if self.recheck {
            // It may be good now. If nothing can be removed there, the new look counts all the same.
            let _ = std::fs::remove_file(file);
            return None;
        }
        let text = std::fs::read(file).ok()?;
        // Half a note, of a host that was ended while it wrote, is none.
        let note: Note = serde_json::from_slice(&text).ok()?;
        listing.id = note.id;
        listing.version = note.version;
        listing.imports = note.imports;
        let sentence = format!("{}: {}", listing.path.display(), note.reason);
        Some(PluginError::Known(sentence))
    }

    /// Notes why the bytes of `listing` were refused, if it is a matter of the bytes.
    pub(super) fn note(&self, engine: &Engine, listing: &Listing, error: &PluginError) {
        let Some(sha256) = listing.sha256.as_ref().filter(|_| error.is_of_the_bytes()) else {
            return;
        };
        let sentence = error.to_string();
        let own = format!("{}: ", listing.path.display());
        let mut note = Note {
            reason: sentence.strip_prefix(&own).unwrap_or(&sentence).to_owned(),
            id: listing.id.clone(),
            version: listing.version.clone(),
            imports: listing.imports.clone(),
        };
        if note.imports.iter().map(String::len).sum::<usize>() > LONGEST {
            note.imports.clear();
        }
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| Ok(serde_json::to_vec(&note)?))
            .and_then(|text| std::fs::write(self.file(engine, sha256), text));
        if let Err(error) = written {
            tracing::warn!(
                "{}: cannot be written ({error}); every command looks at refused plugins anew",
                self.folder.display()
            );
        }
    }

    fn file(&self, engine: &Engine, sha256: &str) -> PathBuf {
        let mut circumstances = DefaultHasher::new();
        engine.fingerprint().hash(&mut circumstances);
        // What this host offers, and how it judges.
        imports::VERSION.hash(&mut circumstances);
        imports::OFFERED.hash(&mut circumstances);
        env!("CARGO_PKG_VERSION").hash(&mut circumstances);
        let name = format!("{sha256}-{:016x}", circumstances.finish());
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Limits};
    use std::path::Path;
    use std::time::Duration;

    fn engine(limits: Limits) -> Engine {
        Engine::new(None, limits, Clock::system()).unwrap()
    }

    fn listing(path: &str) -> Listing {
        let mut listing = Listing::of_path(Path::new(path));
        listing.sha256 = Some("ab".repeat(32));
        listing
    }

    fn trapped(path: &str, by_host: bool) -> PluginError {
        PluginError::Describe {
            path: path.into(),
            message: "it trapped".into(),
            by_host,
        }
    }

    #[test]
    fn a_refusal_is_known_under_any_name_until_a_limit_changes_or_somebody_asks() {
        let folder = tempfile::tempdir().unwrap();
        let refusals = Refusals::kept_in(folder.path().join("refusals"));
        let engine = engine(Limits::default());
        let mut seen = listing("/a/bad.wasm");
        seen.imports = vec!["wasi:clocks/wall-clock@0.2.6".into()];
        let sha256 = "ab".repeat(32);
        assert!(refusals.known(&engine, &sha256, &mut seen).is_none());
        refusals.note(&engine, &seen, &trapped("/a/bad.wasm", false));

        let mut renamed = listing("/b/worse.wasm");
        let known = refusals.known(&engine, &sha256, &mut renamed).unwrap();
        assert_eq!(
            known.to_string(),
            "/b/worse.wasm: its `describe` failed: it trapped. The file was skipped."
        );
        assert!(known.is_of_the_bytes());
        assert_eq!(renamed.imports, seen.imports);
        let other = "cd".repeat(32);
        assert!(refusals.known(&engine, &other, &mut renamed).is_none());

        let patient = self::engine(Limits {
            call_cpu: Duration::from_secs(99),
            ..Limits::default()
        });
        assert!(refusals.known(&patient, &sha256, &mut renamed).is_none());
        let rechecked = refusals.clone().rechecked();
        assert!(rechecked.known(&engine, &sha256, &mut renamed).is_none());
        assert!(refusals.known(&engine, &sha256, &mut renamed).is_none());
    }

    #[test]
    fn what_the_host_or_its_operator_brought_about_is_not_held_against_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let refusals = Refusals::kept_in(folder.path());
        let engine = engine(Limits::default());
        let path = "/a/good.wasm";
        let duplicate = PluginError::Duplicate {
            path: path.into(),
            id: "acme-scanner".into(),
            other: "/a/other.wasm".into(),
        };
        let child = PluginError::Compile {
            path: path.into(),
            message: "the process that compiles plugins could not be started".into(),
            limit: false,
        };
        for error in [duplicate, child, trapped(path, true)] {
            refusals.note(&engine, &listing(path), &error);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
