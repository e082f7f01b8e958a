//! Elastic Common Schema.
//!
//! Fields that the schema names stand where it wants them, with its types; lists are lists. What it has no name for stands
//! under `interflow` (a vulnerability's status, say), and the vendor's own object under its own label, as in the record.
//!
//! Never here: `data_stream.*`. Where a document goes is the forwarder's business, and Elasticsearch refuses one that
//! contradicts the stream it is sent to.

use super::FormatError;
use super::outline::Outline;
use super::record::{Kind, Record, Vulnerability};
use super::rest::Rest;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The version of the schema that the documents follow.
pub(super) const VERSION: &str = "9.4.0";
/// The names that the schema has at the top: a vendor's label that is one of them would be taken for it.
const RESERVED: &str = " @timestamp agent as client cloud code_signature container data_stream destination device dll dns ecs elf \
    email entity error event faas file gen_ai geo group hash host http interface interflow labels log macho message network observer \
    orchestrator organization os package pe process registry related risk rule server service source span tags threat tls trace \
    transaction url user user_agent vlan volume vulnerability x509 ";
/// What `host.os.type` may be.
const OS_TYPES: [&str; 6] = ["android", "ios", "linux", "macos", "unix", "windows"];

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    fields: Outline,
    #[serde(skip_serializing_if = "Rest::is_empty")]
    interflow: Rest<'a>,
    #[serde(flatten)]
    own: BTreeMap<String, &'a RawValue>,
}

/// Appends the document of a record.
pub(super) fn write(mut record: Record<'_>, out: &mut Vec<u8>) -> Result<(), FormatError> {
    let mut fields = Outline::default();
    put_event(&mut record, &mut fields);
    put_host(&mut record, &mut fields);
    if let Some(vulnerability) = record.vulnerability.take() {
        put_vulnerability(vulnerability, &mut record.rest, &mut fields);
    }
    fields.put("cloud.provider", record.cloud.provider);
    fields.put("cloud.service.name", record.cloud.service);
    fields.put("cloud.instance.id", record.cloud.instance);
    fields.put("organization.id", record.tenant_id);
    fields.put("organization.name", record.tenant_name);

    let mut own = BTreeMap::new();
    if let Some((label, raw)) = record.own {
        // With a dot it would be read as a path.
        if label.contains(['.', ' ']) || RESERVED.contains(&format!(" {label} ")) {
            record.rest.put(label, raw);
        } else {
            own.insert(label, raw);
        }
    }
    serde_json::to_writer(
        out,
        &Document {
            fields,
            interflow: record.rest,
            own,
        },
    )?;
    Ok(())
}

fn put_event(record: &mut Record<'_>, fields: &mut Outline) {
    fields.put("@timestamp", timestamp(record.time));
    fields.put("ecs.version", VERSION);
    let (kind, category) = match record.kind {
        Kind::Vulnerability => ("state", Some("vulnerability")),
        Kind::Host => ("asset", Some("host")),
        Kind::Other => ("event", None),
    };
    fields.put("event.kind", kind);
    if let Some(category) = category {
        fields.put("event.category", vec![category]);
        fields.put("event.type", vec!["info"]);
    }
    fields.put("event.module", record.source.clone());
    fields.put("event.dataset", record.msg_class.clone());
    fields.put("event.provider", record.vendor.clone());
    // A finding keeps its id while its state changes; the record's own is the document's.
    let id = record.event_id.take();
    fields.put("event.id", id.unwrap_or_else(|| record.id.clone()));
    fields.put("event.severity", record.severity);
    if let Some(word) = record.severity_word.take() {
        record.rest.keep("event.severity_str", word);
    }
    let written = record.write_time.map(timestamp);
    fields.put("event.created", written.clone());
    fields.put("event.ingested", written);
    fields.put("observer.vendor", record.vendor.take());
    fields.put("observer.product", record.source.clone());
    fields.put("observer.type", record.category.take());
    fields.put("labels.connector_id", record.connector_id.take());
    fields.put("labels.msg_class", record.msg_class.take());
    record.rest.keep("id", std::mem::take(&mut record.id));
}

fn put_host(record: &mut Record<'_>, fields: &mut Outline) {
    let host = std::mem::take(&mut record.host);
    let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
    let mut names: Vec<String> = Vec::new();
    for name in [&host.name, &host.hostname].into_iter().flatten() {
        // A host without a name is called by its address.
        if !addresses.contains(name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    fields.put("related.ip", addresses.clone());
    fields.put("related.hosts", names);
    fields.put("host.id", host.id);
    fields.put("host.ip", addresses);
    fields.put("host.name", host.name);
    fields.put("host.hostname", host.hostname);
    fields.put("host.domain", host.domain);
    let macs = host.macs.iter().map(|mac| hexadecimal(mac, "-"));
    fields.put("host.mac", macs.collect::<Vec<_>>());
    fields.put("host.os.full", host.os);
    if let Some(os) = host.os_type {
        let lower = os.to_lowercase();
        if OS_TYPES.contains(&lower.as_str()) {
            fields.put("host.os.type", lower);
        } else {
            record.rest.keep("host.os.type", os);
        }
    }
}

fn put_vulnerability(found: Vulnerability, rest: &mut Rest<'_>, fields: &mut Outline) {
    // The schema's identification of a vulnerability is the CVE where there is one; the scanner's own numbering comes next.
    if found.cves.is_empty() {
        fields.put("vulnerability.id", found.id.map(|id| vec![id]));
        fields.put("vulnerability.enumeration", found.enumeration);
    } else {
        fields.put("vulnerability.id", found.cves);
        fields.put("vulnerability.enumeration", "CVE");
        rest.keep("vulnerability.id", found.id);
        rest.keep("vulnerability.enumeration", found.enumeration);
    }
    fields.put("vulnerability.scanner.vendor", found.scanner_vendor);
    fields.put("vulnerability.severity", found.severity);
    fields.put("vulnerability.category", found.category);
    fields.put(
        "vulnerability.description",
        found.description.or_else(|| found.title.clone()),
    );
    fields.put("message", found.title);
    fields.put("vulnerability.reference", found.references);
    if found.score.is_some() {
        fields.put("vulnerability.classification", "CVSS");
    }
    fields.put("vulnerability.score.base", found.score);
    fields.put("vulnerability.score.version", found.score_version);
    for (name, value) in [
        (
            "vulnerability.score.vector",
            Value::from(found.score_vector),
        ),
        ("vulnerability.status", found.status.into()),
        ("vulnerability.epss", found.epss.into()),
        ("vulnerability.solution", found.solution.into()),
        ("vulnerability.patchable", found.patchable.into()),
    ] {
        rest.keep(name, value);
    }
}

/// As `2026-03-01T09:15:00.000Z`. The record's reader has checked the range.
fn timestamp(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Bytes in upper-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8], separator: &str) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(separator)
}
