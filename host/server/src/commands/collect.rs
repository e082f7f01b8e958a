//! `collect`: keeps a definition in the catalogue, and makes one run of every chosen content type, from the stored cursors to
//! the journal's commit.
//!
//! Everything that a person can put right is found before the first request. Ctrl-C (or SIGTERM) stops the run at once: what
//! is committed stays, its ledger is kept, and the next run goes on from there. A second one ends the process.

use crate::answer::Answer;
use crate::arguments::{Collect, CollectOptions, Global};
use crate::client::Client;
use crate::connectors::Catalogue;
use crate::connectors::definition::Entry;
use crate::connectors::difference::Difference;
use crate::connectors::error::CatalogueError;
use crate::connectors::listing::StoredConnector;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::Definition;
use crate::failure::{Failure, Mistake};
use crate::figures;
use crate::host::Host;
use crate::progress::Progress;
use crate::report;
use crate::service::{ConnectorChange, NewConnector};
use crate::status::Ended;
use connector_runtime::journal::JournalError;
use connector_runtime::manifest::LedgerPlan;
use connector_runtime::plugins::Plugin;
use connector_runtime::runs::{self, Identity, RunError, RunOptions, RunOutcome, StartError};
use connector_runtime::sandbox::ErrorKind;
use connector_runtime::settings::{self, Settings};
use indicatif::MultiProgress;
use serde_json::Value;
use std::sync::Arc;

/// Runs the command. The JSON result is the run's ledger.
///
/// # Errors
/// Mistakes, a journal that cannot be used, or an interruption; how the run itself went is in the answer.
pub(crate) async fn run(
    global: &Global,
    collect: &Collect,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let definition = Definition::load(&collect.definition)?;
    let mut host = Host::assemble(global)?;
    let plugin = host.plugin(&definition, &host.accepted_so_far()?).await?;
    // A plugin that fails when it is asked fails in the run, too, and its ledger tells the story.
    let validated = validate(&host, &definition, &plugin, Secrets::Required, Vec::new()).await?;
    let settings = match validated.settings {
        Some(settings) => settings,
        None => host.settings(&definition, &plugin)?,
    };
    let file = definition.file.display();
    let advice = Advice {
        test: format!("connector-host test {file}"),
        again: format!("connector-host collect {file}"),
    };
    if let Some(client) = Client::find(global)? {
        let label = definition.file.clone();
        let connector = keep_there(&client, &host, &definition, &validated.entry)
            .await
            .map_err(|failure| failure.in_file(&label))?;
        let ledger = client.collect(&connector, &collect.options).await?;
        return Ok(of_ledger(
            &ledger.to_string(),
            &plugin.manifest.ledger,
            &advice,
        ));
    }
    let catalogue = Catalogue::open(host.data_directory())?;
    host.journal_options().bind(catalogue.journal());
    host.keep_quota_in(catalogue.journal());
    let connector = keep(&catalogue, &host, &plugin, &definition, validated.entry).await?;
    let run = Run {
        global,
        host: &host,
        catalogue: &catalogue,
        connector: &connector,
        definition: &definition,
        options: &collect.options,
        advice,
    };
    let answer = run.execute(plugin, settings, screen).await;
    host.trim(catalogue.journal()).await;
    answer
}

/// As [`keep`], by the process that serves.
async fn keep_there(
    client: &Client,
    host: &Host,
    definition: &Definition,
    entry: &Entry,
) -> Result<StoredConnector, Failure> {
    let catalogue = Catalogue::read(host.data_directory())?;
    match catalogue.find(&definition.tenant, &definition.name)? {
        None => {
            client
                .post(&["connectors"], &NewConnector::of(definition))
                .await?;
        }
        Some(known) => {
            check_general(&known, definition)?;
            let typed = entry.secrets.iter().map(|secret| &secret.pointer);
            let typed: Vec<_> = typed.collect();
            let left_out = known
                .secrets
                .iter()
                .filter(|pointer| !typed.contains(pointer));
            let change = ConnectorChange {
                conf: definition.typed().as_object().cloned(),
                replace: true,
                unset: left_out.map(|pointer| settings::name_of(pointer)).collect(),
                active: definition.active,
                kind: Some(definition.kind.clone()),
                run_on: definition.run_on.clone(),
                ..ConnectorChange::default()
            };
            client.change(&known, &change).await?;
        }
    }
    Ok(catalogue.connector(&format!("{}/{}", definition.tenant, definition.name))?)
}

/// What cannot change of a kept connector.
fn check_general(known: &StoredConnector, definition: &Definition) -> Result<(), Failure> {
    let mistake = |key: &str, message: String| {
        Failure::Mistakes(vec![Mistake::new(&definition.file, key, message)])
    };
    if let Some(run_on) = definition.run_on.as_ref().filter(|on| **on != known.run_on) {
        let message = format!(
            "where a connector runs cannot change, and this one runs on {}; add another one to run on {run_on}",
            known.run_on
        );
        return Err(mistake("run_on", message));
    }
    if known.kind != definition.kind {
        let error = JournalError::OtherKind {
            tenant: known.tenant.clone(),
            name: known.name.clone(),
            kind: known.kind.clone(),
            asked: definition.kind.clone(),
        };
        return Err(mistake("type", error.to_string()));
    }
    Ok(())
}

/// Keeps a definition: a new connector, or new settings for the one of its name.
pub(crate) async fn keep(
    catalogue: &Catalogue,
    host: &Host,
    plugin: &Plugin,
    definition: &Definition,
    mut entry: Entry,
) -> Result<StoredConnector, Failure> {
    let mistake = |key: &str, message: String| {
        Failure::Mistakes(vec![Mistake::new(&definition.file, key, message)])
    };
    let kept = match catalogue.find(&definition.tenant, &definition.name)? {
        None => catalogue.create(entry).await.map(drop),
        Some(known) => {
            check_general(&known, definition)?;
            entry.active = definition.active.unwrap_or(known.active);
            let difference = Difference::of(
                &plugin.manifest,
                &known.settings,
                &entry.settings,
                host.insecure_loopback(),
            );
            // Those that the definition has are sealed anew; what is left of others belongs to nothing.
            let forget = known.secrets;
            catalogue
                .replace(&known.id, entry, forget, &difference.keys)
                .await
        }
    };
    match kept {
        Ok(()) => Ok(catalogue.connector(&format!("{}/{}", definition.tenant, definition.name))?),
        Err(CatalogueError::Journal(error @ JournalError::OtherKind { .. })) => {
            Err(mistake("type", error.to_string()))
        }
        Err(
            error @ CatalogueError::Unknown {
                thing: "device", ..
            },
        ) => Err(mistake("run_on", error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// One run of a connector of the catalogue.
pub(crate) struct Run<'a> {
    pub(crate) global: &'a Global,
    pub(crate) host: &'a Host,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) connector: &'a StoredConnector,
    pub(crate) definition: &'a Definition,
    pub(crate) options: &'a CollectOptions,
    pub(crate) advice: Advice,
}

/// What a person may do next.
pub(crate) struct Advice {
    /// The command that tests it.
    pub(crate) test: String,
    /// The command that goes on.
    pub(crate) again: String,
}

impl Run<'_> {
    /// Collects, and tells how it went.
    ///
    /// # Errors
    /// As [`run`].
    pub(crate) async fn execute(
        &self,
        plugin: Arc<Plugin>,
        settings: Settings,
        screen: &MultiProgress,
    ) -> Result<Answer, Failure> {
        if !self.connector.active {
            return Err(Failure::Inactive {
                connector: self.connector.full_name(),
            });
        }
        let identity = identity(self.connector);
        let filters = self.catalogue.filters_of(&self.connector.id)?;
        let connector = self
            .host
            .connector(identity, plugin, settings)?
            .with_filters(filters);
        let plan = connector.manifest().ledger.clone();

        let progress = Arc::new(Progress::new(
            screen,
            connector.content_types(),
            &plan,
            !self.global.json,
        ));
        let options = RunOptions {
            full: self.options.full,
            force: self.options.force,
            max_wait: self.options.max_wait,
            ..RunOptions::default()
        };
        let journal = self.catalogue.journal();
        // The next run of a schedule, and the status, follow from this one as well.
        let id = &self.connector.id;
        let before = self.catalogue.run_began(id, 0).await?;
        let run = runs::collect(&connector, journal, &options, progress.clone());
        let twice = async {
            interruption().await;
            options.stop.request();
            interruption().await;
        };
        let result = tokio::select! {
            biased;
            () = twice => Err(Failure::Interrupted {
                records: figures::counted(progress.records(), "record"),
            }),
            result = run => result.map_err(|error| explain(error, self.definition)),
        };
        progress.clear();
        if let Some(before) = before {
            let ended = Ended::of(&result, self.host.clock().now_ms());
            self.catalogue.run_ended(id, before, ended, false).await?;
        }
        let ledger = result?;

        Ok(of_ledger(&ledger.to_json(), &plan, &self.advice))
    }
}

/// What is said about a run that came to its ledger (in JSON).
pub(crate) fn of_ledger(json: &str, plan: &LedgerPlan, advice: &Advice) -> Answer {
    let ledger: Value = serde_json::from_str(json).unwrap_or_default();
    let exit = u8::from(ledger["outcome"] != RunOutcome::Done.as_str());
    let mut text = report::of_ledger(json, plan);
    let contents = ledger["contents"].as_array();
    let refused = contents.into_iter().flatten().any(|content| {
        content["outcome"] == RunOutcome::Failed.as_str()
            && content["failure"]["kind"] == ErrorKind::Unauthenticated.as_str()
    });
    if refused {
        text.push_str(&format!(
            "\nCollection has stopped so that the account is not locked. `{}` tries again.",
            advice.test
        ));
    }
    if let Some(moment) = ledger["resume_at"].as_u64() {
        text.push_str(&format!(
            "\nIt is worth going on from {}: `{}` resumes where this run ended.",
            figures::moment(moment),
            advice.again
        ));
    }
    Answer::with_json(text, json.to_owned(), exit)
}

/// Who a connector of the catalogue is.
pub(crate) fn identity(connector: &StoredConnector) -> Identity {
    Identity {
        tenant_id: connector.tenant_id.clone(),
        tenant: connector.tenant.clone(),
        connector_id: connector.id.clone(),
        name: connector.name.clone(),
        kind: connector.kind.clone(),
    }
}

fn explain(error: RunError, definition: &Definition) -> Failure {
    match error {
        RunError::Start(StartError::Settings(problems)) => definition.refused(&problems),
        RunError::Held(held) => Failure::Held(held),
        RunError::Start(StartError::Suspended(suspension)) => Failure::Suspended(suspension),
        error => Failure::Run(error),
    }
}

/// Ends when somebody wants the process to end.
async fn interruption() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the signal ends the process by itself.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminate => {}
    }
}
