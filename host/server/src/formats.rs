//! Formats: how a record is written where it is sent on to.
//!
//! A pure function of the record: the same record always becomes the same text, so that it can be sent again.

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As it lies in the journal.
    Interflow,
}

/// Why a record cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// It is no JSON object on one line.
    #[error("the record is no JSON object on one line")]
    NotARecord,
}

impl Format {
    /// The format of this name.
    ///
    /// # Errors
    /// With a sentence that names those that there are.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "interflow" => Ok(Self::Interflow),
            _ => Err(format!("there is no format `{name}`; there is interflow")),
        }
    }

    /// The name in configuration and output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Interflow => "interflow",
        }
    }

    /// Appends the record to `out` as one JSON object without a newline.
    ///
    /// # Errors
    /// If it is none that the format knows; `out` is then as before.
    pub(crate) fn write(self, record: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
        match self {
            Self::Interflow => {
                if !record.starts_with(b"{") || !record.ends_with(b"}") || record.contains(&b'\n') {
                    return Err(FormatError::NotARecord);
                }
                out.extend_from_slice(record);
                Ok(())
            }
        }
    }
}
