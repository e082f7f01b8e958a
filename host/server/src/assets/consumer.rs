//! The consumer: blocks into `assets.sqlite`, with its place in the journal in the same transaction.
//!
//! A file that is missing or damaged begins anew, also while it is open: a commit looks whether it still is the one at its
//! path.

use super::error::AssetError;
use super::identity::{self, Placed, Sighting};
use super::machine::Machine;
use super::notes::{Notes, Seen};
use super::record::Record;
use super::{FILE_NAME, merge, presence, schema, summary};
use crate::consumers::{Consumer, ConsumerError, Interest};
use connector_runtime::interflow::Index;
use connector_runtime::journal::{JournalError, StoredBlock};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The name of the consumer.
pub(crate) const NAME: &str = "assets";

/// See the module.
pub(crate) struct AssetConsumer {
    path: PathBuf,
    interest: Interest,
    file: Option<File>,
    /// The file turned out to be no database while it was used.
    is_damaged: bool,
}

struct File {
    connection: Connection,
    /// Which file it is.
    at: Option<(u64, u64)>,
    /// Up to which block it holds everything.
    offset: u64,
    is_writing: bool,
    /// Assets whose summary is to be made.
    touched: BTreeSet<i64>,
}

impl AssetConsumer {
    /// The assets of a data directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE_NAME),
            interest: Interest {
                tenants: None,
                indices: Some(vec![Index::Assets, Index::Scans]),
            },
            file: None,
            is_damaged: false,
        }
    }

    fn with_file<T>(
        &mut self,
        work: impl FnOnce(&mut File) -> Result<T, AssetError>,
    ) -> Result<T, ConsumerError> {
        let Some(file) = self.file.as_mut() else {
            return Err(ConsumerError::Files(format!(
                "{}: it is not open",
                self.path.display()
            )));
        };
        work(file).map_err(|error| {
            self.is_damaged |= error.is_damage();
            error.into()
        })
    }

    fn is_there(&self) -> Result<(), AssetError> {
        let at = self.file.as_ref().and_then(|file| file.at);
        match at.is_some() && schema::file_at(&self.path) == at {
            true => Ok(()),
            false => Err(AssetError::Gone {
                path: self.path.clone(),
            }),
        }
    }
}

impl Consumer for AssetConsumer {
    fn name(&self) -> &str {
        NAME
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, _noted: u64) -> Result<u64, ConsumerError> {
        // What was not committed goes with the connection.
        self.file = None;
        if std::mem::take(&mut self.is_damaged) && self.path.exists() {
            schema::put_aside(&self.path)?;
        }
        let (connection, offset) = schema::open(&self.path)?;
        self.file = Some(File {
            connection,
            at: schema::file_at(&self.path),
            offset,
            is_writing: false,
            touched: BTreeSet::new(),
        });
        Ok(offset)
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        let damaged = |what: String| JournalError::Damaged {
            offset: block.offset,
            what,
        };
        let records = block.records()?;
        let notes = Notes::read(&block.notes()?)
            .map_err(|error| damaged(format!("its notes cannot be read: {error}")))?;
        self.with_file(|file| {
            if block.offset <= file.offset {
                return Ok(());
            }
            if !file.is_writing {
                file.connection.execute_batch("BEGIN IMMEDIATE")?;
                file.is_writing = true;
            }
            Taking::new(&file.connection, block, &notes, &mut file.touched)?.take(records.iter())
        })
    }

    fn commit(&mut self, offset: u64) -> Result<(), ConsumerError> {
        self.is_there()?;
        self.with_file(|file| {
            if !file.is_writing {
                file.connection.execute_batch("BEGIN IMMEDIATE")?;
            }
            for asset in std::mem::take(&mut file.touched) {
                summary::refresh(&file.connection, asset)?;
            }
            file.connection
                .prepare_cached("UPDATE place SET journal_offset = ?1")?
                .execute([schema::stored(offset)])?;
            file.connection.execute_batch("COMMIT")?;
            file.is_writing = false;
            file.offset = offset;
            Ok(())
        })
    }

    fn rest(&mut self) -> Result<Option<std::time::Duration>, ConsumerError> {
        // Nothing may come for long, and people look at what is there.
        self.is_there()?;
        Ok(None)
    }
}

/// One block on its way into the tables.
struct Taking<'a> {
    database: &'a Connection,
    block: &'a StoredBlock,
    notes: &'a Notes,
    /// When each host was seen, by its id.
    times: HashMap<&'a str, u64>,
    part: i64,
    touched: &'a mut BTreeSet<i64>,
}

/// A machine that records in a row are about.
struct Group<'r, R> {
    written: R,
    machine: Machine,
    first: u64,
    last: u64,
    records: Vec<Record<'r>>,
}

impl<'a> Taking<'a> {
    fn new(
        database: &'a Connection,
        block: &'a StoredBlock,
        notes: &'a Notes,
        touched: &'a mut BTreeSet<i64>,
    ) -> Result<Self, AssetError> {
        database
            .prepare_cached(
                "INSERT INTO tenants (id, name) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
            )?
            .execute(params![block.tenant_id, block.tenant_name])?;
        Ok(Self {
            part: schema::part(database, &block.content_type)?,
            times: notes
                .seen
                .iter()
                .map(|seen| (seen.object.as_str(), seen.time_ms))
                .collect(),
            database,
            block,
            notes,
            touched,
        })
    }

    fn has_findings(&self) -> bool {
        self.block.indices.contains(&Index::Scans)
    }

    fn take<'r>(mut self, lines: impl Iterator<Item = &'r [u8]>) -> Result<(), AssetError> {
        let mut group = None;
        for line in lines {
            let Some(record) = Record::read(line) else {
                tracing::warn!(
                    offset = self.block.offset,
                    "assets: a record has no timestamp or is no JSON object, and was left out"
                );
                continue;
            };
            let written = record.written();
            let time = record.timestamp;
            match &mut group {
                Some(Group {
                    written: same,
                    first,
                    last,
                    records,
                    ..
                }) if *same == written => {
                    *first = time.min(*first);
                    *last = time.max(*last);
                    records.push(record);
                }
                _ => {
                    if let Some(done) = group.take() {
                        self.place(&done)?;
                    }
                    group = Some(Group {
                        written,
                        machine: record.machine(),
                        first: time,
                        last: time,
                        records: vec![record],
                    });
                }
            }
        }
        if let Some(done) = group {
            self.place(&done)?;
        }
        let notes = self.notes;
        for dropped in &notes.dropped {
            let (machine, time) = (dropped.machine(), dropped.time());
            let finding = dropped.finding().filter(|_| self.has_findings());
            let host = self.host_of(&machine, (time, time), finding.is_none())?;
            if let (Some(host), Some(finding)) = (host, finding) {
                finding.keep(self.database, host, self.part)?;
            }
        }
        for seen in &notes.seen {
            self.compare(seen)?;
        }
        Ok(())
    }

    fn place<R>(&mut self, group: &Group<'_, R>) -> Result<(), AssetError> {
        let is_host = !self.has_findings();
        let host = self.host_of(&group.machine, (group.first, group.last), is_host)?;
        let Some(host) = host.filter(|_| !is_host) else {
            return Ok(());
        };
        for record in &group.records {
            if let Some(finding) = record.finding() {
                finding.keep(self.database, host, self.part)?;
            }
        }
        Ok(())
    }

    /// The key that findings on a machine are noted under, after the machine has been put into its asset.
    fn host_of(
        &mut self,
        machine: &Machine,
        (first, last): (u64, u64),
        is_host: bool,
    ) -> Result<Option<i64>, AssetError> {
        let block = self.block;
        // The time of a finding is not that of what is said about its host; of the two, the earlier one is surely true of it.
        let seen = machine
            .host
            .as_deref()
            .and_then(|host| self.times.get(host))
            // Without a time it says nothing about one.
            .filter(|time| **time > 0);
        let last = seen.map_or(last, |seen| last.min(*seen));
        let sighting = Sighting {
            tenant: &block.tenant_id,
            connector: &block.connector_id,
            first: first.min(last),
            last,
        };
        let may_create = is_host || machine.is_described();
        let placed: Option<Placed> =
            identity::place(self.database, machine, sighting, may_create, self.touched)?;
        if let Some(placed) = placed {
            merge::describe(
                self.database,
                machine,
                sighting,
                placed,
                &block.connector_name,
            )?;
            return Ok(Some(placed.view));
        }
        match &machine.host {
            // It waits until something is told about the machine.
            Some(host) => Ok(Some(identity::host_key(
                self.database,
                &block.tenant_id,
                &block.connector_id,
                host,
            )?)),
            None => {
                tracing::debug!(
                    offset = block.offset,
                    "assets: a record says nothing that a machine can be recognised by"
                );
                Ok(None)
            }
        }
    }

    fn compare(&mut self, seen: &Seen) -> Result<(), AssetError> {
        let block = self.block;
        let host = identity::host_key(
            self.database,
            &block.tenant_id,
            &block.connector_id,
            &seen.object,
        )?;
        let asset = identity::asset_of(self.database, host)?;
        let mut has_changed = false;
        if self.has_findings() {
            has_changed = presence::compare(self.database, host, self.part, seen)?;
        }
        if let Some(asset) = asset {
            merge::saw(self.database, asset, seen.time_ms)?;
            if has_changed {
                self.touched.insert(asset);
            }
        }
        Ok(())
    }
}
