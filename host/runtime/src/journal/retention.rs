//! Retention: which blocks the journal gives up, and when.
//!
//! In this order: what is older than its age and has been taken by every consumer; beyond the size limit also what is
//! younger, the oldest first; and if that is not enough, what only consumers lack that are not waited for. Those lose it, and
//! the range is noted in the transaction that deletes it.
//!
//! Promised: nothing is deleted that a consumer which is waited for has not taken; a skip says exactly which blocks were
//! deleted untaken. Cursors, caches, runs and connectors stay, whatever the size. Never here: a long transaction, since
//! whoever commits a batch waits behind it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::consumers::{self, ConsumerRow, WhenBehind};
use super::error::JournalError;
use super::schema::{loaded, stored};
use super::{Journal, room, space};

/// Blocks looked at in one transaction, and how many of them are deleted at most.
const LOOKED_AT: usize = 512;
const DELETED: usize = 32;
/// Pages that one transaction gives back to the file system.
const GIVEN_BACK: u64 = 2_048;
/// Free pages that are kept to be used again.
const KEPT_FREE: u64 = 64;
/// A range goes on in the row of the one before it if that was noted less than a day ago.
const SAME_SKIP_MS: u64 = 24 * 3_600_000;
/// How long a skip stays on record.
const SKIPS_KEPT_MS: u64 = 90 * 24 * 3_600_000;

/// How much the journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Blocks that are older and that every consumer has taken are deleted.
    pub age: Duration,
    /// Used bytes ([`Size::used_bytes`](super::Size::used_bytes)) beyond which younger ones are deleted, too.
    pub size_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(90 * 24 * 3_600),
            size_bytes: 50 << 30,
        }
    }
}

/// What a consumer lost because it was too far behind. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipRow {
    /// Who.
    pub consumer: String,
    /// The offset of the first block that was deleted before it was taken.
    pub first: u64,
    /// The offset of the last one. Every block of the consumer's tenants from the first to this one is lost to it.
    pub last: u64,
    /// How many blocks.
    pub blocks: u64,
    /// How many records they had, of all indices.
    pub records: u64,
    /// When the first of them had been written.
    pub first_written_ms: u64,
    /// When the last of them had been written.
    pub last_written_ms: u64,
    /// When this was noted last.
    pub noted_ms: u64,
}

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Blocks, those that were skipped included.
    pub blocks: u64,
    /// Their records.
    pub records: u64,
    /// Blocks that some consumer has lost.
    pub skipped: u64,
}

impl Trimmed {
    fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.records += other.records;
        self.skipped += other.skipped;
    }
}

/// For what reason blocks are deleted.
#[derive(Debug, Clone, Copy)]
enum Pass {
    /// Written before this moment, and needed by nobody.
    Age(u64),
    /// More is used than this, and nobody needs them.
    Size(u64),
    /// More is used than this, and nobody needs them who is waited for.
    Skip(u64),
}

/// A block, without what it holds.
struct Candidate {
    offset: u64,
    connector: String,
    tenant: String,
    written_ms: u64,
    records: u64,
}

/// Where a pass stands after one transaction.
struct Step {
    trimmed: Trimmed,
    /// Behind which offset it goes on; none at its end.
    next: Option<u64>,
}

/// Blocks in a row that a consumer lost.
struct Range {
    consumer: usize,
    first: u64,
    last: u64,
    blocks: u64,
    records: u64,
    written: (u64, u64),
    is_open: bool,
}

impl ConsumerRow {
    /// Whether it takes the blocks of a tenant.
    #[must_use]
    pub fn covers(&self, tenant: &str) -> bool {
        let tenants = self.tenants.as_ref();
        tenants.is_none_or(|names| names.iter().any(|name| name == tenant))
    }

    fn needs(&self, block: &Candidate) -> bool {
        self.acknowledged < block.offset && self.covers(&block.tenant)
    }

    /// Its tenants as the statements of this module want them.
    pub(super) fn lines(&self) -> Option<String> {
        self.tenants.as_ref().map(|names| names.join("\n"))
    }
}

impl Journal {
    /// How much is kept from now on; 90 days and 50 GiB unless set.
    pub fn set_retention(&self, retention: Retention) {
        self.inner.bounds.set(retention);
    }

    /// How much is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.inner.bounds.get()
    }

    /// The offset of the oldest block, and when it was written in milliseconds since 1970: from there on, what was made of
    /// the journal can be made again. None if there is no block.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn oldest(&self) -> Result<Option<(u64, u64)>, JournalError> {
        self.read(|connection| {
            let oldest = connection
                .prepare_cached("SELECT offset, written FROM blocks ORDER BY offset LIMIT 1")?
                .query_row([], |row| Ok((loaded(row.get(0)?), loaded(row.get(1)?))))
                .optional()?;
            Ok(oldest)
        })
    }

    /// What consumers have lost, the latest first; of consumers that are gone, too, for ninety days.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn skips(&self) -> Result<Vec<SkipRow>, JournalError> {
        self.read(|connection| {
            let mut rows = connection.prepare_cached(
                "SELECT consumer, first, last, blocks, records, first_written, last_written, noted
                 FROM skips ORDER BY noted DESC, last DESC",
            )?;
            let rows = rows.query_map([], skip_from)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Deletes what is no longer to be kept (see the module), and gives free space back to the file system. To be called from
    /// time to time; [`Journal::room`] also frees space when it is needed.
    ///
    /// # Errors
    /// What SQLite says; what was deleted until then is gone.
    pub async fn trim(&self, now_ms: u64) -> Result<Trimmed, JournalError> {
        let _alone = self.inner.trimming.lock().await;
        let age = u64::try_from(self.retention().age.as_millis()).unwrap_or(u64::MAX);
        let mut trimmed = self
            .pass(Pass::Age(now_ms.saturating_sub(age)), now_ms)
            .await?;
        trimmed.add(self.relieve(now_ms).await?);
        self.give_back().await?;
        Ok(trimmed)
    }

    /// Frees what may be freed, until the journal fits its limit. The caller holds `trimming`.
    pub(super) async fn relieve(&self, now_ms: u64) -> Result<Trimmed, JournalError> {
        let limit = self.retention().size_bytes;
        let mut trimmed = Trimmed::default();
        for pass in [Pass::Size(limit), Pass::Skip(limit)] {
            if self.size()?.used_bytes() > limit {
                trimmed.add(self.pass(pass, now_ms).await?);
            }
        }
        Ok(trimmed)
    }

    async fn pass(&self, pass: Pass, now_ms: u64) -> Result<Trimmed, JournalError> {
        let mut trimmed = Trimmed::default();
        let mut after = Some(0);
        while let Some(from) = after {
            let step = self
                .write(move |connection| step(connection, pass, from, now_ms))
                .await?;
            trimmed.add(step.trimmed);
            after = step.next;
        }
        if trimmed.skipped > 0 {
            tracing::warn!(
                blocks = trimmed.skipped,
                "the journal is at its size limit: consumers that are not waited for have lost blocks"
            );
        }
        Ok(trimmed)
    }

    /// A file that was made without `auto_vacuum` keeps its free pages: they are used again all the same.
    async fn give_back(&self) -> Result<(), JournalError> {
        loop {
            let before = self.size()?.free_pages;
            if before <= KEPT_FREE {
                return Ok(());
            }
            let left = self
                .write(move |connection| {
                    let pages = GIVEN_BACK.min(before - KEPT_FREE);
                    let mut vacuum =
                        connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
                    let mut rows = vacuum.query([])?;
                    // Each row is one page.
                    while rows.next()?.is_some() {}
                    Ok(space::size(connection)?.free_pages)
                })
                .await?;
            if left >= before {
                return Ok(());
            }
        }
    }
}

fn skip_from(row: &Row<'_>) -> rusqlite::Result<SkipRow> {
    let number = |column: usize| Ok::<_, rusqlite::Error>(loaded(row.get(column)?));
    Ok(SkipRow {
        consumer: row.get(0)?,
        first: number(1)?,
        last: number(2)?,
        blocks: number(3)?,
        records: number(4)?,
        first_written_ms: number(5)?,
        last_written_ms: number(6)?,
        noted_ms: number(7)?,
    })
}

/// One transaction of a pass: looks at a bounded number of blocks behind `after`, and deletes a bounded number of them.
fn step(
    connection: &Connection,
    pass: Pass,
    after: u64,
    now_ms: u64,
) -> Result<Step, JournalError> {
    let consumers = consumers::all(connection)?;
    // One that is at work is not behind, whoever else fills the journal.
    let behind = consumers
        .iter()
        .map(|consumer| room::is_behind(connection, consumer, now_ms))
        .collect::<Result<Vec<_>, _>>()?;
    let candidates = candidates(connection, after)?;
    let is_last = candidates.len() < LOOKED_AT;
    let mut ranges: Vec<Range> = Vec::new();
    let mut trimmed = Trimmed::default();
    let mut next = after;
    let mut is_over = is_last;
    for block in &candidates {
        if trimmed.blocks == DELETED as u64 {
            is_over = false;
            break;
        }
        let goes_on = match pass {
            Pass::Age(before) => block.written_ms < before,
            Pass::Size(limit) | Pass::Skip(limit) => space::size(connection)?.used_bytes() > limit,
        };
        if !goes_on {
            is_over = true;
            break;
        }
        next = block.offset;
        let needing: Vec<usize> = (0..consumers.len())
            .filter(|number| consumers[*number].needs(block))
            .collect();
        let may_skip = |number: &usize| {
            matches!(pass, Pass::Skip(_))
                && consumers[*number].when_behind == WhenBehind::Skip
                && behind[*number]
        };
        if !needing.iter().all(may_skip) {
            // It stays, so whoever needs it has not lost everything from before it to behind it.
            for range in &mut ranges {
                range.is_open &= !needing.contains(&range.consumer);
            }
            continue;
        }
        for number in &needing {
            lose(&mut ranges, *number, block);
        }
        delete(connection, block)?;
        trimmed.blocks += 1;
        trimmed.records += block.records;
        trimmed.skipped += u64::from(!needing.is_empty());
    }
    for range in &ranges {
        note(connection, &consumers[range.consumer], range, now_ms)?;
    }
    for (number, consumer) in consumers.iter().enumerate() {
        let lost = ranges.iter().filter(|range| range.consumer == number);
        if let Some(last) = lost.map(|range| range.last).max() {
            move_on(connection, consumer, last)?;
        }
    }
    if is_over {
        connection
            .prepare_cached("DELETE FROM skips WHERE noted < ?1")?
            .execute([stored(now_ms.saturating_sub(SKIPS_KEPT_MS))])?;
    }
    Ok(Step {
        trimmed,
        next: (!is_over).then_some(next),
    })
}

fn candidates(connection: &Connection, after: u64) -> Result<Vec<Candidate>, JournalError> {
    let mut rows = connection.prepare_cached(
        "SELECT b.offset, b.connector, t.name, b.written, b.records
         FROM blocks b CROSS JOIN connectors c ON c.id = b.connector CROSS JOIN tenants t ON t.id = c.tenant
         WHERE b.offset > ?1 ORDER BY b.offset LIMIT ?2",
    )?;
    let rows = rows.query_map(params![stored(after), stored(LOOKED_AT as u64)], |row| {
        Ok(Candidate {
            offset: loaded(row.get(0)?),
            connector: row.get(1)?,
            tenant: row.get(2)?,
            written_ms: loaded(row.get(3)?),
            records: loaded(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes a block. When its connector last had records stays known.
fn delete(connection: &Connection, block: &Candidate) -> Result<(), JournalError> {
    let with_records = (block.records > 0).then_some(stored(block.written_ms));
    connection
        .prepare_cached(
            "INSERT INTO trimmed (connector, blocks, records, last_data) VALUES (?1, 1, ?2, ?3)
             ON CONFLICT DO UPDATE SET blocks = blocks + 1, records = records + excluded.records,
                 last_data = coalesce(max(last_data, excluded.last_data), last_data, excluded.last_data)",
        )?
        .execute(params![block.connector, stored(block.records), with_records])?;
    connection
        .prepare_cached("DELETE FROM blocks WHERE offset = ?1")?
        .execute([stored(block.offset)])?;
    Ok(())
}

fn lose(ranges: &mut Vec<Range>, consumer: usize, block: &Candidate) {
    let open = ranges
        .iter_mut()
        .find(|range| range.consumer == consumer && range.is_open);
    match open {
        Some(range) => {
            range.last = block.offset;
            range.blocks += 1;
            range.records += block.records;
            range.written.1 = block.written_ms;
        }
        None => ranges.push(Range {
            consumer,
            first: block.offset,
            last: block.offset,
            blocks: 1,
            records: block.records,
            written: (block.written_ms, block.written_ms),
            is_open: true,
        }),
    }
}

/// The first block behind `after` and before `before` that a consumer takes.
fn first_between(
    connection: &Connection,
    consumer: &ConsumerRow,
    after: u64,
    before: Option<u64>,
) -> Result<Option<u64>, JournalError> {
    Ok(connection
        .prepare_cached(
            "SELECT b.offset FROM blocks b CROSS JOIN connectors c ON c.id = b.connector
             CROSS JOIN tenants t ON t.id = c.tenant
             WHERE b.offset > ?1 AND (?2 IS NULL OR b.offset < ?2)
                 AND (?3 IS NULL OR instr(char(10) || ?3 || char(10), char(10) || t.name || char(10)))
             ORDER BY b.offset LIMIT 1",
        )?
        .query_row(
            params![stored(after), before.map(stored), consumer.lines()],
            |row| Ok(loaded(row.get(0)?)),
        )
        .optional()?)
}

/// Notes what a consumer lost: in the row of the range before it, if it has taken nothing in between and nothing is left there.
fn note(
    connection: &Connection,
    consumer: &ConsumerRow,
    range: &Range,
    now_ms: u64,
) -> Result<(), JournalError> {
    let last: Option<(i64, u64)> = connection
        .prepare_cached(
            "SELECT rowid, last FROM skips WHERE consumer = ?1 AND noted > ?2 AND last < ?3
             ORDER BY last DESC LIMIT 1",
        )?
        .query_row(
            params![
                consumer.name,
                stored(now_ms.saturating_sub(SAME_SKIP_MS)),
                stored(range.first)
            ],
            |row| Ok((row.get(0)?, loaded(row.get(1)?))),
        )
        .optional()?;
    if let Some((row, last)) = last
        && consumer.acknowledged <= last
        && first_between(connection, consumer, last, Some(range.first))?.is_none()
    {
        connection
            .prepare_cached(
                "UPDATE skips SET last = ?2, blocks = blocks + ?3, records = records + ?4, last_written = ?5, noted = ?6
                 WHERE rowid = ?1",
            )?
            .execute(params![
                row,
                stored(range.last),
                stored(range.blocks),
                stored(range.records),
                stored(range.written.1),
                stored(now_ms)
            ])?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO skips (consumer, first, last, blocks, records, first_written, last_written, noted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            consumer.name,
            stored(range.first),
            stored(range.last),
            stored(range.blocks),
            stored(range.records),
            stored(range.written.0),
            stored(range.written.1),
            stored(now_ms)
        ])?;
    Ok(())
}

/// Moves a consumer's place on behind what it lost, as far as nothing is left that it can still take.
fn move_on(
    connection: &Connection,
    consumer: &ConsumerRow,
    lost_to: u64,
) -> Result<(), JournalError> {
    let left = first_between(connection, consumer, consumer.acknowledged, None)?;
    let place = left.map_or(lost_to, |left| lost_to.min(left.saturating_sub(1)));
    connection
        .prepare_cached(
            "UPDATE consumers SET acknowledged = ?2 WHERE name = ?1 AND acknowledged < ?2",
        )?
        .execute(params![consumer.name, stored(place)])?;
    Ok(())
}

#[cfg(test)]
mod tests;
