//! Parts: the files that are being written, and how they are handed over.

use super::state::Entry;
use crate::forwarders::escaped;
use connector_runtime::interflow::Index;
use jiff::civil::Date;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Which records a file holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    pub(super) index: Index,
    pub(super) tenant: String,
    pub(super) date: Date,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            index,
            tenant,
            date,
        } = self;
        write!(f, "index={index}/tenant={}/date={date}", escaped(tenant))
    }
}

/// A file that is being written.
pub(super) struct Part {
    pub(super) partition: Partition,
    /// In the name of the open file; never used again.
    pub(super) number: u64,
    /// Offsets of the first and last block with a record in it.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
    pub(super) length: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(super) started: u64,
    /// The name under which it is to be handed over, once that is decided.
    pub(super) closing: Option<String>,
    /// Written since the last commit. Not held longer, since there may be many parts.
    file: Option<File>,
}

impl Clone for Part {
    fn clone(&self) -> Self {
        Self {
            file: None,
            partition: self.partition.clone(),
            closing: self.closing.clone(),
            ..*self
        }
    }
}

impl From<Entry> for Part {
    fn from(entry: Entry) -> Self {
        Self {
            partition: entry.partition,
            number: entry.number,
            first: entry.first,
            last: entry.last,
            records: entry.records,
            length: entry.length,
            started: entry.started,
            closing: entry.closing,
            file: None,
        }
    }
}

impl From<Part> for Entry {
    fn from(part: Part) -> Self {
        Self {
            partition: part.partition,
            number: part.number,
            first: part.first,
            last: part.last,
            records: part.records,
            length: part.length,
            started: part.started,
            closing: part.closing,
        }
    }
}

impl Part {
    pub(super) fn new(partition: Partition, number: u64, first: u64, started: u64) -> Self {
        Self {
            partition,
            number,
            first,
            last: first,
            records: 0,
            length: 0,
            started,
            closing: None,
            file: None,
        }
    }

    /// Where it lies while it is open.
    pub(super) fn path(&self, open: &Path, life: &str) -> PathBuf {
        open.join(format!("{life}-{}.tmp", self.number))
    }

    /// Appends records of blocks up to `last`.
    pub(super) fn append(
        &mut self,
        path: &Path,
        bytes: &[u8],
        last: u64,
        records: u64,
    ) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                // One that has records already is never begun again.
                let is_new = self.length == 0;
                let file = File::options().create(is_new).append(true).open(path)?;
                check_length(&file, self.length)?;
                none.insert(file)
            }
        };
        file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        self.last = last;
        self.records += records;
        Ok(())
    }

    /// Checks that the file is there, with everything that was appended.
    pub(super) fn check(&self, path: &Path) -> io::Result<()> {
        check_length(&File::open(path)?, self.length)
    }

    /// Makes durable what was appended.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self.file.take() {
            None => Ok(()),
            Some(file) => file.sync_data(),
        }
    }

    /// Cuts off what was appended behind its length. False if it is not there, or has lost something.
    pub(super) fn restore(&self, path: &Path) -> io::Result<bool> {
        let file = match File::options().write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.length {
            return Ok(false);
        }
        file.set_len(self.length)?;
        file.sync_data()?;
        Ok(true)
    }

    /// The name under which it can be handed over: a file that has it already is another's, of an earlier life of the
    /// journal say, and is not overwritten.
    pub(super) fn free_name(&self, root: &Path, suffix: &str) -> String {
        let folder = root.join(self.partition.to_string());
        let range = format!("{:012}-{:012}", self.first, self.last);
        let mut name = format!("{range}{suffix}");
        let mut copy = 1;
        while folder.join(&name).exists() {
            copy += 1;
            name = format!("{range}-{copy}{suffix}");
        }
        name
    }
}

fn check_length(file: &File, length: u64) -> io::Result<()> {
    let found = file.metadata()?.len();
    if found < length {
        return Err(io::Error::other(format!(
            "it has {found} bytes, and {length} were written"
        )));
    }
    Ok(())
}

/// Where files lie before and after.
pub(super) struct Folder<'a> {
    pub(super) root: &'a Path,
    pub(super) open: &'a Path,
    pub(super) life: &'a str,
}

impl Folder<'_> {
    /// Gives an open file the name that was decided; one that is not there any more has it already.
    pub(super) fn hand_over(&self, part: &Part) -> io::Result<()> {
        let Some(name) = &part.closing else {
            return Ok(());
        };
        let folder = self.root.join(part.partition.to_string());
        fs::create_dir_all(&folder)?;
        match fs::rename(part.path(self.open, self.life), folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        // The file's entry, and those of the folders that may have been made for it.
        let upwards = folder.ancestors();
        for folder in upwards.take_while(|folder| folder.starts_with(self.root)) {
            sync_folder(folder)?;
        }
        sync_folder(self.open)
    }
}

/// Makes durable which files a folder has.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Deletes the open files of this life that the state does not know: they were never committed. Answers how many there are of
/// other lives.
pub(super) fn clean(open: &Path, life: &str, known: &[u64]) -> io::Result<usize> {
    let mut strangers = 0;
    for entry in fs::read_dir(open)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".tmp")) else {
            continue;
        };
        let number = stem
            .strip_prefix(life)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|number| number.parse().ok());
        match number {
            Some(number) if !known.contains(&number) => fs::remove_file(entry.path())?,
            Some(_) => {}
            None => strangers += 1,
        }
    }
    Ok(strangers)
}
