//! Alerts: what a person has to know about a connector or about the host itself, noticed from how they are, kept, and
//! delivered.
//!
//! ```text
//! status ──▶ rules ──▶ alert raised or cleared ┐ one transaction
//!                      deliveries queued       ┘──▶ webhooks, each at its own pace
//! ```
//!
//! Promises: a connector, the journal, the disk and each consumer have at most one open alert of a kind; it is raised once and cleared once, and both are delivered,
//! at least once, to every destination that is to hear of them, across restarts. A message carries the data of the one
//! connector or consumer that it is about. A destination that fails holds up no other.
//!
//! Never here: a request to a connector's vendor, a redirect that is followed, an address that the operator has not
//! allowed, or a destination that anybody but the owner of `host.toml` has named.

pub(crate) mod delivery;
pub(crate) mod host;
pub(crate) mod message;
pub(crate) mod rules;
pub(crate) mod webhook;

#[cfg(test)]
mod tests;

use crate::connectors::Catalogue;
use crate::connectors::alert::{About, Change, OpenAlert, StoredAlert};
use crate::connectors::error::CatalogueError;
use crate::consumers::Consumers;
use connector_runtime::Clock;
use delivery::Outbox;
use host::HostSeen;
use rules::{Rules, Verdict};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;
use webhook::Webhook;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Nothing was received for too long.
    NoData,
    /// The last run failed.
    Failing,
    /// The last run left something out.
    Incomplete,
    /// Runs begin later than they should.
    Behind,
    /// The vendor refused the login, and collection has stopped.
    LoginRefused,
    /// The plugin asks for more than was accepted.
    Suspended,
    /// The plugin faulted too often.
    SetAside,
    /// A consumer of the journal has failed for long.
    ConsumerFailing,
    /// A consumer has much to take, and for long.
    ConsumerBehind,
    /// A consumer has lost blocks.
    ConsumerSkipped,
    /// The journal uses half of what it may.
    JournalFilling,
    /// The journal uses four fifths of what it may.
    JournalNearlyFull,
    /// The disk has no room for another batch.
    DiskFull,
}

impl Kind {
    /// Those about a connector.
    pub(crate) const OF_CONNECTORS: [Self; 7] = [
        Self::NoData,
        Self::Failing,
        Self::Incomplete,
        Self::Behind,
        Self::LoginRefused,
        Self::Suspended,
        Self::SetAside,
    ];

    /// Every kind.
    pub(crate) const ALL: [Self; 13] = [
        Self::NoData,
        Self::Failing,
        Self::Incomplete,
        Self::Behind,
        Self::LoginRefused,
        Self::Suspended,
        Self::SetAside,
        Self::ConsumerFailing,
        Self::ConsumerBehind,
        Self::ConsumerSkipped,
        Self::JournalFilling,
        Self::JournalNearlyFull,
        Self::DiskFull,
    ];

    /// As in configuration, API and messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoData => "no-data",
            Self::Failing => "failing",
            Self::Incomplete => "incomplete",
            Self::Behind => "behind",
            Self::LoginRefused => "login-refused",
            Self::Suspended => "suspended",
            Self::SetAside => "set-aside",
            Self::ConsumerFailing => "consumer-failing",
            Self::ConsumerBehind => "consumer-behind",
            Self::ConsumerSkipped => "consumer-skipped",
            Self::JournalFilling => "journal-filling",
            Self::JournalNearlyFull => "journal-nearly-full",
            Self::DiskFull => "disk-full",
        }
    }

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A connector, as its status shows it. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The connector's id.
    pub(crate) connector: String,
    /// `tenant/name`.
    pub(crate) name: String,
    /// The state's word, as the status has it.
    pub(crate) state: String,
    /// What the status says, in a sentence.
    pub(crate) message: String,
    /// Since when it is in this state.
    pub(crate) since_ms: u64,
    /// Since when it is expected to collect: since it was made, last activated, or put into a profile.
    pub(crate) expected_since_ms: u64,
    /// When records last came.
    pub(crate) last_data_ms: Option<u64>,
    /// When it is to run next.
    pub(crate) due_ms: Option<u64>,
    /// Between two runs.
    pub(crate) interval: Duration,
}

/// Between two looks at all connectors.
const EVERY: Duration = Duration::from_secs(60);

fn tell(alert: &StoredAlert) {
    let StoredAlert { kind, message, .. } = alert;
    let about = match &alert.connector {
        Some(connector) => format!("connector {connector}"),
        None => alert.subject.clone().unwrap_or_default(),
    };
    match alert.cleared {
        None => tracing::warn!("alert {kind} of {about}: {message}"),
        Some(_) => tracing::info!("the alert {kind} of {about} is over"),
    }
}

/// See the module.
pub(crate) struct Alerts {
    catalogue: Arc<Catalogue>,
    clock: Clock,
    rules: Rules,
    outbox: Arc<Outbox>,
}

impl Alerts {
    /// Alerts of the connectors in `catalogue`, told to `webhooks`.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        clock: Clock,
        rules: Rules,
        webhooks: Vec<Webhook>,
    ) -> Result<Self, CatalogueError> {
        let outbox = Outbox::new(Arc::clone(&catalogue), clock.clone(), webhooks)?;
        Ok(Self {
            catalogue,
            clock,
            rules,
            outbox: Arc::new(outbox),
        })
    }

    /// Looks at all connectors that there are: an open alert of one that is not among them is cleared. Returns what has
    /// changed.
    ///
    /// # Errors
    /// If the journal cannot be read or written; the next look makes up for it.
    pub(crate) async fn look_at_all(
        &self,
        seen: &[Seen],
    ) -> Result<Vec<StoredAlert>, CatalogueError> {
        let now = self.clock.now_ms();
        let judged = seen.iter().flat_map(|seen| {
            let judge = move |kind| {
                let about = About::Connector(seen.connector.clone());
                (about, kind, self.rules.judge(kind, seen, now))
            };
            Kind::OF_CONNECTORS.map(judge)
        });
        let open = self.catalogue.open_alerts(None)?.into_iter();
        let open = open.filter(|alert| alert.subject.is_none());
        self.compare(judged.collect(), open.collect(), now).await
    }

    /// Looks at the host itself: an open alert of a consumer that is not among those seen is cleared. Returns what has changed.
    ///
    /// # Errors
    /// As [`Alerts::look_at_all`].
    pub(crate) async fn look_at_host(
        &self,
        seen: &HostSeen,
    ) -> Result<Vec<StoredAlert>, CatalogueError> {
        let now = self.clock.now_ms();
        let judged = host::judge(&self.rules, seen, now).into_iter();
        let judged = judged.map(|(subject, kind, verdict)| (About::Host(subject), kind, verdict));
        let open = self.catalogue.open_alerts(None)?.into_iter();
        let open = open.filter(|alert| alert.subject.is_some());
        self.compare(judged.collect(), open.collect(), now).await
    }

    /// Looks at all connectors and at the host every minute, and delivers, until it is dropped.
    pub(crate) async fn watch(&self, consumers: &Consumers) {
        let looking = async {
            loop {
                for looked in [self.connectors().await, self.host(consumers).await] {
                    match looked {
                        Ok(changed) => changed.iter().for_each(tell),
                        Err(error) => tracing::warn!("alerts: {error}"),
                    }
                }
                self.clock.sleep(EVERY).await;
            }
        };
        tokio::join!(looking, self.deliver());
    }

    async fn connectors(&self) -> Result<Vec<StoredAlert>, CatalogueError> {
        let seen = self.catalogue.seen(self.clock.now_ms())?;
        self.look_at_all(&seen).await
    }

    async fn host(&self, consumers: &Consumers) -> Result<Vec<StoredAlert>, CatalogueError> {
        let seen = HostSeen::of(self.catalogue.journal(), &consumers.states())?;
        self.look_at_host(&seen).await
    }

    /// Delivers what is queued and what will be, until it is dropped. A delivery that was under way then is made again, with
    /// the same id.
    pub(crate) async fn deliver(&self) {
        self.outbox.deliver().await;
    }

    async fn compare(
        &self,
        judged: Vec<(About, Kind, Verdict)>,
        open: Vec<OpenAlert>,
        now: u64,
    ) -> Result<Vec<StoredAlert>, CatalogueError> {
        let mut left: HashMap<(String, String), OpenAlert> = open
            .into_iter()
            .map(|alert| ((alert.about().to_owned(), alert.kind.clone()), alert))
            .collect();
        let mut changes = Vec::new();
        for (about, kind, verdict) in judged {
            let known = left.remove(&(about.key().to_owned(), kind.as_str().to_owned()));
            match (verdict, known) {
                (Verdict::Holds { message, since_ms }, None) => changes.push(Change::Raise {
                    id: Uuid::new_v4().simple().to_string(),
                    about,
                    kind: kind.as_str(),
                    message,
                    since: since_ms,
                }),
                // What is lost grows while the alert is open; nobody is told again, and whoever looks sees all of it.
                (Verdict::Holds { message, .. }, Some(known))
                    if kind == Kind::ConsumerSkipped && known.message != message =>
                {
                    changes.push(Change::Reword {
                        id: known.id,
                        message,
                    });
                }
                (Verdict::Over, Some(known)) => changes.push(Change::Clear { id: known.id }),
                _ => {}
            }
        }
        // Of connectors and consumers that are gone.
        changes.extend(
            left.into_values()
                .map(|alert| Change::Clear { id: alert.id }),
        );
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let outbox = Arc::clone(&self.outbox);
        let compose = move |alert: &StoredAlert| outbox.compose(alert, now);
        let changed = self.catalogue.change_alerts(changes, now, compose).await?;
        self.outbox.wake();
        Ok(changed)
    }
}
