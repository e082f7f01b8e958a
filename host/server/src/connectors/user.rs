//! Users: who may sign in, with which role, and for which tenant. Their passwords are kept as hashes only.

use super::error::CatalogueError;
use super::{Catalogue, event, listing, loaded, stored, tenant};
use crate::access::Role;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

/// A user. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct User {
    /// Unique in the host.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The tenant's name; none for `root`, and for `read-only` over all tenants.
    pub(crate) tenant: Option<String>,
    /// Whether the user may sign in.
    pub(crate) active: bool,
    pub(crate) created: u64,
    /// The last time that the user signed in.
    pub(crate) last_login: Option<u64>,
}

/// What of a user is to be another; none stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserChange {
    pub(crate) role: Option<Role>,
    /// The tenant's name, or none for all of them.
    pub(crate) tenant: Option<Option<String>>,
    pub(crate) active: Option<bool>,
}

/// What a password is checked against.
pub(crate) struct Stored {
    pub(crate) hash: String,
    pub(crate) active: bool,
}

const SELECT: &str = "SELECT u.name, u.role, t.name, u.active, u.created, u.last_login
    FROM users u LEFT JOIN tenants t ON t.id = u.tenant";

fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        role: listing::parsed(row, 1)?,
        tenant: row.get(2)?,
        active: row.get(3)?,
        created: loaded(row.get(4)?),
        last_login: row.get::<_, Option<i64>>(5)?.map(loaded),
    })
}

fn find(database: &Connection, name: &str) -> Result<Option<User>, CatalogueError> {
    let user = database
        .prepare_cached(&format!("{SELECT} WHERE u.name = ?1"))?
        .query_row([name], from_row)
        .optional()?;
    Ok(user)
}

fn known(database: &Connection, name: &str) -> Result<User, CatalogueError> {
    if let Some(user) = find(database, name)? {
        return Ok(user);
    }
    let mut rows = database.prepare_cached("SELECT name FROM users ORDER BY name")?;
    let known = rows.query_map([], |row| row.get(0))?;
    Err(CatalogueError::Unknown {
        thing: "user",
        name: name.to_owned(),
        known: known.collect::<Result<_, _>>()?,
    })
}

/// Whoever else may administer the host has to stay: otherwise only its data directory's owner could.
fn keep_a_root(database: &Connection, user: &User, deed: &str) -> Result<(), CatalogueError> {
    let others =
        "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'root' AND active AND name <> ?1)";
    let is_last = user.role == Role::Root
        && user.active
        && !database.query_row(others, [&user.name], |row| row.get::<_, bool>(0))?;
    match is_last {
        false => Ok(()),
        true => Err(CatalogueError::Conflict(format!(
            "{} is the last active root user and cannot be {deed}; make another root user first",
            user.name
        ))),
    }
}

/// The tenant's id, of a role that fits to having one.
pub(super) fn tenant_for(
    database: &Connection,
    role: Role,
    tenant: Option<&str>,
) -> Result<Option<String>, CatalogueError> {
    if let Some(misfit) = role.misfit(tenant.is_some()) {
        return Err(CatalogueError::Conflict(format!(
            "the role {role} {misfit}"
        )));
    }
    tenant.map(|name| tenant::id_of(database, name)).transpose()
}

fn of_tenant(tenant: Option<&str>) -> String {
    tenant.map_or_else(String::new, |tenant| format!(" of tenant {tenant}"))
}

impl Catalogue {
    /// All users, by name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn users(&self) -> Result<Vec<User>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(&format!("{SELECT} ORDER BY u.name"))?;
            let rows = rows.query_map([], from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The user of this name, if there is one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn user(&self, name: &str) -> Result<Option<User>, CatalogueError> {
        self.look(|database| find(database, name))
    }

    /// What a user's password is checked against.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn stored_password(&self, name: &str) -> Result<Option<Stored>, CatalogueError> {
        self.look(|database| {
            let stored = database
                .prepare_cached("SELECT hash, active FROM users WHERE name = ?1")?
                .query_row([name], |row| {
                    Ok(Stored {
                        hash: row.get(0)?,
                        active: row.get(1)?,
                    })
                })
                .optional()?;
            Ok(stored)
        })
    }

    /// Makes a user who may sign in; `hash` is the password's.
    ///
    /// # Errors
    /// If the name is taken or cannot be one, or there is no such tenant, or the role does not fit to it.
    pub(crate) async fn add_user(
        &self,
        name: &str,
        hash: &str,
        role: Role,
        tenant: Option<&str>,
    ) -> Result<User, CatalogueError> {
        let (name, hash, tenant) = (
            tenant::checked(name)?,
            hash.to_owned(),
            tenant.map(str::to_owned),
        );
        let now = self.now_ms();
        self.change(move |database| {
            let id = tenant_for(database, role, tenant.as_deref())?;
            let made = database.execute(
                "INSERT INTO users (name, hash, role, tenant, active, created) VALUES (?1, ?2, ?3, ?4, TRUE, ?5)
                 ON CONFLICT DO NOTHING",
                params![name, hash, role.as_str(), id, now],
            )?;
            if made == 0 {
                return Err(CatalogueError::Exists {
                    thing: "user",
                    name: name.clone(),
                    advice: "choose another name".into(),
                });
            }
            let text = format!("user {name} was made: {role}{}", of_tenant(tenant.as_deref()));
            event::note(database, now, None, "user", &text)?;
            known(database, &name)
        })
        .await
    }

    /// Changes a user's role, tenant or activity; sessions of one who is inactive end.
    ///
    /// # Errors
    /// If there is no such user or tenant, the role does not fit to it, or nobody who is `root` would be left.
    pub(crate) async fn edit_user(
        &self,
        name: &str,
        change: UserChange,
    ) -> Result<User, CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            let before = known(database, &name)?;
            let role = change.role.unwrap_or(before.role);
            let active = change.active.unwrap_or(before.active);
            let tenant = match &change.tenant {
                Some(tenant) => tenant.clone(),
                // Who becomes root leaves the tenant.
                None if role == Role::Root => None,
                None => before.tenant.clone(),
            };
            let id = tenant_for(database, role, tenant.as_deref())?;
            if role != Role::Root || !active {
                keep_a_root(database, &before, "given another role or made inactive")?;
            }
            database.execute(
                "UPDATE users SET role = ?2, tenant = ?3, active = ?4 WHERE name = ?1",
                params![name, role.as_str(), id, active],
            )?;
            if !active {
                database.execute("DELETE FROM sessions WHERE user = ?1", [&name])?;
            }
            let text = format!(
                "user {name} is {role}{} and {} now",
                of_tenant(tenant.as_deref()),
                if active { "active" } else { "inactive" }
            );
            event::note(database, now, None, "user", &text)?;
            known(database, &name)
        })
        .await
    }

    /// Gives a user another password and ends the user's sessions.
    ///
    /// # Errors
    /// If there is no such user.
    pub(crate) async fn set_password(&self, name: &str, hash: &str) -> Result<(), CatalogueError> {
        let (name, hash, now) = (name.to_owned(), hash.to_owned(), self.now_ms());
        self.change(move |database| {
            known(database, &name)?;
            database.execute("UPDATE users SET hash = ?2 WHERE name = ?1", [&name, &hash])?;
            database.execute("DELETE FROM sessions WHERE user = ?1", [&name])?;
            let text = format!("user {name} has another password");
            event::note(database, now, None, "user", &text)
        })
        .await
    }

    /// Deletes a user and ends the user's sessions.
    ///
    /// # Errors
    /// If there is no such user, or nobody who is `root` would be left.
    pub(crate) async fn delete_user(&self, name: &str) -> Result<(), CatalogueError> {
        let (name, now) = (name.to_owned(), self.now_ms());
        self.change(move |database| {
            keep_a_root(database, &known(database, &name)?, "deleted")?;
            database.execute("DELETE FROM users WHERE name = ?1", [&name])?;
            event::note(
                database,
                now,
                None,
                "user",
                &format!("user {name} was deleted"),
            )
        })
        .await
    }

    /// Begins a session of a user, if the password's hash is still the one that was checked and the user is active. `digest`
    /// is that of the session's secret. Sessions that are over are forgotten, and so are the oldest of one who has many.
    /// False if the user is another by now.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn begin_session(
        &self,
        name: &str,
        hash: &str,
        digest: [u8; 32],
        now: u64,
    ) -> Result<bool, CatalogueError> {
        let (name, hash, now) = (name.to_owned(), hash.to_owned(), stored(now));
        self.change(move |database| {
            let same = database.execute(
                "UPDATE users SET last_login = ?3 WHERE name = ?1 AND hash = ?2 AND active",
                params![name, hash, now],
            )?;
            if same == 0 {
                return Ok(false);
            }
            super::session::insert(database, &name, digest, now)?;
            Ok(true)
        })
        .await
    }
}
