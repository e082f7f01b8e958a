//! `connectors export`: a definition as TOML, for `connectors import` elsewhere. It has no secrets: a comment names them.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::listing::StoredConnector;
use crate::definition::key_of;
use crate::failure::Failure;
use crate::host;
use serde::Serialize;
use serde_json::Value;

/// The JSON result.
#[derive(Serialize)]
struct Exported<'a> {
    /// As a file for `connectors import`.
    toml: &'a str,
    /// Keys of the secrets that are not in it.
    secrets: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    tenant: &'a str,
    run_on: &'a str,
    active: bool,
    settings: Value,
}

pub(super) fn run(global: &Global, name: &str) -> Result<Answer, Failure> {
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    let connector = catalogue.connector(name)?;
    let toml = describe(&connector)?;
    let document = Exported {
        toml: &toml,
        secrets: keys(&connector),
    };
    Ok(Answer::new(toml.trim_end().to_owned(), &document, 0))
}

fn keys(connector: &StoredConnector) -> Vec<String> {
    connector.secrets.iter().map(|key| key_of(key)).collect()
}

fn describe(connector: &StoredConnector) -> Result<String, Failure> {
    let mut settings = connector.settings.clone();
    without_nulls(&mut settings);
    let document = Document {
        name: &connector.name,
        kind: &connector.kind,
        tenant: &connector.tenant,
        run_on: &connector.run_on,
        active: connector.active,
        settings,
    };
    let mut text = toml::to_string(&document).map_err(|error| {
        Failure::Usage(format!(
            "connector {}: its settings cannot be written as TOML ({error}); `connectors show` has them",
            connector.full_name()
        ))
    })?;
    let secrets = keys(connector);
    if !secrets.is_empty() {
        text.push_str(&format!(
            "# Not exported: {}. Add them here, like {} = {{ env = \"NAME\" }}, or type them after the import.\n",
            secrets.join(", "),
            secrets[0].trim_start_matches("settings.")
        ));
    }
    Ok(text)
}

/// TOML has no null; a setting that is null is one that is not there.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
