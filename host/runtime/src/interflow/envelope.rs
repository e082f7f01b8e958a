//! The envelope: the fields of a record that belong to the host, and the record's identity.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use uuid::Uuid;

use super::body::Facts;
use super::text::compact;

/// The top-level fields that only the host writes.
pub const ENVELOPE_FIELDS: [&str; 14] = [
    "msg_class",
    "timestamp",
    "write_time",
    "stellar_uuid",
    "tenantid",
    "tenant_name",
    "msg_origin",
    "engid",
    "engid_name",
    "engid_gateway",
    "locid",
    "domain",
    "srcip_version",
    "srcip_type",
];

/// The namespace of record ids (RFC 9562, version 5). The name is the tenant's id, the connector's id, the `msg_class` and
/// the item's key, in this order, each as its UTF-8 bytes preceded by their number as eight bytes, most significant first:
/// two different quadruples can never make the same name.
pub const RECORD_NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_52d8_0c6e_4a0f_9d3a_41c7_e85b_20f4);

/// Where records of a connector come from, as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// For example `acme_scanner`; also the label that the vendor's own data is nested under.
    pub source: String,
    /// For example `acme`.
    pub vendor: String,
    /// For example `security_scan`.
    pub category: String,
}

/// What an envelope is made of.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// 32 hexadecimal digits.
    pub tenant_id: &'a str,
    /// The tenant's name.
    pub tenant_name: &'a str,
    /// 24 hexadecimal digits.
    pub connector_id: &'a str,
    /// The connector's name.
    pub connector_name: &'a str,
    /// From the manifest, for the content type.
    pub msg_class: &'a str,
    /// From the manifest.
    pub origin: &'a Origin,
    /// The normalised origin URL; a trailing `/` is left out.
    pub domain: &'a str,
}

/// Seals bodies into records; built once for a connector and content type.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Up to the value of `timestamp`.
    head: Vec<u8>,
    /// From the end of `stellar_uuid` to `domain`.
    labels: Vec<u8>,
    /// The part of the record id's name that all items share.
    name: Vec<u8>,
}

impl Envelope {
    /// Prepares everything that records of one connector and content type have in common.
    #[must_use]
    pub fn new(labels: &Labels<'_>) -> Self {
        let text = |text: &str| Value::from(text).to_string();
        let engine = text(&format!(
            "{}_{}",
            labels.origin.source, labels.connector_name
        ));
        let mut name = Vec::new();
        for part in [labels.tenant_id, labels.connector_id, labels.msg_class] {
            push_part(&mut name, part);
        }
        Self {
            head: format!(
                r#"{{"msg_class":{},"timestamp":"#,
                text(labels.msg_class)
            )
            .into_bytes(),
            labels: format!(
                concat!(
                    r#"","tenantid":{tenant_id},"tenant_name":{tenant_name},"#,
                    r#""msg_origin":{{"source":{source},"vendor":{vendor},"category":{category},"#,
                    r#""processor":{{"id":{connector_id},"name":{source},"type":"log_collector"}}}},"#,
                    r#""engid":{engine},"engid_name":{engine},"engid_gateway":"","#,
                    r#""locid":"unassigned location","domain":{domain}"#
                ),
                tenant_id = text(labels.tenant_id),
                tenant_name = text(labels.tenant_name),
                source = text(&labels.origin.source),
                vendor = text(&labels.origin.vendor),
                category = text(&labels.origin.category),
                connector_id = text(labels.connector_id),
                engine = engine,
                domain = text(labels.domain.trim_end_matches('/')),
            )
            .into_bytes(),
            name,
        }
    }

    /// The identity of the record that an item with this key becomes: the same for every replay, on every machine. See
    /// [`RECORD_NAMESPACE`].
    #[must_use]
    pub fn record_id(&self, key: &str) -> Uuid {
        let mut name = Vec::with_capacity(self.name.len() + 8 + key.len());
        name.extend_from_slice(&self.name);
        push_part(&mut name, key);
        Uuid::new_v5(&RECORD_NAMESPACE, &name)
    }

    /// Appends one finished record to `out`: compact JSON without a newline inside, and none behind it. First the fields of
    /// the envelope, then the body's members. `facts` must come from [`check`](super::check) of this very body; times are
    /// milliseconds since 1970.
    pub fn seal(
        &self,
        item_key: &str,
        time_ms: u64,
        write_time_ms: u64,
        body: &str,
        facts: &Facts,
        out: &mut Vec<u8>,
    ) {
        let mut id = Uuid::encode_buffer();
        let id = self.record_id(item_key).hyphenated().encode_lower(&mut id);
        out.reserve(self.head.len() + self.labels.len() + body.len() + 200);
        out.extend_from_slice(&self.head);
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            r#"{time_ms},"write_time":{write_time_ms},"stellar_uuid":"{id}{time_ms:013}"#
        );
        out.extend_from_slice(&self.labels);
        if let Some(address) = facts.srcip {
            out.extend_from_slice(match address {
                IpAddr::V4(_) => br#","srcip_version":"ipv4","srcip_type":""#,
                IpAddr::V6(_) => br#","srcip_version":"ipv6","srcip_type":""#,
            });
            out.extend_from_slice(if is_private(address) {
                br#"private""#
            } else {
                br#"public""#
            });
        }
        let members = body.get(facts.from..facts.to).unwrap_or_default();
        if !members.is_empty() {
            out.push(b',');
            if facts.spaced {
                compact(members, out);
            } else {
                out.extend_from_slice(members.as_bytes());
            }
        }
        out.push(b'}');
    }
}

fn push_part(name: &mut Vec<u8>, part: &str) {
    name.extend_from_slice(&(part.len() as u64).to_be_bytes());
    name.extend_from_slice(part.as_bytes());
}

/// Whether an address belongs to a network of its owner's own: RFC 1918, shared address space (RFC 6598), unique local
/// (RFC 4193), link-local, loopback. An IPv4 address inside an IPv6 one is judged as what it is.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared(v4)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10.
const fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}
