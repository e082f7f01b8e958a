//! The host's configuration, `host.toml`: where plugins lie and whose are taken, what a plugin may spend, what the network may reach.
//!
//! Everything has a default, so the file need not exist. An unknown key is a mistake, not a wish; all mistakes are reported
//! at once. Relative paths start at the file's own directory.

use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use connector_runtime::Limits;
use connector_runtime::egress::{NetworkOptions, NetworkUpstream};
use connector_runtime::limits::TABLE;
use connector_runtime::plugins::{Pin, PublicKey, Trust};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What may stand outside every table.
const TOP: [&str; 5] = [
    "plugin_directory",
    "plugin_public_key",
    "plugins",
    "limits",
    "network",
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
    everyone: Network,
    connectors: BTreeMap<String, Network>,
}

/// What one connector, or every one, may reach besides public addresses with public certificates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// Certificate authorities, PEM.
    pub(crate) ca_pem: Vec<Vec<u8>>,
    /// Networks of addresses that are not public.
    pub(crate) networks: Vec<IpNet>,
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
        config.trust.public_key = check_key(&top, "plugin_public_key", &mut mistakes);
        if let Some(section) = top.section("plugins", &mut mistakes) {
            config.trust.pins = check_pins(&section, &mut mistakes);
        }
        if let Some(section) = top.section("limits", &mut mistakes) {
            check_limits(&section, &mut config.limits, &mut mistakes);
        }
        if let Some(section) = top.section("network", &mut mistakes) {
            section.refuse_unknown(&["ca_file", "allow_networks", "connectors"], &mut mistakes);
            config.everyone = check_network(&section, &mut mistakes);
            if let Some(connectors) = section.section("connectors", &mut mistakes) {
                config.connectors = check_connectors(&connectors, &mut mistakes);
            }
        }
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(mistakes)
        }
    }

    /// What the connector `name` of `tenant` may reach: what everyone may, and what is listed for it.
    pub(crate) fn network(&self, tenant: &str, name: &str) -> Network {
        let mut network = self.everyone.clone();
        if let Some(own) = self.connectors.get(&format!("{tenant}/{name}")) {
            network.ca_pem.extend(own.ca_pem.iter().cloned());
            network.networks.extend(&own.networks);
        }
        network
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

fn check_network(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Network {
    let mut network = Network::default();
    if let Some(path) = section.text("ca_file", mistakes) {
        match read_ca(&beside(section.file, path)) {
            Ok(pem) => network.ca_pem.push(pem),
            Err(message) => mistakes.push(section.mistake("ca_file", message)),
        }
    }
    let entries: &[Value] = match section.table.get("allow_networks") {
        None => &[],
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            let message = format!(
                "must be a list like [\"10.20.0.0/16\"], and is {}",
                document::kind(other)
            );
            mistakes.push(section.mistake("allow_networks", message));
            &[]
        }
    };
    for (position, entry) in entries.iter().enumerate() {
        match entry.as_str().and_then(|text| text.parse::<IpNet>().ok()) {
            Some(entry) => network.networks.push(entry),
            None => mistakes.push(section.mistake(
                "allow_networks",
                format!(
                    "entry {} is not a network; write it like \"10.20.0.0/16\" or \"fd12::/48\"",
                    position + 1
                ),
            )),
        }
    }
    network
}

fn check_connectors(
    section: &Section<'_>,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<String, Network> {
    let mut connectors = BTreeMap::new();
    for name in section.table.keys() {
        let Some(own) = section.section(name, mistakes) else {
            continue;
        };
        if name.split('/').count() != 2 {
            let message = "must name a connector as \"tenant/name\"";
            mistakes.push(section.mistake(name, message));
        }
        own.refuse_unknown(&["ca_file", "allow_networks"], mistakes);
        connectors.insert(name.clone(), check_network(&own, mistakes));
    }
    connectors
}

/// A certificate authority file that a client accepts.
fn read_ca(path: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| {
        format!(
            "{} cannot be read ({error}); check the path and its permissions",
            path.display()
        )
    })?;
    let options = NetworkOptions {
        ca_pem: vec![pem.clone()],
        ..NetworkOptions::default()
    };
    match NetworkUpstream::new(options) {
        Ok(_) => Ok(pem),
        Err(error) => Err(format!("{}: {error}", path.display())),
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
        assert!(config.network("acme", "a").networks.is_empty());
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
            "plugin = \"x\"\n[limits]\nmemory = 1\n[network]\nproxy = \"x\"\n[network.connectors.\"acme/a\"]\nallow = []\n",
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert_eq!(
            mistakes[0],
            "/etc/host/host.toml: plugin: there is no such key; here may stand plugin_directory, plugin_public_key, plugins, limits, network"
        );
        assert!(mistakes[1].contains("limits.memory: ") && mistakes[1].contains("memory_mib"));
        assert!(mistakes[2].contains("network.proxy: "));
        assert!(mistakes[3].contains("network.connectors.\"acme/a\".allow: "));
    }

    #[test]
    fn a_network_is_allowed_to_everyone_or_to_one_connector() {
        let config = check(
            "[network]\nallow_networks = [\"10.0.0.0/8\"]\n[network.connectors.\"acme/scanner\"]\nallow_networks = [\"192.168.7.0/24\"]\n",
        )
        .unwrap();
        assert_eq!(config.network("acme", "scanner").networks.len(), 2);
        assert_eq!(config.network("acme", "other").networks.len(), 1);
        let mistakes =
            check("[network]\nallow_networks = [\"10.0.0.0/8\", \"ten\"]\n").unwrap_err();
        assert!(mistakes[0].contains("network.allow_networks: entry 2 is not a network"));
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
    fn paths_start_at_the_file() {
        let config = check("plugin_directory = \"lib\"\n").unwrap();
        assert_eq!(config.plugin_directory, Some("/etc/host/lib".into()));
        let config = check("plugin_directory = \"/opt/lib\"\n").unwrap();
        assert_eq!(config.plugin_directory, Some("/opt/lib".into()));
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("host.toml");
        std::fs::write(&file, "[network]\nca_file = \"ca.pem\"\n").unwrap();
        let missing = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(missing.contains("network.ca_file: ") && missing.contains("ca.pem cannot be read"));
        std::fs::write(directory.path().join("ca.pem"), "no certificate").unwrap();
        let empty = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(empty.contains("it must be PEM"), "{empty}");
    }
}
