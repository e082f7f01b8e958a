//! Faults: why something did not work, in the words of the contract.
//!
//! Facts only. What to do about them (wait, try again, stop) is the host's decision.
//!
//! Never here: the body of an answer. Qualys' CODE and TEXT, and the title of a page of HTML, are all that is quoted, shortened.

use thiserror::Error;

/// What the host has to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The settings cannot work.
    InvalidSettings,
    /// The login was refused.
    Unauthenticated,
    /// The login is good, the request is not allowed.
    Forbidden,
    /// Nothing at this address.
    NotFound,
    /// Too many calls; see the wait.
    RateLimited,
    /// Not now.
    Unavailable,
    /// Not understood.
    Malformed,
    /// A mistake of the plugin or the host.
    Internal,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Fault {
    /// What the host has to do about it.
    pub kind: FaultKind,
    /// Qualys' code or the connector's own.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to try next.
    pub advice: String,
    /// HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// Only when the vendor named a time to wait.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    pub(crate) fn new(
        kind: FaultKind,
        code: &str,
        message: impl Into<String>,
        advice: &str,
    ) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
            advice: advice.to_owned(),
            http_status: None,
            retry_after_ms: None,
        }
    }

    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }
}

/// The start of a vendor's sentence, on one line.
pub(crate) fn shorten(text: &str) -> String {
    const LIMIT: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= LIMIT {
        return line;
    }
    format!("{}...", crate::text::cut(&line, LIMIT - 3))
}
