//! Tenants: whose connectors and records they are. Their ids are made once and kept; the name is what can change.

use super::error::CatalogueError;
use super::{Catalogue, event, loaded};
use connector_runtime::settings::check_name;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Tenant {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
    /// In milliseconds since 1970.
    pub(crate) created: u64,
    /// Connectors that are kept.
    pub(crate) connectors: u64,
}

/// A name that was typed, checked.
pub(super) fn checked(name: &str) -> Result<String, CatalogueError> {
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(message) => Err(CatalogueError::Name {
            name: name.to_owned(),
            message,
        }),
    }
}

pub(super) fn id_of(database: &Connection, name: &str) -> Result<String, CatalogueError> {
    let found = database
        .query_row("SELECT id FROM tenants WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let mut rows = database.prepare("SELECT name FROM tenants ORDER BY name")?;
    let known = rows.query_map([], |row| row.get(0))?;
    Err(CatalogueError::Unknown {
        thing: "tenant",
        name: name.to_owned(),
        known: known.collect::<Result<_, _>>()?,
    })
}

fn refuse_taken(database: &Connection, name: &str) -> Result<(), CatalogueError> {
    let taken = "SELECT EXISTS (SELECT 1 FROM tenants WHERE name = ?1)";
    match database.query_row(taken, [name], |row| row.get(0))? {
        false => Ok(()),
        true => Err(CatalogueError::Exists {
            thing: "tenant",
            name: name.to_owned(),
            advice: "choose another name".into(),
        }),
    }
}

impl Catalogue {
    /// All tenants, by name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn tenants(&self) -> Result<Vec<Tenant>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT t.id, t.name, t.created, (SELECT count(*) FROM connectors c
                     JOIN definitions d ON d.connector = c.id WHERE c.tenant = t.id)
                 FROM tenants t ORDER BY t.name",
            )?;
            let rows = rows.query_map([], |row| {
                Ok(Tenant {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    created: loaded(row.get(2)?),
                    connectors: loaded(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// If the name is taken or cannot be one.
    pub(crate) async fn add_tenant(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (checked(name)?, self.now_ms());
        self.change(move |database| {
            refuse_taken(database, &name)?;
            let id = Uuid::new_v4().simple().to_string();
            database.execute(
                "INSERT INTO tenants (id, name, created) VALUES (?1, ?2, ?3)",
                params![id, name, now],
            )?;
            event::note(
                database,
                now,
                None,
                "tenant",
                &format!("tenant {name} was made"),
            )
        })
        .await
    }

    /// Gives a tenant another name; records that are written from now on carry it, and its id stays.
    ///
    /// # Errors
    /// If there is no such tenant, or the name is taken or cannot be one.
    pub(crate) async fn rename_tenant(&self, name: &str, to: &str) -> Result<(), CatalogueError> {
        let (name, to, now) = (name.to_owned(), checked(to)?, self.now_ms());
        self.change(move |database| {
            let id = id_of(database, &name)?;
            if name != to {
                refuse_taken(database, &to)?;
            }
            database.execute("UPDATE tenants SET name = ?2 WHERE id = ?1", [&id, &to])?;
            let text = format!("tenant {name} is called {to} now");
            event::note(database, now, None, "tenant", &text)
        })
        .await
    }

    /// Deletes a tenant that has never had a connector: records are never without theirs.
    ///
    /// # Errors
    /// If there is no such tenant, or it has or had connectors.
    pub(crate) async fn delete_tenant(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            let id = id_of(database, &name)?;
            let kept: i64 = database.query_row(
                "SELECT count(*) FROM connectors c JOIN definitions d ON d.connector = c.id WHERE c.tenant = ?1",
                [&id],
                |row| row.get(0),
            )?;
            let ever = "SELECT EXISTS (SELECT 1 FROM connectors WHERE tenant = ?1)";
            let ever: bool = database.query_row(ever, [&id], |row| row.get(0))?;
            if kept > 0 {
                return Err(CatalogueError::Conflict(format!(
                    "tenant {name} has {kept} of the connectors; delete them first (`connectors list --tenant {name}`)"
                )));
            }
            if ever {
                return Err(CatalogueError::Conflict(format!(
                    "tenant {name} has records of deleted connectors, which keep their tenant; it cannot be deleted"
                )));
            }
            let filters = "SELECT EXISTS (SELECT 1 FROM filters WHERE tenant = ?1)";
            if database.query_row(filters, [&id], |row| row.get(0))? {
                return Err(CatalogueError::Conflict(format!(
                    "tenant {name} has log filters; delete them first (`filters list`)"
                )));
            }
            let accounts = "SELECT EXISTS (SELECT 1 FROM users WHERE tenant = ?1 UNION ALL SELECT 1 FROM tokens WHERE tenant = ?1)";
            if database.query_row(accounts, [&id], |row| row.get(0))? {
                return Err(CatalogueError::Conflict(format!(
                    "tenant {name} has users or tokens; delete them first (`users list`, `tokens list`)"
                )));
            }
            database.execute("DELETE FROM tenants WHERE id = ?1", [&id])?;
            event::note(database, now, None, "tenant", &format!("tenant {name} was deleted"))
        })
        .await
    }
}
