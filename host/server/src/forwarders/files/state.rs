//! The state: what the open files hold, and up to which block everything has been taken.
//!
//! One JSON file that is replaced as a whole, so that it is always the one of some commit.

use super::part::{Part, Partition, sync_folder};
use connector_runtime::interflow::Index;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const FILE: &str = "state.json";
const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// In the name of every open file, so that nobody else's is touched.
    pub(super) life: String,
    /// Where the files lie.
    pub(super) root: PathBuf,
    /// Format and compression.
    pub(super) shape: String,
    /// Every block up to this one is in a file, but for the gaps.
    taken: u64,
    /// The number of the last open file.
    pub(super) next: u64,
    pub(super) open: Vec<Entry>,
    #[serde(default)]
    pub(super) gaps: Vec<Gap>,
}

/// An open file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten, with = "partition")]
    pub(super) partition: Partition,
    pub(super) number: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
    pub(super) length: u64,
    pub(super) started: u64,
    pub(super) closing: Option<String>,
}

/// Blocks of which the records of one partition are lost, and have to be written again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Gap {
    #[serde(flatten, with = "partition")]
    partition: Partition,
    first: u64,
    last: u64,
}

impl Gap {
    pub(super) fn of(part: &Part) -> Self {
        Self {
            partition: part.partition.clone(),
            first: part.first,
            last: part.last,
        }
    }
}

impl State {
    /// The state of one that has written nothing yet, and begins behind `taken`.
    pub(super) fn beginning(taken: u64, root: &Path, shape: &str) -> Self {
        Self {
            version: VERSION,
            life: Uuid::new_v4().simple().to_string(),
            root: root.to_owned(),
            shape: shape.to_owned(),
            taken,
            ..Self::default()
        }
    }

    /// Reads it; none if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is damaged or a later version's, or what the file system says.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let state: Self =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if state.version != VERSION {
            return Err(invalid(format!("it has the version {}", state.version)));
        }
        Ok(Some(state))
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let (path, fresh) = (folder.join(FILE), folder.join("state.json.tmp"));
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        sync_folder(folder)
    }

    /// Deletes it.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn delete(folder: &Path) -> io::Result<()> {
        fs::remove_file(folder.join(FILE))?;
        sync_folder(folder)
    }

    /// What the names of its files end with.
    pub(super) fn suffix(&self) -> &str {
        self.shape.find('.').map_or("", |dot| &self.shape[dot..])
    }

    /// The last block before the first one that has to be given.
    pub(super) fn begins_behind(&self) -> u64 {
        let gaps = self.gaps.iter().map(|gap| gap.first.saturating_sub(1));
        gaps.min().unwrap_or(self.taken).min(self.taken)
    }

    /// Whether the records of a block still have to be written for a partition.
    pub(super) fn wants(&self, offset: u64, index: Index, tenant: &str, date: Date) -> bool {
        offset > self.taken
            || self.gaps.iter().any(|gap| {
                let partition = &gap.partition;
                (gap.first..=gap.last).contains(&offset)
                    && (partition.index, partition.date) == (index, date)
                    && partition.tenant == tenant
            })
    }

    /// Everything up to a block has been written.
    pub(super) fn advance(&mut self, offset: u64) {
        self.taken = self.taken.max(offset);
        self.gaps.retain(|gap| gap.last > offset);
        for gap in &mut self.gaps {
            gap.first = gap.first.max(offset + 1);
        }
    }
}

/// A partition in JSON: `index`, `tenant`, `date`.
mod partition {
    use super::Partition;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Named {
        index: String,
        tenant: String,
        date: String,
    }

    pub(super) fn serialize<S: Serializer>(
        partition: &Partition,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named = Named {
            index: partition.index.to_string(),
            tenant: partition.tenant.clone(),
            date: partition.date.to_string(),
        };
        named.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Partition, D::Error> {
        let named = Named::deserialize(deserializer)?;
        Ok(Partition {
            index: named.index.parse().map_err(D::Error::custom)?,
            tenant: named.tenant,
            date: named.date.parse().map_err(D::Error::custom)?,
        })
    }
}
