//! Devices: where connectors run. The data processor is always there and is called `dp`; sensors have names.

use super::error::CatalogueError;
use super::{Catalogue, event, loaded, tenant};
use rusqlite::{Connection, params};
use serde::Serialize;

/// The data processor's name.
pub(crate) const DATA_PROCESSOR: &str = "dp";

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    /// `dp` or `sensor`.
    pub(crate) kind: String,
    /// In milliseconds since 1970; 0 for the data processor.
    pub(crate) created: u64,
    /// Connectors that are placed on it.
    pub(crate) connectors: u64,
}

pub(super) fn names(database: &Connection) -> Result<Vec<String>, CatalogueError> {
    let mut rows = database.prepare_cached("SELECT name FROM devices ORDER BY kind, name")?;
    let rows = rows.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Catalogue {
    /// All devices, the data processor first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn devices(&self) -> Result<Vec<Device>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT name, kind, created, (SELECT count(*) FROM definitions WHERE run_on = name)
                 FROM devices ORDER BY kind, name",
            )?;
            let rows = rows.query_map([], |row| {
                Ok(Device {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    created: loaded(row.get(2)?),
                    connectors: loaded(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Adds a sensor.
    ///
    /// # Errors
    /// If the name is taken or cannot be one.
    pub(crate) async fn add_sensor(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (tenant::checked(name)?, self.now_ms());
        self.change(move |database| {
            if names(database)?.contains(&name) {
                return Err(CatalogueError::Exists {
                    thing: "device",
                    name: name.clone(),
                    advice: "choose another name".into(),
                });
            }
            database.execute(
                "INSERT INTO devices (name, kind, created) VALUES (?1, 'sensor', ?2)",
                params![name, now],
            )?;
            event::note(
                database,
                now,
                None,
                "device",
                &format!("sensor {name} was added"),
            )
        })
        .await
    }

    /// Deletes a sensor that has no connectors.
    ///
    /// # Errors
    /// If it is the data processor, or not there, or has connectors.
    pub(crate) async fn delete_device(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            if name == DATA_PROCESSOR {
                return Err(CatalogueError::Conflict(format!(
                    "{DATA_PROCESSOR} is the data processor, which is always there"
                )));
            }
            let known = names(database)?;
            if !known.contains(&name) {
                return Err(CatalogueError::Unknown {
                    thing: "device",
                    name: name.clone(),
                    known,
                });
            }
            let mut rows = database.prepare(
                "SELECT t.name || '/' || c.name FROM definitions d JOIN connectors c ON c.id = d.connector
                 JOIN tenants t ON t.id = c.tenant WHERE d.run_on = ?1 ORDER BY 1",
            )?;
            let placed = rows
                .query_map([&name], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()?;
            if !placed.is_empty() {
                return Err(CatalogueError::Conflict(format!(
                    "sensor {name} runs {}; where a connector runs cannot change, so delete them first",
                    placed.join(", ")
                )));
            }
            database.execute("DELETE FROM devices WHERE name = ?1", [&name])?;
            event::note(database, now, None, "device", &format!("sensor {name} was deleted"))
        })
        .await
    }
}
