//! Blocks: the records of one batch, compressed, with their notes.

use std::io::{self, Read as _, Write};
use std::str::FromStr as _;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};
use crate::interflow::Index;

/// How hard zstd tries. Measured on records of 1.3 to 1.6 kB: level 3 takes 1.5 times as long as level 1, and saves nothing.
const LEVEL: i32 = 1;

/// The records of one batch, ready to be committed.
#[derive(Debug, Clone)]
pub struct Block {
    indices: String,
    records: u64,
    bytes: u64,
    times: Option<(u64, u64)>,
    body: Vec<u8>,
    notes: Vec<u8>,
}

impl Block {
    /// Compresses the records of one batch. This takes the time, not the commit: call it on a thread that has some.
    ///
    /// `ndjson` holds `records` lines, each with its newline. `times` are the first and last event time in milliseconds
    /// since 1970, none if there is no record. `notes` is JSON for consumers of the journal that is never exported; a block
    /// may have notes and no records.
    ///
    /// # Errors
    /// [`JournalError::BadBlock`] if the numbers do not fit the text.
    pub fn press(
        indices: &[Index],
        records: u64,
        times: Option<(u64, u64)>,
        ndjson: &[u8],
        notes: &[u8],
    ) -> Result<Self, JournalError> {
        let lines = newlines(ndjson);
        if lines != records || !(ndjson.is_empty() || ndjson.ends_with(b"\n")) {
            return Err(JournalError::BadBlock(format!(
                "{records} records were announced, and the text has {lines} whole lines"
            )));
        }
        if times.is_none() != (records == 0) || times.is_some_and(|(first, last)| first > last) {
            return Err(JournalError::BadBlock(format!(
                "the times {times:?} do not fit {records} records"
            )));
        }
        let names: Vec<_> = Index::ALL
            .into_iter()
            .filter(|index| indices.contains(index))
            .map(Index::id)
            .collect();
        if names.is_empty() {
            return Err(JournalError::BadBlock("it is in no index".to_owned()));
        }
        let mut compressor = Compressor::new(LEVEL).map_err(JournalError::Compression)?;
        // So that a disk that loses bits is noticed.
        compressor
            .set_parameter(CParameter::ChecksumFlag(true))
            .map_err(JournalError::Compression)?;
        let mut press = |text: &[u8]| compressor.compress(text).map_err(JournalError::Compression);
        Ok(Self {
            indices: names.join(","),
            records,
            bytes: ndjson.len() as u64,
            times,
            body: press(ndjson)?,
            notes: press(notes)?,
        })
    }

    /// How many bytes it takes in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.body.len() + self.notes.len()
    }

    /// How many records it has.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }
}

fn newlines(text: &[u8]) -> u64 {
    // In bytes, as many as one can count, so that the compiler makes wide instructions of it.
    text.chunks(usize::from(u8::MAX))
        .map(|some| u64::from(some.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>()))
        .sum()
}

pub(super) fn insert(
    connection: &Connection,
    connector: &str,
    content_type: &str,
    written_ms: u64,
    block: &Block,
) -> Result<u64, JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO blocks
             (connector, content_type, indices, written, first_time, last_time, records, bytes, notes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            connector,
            content_type,
            block.indices,
            stored(written_ms),
            block.times.map(|(first, _)| stored(first)),
            block.times.map(|(_, last)| stored(last)),
            stored(block.records),
            stored(block.bytes),
            block.notes,
            block.body,
        ])?;
    Ok(loaded(connection.last_insert_rowid()))
}

/// A block as it was read from the journal.
#[derive(Debug, Clone)]
pub struct StoredBlock {
    /// Its place: blocks are read in this order.
    pub offset: u64,
    /// The tenant's id.
    pub tenant_id: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// The connector's id.
    pub connector_id: String,
    /// The connector's name.
    pub connector_name: String,
    /// Of which content type its records are.
    pub content_type: String,
    /// The indices that its records are listed in.
    pub indices: Vec<Index>,
    /// When it was written, in milliseconds since 1970.
    pub written_ms: u64,
    /// The first and last event time of its records, in milliseconds since 1970.
    pub times: Option<(u64, u64)>,
    /// How many records it has.
    pub records: u64,
    /// How many bytes they have, newlines included.
    pub bytes: u64,
    notes: Vec<u8>,
    body: Vec<u8>,
}

impl StoredBlock {
    fn from_row(row: &Row<'_>) -> Result<Self, JournalError> {
        let offset = loaded(row.get(0)?);
        let indices: String = row.get(6)?;
        let number = |column: usize| row.get::<_, Option<i64>>(column);
        Ok(Self {
            offset,
            tenant_id: row.get(1)?,
            tenant_name: row.get(2)?,
            connector_id: row.get(3)?,
            connector_name: row.get(4)?,
            content_type: row.get(5)?,
            indices: indices
                .split(',')
                .map(Index::from_str)
                .collect::<Result<_, _>>()
                .map_err(|error| JournalError::Damaged {
                    offset,
                    what: error.to_string(),
                })?,
            written_ms: loaded(row.get(7)?),
            times: number(8)?
                .zip(number(9)?)
                .map(|(first, last)| (loaded(first), loaded(last))),
            records: loaded(row.get(10)?),
            bytes: loaded(row.get(11)?),
            notes: row.get(12)?,
            body: row.get(13)?,
        })
    }

    /// The records, uncompressed.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if they are not what was written.
    pub fn records(&self) -> Result<Records, JournalError> {
        let mut text = Vec::new();
        self.copy_to(&mut text)?;
        Ok(Records { text })
    }

    /// What was noted beside the records: JSON.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if it cannot be read.
    pub fn notes(&self) -> Result<Vec<u8>, JournalError> {
        zstd::decode_all(&*self.notes).map_err(|error| self.damaged(error.to_string()))
    }

    /// Writes the records to `out`, one a line, without holding them all in memory.
    ///
    /// # Errors
    /// [`JournalError::Output`] if `out` fails, [`JournalError::Damaged`] if the records are not what was written; what came
    /// before the damage has been written to `out` then.
    pub fn copy_to(&self, out: &mut dyn Write) -> Result<(), JournalError> {
        let mut decoder = zstd::Decoder::with_buffer(&*self.body)
            .map_err(|error| self.damaged(error.to_string()))?;
        let mut buffer = vec![0; 128 << 10];
        let (mut bytes, mut lines) = (0, 0);
        loop {
            let count = match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.damaged(error.to_string())),
            };
            let text = &buffer[..count];
            bytes += count as u64;
            lines += newlines(text);
            if bytes > self.bytes {
                break;
            }
            out.write_all(text).map_err(JournalError::Output)?;
        }
        if (bytes, lines) != (self.bytes, self.records) {
            return Err(self.damaged(format!(
                "{} records in {} bytes were written, {lines} in {bytes} were read",
                self.records, self.bytes
            )));
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> JournalError {
        JournalError::Damaged {
            offset: self.offset,
            what,
        }
    }
}

/// The records of one block.
#[derive(Debug, Clone)]
pub struct Records {
    text: Vec<u8>,
}

impl Records {
    /// Each record, without its newline.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.text
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }

    /// All of them, one a line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// Blocks in the order of their offsets, each read in a transaction of its own. It ends where the journal ends at that
/// moment, and goes on from there if it is asked again later.
#[derive(Debug)]
pub struct Blocks {
    journal: Journal,
    index: Option<Index>,
    after: u64,
}

impl Iterator for Blocks {
    type Item = Result<StoredBlock, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self
            .journal
            .read(|connection| next_after(connection, self.index, self.after));
        if let Ok(Some(block)) = &found {
            self.after = block.offset;
        }
        found.transpose()
    }
}

fn next_after(
    connection: &Connection,
    index: Option<Index>,
    after: u64,
) -> Result<Option<StoredBlock>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT b.offset, t.id, t.name, c.id, c.name, b.content_type, b.indices, b.written,
                b.first_time, b.last_time, b.records, b.bytes, b.notes, b.body
         FROM blocks b CROSS JOIN connectors c ON c.id = b.connector
         CROSS JOIN tenants t ON t.id = c.tenant
         WHERE b.offset > ?1 AND (?2 IS NULL OR instr(',' || b.indices || ',', ',' || ?2 || ','))
         ORDER BY b.offset LIMIT 1",
    )?;
    statement
        .query_row(params![stored(after), index.map(Index::id)], |row| {
            Ok(StoredBlock::from_row(row))
        })
        .optional()?
        .transpose()
}

impl Journal {
    /// The blocks behind `after_offset` (0: all), of one index or of all.
    #[must_use]
    pub fn blocks(&self, index: Option<Index>, after_offset: u64) -> Blocks {
        Blocks {
            journal: self.clone(),
            index,
            after: after_offset,
        }
    }

    /// The offset of the last block; 0 if there has never been one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_offset(&self) -> Result<u64, JournalError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'blocks'")?
                .query_row([], |row| Ok(loaded(row.get(0)?)))
                .optional()?
                .unwrap_or(0))
        })
    }

    /// When the first block behind an offset was written, in milliseconds since 1970; none if there is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn written_after(&self, offset: u64) -> Result<Option<u64>, JournalError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT written FROM blocks WHERE offset > ?1 ORDER BY offset LIMIT 1",
                )?
                .query_row([stored(offset)], |row| Ok(loaded(row.get(0)?)))
                .optional()?)
        })
    }

    /// Writes the records of one index to `out`, one a line, in the order in which they were committed: those that the
    /// journal has now, however long it takes. Returns how many.
    ///
    /// # Errors
    /// [`JournalError::Output`] if `out` fails; [`JournalError::Damaged`].
    pub fn export(&self, index: Index, out: &mut dyn Write) -> Result<u64, JournalError> {
        let last = self.last_offset()?;
        let mut count = 0;
        for block in self.blocks(Some(index), 0) {
            let block = block?;
            if block.offset > last {
                break;
            }
            block.copy_to(out)?;
            count += block.records;
        }
        out.flush().map_err(JournalError::Output)?;
        Ok(count)
    }
}
