//! A connector's definition, checked: name, settings against the plugin's schema, secrets taken out, roles resolved.
//!
//! The host's share of the rules is what needs no vendor: the name, the schema, the origin's form, and secrets, which the
//! plugin never sees. Everything else is `configure`'s. All problems are reported at once, each with its JSON pointer; the
//! value of a secret is never printed.

use crate::Manifest;
use crate::egress::{Credential, Origin, Secret};
use crate::redaction::Redactor;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroize as _;

/// Minutes between runs, when the settings name none.
pub const DEFAULT_INTERVAL_MINUTES: u64 = 5;

/// A problem with one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer into the settings.
    pub pointer: String,
    /// One sentence: what is wrong and what to do.
    pub message: String,
}

/// Settings that passed the host's checks.
#[derive(Clone)]
pub struct Settings {
    /// What the plugin gets: no secrets, the origin normalised.
    pub public: Value,
    /// The one origin.
    pub origin: Origin,
    /// The credential, if the plugin's manifest asks for one.
    pub credential: Option<Credential>,
    /// The chosen content types, in the manifest's order.
    pub content_types: Vec<String>,
    /// Minutes between runs.
    pub interval_minutes: u64,
    /// Every text that the schema calls a secret; the password among them.
    secrets: Vec<Secret>,
}

impl Settings {
    /// Checks `settings` against the manifest.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(
        manifest: &Manifest,
        settings: &Value,
        insecure_loopback: bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = schema_problems(manifest, settings);
        let mut report = |pointer: &str, message: String| {
            if !problems.iter().any(|problem| problem.pointer == pointer) {
                problems.push(Problem {
                    pointer: pointer.to_owned(),
                    message,
                });
            }
        };
        let text = |pointer: &str| settings.pointer(pointer).and_then(Value::as_str);

        let origin = match text(&manifest.roles.origin) {
            None => {
                report(
                    &manifest.roles.origin,
                    "is required: the vendor's address.".into(),
                );
                None
            }
            Some(typed) => match Origin::parse(typed, insecure_loopback) {
                Ok(origin) => Some(origin),
                Err(error) => {
                    report(&manifest.roles.origin, format!("{error}."));
                    None
                }
            },
        };

        let mut public = settings.clone();
        let mut secrets = Vec::new();
        for pointer in secret_pointers(manifest) {
            remove(&mut public, &pointer, &mut secrets);
        }
        let mut credential = None;
        if let Some(plan) = &manifest.network.credential {
            match (text(&plan.username), text(&plan.password)) {
                (Some(username), Some(password)) => {
                    if !password.is_ascii() {
                        report(
                            &plan.password,
                            "contains characters outside ASCII, which HTTP Basic cannot carry reliably; change the password."
                                .into(),
                        );
                    }
                    if username.contains(':') {
                        report(
                            &plan.username,
                            "must not contain `:`, which ends the user name in HTTP Basic.".into(),
                        );
                    }
                    credential = Some(Credential::basic(username, Secret::new(password)));
                }
                (username, password) => {
                    if username.is_none() {
                        report(&plan.username, "is required.".into());
                    }
                    if password.is_none() {
                        report(&plan.password, "is required.".into());
                    }
                }
            }
        }
        if let (Some(origin), Some(place)) = (&origin, public.pointer_mut(&manifest.roles.origin)) {
            *place = Value::String(origin.as_str().to_owned());
        }

        let content_types = chosen_content_types(manifest, settings);
        if content_types.is_empty()
            && let Some(pointer) = &manifest.roles.content_types
        {
            report(pointer, "must name at least one content type.".into());
        }
        let interval_minutes = interval_minutes(manifest, settings);
        match (problems.is_empty(), origin) {
            (true, Some(origin)) => Ok(Self {
                public,
                origin,
                credential,
                content_types,
                interval_minutes,
                secrets,
            }),
            _ => {
                problems.sort_by(|left, right| left.pointer.cmp(&right.pointer));
                Err(problems)
            }
        }
    }
}

impl Settings {
    /// What keeps these settings' secrets out of texts.
    pub fn redactor(&self) -> Redactor {
        let username = self.credential.as_ref().map(Credential::username);
        Redactor::new(&self.secrets, username)
    }
}

/// Overwrites every text of a document that held secrets, so that dropping it leaves none of them in memory.
pub fn wipe(document: &mut Value) {
    match document {
        Value::String(text) => text.zeroize(),
        Value::Array(entries) => entries.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The content types that `settings` choose, in the manifest's order; all, if the manifest leaves no choice.
pub fn chosen_content_types(manifest: &Manifest, settings: &Value) -> Vec<String> {
    let chosen = manifest
        .roles
        .content_types
        .as_deref()
        .and_then(|pointer| settings.pointer(pointer))
        .and_then(Value::as_array);
    let ids = manifest
        .content_types
        .iter()
        .map(|content| content.id.clone());
    ids.filter(|id| {
        chosen.is_none_or(|chosen| chosen.iter().any(|value| value.as_str() == Some(id)))
    })
    .collect()
}

/// Minutes between runs.
pub fn interval_minutes(manifest: &Manifest, settings: &Value) -> u64 {
    manifest
        .roles
        .interval
        .as_deref()
        .and_then(|pointer| settings.pointer(pointer))
        .and_then(Value::as_u64)
        .unwrap_or(DEFAULT_INTERVAL_MINUTES)
}

/// Checks the name of a connector.
///
/// # Errors
/// With a sentence that says what a name may be.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte))
        && name.trim() == name;
    if fits {
        Ok(())
    } else {
        Err(
            "must have 1 to 64 characters: ASCII letters, digits, blanks inside, `-`, `_` and `.`"
                .into(),
        )
    }
}

/// Largest compiled form of one `pattern`.
const PATTERN_BYTES: usize = 1 << 20;
/// How many of them a schema may have.
const PATTERNS: usize = 100;

/// A schema that a plugin asks its settings to be checked with. The check runs in the host, outside of every limit of the
/// sandbox, so its work must be bounded by the schema's length: no references, which can make each part count double, and
/// patterns that are matched in linear time.
pub(crate) fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    let mut patterns = 0;
    inspect(schema, &mut patterns)?;
    jsonschema::draft202012::meta::validate(schema)
        .map_err(|error| format!("it is not a JSON Schema: {}", error.masked()))?;
    jsonschema::draft202012::options()
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(PATTERN_BYTES))
        .build(schema)
        .map_err(|error| error.to_string())
}

fn inspect(schema: &Value, patterns: &mut usize) -> Result<(), String> {
    let members = match schema {
        Value::Array(list) => return list.iter().try_for_each(|one| inspect(one, patterns)),
        Value::Object(members) => members,
        _ => return Ok(()),
    };
    for (key, value) in members {
        match key.as_str() {
            "$ref" | "$dynamicRef" | "$recursiveRef" if value.is_string() => {
                return Err(format!("`{key}` is not allowed: write the part out"));
            }
            "pattern" if value.is_string() => *patterns += 1,
            "patternProperties" => *patterns += value.as_object().map_or(0, serde_json::Map::len),
            _ => {}
        }
        if *patterns > PATTERNS {
            return Err(format!("it has more than {PATTERNS} patterns"));
        }
        inspect(value, patterns)?;
    }
    Ok(())
}

fn schema_problems(manifest: &Manifest, settings: &Value) -> Vec<Problem> {
    let validator = match validator(&manifest.settings) {
        Ok(validator) => validator,
        Err(error) => {
            return vec![Problem {
                pointer: String::new(),
                message: format!("the plugin's settings schema cannot be used: {error}"),
            }];
        }
    };
    let secrets = secret_pointers(manifest);
    validator
        .iter_errors(settings)
        .map(|error| {
            let mut pointer = error.instance_path().to_string();
            let message = if secrets.contains(&pointer) {
                "does not have the form that the plugin asks for.".into()
            } else if let Some(name) = missing(&error) {
                pointer = format!("{pointer}/{name}");
                "is required.".into()
            } else if pointer.is_empty() && touches_secrets(&error) {
                "does not have the form that the plugin asks for.".into()
            } else {
                format!("{}.", error.masked())
            };
            Problem { pointer, message }
        })
        .collect()
}

fn missing(error: &jsonschema::ValidationError<'_>) -> Option<String> {
    match error.kind() {
        jsonschema::error::ValidationErrorKind::Required { property } => {
            property.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// An error about the whole document could quote the whole document.
fn touches_secrets(error: &jsonschema::ValidationError<'_>) -> bool {
    !matches!(
        error.kind(),
        jsonschema::error::ValidationErrorKind::AdditionalProperties { .. }
    )
}

/// JSON pointers of the settings that are secrets: the schema's top-level properties that are `writeOnly`, and the
/// credential's password, whatever the schema says of it.
pub fn secret_pointers(manifest: &Manifest) -> Vec<String> {
    let properties = manifest
        .settings
        .get("properties")
        .and_then(Value::as_object);
    let mut pointers: Vec<String> = properties
        .into_iter()
        .flatten()
        .filter(|(_, property)| property.get("writeOnly") == Some(&Value::Bool(true)))
        .map(|(name, _)| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
        .collect();
    if let Some(plan) = &manifest.network.credential
        && !pointers.contains(&plan.password)
    {
        pointers.push(plan.password.clone());
    }
    pointers
}

/// Takes a setting out; its texts are kept as secrets, and nothing else is left of them.
fn remove(document: &mut Value, pointer: &str, secrets: &mut Vec<Secret>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    let object = document.pointer_mut(parent).and_then(Value::as_object_mut);
    if let Some(value) = object.and_then(|object| object.remove(&name)) {
        take_texts(value, secrets);
    }
}

fn take_texts(value: Value, secrets: &mut Vec<Secret>) {
    match value {
        Value::String(text) => secrets.push(Secret::new(text)),
        Value::Array(entries) => entries
            .into_iter()
            .for_each(|entry| take_texts(entry, secrets)),
        Value::Object(members) => members
            .into_iter()
            .for_each(|(_, member)| take_texts(member, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a plugin would get of `settings`: no secrets, and the origin normalised if it is one. Unlike [`Settings::check`] it
/// takes settings that have mistakes, so that the plugin can be asked about the rest of them.
pub fn without_secrets(manifest: &Manifest, settings: &Value, insecure_loopback: bool) -> Value {
    let mut public = settings.clone();
    for pointer in secret_pointers(manifest) {
        take(&mut public, &pointer);
    }
    if let Some(place) = public.pointer_mut(&manifest.roles.origin)
        && let Some(origin) = place
            .as_str()
            .and_then(|typed| Origin::parse(typed, insecure_loopback).ok())
    {
        *place = Value::String(origin.as_str().to_owned());
    }
    public
}

/// The JSON pointer of the setting called `name`.
pub fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Takes the setting at a JSON pointer out.
pub fn take(settings: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    settings.pointer_mut(parent)?.as_object_mut()?.remove(&name)
}

/// Puts a setting where a JSON pointer says; objects on the way there are made.
pub fn put(settings: &mut Value, pointer: &str, value: Value) {
    let mut place = settings;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = &mut place[name];
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let manifest = json!({
            "manifest_version": 1, "id": "acme-scanner", "name": "Acme Scanner", "vendor": "acme", "version": "0.1.0",
            "category": "Vulnerability Scanner", "category_id": "scan", "functions": {"collect": true},
            "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog"]}],
            "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
            "settings": {"type": "object", "properties": {
                "url": {"type": "string"}, "user": {"type": "string"}, "token": {"type": "string"},
                "keys": {"type": "object", "writeOnly": true},
            }},
            "roles": {"origin": "/url", "username": "/user", "password": "/token"},
            "network": {"origin": "/url", "requests": [],
                "credential": {"scheme": "basic", "username": "/user", "password": "/token"}},
        });
        Manifest::parse(&manifest.to_string()).unwrap()
    }

    #[test]
    fn every_secret_is_taken_out_of_what_the_plugin_gets_and_known_to_the_redactor() {
        let typed = json!({
            "url": "https://scanner.example.test", "user": "reader", "token": "the-password",
            "keys": {"first": "first-key", "others": ["second-key", 7]},
        });
        let settings = Settings::check(&manifest(), &typed, false).unwrap();
        assert_eq!(
            settings.public,
            json!({"url": "https://scanner.example.test", "user": "reader"})
        );
        let redactor = settings.redactor();
        assert_eq!(
            redactor.text("the-password first-key second-key reader"),
            "[redacted] [redacted] [redacted] reader"
        );
    }

    #[test]
    fn a_schema_whose_check_has_no_bound_is_refused() {
        let refused = |schema: &Value| validator(schema).map(drop).unwrap_err();
        let nested = json!({"properties": {"a": {"allOf": [{"$ref": "#"}]}}});
        assert_eq!(
            refused(&nested),
            "`$ref` is not allowed: write the part out"
        );
        let many: Vec<Value> = (0..=PATTERNS).map(|_| json!({"pattern": "a"})).collect();
        assert_eq!(
            refused(&json!({ "anyOf": many })),
            "it has more than 100 patterns"
        );
        for pattern in ["((a{500}){500}){500}", "(?=a)b", "("] {
            refused(&json!({ "pattern": pattern }));
        }
        let named = json!({"properties": {"$ref": {"type": "string", "pattern": "^[a-z]+$"}}});
        assert!(validator(&named).is_ok(), "a property may have that name");
    }

    #[test]
    fn a_wiped_document_holds_no_text() {
        let mut document = json!({"a": "s3cret", "b": [1, {"c": "s3cret"}]});
        wipe(&mut document);
        assert_eq!(document, json!({"a": "", "b": [1, {"c": ""}]}));
    }
}
