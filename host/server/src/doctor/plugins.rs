//! The configuration, and the plugins that it lets in.

use super::Finding;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::host::Host;
use connector_runtime::plugins::{AcceptedGrants, Directory};
use std::path::Path;

const CHECK: &str = "plugins";
const CONFIGURATION: &str = "configuration";

/// Adds what was found; the plugins, if they could be looked at.
pub(super) async fn check(
    global: &Global,
    data: &Path,
    findings: &mut Vec<Finding>,
) -> Option<Directory> {
    if !data.is_dir() {
        return None;
    }
    let host = match Host::assemble(global) {
        Ok(host) => host,
        Err(Failure::Mistakes(mistakes)) => {
            findings.extend(mistakes.iter().map(|mistake| {
                let remedy = "put it right in the file: no command runs before";
                Finding::problem(CONFIGURATION, mistake.to_string(), remedy)
            }));
            return None;
        }
        Err(error) => {
            let remedy = "check that this user may write into the data directory";
            findings.push(Finding::problem(CONFIGURATION, error.to_string(), remedy));
            return None;
        }
    };
    findings.push(Finding::ok(CONFIGURATION, "it can be used"));
    // Where the journal cannot be read, that has been said.
    let accepted = host
        .accepted()
        .unwrap_or_else(|_| AcceptedGrants::default());
    let directory = match host.plugins_rechecked(&accepted).await {
        Ok(directory) => directory,
        Err(error) => {
            let remedy = "make the directory, or name another with --plugins or in host.toml";
            findings.push(Finding::problem(CHECK, error.to_string(), remedy));
            return None;
        }
    };
    findings.extend(listed(&directory, host.plugin_directory()));
    Some(directory)
}

fn listed(directory: &Directory, place: &Path) -> Vec<Finding> {
    if directory.listings().is_empty() {
        return vec![Finding::warning(
            CHECK,
            format!("there are none in {}", place.display()),
            "put a connector's .wasm file there",
        )];
    }
    let finding = |listing: &connector_runtime::plugins::Listing| {
        let file = listing.path.display();
        if let Some(reason) = &listing.refused {
            let remedy = "replace the file by one that can be used, or take it away";
            return Finding::problem(CHECK, reason.clone(), remedy);
        }
        let id = listing.id.as_deref().unwrap_or("unknown");
        if let Some(reason) = &listing.suspended {
            let remedy = format!(
                "`connector-host plugins inspect {file}` shows what it asks for, `connector-host plugins accept {id}` accepts it"
            );
            return Finding::problem(CHECK, reason.clone(), remedy);
        }
        let version = listing.version.as_deref().unwrap_or("of no version");
        Finding::ok(CHECK, format!("{file}: {id} {version}"))
    };
    directory.listings().iter().map(finding).collect()
}
