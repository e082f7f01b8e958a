//! Definitions, written: created, changed, switched on and off, deleted.

use super::Catalogue;
use super::error::CatalogueError;
use super::key::Keyring;
use super::secret::{self, Plain};
use super::{event, listing, schedule, status, stored};
use connector_runtime::journal::{ConnectorRow, JournalError};
use rusqlite::{Connection, params};
use serde_json::Value;

/// What is kept of a connector, checked; see [`super::validation`].
pub(crate) struct Entry {
    /// The tenant's name; the tenant is made if it is new.
    pub(crate) tenant: String,
    /// Unique within the tenant.
    pub(crate) name: String,
    /// The plugin's id.
    pub(crate) kind: String,
    /// A device's name.
    pub(crate) run_on: String,
    /// Whether it collects.
    pub(crate) active: bool,
    /// As typed, without secrets.
    pub(crate) settings: Value,
    /// The chosen content types.
    pub(crate) content_types: Vec<String>,
    /// Minutes between runs.
    pub(crate) interval_minutes: u64,
    /// The plugin's version.
    pub(crate) version: String,
    /// To be sealed.
    pub(crate) secrets: Vec<Plain>,
}

impl Entry {
    fn settings_text(&self) -> String {
        self.settings.to_string()
    }

    fn content_types_text(&self) -> String {
        Value::from(self.content_types.clone()).to_string()
    }
}

fn check_device(database: &Connection, name: &str) -> Result<(), CatalogueError> {
    let known = super::device::names(database)?;
    if known.iter().any(|device| device == name) {
        return Ok(());
    }
    Err(CatalogueError::Unknown {
        thing: "device",
        name: name.to_owned(),
        known,
    })
}

impl Catalogue {
    /// What seals the secrets of an entry; no key is made or needed for none.
    fn keyring_for(&self, entry: &Entry) -> Result<Keyring, CatalogueError> {
        match entry.secrets.is_empty() {
            true => Ok(Keyring::default()),
            false => Ok(self.keys.load_or_make()?),
        }
    }

    /// Keeps a new connector and returns its id. One that has collected before it was kept here keeps the id it has.
    ///
    /// # Errors
    /// [`CatalogueError::Exists`] if the tenant has one of this name, [`CatalogueError::Unknown`] if there is no such device,
    /// or [`JournalError::OtherKind`].
    pub(crate) async fn create(&self, entry: Entry) -> Result<String, CatalogueError> {
        let keyring = self.keyring_for(&entry)?;
        let now = self.now_ms();
        self.change(move |database| {
            check_device(database, &entry.run_on)?;
            let row =
                ConnectorRow::found_or_made(database, &entry.tenant, &entry.name, &entry.kind)?;
            if row.kind != entry.kind {
                return Err(CatalogueError::Journal(JournalError::OtherKind {
                    tenant: row.tenant_name,
                    name: row.name,
                    kind: row.kind,
                    asked: entry.kind.clone(),
                }));
            }
            let made = database.execute(
                "INSERT INTO definitions (connector, settings, content_types, interval_minutes, active, run_on, version,
                     created, modified) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT DO NOTHING",
                params![
                    row.id,
                    entry.settings_text(),
                    entry.content_types_text(),
                    stored(entry.interval_minutes),
                    entry.active,
                    entry.run_on,
                    entry.version,
                    now
                ],
            )?;
            if made == 0 {
                let full = format!("{}/{}", entry.tenant, entry.name);
                return Err(CatalogueError::Exists {
                    thing: "connector",
                    advice: format!("change it with `connectors edit {full}`, or choose another name"),
                    name: full,
                });
            }
            secret::keep(database, &keyring, &row.id, &entry.secrets)?;
            let text = format!("created, of type {}, to run on {}", entry.kind, entry.run_on);
            event::note(database, now, Some(&row.id), "created", &text)?;
            schedule::due_on_a_sensor(database, &row.id, now)?;
            status::refresh(database, &row.id, now)?;
            Ok(row.id)
        })
        .await
    }

    /// Puts new settings in the place of a connector's; its General fields stay what they are. Secrets of `forget` that are
    /// not among the entry's are shredded. `changed` are the keys, for the event.
    ///
    /// # Errors
    /// If the connector is gone, or a secret cannot be sealed.
    pub(crate) async fn replace(
        &self,
        id: &str,
        entry: Entry,
        forget: Vec<String>,
        changed: &[String],
    ) -> Result<(), CatalogueError> {
        let keyring = self.keyring_for(&entry)?;
        let (id, now) = (id.to_owned(), self.now_ms());
        let text = format!("changed {}", changed.join(", "));
        let is_changed = !changed.is_empty();
        self.change(move |database| {
            let found = database.execute(
                "UPDATE definitions SET settings = ?2, content_types = ?3, interval_minutes = ?4, active = ?5, version = ?6,
                     modified = iif(?8, ?7, modified) WHERE connector = ?1",
                params![
                    id,
                    entry.settings_text(),
                    entry.content_types_text(),
                    stored(entry.interval_minutes),
                    entry.active,
                    entry.version,
                    now,
                    is_changed
                ],
            )?;
            if found == 0 {
                return Err(JournalError::UnknownConnector { id: id.clone() }.into());
            }
            secret::shredding(database, || {
                for pointer in &forget {
                    database.execute(
                        "DELETE FROM secrets WHERE connector = ?1 AND pointer = ?2",
                        [&id, pointer],
                    )?;
                }
                secret::keep(database, &keyring, &id, &entry.secrets)
            })?;
            if is_changed {
                event::note(database, now, Some(&id), "edited", &text)?;
            }
            schedule::edited(database, &id, now, is_changed)
        })
        .await
    }

    /// Switches collecting on or off; false if it was so already.
    ///
    /// # Errors
    /// If there is no such connector.
    pub(crate) async fn set_active(
        &self,
        reference: &str,
        active: bool,
    ) -> Result<bool, CatalogueError> {
        let (reference, now) = (reference.to_owned(), self.now_ms());
        self.change(move |database| {
            let connector = listing::find(database, &reference)?;
            if connector.active == active {
                return Ok(false);
            }
            database.execute(
                "UPDATE definitions SET active = ?2 WHERE connector = ?1",
                params![connector.id, active],
            )?;
            let (kind, text) = match active {
                true => ("activated", "collects from now on"),
                false => ("deactivated", "collects no longer"),
            };
            event::note(database, now, Some(&connector.id), kind, text)?;
            schedule::due_on_a_sensor(database, &connector.id, now)?;
            status::refresh(database, &connector.id, now)?;
            Ok(true)
        })
        .await
    }

    /// Deletes a connector: its settings, secrets, cursors, cache and memberships are gone, secrets and cache overwritten; its
    /// records and runs stay. A batch that is under way is refused. Its name is free.
    ///
    /// # Errors
    /// If there is no such connector.
    pub(crate) async fn delete(&self, reference: &str) -> Result<(), CatalogueError> {
        let (reference, now) = (reference.to_owned(), self.now_ms());
        self.change(move |database| {
            let connector = listing::find(database, &reference)?;
            let id = &connector.id;
            secret::shredding(database, || {
                for table in ["secrets", "cache", "cursors", "resets", "strikes", "definitions"] {
                    database
                        .execute(&format!("DELETE FROM {table} WHERE connector = ?1"), [id])?;
                }
                Ok(())
            })?;
            // A `#` can be typed in no name. The generation passes every one that a batch may still hold: resets, which are
            // part of it, are gone.
            database.execute(
                "UPDATE connectors SET cache_bytes = 0, generation = generation + 1000000, name = name || '#' || id
                 WHERE id = ?1",
                [id],
            )?;
            database.execute(
                "INSERT INTO deletions (connector, name, deleted) VALUES (?1, ?2, ?3)",
                params![id, connector.name, now],
            )?;
            let text = format!("{} was deleted; its records stay", connector.full_name());
            event::note(database, now, Some(id), "deleted", &text)
        })
        .await
    }
}
