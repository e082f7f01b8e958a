//! Why a command could not do its work, and the exit code that follows.

use crate::access::AccessError;
use crate::api::problem::Problem;
use crate::assets::AssetError;
use crate::backup::error::BackupError;
use crate::connectors::error::CatalogueError;
use crate::consumers::ConsumerError;
use crate::search::error::SearchError;
use connector_runtime::egress::NetworkError;
use connector_runtime::journal::JournalError;
use connector_runtime::plugins::{PluginError, Suspension};
use connector_runtime::runs::{Held, RunError};
use connector_runtime::sandbox::{EngineError, Fault};
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mistake {
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    /// The key, dotted as in TOML; none if the file as a whole is meant.
    pub(crate) key: Option<String>,
    /// What is wrong and what to do, continuing a sentence that begins with file and key.
    pub(crate) message: String,
}

impl Mistake {
    /// A mistake at a key.
    pub(crate) fn new(
        file: impl Into<PathBuf>,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            key: Some(key.into()),
            message: message.into(),
        }
    }

    /// A mistake of the file as a whole.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            key: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

fn list(mistakes: &[Mistake]) -> String {
    match mistakes {
        [mistake] => mistake.to_string(),
        mistakes => {
            let lines = mistakes.iter().map(|mistake| format!("\n  {mistake}"));
            format!("{} mistakes:{}", mistakes.len(), lines.collect::<String>())
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line cannot be carried out.
    #[error("{0}")]
    Usage(String),
    /// Mistakes in a definition or in the configuration: all of them.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The plugin directory cannot be read.
    #[error(transparent)]
    Plugins(PluginError),
    /// The plugin that was asked about cannot be used.
    #[error(transparent)]
    Refused(PluginError),
    /// The plugin failed before it was asked to do anything.
    #[error("the plugin could not be started: {0}")]
    Fault(Fault),
    /// The plugin faulted too often before.
    #[error(transparent)]
    Held(Held),
    /// The plugin asks for more than was accepted.
    #[error(transparent)]
    Suspended(Suspension),
    /// Somebody else's data directory.
    #[error("what a plugin may do is accepted by the owner of the data directory {}, and this user may not write there ({source}). Run this as its owner.", path.display())]
    NotOwner {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The journal cannot be opened or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The catalogue did not do what it was asked.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The connector does not collect.
    #[error(
        "connector {connector} is inactive: `connector-host connectors activate {connector}` lets it collect again"
    )]
    Inactive {
        /// `tenant/name`.
        connector: String,
    },
    /// A run came to no ledger.
    #[error(transparent)]
    Run(RunError),
    /// Records could not be written out.
    #[error("after {written} bytes of records: {source}")]
    Export {
        /// Bytes that standard output has taken.
        written: u64,
        /// What happened.
        source: JournalError,
    },
    /// Somebody pressed Ctrl-C, or the process was told to end.
    #[error("interrupted: {records} committed and kept; the next run goes on from there")]
    Interrupted {
        /// `1,000 records`.
        records: String,
    },
    /// A backup was not taken or not restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// No threads.
    #[error("the host's threads cannot start: {0}. Look at the limits of this user and machine.")]
    Threads(io::Error),
    /// The process that serves the data directory answered so.
    #[error("{}", .0.detail)]
    Answered(Box<Problem>),
    /// Something is done one at a time, and somebody else is at it.
    #[error("{0}")]
    Busy(String),
    /// The process that serves could not be asked, or cannot serve.
    #[error("{0}")]
    Serving(String),
    /// A user or a token was not changed, or access was refused.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A consumer could not be brought up to the journal's end.
    #[error("consumer {name}: {source}")]
    Consumer {
        /// Its name.
        name: String,
        /// What happened.
        source: ConsumerError,
    },
    /// The assets cannot be read.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// A search was not answered.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl Failure {
    /// 2 for what was found before anything was sent and a person can put right, 1 for the rest.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Mistakes(_)
            | Self::Engine(_)
            | Self::Plugins(_)
            | Self::Suspended(_)
            | Self::NotOwner { .. }
            | Self::Network(_)
            | Self::Catalogue(_)
            | Self::Inactive { .. }
            | Self::Serving(_)
            | Self::Access(_)
            | Self::Backup(_)
            | Self::Journal(_) => 2,
            Self::Search(error) if error.is_of_the_request() => 2,
            Self::Answered(problem) => match problem.code.as_str() {
                "plugin-fault" | "plugin-refused" | "held-back" | "set-aside" | "run" | "busy"
                | "interrupted" => 1,
                _ => 2,
            },
            Self::Refused(PluginError::Read { .. }) => 2,
            Self::Refused(_)
            | Self::Fault(_)
            | Self::Held(_)
            | Self::Run(_)
            | Self::Export { .. }
            | Self::Consumer { .. }
            | Self::Assets(_)
            | Self::Search(_)
            | Self::Interrupted { .. }
            | Self::Busy(_)
            | Self::Threads(_) => 1,
        }
    }

    /// Stable and searchable.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Mistakes(_) | Self::Plugins(_) | Self::Refused(PluginError::Read { .. }) => {
                "configuration"
            }
            Self::Engine(_) => "engine",
            Self::Refused(_) => "plugin-refused",
            Self::Fault(_) => "plugin-fault",
            Self::Held(Held::Back { .. }) => "held-back",
            Self::Held(Held::Aside { .. }) => "set-aside",
            Self::Suspended(_) => "suspended",
            Self::NotOwner { .. } => "not-owner",
            Self::Network(_) => "network",
            Self::Catalogue(error) => error.code(),
            Self::Backup(error) => error.code(),
            Self::Inactive { .. } => "inactive",
            Self::Export {
                source: JournalError::Output(_),
                ..
            } => "output",
            Self::Journal(_) | Self::Export { .. } => "journal",
            Self::Run(_) => "run",
            Self::Interrupted { .. } => "interrupted",
            Self::Threads(_) => "threads",
            Self::Access(error) => error.code(),
            Self::Answered(problem) => &problem.code,
            Self::Busy(_) => "busy",
            Self::Serving(_) => "serving",
            Self::Consumer { .. } => "consumer",
            Self::Assets(_) => "assets",
            Self::Search(error) if error.is_of_the_request() => "usage",
            Self::Search(_) => "search",
        }
    }

    /// An answer about a definition, told as mistakes of the file that it was read from.
    pub(crate) fn in_file(self, file: &Path) -> Self {
        match self {
            Self::Answered(problem) if !problem.errors.is_empty() => {
                Self::Mistakes(problem.mistakes(file))
            }
            other => other,
        }
    }

    /// The mistakes one by one, if it is about some.
    pub(crate) fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Mistakes(mistakes) => mistakes,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_mistakes_are_listed_one_a_line() {
        let failure = Failure::Mistakes(vec![
            Mistake::new("a.toml", "name", "is required"),
            Mistake::of_file(Path::new("a.toml"), "cannot be read"),
        ]);
        assert_eq!(
            failure.to_string(),
            "2 mistakes:\n  a.toml: name: is required\n  a.toml: cannot be read"
        );
    }
}
