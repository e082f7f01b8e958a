//! Presence: which detections a host still has.
//!
//! When a host has been collected to its end, what was neither emitted nor repeated is no longer reported by the vendor, and
//! is closed as `not reported`; what was and had been closed so is open again. This follows the order of the blocks, not
//! the event times: a host's own time need not change when a detection is taken away. Only detections of the same content
//! type are compared.
//!
//! A host whose end lies in a later block is remembered until then. If a walk was cut off inside it and begun anew, what the
//! first attempt had seen counts as well: nothing is closed wrongly, at the latest the next collection closes it.

use super::finding::{NOT_REPORTED, closed_by};
use super::notes::Seen;
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// Brings the detections of a host in line with what was seen of it; answers whether any changed.
pub(super) fn compare(
    database: &Connection,
    host: i64,
    part: i64,
    seen: &Seen,
) -> rusqlite::Result<bool> {
    let names = || seen.emitted.iter().chain(&seen.repeated);
    if seen.more {
        let mut remember = database.prepare_cached(
            "INSERT INTO partial (host, part, identity) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        for identity in names() {
            remember.execute(params![host, part, identity])?;
        }
        return Ok(false);
    }
    let earlier: Vec<String> = database
        .prepare_cached("DELETE FROM partial WHERE host = ?1 AND part = ?2 RETURNING identity")?
        .query_map([host, part], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let present: HashSet<&str> = names().chain(&earlier).map(String::as_str).collect();
    let mut changes = Vec::new();
    {
        let mut statement = database.prepare_cached(
            "SELECT identity, status, closed FROM detections WHERE host = ?1 AND part = ?2",
        )?;
        let mut rows = statement.query([host, part])?;
        while let Some(row) = rows.next()? {
            let identity = row.get_ref(0)?.as_str()?;
            let closed = row.get_ref(2)?.as_str_or_null()?;
            match (present.contains(identity), closed) {
                (false, None) => changes.push((identity.to_owned(), Some(NOT_REPORTED))),
                (true, Some(NOT_REPORTED)) => {
                    let status = row.get_ref(1)?.as_str_or_null()?;
                    changes.push((identity.to_owned(), closed_by(status)));
                }
                _ => {}
            }
        }
    }
    let mut change = database.prepare_cached(
        "UPDATE detections SET closed = ?4 WHERE host = ?1 AND part = ?2 AND identity = ?3",
    )?;
    for (identity, closed) in &changes {
        change.execute(params![host, part, identity, closed])?;
    }
    Ok(!changes.is_empty())
}
