//! `connectors test` and `connectors run`: as `test` and `collect`, of a connector that is kept.

use crate::answer::Answer;
use crate::arguments::{Global, RunNamed};
use crate::commands::{collect, test as examination};
use crate::connectors::Catalogue;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::{self, Host};
use connector_runtime::plugins::AcceptedGrants;
use indicatif::MultiProgress;

/// Tests a connector, also while it is collecting; nothing is stored.
pub(super) async fn test(global: &Global, name: &str) -> Result<Answer, Failure> {
    let mut host = Host::assemble(global)?;
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    let connector = catalogue.connector(name)?;
    let settings = catalogue.unsealed(&connector, &[])?;
    let definition = Definition::of_stored(&connector, settings);
    let accepted = AcceptedGrants::read(catalogue.journal())?;
    let plugin = host.plugin(&definition, &accepted).await?;
    let settings = host.settings(&definition, &plugin)?;
    host.keep_quota_in(catalogue.journal());
    examination::examine(&host, &definition, plugin, settings).await
}

/// One run.
pub(super) async fn run(
    global: &Global,
    run: &RunNamed,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let mut host = Host::assemble(global)?;
    let catalogue = Catalogue::open(&host::data_directory(global)?)?;
    let connector = catalogue.connector(&run.name)?;
    let settings = catalogue.unsealed(&connector, &[])?;
    let definition = Definition::of_stored(&connector, settings);
    let accepted = AcceptedGrants::read(catalogue.journal())?;
    let plugin = host.plugin(&definition, &accepted).await?;
    let settings = host.settings(&definition, &plugin)?;
    host.keep_quota_in(catalogue.journal());
    let full = connector.full_name();
    let run = collect::Run {
        global,
        host: &host,
        catalogue: &catalogue,
        connector: &connector,
        definition: &definition,
        options: &run.options,
        test: format!("connector-host connectors test {full}"),
        again: format!("connector-host connectors run {full}"),
    };
    run.execute(plugin, settings, screen).await
}
