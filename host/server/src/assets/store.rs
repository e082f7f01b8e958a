//! The store: assets as they are read, by the API, commands and searches, also while the consumer writes them.
//!
//! Whose assets are shown is decided by the caller's [`Scope`]: an asset of another tenant is not there.

use super::column::{Column, ColumnError};
use super::document::{self, AssetDocument, AssetWithDetections, COLUMNS};
use super::schema::{self, loaded};
use super::{AssetError, FILE_NAME};
use crate::search::request::Scope;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How many documents are read at once.
const CHUNK: i64 = 500;

/// See the module.
pub(crate) struct AssetStore {
    path: PathBuf,
}

/// Which assets: all that fit every condition.
#[derive(Clone, Debug, Default)]
pub(crate) struct AssetFilter {
    /// Columns, each with what it is to be like; see [`super::column`].
    pub(crate) conditions: Vec<(Column, String)>,
    /// A tenant's name or id.
    pub(crate) tenant: Option<String>,
}

/// In which order, and which part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssetPage {
    /// None: by name.
    pub(crate) sort: Option<Column>,
    pub(crate) downwards: bool,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// A page of assets.
#[derive(Debug, Default)]
pub(crate) struct Assets {
    /// On all pages.
    pub(crate) total: usize,
    pub(crate) assets: Vec<AssetDocument>,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Shown {
    One(Box<AssetWithDetections>),
    /// Several assets have the name: their ids, some of them if there are many.
    Several(Vec<String>),
    None,
}

impl AssetStore {
    /// The assets of a data directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE_NAME),
        }
    }

    /// Up to which block of the journal they know everything; 0 if there are none yet.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn offset(&self) -> Result<u64, AssetError> {
        match schema::open_read_only(&self.path)? {
            Some(connection) => schema::offset(&connection),
            None => Ok(0),
        }
    }

    /// A part of the assets that fit a filter.
    ///
    /// # Errors
    /// A value that does not fit its column, or if the file cannot be read.
    pub(crate) fn list(
        &self,
        scope: &Scope,
        filter: &AssetFilter,
        page: AssetPage,
    ) -> Result<Assets, AssetError> {
        let Conditions { sql, values } = Conditions::of(scope, filter)?;
        let order = match page.sort {
            Some(column) => column.order()?,
            None => Column::named("name")?.order()?,
        };
        let direction = match page.downwards {
            false => "ASC",
            true => "DESC",
        };
        let Some(mut connection) = schema::open_read_only(&self.path)? else {
            return Ok(Assets::default());
        };
        // One state for both answers.
        let state = connection.transaction()?;
        let total: i64 = state
            .prepare(&format!(
                "SELECT count(*) FROM assets a JOIN tenants t ON t.id = a.tenant WHERE {sql}"
            ))?
            .query_row(params_from_iter(&values), |row| row.get(0))?;
        let number = |number: usize| SqlValue::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let mut values = values;
        values.push(number(page.limit));
        values.push(number(page.offset));
        let assets = state
            .prepare(&format!(
                "SELECT {COLUMNS} FROM assets a JOIN tenants t ON t.id = a.tenant WHERE {sql}
                 ORDER BY {order} IS NULL, {order} COLLATE NOCASE {direction}, a.seq {direction}
                 LIMIT ? OFFSET ?"
            ))?
            .query_map(params_from_iter(&values), |row| {
                AssetDocument::of_row(row).map(|(_, asset)| asset)
            })?
            .collect::<Result<_, _>>()?;
        Ok(Assets {
            total: usize::try_from(total).unwrap_or(0),
            assets,
        })
    }

    /// An asset by its id, by an id that it had, or by its name, with what is open on it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn show(&self, scope: &Scope, reference: &str) -> Result<Shown, AssetError> {
        const SEVERAL: usize = 10;
        let Some(mut connection) = schema::open_read_only(&self.path)? else {
            return Ok(Shown::None);
        };
        let state = connection.transaction()?;
        let select = |condition: &str| {
            format!(
                "SELECT {COLUMNS} FROM assets a JOIN tenants t ON t.id = a.tenant
                 WHERE (?2 IS NULL OR a.tenant = ?2) AND ({condition}) ORDER BY a.seq LIMIT {SEVERAL}"
            )
        };
        let found = |condition: &str| -> rusqlite::Result<Vec<(i64, AssetDocument)>> {
            state
                .prepare(&select(condition))?
                .query_map(params![reference, scope.tenant], AssetDocument::of_row)?
                .collect()
        };
        let mut assets = found(
            "a.id = lower(?1) OR a.seq = (SELECT asset FROM aliases WHERE alias = lower(?1))",
        )?;
        if assets.is_empty() {
            assets = found("lower(a.shown_name) = lower(?1)")?;
        }
        let (seq, asset) = match assets.pop() {
            None => return Ok(Shown::None),
            Some(only) if assets.is_empty() => only,
            Some(last) => {
                assets.push(last);
                return Ok(Shown::Several(
                    assets.into_iter().map(|(_, asset)| asset.id).collect(),
                ));
            }
        };
        let detections = state
            .prepare(
                "SELECT d.identity, d.vulnerability, d.title, d.status, d.severity, d.qds, d.cve, d.first_seen, d.last_seen
                 FROM identities i JOIN detections d ON d.host = i.key WHERE i.asset = ?1 AND d.closed IS NULL
                 ORDER BY CASE lower(d.severity) WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2
                     WHEN 'low' THEN 3 WHEN 'informational' THEN 4 ELSE 5 END,
                     d.qds DESC, d.identity, d.host, d.part",
            )?
            .query_map([seq], document::detection)?
            .collect::<Result<_, _>>()?;
        Ok(Shown::One(Box::new(AssetWithDetections {
            asset,
            detections,
        })))
    }

    /// All assets of a scope in the order of their creation, as one state of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn documents(&self, scope: &Scope) -> Result<Documents, AssetError> {
        let connection = schema::open_read_only(&self.path)?;
        if let Some(connection) = &connection {
            connection.execute_batch("BEGIN")?;
        }
        Ok(Documents {
            connection,
            tenant: scope.tenant.clone(),
            after: 0,
            read: Vec::new().into_iter(),
        })
    }

    /// The id of the tenant that a name or id stands for, as far as it has assets.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn tenant(&self, reference: &str) -> Result<Option<String>, AssetError> {
        let Some(connection) = schema::open_read_only(&self.path)? else {
            return Ok(None);
        };
        Ok(connection
            .query_row(
                "SELECT id FROM tenants WHERE name = ?1 OR id = ?1",
                [reference],
                |row| row.get(0),
            )
            .optional()?)
    }
}

/// The conditions of a list.
struct Conditions {
    sql: String,
    values: Vec<SqlValue>,
}

impl Conditions {
    fn of(scope: &Scope, filter: &AssetFilter) -> Result<Self, ColumnError> {
        let mut parts = vec!["1".to_owned()];
        let mut values = Vec::new();
        if let Some(tenant) = &scope.tenant {
            parts.push("a.tenant = ?".to_owned());
            values.push(SqlValue::Text(tenant.clone()));
        }
        if let Some(tenant) = &filter.tenant {
            parts.push("? IN (a.tenant, t.name)".to_owned());
            values.push(SqlValue::Text(tenant.clone()));
        }
        for (column, value) in &filter.conditions {
            let clause = column.clause(value)?;
            let parameters = clause.sql.matches('?').count();
            values.extend(std::iter::repeat_n(clause.value, parameters));
            parts.push(clause.sql);
        }
        Ok(Self {
            sql: parts.join(" AND "),
            values,
        })
    }
}

/// See [`AssetStore::documents`]. Each with its id and its place in the order of creation.
pub(crate) struct Documents {
    connection: Option<Connection>,
    tenant: Option<String>,
    after: i64,
    read: std::vec::IntoIter<(i64, AssetDocument)>,
}

impl Documents {
    fn more(&self, connection: &Connection) -> Result<Vec<(i64, AssetDocument)>, AssetError> {
        Ok(connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM assets a JOIN tenants t ON t.id = a.tenant
                 WHERE (?1 IS NULL OR a.tenant = ?1) AND a.seq > ?2 ORDER BY a.seq LIMIT {CHUNK}"
            ))?
            .query_map(params![self.tenant, self.after], AssetDocument::of_row)?
            .collect::<Result<_, _>>()?)
    }
}

impl Iterator for Documents {
    type Item = Result<(String, u64, Value), AssetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0 {
            let connection = self.connection.take()?;
            match self.more(&connection) {
                Ok(read) => {
                    self.after = read.last().map_or(self.after, |(seq, _)| *seq);
                    self.read = read.into_iter();
                    self.connection = Some(connection);
                }
                // There is no going on behind a failure.
                Err(error) => return Some(Err(error)),
            }
        }
        let (seq, asset) = self.read.next()?;
        let document = asset.to_value();
        Some(Ok((asset.id, loaded(seq), document)))
    }
}
