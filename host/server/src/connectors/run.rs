//! Runs with the names of their connectors, those of deleted ones included.

use super::error::CatalogueError;
use super::{Catalogue, loaded, stored};
use rusqlite::{Row, params};
use serde::Serialize;

/// A run. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StoredRun {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// `tenant/name`.
    pub(crate) connector: String,
    /// 24 hexadecimal digits.
    #[serde(skip)]
    pub(crate) connector_id: String,
    /// 32 hexadecimal digits.
    #[serde(skip)]
    pub(crate) tenant_id: String,
    /// The plugin's id.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether the connector has been deleted since.
    pub(crate) deleted: bool,
    pub(crate) started: u64,
    /// None while it is under way or if it was interrupted.
    pub(crate) ended: Option<u64>,
    /// `done`, `incomplete`, `postponed`, `failed` or `interrupted`; none while it is under way.
    pub(crate) outcome: Option<String>,
    /// Records that became durable, as its ledger says.
    pub(crate) records: Option<u64>,
    /// The ledger, one JSON object.
    #[serde(skip)]
    pub(crate) ledger: Option<String>,
}

const SELECT: &str = "
SELECT r.id, t.name || '/' || coalesce(x.name, c.name), c.kind, x.name IS NOT NULL, r.started, r.ended, r.outcome,
    r.ledger ->> '$.records', r.ledger, c.id, t.id
FROM runs r JOIN connectors c ON c.id = r.connector JOIN tenants t ON t.id = c.tenant
LEFT JOIN deletions x ON x.connector = c.id";

impl StoredRun {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            connector: row.get(1)?,
            kind: row.get(2)?,
            deleted: row.get(3)?,
            started: loaded(row.get(4)?),
            ended: row.get::<_, Option<i64>>(5)?.map(loaded),
            outcome: row.get(6)?,
            records: row.get::<_, Option<i64>>(7)?.map(loaded),
            ledger: row.get(8)?,
            connector_id: row.get(9)?,
            tenant_id: row.get(10)?,
        })
    }
}

impl Catalogue {
    /// The last `limit` runs, of one connector or of all, the newest first.
    ///
    /// # Errors
    /// If there is no such connector.
    pub(crate) fn runs(
        &self,
        reference: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRun>, CatalogueError> {
        let connector = match reference {
            Some(reference) => Some(self.connector(reference)?.id),
            None => None,
        };
        self.look(|database| {
            let filter = match connector {
                Some(_) => "WHERE r.connector = ?1",
                None => "WHERE ?1 IS NULL",
            };
            let mut rows = database.prepare_cached(&format!(
                "{SELECT} {filter} ORDER BY r.started DESC, r.rowid DESC LIMIT ?2"
            ))?;
            let rows = rows.query_map(
                params![connector, stored(limit as u64)],
                StoredRun::from_row,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The run whose id begins with `id`.
    ///
    /// # Errors
    /// If there is none, or several.
    pub(crate) fn run(&self, id: &str) -> Result<StoredRun, CatalogueError> {
        let unknown = || {
            CatalogueError::Conflict(format!(
                "there is no run `{id}`; `connector-host runs list` shows their ids, of which the first digits are enough"
            ))
        };
        // No pattern of LIKE can stand among these.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let mut found: Vec<StoredRun> = self.look(|database| {
            let mut rows =
                database.prepare_cached(&format!("{SELECT} WHERE r.id LIKE ?1 || '%' LIMIT 2"))?;
            let rows = rows.query_map([id], StoredRun::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        match (found.pop(), found.is_empty()) {
            (Some(run), true) => Ok(run),
            (Some(_), false) => Err(CatalogueError::Conflict(format!(
                "several runs begin with `{id}`; give more digits"
            ))),
            (None, _) => Err(unknown()),
        }
    }
}
