//! Files: records as compressed NDJSON, in folders that every tool for data lakes knows.
//!
//! ```text
//! <path>/index=scans/tenant=acme/date=2026-03-02/000000000118-000000000131.ndjson.zst     handed over
//! <path>/.open/<life>-<number>.tmp                                                         being written
//! <data directory>/forwarders/<name>/state.json                                           what is whose
//! ```
//!
//! The name of a file is the range of the journal's offsets that its records come from; the date is that of their
//! `write_time`, in UTC. A record that is listed in several of the chosen indices is written once for each. A file that has
//! been handed over is never written again, and may be moved away or deleted at any time.
//!
//! Why nothing is lost or doubled, whenever the process ends:
//!
//! - A commit first makes the open files durable, then writes the state with their lengths and the offset up to which they
//!   hold everything, and only then answers, so that the journal's note is never ahead. What was appended later is cut off
//!   when the state is read again, open files that the state does not know are deleted, and their blocks come again.
//! - A file is handed over in two steps: the state says so, with the name that it will have; then it is renamed. A process
//!   that ends in between finds the state, and renames what is still there. What is not there any more has been renamed,
//!   even if somebody has taken it away since.
//! - The state is replaced by a rename as well, so there is always a whole one.
//!
//! An open file that somebody has deleted is written again from the journal, as far as that still has its blocks, and only
//! that one: the others keep what they have.

mod chunk;
mod part;
mod state;

use super::{Forwarder, Surroundings, day, folder, targets};
use crate::consumers::{Consumer, ConsumerError, Interest, Pace};
use crate::formats::Format;
use crate::forwarders::dead_letters::{DeadLetters, make_private};
use chunk::{Chunks, Press};
use connector_runtime::Clock;
use connector_runtime::journal::StoredBlock;
use part::{Folder, Part, Partition};
use state::{Gap, State};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use chunk::Packing;

/// Of the folder with the files that are being written.
const OPEN: &str = ".open";

/// What `host.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The folder that holds all others.
    pub(crate) path: PathBuf,
    /// How files are compressed.
    pub(crate) packing: Packing,
    /// A file that has so many bytes is handed over with the next commit.
    pub(crate) rotate_bytes: u64,
    /// So long after its first record, too.
    pub(crate) rotate_after: Duration,
}

/// See the module.
pub(crate) struct Files {
    forwarder: String,
    name: String,
    interest: Interest,
    format: Format,
    options: Options,
    clock: Clock,
    folder: PathBuf,
    dead: DeadLetters,
    press: Press,
    state: State,
    parts: BTreeMap<Partition, Part>,
    chunks: Chunks,
}

impl Files {
    /// The consumer of a forwarder of this kind.
    pub(crate) fn new(
        forwarder: &Forwarder,
        options: &Options,
        surroundings: &Surroundings,
    ) -> Self {
        Self {
            forwarder: forwarder.name.clone(),
            name: forwarder.consumer_name(),
            interest: forwarder.interest(),
            format: forwarder.format,
            press: Press::new(options.packing),
            options: options.clone(),
            clock: surroundings.clock.clone(),
            folder: folder(&surroundings.data, &forwarder.name),
            dead: forwarder.dead_letters(surroundings),
            state: State::default(),
            parts: BTreeMap::new(),
            chunks: Chunks::default(),
        }
    }

    /// What must be the same for an open file to be written on.
    fn shape(&self) -> String {
        format!("{}{}", self.format.as_str(), self.options.packing.suffix())
    }

    fn open_folder(&self) -> PathBuf {
        self.options.path.join(OPEN)
    }

    fn failed(&self, doing: &str, path: &Path, error: &io::Error) -> ConsumerError {
        ConsumerError::Files(format!(
            "forwarder {}: {} cannot be {doing} ({error}); look at the disk, the path and the permissions",
            self.forwarder,
            path.display()
        ))
    }

    fn write_state(&mut self) -> Result<(), ConsumerError> {
        self.state.open = self.parts.values().cloned().map(Into::into).collect();
        let written = self.state.write(&self.folder);
        written.map_err(|error| self.failed("written", &self.folder, &error))
    }

    /// Reads the state, or begins one behind what the journal has noted.
    fn read_state(&self, noted: u64) -> Result<State, ConsumerError> {
        match State::read(&self.folder) {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Ok(State::beginning(noted, &self.options.path, &self.shape())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(
                    "forwarder {}: its state in {} is damaged ({error}), so it begins anew with everything that the journal has",
                    self.forwarder,
                    self.folder.display()
                );
                Ok(State::beginning(0, &self.options.path, &self.shape()))
            }
            Err(error) => Err(self.failed("read", &self.folder, &error)),
        }
    }

    /// Cuts off what was not committed of an open file. False if it is not there, or too short: somebody else's doing.
    fn restore(&self, part: &Part) -> Result<bool, ConsumerError> {
        let path = part.path(&self.state.root.join(OPEN), &self.state.life);
        part.restore(&path)
            .map_err(|error| self.failed("opened", &path, &error))
    }

    /// Decides to hand over the files for which `is_due` says so. It happens with [`Files::settle`], behind a state.
    ///
    /// # Errors
    /// If such a file is gone or cut short: what it held is written again behind another `open`.
    fn close(&mut self, is_due: impl Fn(&Part) -> bool) -> Result<(), ConsumerError> {
        let due = |part: &&mut Part| part.closing.is_none() && is_due(part);
        let (root, suffix) = (&self.options.path, self.options.packing.suffix());
        let open = root.join(OPEN);
        for part in self.parts.values_mut().filter(due) {
            let path = part.path(&open, &self.state.life);
            part.check(&path).map_err(|error| {
                ConsumerError::Files(format!(
                    "forwarder {}: {} is gone or cut short ({error}); what it held is written again",
                    self.forwarder,
                    path.display()
                ))
            })?;
            part.closing = Some(part.free_name(root, suffix));
        }
        Ok(())
    }

    /// Hands over what the state says is to be handed over.
    fn settle(&mut self) -> Result<(), ConsumerError> {
        let folder = Folder {
            root: &self.options.path,
            open: &self.open_folder(),
            life: &self.state.life,
        };
        for part in self.parts.values().filter(|part| part.closing.is_some()) {
            folder
                .hand_over(part)
                .map_err(|error| self.failed("handed over", folder.root, &error))?;
        }
        self.parts.retain(|_, part| part.closing.is_none());
        Ok(())
    }

    /// Writes what has gathered to its files.
    fn flush(&mut self, only_full: bool) -> Result<(), ConsumerError> {
        let open = self.open_folder();
        for chunk in self.chunks.take(only_full) {
            let packed = self.press.press(&chunk.text);
            let packed = packed.map_err(|error| self.failed("compressed for", &open, &error))?;
            for index in &chunk.indices {
                let partition = Partition {
                    index: *index,
                    tenant: chunk.tenant.clone(),
                    date: chunk.date,
                };
                let part = self.parts.entry(partition).or_insert_with_key(|partition| {
                    self.state.next += 1;
                    let number = self.state.next;
                    Part::new(partition.clone(), number, chunk.first, self.clock.now_ms())
                });
                let path = part.path(&open, &self.state.life);
                if let Err(error) = part.append(&path, &packed, chunk.last, chunk.records) {
                    return Err(self.failed("written", &path, &error));
                }
            }
        }
        Ok(())
    }

    fn is_due(&self, part: &Part, now: u64) -> bool {
        let after = u64::try_from(self.options.rotate_after.as_millis()).unwrap_or(u64::MAX);
        part.length >= self.options.rotate_bytes || now >= part.started.saturating_add(after)
    }

    fn close_due(&mut self) -> Result<(), ConsumerError> {
        let now = self.clock.now_ms();
        let due: Vec<_> = self
            .parts
            .values()
            .filter(|part| self.is_due(part, now))
            .map(|part| part.number)
            .collect();
        self.close(|part| due.contains(&part.number))
    }
}

impl Consumer for Files {
    fn name(&self) -> &str {
        &self.name
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, noted: u64) -> Result<u64, ConsumerError> {
        self.parts.clear();
        self.chunks = Chunks::default();
        make_private(&self.folder).map_err(|error| self.failed("made", &self.folder, &error))?;
        let open = self.open_folder();
        std::fs::create_dir_all(&open).map_err(|error| self.failed("made", &open, &error))?;
        self.state = self.read_state(noted)?;

        // What was written elsewhere, or in another way, is not written on.
        if self.state.root != self.options.path || self.state.shape != self.shape() {
            leave(&self.state)
                .map_err(|error| self.failed("handed over", &self.state.root, &error))?;
            self.state.open.clear();
            self.state.root.clone_from(&self.options.path);
            self.state.shape = self.shape();
        }
        let suffix = self.options.packing.suffix();
        for mut part in std::mem::take(&mut self.state.open)
            .into_iter()
            .map(Part::from)
        {
            let is_there = self.restore(&part)?;
            match (&part.closing, is_there) {
                // Handed over already.
                (Some(_), false) => {}
                // Unless a file of another's has come to have that name.
                (Some(_), true) => {
                    part.closing = Some(part.free_name(&self.options.path, suffix));
                    self.parts.insert(part.partition.clone(), part);
                }
                (None, true) => {
                    self.parts.insert(part.partition.clone(), part);
                }
                (None, false) => {
                    tracing::warn!(
                        "forwarder {}: an open file of {} is gone or cut short, and is written again from the journal",
                        self.forwarder,
                        part.partition
                    );
                    self.state.gaps.push(Gap::of(&part));
                }
            }
        }
        self.write_state()?;
        self.settle()?;
        let known: Vec<u64> = self.parts.values().map(|part| part.number).collect();
        let strangers = part::clean(&open, &self.state.life, &known)
            .map_err(|error| self.failed("read", &open, &error))?;
        if strangers > 0 {
            tracing::warn!(
                "forwarder {}: {strangers} files in {} were left open by a forwarder whose state is gone; they are left alone, and what they hold may be incomplete",
                self.forwarder,
                open.display()
            );
        }
        Ok(self.state.begins_behind())
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        let date = day(block.written_ms);
        let mut indices = targets(block, self.interest.indices.as_deref());
        indices.retain(|index| {
            self.state
                .wants(block.offset, *index, &block.tenant_name, date)
        });
        if indices.is_empty() || block.records == 0 {
            return Ok(());
        }
        let chunk = self
            .chunks
            .of(&indices, &block.tenant_name, date, block.offset);
        chunk.last = block.offset;
        chunk.records += write_records(self.format, &mut self.dead, block, &mut chunk.text)?;
        self.flush(true)
    }

    fn commit(&mut self, offset: u64) -> Result<(), ConsumerError> {
        self.flush(false)?;
        let (open, life) = (self.open_folder(), self.state.life.clone());
        for part in self.parts.values_mut() {
            let path = part.path(&open, &life);
            if let Err(error) = part.sync() {
                return Err(self.failed("written", &path, &error));
            }
        }
        part::sync_folder(&open).map_err(|error| self.failed("written", &open, &error))?;
        self.dead.sync()?;
        self.state.advance(offset);
        self.close_due()?;
        self.write_state()?;
        self.settle()
    }

    fn rest(&mut self) -> Result<Option<Duration>, ConsumerError> {
        self.close_due()?;
        if self.parts.values().any(|part| part.closing.is_some()) {
            self.write_state()?;
            self.settle()?;
        }
        let oldest = self.parts.values().map(|part| part.started).min();
        Ok(oldest.map(|started| {
            let age = Duration::from_millis(self.clock.now_ms().saturating_sub(started));
            self.options.rotate_after.saturating_sub(age)
        }))
    }

    fn pace(&self) -> Pace {
        Pace {
            records: 200_000,
            ..Pace::default()
        }
    }
}

/// Appends the block's records in a format; answers how many.
fn write_records(
    format: Format,
    dead: &mut DeadLetters,
    block: &StoredBlock,
    text: &mut Vec<u8>,
) -> Result<u64, ConsumerError> {
    if format == Format::Interflow {
        block.copy_to(text)?;
        return Ok(block.records);
    }
    let mut written = 0;
    for record in block.records()?.iter() {
        let before = text.len();
        match format.write(record, text) {
            Ok(()) => {
                text.push(b'\n');
                written += 1;
            }
            Err(error) => {
                text.truncate(before);
                dead.put(block.offset, "format", &error.to_string(), record)?;
            }
        }
    }
    Ok(written)
}

/// Hands over everything that a state says is open.
fn leave(state: &State) -> io::Result<()> {
    let open = state.root.join(OPEN);
    let suffix = state.suffix();
    for entry in state.open.iter().cloned() {
        let mut part = Part::from(entry);
        if !part.restore(&part.path(&open, &state.life))? {
            continue;
        }
        part.closing = Some(part.free_name(&state.root, suffix));
        let folder = Folder {
            root: &state.root,
            open: &open,
            life: &state.life,
        };
        folder.hand_over(&part)?;
    }
    Ok(())
}

/// See [`super::forget`]; `folder` is the forwarder's in the data directory.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    match State::read(folder) {
        Ok(Some(state)) => leave(&state)?,
        Ok(None) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
        Err(error) => return Err(error),
    }
    State::delete(folder)
}

#[cfg(test)]
mod tests;
