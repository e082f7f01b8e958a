//! Why access was refused, or a user or a token was not changed.

use crate::connectors::error::CatalogueError;
use std::time::Duration;

/// Why access was refused, or a user or a token was not changed. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// No credential, or one that is no good (any more).
    #[error(
        "this needs a user or a token: sign in at /connect/api/v1/session, or send `authorization: Bearer` with a token; one that was sent is unknown, has expired or was deleted"
    )]
    Unauthenticated,
    /// Which of the two is wrong is nobody's business, nor whether the user is inactive.
    #[error(
        "the name or the password is wrong; after several wrong ones it takes longer and longer"
    )]
    SignIn,
    /// Too many failures.
    #[error("there were too many wrong credentials; try again in {} s", .after.as_secs().max(1))]
    TooMany {
        /// How long nothing is tried.
        after: Duration,
    },
    /// The role does not have the right.
    #[error("{0}")]
    Forbidden(String),
    /// A browser was led here by another site, or the token that proves the opposite is missing.
    #[error("{0}")]
    CrossSite(&'static str),
    /// There is none, or none that the principal sees.
    #[error("there is no {thing} `{name}`")]
    Unknown {
        /// `user`, `token`, `tenant`.
        thing: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// A value that cannot be used.
    #[error("{key} {message}")]
    Invalid {
        /// The key of the request, `password`.
        key: &'static str,
        /// What is wrong and what to do; continues a sentence that begins with the key.
        message: String,
    },
    /// The password could not be hashed or a secret not be drawn.
    #[error("the host has no memory or no random numbers for this now ({0}); try again")]
    Resources(String),
    /// The catalogue did not do what it was asked.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl AccessError {
    /// Stable and searchable.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::SignIn => "sign-in",
            Self::TooMany { .. } => "too-many-attempts",
            Self::Forbidden(_) => "forbidden",
            Self::CrossSite(_) => "cross-site",
            Self::Unknown { .. } => "not-found",
            Self::Invalid { .. } => "usage",
            Self::Resources(_) => "resources",
            Self::Catalogue(error) => error.code(),
        }
    }

    /// Of a password that cannot be one.
    pub(crate) fn password(message: impl Into<String>) -> Self {
        Self::Invalid {
            key: "password",
            message: message.into(),
        }
    }

    /// Of a name that there is none of, or none to see.
    pub(crate) fn unknown(thing: &'static str, name: &str) -> Self {
        Self::Unknown {
            thing,
            name: name.to_owned(),
        }
    }
}
