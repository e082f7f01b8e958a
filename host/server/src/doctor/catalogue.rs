//! The key with the secrets that it seals, and the connectors with what they need to run.

use super::Finding;
use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::device::DATA_PROCESSOR;
use crate::connectors::error::CatalogueError;
use crate::connectors::listing::StoredConnector;
use crate::connectors::profile;
use crate::definition::Definition;
use crate::figures;
use connector_runtime::plugins::Directory;
use connector_runtime::settings;
use serde_json::Value;
use std::path::Path;

const KEY: &str = "key";
const CONNECTORS: &str = "connectors";

pub(super) fn check(global: &Global, data: &Path, plugins: Option<&Directory>) -> Vec<Finding> {
    let unreadable = |error: CatalogueError| {
        let remedy = "look at the journal's own finding first";
        vec![Finding::problem(CONNECTORS, error.to_string(), remedy)]
    };
    let catalogue = match Catalogue::read(data) {
        Ok(catalogue) => catalogue,
        Err(error) => return unreadable(error),
    };
    let connectors = match catalogue.connectors() {
        Ok(connectors) => connectors,
        Err(error) => return unreadable(error),
    };
    let mut findings = Vec::new();
    let (mut opened, mut broken, mut usable) = (0, false, 0);
    for connector in &connectors {
        match catalogue.unsealed(connector, &[]) {
            Ok(settings) => {
                opened += connector.secrets.len() as u64;
                let found = examine(global, connector, settings, plugins);
                usable += u64::from(found.is_empty());
                findings.extend(found);
            }
            // One sentence for one key, however many secrets wait for it.
            Err(CatalogueError::Key(_)) if broken => {}
            Err(error) => {
                broken |= matches!(error, CatalogueError::Key(_));
                let remedy = "put the key back, or type the secret again";
                findings.push(Finding::problem(KEY, error.to_string(), remedy));
            }
        }
    }
    if let Err(error) = catalogue.check_key()
        && !broken
    {
        let remedy = "put the file right, or take it away if nothing is sealed with it";
        findings.push(Finding::problem(KEY, error.to_string(), remedy));
    }
    if findings.iter().all(|finding| finding.check != KEY) {
        let message = match opened {
            0 => "no secret is kept".into(),
            opened => format!("it opens {}", figures::counted(opened, "secret")),
        };
        findings.push(Finding::ok(KEY, message));
    }
    findings.push(Finding::ok(
        CONNECTORS,
        format!(
            "{} kept, {} in order",
            figures::counted(connectors.len() as u64, "connector"),
            figures::count(usable)
        ),
    ));
    findings
}

fn examine(
    global: &Global,
    connector: &StoredConnector,
    mut settings: Value,
    plugins: Option<&Directory>,
) -> Vec<Finding> {
    let full = connector.full_name();
    let mut findings = Vec::new();
    if let Some(plugins) = plugins {
        match plugins.find(&connector.kind) {
            // It is suspended, which its own finding says.
            None if plugins.suspension(&connector.kind).is_some() => {}
            None => findings.push(Finding::problem(
                CONNECTORS,
                format!(
                    "connector {full}: there is no plugin for its type {}",
                    connector.kind
                ),
                "put the plugin's .wasm file into the plugin directory",
            )),
            Some(plugin) => {
                let definition = Definition::of_stored(connector, settings.clone());
                let checked = definition.settings(&plugin.manifest, global.insecure_loopback);
                if let Err(failure) = checked {
                    let remedy = format!("`connector-host connectors edit {full} --set KEY=VALUE`");
                    // One that is inactive may wait for its secrets.
                    findings.push(match connector.active {
                        true => Finding::problem(CONNECTORS, failure.to_string(), remedy),
                        false => Finding::warning(CONNECTORS, failure.to_string(), remedy),
                    });
                }
            }
        }
    }
    settings::wipe(&mut settings);
    if connector.active && connector.profiles.is_empty() && connector.run_on == DATA_PROCESSOR {
        findings.push(Finding::warning(
            CONNECTORS,
            format!("connector {full} is in no profile, so it does not pull by itself"),
            format!(
                "`connector-host profiles add-connector {} {full}`",
                profile::DEFAULT
            ),
        ));
    }
    findings
}
