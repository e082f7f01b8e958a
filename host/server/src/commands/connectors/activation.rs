//! `connectors activate` and `connectors deactivate`.

use super::Changed;
use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::Definition;
use crate::failure::Failure;
use crate::host::Host;
use crate::keeper::Keeper;
use connector_runtime::plugins::AcceptedGrants;

/// Lets a connector collect, if its settings can be used as they are.
pub(super) async fn activate(global: &Global, name: &str) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let keeper = Keeper::open(global)?;
    let catalogue = keeper.catalogue();
    let connector = catalogue.connector(name)?;
    let settings = catalogue.unsealed(&connector, &[])?;
    let definition = Definition::of_stored(&connector, settings);
    let accepted = AcceptedGrants::read(catalogue.journal())?;
    let plugin = host.plugin(&definition, &accepted).await?;
    validate(&host, &definition, &plugin, Secrets::Required, Vec::new())
        .await?
        .without_fault()?;
    set(&keeper, name, true).await
}

/// Lets a connector collect no longer.
pub(super) async fn deactivate(global: &Global, name: &str) -> Result<Answer, Failure> {
    let keeper = Keeper::open(global)?;
    set(&keeper, name, false).await
}

async fn set(keeper: &Keeper, name: &str, active: bool) -> Result<Answer, Failure> {
    let connector = keeper.catalogue().connector(name)?;
    let has_changed = keeper.set_active(&connector, active).await?;
    let connector = keeper.catalogue().connector(&connector.id)?;
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
