//! A connector's definition, checked: name, settings against the plugin's schema, secrets taken out, roles resolved.
//!
//! The host's share of the rules is what needs no vendor: the name, the schema, the origin's form, and secrets, which the
//! plugin never sees. Everything else is `configure`'s. All problems are reported at once, each with its JSON pointer; the
//! value of a secret is never printed.

use crate::Manifest;
use crate::egress::{Credential, Origin, Secret};
use serde::Serialize;
use serde_json::Value;

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
            remove(&mut public, &plan.password);
        }
        for pointer in write_only(&manifest.settings) {
            remove(&mut public, &pointer);
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
            }),
            _ => {
                problems.sort_by(|left, right| left.pointer.cmp(&right.pointer));
                Err(problems)
            }
        }
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

fn schema_problems(manifest: &Manifest, settings: &Value) -> Vec<Problem> {
    let validator = match jsonschema::draft202012::new(&manifest.settings) {
        Ok(validator) => validator,
        Err(error) => {
            return vec![Problem {
                pointer: String::new(),
                message: format!("the plugin's settings schema cannot be used: {error}"),
            }];
        }
    };
    let secrets = write_only(&manifest.settings);
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

/// Pointers of the schema's top-level properties that are `writeOnly`.
fn write_only(schema: &Value) -> Vec<String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .filter(|(_, property)| property.get("writeOnly") == Some(&Value::Bool(true)))
        .map(|(name, _)| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
        .collect()
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    if let Some(object) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
        object.remove(&name);
    }
}

/// JSON pointers of the settings that are secrets: the schema's top-level properties that are `writeOnly`, and the
/// credential's password, whatever the schema says of it.
pub fn secret_pointers(manifest: &Manifest) -> Vec<String> {
    let mut pointers = write_only(&manifest.settings);
    if let Some(plan) = &manifest.network.credential
        && !pointers.contains(&plan.password)
    {
        pointers.push(plan.password.clone());
    }
    pointers
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
