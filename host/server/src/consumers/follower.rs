//! A follower: the thread that gives one consumer the blocks of the journal.
//!
//! Promises: what was taken and not committed when something fails, or the process ends, is given again; a failure is tried
//! again after a wait that doubles up to five minutes, and until then nobody else waits.

use super::state::Shared;
use super::{Consumer, ConsumerError, Pace};
use connector_runtime::Clock;
use connector_runtime::journal::Journal;
use connector_runtime::runs::Stop;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;
use tokio::runtime::Handle;

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest, unless the destination asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long a destination may ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// How often a consumer is called to rest if it says nothing.
const REST: Duration = Duration::from_secs(60);
/// How often the journal is looked at although nobody has told of a new block: another handle may have written.
const LOOK: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Follower {
    journal: Journal,
    consumer: Box<dyn Consumer>,
    shared: Shared,
    clock: Clock,
    stop: Stop,
    runtime: Handle,
}

/// Where the work stands between two calls of the consumer.
struct Progress {
    /// The last block that the consumer holds.
    held: u64,
    /// The last one that it was given or did not want.
    taken: u64,
    /// Records since the last commit.
    records: u64,
    /// When the first block since the last commit was taken.
    since: Option<Duration>,
    committed: Duration,
    rest_at: Duration,
}

impl Follower {
    pub(super) fn new(
        journal: Journal,
        consumer: Box<dyn Consumer>,
        shared: Shared,
        clock: Clock,
        stop: Stop,
        runtime: Handle,
    ) -> Self {
        Self {
            journal,
            consumer,
            shared,
            clock,
            stop,
            runtime,
        }
    }

    /// Follows until it is asked to stop.
    pub(super) fn run(mut self) {
        let mut wait = FIRST_WAIT;
        while !self.stop.is_requested() {
            let before = self.shared.get().offset;
            // Whatever it was doing is begun again behind another `open`.
            let followed = panic::catch_unwind(AssertUnwindSafe(|| self.follow()));
            let error = match followed {
                Ok(Ok(()) | Err(ConsumerError::Stopped)) => return,
                Ok(Err(error)) => error,
                Err(_) => ConsumerError::Files(
                    "it broke off: this is a mistake in the program, and its log says where".into(),
                ),
            };
            if self.shared.get().offset > before {
                wait = FIRST_WAIT;
            }
            let name = self.consumer.name();
            let pause = match error {
                ConsumerError::Destination {
                    retry_after: Some(pause),
                    ..
                } => wait.max(pause.min(LONGEST_PAUSE)),
                _ => wait,
            };
            tracing::warn!(
                consumer = name,
                "{error}; next attempt in {} s",
                pause.as_secs()
            );
            self.shared.fail(self.clock.now_ms(), error.to_string());
            self.pause(pause);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn follow(&mut self) -> Result<(), ConsumerError> {
        let name = self.consumer.name().to_owned();
        let noted = self
            .journal
            .consumer(&name)?
            .map_or(0, |row| row.acknowledged);
        let held = self.consumer.open(noted)?;
        check_place(&name, held, self.journal.last_offset()?)?;
        if held != noted {
            let place = self.journal.place_consumer(&name, held);
            self.runtime.block_on(place)?;
        }
        let now = self.clock.elapsed();
        let mut progress = Progress {
            held,
            taken: held,
            records: 0,
            since: None,
            committed: now,
            rest_at: now,
        };
        self.shared.hold(held);
        let mut told = self.journal.watch_blocks();
        let pace = self.consumer.pace();
        loop {
            told.mark_unchanged();
            if self.stop.is_requested() {
                return self.commit(&mut progress);
            }
            if progress.is_due(pace, self.clock.elapsed()) {
                self.commit(&mut progress)?;
                // However much there is to take.
                self.rest(&mut progress)?;
            }
            if let Some(block) = self.journal.blocks(None, progress.taken).next() {
                let block = block?;
                if self.consumer.interest().covers(&block) {
                    self.consumer.take(&block)?;
                    progress.records += block.records;
                }
                progress.taken = block.offset;
                progress.since.get_or_insert_with(|| self.clock.elapsed());
                continue;
            }
            let now = self.clock.elapsed();
            let quiet = (progress.committed + pace.least).saturating_sub(now);
            if progress.since.is_some() {
                if quiet.is_zero() {
                    self.commit(&mut progress)?;
                } else {
                    self.wait(&mut told, quiet);
                }
                continue;
            }
            if self.rest(&mut progress)? {
                continue;
            }
            let rest = progress.rest_at.saturating_sub(now);
            self.wait(&mut told, rest.min(LOOK));
        }
    }

    /// Lets the consumer rest if its time has come, and answers whether it had.
    fn rest(&mut self, progress: &mut Progress) -> Result<bool, ConsumerError> {
        if self.clock.elapsed() < progress.rest_at {
            return Ok(false);
        }
        let again = self.consumer.rest()?;
        progress.rest_at = self.clock.elapsed() + again.unwrap_or(REST).min(REST);
        // Nothing is wrong any more, even if there was nothing to commit.
        self.shared.recover();
        Ok(true)
    }

    fn commit(&mut self, progress: &mut Progress) -> Result<(), ConsumerError> {
        if progress.since.is_none() {
            return Ok(());
        }
        self.consumer.commit(progress.taken)?;
        self.acknowledge(progress.taken)?;
        progress.held = progress.taken;
        progress.records = 0;
        progress.since = None;
        progress.committed = self.clock.elapsed();
        self.shared.hold(progress.held);
        self.shared.recover();
        Ok(())
    }

    fn acknowledge(&self, offset: u64) -> Result<(), ConsumerError> {
        let note = self.journal.acknowledge(self.consumer.name(), offset);
        Ok(self.runtime.block_on(note)?)
    }

    fn wait(&self, told: &mut tokio::sync::watch::Receiver<u64>, most: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = told.changed() => {}
                () = self.clock.sleep(most) => {}
                () = self.stop.requested() => {}
            }
        });
    }

    fn pause(&self, pause: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.stop.requested() => {}
            }
        });
    }
}

impl Progress {
    /// Whether what was taken is to be committed although there is more to take.
    fn is_due(&self, pace: Pace, now: Duration) -> bool {
        self.records >= pace.records
            || self
                .since
                .is_some_and(|since| now.saturating_sub(since) >= pace.longest)
    }
}

/// Refuses a consumer that holds more than there ever was: its files were made of another journal.
fn check_place(name: &str, held: u64, last: u64) -> Result<(), ConsumerError> {
    if held <= last {
        return Ok(());
    }
    Err(ConsumerError::Files(format!(
        "{name} holds everything up to block {held}, and the journal ends at block {last}: what it keeps was made of another journal. Move its files in the data directory away, and it begins anew"
    )))
}

/// Gives a consumer everything that the journal has now, on the present thread; answers how many records it was given.
/// `tell` hears of every block: how many of how many were looked at.
///
/// # Errors
/// The first failure: whoever waits for this decides whether to try again.
pub(super) fn catch_up(
    journal: &Journal,
    consumer: &mut dyn Consumer,
    noted: u64,
    mut tell: impl FnMut(u64, u64),
) -> Result<u64, ConsumerError> {
    let last = journal.last_offset()?;
    let held = consumer.open(noted)?;
    check_place(consumer.name(), held, last)?;
    let pace = consumer.pace();
    let (mut taken, mut uncommitted, mut records) = (held, 0, 0);
    for block in journal.blocks(None, held) {
        let block = block?;
        if block.offset > last {
            break;
        }
        if consumer.interest().covers(&block) {
            consumer.take(&block)?;
            uncommitted += block.records;
            records += block.records;
        }
        taken = block.offset;
        tell(taken.saturating_sub(held), last.saturating_sub(held));
        if uncommitted >= pace.records {
            consumer.commit(taken)?;
            uncommitted = 0;
        }
    }
    if taken > held {
        consumer.commit(taken)?;
    }
    // One that `serve` has registered is not waited for any more.
    if journal.consumer(consumer.name())?.is_some() {
        journal.acknowledge_and_wait(consumer.name(), taken)?;
    }
    consumer.rest()?;
    Ok(records)
}
