//! A whole host in simulated time: catalogue, plugins, schedule and runs are the real ones; the network behind egress is a
//! function of the caller's, and the clock jumps over every wait. A day of a schedule takes seconds and is exactly repeatable.
//!
//! For tests on a current-thread runtime. Nothing of it is reachable from the command line.

pub mod forwarding;
#[cfg(feature = "search")]
pub mod searching;

use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::definition::Entry;
use crate::connectors::difference::Difference;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::{Definition, key_of};
use crate::failure::Failure;
use crate::host::Host;
use crate::metrics::Metrics;
use crate::plugins::SharedDirectory;
use crate::schedule::{HostRunner, Schedule};
use connector_runtime::Clock;
use connector_runtime::egress::Upstream;
use connector_runtime::plugins::Plugin;
use connector_runtime::runs::{self, Silent, StartError, Stop, TestReport};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Why the host refused something, in the sentence that a person would see.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Refused(#[from] Failure);

impl From<crate::connectors::error::CatalogueError> for Refused {
    fn from(error: crate::connectors::error::CatalogueError) -> Self {
        Self(error.into())
    }
}

/// A run that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// `tenant/name`.
    pub connector: String,
    /// As the ledger says; `interrupted` if its process did not live to end it.
    pub outcome: String,
    /// Why it ended so, as the ledger says.
    pub reason: String,
}

/// See the module. The schedule runs from the beginning.
pub struct Rehearsal {
    host: Arc<Host>,
    catalogue: Arc<Catalogue>,
    plugins: Arc<SharedDirectory>,
    runner: Arc<HostRunner>,
    schedule: Schedule,
    clock: Clock,
    stop: Stop,
    task: JoinHandle<Result<(), Failure>>,
}

impl Rehearsal {
    /// Opens the data directory, and starts its schedule.
    ///
    /// # Errors
    /// As `connector-host` itself: a wrong configuration, a directory in use.
    pub async fn open(
        data: &Path,
        plugins: &Path,
        clock: Clock,
        upstream: Arc<dyn Upstream>,
    ) -> Result<Self, Refused> {
        let _held = clock.hold();
        let global = Global {
            plugins: Some(plugins.to_owned()),
            ..Global::of_data(data)
        };
        let mut host = Host::rehearsing(&global, clock.clone(), upstream)?;
        let catalogue = Catalogue::open(data)?.with_clock(clock.clone());
        host.journal_options().bind(catalogue.journal());
        host.keep_quota_in(catalogue.journal());
        let (host, catalogue) = (Arc::new(host), Arc::new(catalogue));
        let plugins = SharedDirectory::open(&host, catalogue.journal()).await?;
        let plugins = Arc::new(plugins);
        let runner = Arc::new(HostRunner::new(
            Arc::clone(&host),
            Arc::clone(&catalogue),
            Arc::clone(&plugins),
            Metrics::new(&clock),
        ));
        let schedule = Schedule::new(
            Arc::clone(&catalogue),
            clock.clone(),
            runner.clone(),
            host.schedule_options().clone(),
        );
        let stop = Stop::default();
        let (running, stopping) = (schedule.clone(), stop.clone());
        let task = tokio::spawn(async move { running.run(stopping).await });
        Ok(Self {
            host,
            catalogue,
            plugins,
            runner,
            schedule,
            clock,
            stop,
            task,
        })
    }

    /// Keeps the connector of a definition's file.
    ///
    /// # Errors
    /// All mistakes at once, or a name that is taken.
    pub async fn define(&self, file: &Path) -> Result<(), Refused> {
        let _held = self.clock.hold();
        let definition = Definition::load(file)?;
        let (_, entry) = self.validated(&definition).await?;
        let id = self.catalogue.create(entry).await?;
        self.schedule.changed(&id);
        Ok(())
    }

    async fn validated(&self, definition: &Definition) -> Result<(Arc<Plugin>, Entry), Failure> {
        let plugin = self.host.plugin_of(&self.plugins.current(), definition)?;
        let validated = validate(
            &self.host,
            definition,
            &plugin,
            Secrets::Required,
            Vec::new(),
        );
        let entry = validated.await?.without_fault()?.entry;
        Ok((plugin, entry))
    }

    /// Gives a connector the settings of a definition's file, all of its secrets typed again.
    ///
    /// # Errors
    /// All mistakes at once, or no such connector.
    pub async fn edit(&self, file: &Path) -> Result<(), Refused> {
        let _held = self.clock.hold();
        let definition = Definition::load(file)?;
        let full = format!("{}/{}", definition.tenant, definition.name);
        let known = self.catalogue.connector(&full)?;
        let (plugin, entry) = self.validated(&definition).await?;
        let difference = Difference::of(&plugin.manifest, &known.settings, &entry.settings, false);
        let mut changed = difference.keys;
        changed.extend(entry.secrets.iter().map(|secret| key_of(&secret.pointer)));
        let forget = known.secrets;
        self.catalogue
            .replace(&known.id, entry, forget, &changed)
            .await?;
        self.schedule.changed(&known.id);
        Ok(())
    }

    /// Makes a profile.
    ///
    /// # Errors
    /// If its name is taken.
    pub async fn add_profile(&self, name: &str) -> Result<(), Refused> {
        let _held = self.clock.hold();
        Ok(self.catalogue.add_profile(name).await?)
    }

    /// Puts a connector (`tenant/name`) into a profile.
    ///
    /// # Errors
    /// If there is no such profile or connector.
    pub async fn add_to_profile(&self, profile: &str, connector: &str) -> Result<(), Refused> {
        let _held = self.clock.hold();
        let id = self.catalogue.connector(connector)?.id;
        self.catalogue.add_to_profile(profile, connector).await?;
        self.schedule.changed(&id);
        Ok(())
    }

    /// Takes a connector (`tenant/name`) out of a profile.
    ///
    /// # Errors
    /// If there is no such profile or connector.
    pub async fn remove_from_profile(&self, profile: &str, connector: &str) -> Result<(), Refused> {
        let _held = self.clock.hold();
        let id = self.catalogue.connector(connector)?.id;
        self.catalogue
            .remove_from_profile(profile, connector)
            .await?;
        self.schedule.changed(&id);
        Ok(())
    }

    /// Tests a connector (`tenant/name`) as it is kept.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn test(&self, connector: &str) -> Result<TestReport, Refused> {
        let id = self.catalogue.connector(connector)?.id;
        let (ready, definition) = self.runner.connector(&id)?;
        let report = runs::test(&ready, Arc::new(Silent)).await;
        let report = report.map_err(|error| match error {
            StartError::Settings(problems) => definition.refused(&problems),
            StartError::Plugin(fault) => Failure::Fault(fault),
            StartError::Suspended(suspension) => Failure::Suspended(suspension),
        })?;
        let _held = self.clock.hold();
        self.catalogue.clear_status_after_test(&id, &report).await?;
        self.schedule.changed(&id);
        Ok(report)
    }

    /// The state of a connector (`tenant/name`) in a word, and its message.
    ///
    /// # Errors
    /// If there is no such connector.
    pub fn status(&self, connector: &str) -> Result<(String, String), Refused> {
        let id = self.catalogue.connector(connector)?.id;
        let status = self.catalogue.status(&id)?;
        Ok(status.map_or_else(Default::default, |status| {
            (status.state.as_str().to_owned(), status.message)
        }))
    }

    /// Every run so far, in the order of their beginnings; of runs that began at one moment, by their connectors' names.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, Refused> {
        let stored = self.catalogue.runs(None, usize::MAX)?;
        let mut runs: Vec<Run> = stored
            .into_iter()
            .map(|run| Run {
                started_ms: run.started,
                connector: run.connector,
                outcome: run.outcome.unwrap_or_default(),
                reason: reason(run.ledger.as_deref().unwrap_or_default()),
            })
            .collect();
        runs.sort_by(|a, b| (a.started_ms, &a.connector).cmp(&(b.started_ms, &b.connector)));
        Ok(runs)
    }

    /// Waits for a moment (in milliseconds since 1970) to which the host itself lets time pass.
    pub async fn until(&self, moment_ms: u64) {
        let left = moment_ms.saturating_sub(self.clock.now_ms());
        self.clock.watch(Duration::from_millis(left)).await;
    }

    /// Shuts the host down.
    pub async fn shut_down(self) {
        self.stop.request();
        // A schedule that has ended by itself has said so in the log.
        drop(self.task.await);
    }

    /// Ends the host without a word, as a crash does.
    pub async fn crash(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

fn reason(ledger: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(ledger).unwrap_or_default();
    document["reason"].as_str().unwrap_or_default().to_owned()
}
