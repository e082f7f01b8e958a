//! Due times, starts and ends of runs: what must survive a restart so that no run is made twice, or never.
//!
//! A run's start moves `due` on before anything is sent. A run that its process did not live to end is due at once: it goes on
//! from its cursor.

use super::error::CatalogueError;
use super::status::{ensure, facts, facts_of, forget_verdict, judge, refresh};
use super::{Catalogue, event, loaded, stored};
use crate::schedule::due::interval_ms;
use crate::status::{Ended, Facts, State, Verdict};
use connector_runtime::runs::TestReport;
use connector_runtime::sandbox::ErrorKind;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// How long after a good test the next run shows whether a problem persists.
pub(crate) const AFTER_A_TEST_MS: u64 = 60_000;

/// What the schedule was before a run began; see [`Catalogue::run_began`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    due: Option<u64>,
    started: Option<u64>,
}

/// What is known of the plugin of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PluginState {
    /// SHA-256 of its file, 64 hexadecimal digits; none if there is no plugin.
    pub(crate) sha256: Option<String>,
    /// Why it may not run, if it asks for more than was accepted.
    pub(crate) suspended: Option<String>,
}

fn set_due(database: &Connection, id: &str, due: Option<u64>) -> Result<(), CatalogueError> {
    database
        .prepare_cached("UPDATE definitions SET due = ?2 WHERE connector = ?1")?
        .execute(params![id, due.map(stored)])?;
    Ok(())
}

/// A sensor's connector needs no profile: it is due as soon as it is active.
pub(super) fn due_on_a_sensor(
    database: &Connection,
    id: &str,
    now: i64,
) -> Result<(), CatalogueError> {
    database
        .prepare_cached(
            "UPDATE definitions SET due = coalesce(due, ?2) WHERE connector = ?1 AND active
                 AND run_on IN (SELECT name FROM devices WHERE kind = 'sensor')",
        )?
        .execute(params![id, now])?;
    Ok(())
}

/// After new settings: another interval counts from the last start, and what a former run came to holds no longer.
pub(super) fn edited(
    database: &Connection,
    id: &str,
    now: i64,
    is_changed: bool,
) -> Result<(), CatalogueError> {
    let Some(facts) = facts_of(database, id)? else {
        return Ok(());
    };
    if let (Some(_), Some(started)) = (facts.due, facts.started) {
        let due = started.saturating_add(interval_ms(facts.interval_minutes));
        set_due(database, id, Some(due))?;
    }
    let is_settled = facts.judged().is_some_and(|state| {
        matches!(
            state,
            State::StoppedAfterRefusedLogin
                | State::Failing
                | State::Incomplete
                | State::WaitingForQuota
                | State::WaitingForRoom
        )
    });
    if is_changed && is_settled {
        // A wait was for an account that may be another now; one that is not knows its quota.
        forget_verdict(database, id)?;
        database.execute(
            "UPDATE statuses SET not_before = NULL WHERE connector = ?1",
            [id],
        )?;
    }
    due_on_a_sensor(database, id, now)?;
    refresh(database, id, now)
}

impl Catalogue {
    /// What is known of every connector of a device; of all without one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn facts(&self, device: Option<&str>) -> Result<Vec<Facts>, CatalogueError> {
        self.look(|database| facts(database, device))
    }

    /// The types of all connectors.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn kinds(&self) -> Result<Vec<String>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT DISTINCT c.kind FROM definitions d JOIN connectors c ON c.id = d.connector",
            )?;
            let rows = rows.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// What is known of one connector; none if it is gone.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn facts_of(&self, id: &str) -> Result<Option<Facts>, CatalogueError> {
        self.look(|database| facts_of(database, id))
    }

    /// Makes connectors due at once whose run a former process did not live to end, and says how many they are.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn settle_interrupted(&self) -> Result<usize, CatalogueError> {
        self.change(|database| {
            database.execute(
                "UPDATE definitions SET due = (SELECT running FROM statuses WHERE connector = definitions.connector)
                 WHERE due IS NOT NULL AND connector IN (SELECT connector FROM statuses WHERE running IS NOT NULL)",
                [],
            )?;
            let settled = database.execute(
                "UPDATE statuses SET running = NULL WHERE running IS NOT NULL",
                [],
            )?;
            Ok(settled)
        })
        .await
    }

    /// Notes that a run begins, and when the next is due: an interval later, less what jitter has delayed this one. One that
    /// was never due (it was in no profile yet) stays so. None if the connector is gone.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn run_began(
        &self,
        id: &str,
        delayed_ms: u64,
    ) -> Result<Option<Before>, CatalogueError> {
        let (id, now) = (id.to_owned(), self.now_ms());
        self.change(move |database| {
            ensure(database, &id)?;
            let Some(facts) = facts_of(database, &id)? else {
                return Ok(None);
            };
            let due = loaded(now)
                .saturating_sub(delayed_ms)
                .saturating_add(interval_ms(facts.interval_minutes));
            set_due(database, &id, facts.due.map(|_| due))?;
            database
                .prepare_cached(
                    "UPDATE statuses SET started = ?2, running = ?2 WHERE connector = ?1",
                )?
                .execute(params![id, now])?;
            refresh(database, &id, now)?;
            Ok(Some(Before {
                due: facts.due,
                started: facts.started,
            }))
        })
        .await
    }

    /// Notes how a run ended. One that was not begun after all leaves the due time as it was; one that was `cut_off` by the
    /// end of the process is due at once when there is another.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn run_ended(
        &self,
        id: &str,
        before: Before,
        ended: Ended,
        cut_off: bool,
    ) -> Result<(), CatalogueError> {
        let (id, now) = (id.to_owned(), self.now_ms());
        self.change(move |database| {
            let Some(facts) = facts_of(database, &id)? else {
                return Ok(());
            };
            database
                .prepare_cached("UPDATE statuses SET running = NULL WHERE connector = ?1")?
                .execute([&id])?;
            let is_not_begun = matches!(ended, Ended::Held { .. } | Ended::Suspended(_));
            if is_not_begun {
                set_due(database, &id, before.due)?;
                database
                    .prepare_cached("UPDATE statuses SET started = ?2 WHERE connector = ?1")?
                    .execute(params![id, before.started.map(stored)])?;
            }
            match &ended {
                Ended::Judged {
                    verdict,
                    not_before,
                }
                | Ended::Held {
                    verdict,
                    not_before,
                } => judge(database, &facts, verdict, *not_before, now)?,
                Ended::Stopped if cut_off && facts.due.is_some() => {
                    set_due(database, &id, Some(loaded(now)))?;
                }
                Ended::Stopped => {}
                Ended::Suspended(sentence) => suspend(database, &facts, Some(sentence), now)?,
            }
            refresh(database, &id, now)
        })
        .await
    }

    /// After a test of a kept connector. One that passed clears the status, and the next run, a minute later, shows whether the
    /// problem persists; a wait for quota, a suspension and what a plugin's faults led to are not a test's to end. One whose
    /// login was refused stops the schedule, as a run does: the next attempt is a person's.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn clear_status_after_test(
        &self,
        id: &str,
        report: &TestReport,
    ) -> Result<(), CatalogueError> {
        let refused = report.checks.iter().find_map(|check| {
            let error = check.error.as_ref()?;
            let is_refused = error.kind == ErrorKind::Unauthenticated;
            is_refused
                .then(|| Verdict::of_refused_test(&format!("{} ({})", error.message, error.code)))
        });
        let passed = report.passed();
        let (id, now) = (id.to_owned(), self.now_ms());
        self.change(move |database| {
            ensure(database, &id)?;
            let Some(facts) = facts_of(database, &id)? else {
                return Ok(());
            };
            if let Some(verdict) = &refused {
                judge(database, &facts, verdict, None, now)?;
                return refresh(database, &id, now);
            }
            let is_cleared = facts.judged().is_some_and(|state| {
                matches!(
                    state,
                    State::Failing | State::Incomplete | State::StoppedAfterRefusedLogin
                )
            });
            if !passed || !is_cleared {
                return Ok(());
            }
            forget_verdict(database, &id)?;
            database
                .prepare_cached("UPDATE statuses SET tested = ?2 WHERE connector = ?1")?
                .execute(params![id, now])?;
            let soon = loaded(now).saturating_add(AFTER_A_TEST_MS);
            set_due(database, &id, facts.due.map(|due| due.min(soon)))?;
            event::note(
                database,
                now,
                Some(&id),
                "status",
                "a test passed, which cleared the status; the next run shows whether the problem is gone",
            )?;
            refresh(database, &id, now)
        })
        .await
    }

    /// Brings what is told of every connector up to date: with the clock, and with what is known of their plugins now. A
    /// plugin that may run again, or stands for another file than the one that faulted, gives its connectors free. Writes
    /// nothing if nothing has changed.
    ///
    /// # Errors
    /// If the journal cannot be read or written.
    pub(crate) async fn refresh_statuses(
        &self,
        plugins: &BTreeMap<String, PluginState>,
    ) -> Result<(), CatalogueError> {
        let now = self.now_ms();
        let (all, struck) =
            self.look(|database| Ok((facts(database, None)?, struck(database)?)))?;
        let mut changed = Vec::new();
        for facts in all {
            let plugin = plugins.get(&facts.kind);
            let suspended = plugin.and_then(|plugin| plugin.suspended.clone());
            let is_freed = matches!(facts.judged(), Some(State::HeldBack | State::SetAside))
                && match (
                    struck.get(&facts.id),
                    plugin.and_then(|plugin| plugin.sha256.as_ref()),
                ) {
                    (Some(faulted), Some(present)) => faulted != present,
                    (None, _) => true,
                    (Some(_), None) => false,
                };
            let status = facts.status(loaded(now));
            let is_told = facts.told == Some((status.state, status.since_ms));
            if is_freed || !is_told || suspended != facts.suspended {
                changed.push((facts, suspended, is_freed));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.change(move |database| {
            for (seen, suspended, is_freed) in &changed {
                ensure(database, &seen.id)?;
                // Somebody else may have refreshed it meanwhile, or deleted it.
                let Some(facts) = facts_of(database, &seen.id)? else {
                    continue;
                };
                if *is_freed {
                    forget_verdict(database, &facts.id)?;
                    database.execute(
                        "UPDATE statuses SET not_before = NULL WHERE connector = ?1",
                        [&facts.id],
                    )?;
                }
                if *suspended != facts.suspended {
                    suspend(database, &facts, suspended.as_deref(), now)?;
                }
                refresh(database, &facts.id, now)?;
            }
            Ok(())
        })
        .await
    }
}

/// The file of the plugin that faulted, for every connector with strikes.
fn struck(database: &Connection) -> Result<BTreeMap<String, String>, CatalogueError> {
    let mut rows = database.prepare_cached("SELECT connector, plugin FROM strikes")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn suspend(
    database: &Connection,
    facts: &Facts,
    sentence: Option<&str>,
    now: i64,
) -> Result<(), CatalogueError> {
    database
        .prepare_cached("UPDATE statuses SET suspended = ?2 WHERE connector = ?1")?
        .execute(params![facts.id, sentence])?;
    let text = match (sentence, &facts.suspended) {
        (Some(sentence), None) => format!("suspended: {sentence}"),
        (None, Some(_)) => "its plugin may run again".to_owned(),
        _ => return Ok(()),
    };
    event::note(database, now, Some(&facts.id), "status", &text)
}
