//! Statuses, kept and read: what every connector's status and next run follow from.

use super::error::CatalogueError;
use super::{Catalogue, event, loaded, stored};
use crate::status::{Facts, State, Status, Verdict};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeMap;

/// Which statuses are asked for; everything that is set must fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusFilter {
    /// The tenant's name.
    pub(crate) tenant: Option<String>,
    /// In one of these states; none for all.
    pub(crate) states: Vec<State>,
}

// A run that its process did not live to end is not under way, whatever was noted when it began.
const SELECT: &str = "
SELECT d.connector, t.name || '/' || c.name, c.kind, c.tenant, d.active, d.run_on,
    EXISTS (SELECT 1 FROM profile_members m WHERE m.connector = d.connector), d.due, d.interval_minutes,
    s.started, iif(s.running IS NOT NULL AND EXISTS (SELECT 1 FROM runs r WHERE r.connector = d.connector
        AND r.started >= s.running AND r.outcome = 'interrupted'), NULL, s.running),
    s.verdict, s.reason, s.judged, s.not_before, s.tested, s.suspended, s.state, s.since
FROM definitions d JOIN connectors c ON c.id = d.connector JOIN tenants t ON t.id = c.tenant
LEFT JOIN statuses s ON s.connector = d.connector";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Facts> {
    let moment = |column: usize| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(loaded))
    };
    let state = |column: usize| -> rusqlite::Result<Option<State>> {
        let name = row.get::<_, Option<String>>(column)?;
        Ok(name.and_then(|name| State::of_name(&name)))
    };
    let reason: Option<String> = row.get(12)?;
    Ok(Facts {
        id: row.get(0)?,
        full_name: row.get(1)?,
        kind: row.get(2)?,
        tenant_id: row.get(3)?,
        active: row.get(4)?,
        run_on: row.get(5)?,
        in_profile: row.get(6)?,
        due: moment(7)?,
        interval_minutes: loaded(row.get(8)?),
        started: moment(9)?,
        running: moment(10)?,
        verdict: match (state(11)?, moment(13)?) {
            (Some(state), Some(since)) => Some((
                Verdict {
                    state,
                    reason: reason.unwrap_or_default(),
                },
                since,
            )),
            _ => None,
        },
        not_before: moment(14)?,
        tested: moment(15)?,
        suspended: row.get(16)?,
        told: state(17)?.zip(moment(18)?),
    })
}

/// What is known of one connector.
pub(super) fn facts_of(database: &Connection, id: &str) -> Result<Option<Facts>, CatalogueError> {
    Ok(database
        .prepare_cached(&format!("{SELECT} WHERE d.connector = ?1"))?
        .query_row([id], from_row)
        .optional()?)
}

/// What is known of the connectors of a device, or of all.
pub(super) fn facts(
    database: &Connection,
    device: Option<&str>,
) -> Result<Vec<Facts>, CatalogueError> {
    let filter = match device {
        Some(_) => "WHERE d.run_on = ?1",
        None => "WHERE ?1 IS NULL",
    };
    let mut rows = database.prepare_cached(&format!("{SELECT} {filter}"))?;
    let rows = rows.query_map([device], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes the row that a connector's status is kept in, if there is none yet.
pub(super) fn ensure(database: &Connection, id: &str) -> Result<(), CatalogueError> {
    database
        .prepare_cached(
            "INSERT INTO statuses (connector) SELECT connector FROM definitions WHERE connector = ?1
             ON CONFLICT DO NOTHING",
        )?
        .execute([id])?;
    Ok(())
}

/// Brings the state that is told up to date, in the transaction of whatever has changed it.
pub(super) fn refresh(database: &Connection, id: &str, now: i64) -> Result<(), CatalogueError> {
    ensure(database, id)?;
    let Some(facts) = facts_of(database, id)? else {
        return Ok(());
    };
    let status = facts.status(loaded(now));
    if facts.told == Some((status.state, status.since_ms)) {
        return Ok(());
    }
    database
        .prepare_cached("UPDATE statuses SET state = ?2, since = ?3 WHERE connector = ?1")?
        .execute(params![id, status.state.as_str(), stored(status.since_ms)])?;
    Ok(())
}

/// Puts a verdict in the place of the one before; an event tells of it if it is another one.
pub(super) fn judge(
    database: &Connection,
    facts: &Facts,
    verdict: &Verdict,
    not_before: Option<u64>,
    now: i64,
) -> Result<(), CatalogueError> {
    let since = match &facts.verdict {
        Some((before, since)) if before.state == verdict.state => stored(*since),
        _ => now,
    };
    database
        .prepare_cached(
            "UPDATE statuses SET verdict = ?2, reason = ?3, judged = ?4, not_before = ?5, tested = NULL WHERE connector = ?1",
        )?
        .execute(params![
            facts.id,
            verdict.state.as_str(),
            verdict.reason,
            since,
            not_before.map(stored)
        ])?;
    if facts.judged() == Some(verdict.state) {
        return Ok(());
    }
    let text = format!(
        "{}: {}",
        verdict.state.as_str(),
        verdict.message(not_before)
    );
    event::note(database, now, Some(&facts.id), "status", &text)
}

/// Forgets what the last run came to.
pub(super) fn forget_verdict(database: &Connection, id: &str) -> Result<(), CatalogueError> {
    database
        .prepare_cached(
            "UPDATE statuses SET verdict = NULL, reason = '', judged = NULL, tested = NULL WHERE connector = ?1",
        )?
        .execute([id])?;
    Ok(())
}

impl Catalogue {
    /// The status of every connector that the filter lets through, by the connectors' ids.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn statuses(
        &self,
        filter: &StatusFilter,
    ) -> Result<BTreeMap<String, Status>, CatalogueError> {
        let now = loaded(self.now_ms());
        let all = self.look(|database| facts(database, None))?;
        let of_tenant = |facts: &Facts| match &filter.tenant {
            Some(tenant) => facts
                .full_name
                .split_once('/')
                .is_some_and(|(owner, _)| owner == tenant),
            None => true,
        };
        Ok(all
            .into_iter()
            .filter(of_tenant)
            .map(|facts| (facts.status(now), facts.id))
            .filter(|(status, _)| filter.states.is_empty() || filter.states.contains(&status.state))
            .map(|(status, id)| (id, status))
            .collect())
    }

    /// The status of the connector of this id, if there is one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn status(&self, id: &str) -> Result<Option<Status>, CatalogueError> {
        let now = loaded(self.now_ms());
        let facts = self.look(|database| facts_of(database, id))?;
        Ok(facts.map(|facts| facts.status(now)))
    }
}
