//! The schema of the file, as one ordered list of steps.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::JournalError;
use super::files::PATIENCE;

/// The first version: everything a collection needs.
///
/// A cursor's generation is that of its connector plus that of its content type (`resets`), so that a reset also reaches
/// batches whose cursor has no row yet; both only ever grow.
/// `cache_bytes` is kept by every commit: a plugin's share is checked at each run, and summing it up would read it all.
const FIRST: &str = "
CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE connectors (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    cache_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE resets (
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    content_type TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (connector, content_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    content_type TEXT NOT NULL,
    part TEXT NOT NULL,
    cursor TEXT NOT NULL,
    generation INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (connector, content_type, part)
) STRICT;

CREATE TABLE cache (
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (connector, key)
) STRICT;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    ledger TEXT
) STRICT;
CREATE INDEX runs_by_connector ON runs (connector, started);
CREATE INDEX runs_by_start ON runs (started);

-- The large columns come last: a reader that skips a block does not touch them.
CREATE TABLE blocks (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL REFERENCES connectors (id),
    content_type TEXT NOT NULL,
    indices TEXT NOT NULL,
    written INTEGER NOT NULL,
    first_time INTEGER,
    last_time INTEGER,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    notes BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX blocks_by_connector ON blocks (connector, offset);
";

/// What is remembered of connectors whose plugin faulted too often.
const STRIKES: &str = "
CREATE TABLE strikes (
    connector TEXT PRIMARY KEY REFERENCES connectors (id) ON DELETE CASCADE,
    plugin TEXT NOT NULL,
    runs INTEGER NOT NULL,
    not_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What was accepted for each plugin.
const GRANTS: &str = "
CREATE TABLE grants (
    plugin TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    granted TEXT NOT NULL,
    accepted INTEGER NOT NULL
) STRICT;
";

/// What has been spent of vendors' quotas, one JSON object per account and bucket.
const QUOTA: &str = "
CREATE TABLE quota (
    account TEXT NOT NULL,
    bucket TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (account, bucket)
) STRICT, WITHOUT ROWID;
";

/// What is to be read again from a moment on, of content types that have not begun to.
const RECOLLECTIONS: &str = "
CREATE TABLE recollections (
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    content_type TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (connector, content_type)
) STRICT, WITHOUT ROWID;
";

/// Who takes the blocks, and how far each has come.
const CONSUMERS: &str = "
CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    tenants TEXT,
    when_behind TEXT NOT NULL,
    acknowledged INTEGER NOT NULL,
    added INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What consumers have lost because they were too far behind, and what was deleted of each connector: how much, and when
/// its last records had been written.
const RETENTION: &str = "
CREATE TABLE skips (
    consumer TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    records INTEGER NOT NULL,
    first_written INTEGER NOT NULL,
    last_written INTEGER NOT NULL,
    noted INTEGER NOT NULL
) STRICT;
CREATE INDEX skips_by_consumer ON skips (consumer, last);

CREATE TABLE trimmed (
    connector TEXT PRIMARY KEY REFERENCES connectors (id) ON DELETE CASCADE,
    blocks INTEGER NOT NULL,
    records INTEGER NOT NULL,
    last_data INTEGER
) STRICT, WITHOUT ROWID;
";

/// The journal's own steps, in their order; this list only ever grows at its end.
///
/// A file remembers how many steps of the whole list it has seen, so a caller with tables of its own hands to
/// [`Journal::open`](super::Journal::open) both in the order of their release: a step of the journal that was released after
/// one of the caller's comes behind it there.
#[must_use]
pub fn migrations() -> Vec<M<'static>> {
    vec![
        M::up(FIRST),
        M::up(STRIKES),
        M::up(GRANTS),
        M::up(QUOTA),
        M::up(RECOLLECTIONS),
        M::up(CONSUMERS),
        M::up(RETENTION),
    ]
}

/// Opens the file to write, and brings it up to date.
pub(super) fn open(path: &Path, steps: Vec<M<'static>>) -> Result<Connection, JournalError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // Before anything is set: a file of a newer version is not touched.
    let found = version(&connection)?;
    let known = steps.len();
    if found > known {
        return Err(JournalError::SchemaNewer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    // Only effective before the first table; an older file keeps what it has.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // After a burst the log shrinks again.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Migrations::new(steps)
        .to_latest(&mut connection)
        .map_err(|source| JournalError::Migration {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
    Ok(connection)
}

/// Checks that a file opened to read has the schema that is known here.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
    known: usize,
) -> Result<(), JournalError> {
    let found = version(connection)?;
    let path = path.to_owned();
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(JournalError::SchemaOlder { path, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(JournalError::SchemaNewer { path, found, known }),
    }
}

pub(super) fn version(connection: &Connection) -> Result<usize, JournalError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A negative one is not ours either.
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// A number as SQLite keeps it; times and counts never come near the limit.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was stored; a negative one was not written here and reads as 0.
pub(super) fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
