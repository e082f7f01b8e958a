//! Open Cybersecurity Schema Framework.
//!
//! A vulnerability of a host makes a Vulnerability Finding (2002), a host a Device Inventory Info (5001), any other record a
//! Base Event (0). What the schema has no attribute for stands under `unmapped`, together with the vendor's own object.
//!
//! Promises: every required attribute is there, whatever the record lacks; an attribute whose values are enumerated has one of
//! them, and the source's own word beside it where that is not one.

mod device;
mod finding;

use super::FormatError;
use super::outline::Outline;
use super::record::{Kind, Record};
use super::rest::Rest;
use serde::Serialize;
use serde_json::{Value, json};

/// The version of the schema that the documents follow.
pub(super) const VERSION: &str = "1.8.0";

/// From step 1 on.
const SEVERITIES: [&str; 5] = ["Informational", "Low", "Medium", "High", "Critical"];

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    attributes: Outline,
    #[serde(skip_serializing_if = "Rest::is_empty")]
    unmapped: Rest<'a>,
}

/// A class and what happened, with the names that belong to the numbers.
struct Class {
    uid: u64,
    name: &'static str,
    category: u64,
    category_name: &'static str,
    activity: u64,
    activity_name: String,
}

/// Appends the document of a record.
pub(super) fn write(mut record: Record<'_>, out: &mut Vec<u8>) -> Result<(), FormatError> {
    let mut attributes = Outline::default();
    let mut profiles = Vec::new();
    if let Some(provider) = record.cloud.provider.take() {
        attributes.put("cloud.provider", provider);
        profiles.push("cloud");
    }
    if record.kind == Kind::Other && !record.host.is_nameless() {
        // There, a device is part of this profile.
        profiles.push("host");
    }
    let mut observables = device::observables(&record);
    let class = match record.vulnerability.take() {
        Some(found) => {
            for cve in &found.cves {
                observables.push(observable(
                    "vulnerabilities.cve.uid",
                    18,
                    "CVE Object: uid",
                    cve,
                ));
            }
            finding::put(found, &mut record, &mut attributes)
        }
        None if record.kind == Kind::Host => Class {
            uid: 5001,
            name: "Device Inventory Info",
            category: 5,
            category_name: "Discovery",
            activity: 2,
            activity_name: "Collect".to_owned(),
        },
        None => Class {
            uid: 0,
            name: "Base Event",
            category: 0,
            category_name: "Uncategorized",
            activity: 99,
            activity_name: "Collect".to_owned(),
        },
    };
    put_class(&class, &mut attributes);
    put_severity(&mut record, &mut attributes);
    attributes.put("time", record.time);
    attributes.put("observables", observables);
    attributes.put("device", device::take(&mut record));
    put_metadata(&mut record, profiles, &mut attributes);
    keep_cloud(&mut record);
    if let Some((label, raw)) = record.own.take() {
        record.rest.put(label, raw);
    }
    serde_json::to_writer(
        out,
        &Document {
            attributes,
            unmapped: record.rest,
        },
    )?;
    Ok(())
}

fn put_class(class: &Class, attributes: &mut Outline) {
    attributes.put("class_uid", class.uid);
    attributes.put("class_name", class.name);
    attributes.put("category_uid", class.category);
    attributes.put("category_name", class.category_name);
    attributes.put("activity_id", class.activity);
    attributes.put("activity_name", class.activity_name.as_str());
    attributes.put("type_uid", class.uid * 100 + class.activity);
    let activity = match class.activity {
        99 => "Other",
        _ => &class.activity_name,
    };
    attributes.put("type_name", format!("{}: {activity}", class.name));
}

/// The step that a word means.
fn severity_of(word: &str) -> Option<u64> {
    let mut names = SEVERITIES.iter();
    let step = names.position(|name| name.eq_ignore_ascii_case(word))?;
    u64::try_from(step + 1).ok()
}

/// The five steps of `event.severity` are those of the schema; what says nothing of severity informs.
fn put_severity(record: &mut Record<'_>, attributes: &mut Outline) {
    const NAMES: [&str; 5] = ["Informational", "Low", "Medium", "High", "Critical"];
    let step = record.severity.or_else(|| {
        let word = record.severity_word.as_deref()?;
        let step = NAMES
            .iter()
            .position(|name| name.eq_ignore_ascii_case(word))?;
        u64::try_from(step + 1).ok()
    });
    let step = match record.kind {
        Kind::Vulnerability => step.unwrap_or(0),
        Kind::Host | Kind::Other => step.unwrap_or(1),
    };
    let name = usize::try_from(step)
        .ok()
        .and_then(|step| SEVERITIES.get(step.checked_sub(1)?))
        .unwrap_or(&"Unknown");
    attributes.put("severity_id", step);
    attributes.put("severity", *name);
    if let Some(word) = record.severity_word.take()
        && !name.eq_ignore_ascii_case(&word)
    {
        record.rest.keep("event.severity_str", word);
    }
}

fn put_metadata(record: &mut Record<'_>, profiles: Vec<&str>, attributes: &mut Outline) {
    attributes.put("metadata.version", VERSION);
    attributes.put("metadata.profiles", profiles);
    attributes.put("metadata.uid", std::mem::take(&mut record.id));
    attributes.put("metadata.logged_time", record.write_time);
    attributes.put("metadata.tenant_uid", record.tenant_id.take());
    attributes.put("metadata.log_name", record.msg_class.take());
    attributes.put("metadata.product.name", record.source.as_str());
    attributes.put("metadata.product.vendor_name", record.vendor.take());
    if let Some(id) = record.event_id.take() {
        // Of a finding it stands in `finding_info`.
        attributes.put("metadata.original_event_uid", id);
    }
    record.rest.keep("tenant_name", record.tenant_name.take());
    record
        .rest
        .keep("msg_origin.category", record.category.take());
    record
        .rest
        .keep("msg_origin.processor.id", record.connector_id.take());
}

/// The schema's `cloud` needs a provider, and has no service; the instance stands with the device.
fn keep_cloud(record: &mut Record<'_>) {
    let service = record.cloud.service.take();
    record.rest.keep("cloud.service.name", service);
    let instance = record.cloud.instance.take();
    record.rest.keep("cloud.instance.id", instance);
}

fn observable(name: &str, type_id: u64, kind: &str, value: &str) -> Value {
    json!({ "name": name, "type_id": type_id, "type": kind, "value": value })
}
