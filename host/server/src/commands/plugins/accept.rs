//! `plugins accept NAME`: the word of whoever owns the data directory that a plugin may have what it asks for now.
//!
//! It says what is new before it says that it is accepted. With `--sha256` it accepts what that one file asks for, which the
//! owner has read, and not what has taken its place since. Only who may write to the data directory can, and only while no
//! other process owns it.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::schema::migrations;
use crate::failure::Failure;
use crate::host::Host;
use crate::report::printable;
use connector_runtime::journal::{Journal, JournalError};
use connector_runtime::plugins::{AcceptedGrants, Directory, grant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What was accepted; the JSON result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Accepted {
    /// The plugin's id.
    plugin: String,
    version: String,
    /// Of the file, 64 hexadecimal digits.
    sha256: String,
    /// What was not accepted before, one phrase each.
    new: Vec<String>,
    /// All that is accepted now.
    #[schema(value_type = Object)]
    grant: Value,
    /// SHA-256 of its canonical form.
    grant_sha256: String,
}

/// Accepts what a plugin asks for; with `sha256` only if that is how the digest of its file begins.
///
/// # Errors
/// If there is no such plugin, it is another file, or the data directory is somebody else's or in use.
pub(crate) async fn accept(
    global: &Global,
    id: &str,
    sha256: Option<&str>,
) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let journal = open(&host)?;
    let accepted = AcceptedGrants::read(&journal)?;
    let directory = host.plugins(&accepted).await?;
    let accepted = accept_in(&host, &journal, &directory, id, sha256).await?;
    Ok(answer(&accepted))
}

/// Accepts what a plugin of `directory` asks for.
///
/// # Errors
/// As [`accept`].
pub(crate) async fn accept_in(
    host: &Host,
    journal: &Journal,
    directory: &Directory,
    id: &str,
    sha256: Option<&str>,
) -> Result<Accepted, Failure> {
    let accepted = AcceptedGrants::read(journal)?;
    let Some(plugin) = directory.find(id) else {
        let known: Vec<&str> = directory
            .plugins()
            .iter()
            .map(|plugin| plugin.manifest.id.as_str())
            .collect();
        let known = match known.as_slice() {
            [] => "none that can be used".into(),
            known => known.join(", "),
        };
        return Err(Failure::Usage(format!(
            "there is no plugin `{id}` in {}; it has {known}. `plugins list` shows every file",
            host.plugin_directory().display()
        )));
    };
    if let Some(expected) = sha256.filter(|digits| !plugin.sha256.starts_with(digits)) {
        return Err(Failure::Usage(format!(
            "{}: is the plugin `{id}` with the SHA-256 {}, which does not begin with {expected}: it is not the file that was meant. Nothing was accepted; see with `plugins list` what this one asks for",
            plugin.path.display(),
            plugin.sha256
        )));
    }
    let before = accepted.of(id);
    let new = match (&before, directory.suspension(id)) {
        (_, Some(suspension)) => suspension.new.clone(),
        (Some(_), None) => Vec::new(),
        (None, None) => plugin.grant.phrases(host.limits().uncovered_calls),
    };
    grant::accept(journal, plugin, host.clock().now_ms()).await?;
    Ok(Accepted {
        plugin: id.to_owned(),
        version: plugin.manifest.version.clone(),
        sha256: plugin.sha256.clone(),
        new,
        grant: serde_json::to_value(&plugin.grant).unwrap_or_default(),
        grant_sha256: plugin.grant.digest(),
    })
}

/// What is said about it.
pub(crate) fn answer(accepted: &Accepted) -> Answer {
    let title = format!("{} {}", accepted.plugin, accepted.version);
    let mut lines = vec![match accepted.new.as_slice() {
        [] => format!(
            "{title} asks for nothing that was not accepted before; what it asks for now is accepted."
        ),
        _ => format!("Accepted for {title}, and not before:"),
    }];
    lines.extend(accepted.new.iter().map(|phrase| format!("  {phrase}")));
    let text: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    Answer::new(text.join("\n"), accepted, 0)
}

fn open(host: &Host) -> Result<Journal, Failure> {
    match Journal::open(host.data_directory(), migrations()) {
        Err(JournalError::File { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Err(Failure::NotOwner {
                path: host.data_directory().to_owned(),
                source,
            })
        }
        opened => Ok(opened?),
    }
}
