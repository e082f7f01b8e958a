//! A machine, as one record describes it: what it is recognised by, and what is shown of it.

use std::net::IpAddr;

/// What a machine can be recognised by, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// What an agent or an authenticated scan has left on it.
    Agent = 0,
    /// The cloud's instance.
    Instance = 1,
    /// The vendor's host id, within one connector.
    Host = 2,
    /// A hardware address.
    Mac = 3,
    /// An address, within one connector and network.
    Address = 4,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Agent,
        Self::Instance,
        Self::Host,
        Self::Mac,
        Self::Address,
    ];
}

/// What a record says, in its order of strength; texts as they stand.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) agent: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) host: Option<String>,
    pub(super) macs: Vec<String>,
    pub(super) network: Option<String>,
    pub(super) tracking: Option<String>,
    pub(super) ips: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) os: Option<String>,
    /// None if nothing is said about tags.
    pub(super) tags: Option<Vec<String>>,
    pub(super) source: Option<String>,
    /// Of the record.
    pub(super) class: Option<String>,
}

/// See the module. Texts are trimmed and not empty; addresses are in their shortest form, each once.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) agent: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) host: Option<String>,
    pub(super) macs: Vec<String>,
    pub(super) network: String,
    /// Whether the vendor recognises it by its address; so if nothing is said.
    pub(super) is_tracked_by_address: bool,
    pub(super) ips: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) os: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) source: Option<String>,
    pub(super) class: Option<String>,
}

/// One thing that a machine is recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    /// Within what the value is unique: a connector, a network of it; empty for the whole tenant.
    pub(super) scope: String,
    pub(super) value: String,
}

fn text(text: Option<String>) -> Option<String> {
    let text = text?;
    let trimmed = text.trim();
    match trimmed.len() {
        0 => None,
        length if length == text.len() => Some(text),
        _ => Some(trimmed.to_owned()),
    }
}

/// An address in its shortest form.
fn address(text: &str) -> Option<String> {
    let address: IpAddr = text.trim().parse().ok()?;
    Some(address.to_canonical().to_string())
}

/// A hardware address as `00-00-5E-00-53-23`; none for those that many machines have.
fn mac(text: &str) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|digit| digit.to_ascii_uppercase())
        .collect();
    let nobodys = ["000000000000", "FFFFFFFFFFFF"];
    if digits.len() != 12 || nobodys.contains(&digits.as_str()) {
        return None;
    }
    let pairs: Vec<&str> = (0..6).map(|pair| &digits[pair * 2..pair * 2 + 2]).collect();
    Some(pairs.join("-"))
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

impl Machine {
    pub(super) fn new(parts: Parts) -> Self {
        let tracking = text(parts.tracking);
        Self {
            agent: text(parts.agent).map(|id| id.to_lowercase()),
            instance: text(parts.instance),
            host: text(parts.host),
            macs: distinct(parts.macs.iter().filter_map(|text| mac(text))),
            network: text(parts.network).unwrap_or_default(),
            is_tracked_by_address: tracking.is_none_or(|word| word.eq_ignore_ascii_case("ip")),
            ips: distinct(parts.ips.iter().filter_map(|text| address(text))),
            name: text(parts.name),
            hostname: text(parts.hostname),
            os: text(parts.os),
            tags: parts
                .tags
                .map(|tags| distinct(tags.into_iter().filter_map(|tag| text(Some(tag))))),
            source: text(parts.source),
            class: text(parts.class),
        }
    }

    /// What it is recognised by, the strongest first.
    pub(super) fn identities(&self, connector: &str) -> Vec<Identity> {
        let whole = |kind, value: &String| Identity {
            kind,
            scope: String::new(),
            value: value.clone(),
        };
        let mut found: Vec<Identity> = Vec::new();
        found.extend(self.agent.iter().map(|id| whole(Kind::Agent, id)));
        found.extend(self.instance.iter().map(|id| whole(Kind::Instance, id)));
        found.extend(self.host.iter().map(|id| Identity {
            scope: connector.to_owned(),
            ..whole(Kind::Host, id)
        }));
        found.extend(self.macs.iter().map(|mac| whole(Kind::Mac, mac)));
        found.extend(self.ips.iter().map(|ip| Identity {
            scope: self.address_scope(connector),
            ..whole(Kind::Address, ip)
        }));
        found
    }

    /// Within what its addresses are unique.
    pub(super) fn address_scope(&self, connector: &str) -> String {
        format!("{connector}/{}", self.network)
    }

    /// Whether it says more than that the vendor knows it under some id.
    pub(super) fn is_described(&self) -> bool {
        self.agent.is_some()
            || self.instance.is_some()
            || self.name.is_some()
            || self.hostname.is_some()
            || !self.macs.is_empty()
            || !self.ips.is_empty()
    }
}
