//! One run of one connector: from the stored cursors to the journal's commit, with every retry decided here.
//!
//! Promises: a batch becomes durable with its cursor and its cache writes or not at all; a failure of any kind leaves the
//! last commit to go on from; no run is silent: it ends with a [`Ledger`] that says what came, what is missing, how long it
//! waited, and why it ended. One refused login stops the run.
//!
//! A run needs a plugin, a cursor and a place to commit, and nothing else.

mod collection;
mod configuration;
mod connector;
mod ledger;
mod observer;
mod retry;
mod stop;
mod strikes;

pub use configuration::configure;
pub use connector::{Connector, Identity, StartError};
pub use ledger::{ContentLedger, EquationCheck, Filtered, Ledger, RunOutcome};
pub use observer::{Event, Observer, Silent};
pub use stop::Stop;
pub use strikes::Held;

use crate::egress::{EgressSession, Traffic};
use crate::journal::{Journal, JournalError};
use crate::sandbox::{Check, Fault, NoCache, Usage};
use collection::Collection;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{Instrument as _, field, info_span};

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Read everything again, whatever the cursors say.
    pub full: bool,
    /// Run although the plugin's faults hold the connector back or have set it aside.
    pub force: bool,
    /// The most that a run may wait, for quota and between attempts together.
    pub max_wait: Duration,
    /// The longest single wait: one that is longer ends the run, whose ledger says from when it is worth going on.
    pub patience: Duration,
    /// How it can be stopped from outside.
    pub stop: Stop,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            full: false,
            force: false,
            max_wait: Duration::from_secs(15 * 60),
            patience: Duration::MAX,
            stop: Stop::default(),
        }
    }
}

/// Why a run could not be brought to its ledger.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Found before anything was sent.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The plugin faulted too often before.
    #[error(transparent)]
    Held(#[from] Held),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A thread of the host ended unexpectedly.
    #[error(
        "a thread of the host ended unexpectedly: {0}. Nothing of the last batch was kept; run again"
    )]
    Thread(String),
}

/// Collects every chosen content type once, each to the end of its walk.
///
/// # Errors
/// If the connector cannot start or the journal fails; whatever the vendor answers is in the ledger.
pub async fn collect(
    connector: &Connector,
    journal: &Journal,
    options: &RunOptions,
    observer: Arc<dyn Observer>,
) -> Result<Ledger, RunError> {
    let Identity {
        tenant, name, kind, ..
    } = connector.identity();
    let span = info_span!(
        "run",
        tenant,
        connector = name,
        r#type = kind,
        outcome = field::Empty,
        records = field::Empty
    );
    let result = run(connector, journal, options, observer)
        .instrument(span.clone())
        .await;
    if let Ok(ledger) = &result {
        span.record("outcome", ledger.outcome.as_str());
        span.record("records", ledger.records);
    }
    result
}

async fn run(
    connector: &Connector,
    journal: &Journal,
    options: &RunOptions,
    observer: Arc<dyn Observer>,
) -> Result<Ledger, RunError> {
    let clock = connector.clock();
    let id = &connector.identity().connector_id;
    let struck = journal.strikes(id)?;
    if !options.force {
        strikes::check(struck.as_ref(), connector.plugin_digest(), clock.now_ms())?;
    }
    {
        let _held = clock.hold();
        connector.admit(journal).await?;
    }
    let traffic = Arc::new(Traffic::new(Arc::clone(connector.redactor())));
    let walked: Arc<Mutex<String>> = Arc::default();
    let session = EgressSession::new(connector.egress(), Arc::clone(&traffic)).heard_by({
        let (walked, observer) = (Arc::clone(&walked), Arc::clone(&observer));
        move |time, reason| {
            let content_type = walked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            observer.event(&Event::Waiting {
                content_type: &content_type,
                time,
                reason,
            });
        }
    });
    let store = connector.cache(journal);
    let started = clock.now_ms();
    let opened = connector
        .open(session.clone(), Arc::clone(&store), &observer)
        .await;
    let (instance, warnings, fault) = match opened {
        Ok((instance, warnings)) => (Some(instance), warnings, None),
        Err(StartError::Plugin(fault)) => (None, Vec::new(), Some(fault)),
        Err(error) => return Err(error.into()),
    };
    let redactor = Arc::clone(connector.redactor());
    let mut ledger = Ledger::begin(connector.identity(), started, warnings, redactor);
    let run = {
        let _held = clock.hold();
        journal.begin_run(id, started).await?
    };
    observer.event(&Event::Started { run: &run });
    let mut collection = Collection {
        connector,
        journal,
        options,
        observer: &observer,
        session: &session,
        traffic: &traffic,
        store: &store,
        instance,
        waited: Duration::ZERO,
        used: Usage::default(),
        strikes: 0,
        ledger: ContentLedger::begin(""),
    };
    let mut result = Ok(());
    let cannot_start = fault.is_some();
    let contents = connector.content_types().iter();
    for content_type in contents.filter(|_| !cannot_start) {
        collection.ledger = ContentLedger::begin(content_type);
        content_type.clone_into(&mut walked.lock().unwrap_or_else(PoisonError::into_inner));
        result = collection.walk(content_type).await;
        collection.count_dropped_lines();
        let content = &mut collection.ledger;
        if let Err(error) = &result {
            content.stop(error.to_string());
        }
        content.check(&connector.manifest().ledger);
        observer.event(&Event::Ended { ledger: content });
        ledger.contents.push(content.clone());
        if content.stops_the_run() {
            break;
        }
    }
    ledger.usage = collection.usage().await;
    ledger.limits = connector.spent(traffic.spending());
    ledger.quota = connector.egress().quota();
    ledger.finish(clock.now_ms(), collection.waited, &traffic);
    if let Some(fault) = fault {
        ledger.fail_to_start(fault);
    }
    // What a vendor did says nothing about the plugin; a batch that was kept does, if there was no fault beside it.
    let kept = ledger.contents.iter().any(|content| content.batches > 0);
    let sound = ledger
        .contents
        .iter()
        .all(|content| content.faults.is_empty());
    let _held = clock.hold();
    if ledger.struck_out {
        let row = strikes::after(struck.as_ref(), connector.plugin_digest(), clock.now_ms());
        if let Err(held) = strikes::check(Some(&row), connector.plugin_digest(), clock.now_ms()) {
            ledger.reason = format!("{} From now on: {held}.", ledger.reason);
            let ends = matches!(held, Held::Back { .. });
            ledger.resume_at = ends.then_some(row.not_before_ms);
            ledger.held = Some(held);
        }
        journal.set_strikes(id, Some(row)).await?;
    } else if struck.is_some() && kept && sound {
        journal.set_strikes(id, None).await?;
    }
    let noted = journal
        .end_run(
            &run,
            ledger.ended,
            ledger.outcome.as_str(),
            &ledger.to_json(),
        )
        .await;
    result?;
    noted?;
    Ok(ledger)
}

/// What a connection test found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TestReport {
    /// The plugin's checks.
    pub checks: Vec<Check>,
    /// Remarks on settings that can be used.
    pub warnings: Vec<crate::sandbox::Remark>,
    /// A fault of the plugin, if it had one.
    pub fault: Option<Fault>,
    /// What went over the wire.
    pub traffic: crate::egress::TrafficCounts,
}

impl TestReport {
    /// Whether everything that was tried works (or is merely busy), and something was tried.
    pub fn passed(&self) -> bool {
        use crate::sandbox::Outcome::{Busy, Passed};
        self.fault.is_none()
            && !self.checks.is_empty()
            && self
                .checks
                .iter()
                .all(|check| matches!(check.outcome, Passed | Busy))
    }
}

/// Checks authentication and connectivity. Nothing is stored.
///
/// # Errors
/// If the connector cannot start.
pub async fn test(
    connector: &Connector,
    observer: Arc<dyn Observer>,
) -> Result<TestReport, StartError> {
    let traffic = Arc::new(Traffic::new(Arc::clone(connector.redactor())));
    let session = EgressSession::new(connector.egress(), Arc::clone(&traffic));
    let (mut instance, warnings) = connector
        .open(session, Arc::new(NoCache), &observer)
        .await?;
    let (checks, fault) = match instance.test().await {
        Ok(checks) => (checks, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    instance.leave_core_dump().await;
    Ok(TestReport {
        checks,
        warnings,
        fault,
        traffic: traffic.counts(),
    })
}
