//! Validation: everything that can be found wrong with a definition, at once, before anything is kept or sent.
//!
//! The schema's findings and the plugin's (`configure`) come together, field by field; where both speak of a field, the
//! schema's word counts, since the plugin's may follow from it. The plugin sees no secret and has no way out meanwhile.

use super::definition::Entry;
use super::device::DATA_PROCESSOR;
use super::secret::Plain;
use crate::definition::{Definition, key_of};
use crate::failure::{Failure, Mistake};
use crate::host::Host;
use connector_runtime::Manifest;
use connector_runtime::plugins::Plugin;
use connector_runtime::runs;
use connector_runtime::sandbox::{Fault, Remark};
use connector_runtime::settings::{self, Settings};
use serde_json::Value;

/// What came of it.
pub(crate) struct Validated {
    /// To be kept; it holds the secrets that the definition has.
    pub(crate) entry: Entry,
    /// For a run. None if secrets are missing and may be.
    pub(crate) settings: Option<Settings>,
    /// Keys of required secrets that are missing.
    pub(crate) missing: Vec<String>,
    /// Remarks on settings that can be used.
    pub(crate) warnings: Vec<Remark>,
    /// The plugin failed when it was asked.
    pub(crate) fault: Option<Fault>,
}

impl Validated {
    /// Makes a fault of the plugin the failure that it is where nothing is run.
    ///
    /// # Errors
    /// [`Failure::Fault`].
    pub(crate) fn without_fault(mut self) -> Result<Self, Failure> {
        match self.fault.take() {
            Some(fault) => Err(Failure::Fault(fault)),
            None => Ok(self),
        }
    }
}

/// Whether a definition may come without its secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// All of them must be there.
    Required,
    /// They may be typed later.
    MayBeMissing,
}

/// Validates a definition. `mistakes` are those that the caller has found already.
///
/// # Errors
/// [`Failure::Mistakes`], all of them.
pub(crate) async fn validate(
    host: &Host,
    definition: &Definition,
    plugin: &Plugin,
    secrets: Secrets,
    mut mistakes: Vec<Mistake>,
) -> Result<Validated, Failure> {
    let manifest = &plugin.manifest;
    let typed = definition.typed();
    let pointers = settings::secret_pointers(manifest);
    let mut missing = Vec::new();
    let checked = match host.settings(definition, plugin) {
        Ok(checked) => Some(checked),
        Err(Failure::Mistakes(found)) => {
            for mistake in found {
                let is_missing = secrets == Secrets::MayBeMissing
                    && pointers.iter().any(|pointer| {
                        typed.pointer(pointer).is_none()
                            && mistake.key.as_deref() == Some(key_of(pointer).as_str())
                    });
                if is_missing {
                    missing.extend(mistake.key);
                } else if !names(&mistakes, mistake.key.as_deref()) {
                    mistakes.push(mistake);
                }
            }
            None
        }
        Err(failure) => return Err(failure),
    };
    let public = settings::without_secrets(manifest, typed, host.insecure_loopback());
    let (warnings, fault) = match runs::configure(plugin, &public, host.clock()).await {
        Ok(Ok(warnings)) => (warnings, None),
        Ok(Err(found)) => {
            for remark in found {
                let key = key_of(&remark.pointer);
                if !names(&mistakes, Some(&key)) {
                    mistakes.push(definition.mistake(&remark.pointer, &remark.message));
                }
            }
            (Vec::new(), None)
        }
        Err(fault) => (Vec::new(), Some(fault)),
    };
    if !mistakes.is_empty() {
        return Err(Failure::Mistakes(mistakes));
    }
    Ok(Validated {
        entry: entry(definition, manifest, typed, &pointers),
        settings: checked,
        missing,
        warnings,
        fault,
    })
}

fn names(mistakes: &[Mistake], key: Option<&str>) -> bool {
    mistakes.iter().any(|mistake| mistake.key.as_deref() == key)
}

fn entry(
    definition: &Definition,
    manifest: &Manifest,
    typed: &Value,
    pointers: &[String],
) -> Entry {
    let mut kept = typed.clone();
    let mut secrets = Vec::new();
    for pointer in pointers {
        if let Some(value) = settings::take(&mut kept, pointer) {
            secrets.push(Plain::new(pointer, &value));
        }
    }
    Entry {
        tenant: definition.tenant.clone(),
        name: definition.name.clone(),
        kind: definition.kind.clone(),
        run_on: definition
            .run_on
            .clone()
            .unwrap_or_else(|| DATA_PROCESSOR.into()),
        active: definition.active.unwrap_or(true),
        content_types: settings::chosen_content_types(manifest, &kept),
        interval_minutes: settings::interval_minutes(manifest, &kept),
        version: manifest.version.clone(),
        settings: kept,
        secrets,
    }
}
