//! How large the journal is, and how much of the disk it leaves alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::Journal;
use super::error::JournalError;
use super::retention::Retention;
use super::schema::loaded;

/// The size of the file, in pages of SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of one page.
    pub page_bytes: u64,
    /// Pages that hold something.
    pub used_pages: u64,
    /// Pages that were given back and wait to be used again.
    pub free_pages: u64,
}

impl Size {
    /// What a limit on the journal's size counts: pages given back are not part of it.
    #[must_use]
    pub const fn used_bytes(&self) -> u64 {
        self.used_pages * self.page_bytes
    }
}

/// Collection stops while less than this is free, so that state can still be written.
pub(super) struct Floor {
    dir: PathBuf,
    bytes: AtomicU64,
}

impl Floor {
    /// 256 MiB.
    pub(super) const DEFAULT: u64 = 256 << 20;

    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            bytes: AtomicU64::new(Self::DEFAULT),
        }
    }

    /// Refuses a write of `bytes` that would leave less than the floor.
    pub(super) fn check(&self, bytes: usize) -> Result<(), JournalError> {
        let floor = self.bytes.load(Ordering::Relaxed);
        let free = fs4::available_space(&self.dir).map_err(|source| JournalError::File {
            path: self.dir.clone(),
            source,
        })?;
        if free < floor.saturating_add(bytes as u64) {
            return Err(JournalError::DiskFull {
                what: format!(
                    "{} has {} MiB free, and {} MiB are left alone; free at least {} MiB",
                    self.dir.display(),
                    free >> 20,
                    floor >> 20,
                    (floor.saturating_add(bytes as u64) - free).div_ceil(1 << 20)
                ),
            });
        }
        Ok(())
    }
}

/// How much is kept, as it was set last.
pub(super) struct Bounds {
    age_s: AtomicU64,
    size_bytes: AtomicU64,
}

impl Default for Bounds {
    fn default() -> Self {
        let Retention { age, size_bytes } = Retention::default();
        Self {
            age_s: AtomicU64::new(age.as_secs()),
            size_bytes: AtomicU64::new(size_bytes),
        }
    }
}

impl Bounds {
    pub(super) fn set(&self, retention: Retention) {
        self.age_s.store(retention.age.as_secs(), Ordering::Relaxed);
        self.size_bytes
            .store(retention.size_bytes, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Retention {
        Retention {
            age: Duration::from_secs(self.age_s.load(Ordering::Relaxed)),
            size_bytes: self.size_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Journal {
    /// Sets how many bytes of the disk commits leave free; 256 MiB unless set. Below it every [`Journal::commit`] is refused
    /// with [`JournalError::DiskFull`], while resets and the ends of runs are still written.
    pub fn set_disk_floor(&self, bytes: u64) {
        self.inner.floor.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Why the disk has no room for another batch, in a sentence that says how much must be freed; none if it has.
    ///
    /// # Errors
    /// What the file system says.
    pub fn disk_shortage(&self) -> Result<Option<String>, JournalError> {
        match self.inner.floor.check(0) {
            Ok(()) => Ok(None),
            Err(JournalError::DiskFull { what }) => Ok(Some(what)),
            Err(error) => Err(error),
        }
    }

    /// How many bytes of the disk commits leave free.
    #[must_use]
    pub fn disk_floor(&self) -> u64 {
        self.inner.floor.bytes.load(Ordering::Relaxed)
    }

    /// The size of the file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn size(&self) -> Result<Size, JournalError> {
        self.read(size)
    }
}

/// The size of the file of a connection.
pub(super) fn size(connection: &Connection) -> Result<Size, JournalError> {
    let number =
        |name: &str| connection.pragma_query_value(None, name, |row| Ok(loaded(row.get(0)?)));
    let free_pages = number("freelist_count")?;
    Ok(Size {
        page_bytes: number("page_size")?,
        used_pages: number("page_count")?.saturating_sub(free_pages),
        free_pages,
    })
}
