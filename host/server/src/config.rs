//! The host's configuration, `host.toml`: where plugins lie and whose are taken, what a plugin may spend, what the network
//! may reach, which device this is and how it runs its connectors, how much the journal keeps, who is told of alerts, where
//! traces and records go, and how long records can be searched.
//!
//! Everything has a default, so the file need not exist. An unknown key is a mistake, not a wish; all mistakes are reported
//! at once. Relative paths start at the file's own directory.

pub(crate) mod alerts;
mod forwarders;
mod journal;
mod network;
mod schedule;
pub(crate) mod search;
pub(crate) mod telemetry;

pub(crate) use alerts::Alerts;
pub(crate) use journal::JournalOptions;
pub(crate) use network::Network;
pub(crate) use search::Search;
pub(crate) use telemetry::Telemetry;

use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use crate::forwarders::Forwarder;
use crate::schedule::ScheduleOptions;
use connector_runtime::Limits;
use connector_runtime::limits::TABLE;
use connector_runtime::plugins::{Pin, PublicKey, Trust};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Table;

/// What may stand outside every table.
const TOP: [&str; 12] = [
    "plugin_directory",
    "plugin_public_key",
    "plugins",
    "limits",
    "network",
    "device",
    "schedule",
    "journal",
    "alerts",
    "telemetry",
    "forwarders",
    "search",
];

/// The configuration, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// Where plugins lie, if the file says so.
    pub(crate) plugin_directory: Option<PathBuf>,
    /// Whose plugins are taken.
    pub(crate) trust: Trust,
    /// What a plugin may spend.
    pub(crate) limits: Limits,
    /// Which device this host is, and how it runs its connectors.
    pub(crate) schedule: ScheduleOptions,
    /// How much the journal keeps.
    pub(crate) journal: JournalOptions,
    /// When and whom to tell that something is wrong.
    pub(crate) alerts: Alerts,
    /// Where traces go.
    pub(crate) telemetry: Telemetry,
    /// Where records are sent on to.
    pub(crate) forwarders: Vec<Forwarder>,
    /// Whether records are indexed, and how long.
    pub(crate) search: Search,
    everyone: Network,
    connectors: BTreeMap<String, Network>,
}

impl Config {
    /// Reads the file, or takes the defaults if there is none.
    ///
    /// # Errors
    /// [`Failure::Mistakes`], all of them.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let table = document::read(file).map_err(|mistake| Failure::Mistakes(vec![mistake]))?;
        Self::check(file, &table).map_err(Failure::Mistakes)
    }

    fn check(file: &Path, table: &Table) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let top = Section::top(file, table);
        top.refuse_unknown(&TOP, &mut mistakes);
        let mut config = Self {
            plugin_directory: top
                .text("plugin_directory", &mut mistakes)
                .map(|path| beside(file, path)),
            ..Self::default()
        };
        config.schedule = schedule::check(&top, &mut mistakes);
        config.trust.public_key = check_key(&top, "plugin_public_key", &mut mistakes);
        if let Some(section) = top.section("plugins", &mut mistakes) {
            config.trust.pins = check_pins(&section, &mut mistakes);
        }
        if let Some(section) = top.section("limits", &mut mistakes) {
            check_limits(&section, &mut config.limits, &mut mistakes);
        }
        if let Some(section) = top.section("network", &mut mistakes) {
            config.everyone = Network::check(&section, &["connectors"], &mut mistakes);
            if let Some(connectors) = section.section("connectors", &mut mistakes) {
                config.connectors = network::check_connectors(&connectors, &mut mistakes);
            }
        }
        if let Some(section) = top.section("journal", &mut mistakes) {
            config.journal = JournalOptions::check(&section, &mut mistakes);
        }
        if let Some(section) = top.section("alerts", &mut mistakes) {
            config.alerts = Alerts::check(&section, &mut mistakes);
        }
        if let Some(section) = top.section("telemetry", &mut mistakes) {
            config.telemetry = Telemetry::check(&section, &mut mistakes);
        }
        config.forwarders = forwarders::check(&top, &mut mistakes);
        if let Some(section) = top.section("search", &mut mistakes) {
            config.search = Search::check(&section, &mut mistakes);
        }
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(mistakes)
        }
    }

    /// The network of the connector `name` of `tenant`: everyone's, and what stands for it alone.
    pub(crate) fn network(&self, tenant: &str, name: &str) -> Network {
        match self.connectors.get(&format!("{tenant}/{name}")) {
            Some(own) => self.everyone.with(own),
            None => self.everyone.clone(),
        }
    }
}

fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

fn check_pins(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, Pin> {
    let mut pins = BTreeMap::new();
    for id in section.table.keys() {
        let Some(own) = section.section(id, mistakes) else {
            continue;
        };
        own.refuse_unknown(&["sha256", "public_key"], mistakes);
        let digest = own.text("sha256", mistakes).map(str::to_ascii_lowercase);
        let is_digest =
            |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest.as_ref().is_some_and(|text| !is_digest(text)) {
            let message = "must be 64 hexadecimal digits, as `plugins list --json` shows them";
            mistakes.push(own.mistake("sha256", message));
        }
        if own.table.is_empty() {
            let message = "pins nothing; write sha256 = \"...\" or public_key = \"RW...\" there";
            mistakes.push(section.mistake(id, message));
        }
        let public_key = check_key(&own, "public_key", mistakes);
        pins.insert(
            id.clone(),
            Pin {
                sha256: digest,
                public_key,
            },
        );
    }
    pins
}

fn check_key(section: &Section<'_>, key: &str, mistakes: &mut Vec<Mistake>) -> Option<PublicKey> {
    match PublicKey::parse(section.text(key, mistakes)?) {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            mistakes.push(section.mistake(key, message));
            None
        }
    }
}

fn check_limits(section: &Section<'_>, limits: &mut Limits, mistakes: &mut Vec<Mistake>) {
    let names: Vec<_> = TABLE.iter().map(|row| row.key).collect();
    section.refuse_unknown(&names, mistakes);
    for row in TABLE {
        let Some(value) = section.table.get(row.key) else {
            continue;
        };
        let whole = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        match whole.filter(|number| (row.least..=row.most).contains(number)) {
            Some(number) => row.set(limits, number),
            None => {
                let message = format!("must be a whole number from {} to {}", row.least, row.most);
                mistakes.push(section.mistake(row.key, message));
            }
        }
    }
    for (key, message) in limits.contradictions() {
        mistakes.push(section.mistake(key, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config, Vec<String>> {
        let file = Path::new("/etc/host/host.toml");
        let table = document::parse(file, text).unwrap();
        Config::check(file, &table)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_a_file_everything_has_its_default() {
        let config = Config::load(None).unwrap();
        assert_eq!(config.limits.memory_bytes, 64 << 20);
        assert!(config.plugin_directory.is_none());
        let limits = config.network("acme", "a").limits(&config.limits);
        assert_eq!(
            (limits.connections, limits.idle_timeout.as_secs()),
            (8, 120)
        );
    }

    #[test]
    fn limits_have_human_names_and_reach_the_runtime() {
        let config =
            check("[limits]\nmemory_mib = 8\ncall_cpu_seconds = 3\nresponse_mib = 2\n").unwrap();
        assert_eq!(config.limits.memory_bytes, 8 << 20);
        assert_eq!(config.limits.call_cpu.as_secs(), 3);
        assert_eq!(config.limits.response_bytes, 2 << 20);
        assert_eq!(config.limits.item_bytes, Limits::default().item_bytes);
    }

    #[test]
    fn every_limit_takes_its_bounds_and_nothing_beyond() {
        for row in TABLE {
            for (value, fits) in [
                (i64::try_from(row.least).unwrap(), true),
                (i64::try_from(row.most).unwrap(), true),
                (i64::try_from(row.most).unwrap() + 1, false),
                (i64::try_from(row.least).unwrap() - 1, false),
            ] {
                let checked = check(&format!("[limits]\n{} = {value}\n", row.key));
                // Two that contradict each other are another mistake than one out of its bounds.
                let in_bounds = checked.err().is_none_or(|mistakes| {
                    mistakes.iter().all(|text| !text.contains("whole number"))
                });
                assert_eq!(in_bounds, fits, "{} = {value}", row.key);
            }
        }
        let mistakes = check("[limits]\nitem_mib = 32\nhostcall_mib = 8\n").unwrap_err();
        assert_eq!(
            mistakes,
            ["/etc/host/host.toml: limits.hostcall_mib: must not be less than item_mib"]
        );
        let mistakes = check("[limits]\nmemory_mib = \"64\"\n").unwrap_err();
        assert_eq!(
            mistakes,
            ["/etc/host/host.toml: limits.memory_mib: must be a whole number from 1 to 4096"]
        );
    }

    #[test]
    fn unknown_keys_are_refused_all_at_once_with_what_may_stand_there() {
        let mistakes = check(
            "plugin = \"x\"\n[limits]\nmemory = 1\n[network]\nproxies = \"x\"\n[network.connectors.\"acme/a\"]\nallow = []\n",
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert_eq!(
            mistakes[0],
            "/etc/host/host.toml: plugin: there is no such key; here may stand plugin_directory, plugin_public_key, plugins, limits, network, device, schedule, journal, alerts, telemetry, forwarders, search"
        );
        assert!(mistakes[1].contains("limits.memory: ") && mistakes[1].contains("memory_mib"));
        assert!(mistakes[2].contains("network.proxies: "));
        assert!(mistakes[3].contains("network.connectors.\"acme/a\".allow: "));
    }

    #[test]
    fn the_schedule_has_defaults_and_bounds() {
        let config = check("device = \"branch\"\n[schedule]\njitter_seconds = 20\n").unwrap();
        assert_eq!(config.schedule.device, "branch");
        assert_eq!(config.schedule.jitter.as_secs(), 20);
        assert_eq!(config.schedule.concurrent_runs, 64);
        let mistakes =
            check("device = 1\n[schedule]\nconcurrent_runs = 0\njitter = 1\n").unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].contains("device: must be a text"));
        assert!(mistakes[1].contains("schedule.jitter: there is no such key"));
        assert!(mistakes[2].contains("concurrent_runs: must be a whole number from 1 to 4096"));
    }

    #[test]
    fn a_plugin_is_pinned_by_digest_or_key_and_mistakes_are_named() {
        let key = "RWQBFsyDO+xxUa9f+y96LpA11w23siUTEpCZw/Gvmqs2WCaeSnnWvHSi";
        let digest = "AB".repeat(32);
        let config = check(&format!(
            "plugin_public_key = \"{key}\"\n[plugins.acme-scanner]\nsha256 = \"{digest}\"\npublic_key = \"{key}\"\n"
        ))
        .unwrap();
        assert_eq!(config.trust.public_key, PublicKey::parse(key).ok());
        let pin = &config.trust.pins["acme-scanner"];
        assert_eq!(pin.sha256, Some(digest.to_lowercase()));
        assert!(pin.public_key.is_some());
        let mistakes = check(
            "plugin_public_key = \"RW\"\n[plugins.a]\nsha256 = \"12\"\nkey = 1\n[plugins.b]\n",
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes[0].contains("plugin_public_key: is not a public key of minisign"));
        assert!(mistakes[1].contains("plugins.a.key: there is no such key"));
        assert!(mistakes[2].contains("plugins.a.sha256: must be 64 hexadecimal digits"));
        assert!(mistakes[3].contains("plugins.b: pins nothing"));
        // The directory had this name once.
        let mistakes = check("plugins = \"/opt/connectors\"\n").unwrap_err();
        assert!(
            mistakes[0].contains("plugins: must be a table"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn the_search_index_has_a_retention_for_each_index() {
        let config = check("").unwrap();
        assert!(config.search.enabled);
        assert_eq!(config.search.retention.scans.days, 30);
        assert_eq!(config.search.retention.scans.bytes, None);
        let text =
            "[search]\nenabled = false\n[search.scans]\nretention_days = 90\nretention_gib = 2\n";
        let config = check(text).unwrap();
        assert!(!config.search.enabled);
        assert_eq!(config.search.retention.scans.days, 90);
        assert_eq!(config.search.retention.scans.bytes, Some(2 << 30));
        assert_eq!(config.search.retention.syslog.days, 30);
        let text = "[search]\nenabled = 1\n[search.assets]\n[search.syslog]\nretention_days = 0\ndays = 1\n";
        let mistakes = check(text).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes[0].contains("search.assets: there is no such key"));
        assert!(mistakes[1].contains("search.enabled: must be true or false"));
        assert!(mistakes[2].contains("search.syslog.days: there is no such key"));
        assert!(
            mistakes[3].contains("search.syslog.retention_days: must be a whole number from 1")
        );
    }

    #[test]
    fn paths_start_at_the_file() {
        let config = check("plugin_directory = \"lib\"\n").unwrap();
        assert_eq!(config.plugin_directory, Some("/etc/host/lib".into()));
        let config = check("plugin_directory = \"/opt/lib\"\n").unwrap();
        assert_eq!(config.plugin_directory, Some("/opt/lib".into()));
    }
}
