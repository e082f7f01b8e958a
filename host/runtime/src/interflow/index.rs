//! The indices that a record can be listed in. A record is stored once and carries the list.

use std::fmt;
use std::str::FromStr;

/// Where a record can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Index {
    /// Every record: `syslog`.
    Syslog,
    /// What scanners found: `scans`.
    Scans,
    /// What is known about hosts: `assets`.
    Assets,
}

/// A name that is none of the three indices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no index {0:?}: use syslog, scans or assets")]
pub struct UnknownIndex(pub String);

impl Index {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Syslog, Self::Scans, Self::Assets];

    /// The name in manifests, commands and files.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Scans => "scans",
            Self::Assets => "assets",
        }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl FromStr for Index {
    type Err = UnknownIndex;

    fn from_str(name: &str) -> Result<Self, UnknownIndex> {
        Self::ALL
            .into_iter()
            .find(|index| index.id() == name)
            .ok_or_else(|| UnknownIndex(name.to_owned()))
    }
}
