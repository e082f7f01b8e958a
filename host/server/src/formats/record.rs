//! A record, read for being written in another format.
//!
//! Promises: each value of the envelope and of the common fields is in exactly one place: in its typed field here if it fits,
//! else in the [`Rest`]. The vendor's own object is carried along byte by byte, never parsed.

use super::FormatError;
use super::rest::{Fields, Rest};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A vulnerability of a host: there is an object `vulnerability`.
    Vulnerability,
    /// A host: there is something that names one, and `event.category` says nothing else.
    Host,
    /// Anything else.
    Other,
}

/// The envelope and the common fields. A text is never blank; times are milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    /// The record's identity, 36 characters.
    pub(super) id: String,
    pub(super) time: i64,
    pub(super) write_time: Option<i64>,
    pub(super) msg_class: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) tenant_name: Option<String>,
    /// `msg_origin.source`.
    pub(super) source: String,
    /// `msg_origin.vendor`.
    pub(super) vendor: Option<String>,
    /// `msg_origin.category`.
    pub(super) category: Option<String>,
    /// `msg_origin.processor.id`.
    pub(super) connector_id: Option<String>,
    /// `event.id`.
    pub(super) event_id: Option<String>,
    /// 1 to 5, from `event.severity`.
    pub(super) severity: Option<u64>,
    /// `event.severity_str`.
    pub(super) severity_word: Option<String>,
    pub(super) host: Host,
    pub(super) cloud: Cloud,
    /// Only in a record of that kind.
    pub(super) vulnerability: Option<Vulnerability>,
    /// The vendor's own object and its label.
    pub(super) own: Option<(String, &'a RawValue)>,
    pub(super) rest: Rest<'a>,
}

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) id: Option<String>,
    /// `srcip` first, then `host.ip`, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// `host.name`, else `srcip_host`.
    pub(super) name: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) domain: Option<String>,
    /// Six or eight bytes each.
    pub(super) macs: Vec<Vec<u8>>,
    pub(super) os: Option<String>,
    pub(super) os_type: Option<String>,
}

impl Host {
    /// Whether nothing says which machine it is.
    pub(super) fn is_nameless(&self) -> bool {
        let names = [&self.id, &self.name, &self.hostname];
        names.iter().all(|name| name.is_none()) && self.addresses.is_empty()
    }
}

/// Where the machine runs.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    pub(super) provider: Option<String>,
    pub(super) service: Option<String>,
    pub(super) instance: Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Vulnerability {
    /// In the scanner's own numbering, which `enumeration` names.
    pub(super) id: Option<String>,
    pub(super) enumeration: Option<String>,
    pub(super) scanner_vendor: Option<String>,
    pub(super) severity: Option<String>,
    pub(super) status: Option<String>,
    pub(super) score: Option<f64>,
    pub(super) score_version: Option<String>,
    pub(super) score_vector: Option<String>,
    /// 0 to 1.
    pub(super) epss: Option<f64>,
    pub(super) cves: Vec<String>,
    pub(super) title: Option<String>,
    pub(super) category: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) solution: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) patchable: Option<bool>,
}

impl Vulnerability {
    fn read(fields: &mut Fields) -> Self {
        let mut score = fields.object("score");
        let vulnerability = Self {
            id: fields.text("id"),
            enumeration: fields.text("enumeration"),
            scanner_vendor: fields.text_within("scanner", "vendor"),
            severity: fields.text("severity"),
            status: fields.text("status"),
            score: score.number("base", |_| true),
            score_version: score.text("version"),
            score_vector: score.text("vector"),
            epss: fields.number("epss", |epss| (0.0..=1.0).contains(&epss)),
            cves: fields.texts("cve"),
            title: fields.text("title"),
            category: fields.texts("category"),
            description: fields.text("description"),
            solution: fields.text("solution"),
            references: fields.texts("reference"),
            patchable: fields.truth("patchable"),
        };
        fields.put_back("score", score);
        vulnerability
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Record<'a> {
    /// Reads one record.
    ///
    /// # Errors
    /// It is no JSON object.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let members: BTreeMap<Key<'a>, &'a RawValue> = serde_json::from_slice(bytes)?;
        let mut rest = Rest::new(members.into_iter().map(|(key, value)| (key.0, value)));

        let stellar = rest.text("stellar_uuid").unwrap_or_default();
        let id = stellar.get(..36).unwrap_or(&stellar).to_owned();
        let write_time = rest.time("write_time");
        let in_id = stellar
            .get(36..)
            .and_then(|digits| digits.parse::<i64>().ok());
        let time = rest.time("timestamp").or(in_id).or(write_time);

        let mut origin = rest.object("msg_origin");
        let source = origin.text("source");
        let vendor = origin.text("vendor");
        let category = origin.text("category");
        let mut processor = origin.object("processor");
        let connector_id = processor.text("id");
        // The one is said by another field, the other always the same.
        processor.forget("name", source.as_deref().unwrap_or_default());
        processor.forget("type", "log_collector");
        origin.put_back("processor", processor);
        rest.put_back("msg_origin", origin);
        let own = source
            .as_ref()
            .and_then(|label| Some((label.clone(), rest.take(label)?)));

        let mut event = rest.object("event");
        let categories = event.texts("category");
        let vulnerability = rest.find_object("vulnerability").map(|mut fields| {
            let vulnerability = Vulnerability::read(&mut fields);
            rest.put_back("vulnerability", fields);
            vulnerability
        });
        let host = read_host(&mut rest);
        let kind = if vulnerability.is_some() {
            Kind::Vulnerability
        } else if !host.is_nameless() && categories.iter().all(|name| name == "host") {
            Kind::Host
        } else {
            Kind::Other
        };
        // Said by the kind; what a plugin says beyond that is kept.
        let (said, info) = match kind {
            Kind::Vulnerability => ("vulnerability", "info"),
            Kind::Host => ("host", "info"),
            Kind::Other => ("", ""),
        };
        if categories.iter().any(|name| name != said) {
            event.keep("category", categories);
        }
        event.forget("type", info);
        let event_id = event.text("id");
        let severity = event
            .number("severity", |number| {
                (1.0..=5.0).contains(&number) && number.fract() == 0.0
            })
            .map(whole);
        let severity_word = event.text("severity_str");
        rest.put_back("event", event);

        let mut fields = rest.object("cloud");
        let cloud = Cloud {
            provider: fields.text("provider"),
            service: fields.text_within("service", "name"),
            instance: fields.text_within("instance", "id"),
        };
        rest.put_back("cloud", fields);

        Ok(Self {
            kind,
            id,
            time: time.unwrap_or_default(),
            write_time,
            msg_class: rest.text("msg_class"),
            tenant_id: rest.text("tenantid"),
            tenant_name: rest.text("tenant_name"),
            source: source.unwrap_or_else(|| "unknown".to_owned()),
            vendor,
            category,
            connector_id,
            event_id,
            severity,
            severity_word,
            host,
            cloud,
            vulnerability,
            own,
            rest,
        })
    }
}

fn read_host(rest: &mut Rest<'_>) -> Host {
    let mut fields = rest.object("host");
    // An address without a port or zone; a text that is none stays where it is.
    let address = |text: &str| text.trim().parse::<IpAddr>().ok();
    let mut addresses = rest.with("srcip", |fields| fields.parsed("srcip", address));
    for address in fields.parsed("ip", address) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let mut os = fields.object("os");
    let name = fields.text("name");
    // The same by definition, unless a plugin says otherwise.
    rest.with("srcip_host", |fields| {
        fields.forget("srcip_host", name.as_deref().unwrap_or_default());
    });
    let host = Host {
        id: fields.text("id"),
        addresses,
        name: name.or_else(|| rest.text("srcip_host")),
        hostname: fields.text("hostname"),
        domain: fields.text("domain"),
        macs: fields.parsed("mac", mac),
        os: os.text("full"),
        os_type: os.text("type"),
    };
    fields.put_back("os", os);
    rest.put_back("host", fields);
    host
}

/// Six or eight bytes in hexadecimal digits, however they are separated.
fn mac(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .trim()
        .chars()
        .filter(|digit| !matches!(digit, ':' | '-' | '.'))
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<Vec<u8>>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| Some(pair.first()? << 4 | pair.get(1)?))
        .collect();
    (matches!(bytes.len(), 6 | 8) && digits.len() % 2 == 0).then_some(bytes)
}

/// Of a number that was found to be a small whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked its range"
)]
fn whole(number: f64) -> u64 {
    number as u64
}
