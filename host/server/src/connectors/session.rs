//! Sessions: a user who has signed in, for a while. The secret that the browser holds is kept as its SHA-256 only; role and
//! tenant are the user's at each look, so that a user who was changed is another one at once.

use super::error::CatalogueError;
use super::{Catalogue, listing, loaded, stored};
use crate::access::Role;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::time::Duration;

/// A session that was not used for so long is over.
pub(crate) const IDLE: Duration = Duration::from_secs(30 * 60);
/// A session is over then, however much it is used.
pub(crate) const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// So many sessions may one user have; the one that was used longest ago makes room.
const MOST: i64 = 20;

/// A session that is not over.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The user's name.
    pub(crate) user: String,
    pub(crate) role: Role,
    /// Id and name of the user's tenant.
    pub(crate) tenant: Option<(String, String)>,
    /// When its use was noted last, in milliseconds since 1970.
    pub(crate) used: u64,
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Until when a session must have begun, and have been used, to be over now.
fn limits(now: i64) -> (i64, i64) {
    (now - milliseconds(LONGEST), now - milliseconds(IDLE))
}

/// Begins a session, in the transaction of the sign-in.
pub(super) fn insert(
    database: &Connection,
    user: &str,
    digest: [u8; 32],
    now: i64,
) -> Result<(), CatalogueError> {
    let (begun, used) = limits(now);
    database.execute(
        "DELETE FROM sessions WHERE created <= ?1 OR used <= ?2",
        [begun, used],
    )?;
    database.execute(
        "DELETE FROM sessions WHERE user = ?1 AND digest NOT IN
             (SELECT digest FROM sessions WHERE user = ?1 ORDER BY used DESC, created DESC LIMIT ?2)",
        params![user, MOST - 1],
    )?;
    database.execute(
        "INSERT INTO sessions (digest, user, created, used) VALUES (?1, ?2, ?3, ?3)",
        params![digest, user, now],
    )?;
    Ok(())
}

impl Catalogue {
    /// The session of a secret with this digest, unless it is over or its user may not sign in.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn session(
        &self,
        digest: [u8; 32],
        now: u64,
    ) -> Result<Option<Session>, CatalogueError> {
        let (begun, used) = limits(stored(now));
        self.look(|database| {
            let session = database
                .prepare_cached(
                    "SELECT u.name, u.role, t.id, t.name, s.used FROM sessions s JOIN users u ON u.name = s.user
                     LEFT JOIN tenants t ON t.id = u.tenant
                     WHERE s.digest = ?1 AND s.created > ?2 AND s.used > ?3 AND u.active",
                )?
                .query_row(params![digest, begun, used], |row| {
                    Ok(Session {
                        user: row.get(0)?,
                        role: listing::parsed(row, 1)?,
                        tenant: row.get::<_, Option<String>>(2)?.zip(row.get(3)?),
                        used: loaded(row.get(4)?),
                    })
                })
                .optional()?;
            Ok(session)
        })
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn note_session_used(
        &self,
        digest: [u8; 32],
        now: u64,
    ) -> Result<(), CatalogueError> {
        let now = stored(now);
        self.change(move |database| {
            database.execute(
                "UPDATE sessions SET used = max(used, ?2) WHERE digest = ?1",
                params![digest, now],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn end_session(&self, digest: [u8; 32]) -> Result<(), CatalogueError> {
        self.change(move |database| {
            database.execute("DELETE FROM sessions WHERE digest = ?1", params![digest])?;
            Ok(())
        })
        .await
    }
}
