//! The `[network]` part of the configuration: what connectors may reach, by which way, and how long that may take.
//!
//! The keys stand for everyone, or under `[network.connectors."tenant/name"]` for one connector. There, networks and
//! authorities come on top of everyone's; anything else replaces what is everyone's. Every file is read and tried when the
//! configuration is, so that a mistake shows before the first run. No `Debug` shows a key or a password.

use super::beside;
use crate::document::{self, Section};
use crate::failure::Mistake;
use connector_runtime::Limits;
use connector_runtime::egress::{
    AddressPolicy, ClientIdentity, Credential, NetworkOptions, NetworkUpstream, Origin,
    OriginError, Proxy, Secret,
};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;
use toml::Value;
use url::Url;
use zeroize::Zeroizing;

/// Larger than any certificate, key or password.
const LARGEST_FILE: u64 = 1 << 20;
/// In place of a proxy's address: for one connector, none although everyone has one.
const NO_PROXY: &str = "none";

/// The network of one connector, or of every one. What is `None` has its default.
#[derive(Clone, Default)]
pub(crate) struct Network {
    ca_pem: Vec<Vec<u8>>,
    networks: Vec<IpNet>,
    identity: Option<ClientIdentity>,
    /// `Some(None)`: expressly none.
    proxy: Option<Option<Proxy>>,
    connections: Option<u32>,
    uncovered_calls: Option<u32>,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    response: Option<Duration>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("networks", &self.networks)
            .finish_non_exhaustive()
    }
}

/// A whole number with its bounds.
struct NumberKey {
    name: &'static str,
    most: u64,
    set: fn(&mut Network, u64),
}

const NUMBERS: [NumberKey; 6] = [
    NumberKey {
        name: "connections",
        most: 64,
        set: |network, value| network.connections = u32::try_from(value).ok(),
    },
    NumberKey {
        name: "uncovered_calls_per_hour",
        most: 100_000,
        set: |network, value| network.uncovered_calls = u32::try_from(value).ok(),
    },
    NumberKey {
        name: "connect_seconds",
        most: 300,
        set: |network, value| network.connect = Some(Duration::from_secs(value)),
    },
    NumberKey {
        name: "first_byte_seconds",
        most: 3_600,
        set: |network, value| network.first_byte = Some(Duration::from_secs(value)),
    },
    NumberKey {
        name: "idle_seconds",
        most: 3_600,
        set: |network, value| network.idle = Some(Duration::from_secs(value)),
    },
    NumberKey {
        name: "response_seconds",
        most: 86_400,
        set: |network, value| network.response = Some(Duration::from_secs(value)),
    },
];

/// What stands for any destination; the rest is for connectors.
pub(super) const REACH: [&str; 8] = [
    "ca_file",
    "allow_networks",
    "client_certificate",
    "client_key",
    "proxy",
    "proxy_username",
    "proxy_password_file",
    "connect_seconds",
];

const KEYS: [&str; 13] = [
    "ca_file",
    "allow_networks",
    "client_certificate",
    "client_key",
    "proxy",
    "proxy_username",
    "proxy_password_file",
    "connections",
    "uncovered_calls_per_hour",
    "connect_seconds",
    "first_byte_seconds",
    "idle_seconds",
    "response_seconds",
];

impl Network {
    /// Reads one section. `besides` are keys that may stand in it, too.
    pub(super) fn check(
        section: &Section<'_>,
        besides: &[&str],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        Self::check_only(section, &[&KEYS, besides].concat(), mistakes)
    }

    /// Reads one section, in which these keys may stand and no others.
    pub(super) fn check_only(
        section: &Section<'_>,
        known: &[&str],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        section.refuse_unknown(known, mistakes);
        let mut network = Self {
            networks: networks(section, mistakes),
            ..Self::default()
        };
        if let Some(pem) = file(section, "ca_file", Readers::Anyone, mistakes) {
            network.ca_pem.push(pem);
        }
        network.identity = identity(section, mistakes);
        network.proxy = proxy(section, mistakes);
        for key in NUMBERS.iter().filter(|key| known.contains(&key.name)) {
            if let Some(number) = section.whole(key.name, 1, key.most, mistakes) {
                (key.set)(&mut network, number);
            }
        }
        network
    }

    /// This one, with what stands in `own` for one connector.
    pub(super) fn with(&self, own: &Self) -> Self {
        Self {
            ca_pem: [self.ca_pem.as_slice(), &own.ca_pem].concat(),
            networks: [self.networks.as_slice(), &own.networks].concat(),
            identity: own.identity.clone().or_else(|| self.identity.clone()),
            proxy: own.proxy.clone().or_else(|| self.proxy.clone()),
            connections: own.connections.or(self.connections),
            uncovered_calls: own.uncovered_calls.or(self.uncovered_calls),
            connect: own.connect.or(self.connect),
            first_byte: own.first_byte.or(self.first_byte),
            idle: own.idle.or(self.idle),
            response: own.response.or(self.response),
        }
    }

    /// The limits of a connector: the host's, with the times and connections of this network.
    pub(crate) fn limits(&self, host: &Limits) -> Limits {
        let mut limits = host.clone();
        limits.connections = self.connections.unwrap_or(limits.connections);
        limits.uncovered_calls = self.uncovered_calls.unwrap_or(limits.uncovered_calls);
        limits.connect_timeout = self.connect.unwrap_or(limits.connect_timeout);
        limits.first_byte_timeout = self.first_byte.unwrap_or(limits.first_byte_timeout);
        limits.idle_timeout = self.idle.unwrap_or(limits.idle_timeout);
        limits.total_timeout = self.response.unwrap_or(limits.total_timeout);
        limits
    }

    /// The client of the connector `place` (`tenant/name`).
    pub(crate) fn options(&self, place: &str, limits: &Limits, loopback: bool) -> NetworkOptions {
        let remedy = format!(
            "list its network in `allow_networks` under [network] or [network.connectors.\"{place}\"] of host.toml"
        );
        let mut options = self.reach(remedy);
        options.addresses.loopback = loopback;
        options.connect_timeout = Some(limits.connect_timeout);
        options.idle_connections = usize::try_from(limits.connections).ok();
        options
    }

    /// The client of a destination that is no connector's; `remedy` ends a sentence like "to allow it, ...".
    pub(crate) fn reach(&self, remedy: String) -> NetworkOptions {
        NetworkOptions {
            addresses: AddressPolicy {
                networks: self.networks.clone(),
                loopback: false,
            },
            remedy: Some(remedy),
            ca_pem: self.ca_pem.clone(),
            identity: self.identity.clone(),
            proxy: self.proxy.clone().flatten(),
            lookup: None,
            connect_timeout: Some(
                self.connect
                    .unwrap_or_else(|| Limits::default().connect_timeout),
            ),
            idle_connections: Some(1),
        }
    }
}

/// The sections of single connectors.
pub(super) fn check_connectors(
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
        connectors.insert(name.clone(), Network::check(&own, &[], mistakes));
    }
    connectors
}

/// An address that somebody typed for a destination that is no connector's, and its origin: `https://`, or `http://` on
/// this machine (which, like any private address, must be allowed besides).
pub(super) fn address(text: &str) -> Result<(Url, Origin), String> {
    let url = Url::parse(text.trim()).map_err(|error| {
        format!("is not a URL ({error}); write it like https://hooks.example.com/path")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".into());
    }
    let origin = url.origin().ascii_serialization();
    match Origin::parse(&origin, true) {
        Ok(origin) => Ok((url, origin)),
        Err(OriginError::ClearText) => Err(
            "would send it in clear text; use https:// (http:// is for addresses of this machine)"
                .into(),
        ),
        Err(error) => Err(error.to_string()),
    }
}

/// The text in a file that only its owner can read; `path` starts at the directory of `file`.
pub(super) fn secret_file(file: &Path, path: &str) -> Result<Zeroizing<String>, String> {
    let path = beside(file, path);
    let bytes = Zeroizing::new(read(&path, Readers::Owner)?);
    // Editors and `echo` end a file with a newline that is no part of the secret.
    match std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\n', '\r'])) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("{} is not UTF-8; check the path", path.display())),
    }
}

fn networks(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Vec<IpNet> {
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
    let mut networks = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let wrong = match entry.as_str().and_then(|text| text.parse::<IpNet>().ok()) {
            Some(IpNet::V6(entry)) if entry.addr().to_ipv4_mapped().is_some() => {
                "is an IPv4 network inside IPv6; write the IPv4 network, which covers both"
            }
            Some(entry) => {
                networks.push(entry);
                continue;
            }
            None => "is not a network; write it like \"10.20.0.0/16\" or \"fd12::/48\"",
        };
        let message = format!("entry {} {wrong}", position + 1);
        mistakes.push(section.mistake("allow_networks", message));
    }
    networks
}

fn identity(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<ClientIdentity> {
    let pair = ["client_certificate", "client_key"];
    let [certificate, key] = pair.map(|key| section.table.contains_key(key));
    if certificate != key {
        let (there, missing) = if certificate {
            ("client_certificate", "client_key")
        } else {
            ("client_key", "client_certificate")
        };
        let message = format!("is required beside {there}");
        mistakes.push(section.mistake(missing, message));
    }
    let certificate = file(section, "client_certificate", Readers::Anyone, mistakes);
    let key = file(section, "client_key", Readers::Owner, mistakes);
    let identity = ClientIdentity::new(certificate?, key?);
    let options = NetworkOptions {
        identity: Some(identity.clone()),
        ..NetworkOptions::default()
    };
    match NetworkUpstream::new(options) {
        Ok(_) => Some(identity),
        Err(error) => {
            mistakes.push(section.mistake("client_certificate", error.to_string()));
            None
        }
    }
}

fn proxy(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Option<Proxy>> {
    let address = section.text("proxy", mistakes);
    let username = section.text("proxy_username", mistakes);
    let password = file(section, "proxy_password_file", Readers::Owner, mistakes)
        .and_then(|bytes| password(section, bytes, mistakes));
    let has = |key: &str| section.table.contains_key(key);
    for (key, needed) in [
        ("proxy_username", "proxy"),
        ("proxy_username", "proxy_password_file"),
        ("proxy_password_file", "proxy_username"),
    ] {
        if has(key) && !has(needed) {
            mistakes.push(section.mistake(needed, format!("is required beside {key}")));
        }
    }
    if username.is_some_and(|name| name.contains(':')) {
        mistakes.push(section.mistake("proxy_username", "must not contain a colon"));
    }
    let address = address?;
    if address == NO_PROXY {
        return Some(None);
    }
    match Proxy::parse(address) {
        Ok(proxy) => {
            let credential = username
                .zip(password)
                .map(|(username, password)| Credential::basic(username, password));
            Some(Some(match credential {
                Some(credential) => proxy.with_credential(credential),
                None => proxy,
            }))
        }
        Err(message) => {
            let message = format!("{message}; or \"{NO_PROXY}\"");
            mistakes.push(section.mistake("proxy", message));
            None
        }
    }
}

/// The password that is in the file which `proxy_password_file` names.
fn password(section: &Section<'_>, bytes: Vec<u8>, mistakes: &mut Vec<Mistake>) -> Option<Secret> {
    let bytes = Zeroizing::new(bytes);
    // Editors and `echo` end a file with a newline that is no part of the secret.
    match std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\n', '\r'])) {
        Ok(text) if !text.is_empty() => Some(Secret::new(text)),
        _ => {
            let message = "names a file that is empty or not UTF-8; put the password there";
            mistakes.push(section.mistake("proxy_password_file", message));
            None
        }
    }
}

/// Who may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Anyone,
    Owner,
}

/// What is in the file that a key names, if the key is there.
fn file(
    section: &Section<'_>,
    key: &str,
    readers: Readers,
    mistakes: &mut Vec<Mistake>,
) -> Option<Vec<u8>> {
    let path = beside(section.file, section.text(key, mistakes)?);
    let read = read(&path, readers).and_then(|bytes| match key {
        "ca_file" => {
            let options = NetworkOptions {
                ca_pem: vec![bytes.clone()],
                ..NetworkOptions::default()
            };
            match NetworkUpstream::new(options) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(format!("{}: {error}", path.display())),
            }
        }
        _ => Ok(bytes),
    });
    match read {
        Ok(bytes) => Some(bytes),
        Err(message) => {
            mistakes.push(section.mistake(key, message));
            None
        }
    }
}

fn read(path: &Path, readers: Readers) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        format!("{shown} cannot be read ({error}); check the path and its permissions")
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    if readers == Readers::Owner && is_open_to_others(&file.metadata().map_err(cannot)?) {
        return Err(format!(
            "{shown} can be read by others than its owner, and holds a secret; `chmod 600` it"
        ));
    }
    // Not by the file's length: a device or a pipe has none.
    let mut bytes = Vec::new();
    let size = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    if size.map_err(cannot)? as u64 > LARGEST_FILE {
        return Err(format!(
            "{shown} has more than {LARGEST_FILE} bytes, which is the most it may have; check the path"
        ));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests;
