//! `tenants ...`: whose connectors and records they are.

use crate::answer::Answer;
use crate::arguments::{Global, TenantsCommand};
use crate::connectors::Catalogue;
use crate::connectors::tenant::Tenant;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{figures, host, table};
use serde::Serialize;

/// The JSON result: the tenants as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"id","name","created","connectors"}`.
    tenants: &'a [Tenant],
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &TenantsCommand) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    if let TenantsCommand::List = command {
        let tenants = match Catalogue::read_if_any(&directory)? {
            Some(catalogue) => catalogue.tenants()?,
            None => Vec::new(),
        };
        return Ok(answer(describe(&tenants), &tenants));
    }
    let keeper = Keeper::open(global)?;
    let text = match command {
        TenantsCommand::List => String::new(),
        TenantsCommand::Add { name } => {
            keeper.add_tenant(name).await?;
            format!("tenant {name} was made")
        }
        TenantsCommand::Rename { name, to } => {
            keeper.rename_tenant(name, to).await?;
            format!(
                "tenant {name} is called {to} now; records from now on carry that name. If the host's configuration names connectors of {name}, change it there, too"
            )
        }
        TenantsCommand::Delete { name } => {
            keeper.delete_tenant(name).await?;
            format!("tenant {name} was deleted")
        }
    };
    Ok(answer(text, &keeper.catalogue().tenants()?))
}

fn answer(text: String, tenants: &[Tenant]) -> Answer {
    let document = Document {
        total: tenants.len(),
        tenants,
    };
    Answer::new(text, &document, 0)
}

fn describe(tenants: &[Tenant]) -> String {
    if tenants.is_empty() {
        return "There are no tenants. A connector's definition makes its tenant.".into();
    }
    let rows: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            [
                tenant.name.clone(),
                tenant.id.clone(),
                figures::count(tenant.connectors),
                figures::moment(tenant.created),
            ]
        })
        .collect();
    table::of(["NAME", "ID", "CONNECTORS", "CREATED"], &rows)
}
