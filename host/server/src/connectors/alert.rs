//! Alerts as they are kept, and the queue of what is still to be delivered about them.
//!
//! Promises: a connector, or another subject, has at most one open alert of a kind; an alert is raised or cleared in the transaction that queues
//! its deliveries, so that neither is without the other; a delivery leaves the queue only when it has arrived or was given
//! up, whatever restarts come between, and keeps its id.

use super::error::CatalogueError;
use super::{Catalogue, event, loaded, status, stored};
use crate::alerts::Seen;
use crate::alerts::host::Subject;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a cleared alert is kept.
const KEPT_MS: u64 = 90 * 24 * 3_600_000;

/// An alert. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StoredAlert {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// Of connectors `no-data`, `failing`, `incomplete`, `behind`, `login-refused`, `suspended` or `set-aside`; of the host
    /// `consumer-failing`, `consumer-behind`, `consumer-skipped`, `journal-filling`, `journal-nearly-full` or `disk-full`.
    pub(crate) kind: String,
    /// `tenant/name`; null if it is about no connector.
    pub(crate) connector: Option<String>,
    /// 24 hexadecimal digits.
    pub(crate) connector_id: Option<String>,
    /// What it is about if that is no connector: `journal`, `disk`, or `consumer` and its name.
    pub(crate) subject: Option<String>,
    /// The tenant's name; null if it is no single tenant's.
    pub(crate) tenant: Option<String>,
    /// 32 hexadecimal digits.
    pub(crate) tenant_id: Option<String>,
    /// What happened, in a sentence.
    pub(crate) message: String,
    /// Since when it is so.
    pub(crate) since: u64,
    /// When it was noticed.
    pub(crate) raised: u64,
    /// When it was over; none while it is open.
    pub(crate) cleared: Option<u64>,
}

/// An open alert, as much of it as is needed to tell what has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenAlert {
    pub(crate) id: String,
    pub(crate) connector: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl OpenAlert {
    /// As [`About::key`].
    pub(crate) fn about(&self) -> &str {
        self.subject
            .as_deref()
            .or(self.connector.as_deref())
            .unwrap_or_default()
    }
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A connector, by its id.
    Connector(String),
    /// Something of the host.
    Host(Subject),
}

impl About {
    /// What tells it from everything else of its sort: the connector's id, or the subject's name.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Connector(id) => id,
            Self::Host(subject) => &subject.name,
        }
    }
}

/// Which alerts to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertFilter {
    /// Only those of the tenant of this name or id.
    pub(crate) tenant: Option<String>,
    /// Only open ones, or only cleared ones.
    pub(crate) open: Option<bool>,
    /// How many, at most; all if none is given.
    pub(crate) limit: Option<u64>,
    /// How many to leave out first.
    pub(crate) offset: u64,
    /// The oldest first instead of the newest.
    pub(crate) oldest_first: bool,
}

/// A message for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The same in every attempt: the receiver tells by it what it has seen before.
    pub(crate) id: String,
    /// The destination's name.
    pub(crate) webhook: String,
    /// The JSON body.
    pub(crate) body: String,
    /// Attempts that have failed.
    pub(crate) attempts: u32,
    /// In milliseconds since 1970.
    pub(crate) created: u64,
}

/// What happens to an alert.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// It begins.
    Raise {
        /// 32 hexadecimal digits.
        id: String,
        /// What it is about.
        about: About,
        /// One word.
        kind: &'static str,
        /// One sentence.
        message: String,
        /// In milliseconds since 1970.
        since: u64,
    },
    /// It says something else now; nobody is told.
    Reword {
        /// The alert's id.
        id: String,
        /// One sentence.
        message: String,
    },
    /// It is over.
    Clear {
        /// The alert's id.
        id: String,
    },
}

const SELECT: &str = "
SELECT a.id, a.kind, t.name || '/' || coalesce(x.name, c.name), c.id, a.subject, t.name, t.id, a.message, a.since, a.raised,
    a.cleared
FROM alerts a LEFT JOIN connectors c ON c.id = a.connector LEFT JOIN tenants t ON t.id = coalesce(c.tenant, a.tenant)
LEFT JOIN deletions x ON x.connector = c.id";

/// When records last came, and since when some are expected: since the connector was made, changed, activated or put into a
/// profile.
const AGES: &str = "
SELECT d.connector,
    coalesce((SELECT written FROM blocks WHERE connector = d.connector AND records > 0 ORDER BY offset DESC LIMIT 1),
        (SELECT last_data FROM trimmed WHERE connector = d.connector)),
    max(d.created, d.modified,
        coalesce((SELECT max(added) FROM profile_members WHERE connector = d.connector), 0),
        coalesce((SELECT max(time) FROM events WHERE connector = d.connector AND kind = 'activated'), 0))
FROM definitions d";

/// `?1` a tenant's name or id, or none, `?2` whether open, or none.
const MATCHING: &str = "
WHERE (?1 IS NULL OR t.name = ?1 OR t.id = ?1) AND (?2 IS NULL OR (a.cleared IS NULL) = ?2)";

impl StoredAlert {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            kind: row.get(1)?,
            connector: row.get(2)?,
            connector_id: row.get(3)?,
            subject: row.get(4)?,
            tenant: row.get(5)?,
            tenant_id: row.get(6)?,
            message: row.get(7)?,
            since: loaded(row.get(8)?),
            raised: loaded(row.get(9)?),
            cleared: row.get::<_, Option<i64>>(10)?.map(loaded),
        })
    }
}

impl Catalogue {
    /// The alerts that match, the newest first, and how many there are in all.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn alerts(
        &self,
        filter: &AlertFilter,
    ) -> Result<(u64, Vec<StoredAlert>), CatalogueError> {
        let limit = filter.limit.map_or(-1, stored);
        let order = if filter.oldest_first { "ASC" } else { "DESC" };
        self.look(|database| {
            let total = database.query_row(
                &format!("SELECT count(*) FROM ({SELECT} {MATCHING})"),
                params![filter.tenant, filter.open],
                |row| row.get(0),
            )?;
            let mut rows = database.prepare_cached(&format!(
                "{SELECT} {MATCHING} ORDER BY a.raised {order}, a.rowid {order} LIMIT ?3 OFFSET ?4"
            ))?;
            let rows = rows.query_map(
                params![filter.tenant, filter.open, limit, stored(filter.offset)],
                StoredAlert::from_row,
            )?;
            Ok((loaded(total), rows.collect::<Result<_, _>>()?))
        })
    }

    /// Every connector as its status shows it now, for alerts and metrics.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn seen(&self, now: u64) -> Result<Vec<Seen>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(AGES)?;
            let rows = rows.query_map([], |row| {
                let last_data: Option<i64> = row.get(1)?;
                Ok((row.get(0)?, (last_data.map(loaded), loaded(row.get(2)?))))
            })?;
            let ages: HashMap<String, (Option<u64>, u64)> = rows.collect::<Result<_, _>>()?;
            let facts = status::facts(database, None)?;
            let seen = facts.into_iter().map(|facts| {
                let status = facts.status(now);
                let (last_data_ms, expected_since_ms) =
                    ages.get(&facts.id).copied().unwrap_or((None, now));
                Seen {
                    state: status.state.as_str().to_owned(),
                    message: status.message,
                    since_ms: status.since_ms,
                    expected_since_ms,
                    last_data_ms,
                    due_ms: facts.due,
                    interval: Duration::from_secs(facts.interval_minutes.saturating_mul(60)),
                    connector: facts.id,
                    name: facts.full_name,
                }
            });
            Ok(seen.collect())
        })
    }

    /// The open alerts of one connector, or of all.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn open_alerts(
        &self,
        connector: Option<&str>,
    ) -> Result<Vec<OpenAlert>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT id, connector, subject, kind, message FROM alerts
                 WHERE cleared IS NULL AND (?1 IS NULL OR connector = ?1)",
            )?;
            let rows = rows.query_map([connector], |row| {
                Ok(OpenAlert {
                    id: row.get(0)?,
                    connector: row.get(1)?,
                    subject: row.get(2)?,
                    kind: row.get(3)?,
                    message: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Raises and clears alerts; `compose` says what is to be delivered about each. What is open already is not raised
    /// again, and what is cleared already not cleared again: nothing is delivered then. The alerts that did change are
    /// returned.
    ///
    /// # Errors
    /// If the journal cannot be written; nothing has changed then.
    pub(crate) async fn change_alerts(
        &self,
        changes: Vec<Change>,
        now: u64,
        compose: impl Fn(&StoredAlert) -> Vec<Delivery> + Send + 'static,
    ) -> Result<Vec<StoredAlert>, CatalogueError> {
        self.change(move |database| {
            let mut changed = Vec::new();
            for change in &changes {
                let Some(id) = apply(database, change, stored(now))? else {
                    continue;
                };
                let alert = database.query_row(
                    &format!("{SELECT} WHERE a.id = ?1"),
                    [id],
                    StoredAlert::from_row,
                )?;
                let word = if alert.cleared.is_some() {
                    "cleared"
                } else {
                    "raised"
                };
                let text = match &alert.subject {
                    Some(subject) => format!("the alert {} of {subject} was {word}", alert.kind),
                    None => format!("the alert {} was {word}", alert.kind),
                };
                event::note(
                    database,
                    stored(now),
                    alert.connector_id.as_deref(),
                    "alert",
                    &text,
                )?;
                for delivery in compose(&alert) {
                    queue(database, id, &delivery)?;
                }
                changed.push(alert);
            }
            database
                .prepare_cached(
                    "DELETE FROM alerts WHERE cleared < ?1
                     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.id)",
                )?
                .execute([stored(now.saturating_sub(KEPT_MS))])?;
            Ok(changed)
        })
        .await
    }

    /// The delivery to a destination that is next, and when it is due. One about an alert waits for those before it about
    /// the same alert, so that an alert is never cleared before it was raised.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn next_delivery(
        &self,
        webhook: &str,
    ) -> Result<Option<(u64, Delivery)>, CatalogueError> {
        self.look(|database| {
            let mut rows = database.prepare_cached(
                "SELECT due, id, webhook, body, attempts, created FROM deliveries d
                 WHERE webhook = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries e
                     WHERE e.alert = d.alert AND e.webhook = d.webhook AND e.number < d.number)
                 ORDER BY due, number LIMIT 1",
            )?;
            let delivery = rows.query_row([webhook], |row| {
                Ok((
                    loaded(row.get(0)?),
                    Delivery {
                        id: row.get(1)?,
                        webhook: row.get(2)?,
                        body: row.get(3)?,
                        attempts: row.get(4)?,
                        created: loaded(row.get(5)?),
                    },
                ))
            });
            Ok(delivery.optional()?)
        })
    }

    /// A delivery has arrived.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn delivered(&self, id: &str) -> Result<(), CatalogueError> {
        let id = id.to_owned();
        self.change(move |database| {
            database.execute("DELETE FROM deliveries WHERE id = ?1", [&id])?;
            Ok(())
        })
        .await
    }

    /// An attempt has failed; the next is due at `due`.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn put_off_delivery(&self, id: &str, due: u64) -> Result<(), CatalogueError> {
        let id = id.to_owned();
        self.change(move |database| {
            database.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?2 WHERE id = ?1",
                params![id, stored(due)],
            )?;
            Ok(())
        })
        .await
    }

    /// A delivery is given up; `why` is noted as an event of its connector, if it has one.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn give_delivery_up(&self, id: &str, why: &str) -> Result<(), CatalogueError> {
        let (id, why, now) = (id.to_owned(), why.to_owned(), self.now_ms());
        self.change(move |database| {
            let connector: Option<Option<String>> = database
                .query_row(
                    "SELECT a.connector FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE d.id = ?1",
                    [&id],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(connector) = connector {
                event::note(database, now, connector.as_deref(), "alert", &why)?;
                database.execute("DELETE FROM deliveries WHERE id = ?1", [&id])?;
            }
            Ok(())
        })
        .await
    }

    /// A destination asked to be sent nothing any more: what was queued for it is dropped. `address` stands for where it
    /// was, so that it counts as another one when it moves.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn close_webhook(
        &self,
        webhook: &str,
        address: &str,
        now: u64,
    ) -> Result<(), CatalogueError> {
        let (webhook, address) = (webhook.to_owned(), address.to_owned());
        self.change(move |database| {
            database.execute(
                "INSERT OR REPLACE INTO closed_webhooks (name, address, closed) VALUES (?1, ?2, ?3)",
                params![webhook, address, stored(now)],
            )?;
            database.execute("DELETE FROM deliveries WHERE webhook = ?1", [&webhook])?;
            Ok(())
        })
        .await
    }

    /// Whether the destination at this address asked to be sent nothing any more.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn is_webhook_closed(
        &self,
        webhook: &str,
        address: &str,
    ) -> Result<bool, CatalogueError> {
        self.look(|database| {
            Ok(database.query_row(
                "SELECT EXISTS (SELECT 1 FROM closed_webhooks WHERE name = ?1 AND address = ?2)",
                [webhook, address],
                |row| row.get(0),
            )?)
        })
    }

    /// Drops what is queued for destinations other than these, and returns how many deliveries that were.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn keep_deliveries_to(
        &self,
        webhooks: Vec<String>,
    ) -> Result<usize, CatalogueError> {
        // Plain texts: serialising them cannot fail.
        let names = serde_json::to_string(&webhooks).unwrap_or_default();
        self.change(move |database| {
            Ok(database.execute(
                "DELETE FROM deliveries WHERE webhook NOT IN (SELECT value FROM json_each(?1))",
                [&names],
            )?)
        })
        .await
    }
}

/// Makes one change; the alert's id if it was one.
fn apply<'a>(
    database: &Connection,
    change: &'a Change,
    now: i64,
) -> Result<Option<&'a str>, CatalogueError> {
    let (id, changed) = match change {
        Change::Raise {
            id,
            about: About::Connector(connector),
            kind,
            message,
            since,
        } => {
            let raised = database
                .prepare_cached(
                    "INSERT INTO alerts (id, connector, kind, message, since, raised)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM definitions WHERE connector = ?2)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![id, connector, kind, message, stored(*since), now])?;
            (id, raised)
        }
        Change::Raise {
            id,
            about: About::Host(Subject { name, tenant }),
            kind,
            message,
            since,
        } => {
            let raised = database
                .prepare_cached(
                    "INSERT INTO alerts (id, subject, tenant, kind, message, since, raised)
                     VALUES (?1, ?2, (SELECT id FROM tenants WHERE name = ?3), ?4, ?5, ?6, ?7)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    id,
                    name,
                    tenant,
                    kind,
                    message,
                    stored(*since),
                    now
                ])?;
            (id, raised)
        }
        Change::Reword { id, message } => {
            database
                .prepare_cached("UPDATE alerts SET message = ?2 WHERE id = ?1 AND cleared IS NULL")?
                .execute([id, message])?;
            return Ok(None);
        }
        Change::Clear { id } => {
            let cleared = database
                .prepare_cached("UPDATE alerts SET cleared = ?2 WHERE id = ?1 AND cleared IS NULL")?
                .execute(params![id, now])?;
            (id, cleared)
        }
    };
    Ok((changed == 1).then_some(id.as_str()))
}

fn queue(database: &Connection, alert: &str, delivery: &Delivery) -> Result<(), CatalogueError> {
    let created = stored(delivery.created);
    database
        .prepare_cached(
            "INSERT INTO deliveries (id, alert, webhook, body, attempts, created, due)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)",
        )?
        .execute(params![
            delivery.id,
            alert,
            delivery.webhook,
            delivery.body,
            created
        ])?;
    Ok(())
}
