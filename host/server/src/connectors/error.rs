//! Why the catalogue did not do what it was asked.

use super::key::KeyError;
use connector_runtime::journal::JournalError;

/// Why the catalogue did not do what it was asked. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    /// There is nothing of this name.
    #[error("there is no {thing} `{name}`{}", others(.known))]
    Unknown {
        /// `connector`, `tenant`, ...
        thing: &'static str,
        /// As it was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Several connectors have the name.
    #[error("several connectors are called `{name}`; say which: {}", .full.join(", "))]
    Ambiguous {
        /// As it was asked for.
        name: String,
        /// `tenant/name` of each.
        full: Vec<String>,
    },
    /// The name is taken.
    #[error("there is a {thing} `{name}` already; {advice}")]
    Exists {
        /// `connector`, `tenant`, ...
        thing: &'static str,
        /// Its name.
        name: String,
        /// What to do.
        advice: String,
    },
    /// Something else depends on it, or a rule forbids it.
    #[error("{0}")]
    Conflict(String),
    /// A name that cannot be used.
    #[error("the name `{name}` {message}")]
    Name {
        /// As it was typed.
        name: String,
        /// What a name may be.
        message: String,
    },
    /// A stored secret cannot be opened.
    #[error(
        "connector {connector}: its {key} {why}. Type it again: `connector-host connectors edit {connector} --set {setting}=...`"
    )]
    Secret {
        /// `tenant/name`.
        connector: String,
        /// The dotted key, `settings.token`.
        key: String,
        /// The setting's own name.
        setting: String,
        /// Why it cannot be opened, and what else might help.
        why: String,
    },
    /// The key that seals secrets cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal failed.
    #[error(transparent)]
    Journal(JournalError),
}

fn others(names: &[String]) -> String {
    if names.is_empty() {
        return ", nor any other".into();
    }
    const SHOWN: usize = 12;
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("; there is {}{more}", shown.join(", "))
}

impl CatalogueError {
    /// The key of a new definition that it is about, if it is about one.
    pub(crate) fn key_of_definition(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("name"),
            Self::Journal(JournalError::OtherKind { .. }) => Some("type"),
            Self::Unknown {
                thing: "device", ..
            } => Some("run_on"),
            _ => None,
        }
    }

    /// Stable and searchable.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::Ambiguous { .. } => "not-found",
            Self::Exists { .. } | Self::Conflict(_) => "conflict",
            Self::Name { .. } => "usage",
            Self::Secret { .. } | Self::Key(_) => "secret",
            Self::Journal(_) => "journal",
        }
    }
}

// Through a write of the journal and back: what is refused inside one comes out as it was.

impl From<CatalogueError> for JournalError {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Journal(error) => error,
            refused => Self::Refused(Box::new(refused)),
        }
    }
}

impl From<JournalError> for CatalogueError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Refused(refused) => match refused.downcast::<Self>() {
                Ok(refused) => *refused,
                Err(other) => Self::Journal(JournalError::Refused(other)),
            },
            error => Self::Journal(error),
        }
    }
}

impl From<rusqlite::Error> for CatalogueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Journal(error.into())
    }
}
