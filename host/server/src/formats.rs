//! Formats: what a forwarded record looks like at its destination.
//!
//! ```text
//! record, as the journal holds it ──▶ interflow   the very bytes
//!                                 ├─▶ ecs         Elastic Common Schema
//!                                 └─▶ ocsf        Open Cybersecurity Schema Framework
//! ```
//!
//! Promises: the same record always makes the same document, one JSON object on one line. Every record makes one, whatever
//! its plugin left out or spelled oddly: a value that does not fit a field of the format is kept among what is not mapped.
//!
//! Never here: a vendor's field (all names come from the envelope and the common fields), a clock, or a way to drop a record.

mod ecs;
mod ocsf;
mod outline;
mod record;
mod rest;

#[cfg(test)]
mod tests;

use record::Record;
use std::fmt;

/// How a forwarder writes records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// The record as it is.
    #[default]
    Interflow,
    /// Elastic Common Schema.
    Ecs,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
}

impl Format {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Interflow, Self::Ecs, Self::Ocsf];

    /// Reads the name that a configuration uses.
    ///
    /// # Errors
    /// No format has that name.
    pub(crate) fn parse(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }

    /// The name that a configuration uses.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Interflow => "interflow",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
        }
    }

    /// Appends one record to `out`: a compact JSON object without a newline inside, and none behind it. `record` is one line
    /// of a block, with or without its newline.
    ///
    /// # Errors
    /// `record` is no JSON object; nothing was appended then.
    pub(crate) fn write(self, record: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
        match self {
            Self::Interflow => {
                let record = record.trim_ascii();
                if !(record.starts_with(b"{") && record.ends_with(b"}")) {
                    return Err(FormatError::NoObject);
                }
                out.extend_from_slice(record);
                Ok(())
            }
            Self::Ecs => ecs::write(Record::read(record)?, out),
            Self::Ocsf => ocsf::write(Record::read(record)?, out),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of records: it is `interflow`, `ecs` or `ocsf`")]
pub(crate) struct UnknownFormat(String);

/// Why a record could not be written in a format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// Neither braces around it nor anything else to go by.
    #[error(
        "a record is no JSON object: the block that it comes from is damaged, `connector-host doctor` tells more"
    )]
    NoObject,
    /// It begins like one.
    #[error(
        "a record cannot be read as JSON ({0}): the block that it comes from is damaged, `connector-host doctor` tells more"
    )]
    Json(#[from] serde_json::Error),
}
