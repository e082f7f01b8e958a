//! Dead letters: records that cannot be delivered, however often it is tried, kept for a person.
//!
//! One JSON object a line in `forwarders/<name>/dead-letters.ndjson` of the data directory: `offset` (of its block), `kind`,
//! `reason` and `record`. It is durable before the records around it count as delivered. A record that is delivered again
//! after a failure may be here twice. Each kind is logged once; what a destination says about a record may quote it, and
//! stands in the file only.

use crate::consumers::ConsumerError;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file's name.
pub(crate) const FILE: &str = "dead-letters.ndjson";

/// See the module.
pub(crate) struct DeadLetters {
    forwarder: String,
    path: PathBuf,
    file: Option<File>,
    /// How many of each kind since the process began.
    counts: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Letter<'a> {
    offset: u64,
    kind: &'a str,
    reason: &'a str,
    record: Content<'a>,
}

/// The record itself, or its bytes as text if it is no JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Record(&'a RawValue),
    Text(String),
}

impl DeadLetters {
    /// Those of a forwarder, in its folder.
    pub(crate) fn new(forwarder: &str, folder: &Path) -> Self {
        Self {
            forwarder: forwarder.to_owned(),
            path: folder.join(FILE),
            file: None,
            counts: BTreeMap::new(),
        }
    }

    /// Keeps a record of the block at `offset`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn put(
        &mut self,
        offset: u64,
        kind: &str,
        reason: &str,
        record: &[u8],
    ) -> Result<(), ConsumerError> {
        let letter = Letter {
            offset,
            kind,
            reason,
            record: match serde_json::from_slice(record) {
                Ok(record) => Content::Record(record),
                Err(_) => Content::Text(String::from_utf8_lossy(record).into_owned()),
            },
        };
        self.write(&letter).map_err(|error| self.cannot(&error))?;
        let count = self.counts.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(
                "forwarder {}: a record was refused for good ({kind}) and lies in {}; more of this kind are counted and not logged",
                self.forwarder,
                self.path.display()
            );
        }
        Ok(())
    }

    /// Makes durable what was put.
    ///
    /// # Errors
    /// If that does not succeed.
    pub(crate) fn sync(&mut self) -> Result<(), ConsumerError> {
        match self.file.take() {
            None => Ok(()),
            Some(file) => file.sync_data().map_err(|error| self.cannot(&error)),
        }
    }

    /// How many were put since the process began.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    fn write(&mut self, letter: &Letter<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        file.write_all(&line)
    }

    fn cannot(&self, error: &io::Error) -> ConsumerError {
        ConsumerError::Files(format!(
            "forwarder {}: its dead letters in {} cannot be written ({error}); look at the disk and the permissions",
            self.forwarder,
            self.path.display()
        ))
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        make_private(folder)?;
    }
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    let file = options.open(path)?;
    if let Some(folder) = path.parent().filter(|_| is_new) {
        // So that the file is there after a power failure, too.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = folder;
    }
    Ok(file)
}

/// Makes a folder and its parents, those made here for their owner alone.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
