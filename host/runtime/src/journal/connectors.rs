//! Tenants and connectors: their ids, made at first use and kept for ever, since every record's identity depends on them.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};

/// A connector, as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorRow {
    /// 24 hexadecimal digits.
    pub id: String,
    /// Unique within its tenant.
    pub name: String,
    /// The plugin's id.
    pub kind: String,
    /// 32 hexadecimal digits.
    pub tenant_id: String,
    /// Unique.
    pub tenant_name: String,
    /// When it was first used, in milliseconds since 1970.
    pub created_ms: u64,
}

const COLUMNS: &str = "SELECT c.id, c.name, c.kind, t.id, t.name, c.created
    FROM connectors c JOIN tenants t ON t.id = c.tenant";

impl ConnectorRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            kind: row.get(2)?,
            tenant_id: row.get(3)?,
            tenant_name: row.get(4)?,
            created_ms: loaded(row.get(5)?),
        })
    }
}

fn find(
    connection: &Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<ConnectorRow>, JournalError> {
    Ok(connection
        .prepare_cached(&format!("{COLUMNS} WHERE t.name = ?1 AND c.name = ?2"))?
        .query_row([tenant, name], ConnectorRow::from_row)
        .optional()?)
}

impl ConnectorRow {
    /// The connector `name` of the tenant `tenant`, inside a caller's own write (see [`Journal::write`]); both are made, with
    /// ids at random, if they are new. One that is there may be of another `kind`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn found_or_made(
        connection: &Connection,
        tenant: &str,
        name: &str,
        kind: &str,
    ) -> Result<Self, JournalError> {
        match find(connection, tenant, name)? {
            Some(row) => Ok(row),
            None => make(connection, tenant, name, kind),
        }
    }
}

fn make(
    connection: &Connection,
    tenant: &str,
    name: &str,
    kind: &str,
) -> Result<ConnectorRow, JournalError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let now = stored(u64::try_from(now).unwrap_or(u64::MAX));
    let random = || Uuid::new_v4().simple().to_string();
    connection.execute(
        "INSERT INTO tenants (id, name, created) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
        params![random(), tenant, now],
    )?;
    let id = random();
    connection.execute(
        "INSERT INTO connectors (id, tenant, name, kind, created)
         VALUES (?1, (SELECT id FROM tenants WHERE name = ?2), ?3, ?4, ?5)",
        params![&id[..24], tenant, name, kind, now],
    )?;
    find(connection, tenant, name)?
        .ok_or(JournalError::Sqlite(rusqlite::Error::QueryReturnedNoRows))
}

impl Journal {
    /// The connector `name` of the tenant `tenant`; both are made, with ids at random, if they are new. Waits for the disk
    /// then, on the present thread.
    ///
    /// # Errors
    /// [`JournalError::OtherKind`] if the connector exists with another `kind`; [`JournalError::ReadOnly`] if it is new and
    /// the journal was opened to read.
    pub fn connector(
        &self,
        tenant: &str,
        name: &str,
        kind: &str,
    ) -> Result<ConnectorRow, JournalError> {
        let row = match self.find_connector(tenant, name)? {
            Some(row) => row,
            None => {
                let [tenant, name, kind] = [tenant, name, kind].map(str::to_owned);
                self.write_and_wait(move |connection| {
                    ConnectorRow::found_or_made(connection, &tenant, &name, &kind)
                })?
            }
        };
        if row.kind == kind {
            return Ok(row);
        }
        Err(JournalError::OtherKind {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            kind: row.kind,
            asked: kind.to_owned(),
        })
    }

    /// The connector `name` of the tenant `tenant`, if it has ever been used.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn find_connector(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Option<ConnectorRow>, JournalError> {
        self.read(|connection| find(connection, tenant, name))
    }

    /// All connectors, by tenant and name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn connectors(&self) -> Result<Vec<ConnectorRow>, JournalError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("{COLUMNS} ORDER BY t.name, c.name"))?;
            let rows = statement.query_map([], ConnectorRow::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
