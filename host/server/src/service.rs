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

use crate::connectors::Catalogue;
use crate::connectors::listing::StoredConnector;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::Host;
use crate::plugins::SharedDirectory;
use crate::schedule::Schedule;
use connector_runtime::plugins::Plugin;
use std::sync::{Arc, Mutex};

/// See the module.
pub(crate) struct Service {
    pub(crate) host: Arc<Host>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) plugins: Arc<SharedDirectory>,
    pub(crate) schedule: Arc<Schedule>,
    /// The connector that is being tested.
    testing: Mutex<Option<String>>,
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
            testing: Mutex::default(),
        }
    }

    /// The plugin for a definition's type.
    ///
    /// # Errors
    /// As [`Host::plugin`].
    pub(crate) fn plugin(&self, definition: &Definition) -> Result<Arc<Plugin>, Failure> {
        self.host
            .plugin_of(&self.plugins.current(), definition)
    }

    /// A kept connector with its secrets, as a definition.
    fn definition(&self, connector: &StoredConnector) -> Result<Definition, Failure> {
        let settings = self.catalogue.unsealed(connector, &[])?;
        Ok(Definition::of_stored(connector, settings))
    }
}
