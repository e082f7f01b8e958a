//! Connectors: kept, changed, switched on and off, deleted.

use super::Service;
use crate::connectors::Catalogue;
use crate::connectors::definition::Entry;
use crate::connectors::difference::Difference;
use crate::connectors::listing::StoredConnector;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::{Definition, key_of};
use crate::document;
use crate::failure::{Failure, Mistake};
use crate::host::Host;
use connector_runtime::plugins::Plugin;
use connector_runtime::sandbox::Remark;
use connector_runtime::settings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use utoipa::ToSchema;

/// A connector that is to be kept, as the platform's API names its fields. Unknown keys are refused.
///
/// No `Debug`: `conf` holds secrets.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConnector {
    /// The tenant's name or id; a name that is new makes a tenant (root only).
    pub(crate) cust_id: String,
    /// Unique within the tenant; ASCII.
    #[schema(example = "scanner-1")]
    pub(crate) name: String,
    /// The connector type: a plugin's id.
    #[serde(rename = "type")]
    #[schema(example = "acme-scanner")]
    pub(crate) kind: String,
    /// Must be the plugin's category, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    /// Whether it collects; connectors that collect are all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) is_collect: Option<bool>,
    /// Must be false, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) is_respond: Option<bool>,
    /// The device it runs on; the data processor (`dp`) if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_on: Option<String>,
    /// Whether it collects from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<bool>,
    /// The settings that the connector type asks for; see its plugin's `settings`. Secrets are sealed and never returned.
    pub(crate) conf: Map<String, Value>,
    /// Names of log filters to attach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) filter_list: Vec<String>,
    /// None exist yet: an object without members, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advanced_setting: Option<Map<String, Value>>,
    /// A Data Analyzer profile to put it into, so that it pulls (root only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// Keep it although required secrets are missing; it is inactive then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secrets_later: bool,
}

/// What is to change. Name, type, tenant and device cannot; unknown keys are refused.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorChange {
    /// Settings to set; those that it does not name stay, unless `replace` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conf: Option<Map<String, Value>>,
    /// `conf` is the whole of the settings; secrets that it does not name stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replace: bool,
    /// Names of settings to take out, so that they have their defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unset: Vec<String>,
    /// Whether it collects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<bool>,
    /// One of the General fields: refused unless it is what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// One of the General fields.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// One of the General fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cust_id: Option<String>,
    /// One of the General fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_on: Option<String>,
}

/// What came of a change.
pub(crate) struct Change {
    pub(crate) connector: StoredConnector,
    /// Keys that changed, secrets included.
    pub(crate) changed: Vec<String>,
    /// Settings because of which the next run reads everything again.
    pub(crate) shaping: Vec<String>,
    /// Keys of required secrets that are still missing.
    pub(crate) missing: Vec<String>,
    /// Remarks on settings that can be used.
    pub(crate) warnings: Vec<Remark>,
}

impl Change {
    fn of(connector: StoredConnector) -> Self {
        Self {
            connector,
            changed: Vec::new(),
            shaping: Vec::new(),
            missing: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn wrong(mistakes: &mut Vec<Mistake>, label: &str, key: &str, message: impl Into<String>) {
    mistakes.push(Mistake::new(PathBuf::from(label), key, message));
}

impl NewConnector {
    /// A definition, to be sent.
    pub(crate) fn of(definition: &Definition) -> Self {
        Self {
            cust_id: definition.tenant.clone(),
            name: definition.name.clone(),
            kind: definition.kind.clone(),
            category: None,
            is_collect: None,
            is_respond: None,
            run_on: definition.run_on.clone(),
            active: definition.active,
            conf: definition.typed().as_object().cloned().unwrap_or_default(),
            filter_list: Vec::new(),
            advanced_setting: None,
            profile: None,
            secrets_later: false,
        }
    }

    /// As a definition that was just typed, for the tenant of this name.
    pub(crate) fn definition(self, tenant: String) -> Result<Definition, Failure> {
        let label = format!("connector {tenant}/{}", self.name);
        let mut mistakes = Vec::new();
        for (key, name) in [
            ("name", &self.name),
            ("type", &self.kind),
            ("cust_id", &tenant),
        ] {
            if let Err(message) = settings::check_name(name) {
                wrong(&mut mistakes, &label, key, message);
            }
        }
        if self.is_respond == Some(true) {
            wrong(
                &mut mistakes,
                &label,
                "is_respond",
                "must be false: connectors here collect and do not respond",
            );
        }
        if self.is_collect == Some(false) {
            wrong(
                &mut mistakes,
                &label,
                "is_collect",
                "must be true: a connector that does not collect does nothing; make it inactive instead",
            );
        }
        if self
            .advanced_setting
            .is_some_and(|advanced| !advanced.is_empty())
        {
            wrong(
                &mut mistakes,
                &label,
                "advanced_setting",
                "must be empty: there are no advanced settings",
            );
        }
        if !mistakes.is_empty() {
            return Err(Failure::Mistakes(mistakes));
        }
        Ok(Definition::typed_elsewhere(
            PathBuf::from(label),
            self.name,
            self.kind,
            tenant,
            self.run_on,
            self.active,
            Value::Object(self.conf),
        ))
    }
}

impl Service {
    /// Keeps a new connector for a tenant (by its name).
    ///
    /// # Errors
    /// All mistakes at once; nothing is kept then.
    pub(crate) async fn create(&self, tenant: &str, new: NewConnector) -> Result<Change, Failure> {
        let (filters, profile) = (new.filter_list.clone(), new.profile.clone());
        let category = new.category.clone();
        let secrets = match new.secrets_later {
            true => Secrets::MayBeMissing,
            false => Secrets::Required,
        };
        let definition = new.definition(tenant.to_owned())?;
        let plugin = self.plugin(&definition)?;
        let mut mistakes = Vec::new();
        let known = [&plugin.manifest.category, &plugin.manifest.category_id];
        if category.is_some_and(|category| !known.contains(&&category)) {
            let message = format!("must be {}, as of this type", plugin.manifest.category_id);
            mistakes.push(Mistake::new(&definition.file, "category", message));
        }
        let mut validated = validate(&self.host, &definition, &plugin, secrets, mistakes)
            .await?
            .without_fault()?;
        validated.entry.active &= validated.missing.is_empty();
        // Before anything is kept: a name that is wrong must not leave half of what was asked for.
        if let Some(profile) = &profile {
            self.catalogue
                .check_profile(profile, &validated.entry.run_on)?;
        }
        for filter in &filters {
            self.catalogue.check_filter(filter, tenant)?;
        }
        let full = format!("{tenant}/{}", definition.name);
        let id = self.catalogue.create(validated.entry).await?;
        for filter in &filters {
            self.catalogue.attach_filter(filter, &full).await?;
        }
        if let Some(profile) = &profile {
            self.catalogue.add_to_profile(profile, &full).await?;
        }
        self.schedule.changed(&id);
        let mut change = Change::of(self.catalogue.connector(&full)?);
        change.missing = validated.missing;
        change.warnings = validated.warnings;
        Ok(change)
    }

    /// Changes settings.
    ///
    /// # Errors
    /// All mistakes at once; nothing has changed then.
    pub(crate) async fn edit(
        &self,
        connector: &StoredConnector,
        change: ConnectorChange,
    ) -> Result<Change, Failure> {
        let before = Definition::of_stored(connector, connector.settings.clone());
        let plugin = self.plugin(&before)?;
        let manifest = &plugin.manifest;
        let mut mistakes = Vec::new();
        let fields = [
            ("name", &change.name, [&connector.name, &connector.name]),
            ("type", &change.kind, [&connector.kind, &connector.kind]),
            (
                "cust_id",
                &change.cust_id,
                [&connector.tenant, &connector.tenant_id],
            ),
            (
                "run_on",
                &change.run_on,
                [&connector.run_on, &connector.run_on],
            ),
        ];
        for (field, wanted, present) in fields {
            if wanted
                .as_ref()
                .is_some_and(|wanted| !present.contains(&wanted))
            {
                let message = format!(
                    "is one of the General fields, which cannot change after creation; it stays `{}`. Add another connector instead",
                    present[0]
                );
                mistakes.push(Mistake::new(&before.file, field, message));
            }
        }
        let secrets = settings::secret_pointers(manifest);
        let mut settings = match (&change.conf, change.replace) {
            (Some(_), true) => Value::Object(Map::new()),
            _ => connector.settings.clone(),
        };
        let mut touched = Vec::new();
        for (name, value) in change.conf.into_iter().flatten() {
            let pointer = settings::pointer(&name);
            settings::put(&mut settings, &pointer, value);
            touched.push(pointer);
        }
        for name in &change.unset {
            let pointer = settings::pointer(name);
            let is_kept = connector.secrets.contains(&pointer);
            if settings::take(&mut settings, &pointer).is_none() && !is_kept {
                mistakes.push(before.mistake(&pointer, "is not set, so it cannot be taken out"));
            }
            touched.push(pointer);
        }
        touched.retain(|pointer| secrets.contains(pointer));
        let replacement = Replacement {
            connector,
            settings,
            touched,
            active: change.active,
            mistakes,
        };
        let changed = replacement
            .apply(&self.host, &self.catalogue, &plugin)
            .await?;
        self.settle(&connector.id, change.active).await;
        Ok(changed)
    }

    /// Lets the schedule look again at a connector; a run of one that is not to collect any longer is stopped.
    async fn settle(&self, id: &str, active: Option<bool>) {
        if active == Some(false) {
            self.schedule.stop_run(id).await;
        }
        self.schedule.changed(id);
    }

    /// Lets a connector collect, if its settings can be used as they are, or collect no longer.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub(crate) async fn set_active(
        &self,
        connector: &StoredConnector,
        active: bool,
    ) -> Result<Change, Failure> {
        if active {
            let definition = self.definition(connector)?;
            let plugin = self.plugin(&definition)?;
            validate(
                &self.host,
                &definition,
                &plugin,
                Secrets::Required,
                Vec::new(),
            )
            .await?
            .without_fault()?;
        }
        self.catalogue.set_active(&connector.id, active).await?;
        self.settle(&connector.id, Some(active)).await;
        Ok(Change::of(self.catalogue.connector(&connector.id)?))
    }

    /// Deletes a connector; a run under way is stopped first.
    ///
    /// # Errors
    /// If it is gone already.
    pub(crate) async fn delete(&self, connector: &StoredConnector) -> Result<(), Failure> {
        self.schedule.stop_run(&connector.id).await;
        self.catalogue.delete(&connector.id).await?;
        self.schedule.changed(&connector.id);
        crate::secrets::forget(&connector.full_name());
        Ok(())
    }
}

/// New settings for a kept connector, whoever asked.
pub(crate) struct Replacement<'a> {
    pub(crate) connector: &'a StoredConnector,
    /// As typed; secrets that stay are not among them.
    pub(crate) settings: Value,
    /// Pointers of the secrets that are typed or taken out.
    pub(crate) touched: Vec<String>,
    pub(crate) active: Option<bool>,
    /// What the caller has found already.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Replacement<'_> {
    /// The same, to be sent.
    pub(crate) fn request(&self) -> ConnectorChange {
        let taken_out = self.touched.iter().filter(|pointer| {
            let is_there = self.settings.pointer(pointer).is_some();
            !is_there
        });
        ConnectorChange {
            unset: taken_out
                .map(|pointer| settings::name_of(pointer))
                .collect(),
            conf: self.settings.as_object().cloned(),
            replace: true,
            active: self.active,
            ..ConnectorChange::default()
        }
    }

    /// Validates and keeps them.
    ///
    /// # Errors
    /// All mistakes at once; nothing has changed then.
    pub(crate) async fn apply(
        self,
        host: &Host,
        catalogue: &Catalogue,
        plugin: &Plugin,
    ) -> Result<Change, Failure> {
        let connector = self.connector;
        let checked = self.check(host, catalogue, plugin).await?;
        let Checked {
            entry,
            touched,
            changed,
            ..
        } = checked;
        catalogue
            .replace(&connector.id, entry, touched, &changed)
            .await?;
        Ok(Change {
            connector: catalogue.connector(&connector.full_name())?,
            changed,
            shaping: checked.shaping,
            missing: checked.missing,
            warnings: checked.warnings,
        })
    }

    /// Validates them. Where the origin or the account changes, every stored secret must be typed again in the same request:
    /// what is stored was meant for another place.
    ///
    /// # Errors
    /// All mistakes at once.
    pub(crate) async fn check(
        self,
        host: &Host,
        catalogue: &Catalogue,
        plugin: &Plugin,
    ) -> Result<Checked, Failure> {
        let Self {
            connector,
            mut settings,
            touched,
            active,
            mut mistakes,
        } = self;
        let manifest = &plugin.manifest;
        let before = Definition::of_stored(connector, connector.settings.clone());
        let difference = Difference::of(
            manifest,
            &connector.settings,
            &settings,
            host.insecure_loopback(),
        );
        let untouched = || {
            connector
                .secrets
                .iter()
                .filter(|pointer| !touched.contains(pointer))
        };
        if difference.is_elsewhere {
            for pointer in untouched() {
                mistakes.push(before.mistake(
                    pointer,
                    "must be typed again in the same request: the stored one was meant for another address or account",
                ));
            }
        }
        // Only those that stay are opened, so that one that is locked for ever can be replaced.
        let mut kept = catalogue.unsealed(connector, &touched)?;
        for pointer in untouched() {
            if let Some(value) = kept.pointer(pointer) {
                settings::put(&mut settings, pointer, value.clone());
            }
        }
        settings::wipe(&mut kept);
        let mut after = Definition::of_stored(connector, settings);
        after.active = Some(active.unwrap_or(connector.active));
        // One that was imported waits for its secrets, and may be changed meanwhile.
        let secrets = match connector.active || active == Some(true) {
            true => Secrets::Required,
            false => Secrets::MayBeMissing,
        };
        let mut validated = validate(host, &after, plugin, secrets, mistakes)
            .await?
            .without_fault()?;
        // What was not typed lies sealed already.
        validated
            .entry
            .secrets
            .retain(|secret| touched.contains(&secret.pointer));
        let mut changed = difference.keys;
        changed.extend(touched.iter().map(|pointer| {
            let key = key_of(pointer);
            key.trim_start_matches("settings.").to_owned()
        }));
        let changed: Vec<String> = changed
            .iter()
            .map(|name| document::dotted("settings", name))
            .collect();
        Ok(Checked {
            entry: validated.entry,
            touched,
            changed,
            shaping: difference.shaping,
            missing: validated.missing,
            warnings: validated.warnings,
        })
    }
}

/// New settings that can be used.
pub(crate) struct Checked {
    entry: Entry,
    touched: Vec<String>,
    changed: Vec<String>,
    shaping: Vec<String>,
    missing: Vec<String>,
    warnings: Vec<Remark>,
}
