//! Room: whether the next batch may be collected, and if not, whose doing that is.
//!
//! Promised: a tenant waits only for a consumer that takes its blocks and is waited for; one whose consumers have all taken
//! everything never waits for room. Nothing is asked of a vendor that could not be kept.

use std::fmt;

use rusqlite::{Connection, params};

use super::Journal;
use super::consumers::{self, ConsumerRow, WhenBehind};
use super::error::JournalError;
use super::schema::{loaded, stored};

/// A consumer that is behind by less time, and by less than an eighth of the journal, holds up nobody: it is at work, and
/// what fills the journal is another's.
const AT_WORK_MS: u64 = 10_000;
const REAL_PART: u64 = 8;

/// Why there is no room for another batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// The journal is at its size limit, and a consumer that is waited for has not taken what could be deleted.
    Behind {
        /// Which.
        consumer: String,
        /// Blocks of its tenants that it has not taken.
        blocks: u64,
        /// How long ago the oldest of them was written, in milliseconds.
        behind_ms: u64,
        /// What the journal uses, in bytes.
        used_bytes: u64,
        /// What it may use.
        limit_bytes: u64,
    },
    /// Too little of the disk is free.
    Disk {
        /// How full, where, and how much must be freed.
        what: String,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind {
                consumer,
                blocks,
                behind_ms,
                used_bytes,
                limit_bytes,
            } => write!(
                f,
                "the journal uses {} MiB and may use {} MiB (`size_limit_gib`), and nothing more can be deleted: the consumer {consumer} has yet to take {blocks} blocks, the oldest written {} ago. Let it catch up, raise the limit, or remove it",
                used_bytes >> 20,
                limit_bytes >> 20,
                Ago(*behind_ms)
            ),
            Self::Disk { what } => write!(f, "the disk is full: {what}"),
        }
    }
}

/// A time in the largest unit that fits.
struct Ago(u64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        match seconds {
            0..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min", seconds / 60),
            7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}

impl Journal {
    /// Whether another batch of a tenant (its name) may be collected; none if so. Beyond the size limit, what may be deleted
    /// is deleted first.
    ///
    /// # Errors
    /// What SQLite or the file system says.
    pub async fn room(&self, tenant: &str, now_ms: u64) -> Result<Option<Shortage>, JournalError> {
        if let Some(what) = self.disk_shortage()? {
            return Ok(Some(Shortage::Disk { what }));
        }
        let limit = self.retention().size_bytes;
        if self.size()?.used_bytes() <= limit {
            return Ok(None);
        }
        {
            let _alone = self.inner.trimming.lock().await;
            match self.relieve(now_ms).await {
                Err(JournalError::DiskFull { what }) => return Ok(Some(Shortage::Disk { what })),
                relieved => relieved?,
            };
        }
        let used_bytes = self.size()?.used_bytes();
        if used_bytes <= limit {
            return Ok(None);
        }
        let held_up = self.read(|connection| holds_up(connection, tenant, now_ms))?;
        Ok(held_up.map(|held_up| Shortage::Behind {
            consumer: held_up.consumer,
            blocks: held_up.blocks,
            behind_ms: held_up.behind_ms,
            used_bytes,
            limit_bytes: limit,
        }))
    }
}

struct HoldsUp {
    consumer: String,
    blocks: u64,
    behind_ms: u64,
}

/// The consumer that a tenant has to wait for; of several the one that lacks the most.
fn holds_up(
    connection: &Connection,
    tenant: &str,
    now_ms: u64,
) -> Result<Option<HoldsUp>, JournalError> {
    let all: u64 = connection.query_row("SELECT count(*) FROM blocks", [], |row| {
        Ok(loaded(row.get(0)?))
    })?;
    let mut worst: Option<HoldsUp> = None;
    let waited_for = consumers::all(connection)?
        .into_iter()
        .filter(|consumer| consumer.when_behind == WhenBehind::Wait && consumer.covers(tenant));
    for consumer in waited_for {
        let (blocks, written_ms) = untaken(connection, &consumer)?;
        let behind_ms = now_ms.saturating_sub(written_ms);
        let is_behind = lacks(blocks, all, behind_ms);
        if blocks > 0 && is_behind && worst.as_ref().is_none_or(|worst| worst.blocks < blocks) {
            worst = Some(HoldsUp {
                consumer: consumer.name,
                blocks,
                behind_ms,
            });
        }
    }
    Ok(worst)
}

/// Whether a consumer is behind, and not only at work.
pub(super) fn is_behind(
    connection: &Connection,
    consumer: &ConsumerRow,
    now_ms: u64,
) -> Result<bool, JournalError> {
    let all: u64 = connection.query_row("SELECT count(*) FROM blocks", [], |row| {
        Ok(loaded(row.get(0)?))
    })?;
    let (blocks, written_ms) = untaken(connection, consumer)?;
    Ok(blocks > 0 && lacks(blocks, all, now_ms.saturating_sub(written_ms)))
}

/// Whether so many blocks of all, the oldest written so long ago, are more than work under way.
const fn lacks(blocks: u64, all: u64, behind_ms: u64) -> bool {
    behind_ms >= AT_WORK_MS || blocks.saturating_mul(REAL_PART) >= all
}

/// How many blocks a consumer has not taken, and when the oldest of them was written.
fn untaken(connection: &Connection, consumer: &ConsumerRow) -> Result<(u64, u64), JournalError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*), coalesce(min(b.written), 0) FROM blocks b
             CROSS JOIN connectors c ON c.id = b.connector CROSS JOIN tenants t ON t.id = c.tenant
             WHERE b.offset > ?1
                 AND (?2 IS NULL OR instr(char(10) || ?2 || char(10), char(10) || t.name || char(10)))",
        )?
        .query_row(
            params![stored(consumer.acknowledged), consumer.lines()],
            |row| Ok((loaded(row.get(0)?), loaded(row.get(1)?))),
        )?)
}
