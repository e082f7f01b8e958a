//! The tables of `assets.sqlite`, and how the file is opened.
//!
//! ```text
//! place        the offset of the last block that is in here
//! tenants      their names
//! assets       one row a machine, with what is shown of it
//! aliases      ids of assets that turned out to be another
//! identities   what a machine is recognised by ─▶ its asset (none yet: what is known waits)
//! addresses    which addresses an asset has and had
//! sources      what told of it
//! detections   what was found, under the identity that it was found on
//! partial      detections of a host whose collection goes on in a later block
//! ```
//!
//! A file that is no database is put aside, not deleted: the assets know more than the journal still has.

use super::AssetError;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use rusqlite_migration::{M, Migrations};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a writer may hold up another connection.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE place (one INTEGER PRIMARY KEY CHECK (one = 1), journal_offset INTEGER NOT NULL);
INSERT INTO place VALUES (1, 0);
CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE assets (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    name TEXT, name_time INTEGER NOT NULL DEFAULT 0,
    hostname TEXT, hostname_time INTEGER NOT NULL DEFAULT 0,
    os TEXT, os_time INTEGER NOT NULL DEFAULT 0,
    mac TEXT NOT NULL DEFAULT '[]', mac_time INTEGER NOT NULL DEFAULT 0,
    tags TEXT NOT NULL DEFAULT '[]', tags_time INTEGER NOT NULL DEFAULT 0,
    -- Made at a commit, of the other tables.
    shown_name TEXT NOT NULL DEFAULT '',
    ip TEXT NOT NULL DEFAULT '[]',
    ip_order TEXT,
    iphistory TEXT NOT NULL DEFAULT '[]',
    data_sources TEXT NOT NULL DEFAULT '[]',
    msg_class TEXT NOT NULL DEFAULT '[]',
    vendor_ids TEXT NOT NULL DEFAULT '[]',
    aliases TEXT NOT NULL DEFAULT '[]',
    open INTEGER NOT NULL DEFAULT 0,
    critical INTEGER NOT NULL DEFAULT 0,
    high INTEGER NOT NULL DEFAULT 0,
    medium INTEGER NOT NULL DEFAULT 0,
    low INTEGER NOT NULL DEFAULT 0,
    informational INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    cves INTEGER NOT NULL DEFAULT 0,
    worst_qds REAL
);
CREATE INDEX assets_by_tenant ON assets (tenant, seq);
CREATE TABLE aliases (alias TEXT PRIMARY KEY, asset INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX aliases_by_asset ON aliases (asset);
CREATE TABLE identities (
    key INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind INTEGER NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    asset INTEGER,
    time INTEGER NOT NULL,
    UNIQUE (tenant, kind, scope, value)
);
CREATE INDEX identities_by_asset ON identities (asset, kind);
CREATE TABLE addresses (
    asset INTEGER NOT NULL,
    scope TEXT NOT NULL,
    ip TEXT NOT NULL,
    -- Which identity last had it.
    view INTEGER NOT NULL,
    last INTEGER NOT NULL,
    current INTEGER NOT NULL,
    PRIMARY KEY (asset, scope, ip)
) WITHOUT ROWID;
CREATE TABLE sources (asset INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (asset, source)) WITHOUT ROWID;
CREATE TABLE classes (asset INTEGER NOT NULL, class TEXT NOT NULL, PRIMARY KEY (asset, class)) WITHOUT ROWID;
CREATE TABLE parts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE detections (
    host INTEGER NOT NULL,
    part INTEGER NOT NULL,
    identity TEXT NOT NULL,
    vulnerability TEXT,
    title TEXT,
    status TEXT,
    severity TEXT,
    qds REAL,
    cve TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    closed TEXT,
    PRIMARY KEY (host, part, identity)
) WITHOUT ROWID;
CREATE TABLE partial (
    host INTEGER NOT NULL, part INTEGER NOT NULL, identity TEXT NOT NULL,
    PRIMARY KEY (host, part, identity)
) WITHOUT ROWID;
";

fn steps() -> Vec<M<'static>> {
    vec![M::up(TABLES)]
}

fn version(connection: &Connection) -> Result<usize, AssetError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// Opens the file to write, made if there is none, and answers the offset that it holds. A damaged one is put aside.
pub(super) fn open(path: &Path) -> Result<(Connection, u64), AssetError> {
    match open_as_it_is(path) {
        Err(error) if error.is_damage() => {
            let aside = put_aside(path)?;
            tracing::warn!(
                "{}: it is damaged ({error}) and was put aside as {}; the assets are made again of what the journal still has",
                path.display(),
                aside.display()
            );
            open_as_it_is(path)
        }
        opened => opened,
    }
}

fn open_as_it_is(path: &Path) -> Result<(Connection, u64), AssetError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    let (found, known) = (version(&connection)?, steps().len());
    if found > known {
        return Err(AssetError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // The journal forgets what this file says that it holds.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    Migrations::new(steps())
        .to_latest(&mut connection)
        .map_err(|source| AssetError::Schema {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
    let offset = offset(&connection)?;
    make_private(path)?;
    Ok((connection, offset))
}

/// Up to which block the file holds everything.
pub(super) fn offset(connection: &Connection) -> Result<u64, AssetError> {
    let offset: i64 = connection
        .prepare_cached("SELECT journal_offset FROM place")?
        .query_row([], |row| row.get(0))?;
    Ok(loaded(offset))
}

/// Opens the file to read, also while a process writes it; none if there is none.
pub(super) fn open_read_only(path: &Path) -> Result<Option<Connection>, AssetError> {
    if !path.is_file() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    let (found, known) = (version(&connection)?, steps().len());
    match found {
        // It is just being made.
        0 => Ok(None),
        found if found > known => Err(AssetError::Newer {
            path: path.to_owned(),
            found,
            known,
        }),
        found if found < known => Err(AssetError::Older {
            path: path.to_owned(),
        }),
        _ => Ok(Some(connection)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn put_aside(path: &Path) -> Result<PathBuf, AssetError> {
    let aside = beside(path, ".damaged");
    for ending in ["-wal", "-shm"] {
        let file = beside(path, ending);
        if file.exists() {
            fs::rename(&file, beside(&aside, ending)).map_err(|source| AssetError::File {
                path: file.clone(),
                source,
            })?;
        }
    }
    fs::rename(path, &aside).map_err(|source| AssetError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(aside)
}

#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), AssetError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|source| {
        AssetError::File {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<(), AssetError> {
    Ok(())
}

/// Which file lies at a path: it tells whether another one has come in its place. None if there is none.
pub(super) fn file_at(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        Some((0, 0))
    }
}

/// The number of a part of what a connector collects: its content type.
pub(super) fn part(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT id FROM parts WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => connection
            .prepare_cached("INSERT INTO parts (name) VALUES (?1) RETURNING id")?
            .query_row([name], |row| row.get(0)),
    }
}

/// A number as SQLite keeps it; times and counts never come near the limit.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was stored.
pub(super) fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
