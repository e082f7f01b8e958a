//! Data Analyzer profiles: a connector on the data processor pulls only while it is in one. `Default` is always there.

use super::device::DATA_PROCESSOR;
use super::error::CatalogueError;
use super::{Catalogue, event, listing, loaded, status, tenant};
use rusqlite::{Connection, params};
use serde::Serialize;

/// The profile that is always there.
pub(crate) const DEFAULT: &str = "Default";

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// In milliseconds since 1970; 0 for `Default`.
    pub(crate) created: u64,
    /// `tenant/name` of its connectors.
    pub(crate) connectors: Vec<String>,
}

fn check(database: &Connection, name: &str) -> Result<(), CatalogueError> {
    let mut rows = database.prepare_cached("SELECT name FROM profiles ORDER BY name")?;
    let known = rows
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if known.iter().any(|profile| profile == name) {
        return Ok(());
    }
    Err(CatalogueError::Unknown {
        thing: "profile",
        name: name.to_owned(),
        known,
    })
}

fn needs_none(sensor: &str) -> CatalogueError {
    CatalogueError::Conflict(format!(
        "this connector runs on the sensor {sensor}, and a sensor's connectors pull without a profile"
    ))
}

impl Catalogue {
    /// All profiles with their connectors, by name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn profiles(&self) -> Result<Vec<Profile>, CatalogueError> {
        self.look(|database| {
            let mut members = database.prepare_cached(
                "SELECT t.name || '/' || c.name FROM profile_members m JOIN connectors c ON c.id = m.connector
                 JOIN tenants t ON t.id = c.tenant WHERE m.profile = ?1 ORDER BY 1",
            )?;
            let mut rows =
                database.prepare_cached("SELECT name, created FROM profiles ORDER BY name")?;
            let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
            rows.map(|row| {
                let (name, created) = row?;
                let connectors = members.query_map([&name], |row| row.get(0))?;
                Ok(Profile {
                    connectors: connectors.collect::<Result<_, _>>()?,
                    created: loaded(created),
                    name,
                })
            })
            .collect()
        })
    }

    /// Makes a profile.
    ///
    /// # Errors
    /// If the name is taken or cannot be one.
    pub(crate) async fn add_profile(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (tenant::checked(name)?, self.now_ms());
        self.change(move |database| {
            let made = database.execute(
                "INSERT INTO profiles (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![name, now],
            )?;
            if made == 0 {
                return Err(CatalogueError::Exists {
                    thing: "profile",
                    name: name.clone(),
                    advice: "choose another name".into(),
                });
            }
            event::note(
                database,
                now,
                None,
                "profile",
                &format!("profile {name} was made"),
            )
        })
        .await
    }

    /// Deletes a profile that is empty.
    ///
    /// # Errors
    /// If it is `Default`, not there, or has connectors, which would stop pulling.
    pub(crate) async fn delete_profile(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            check(database, &name)?;
            if name == DEFAULT {
                return Err(CatalogueError::Conflict(format!(
                    "the profile {DEFAULT} is always there"
                )));
            }
            let members = "SELECT count(*) FROM profile_members WHERE profile = ?1";
            let members: i64 = database.query_row(members, [&name], |row| row.get(0))?;
            if members > 0 {
                return Err(CatalogueError::Conflict(format!(
                    "the profile {name} has {members} of the connectors, which would stop pulling; take them out first (`profiles remove-connector {name} NAME`)"
                )));
            }
            database.execute("DELETE FROM profiles WHERE name = ?1", [&name])?;
            event::note(database, now, None, "profile", &format!("profile {name} was deleted"))
        })
        .await
    }

    /// Checks that a connector that runs on `run_on` can be put into `profile`.
    ///
    /// # Errors
    /// As [`Catalogue::add_to_profile`].
    pub(crate) fn check_profile(&self, profile: &str, run_on: &str) -> Result<(), CatalogueError> {
        if run_on != DATA_PROCESSOR {
            return Err(needs_none(run_on));
        }
        self.look(|database| check(database, profile))
    }

    /// Puts a connector into a profile. The first time it is due at once; later it keeps the time at which it was due.
    /// False if it was in it already.
    ///
    /// # Errors
    /// If there is no such profile or connector, or the connector runs on a sensor.
    pub(crate) async fn add_to_profile(
        &self,
        profile: &str,
        reference: &str,
    ) -> Result<bool, CatalogueError> {
        let (profile, reference, now) = (profile.to_owned(), reference.to_owned(), self.now_ms());
        self.change(move |database| {
            check(database, &profile)?;
            let connector = listing::find(database, &reference)?;
            if connector.run_on != DATA_PROCESSOR {
                return Err(needs_none(&connector.run_on));
            }
            let added = database.execute(
                "INSERT INTO profile_members (profile, connector, added) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![profile, connector.id, now],
            )?;
            if added == 0 {
                return Ok(false);
            }
            database.execute(
                "UPDATE definitions SET due = coalesce(due, ?2) WHERE connector = ?1",
                params![connector.id, now],
            )?;
            let text = format!("was put into the profile {profile}");
            event::note(database, now, Some(&connector.id), "profile", &text)?;
            status::refresh(database, &connector.id, now)?;
            Ok(true)
        })
        .await
    }

    /// Takes a connector out of a profile; false if it was not in it.
    ///
    /// # Errors
    /// If there is no such profile or connector.
    pub(crate) async fn remove_from_profile(
        &self,
        profile: &str,
        reference: &str,
    ) -> Result<bool, CatalogueError> {
        let (profile, reference, now) = (profile.to_owned(), reference.to_owned(), self.now_ms());
        self.change(move |database| {
            check(database, &profile)?;
            let connector = listing::find(database, &reference)?;
            let removed = database.execute(
                "DELETE FROM profile_members WHERE profile = ?1 AND connector = ?2",
                [&profile, &connector.id],
            )?;
            if removed == 0 {
                return Ok(false);
            }
            let text = format!("was taken out of the profile {profile}");
            event::note(database, now, Some(&connector.id), "profile", &text)?;
            status::refresh(database, &connector.id, now)?;
            Ok(true)
        })
        .await
    }
}
