//! Consumers: who takes the journal's blocks to other places: the search index, the assets, forwarders.
//!
//! ```text
//! journal ─ block after block ─▶ follower (one thread a consumer) ─▶ take, take, take, commit
//!                                        │ back-off after a failure        │ its own files, or the destination
//!                                        └── note in the journal ◀─────────┘ up to which block it holds everything
//! ```
//!
//! Promises: a consumer gets every block that it is interested in, in their order, at least once; what it has committed is
//! not given to it again, whenever the process ends. One that fails holds up no other. Nothing is skipped because of an
//! error: only where the configuration says `when_behind = "skip"`, and then the exact range is noted.
//!
//! Never here: what a record means.

mod configured;
mod follower;
pub(crate) mod listing;
mod registry;
pub(crate) mod state;

#[cfg(test)]
mod tests;

pub(crate) use configured::configured;
pub(crate) use registry::{Consumers, Registration, Registry};

use crate::failure::Failure;
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Journal, JournalError, StoredBlock};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::time::Duration;

/// Takes blocks, and holds what it has committed for good.
///
/// The calls come from one thread, in the order `open`, then `take` and `commit` as often as there is something, `rest` in
/// between. After an error everything since the last `commit` is given again, behind another `open`. They may block, and may
/// wait for asynchronous work with a handle of the runtime: the thread is no worker of it.
pub(crate) trait Consumer: Send {
    /// Unique, for example `index`, `assets` or `forwarder:siem`: in the journal, in metrics, status and logs.
    fn name(&self) -> &str;

    /// Which blocks it gets. The others count as taken.
    fn interest(&self) -> &Interest;

    /// Opens what it keeps (again), drops what was not committed, and answers the offset of the last block that it holds,
    /// 0 if it holds none. `noted` is what the journal knows of it: the place of a consumer without files of its own. One
    /// whose files are gone or damaged begins anew, and answers 0.
    ///
    /// # Errors
    /// What keeps it from working.
    fn open(&mut self, noted: u64) -> Result<u64, ConsumerError>;

    /// Takes a block. It need not be durable.
    ///
    /// # Errors
    /// Nothing since the last commit counts then.
    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError>;

    /// Makes durable what was taken, and remembers that it holds everything up to the block at `offset`.
    ///
    /// # Errors
    /// Nothing since the last commit counts then.
    fn commit(&mut self, offset: u64) -> Result<(), ConsumerError>;

    /// Does what is to be done from time to time (retention, closing a file by age), while nothing taken is uncommitted.
    /// Answers in what time it wants to be called again, whatever else happens; `None` leaves it to the follower (a minute).
    ///
    /// # Errors
    /// As `commit`.
    fn rest(&mut self) -> Result<Option<Duration>, ConsumerError> {
        Ok(None)
    }

    /// How much is taken before it is committed.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// When a follower commits: after so many records, or so long after the first that was taken; and at the journal's end, if
/// the last commit is at least `least` ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Records.
    pub(crate) records: u64,
    /// The longest time between a take and its commit.
    pub(crate) longest: Duration,
    /// The shortest time between two commits.
    pub(crate) least: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            records: 50_000,
            longest: Duration::from_secs(5),
            least: Duration::from_secs(1),
        }
    }
}

/// Which blocks a consumer gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Names of tenants; none means all.
    pub(crate) tenants: Option<Vec<String>>,
    /// Indices that the records must be listed in, any of them; none means all.
    pub(crate) indices: Option<Vec<Index>>,
}

impl Interest {
    /// Whether a block is among them.
    pub(crate) fn covers(&self, block: &StoredBlock) -> bool {
        let tenants = self.tenants.as_ref();
        let indices = self.indices.as_ref();
        tenants.is_none_or(|names| names.contains(&block.tenant_name))
            && indices
                .is_none_or(|indices| indices.iter().any(|index| block.indices.contains(index)))
    }
}

/// Why a consumer could not go on. It is tried again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsumerError {
    /// Its own files; a whole sentence that names them.
    #[error("{0}")]
    Files(String),
    /// The destination; a whole sentence that names it.
    #[error("{message}")]
    Destination {
        message: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The journal, or a block that cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was asked to stop in the middle of something.
    #[error("it was stopped")]
    Stopped,
}

/// Brings a consumer up to the journal's present end, on the present thread, with a line of progress on `screen`: for
/// commands that ask a consumer while nobody serves. Answers how many records it was given.
///
/// # Errors
/// [`Failure::Consumer`] with the first failure.
pub(crate) fn catch_up(
    journal: &Journal,
    consumer: &mut dyn Consumer,
    screen: &MultiProgress,
) -> Result<u64, Failure> {
    let name = consumer.name().to_owned();
    let bar = screen.add(ProgressBar::new(0));
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {prefix}  {wide_bar} {pos} of {len} blocks")
    {
        bar.set_style(style);
    }
    bar.set_prefix(name.clone());
    let noted = journal.consumer(&name)?.map_or(0, |row| row.acknowledged);
    let caught_up = follower::catch_up(journal, consumer, noted, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    caught_up.map_err(|source| Failure::Consumer { name, source })
}
