//! The host's configuration, `host.toml`: where plugins lie, what a plugin may spend, what the network may reach.
//!
//! Everything has a default, so the file need not exist. An unknown key is a mistake, not a wish; all mistakes are reported
//! at once. Relative paths start at the file's own directory.

mod network;

pub(crate) use network::Network;

use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use connector_runtime::Limits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Table;

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
            config.everyone = Network::check(&section, &["connectors"], &mut mistakes);
            if let Some(connectors) = section.section("connectors", &mut mistakes) {
                config.connectors = network::check_connectors(&connectors, &mut mistakes);
            }
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

/// A limit that an operator can set.
struct LimitKey {
    name: &'static str,
    least: u64,
    most: u64,
    slot: fn(&mut Limits) -> Slot<'_>,
}

/// Where a limit goes, and the unit in which it is set.
enum Slot<'a> {
    /// MiB.
    Bytes(&'a mut u64),
    /// MiB, of memory.
    Size(&'a mut usize),
    /// Seconds.
    Time(&'a mut Duration),
    /// A plain number.
    Number(&'a mut u32),
}

use Slot::{Bytes, Number, Size, Time};

impl Slot<'_> {
    fn set(self, value: u64) {
        match self {
            Bytes(bytes) => *bytes = value << 20,
            Size(size) => *size = usize::try_from(value << 20).unwrap_or(usize::MAX),
            Time(time) => *time = Duration::from_secs(value),
            Number(number) => *number = u32::try_from(value).unwrap_or(u32::MAX),
        }
    }
}

const fn limit(
    name: &'static str,
    least: u64,
    most: u64,
    slot: fn(&mut Limits) -> Slot<'_>,
) -> LimitKey {
    LimitKey {
        name,
        least,
        most,
        slot,
    }
}

const LIMITS: [LimitKey; 15] = [
    limit("component_mib", 1, 256, |l| Bytes(&mut l.component_bytes)),
    limit("memory_mib", 1, 4_096, |l| Size(&mut l.memory_bytes)),
    limit("call_cpu_seconds", 1, 3_600, |l| Time(&mut l.call_cpu)),
    limit("call_seconds", 1, 7_200, |l| Time(&mut l.call_wall)),
    limit("requests_per_call", 1, 1_000, |l| Number(&mut l.requests)),
    limit("response_mib", 1, 1 << 20, |l| Bytes(&mut l.response_bytes)),
    limit("connect_seconds", 1, 300, |l| Time(&mut l.connect_timeout)),
    limit("first_byte_seconds", 1, 3_600, |l| {
        Time(&mut l.first_byte_timeout)
    }),
    limit("idle_seconds", 1, 3_600, |l| Time(&mut l.idle_timeout)),
    limit("response_seconds", 1, 86_400, |l| {
        Time(&mut l.total_timeout)
    }),
    limit("item_mib", 1, 32, |l| Size(&mut l.item_bytes)),
    limit("batch_items", 1, 100_000, |l| Number(&mut l.batch_items)),
    limit("batch_mib", 1, 256, |l| Bytes(&mut l.batch_bytes)),
    limit("cache_mib", 1, 100 << 10, |l| Bytes(&mut l.cache_bytes)),
    limit("log_lines_per_call", 0, 10_000, |l| {
        Number(&mut l.log_lines)
    }),
];

fn check_limits(section: &Section<'_>, limits: &mut Limits, mistakes: &mut Vec<Mistake>) {
    let names: Vec<_> = LIMITS.iter().map(|key| key.name).collect();
    section.refuse_unknown(&names, mistakes);
    for key in &LIMITS {
        let Some(value) = section.table.get(key.name) else {
            continue;
        };
        let whole = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        match whole.filter(|number| (key.least..=key.most).contains(number)) {
            Some(number) => (key.slot)(limits).set(number),
            None => {
                let message = format!("must be a whole number from {} to {}", key.least, key.most);
                mistakes.push(section.mistake(key.name, message));
            }
        }
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
        assert_eq!(config.limits.call_cpu, Duration::from_secs(3));
        assert_eq!(config.limits.response_bytes, 2 << 20);
        assert_eq!(config.limits.item_bytes, Limits::default().item_bytes);
    }

    #[test]
    fn every_limit_takes_its_bounds_and_nothing_beyond() {
        for key in &LIMITS {
            for (value, fits) in [
                (i64::try_from(key.least).unwrap(), true),
                (i64::try_from(key.most).unwrap(), true),
                (i64::try_from(key.most).unwrap() + 1, false),
                (i64::try_from(key.least).unwrap() - 1, false),
            ] {
                let checked = check(&format!("[limits]\n{} = {value}\n", key.name));
                assert_eq!(checked.is_ok(), fits, "{} = {value}", key.name);
            }
        }
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
            "/etc/host/host.toml: plugin: there is no such key; here may stand plugins, limits, network"
        );
        assert!(mistakes[1].contains("limits.memory: ") && mistakes[1].contains("memory_mib"));
        assert!(mistakes[2].contains("network.proxies: "));
        assert!(mistakes[3].contains("network.connectors.\"acme/a\".allow: "));
    }

    #[test]
    fn paths_start_at_the_file() {
        let config = check("plugins = \"lib\"\n").unwrap();
        assert_eq!(config.plugins, Some("/etc/host/lib".into()));
        let config = check("plugins = \"/opt/lib\"\n").unwrap();
        assert_eq!(config.plugins, Some("/opt/lib".into()));
    }
}
