//! Connectors as they are kept: read, found by name, listed. No secret's value is among what is read here.

use super::Catalogue;
use super::error::CatalogueError;
use super::{loaded, status};
use crate::api::page::Window;
use crate::status::Status;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A connector of the catalogue. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StoredConnector {
    /// 24 hexadecimal digits.
    pub(crate) id: String,
    /// Unique within its tenant.
    pub(crate) name: String,
    /// The plugin's id.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The tenant's name.
    pub(crate) tenant: String,
    /// 32 hexadecimal digits.
    pub(crate) tenant_id: String,
    /// Whether it collects.
    pub(crate) active: bool,
    /// The device that it runs on.
    pub(crate) run_on: String,
    /// The plugin's version when the settings were last checked.
    pub(crate) version: String,
    /// The chosen content types.
    pub(crate) content_types: Vec<String>,
    /// Minutes between runs.
    pub(crate) interval_minutes: u64,
    /// The profiles that it is in.
    pub(crate) profiles: Vec<String>,
    /// As typed, without secrets.
    pub(crate) settings: Value,
    /// JSON pointers of the settings that are kept as secrets.
    pub(crate) secrets: Vec<String>,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    /// When it is to run next; none before it was in a profile.
    pub(crate) due: Option<u64>,
    /// The run that began last.
    pub(crate) last_run: Option<LastRun>,
    /// The end of the last run that was done.
    pub(crate) last_activity: Option<u64>,
    /// When records were last committed.
    pub(crate) last_data_received: Option<u64>,
}

/// The run that began last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LastRun {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) started: u64,
    /// None while it is under way or if it was interrupted.
    pub(crate) ended: Option<u64>,
    /// `done`, `incomplete`, `postponed`, `failed` or `interrupted`; none while it is under way.
    pub(crate) outcome: Option<String>,
}

const SELECT: &str = "
SELECT c.id, c.name, c.kind, t.name, t.id, d.active, d.run_on, d.version, d.content_types, d.interval_minutes,
    (SELECT json_group_array(profile) FROM
        (SELECT profile FROM profile_members WHERE connector = c.id ORDER BY profile)),
    d.settings,
    (SELECT json_group_array(pointer) FROM
        (SELECT pointer FROM secrets WHERE connector = c.id ORDER BY pointer)),
    d.created, d.modified, d.due,
    (SELECT json_object('id', id, 'started', started, 'ended', ended, 'outcome', outcome) FROM runs
        WHERE connector = c.id ORDER BY started DESC, rowid DESC LIMIT 1),
    (SELECT max(ended) FROM runs WHERE connector = c.id AND outcome = 'done'),
    coalesce((SELECT written FROM blocks WHERE connector = c.id AND records > 0 ORDER BY offset DESC LIMIT 1),
    (SELECT last_data FROM trimmed WHERE connector = c.id))
FROM definitions d JOIN connectors c ON c.id = d.connector JOIN tenants t ON t.id = c.tenant";

/// What a list of connectors can be sorted by, and how; the first is the order if nothing is said. What is the same is in the
/// order of tenants and names.
const ORDERS: [(&str, &str); 10] = [
    ("name", "c.name"),
    ("tenant_name", "t.name"),
    ("type", "c.kind"),
    ("run_on", "d.run_on"),
    ("created_at", "d.created"),
    ("modified_at", "d.modified"),
    ("interval", "d.interval_minutes"),
    (
        "last_activity",
        "(SELECT max(ended) FROM runs WHERE connector = c.id AND outcome = 'done')",
    ),
    (
        "last_data_received",
        "coalesce((SELECT written FROM blocks WHERE connector = c.id AND records > 0 ORDER BY offset DESC LIMIT 1),
    (SELECT last_data FROM trimmed WHERE connector = c.id))",
    ),
    ("due", "d.due"),
];

/// Which connectors are asked for; everything that is set must fit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectorFilter<'a> {
    /// The id of the one tenant that whoever asks may see.
    pub(crate) seen_tenant: Option<&'a str>,
    /// A tenant's name or id.
    pub(crate) tenant: Option<&'a str>,
    /// A part of the name.
    pub(crate) name_part: Option<&'a str>,
}

/// A connector with what a list says of it beside its definition.
pub(crate) struct ListedConnector {
    pub(crate) connector: StoredConnector,
    pub(crate) status: Status,
    /// Names of the filters attached.
    pub(crate) filters: Vec<String>,
}

/// A part of a list, and how many there are in all.
pub(crate) struct ConnectorPage {
    pub(crate) total: usize,
    pub(crate) connectors: Vec<ListedConnector>,
}

impl StoredConnector {
    /// `tenant/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let optional = |column: usize| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(column)?.map(loaded))
        };
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            kind: row.get(2)?,
            tenant: row.get(3)?,
            tenant_id: row.get(4)?,
            active: row.get(5)?,
            run_on: row.get(6)?,
            version: row.get(7)?,
            content_types: json(row, 8)?,
            interval_minutes: loaded(row.get(9)?),
            profiles: json(row, 10)?,
            settings: json(row, 11)?,
            secrets: json(row, 12)?,
            created: loaded(row.get(13)?),
            modified: loaded(row.get(14)?),
            due: optional(15)?,
            last_run: match row.get::<_, Option<String>>(16)? {
                Some(_) => Some(json(row, 16)?),
                None => None,
            },
            last_activity: optional(17)?,
            last_data_received: optional(18)?,
        })
    }
}

/// A column that holds JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// A column that holds one of a few words.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// The connectors that `reference` (`tenant/name`, `name` or an id) may mean.
fn meant(database: &Connection, reference: &str) -> Result<Vec<StoredConnector>, CatalogueError> {
    let (tenant, name) = match reference.split_once('/') {
        Some((tenant, name)) => (Some(tenant), name),
        None => (None, reference),
    };
    let mut rows = database.prepare_cached(&format!(
        "{SELECT} WHERE (c.name = ?1 AND t.name = coalesce(?2, t.name)) OR (?2 IS NULL AND c.id = ?1) ORDER BY t.name"
    ))?;
    let rows = rows.query_map(params![name, tenant], StoredConnector::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The one connector that `reference` means.
pub(super) fn find(
    database: &Connection,
    reference: &str,
) -> Result<StoredConnector, CatalogueError> {
    let mut found = meant(database, reference)?;
    match (found.pop(), found.is_empty()) {
        (Some(connector), true) => Ok(connector),
        (Some(last), false) => Err(CatalogueError::Ambiguous {
            name: reference.to_owned(),
            full: found
                .iter()
                .chain([&last])
                .map(StoredConnector::full_name)
                .collect(),
        }),
        (None, _) => {
            let mut rows = database.prepare_cached(
                "SELECT t.name || '/' || c.name FROM definitions d JOIN connectors c ON c.id = d.connector
                 JOIN tenants t ON t.id = c.tenant ORDER BY t.name, c.name",
            )?;
            let known = rows.query_map([], |row| row.get(0))?;
            Err(CatalogueError::Unknown {
                thing: "connector",
                name: reference.to_owned(),
                known: known.collect::<Result<_, _>>()?,
            })
        }
    }
}

impl Catalogue {
    /// All connectors, by tenant and name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn connectors(&self) -> Result<Vec<StoredConnector>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(&format!("{SELECT} ORDER BY t.name, c.name"))?;
            let rows = rows.query_map([], StoredConnector::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The fields that [`Catalogue::connector_page`] can sort by.
    pub(crate) fn connector_orders() -> impl Iterator<Item = &'static str> + Clone {
        ORDERS.iter().map(|(field, _)| *field)
    }

    /// A part of the list of connectors. Only those in it are read as a whole, however many there are.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn connector_page(
        &self,
        filter: &ConnectorFilter<'_>,
        window: &Window<'_>,
    ) -> Result<ConnectorPage, CatalogueError> {
        const WANTED: &str = "FROM definitions d JOIN connectors c ON c.id = d.connector JOIN tenants t ON t.id = c.tenant
             WHERE (?1 IS NULL OR t.id = ?1) AND (?2 IS NULL OR t.id = ?2 OR t.name = ?2)
                 AND (?3 IS NULL OR instr(c.name, ?3) > 0)";
        let asked = ORDERS
            .iter()
            .find(|(field, _)| Some(*field) == window.field);
        let (_, order) = asked.unwrap_or(&ORDERS[0]);
        let direction = if window.downwards { "DESC" } else { "ASC" };
        let now = loaded(self.now_ms());
        let rows_of = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.look(|database| {
            let (seen, tenant, part) = (filter.seen_tenant, filter.tenant, filter.name_part);
            let total = database
                .prepare_cached(&format!("SELECT count(*) {WANTED}"))?
                .query_row(params![seen, tenant, part], |row| row.get::<_, i64>(0))?;
            let mut ids = database.prepare_cached(&format!(
                "SELECT c.id {WANTED} ORDER BY {order} {direction}, t.name {direction}, c.name {direction} LIMIT ?4 OFFSET ?5"
            ))?;
            let (limit, offset) = (rows_of(window.limit), rows_of(window.offset));
            let ids = ids.query_map(params![seen, tenant, part, limit, offset], |row| row.get(0))?;
            let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
            let mut whole = database.prepare_cached(&format!("{SELECT} WHERE c.id = ?1"))?;
            let mut filters = database.prepare_cached(
                "SELECT f.name FROM connector_filters a JOIN filters f ON f.id = a.filter WHERE a.connector = ?1 ORDER BY f.name",
            )?;
            let mut connectors = Vec::with_capacity(ids.len());
            for id in ids {
                let Some(facts) = status::facts_of(database, &id)? else {
                    continue;
                };
                let names = filters.query_map([&id], |row| row.get(0))?;
                connectors.push(ListedConnector {
                    filters: names.collect::<Result<_, _>>()?,
                    status: facts.status(now),
                    connector: whole.query_row([&id], StoredConnector::from_row)?,
                });
            }
            Ok(ConnectorPage {
                total: usize::try_from(total).unwrap_or(0),
                connectors,
            })
        })
    }

    /// The connector that `reference` means: `tenant/name`, or `name` if only one tenant has one of that name.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] or [`CatalogueError::Ambiguous`].
    pub(crate) fn connector(&self, reference: &str) -> Result<StoredConnector, CatalogueError> {
        self.look(|database| find(database, reference))
    }

    /// The connector of this very tenant and name, if there is one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn find(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Option<StoredConnector>, CatalogueError> {
        self.look(|database| Ok(meant(database, &format!("{tenant}/{name}"))?.pop()))
    }
}
