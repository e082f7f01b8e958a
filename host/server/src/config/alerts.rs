//! The `[alerts]` part of the configuration: after which times somebody is told, and who.
//!
//! ```toml
//! [alerts]
//! no_data_hours = 24
//! behind_intervals = 3
//! consumer_failing_minutes = 10
//! consumer_lag_blocks = 100
//! consumer_lag_minutes = 60
//! [alerts.tenants.acme]
//! no_data_hours = 48
//! [alerts.connectors."acme/scanner-1"]
//! no_data_hours = 0                       # never
//! [[alerts.webhooks]]
//! name = "on-call"
//! url = "https://hooks.example.test/alerts"
//! secret = { env = "WEBHOOK_SECRET" }     # or { file = "PATH" }
//! tenants = ["acme"]                      # left out: every tenant
//! kinds = ["failing", "login-refused"]    # left out: every kind
//! ```

use super::network::{self, Network, REACH};
use crate::alerts::rules::Rules;
use crate::alerts::webhook::{Scope, Webhook};
use crate::alerts::{Kind, message};
use crate::document::{self, Section};
use crate::failure::Mistake;
use connector_runtime::egress::{NetworkError, NetworkUpstream, Origin};
use connector_runtime::settings::check_name;
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::Value;
use url::Url;
use zeroize::Zeroizing;

/// More than anybody waits: a year.
const MOST_HOURS: u64 = 8_760;
const MOST_INTERVALS: u64 = 1_000;
const MOST_MINUTES: u64 = MOST_HOURS * 60;
const MOST_BLOCKS: u64 = 1_000_000_000;
/// What a webhook may have besides the keys of its network.
const KEYS: [&str; 5] = ["name", "url", "secret", "tenants", "kinds"];

/// The section, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerts {
    /// After which times somebody is told.
    pub(crate) rules: Rules,
    destinations: Vec<Destination>,
}

#[derive(Clone)]
struct Destination {
    name: String,
    scope: Scope,
    url: Url,
    origin: Origin,
    key: hmac::Key,
    network: Network,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its address may hold a token.
        f.debug_struct("Destination")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Alerts {
    /// The destinations, each with a client of its own.
    ///
    /// # Errors
    /// If a client cannot be made.
    pub(crate) fn webhooks(&self) -> Result<Vec<Webhook>, NetworkError> {
        let webhook = |destination: &Destination| {
            let Destination { name, network, .. } = destination;
            let remedy = format!(
                "list its network in `allow_networks` of the webhook `{name}` under [[alerts.webhooks]] in host.toml"
            );
            let upstream = NetworkUpstream::new(network.reach(remedy))?;
            Ok(Webhook::new(
                name.clone(),
                destination.scope.clone(),
                destination.url.clone(),
                destination.origin.clone(),
                destination.key.clone(),
                Arc::new(upstream),
            ))
        };
        self.destinations.iter().map(webhook).collect()
    }

    pub(super) fn check(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let known = [
            "no_data_hours",
            "behind_intervals",
            "consumer_failing_minutes",
            "consumer_lag_blocks",
            "consumer_lag_minutes",
            "tenants",
            "connectors",
            "webhooks",
        ];
        section.refuse_unknown(&known, mistakes);
        let mut rules = Rules::default();
        let hours = section.whole("no_data_hours", 0, MOST_HOURS, mistakes);
        rules.no_data_hours = hours.unwrap_or(rules.no_data_hours);
        let intervals = section.whole("behind_intervals", 0, MOST_INTERVALS, mistakes);
        rules.behind_intervals = intervals.unwrap_or(rules.behind_intervals);
        for (key, most, rule) in [
            (
                "consumer_failing_minutes",
                MOST_MINUTES,
                &mut rules.consumer_failing_minutes,
            ),
            (
                "consumer_lag_blocks",
                MOST_BLOCKS,
                &mut rules.consumer_lag_blocks,
            ),
            (
                "consumer_lag_minutes",
                MOST_MINUTES,
                &mut rules.consumer_lag_minutes,
            ),
        ] {
            *rule = section.whole(key, 0, most, mistakes).unwrap_or(*rule);
        }
        if let Some(tenants) = section.section("tenants", mistakes) {
            rules.tenants = hours_by_name(&tenants, mistakes);
        }
        if let Some(connectors) = section.section("connectors", mistakes) {
            for name in connectors.table.keys() {
                if name.split('/').count() != 2 {
                    let message = "must name a connector as \"tenant/name\"";
                    mistakes.push(connectors.mistake(name, message));
                }
            }
            rules.connectors = hours_by_name(&connectors, mistakes);
        }
        Self {
            rules,
            destinations: destinations(section, mistakes),
        }
    }
}

fn hours_by_name(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for name in section.table.keys() {
        let Some(own) = section.section(name, mistakes) else {
            continue;
        };
        own.refuse_unknown(&["no_data_hours"], mistakes);
        if let Some(hours) = own.whole("no_data_hours", 0, MOST_HOURS, mistakes) {
            all.insert(name.clone(), hours);
        }
    }
    all
}

fn destinations(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Vec<Destination> {
    let entries: &[Value] = match section.table.get("webhooks") {
        None => &[],
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            let message = format!(
                "must be written as [[alerts.webhooks]], and is {}",
                document::kind(other)
            );
            mistakes.push(section.mistake("webhooks", message));
            &[]
        }
    };
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let Value::Table(table) = entry else {
            let message = format!("entry {} must be a table", position + 1);
            mistakes.push(section.mistake("webhooks", message));
            continue;
        };
        let own = Section {
            file: section.file,
            path: format!("{}.webhooks[{}]", section.path, position + 1),
            table,
        };
        let found = mistakes.len();
        let destination = destination(&own, mistakes);
        if destination.is_none() && mistakes.len() == found {
            mistakes.push(Mistake::new(section.file, &own.path, "cannot be used"));
        }
        if let Some(destination) = destination {
            if !names.insert(destination.name.clone()) {
                let message = "is the name of another webhook, too; each needs its own";
                mistakes.push(own.mistake("name", message));
            }
            all.push(destination);
        }
    }
    all
}

fn destination(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Destination> {
    let network = Network::check_only(section, &[&KEYS[..], &REACH].concat(), mistakes);
    let name = required(section, "name", mistakes).and_then(|name| match check_name(name) {
        Ok(()) => Some(name.to_owned()),
        Err(message) => {
            mistakes.push(section.mistake("name", message));
            None
        }
    });
    let address = required(section, "url", mistakes).and_then(|url| {
        network::address(url)
            .map_err(|message| mistakes.push(section.mistake("url", message)))
            .ok()
    });
    let key = secret(section)
        .and_then(|secret| message::key(&secret))
        .map_err(|message| mistakes.push(section.mistake("secret", message)))
        .ok();
    let tenants = section.texts("tenants", mistakes);
    let kinds = section.texts("kinds", mistakes).map(|names| {
        let mut kinds = Vec::new();
        for name in names {
            match Kind::named(&name) {
                Some(kind) => kinds.push(kind),
                None => {
                    let known = Kind::ALL.map(Kind::as_str).join(", ");
                    let message = format!("there is no kind `{name}`; there is {known}");
                    mistakes.push(section.mistake("kinds", message));
                }
            }
        }
        kinds
    });
    let (url, origin) = address?;
    Some(Destination {
        name: name?,
        scope: Scope { tenants, kinds },
        url,
        origin,
        key: key?,
        network,
    })
}

pub(super) fn required<'a>(
    section: &Section<'a>,
    key: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<&'a str> {
    if !section.table.contains_key(key) {
        mistakes.push(section.mistake(key, "is required"));
    }
    section.text(key, mistakes)
}

/// What `secret` refers to.
fn secret(section: &Section<'_>) -> Result<Zeroizing<String>, String> {
    secret_at(section, "secret")
}

/// What a key refers to. The text itself may not stand there: who may read the configuration need not know it.
pub(super) fn secret_at(section: &Section<'_>, key: &str) -> Result<Zeroizing<String>, String> {
    const SHAPE: &str = "must be { env = \"NAME\" } or { file = \"PATH\" }, one of the two";
    let Some(value) = section.table.get(key) else {
        return Err("is required; write { env = \"NAME\" } or { file = \"PATH\" }".into());
    };
    let table = value.as_table().filter(|table| table.len() == 1);
    let table = table.ok_or(SHAPE)?;
    match (table.get("env"), table.get("file")) {
        (Some(Value::String(name)), None) => match std::env::var(name) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(_) => Err(format!(
                "the environment variable {name} is not set, or not valid UTF-8; set it"
            )),
        },
        (None, Some(Value::String(path))) => network::secret_file(section.file, path),
        _ => Err(SHAPE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check(directory: &Path, text: &str) -> Result<Alerts, Vec<String>> {
        let file = directory.join("host.toml");
        let table = document::parse(&file, text).unwrap();
        let mut mistakes = Vec::new();
        let top = Section::top(&file, &table);
        let section = top.section("alerts", &mut mistakes).unwrap();
        let alerts = Alerts::check(&section, &mut mistakes);
        match mistakes.is_empty() {
            true => Ok(alerts),
            false => Err(mistakes
                .iter()
                .map(|mistake| mistake.to_string().split_once(": ").unwrap().1.to_owned())
                .collect()),
        }
    }

    #[cfg(unix)]
    fn secret_in(directory: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = directory.join("secret");
        std::fs::write(&path, "hunter2-hunter2-hunter2-hunter2\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    const WEBHOOK: &str = "[[alerts.webhooks]]\nname = \"on-call\"\nurl = \"https://hooks.example.test/a?token=t0ken\"\nsecret = { file = \"secret\" }\n";

    #[cfg(unix)]
    #[test]
    fn times_and_destinations_are_read() {
        let directory = tempfile::tempdir().unwrap();
        secret_in(directory.path(), 0o600);
        let text = format!(
            "[alerts]\nno_data_hours = 12\n[alerts.tenants.acme]\nno_data_hours = 48\n[alerts.connectors.\"acme/a\"]\nno_data_hours = 0\n{WEBHOOK}tenants = [\"acme\"]\nkinds = [\"failing\"]\nallow_networks = [\"10.0.0.0/8\"]\n"
        );
        let alerts = check(directory.path(), &text).unwrap();
        assert_eq!(
            (alerts.rules.no_data_hours, alerts.rules.behind_intervals),
            (12, 3)
        );
        assert_eq!(alerts.rules.tenants["acme"], 48);
        assert_eq!(alerts.rules.connectors["acme/a"], 0);
        let shown = format!("{alerts:?}");
        assert!(
            !shown.contains("t0ken") && !shown.contains("hunter2"),
            "{shown}"
        );
        let webhooks = alerts.webhooks().unwrap();
        assert_eq!(webhooks[0].host(), "hooks.example.test");
        let scope = &webhooks[0].scope;
        assert!(scope.covers(Some("acme"), "failing"));
        assert!(!scope.covers(Some("other"), "failing") && !scope.covers(Some("acme"), "behind"));
    }

    #[cfg(unix)]
    #[test]
    fn every_mistake_is_named_and_no_secret_is_quoted() {
        let directory = tempfile::tempdir().unwrap();
        secret_in(directory.path(), 0o644);
        let text = format!(
            "[alerts]\nno_data_hours = -1\nhours = 1\n[alerts.connectors.a]\n{WEBHOOK}{}{}",
            "[[alerts.webhooks]]\nname = \"b\"\nurl = \"http://192.0.2.1/\"\nsecret = \"hunter2-hunter2-hunter2-hunter2\"\nkinds = [\"none\"]\n",
            "[[alerts.webhooks]]\nurl = \"https://u:p4ss@hooks.example.test/\"\nconnections = 3\n",
        );
        let mistakes = check(directory.path(), &text).unwrap_err();
        let all = mistakes.join("\n");
        for expected in [
            "alerts.hours: there is no such key",
            "alerts.no_data_hours: must be a whole number from 0 to 8760",
            "alerts.connectors.a: must name a connector",
            "webhooks[1].secret: ",
            "chmod 600",
            "webhooks[2].url: would send",
            "webhooks[2].secret: must be { env",
            "webhooks[2].kinds: there is no kind `none`; there is no-data",
            "webhooks[3].connections: there is no such key",
            "webhooks[3].name: is required",
            "webhooks[3].url: must not hold a user name or password",
            "webhooks[3].secret: is required",
        ] {
            assert!(all.contains(expected), "{expected}\nin\n{all}");
        }
        assert!(!all.contains("hunter2") && !all.contains("p4ss"), "{all}");
        assert_eq!(mistakes.len(), 11, "{all}");
    }

    #[cfg(unix)]
    #[test]
    fn two_destinations_of_one_name_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        secret_in(directory.path(), 0o600);
        let text = format!("[alerts]\n{WEBHOOK}{WEBHOOK}");
        let mistakes = check(directory.path(), &text).unwrap_err();
        assert_eq!(
            mistakes,
            ["alerts.webhooks[2].name: is the name of another webhook, too; each needs its own"]
        );
    }
}
