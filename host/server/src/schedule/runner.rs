//! What runs a connector for the schedule: the host does; a test may have its own.

use crate::commands::collect::identity;
use crate::connectors::Catalogue;
use crate::connectors::error::CatalogueError;
use crate::connectors::schedule::PluginState;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::Host;
use crate::metrics::Metrics;
use crate::plugins::SharedDirectory;
use crate::secrets;
use connector_runtime::runs::{
    self, Connector, Ledger, Observer, RunError, RunOptions, StartError,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A run on its way to its ledger.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Ledger, Failure>> + Send + 'a>>;

/// Runs connectors.
pub(crate) trait Runner: Send + Sync {
    /// One run of the connector of this id. [`RunOptions::stop`] ends it at the next safe point.
    fn run<'a>(
        &'a self,
        connector: &'a str,
        options: RunOptions,
        observer: Arc<dyn Observer>,
    ) -> Running<'a>;

    /// What is known of the plugin for connectors of a type. Must not wait for anything.
    fn plugin(&self, kind: &str) -> PluginState;
}

/// Runs them as they are kept in the catalogue.
pub(crate) struct HostRunner {
    host: Arc<Host>,
    catalogue: Arc<Catalogue>,
    plugins: Arc<SharedDirectory>,
    metrics: Metrics,
}

impl HostRunner {
    /// A runner of this host; `host` keeps its quota in the catalogue's journal.
    pub(crate) fn new(
        host: Arc<Host>,
        catalogue: Arc<Catalogue>,
        plugins: Arc<SharedDirectory>,
        metrics: Metrics,
    ) -> Self {
        Self {
            host,
            catalogue,
            plugins,
            metrics,
        }
    }

    /// The connector of this id as it is kept now, and the definition that its mistakes are told by.
    ///
    /// # Errors
    /// If it is gone, its secrets do not open, there is no plugin for it, or its settings cannot be used.
    pub(crate) fn connector(&self, id: &str) -> Result<(Connector, Definition), Failure> {
        let Some(facts) = self.catalogue.facts_of(id)? else {
            return Err(Failure::Catalogue(CatalogueError::Unknown {
                thing: "connector",
                name: id.to_owned(),
                known: Vec::new(),
            }));
        };
        let stored = self.catalogue.connector(&facts.full_name)?;
        let settings = self.catalogue.unsealed(&stored, &[])?;
        let definition = Definition::of_stored(&stored, settings);
        let directory = self.plugins.current();
        let plugin = self.host.plugin_of(&directory, &definition)?;
        let settings = self.host.settings(&definition, &plugin)?;
        let filters = self.catalogue.filters_of(&stored.id)?;
        let connector = self.host.connector(identity(&stored), plugin, settings)?;
        Ok((connector.with_filters(filters), definition))
    }
}

impl Runner for HostRunner {
    fn run<'a>(
        &'a self,
        connector: &'a str,
        options: RunOptions,
        observer: Arc<dyn Observer>,
    ) -> Running<'a> {
        Box::pin(async move {
            let (connector, definition) = self.connector(connector)?;
            let _held = secrets::hold(&format!("{}/{}", definition.tenant, definition.name));
            let journal = self.catalogue.journal();
            let _under_way = self.metrics.begin_run(connector.identity());
            let ledger = runs::collect(&connector, journal, &options, observer).await;
            if let Ok(ledger) = &ledger {
                self.metrics.observe_run(ledger);
            }
            let explained = ledger.map_err(|error| match error {
                RunError::Held(held) => Failure::Held(held),
                RunError::Start(StartError::Settings(problems)) => definition.refused(&problems),
                RunError::Start(StartError::Suspended(suspension)) => {
                    Failure::Suspended(suspension)
                }
                error => Failure::Run(error),
            });
            if let Err(failure) = &explained {
                let identity = connector.identity();
                self.metrics.observe_failure(identity, failure.code());
            }
            explained
        })
    }

    fn plugin(&self, kind: &str) -> PluginState {
        let directory = self.plugins.current();
        PluginState {
            sha256: directory.find(kind).map(|plugin| plugin.sha256.clone()),
            suspended: directory.suspension(kind).map(ToString::to_string),
        }
    }
}
