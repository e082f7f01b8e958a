//! The host's configuration, `host.toml`: where plugins lie, what a plugin may spend, what the network may reach.
//!
//! Everything has a default, so the file need not exist. An unknown key is a mistake, not a wish; all mistakes are reported
//! at once. Relative paths start at the file's own directory.

use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use connector_runtime::Limits;
use connector_runtime::egress::{NetworkOptions, NetworkUpstream};
use connector_runtime::limits::TABLE;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The configuration, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// Where plugins lie, if the file says so.
    pub(crate) plugins: Option<PathBuf>,
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
        top.refuse_unknown(&["plugins", "limits", "network"], &mut mistakes);
        let mut config = Self {
            plugins: top
                .text("plugins", &mut mistakes)
                .map(|path| beside(file, path)),
            ..Self::default()
        };
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
        assert!(config.plugins.is_none());
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
            "/etc/host/host.toml: plugin: there is no such key; here may stand plugins, limits, network"
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
    fn paths_start_at_the_file() {
        let config = check("plugins = \"lib\"\n").unwrap();
        assert_eq!(config.plugins, Some("/etc/host/lib".into()));
        let config = check("plugins = \"/opt/lib\"\n").unwrap();
        assert_eq!(config.plugins, Some("/opt/lib".into()));
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
