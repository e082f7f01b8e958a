//! Log filters, as they are kept: their conditions, whose they are, and which connectors they are attached to.

use super::error::CatalogueError;
use super::{Catalogue, event, listing, loaded, stored, tenant};
use connector_runtime::interflow::{Condition, Filter};
use connector_runtime::journal::StoredBlock;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A filter of the catalogue. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StoredFilter {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// Unique.
    pub(crate) name: String,
    /// Whose connectors may have it; none for all tenants'.
    pub(crate) tenant: Option<String>,
    /// All must hold.
    #[schema(value_type = Vec<crate::api::filters::ConditionBody>)]
    pub(crate) conditions: Vec<Condition>,
    /// Grows with every change of the conditions.
    pub(crate) revision: u64,
    /// `tenant/name` of the connectors that it is attached to.
    pub(crate) connectors: Vec<String>,
    pub(crate) created: u64,
    pub(crate) modified: u64,
}

const SELECT: &str = "
SELECT f.id, f.name, t.name, f.conditions, f.revision,
    (SELECT json_group_array(full) FROM (SELECT o.name || '/' || c.name AS full FROM connector_filters a
        JOIN connectors c ON c.id = a.connector JOIN tenants o ON o.id = c.tenant WHERE a.filter = f.id ORDER BY full)),
    f.created, f.modified
FROM filters f LEFT JOIN tenants t ON t.id = f.tenant";

impl StoredFilter {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            tenant: row.get(2)?,
            conditions: listing::json(row, 3)?,
            revision: loaded(row.get(4)?),
            connectors: listing::json(row, 5)?,
            created: loaded(row.get(6)?),
            modified: loaded(row.get(7)?),
        })
    }
}

fn find(database: &Connection, name: &str) -> Result<StoredFilter, CatalogueError> {
    let mut rows = database.prepare_cached(&format!("{SELECT} ORDER BY f.name"))?;
    let all = rows
        .query_map([], StoredFilter::from_row)?
        .collect::<Result<Vec<_>, _>>()?;
    let known = all.iter().map(|filter| filter.name.clone()).collect();
    all.into_iter()
        .find(|filter| filter.name == name)
        .ok_or_else(|| CatalogueError::Unknown {
            thing: "filter",
            name: name.to_owned(),
            known,
        })
}

fn text_of(conditions: &[Condition]) -> String {
    // Plain data with text keys: serialising it cannot fail.
    serde_json::to_string(conditions).unwrap_or_default()
}

impl Catalogue {
    /// All filters, by name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn filters(&self) -> Result<Vec<StoredFilter>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(&format!("{SELECT} ORDER BY f.name"))?;
            let rows = rows.query_map([], StoredFilter::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The filter of this name.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`].
    pub(crate) fn filter(&self, name: &str) -> Result<StoredFilter, CatalogueError> {
        self.look(|database| find(database, name))
    }

    /// The filters that a connector's records pass, by name.
    ///
    /// # Errors
    /// If the journal cannot be read, or a filter in it is none.
    pub(crate) fn filters_of(&self, connector: &str) -> Result<Vec<Filter>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT f.name, f.revision, f.conditions FROM connector_filters a JOIN filters f ON f.id = a.filter
                 WHERE a.connector = ?1 ORDER BY f.name",
            )?;
            let rows = rows.query_map([connector], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    loaded(row.get(1)?),
                    listing::json(row, 2)?,
                ))
            })?;
            rows.map(|row| {
                let (name, revision, conditions) = row?;
                Filter::new(&name, revision, conditions).map_err(|_| {
                    CatalogueError::Conflict(format!(
                        "the filter {name} cannot be read; write it again with `filters edit`"
                    ))
                })
            })
            .collect()
        })
    }

    /// Keeps a new filter.
    ///
    /// # Errors
    /// If the name is taken or cannot be one, or there is no such tenant.
    pub(crate) async fn add_filter(
        &self,
        name: &str,
        tenant: Option<&str>,
        conditions: &[Condition],
    ) -> Result<(), CatalogueError> {
        let (name, now) = (tenant::checked(name)?, self.now_ms());
        let (tenant, conditions) = (tenant.map(str::to_owned), text_of(conditions));
        self.change(move |database| {
            let tenant = match &tenant {
                Some(tenant) => Some(tenant::id_of(database, tenant)?),
                None => None,
            };
            let made = database.execute(
                "INSERT INTO filters (id, name, tenant, conditions, revision, created, modified)
                 VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5) ON CONFLICT (name) DO NOTHING",
                params![
                    Uuid::new_v4().simple().to_string(),
                    name,
                    tenant,
                    conditions,
                    now
                ],
            )?;
            if made == 0 {
                return Err(CatalogueError::Exists {
                    thing: "filter",
                    name: name.clone(),
                    advice: "change it with `filters edit`, or choose another name".into(),
                });
            }
            event::note(
                database,
                now,
                None,
                "filter",
                &format!("filter {name} was made"),
            )
        })
        .await
    }

    /// Gives a filter other conditions; runs from the next one on apply and count its new revision.
    ///
    /// # Errors
    /// If there is no such filter.
    pub(crate) async fn edit_filter(
        &self,
        name: &str,
        conditions: &[Condition],
    ) -> Result<(), CatalogueError> {
        let (name, conditions, now) = (name.to_owned(), text_of(conditions), self.now_ms());
        self.change(move |database| {
            let filter = find(database, &name)?;
            database.execute(
                "UPDATE filters SET conditions = ?2, revision = revision + 1, modified = ?3 WHERE id = ?1",
                params![filter.id, conditions, now],
            )?;
            event::note(database, now, None, "filter", &format!("filter {name} was changed"))
        })
        .await
    }

    /// Deletes a filter that is attached to nothing.
    ///
    /// # Errors
    /// If there is no such filter, or a connector has it.
    pub(crate) async fn delete_filter(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            let filter = find(database, &name)?;
            if !filter.connectors.is_empty() {
                return Err(CatalogueError::Conflict(format!(
                    "the filter {name} is attached to {}; detach it first (`filters detach {name:?} NAME`)",
                    filter.connectors.join(", ")
                )));
            }
            database.execute("DELETE FROM filters WHERE id = ?1", [&filter.id])?;
            event::note(database, now, None, "filter", &format!("filter {name} was deleted"))
        })
        .await
    }

    /// Checks that a tenant's connector can have a filter.
    ///
    /// # Errors
    /// As [`Catalogue::attach_filter`].
    pub(crate) fn check_filter(&self, name: &str, tenant: &str) -> Result<(), CatalogueError> {
        let filter = self.look(|database| find(database, name))?;
        match filter.tenant {
            Some(owner) if owner != tenant => Err(CatalogueError::Conflict(format!(
                "the filter {name} is the tenant {owner}'s, and not of {tenant}"
            ))),
            _ => Ok(()),
        }
    }

    /// Attaches a filter to a connector; false if it was so already.
    ///
    /// # Errors
    /// If there is no such filter or connector, or the filter is another tenant's.
    pub(crate) async fn attach_filter(
        &self,
        name: &str,
        reference: &str,
    ) -> Result<bool, CatalogueError> {
        let (name, reference, now) = (name.to_owned(), reference.to_owned(), self.now_ms());
        self.change(move |database| {
            let filter = find(database, &name)?;
            let connector = listing::find(database, &reference)?;
            if let Some(owner) = filter.tenant.filter(|owner| *owner != connector.tenant) {
                return Err(CatalogueError::Conflict(format!(
                    "the filter {name} is the tenant {owner}'s, and connector {} another's",
                    connector.full_name()
                )));
            }
            let attached = database.execute(
                "INSERT INTO connector_filters (connector, filter, attached) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![connector.id, filter.id, now],
            )?;
            if attached > 0 {
                let text = format!("records that the filter {name} matches are dropped from now on");
                event::note(database, now, Some(&connector.id), "filter", &text)?;
            }
            Ok(attached > 0)
        })
        .await
    }

    /// Detaches a filter from a connector; false if it was not attached.
    ///
    /// # Errors
    /// If there is no such filter or connector.
    pub(crate) async fn detach_filter(
        &self,
        name: &str,
        reference: &str,
    ) -> Result<bool, CatalogueError> {
        let (name, reference, now) = (name.to_owned(), reference.to_owned(), self.now_ms());
        self.change(move |database| {
            let filter = find(database, &name)?;
            let connector = listing::find(database, &reference)?;
            let detached = database.execute(
                "DELETE FROM connector_filters WHERE connector = ?1 AND filter = ?2",
                [&connector.id, &filter.id],
            )?;
            if detached > 0 {
                let text = format!("the filter {name} drops nothing any more");
                event::note(database, now, Some(&connector.id), "filter", &text)?;
            }
            Ok(detached > 0)
        })
        .await
    }

    /// The last blocks that hold at least `records` records (or all that there are), of one connector or of all, in their
    /// order; each is handed over as it is read.
    ///
    /// # Errors
    /// If the journal cannot be read; what `each` answers.
    pub(crate) fn last_blocks(
        &self,
        connector: Option<&str>,
        records: u64,
        mut each: impl FnMut(&StoredBlock) -> Result<(), CatalogueError>,
    ) -> Result<(), CatalogueError> {
        let first: Option<i64> = self.look(|database| {
            Ok(database.query_row(
                "SELECT min(offset) FROM (SELECT offset, sum(records) OVER (ORDER BY offset DESC) - records AS behind
                     FROM blocks WHERE connector = coalesce(?1, connector)) WHERE behind < ?2",
                params![connector, stored(records)],
                |row| row.get(0),
            )?)
        })?;
        let Some(first) = first else { return Ok(()) };
        for block in self.journal.blocks(None, loaded(first - 1)) {
            let block = block?;
            if connector.is_none_or(|connector| block.connector_id == connector) {
                each(&block)?;
            }
        }
        Ok(())
    }
}
