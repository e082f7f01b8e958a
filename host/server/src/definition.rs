//! A connector's definition: one TOML file with name, type, tenant and settings, or the same from the catalogue.
//!
//! ```toml
//! name = "scanner-1"
//! type = "acme-scanner"
//! tenant = "acme"
//! run_on = "dp"    # a device's name; the data processor, if it is not there
//! active = true    # whether it collects
//! [settings]
//! url = "https://scanner.example.test"
//! token_name = "reader"
//! token = { env = "SCANNER_TOKEN" }   # or { file = "token.txt" }, or the text itself
//! ```
//!
//! What a setting means is the plugin's business; here only the shape is checked, references are resolved, and JSON
//! pointers are turned back into the keys that a person typed. No value is ever part of a sentence, and every value is wiped
//! with whatever held it: the file's text, its table, the settings. (What the TOML reader copies on its way, and the process's
//! own environment, are out of reach.)

use crate::connectors::listing::StoredConnector;
use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use connector_runtime::manifest::Manifest;
use connector_runtime::settings::{self, Problem, Settings, check_name};
use serde_json::{Map, Number, Value as Json};
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use zeroize::{Zeroize as _, Zeroizing};

/// The keys that must be there.
const KEYS: [&str; 4] = ["name", "type", "tenant", "settings"];
/// All that may be there.
const KNOWN: [&str; 6] = ["name", "type", "tenant", "run_on", "active", "settings"];
/// Larger than any secret.
const LARGEST_SECRET: u64 = 64 << 10;
/// For any secret file, so that the bytes read are never moved and left behind.
const ROOM: usize = (64 << 10) + 1;

/// A definition whose shape is right and whose references are resolved.
///
/// No `Debug`: the settings hold secrets.
pub(crate) struct Definition {
    /// The file, as it was named; `connector TENANT/NAME` for one of the catalogue.
    pub(crate) file: PathBuf,
    /// The connector's name, unique within its tenant.
    pub(crate) name: String,
    /// The connector type: a plugin's id.
    pub(crate) kind: String,
    /// The tenant's name.
    pub(crate) tenant: String,
    /// The device that it runs on, if the file says so.
    pub(crate) run_on: Option<String>,
    /// Whether it collects, if the file says so.
    pub(crate) active: Option<bool>,
    settings: Typed,
    /// Settings that came from files which every user of the machine can read, with those files.
    open_files: Vec<(String, PathBuf)>,
}

/// Settings as they were typed, an object with the secrets still in it: wiped when dropped.
#[derive(Clone)]
struct Typed(Json);

impl Drop for Typed {
    fn drop(&mut self) {
        settings::wipe(&mut self.0);
    }
}

impl Definition {
    /// Reads a definition; `{ env = "..." }` are looked up in the process's environment.
    ///
    /// # Errors
    /// [`Failure::Mistakes`], all of them.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let mut table = document::read(file).map_err(|mistake| Failure::Mistakes(vec![mistake]))?;
        let definition = Self::check(file, &table, &|name| std::env::var_os(name));
        document::wipe(&mut table);
        definition.map_err(Failure::Mistakes)
    }

    fn check(
        file: &Path,
        table: &Table,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let top = Section::top(file, table);
        top.refuse_unknown(&KNOWN, &mut mistakes);
        for key in KEYS.iter().filter(|key| !table.contains_key(**key)) {
            let example = match *key {
                "name" => "is required: the connector's name, like name = \"scanner-1\"",
                "type" => "is required: the connector type, as `plugins list` shows it",
                "tenant" => "is required: whose data this is, like tenant = \"acme\"",
                _ => "is required: a table [settings] with what the connector type asks for",
            };
            mistakes.push(top.mistake(key, example));
        }
        let mut named = |key: &str| {
            let text = top.text(key, &mut mistakes)?;
            if let Err(sentence) = check_name(text) {
                mistakes.push(top.mistake(key, sentence));
            }
            Some(text.to_owned())
        };
        let (name, kind, tenant) = (named("name"), named("type"), named("tenant"));
        let run_on = named("run_on");
        let active = match table.get("active") {
            None => None,
            Some(Value::Boolean(active)) => Some(*active),
            Some(other) => {
                let message = format!("must be true or false, and is {}", document::kind(other));
                mistakes.push(top.mistake("active", message));
                None
            }
        };
        let mut settings = Map::new();
        let mut open_files = Vec::new();
        if let Some(section) = top.section("settings", &mut mistakes) {
            for (key, value) in section.table {
                match resolve(file, value, environment) {
                    Ok((value, source)) => {
                        settings.insert(key.clone(), value);
                        if let Some(source) = source.filter(|source| is_open(source)) {
                            open_files.push((key.clone(), source));
                        }
                    }
                    Err(message) => mistakes.push(section.mistake(key, message)),
                }
            }
        }
        let settings = Typed(Json::Object(settings));
        match (name, kind, tenant) {
            (Some(name), Some(kind), Some(tenant)) if mistakes.is_empty() => Ok(Self {
                file: file.to_owned(),
                name,
                kind,
                tenant,
                run_on,
                active,
                settings,
                open_files,
            }),
            _ => Err(mistakes),
        }
    }

    /// The definition of a connector of the catalogue, with `settings` (an object) as if they had just been typed.
    pub(crate) fn of_stored(connector: &StoredConnector, settings: Json) -> Self {
        Self {
            file: PathBuf::from(format!("connector {}", connector.full_name())),
            name: connector.name.clone(),
            kind: connector.kind.clone(),
            tenant: connector.tenant.clone(),
            run_on: Some(connector.run_on.clone()),
            active: Some(connector.active),
            settings: Typed(settings),
            // They lie in no file of their own.
            open_files: Vec::new(),
        }
    }

    /// A definition that was typed into something else than a file; `label` stands for that in sentences.
    pub(crate) fn typed_elsewhere(
        label: PathBuf,
        name: String,
        kind: String,
        tenant: String,
        run_on: Option<String>,
        active: Option<bool>,
        settings: Json,
    ) -> Self {
        Self {
            file: label,
            name,
            kind,
            tenant,
            run_on,
            active,
            settings: Typed(settings),
            open_files: Vec::new(),
        }
    }

    /// The settings as they were typed, an object; secrets are among them.
    pub(crate) fn typed(&self) -> &Json {
        &self.settings.0
    }

    /// Checks the settings against the manifest of its type.
    ///
    /// # Errors
    /// [`Failure::Mistakes`], all that the host can find; `configure` may find more.
    pub(crate) fn settings(
        &self,
        manifest: &Manifest,
        insecure_loopback: bool,
    ) -> Result<Settings, Failure> {
        let mut settings = self.settings.clone();
        let mut mistakes = Vec::new();
        // Before the schema does it, since that names neither the key nor what it could have been.
        if manifest.settings.get("additionalProperties") == Some(&Json::Bool(false)) {
            let known: Vec<&str> = properties(manifest).map(|(name, _)| name).collect();
            if let Some(members) = settings.0.as_object_mut() {
                members.retain(|name, value| {
                    let is_known = known.contains(&name.as_str());
                    if !is_known {
                        let message = format!(
                            "type {} has no such setting; it has {}",
                            self.kind,
                            known.join(", ")
                        );
                        mistakes.push(Mistake::new(
                            &self.file,
                            document::dotted("settings", name),
                            message,
                        ));
                        // It may be a secret under a mistyped name.
                        settings::wipe(value);
                    }
                    is_known
                });
            }
        }
        match Settings::check(manifest, &settings.0, insecure_loopback) {
            Ok(settings) if mistakes.is_empty() => Ok(settings),
            Ok(_) => Err(Failure::Mistakes(mistakes)),
            Err(problems) => {
                mistakes.extend(problems.iter().map(|problem| self.problem(problem)));
                Err(Failure::Mistakes(mistakes))
            }
        }
    }

    /// Sentences about secrets in files that every user of the machine can read.
    pub(crate) fn exposed_secrets(&self, manifest: &Manifest) -> Vec<String> {
        let secrets = settings::secret_pointers(manifest);
        let secrets: Vec<String> = secrets.iter().map(|pointer| key_of(pointer)).collect();
        let keys = self
            .open_files
            .iter()
            .map(|(name, file)| (document::dotted("settings", name), file.display()));
        keys.filter(|(key, _)| secrets.contains(key))
            .map(|(key, file)| {
                format!(
                    "{}: {key}: {file} holds this secret, and every user of this machine can read it; `chmod 600` it",
                    self.file.display()
                )
            })
            .collect()
    }

    /// Mistakes that the plugin found, as a failure.
    pub(crate) fn refused(&self, problems: &[Problem]) -> Failure {
        Failure::Mistakes(
            problems
                .iter()
                .map(|problem| self.problem(problem))
                .collect(),
        )
    }

    fn problem(&self, problem: &Problem) -> Mistake {
        self.mistake(&problem.pointer, &problem.message)
    }

    /// A mistake in the setting at a JSON pointer.
    pub(crate) fn mistake(&self, pointer: &str, message: &str) -> Mistake {
        Mistake::new(&self.file, key_of(pointer), message.trim_end_matches('.'))
    }
}

/// The properties of the settings' schema, in the order in which they are to be shown.
pub(crate) fn properties(manifest: &Manifest) -> impl Iterator<Item = (&str, &Json)> {
    let properties = manifest
        .settings
        .get("properties")
        .and_then(Json::as_object);
    let mut properties: Vec<(&str, &Json)> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
        .collect();
    properties.sort_by_key(|(_, schema)| {
        schema
            .get("x-order")
            .and_then(Json::as_u64)
            .unwrap_or(u64::MAX)
    });
    properties.into_iter()
}

/// The TOML key that a JSON pointer into the settings means.
pub(crate) fn key_of(pointer: &str) -> String {
    let mut key = "settings".to_owned();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            key = format!("{key}[{segment}]");
        } else {
            key = document::dotted(&key, &segment);
        }
    }
    key
}

/// Whether users other than a file's owner and group can read or change it.
#[cfg(unix)]
fn is_open(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o006 != 0)
}

/// Whether users other than a file's owner and group can read or change it: this system does not say.
#[cfg(not(unix))]
fn is_open(_file: &Path) -> bool {
    false
}

/// A setting as JSON, and the file that it came from; references are replaced by what they name. Files are looked for beside
/// `file`.
pub(crate) fn resolve(
    file: &Path,
    value: &Value,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(Json, Option<PathBuf>), String> {
    let reference = value.as_table().and_then(|table| {
        let is_reference =
            !table.is_empty() && table.keys().all(|key| key == "env" || key == "file");
        is_reference.then_some(table)
    });
    let Some(table) = reference else {
        return Ok((to_json(value)?, Some(file.to_owned())));
    };
    let (text, source) = match (table.get("env"), table.get("file")) {
        (Some(Value::String(name)), None) => (from_environment(name, environment)?, None),
        (None, Some(Value::String(path))) => {
            let path = file.parent().unwrap_or(Path::new("")).join(path);
            (from_file(&path)?, Some(path))
        }
        _ => {
            return Err(
                "must be a value, or { env = \"NAME\" }, or { file = \"PATH\" }: one of the two, in quotes"
                    .into(),
            );
        }
    };
    if text.is_empty() {
        return Err("what it refers to is empty; put the value there".into());
    }
    Ok((Json::String(text), source))
}

fn from_environment(
    name: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<String, String> {
    match environment(name).map(OsString::into_string) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(format!(
            "the environment variable {name} is not valid UTF-8; set it again"
        )),
        None => Err(format!(
            "the environment variable {name} is not set; set it, or write {{ file = \"PATH\" }}"
        )),
    }
}

/// The text of a file that holds a secret and nothing else.
pub(crate) fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        format!("{shown} cannot be read ({error}); check the path and its permissions")
    };
    // Not by the file's length: a device or a pipe has none.
    let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
    let opened = std::fs::File::open(path).map_err(cannot)?;
    let size = opened.take(LARGEST_SECRET + 1).read_to_end(&mut bytes);
    if size.map_err(cannot)? as u64 > LARGEST_SECRET {
        return Err(format!(
            "{shown} has more than {LARGEST_SECRET} bytes, which is the most it may have; check the path"
        ));
    }
    let mut text = match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => text,
        Err(error) => {
            error.into_bytes().zeroize();
            return Err(format!("{shown} is not valid UTF-8; check the path"));
        }
    };
    // Editors and `echo` end a file with a newline that is no part of the secret.
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

fn to_json(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::String(text) => Json::String(text.clone()),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Float(number) => match Number::from_f64(*number) {
            Some(number) => Json::Number(number),
            None => return Err("must be a finite number".into()),
        },
        Value::Boolean(flag) => Json::Bool(*flag),
        Value::Datetime(moment) => Json::String(moment.to_string()),
        Value::Array(entries) => {
            Json::Array(entries.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        Value::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| Ok((key.clone(), to_json(value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

#[cfg(test)]
mod tests;
