//! A vulnerability of a host: Vulnerability Finding.

use super::{Class, device, severity_of};
use crate::formats::outline::Outline;
use crate::formats::record::{Record, Vulnerability};
use serde_json::Value;

/// What a scanner's word for the state of a finding means.
enum State {
    New,
    Open,
    Fixed,
    Unheard,
}

impl State {
    fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().replace('-', "").trim() {
            "new" | "created" => Self::New,
            "active" | "open" | "reopened" | "updated" => Self::Open,
            "fixed" | "closed" | "resolved" | "remediated" => Self::Fixed,
            _ => Self::Unheard,
        }
    }
}

/// Writes what is particular to a finding. The device and what all classes have in common is left to the caller.
pub(super) fn put(
    mut found: Vulnerability,
    record: &mut Record<'_>,
    attributes: &mut Outline,
) -> Class {
    // Where the event does not say it, the vulnerability's own word does.
    let said = record.severity.is_some() || record.severity_word.is_some();
    if let (false, Some(word)) = (said, &found.severity) {
        record.severity = severity_of(word);
    }
    let class = put_state(found.status.take(), attributes);
    put_info(&found, record, attributes);
    attributes.put("message", found.title.clone());
    let resource = device::resource(record);
    if !resource.is_null() {
        attributes.put("resources", vec![resource]);
    }
    attributes.put("vulnerabilities", vulnerabilities(found, record));
    class
}

/// A scanner does not know who works on a finding, so one that is still there is none of the schema's states of work: it is
/// *Other*, and the scanner's word says what it is.
fn put_state(word: Option<String>, attributes: &mut Outline) -> Class {
    let (activity, activity_name, status, caption) = match word.as_deref().map(State::of) {
        None => (0, "Unknown", 0, Some("Unknown")),
        Some(State::New) => (1, "Create", 1, Some("New")),
        Some(State::Open) => (2, "Update", 99, None),
        Some(State::Fixed) => (3, "Close", 4, Some("Resolved")),
        Some(State::Unheard) => (99, "", 99, None),
    };
    let word = word.unwrap_or_default();
    attributes.put("status_id", status);
    attributes.put("status", caption.unwrap_or(&word));
    if status == 4 || status == 1 {
        attributes.put("status_detail", word.as_str());
    }
    Class {
        uid: 2002,
        name: "Vulnerability Finding",
        category: 2,
        category_name: "Findings",
        activity,
        activity_name: match activity_name {
            "" => word,
            name => name.to_owned(),
        },
    }
}

fn put_info(found: &Vulnerability, record: &mut Record<'_>, attributes: &mut Outline) {
    let identity = [record.host.id.as_deref(), found.id.as_deref()];
    let uid = match (record.event_id.take(), identity) {
        (Some(id), _) => id,
        (None, [Some(host), Some(vulnerability)]) => format!("{host}/{vulnerability}"),
        // Nothing that stays the same while the state changes.
        _ => record.id.clone(),
    };
    attributes.put("finding_info.uid", uid);
    let name = [found.enumeration.as_deref(), found.id.as_deref()];
    let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let title = match (&found.title, name.as_str(), found.cves.first()) {
        (Some(title), ..) => title.clone(),
        (None, "", Some(cve)) => cve.clone(),
        (None, "", None) => "Vulnerability".to_owned(),
        (None, name, _) => name.to_owned(),
    };
    attributes.put("finding_info.title", title);
    attributes.put("finding_info.desc", found.description.clone());
    attributes.put("finding_info.modified_time", record.time);
    attributes.put("finding_info.types", vec!["Vulnerability"]);
    let source = record.msg_class.clone();
    attributes.put("finding_info.data_sources", source.map(|name| vec![name]));
    // What the scanner looked for: its own check, by its own number.
    if let Some(id) = &found.id {
        attributes.put("finding_info.analytic.uid", id.as_str());
        attributes.put("finding_info.analytic.name", name);
        attributes.put("finding_info.analytic.category", found.enumeration.clone());
        attributes.put("finding_info.analytic.type_id", 1);
        attributes.put("finding_info.analytic.type", "Rule");
    } else {
        let kept = found.enumeration.clone();
        record.rest.keep("vulnerability.enumeration", kept);
    }
}

/// One for each CVE; without any, one with the scanner's own number as advisory, since the schema wants one of them.
fn vulnerabilities(found: Vulnerability, record: &mut Record<'_>) -> Vec<Value> {
    let mut common = Outline::default();
    common.put("title", found.title);
    common.put("desc", found.description);
    common.put("severity", found.severity);
    common.put("references", found.references);
    common.put("is_fix_available", found.patchable);
    common.put("remediation.desc", found.solution);
    common.put("vendor_name", found.scanner_vendor);
    match found.category.as_slice() {
        [one] => common.put("category", one.as_str()),
        several => record.rest.keep("vulnerability.category", several),
    }

    // Score and EPSS belong to one CVE. Of several, a record does not say which.
    let version = found.score_version.clone().or_else(|| {
        let vector = found.score_vector.as_deref()?;
        let (version, _) = vector.strip_prefix("CVSS:")?.split_once('/')?;
        Some(version.to_owned())
    });
    let alone = found.cves.len() == 1;
    let mut score = Outline::default();
    match (found.score, version) {
        (Some(base), Some(version)) if alone => {
            score.put("base_score", base);
            score.put("version", version);
            score.put("vector_string", found.score_vector);
            score.put("depth", "Base");
        }
        _ => {
            let rest = &mut record.rest;
            rest.keep("vulnerability.score.base", found.score);
            rest.keep("vulnerability.score.version", found.score_version);
            rest.keep("vulnerability.score.vector", found.score_vector);
        }
    }
    let score = Value::from(score);
    let has_score = score.as_object().is_some_and(|score| !score.is_empty());
    if !alone {
        record.rest.keep("vulnerability.epss", found.epss);
    }

    if found.cves.is_empty() {
        let id = found.id.unwrap_or_else(|| "unknown".to_owned());
        common.put("advisory.uid", id);
        return vec![common.into()];
    }
    let one = |cve: &String| {
        let mut vulnerability = common.clone();
        vulnerability.put("cve.uid", cve.as_str());
        if alone {
            if has_score {
                vulnerability.put("cve.cvss", vec![score.clone()]);
            }
            let epss = found.epss.map(|epss| epss.to_string());
            vulnerability.put("cve.epss.score", epss);
        }
        Value::from(vulnerability)
    };
    found.cves.iter().map(one).collect()
}
