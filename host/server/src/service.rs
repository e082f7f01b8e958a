//! What can be done to this host while it serves: one place for the REST API and the scheduler.
//!
//! Promises: everything that can be found wrong is said at once, before anything is kept or sent; one connection test at a
//! time; a change that concerns a run under way stops it at its next safe point first.
//!
//! Never here: who may do it (the API's business), or how it is shown.

mod connectors;
mod examination;

pub(crate) use connectors::{Change, ConnectorChange, NewConnector, Replacement};
pub(crate) use examination::TestReply;

pub(crate) use crate::commands::plugins::Accepted;
use crate::commands::plugins::accept_in;
use crate::connectors::Catalogue;
use crate::connectors::listing::StoredConnector;
use crate::consumers::Consumers;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::Host;
use crate::plugins::SharedDirectory;
use crate::schedule::Schedule;
use crate::search::searcher::Searcher;
use connector_runtime::plugins::{Changes, Plugin};
use std::sync::{Arc, Mutex};

/// See the module.
pub(crate) struct Service {
    pub(crate) host: Arc<Host>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) plugins: Arc<SharedDirectory>,
    pub(crate) schedule: Arc<Schedule>,
    /// Who follows the journal.
    pub(crate) consumers: Consumers,
    /// Who answers searches.
    pub(crate) searcher: Searcher,
    /// The connector that is being tested: its tenant's name, and its own.
    testing: Mutex<Option<(String, String)>>,
}

impl Service {
    /// Puts it together.
    pub(crate) fn new(
        host: Arc<Host>,
        catalogue: Arc<Catalogue>,
        plugins: Arc<SharedDirectory>,
        schedule: Arc<Schedule>,
    ) -> Self {
        Self {
            host,
            catalogue,
            plugins,
            schedule,
            consumers: Consumers::default(),
            searcher: Searcher::default(),
            testing: Mutex::default(),
        }
    }

    /// The same with somebody who answers searches.
    #[must_use]
    pub(crate) fn with_searcher(mut self, searcher: Searcher) -> Self {
        self.searcher = searcher;
        self
    }

    /// The same with consumers that follow the journal.
    #[must_use]
    pub(crate) fn with_consumers(mut self, consumers: Consumers) -> Self {
        self.consumers = consumers;
        self
    }

    /// The plugin for a definition's type.
    ///
    /// # Errors
    /// As [`Host::plugin`].
    pub(crate) fn plugin(&self, definition: &Definition) -> Result<Arc<Plugin>, Failure> {
        self.host.plugin_of(&self.plugins.current(), definition)
    }

    /// Takes up plugins that have come, changed or gone.
    ///
    /// # Errors
    /// If the plugin directory cannot be read; everything is as it was then.
    pub(crate) async fn reload_plugins(&self) -> Result<Changes, Failure> {
        let changes = self
            .plugins
            .reload(&self.host, self.catalogue.journal())
            .await?;
        self.schedule.changed_all().await?;
        Ok(changes)
    }

    /// Accepts what a plugin asks for now.
    ///
    /// # Errors
    /// If there is no such plugin, or it is another file.
    pub(crate) async fn accept(&self, id: &str, sha256: Option<&str>) -> Result<Accepted, Failure> {
        let directory = self.plugins.current();
        let journal = self.catalogue.journal();
        let accepted = accept_in(&self.host, journal, &directory, id, sha256).await?;
        self.reload_plugins().await?;
        Ok(accepted)
    }

    /// A kept connector with its secrets, as a definition.
    fn definition(&self, connector: &StoredConnector) -> Result<Definition, Failure> {
        let settings = self.catalogue.unsealed(connector, &[])?;
        Ok(Definition::of_stored(connector, settings))
    }
}
