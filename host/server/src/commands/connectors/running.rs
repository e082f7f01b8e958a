//! `connectors test` and `connectors run`: as `test` and `collect`, of a connector that is kept.

use crate::answer::Answer;
use crate::arguments::{Global, RunNamed};
use crate::client::Client;
use crate::commands::{collect, test as examination};
use crate::connectors::Catalogue;
use crate::connectors::listing::StoredConnector;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::{self, Host};
use connector_runtime::plugins::{AcceptedGrants, Plugin};
use connector_runtime::settings::Settings;
use indicatif::MultiProgress;
use std::path::PathBuf;
use std::sync::Arc;

/// A kept connector with all that its run needs.
struct Kept {
    host: Host,
    connector: StoredConnector,
    definition: Definition,
    plugin: Arc<Plugin>,
    settings: Settings,
}

impl Kept {
    async fn find(mut host: Host, catalogue: &Catalogue, name: &str) -> Result<Self, Failure> {
        let connector = catalogue.connector(name)?;
        let settings = catalogue.unsealed(&connector, &[])?;
        let definition = Definition::of_stored(&connector, settings);
        let accepted = AcceptedGrants::read(catalogue.journal())?;
        let plugin = host.plugin(&definition, &accepted).await?;
        let settings = host.settings(&definition, &plugin)?;
        host.journal_options().bind(catalogue.journal());
        host.keep_quota_in(catalogue.journal());
        Ok(Self {
            host,
            connector,
            definition,
            plugin,
            settings,
        })
    }
}

/// Tests a connector, also while it is collecting. A process that serves clears its status if the test passes; otherwise
/// nothing is stored.
pub(super) async fn test(global: &Global, name: &str) -> Result<Answer, Failure> {
    if let Some(client) = Client::find(global)? {
        let connector = Catalogue::read(&host::data_directory(global)?)?.connector(name)?;
        let label = PathBuf::from(format!("connector {}", connector.full_name()));
        let reply = client
            .test(&connector)
            .await
            .map_err(|failure| failure.in_file(&label))?;
        let exit = u8::from(!reply.passed);
        return Ok(Answer::with_json(
            reply.detail,
            reply.report.to_string(),
            exit,
        ));
    }
    let host = Host::assemble(global)?;
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    let kept = Kept::find(host, &catalogue, name).await?;
    examination::examine(&kept.host, &kept.definition, kept.plugin, kept.settings).await
}

/// One run.
pub(super) async fn run(
    global: &Global,
    run: &RunNamed,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    if let Some(client) = Client::find(global)? {
        let catalogue = Catalogue::read(&host::data_directory(global)?)?;
        let connector = catalogue.connector(&run.name)?;
        let ledger = client.collect(&connector, &run.options).await?;
        let full = connector.full_name();
        let plan = host
            .plugin(
                &Definition::of_stored(&connector, connector.settings.clone()),
                &AcceptedGrants::read(catalogue.journal())?,
            )
            .await?
            .manifest
            .ledger
            .clone();
        let advice = collect::Advice {
            test: format!("connector-host connectors test {full}"),
            again: format!("connector-host connectors run {full}"),
        };
        return Ok(collect::of_ledger(&ledger.to_string(), &plan, &advice));
    }
    let catalogue = Catalogue::open(&host::data_directory(global)?)?;
    let kept = Kept::find(host, &catalogue, &run.name).await?;
    let full = kept.connector.full_name();
    let run = collect::Run {
        global,
        host: &kept.host,
        catalogue: &catalogue,
        connector: &kept.connector,
        definition: &kept.definition,
        options: &run.options,
        advice: collect::Advice {
            test: format!("connector-host connectors test {full}"),
            again: format!("connector-host connectors run {full}"),
        },
    };
    run.execute(kept.plugin, kept.settings, screen).await
}
