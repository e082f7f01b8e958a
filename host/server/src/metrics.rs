//! Metrics: what this process has done, as Prometheus reads it.
//!
//! Counters count since the process began, and are fed by the ledgers of runs as they end; gauges are read when somebody
//! asks. Promises: the names and labels stand in [`families::FAMILIES`] and nowhere else; a connector has one series in each family
//! that names connectors, gone with the connector; who may not see every tenant is shown sums, in which a deleted
//! connector's runs stay counted, so that a counter never goes back. No label has a text that a plugin or vendor chose.

pub(crate) mod families;
mod process;
mod totals;

#[cfg(test)]
mod tests;

use connector_runtime::Clock;
use connector_runtime::runs::{Identity, Ledger};
use families::View;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use totals::Totals;

/// The type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A connector that there is, with its state's word.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// The connector's id.
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) name: String,
    /// As its status has it.
    pub(crate) state: String,
}

/// What is read when somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    /// Bytes of the journal's file.
    pub(crate) journal_size: u64,
    /// Bytes of it that hold something.
    pub(crate) journal_used: u64,
    /// Bytes of it that may hold something.
    pub(crate) journal_limit: u64,
    /// When its oldest block was written, in milliseconds since 1970.
    pub(crate) journal_oldest_ms: Option<u64>,
    /// Records that each consumer has lost.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Every connector that there is.
    pub(crate) connectors: Vec<Watched>,
    /// Open alerts, by kind.
    pub(crate) open_alerts: BTreeMap<String, u64>,
}

/// One connector's series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    tenant: String,
    name: String,
    kind: String,
    totals: Totals,
}

#[derive(Debug, Default)]
struct State {
    /// Of all connectors, deleted ones included.
    sum: Totals,
    /// By the connector's id.
    connectors: BTreeMap<String, Series>,
    /// Blocks of the journal that a consumer has not taken yet, by its name.
    lag: BTreeMap<String, u64>,
}

/// See the module. Clones share the same counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    state: Arc<Mutex<State>>,
    started: f64,
}

/// Counts a run as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    metrics: Metrics,
    connector: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.metrics
            .count(&self.connector, |totals| totals.under_way -= 1);
    }
}

impl Metrics {
    /// Counts from now on.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            state: Arc::default(),
            started: clock.since_epoch().as_secs_f64(),
        }
    }

    /// A run has begun.
    pub(crate) fn begin_run(&self, identity: &Identity) -> UnderWay {
        self.know(identity);
        self.count(&identity.connector_id, |totals| totals.under_way += 1);
        UnderWay {
            metrics: self.clone(),
            connector: identity.connector_id.clone(),
        }
    }

    /// A run has ended with this ledger.
    pub(crate) fn observe_run(&self, ledger: &Ledger) {
        self.know(&ledger.connector);
        self.count(&ledger.connector.connector_id, |totals| {
            totals.observe(ledger);
        });
    }

    /// A run has come to no ledger; `code` is a failure's.
    pub(crate) fn observe_failure(&self, identity: &Identity, code: &str) {
        self.know(identity);
        self.count(&identity.connector_id, |totals| totals.error(code));
    }

    /// How many blocks of the journal a consumer has not taken yet.
    pub(crate) fn set_consumer_lag(&self, consumer: &str, blocks: u64) {
        self.state().lag.insert(consumer.to_owned(), blocks);
    }

    /// Writes everything down, in the type [`CONTENT_TYPE`]: with tenants and connectors by name if `all_labels`, in sums
    /// otherwise. Series of connectors that are not among the gauges' are forgotten.
    pub(crate) fn encode(&self, all_labels: bool, gauges: Gauges) -> String {
        let view = {
            let mut state = self.state();
            let there: BTreeSet<&str> = gauges
                .connectors
                .iter()
                .map(|watched| watched.id.as_str())
                .collect();
            state
                .connectors
                .retain(|id, series| there.contains(id.as_str()) || series.totals.under_way > 0);
            for watched in &gauges.connectors {
                if let Some(series) = state.connectors.get_mut(&watched.id) {
                    series.tenant.clone_from(&watched.tenant);
                    series.name.clone_from(&watched.name);
                }
            }
            View {
                sum: state.sum.clone(),
                connectors: match all_labels {
                    true => Some(state.connectors.values().cloned().collect()),
                    false => None,
                },
                lag: state.lag.clone(),
                gauges,
                started: self.started,
            }
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(view));
        let mut text = String::new();
        // A text takes all that is written to it.
        let _ = text::encode(&mut text, &registry);
        text
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the connector has its series.
    fn know(&self, identity: &Identity) {
        let mut state = self.state();
        if !state.connectors.contains_key(&identity.connector_id) {
            let series = Series {
                tenant: identity.tenant.clone(),
                name: identity.name.clone(),
                kind: identity.kind.clone(),
                totals: Totals::default(),
            };
            state
                .connectors
                .insert(identity.connector_id.clone(), series);
        }
    }

    /// Counts for a connector and for all.
    fn count(&self, connector: &str, change: impl Fn(&mut Totals)) {
        let mut state = self.state();
        change(&mut state.sum);
        if let Some(series) = state.connectors.get_mut(connector) {
            change(&mut series.totals);
        }
    }
}
