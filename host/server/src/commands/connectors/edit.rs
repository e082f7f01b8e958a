//! `connectors edit`: new settings for a connector that is kept.
//!
//! Promises: its General fields (name, type, tenant, device) refuse to change. Where the origin or the account changes, every
//! stored secret must be typed again in the same request: what is stored was meant for another place. The answer says
//! whether the next run reads everything again.

use super::{Changed, describe_warnings};
use crate::answer::Answer;
use crate::arguments::{Edit, Global};
use crate::connectors::listing::StoredConnector;
use crate::definition::{self, Definition};
use crate::document;
use crate::failure::{Failure, Mistake};
use crate::host::Host;
use crate::keeper::Keeper;
use crate::service::{Change, Replacement};
use connector_runtime::Manifest;
use connector_runtime::plugins::AcceptedGrants;
use connector_runtime::settings;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Fields of the General form.
const GENERAL: [&str; 4] = ["name", "type", "tenant", "run_on"];

pub(super) async fn run(global: &Global, edit: &Edit) -> Result<Answer, Failure> {
    if edit.from.is_none() && edit.set.is_empty() && edit.unset.is_empty() {
        return Err(Failure::Usage(
            "nothing is to be changed; say what with --set KEY=VALUE, --unset KEY or --from FILE.toml"
                .into(),
        ));
    }
    let host = Host::assemble(global)?;
    let keeper = Keeper::open(global)?;
    let catalogue = keeper.catalogue();
    let connector = catalogue.connector(&edit.name)?;
    let before = Definition::of_stored(&connector, connector.settings.clone());
    let accepted = AcceptedGrants::read(catalogue.journal())?;
    let plugin = host.plugin(&before, &accepted).await?;
    let manifest = &plugin.manifest;

    let mut request = Request::new(&connector, manifest);
    if let Some(file) = &edit.from {
        request.take_from(&Definition::load(file)?);
    }
    for change in &edit.set {
        request.set(change);
    }
    for name in &edit.unset {
        request.unset(name);
    }
    let Request {
        settings,
        active,
        touched,
        mistakes,
        ..
    } = request;

    let change = Replacement {
        connector: &connector,
        settings,
        touched,
        active,
        mistakes,
    };
    let change = match &keeper {
        Keeper::Here(catalogue) => change.apply(&host, catalogue, &plugin).await?,
        Keeper::There(client, catalogue) => {
            let label = PathBuf::from(format!("connector {}", connector.full_name()));
            let request = change.request();
            // Here, so that what only the command line knows and what the settings lack are told together.
            change.check(&host, catalogue, &plugin).await?;
            let reply = client
                .change(&connector, &request)
                .await
                .map_err(|failure| failure.in_file(&label))?;
            Change {
                connector: catalogue.connector(&connector.id)?,
                changed: reply.changed,
                shaping: reply.full_walk_because,
                missing: reply.missing,
                warnings: reply.warnings,
            }
        }
    };
    Ok(answer(&change))
}

/// What is said about a change.
pub(super) fn answer(change: &Change) -> Answer {
    let full = change.connector.full_name();
    let mut text = match change.changed.as_slice() {
        [] => format!("connector {full}: nothing has changed"),
        changed => format!("connector {full}: changed {}", changed.join(", ")),
    };
    if !change.shaping.is_empty() {
        text.push_str(&format!(
            "\n  The next run reads everything again, since {} selects or shapes what is collected.",
            change.shaping.join(", ")
        ));
    }
    if !change.missing.is_empty() {
        text.push_str(&format!(
            "\n  It cannot be activated before {} is typed.",
            change.missing.join(", ")
        ));
    }
    describe_warnings(&mut text, &change.warnings);
    let document = Changed {
        connector: &change.connector,
        changed: &change.changed,
        full_walk: !change.shaping.is_empty(),
        missing: &change.missing,
        warnings: &change.warnings,
    };
    Answer::new(text, &document, 0)
}

/// The settings that are asked for, and what is wrong with asking so.
struct Request<'a> {
    connector: &'a StoredConnector,
    manifest: &'a Manifest,
    secrets: Vec<String>,
    label: PathBuf,
    settings: Value,
    active: Option<bool>,
    /// Pointers of the secrets that are typed or taken out.
    touched: Vec<String>,
    mistakes: Vec<Mistake>,
}

impl<'a> Request<'a> {
    fn new(connector: &'a StoredConnector, manifest: &'a Manifest) -> Self {
        Self {
            connector,
            manifest,
            secrets: settings::secret_pointers(manifest),
            label: PathBuf::from(format!("connector {}", connector.full_name())),
            settings: connector.settings.clone(),
            active: None,
            touched: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    fn refuse(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(&self.label, key, message));
    }

    fn refuse_general(&mut self, field: &str, present: &str) {
        self.refuse(
            field,
            format!(
                "is one of the General fields, which cannot change after creation; it stays `{present}`. Add another connector instead"
            ),
        );
    }

    /// Takes the settings of a file; secrets that it does not have stay.
    fn take_from(&mut self, from: &Definition) {
        let connector = self.connector;
        let fields = [
            ("name", Some(&from.name), &connector.name),
            ("type", Some(&from.kind), &connector.kind),
            ("tenant", Some(&from.tenant), &connector.tenant),
            ("run_on", from.run_on.as_ref(), &connector.run_on),
        ];
        for (field, wanted, present) in fields {
            if wanted.is_some_and(|wanted| wanted != present) {
                self.refuse_general(field, present);
            }
        }
        self.active = from.active;
        self.settings = from.typed().clone();
        for pointer in self.secrets.clone() {
            if self.settings.pointer(&pointer).is_some() {
                self.touch(&pointer);
            }
        }
    }

    fn touch(&mut self, pointer: &str) {
        if self.secrets.iter().any(|secret| secret == pointer)
            && !self.touched.iter().any(|touched| touched == pointer)
        {
            self.touched.push(pointer.to_owned());
        }
    }

    /// The setting's name, unless it is a General field.
    fn name(&mut self, key: &str) -> Option<String> {
        let name = key.trim();
        let name = name.strip_prefix("settings.").unwrap_or(name);
        let is_setting = definition::properties(self.manifest).any(|(known, _)| known == name);
        if !is_setting && GENERAL.contains(&name) {
            let present = match name {
                "name" => &self.connector.name,
                "type" => &self.connector.kind,
                "tenant" => &self.connector.tenant,
                _ => &self.connector.run_on,
            };
            self.refuse_general(name, present);
            return None;
        }
        Some(name.to_owned())
    }

    fn set(&mut self, change: &str) {
        // Not the text itself: it may hold a secret.
        let Some((key, value)) = change.split_once('=') else {
            self.refuse("--set", "must be KEY=VALUE; one of them has no `=`");
            return;
        };
        let Some(name) = self.name(key) else { return };
        let schema = definition::properties(self.manifest)
            .find(|(known, _)| *known == name)
            .map(|(_, schema)| schema);
        match read(value, schema) {
            Ok(value) => {
                let pointer = settings::pointer(&name);
                settings::put(&mut self.settings, &pointer, value);
                self.touch(&pointer);
            }
            Err(message) => self.refuse(document::dotted("settings", &name), message),
        }
    }

    fn unset(&mut self, key: &str) {
        let Some(name) = self.name(key) else { return };
        let pointer = settings::pointer(&name);
        let is_kept = self.connector.secrets.contains(&pointer);
        if settings::take(&mut self.settings, &pointer).is_none() && !is_kept {
            self.refuse(
                document::dotted("settings", &name),
                "is not set, so it cannot be taken out",
            );
        }
        self.touch(&pointer);
    }
}

/// A value as it was typed, as the schema of its setting wants it: a text stays a text, a list may be written `a,b`, and
/// whatever else TOML writes is what it is there. A reference (`{ env = "NAME" }`, `{ file = "PATH" }`) is followed.
fn read(typed: &str, schema: Option<&Value>) -> Result<Value, String> {
    let kind = schema
        .and_then(|schema| schema.get("type"))
        .and_then(Value::as_str);
    let typed = typed.trim();
    // Files are looked for as if this stood in a definition that lies in the present directory.
    let here = Path::new("");
    let is_reference = typed.starts_with('{') && typed.ends_with('}');
    let parsed = format!("value = {typed}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    let plain =
        |value: &toml::Value| definition::resolve(here, value, &|_| None).map(|(value, _)| value);
    match (kind, parsed) {
        (_, Some(reference @ toml::Value::Table(_))) if is_reference => {
            definition::resolve(here, &reference, &|name| std::env::var_os(name))
                .map(|(value, _)| value)
        }
        (Some("string"), _) => Ok(Value::from(typed)),
        (Some("array"), Some(list @ toml::Value::Array(_))) => plain(&list),
        (Some("array"), _) => {
            let entries = typed.split(',').map(str::trim).map(Value::from);
            Ok(Value::Array(entries.collect()))
        }
        (_, Some(value)) => plain(&value),
        (_, None) => Ok(Value::from(typed)),
    }
}
