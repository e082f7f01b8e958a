//! How a call into a plugin failed: with the plugin's own error, or with a fault.

use super::bindings::interflow::connector::types;
use super::fault::Fault;
use crate::redaction::Redactor;
use serde::Serialize;

/// What the plugin said about a failure; see `types.error` of the contract. Shortened, without secrets and control
/// characters.
#[derive(Clone, Debug, Serialize)]
pub struct PluginFailure {
    /// What the host has to do about it.
    #[serde(serialize_with = "kind_as_text")]
    pub kind: types::ErrorKind,
    /// Stable and searchable.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to try next.
    pub advice: String,
    /// The vendor's HTTP status.
    pub http_status: Option<u16>,
    /// Only when the vendor named a time to wait.
    pub retry_after_ms: Option<u64>,
}

fn kind_as_text<S: serde::Serializer>(
    kind: &types::ErrorKind,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

impl types::ErrorKind {
    /// The name of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSettings => "invalid-settings",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Internal => "internal",
        }
    }
}

impl PluginFailure {
    pub(super) fn heard(error: &types::Error, redactor: &Redactor) -> Self {
        Self {
            kind: error.kind,
            code: redactor.line(&error.code, 64),
            message: redactor.line(&error.message, 600),
            advice: redactor.line(&error.advice, 600),
            http_status: error.http_status,
            retry_after_ms: error.retry_after_ms.map(|wait| wait.min(LONGEST_WAIT_MS)),
        }
    }
}

/// No vendor asks to wait for longer than a day; whoever says so must not hold a connector for ever.
const LONGEST_WAIT_MS: u64 = 86_400_000;

/// How a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallFailure {
    /// The plugin returned an error.
    #[error("{} ({})", .0.message, .0.code)]
    Plugin(PluginFailure),
    /// The instance is gone.
    #[error(transparent)]
    Fault(#[from] Fault),
}
