//! The catalogue: which connectors there are, whose they are, where they run and what they are set to.
//!
//! It lies in the journal's file, so that a connector and what it has collected are created, kept and saved together.
//!
//! ```text
//! tenants ─ connectors ─ definitions ┬ secrets (sealed)
//!  (the journal's, with their ids)   ├ profile_members ─ profiles
//!                                    ├ connector_filters ─ filters
//!                                    ├ run_on ─ devices            events, deletions
//!                                    ├ statuses
//!                                    └ alerts ─ deliveries
//! users ─ sessions, tokens
//! ```
//!
//! Promises: a change is one transaction, with its event; a connector's id outlives every change of its settings, and its
//! records outlive the connector; a deleted one frees its name, and the same name later is another connector. A secret is
//! stored sealed (see [`secret`]) and is given out to nobody but a run.
//!
//! Never here: what a setting means (the plugin's and the schema's business), or a question to a person.

pub(crate) mod alert;
pub(crate) mod definition;
pub(crate) mod device;
pub(crate) mod difference;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod key;
pub(crate) mod listing;
pub(crate) mod profile;
mod recollection;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod tenant;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod validation;

#[cfg(test)]
mod tests;

use connector_runtime::Clock;
use connector_runtime::journal::{Journal, JournalError};
use error::CatalogueError;
use key::Keys;
use rusqlite::Connection;
use std::path::Path;

/// See the module.
pub(crate) struct Catalogue {
    journal: Journal,
    keys: Keys,
    clock: Clock,
}

impl Catalogue {
    /// Opens the catalogue of a data directory to change it; the directory is owned until it is dropped. A rotation of the
    /// key that was cut off is brought to its end.
    ///
    /// # Errors
    /// As [`Journal::open`], or if a key that is there cannot be used.
    pub(crate) fn open(directory: &Path) -> Result<Self, CatalogueError> {
        Self::open_with(directory, Keys::of_environment(directory))
    }

    /// The same catalogue with another clock.
    #[must_use]
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn open_with(directory: &Path, keys: Keys) -> Result<Self, CatalogueError> {
        let catalogue = Self {
            journal: Journal::open(directory, schema::migrations())?,
            keys,
            clock: Clock::system(),
        };
        catalogue.settle_rotation()?;
        Ok(catalogue)
    }

    /// Opens the catalogue to read it, also while another process owns the directory. A file of an older version is brought
    /// up to date first.
    ///
    /// # Errors
    /// As [`Journal::open_read_only`]; [`JournalError::Missing`] if nothing was ever kept there.
    pub(crate) fn read(directory: &Path) -> Result<Self, CatalogueError> {
        let steps = schema::migrations();
        let opened = match Journal::open_read_only(directory, &steps) {
            Err(JournalError::SchemaOlder { .. }) => {
                drop(Journal::open(directory, schema::migrations())?);
                Journal::open_read_only(directory, &steps)
            }
            opened => opened,
        };
        Ok(Self {
            journal: opened?,
            keys: Keys::of_environment(directory),
            clock: Clock::system(),
        })
    }

    /// As [`Catalogue::read`]; none where nothing was ever kept.
    ///
    /// # Errors
    /// As [`Catalogue::read`].
    pub(crate) fn read_if_any(directory: &Path) -> Result<Option<Self>, CatalogueError> {
        match Self::read(directory) {
            Ok(catalogue) => Ok(Some(catalogue)),
            Err(CatalogueError::Journal(JournalError::Missing { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The journal that it lies in.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    fn now_ms(&self) -> i64 {
        stored(self.clock.now_ms())
    }

    /// Reads in one short transaction.
    fn look<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        Ok(self.journal.read(|database| Ok(work(database)?))?)
    }

    /// Writes in one transaction; see [`Journal::write`]. Nothing of what `work` refuses is written.
    async fn change<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, CatalogueError> + Send + 'static,
    ) -> Result<T, CatalogueError> {
        Ok(self
            .journal
            .write(move |database| Ok(work(database)?))
            .await?)
    }
}

/// A number as SQLite keeps it; times and counts never come near the limit.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was stored; a negative one was not written here and reads as 0.
fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
