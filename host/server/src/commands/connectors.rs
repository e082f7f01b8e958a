//! `connectors ...`: the life of a connector on the command line.
//!
//! Promises: what is wrong with a definition or a change is said field by field, all at once, before anything is kept or
//! sent; what is kept is said again in the answer, secrets by their names only.

mod activation;
mod add;
mod delete;
mod edit;
mod export;
mod recollect;
mod running;
mod show;

use crate::answer::Answer;
use crate::arguments::{ConnectorsCommand, Global};
use crate::connectors::listing::StoredConnector;
use crate::connectors::validation::Secrets;
use crate::definition;
use crate::failure::Failure;
use crate::report::printable;
use connector_runtime::sandbox::Remark;
use indicatif::MultiProgress;
use serde::Serialize;

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(
    global: &Global,
    command: &ConnectorsCommand,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    match command {
        ConnectorsCommand::Add {
            definition,
            profile,
        } => add::run(global, definition, profile.as_deref(), Secrets::Required).await,
        ConnectorsCommand::Import { definition } => {
            add::run(global, definition, None, Secrets::MayBeMissing).await
        }
        ConnectorsCommand::List { tenant } => show::list(global, tenant.as_deref()),
        ConnectorsCommand::Show { name } => show::run(global, name),
        ConnectorsCommand::Edit(edit) => edit::run(global, edit).await,
        ConnectorsCommand::Activate { name } => activation::activate(global, name).await,
        ConnectorsCommand::Deactivate { name } => activation::deactivate(global, name).await,
        ConnectorsCommand::Test { name } => running::test(global, name).await,
        ConnectorsCommand::Run(run) => running::run(global, run, screen).await,
        ConnectorsCommand::Delete { name, yes } => delete::run(global, name, *yes).await,
        ConnectorsCommand::Export { name } => export::run(global, name),
        ConnectorsCommand::Recollect(arguments) => recollect::run(global, arguments).await,
    }
}

/// The JSON result of a command that changes a connector.
#[derive(Serialize)]
struct Changed<'a> {
    connector: &'a StoredConnector,
    /// Keys that changed, secrets included.
    changed: &'a [String],
    /// Whether the next run reads everything again.
    full_walk: bool,
    /// Keys of required secrets that are still missing.
    missing: &'a [String],
    /// Remarks on settings that can be used.
    warnings: &'a [Remark],
}

fn describe_warnings(text: &mut String, warnings: &[Remark]) {
    for warning in warnings {
        let key = definition::key_of(&warning.pointer);
        text.push_str(&format!(
            "\n  warning  {key}: {}",
            printable(&warning.message)
        ));
    }
}
