//! `connectors activate` and `connectors deactivate`.

use super::Changed;
use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::{self, Host};
use connector_runtime::plugins::AcceptedGrants;

/// Lets a connector collect, if its settings can be used as they are.
pub(super) async fn activate(global: &Global, name: &str) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let catalogue = Catalogue::open(&host::data_directory(global)?)?;
    let connector = catalogue.connector(name)?;
    let settings = catalogue.unsealed(&connector, &[])?;
    let definition = Definition::of_stored(&connector, settings);
    let accepted = AcceptedGrants::read(catalogue.journal())?;
    let plugin = host.plugin(&definition, &accepted).await?;
    validate(&host, &definition, &plugin, Secrets::Required, Vec::new())
        .await?
        .without_fault()?;
    set(&catalogue, name, true).await
}

/// Lets a connector collect no longer.
pub(super) async fn deactivate(global: &Global, name: &str) -> Result<Answer, Failure> {
    let catalogue = Catalogue::open(&host::data_directory(global)?)?;
    set(&catalogue, name, false).await
}

async fn set(catalogue: &Catalogue, name: &str, active: bool) -> Result<Answer, Failure> {
    let has_changed = catalogue.set_active(name, active).await?;
    let connector = catalogue.connector(name)?;
    let full = connector.full_name();
    let text = match (has_changed, active) {
        (true, true) => format!("connector {full} is active"),
        (false, true) => format!("connector {full} was active already"),
        (true, false) => format!("connector {full} is inactive and collects no longer"),
        (false, false) => format!("connector {full} was inactive already"),
    };
    let document = Changed {
        connector: &connector,
        changed: &[],
        full_walk: false,
        missing: &[],
        warnings: &[],
    };
    Ok(Answer::new(text, &document, 0))
}
