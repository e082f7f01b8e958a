//! Detections: one DETECTION element becomes one record beside its host.
//!
//! The key of a record is the detection's identity and a hash of its vendor object in full form, so the same state always has the
//! same key and another state another.

use std::borrow::Cow;
use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_128;

use crate::elements::Field;
use crate::hosts::{HostRecord, LABEL, Times, write_text, write_value};
use crate::object::Selection;
use crate::timestamp;
use crate::view::{Element, View};

/// An identity longer than this is replaced by its hash.
const IDENTITY_LIMIT: usize = 200;

/// What a detection is, before it is known whether it will be emitted.
#[derive(Debug, Default)]
pub(crate) struct Detection {
    pub(crate) identity: String,
    pub(crate) key: String,
    pub(crate) time_ms: u64,
    pub(crate) time_repaired: bool,
    pub(crate) repaired: u64,
    /// The vendor object in full form, its members without braces.
    full: String,
}

/// Where in the detection its mapped fields are.
#[derive(Default)]
pub(crate) struct Fields {
    unique: Option<Element>,
    qid: Option<Element>,
    severity: Option<Element>,
    status: Option<Element>,
    qds: Option<Element>,
    cves: Option<Element>,
    /// PORT, PROTOCOL, SSL, FQDN, SERVICE, INSTANCE
    place: [Option<Element>; 6],
    /// LAST_PROCESSED, LAST_UPDATE, LAST_FOUND, FIRST_FOUND
    times: [Option<Element>; 4],
    base: Option<Element>,
    version: Option<Element>,
    vector: Option<Element>,
    epss: Option<Element>,
}

fn fields(view: View<'_>) -> Fields {
    let mut fields = Fields::default();
    for child in view.children(view.root()) {
        let slot = match view.field(child) {
            Field::Unique => &mut fields.unique,
            Field::Qid => &mut fields.qid,
            Field::Severity => &mut fields.severity,
            Field::Status => &mut fields.status,
            Field::Qds => &mut fields.qds,
            Field::Cves => &mut fields.cves,
            Field::Port => &mut fields.place[0],
            Field::Protocol => &mut fields.place[1],
            Field::Ssl => &mut fields.place[2],
            Field::Fqdn => &mut fields.place[3],
            Field::Service => &mut fields.place[4],
            Field::Instance => &mut fields.place[5],
            Field::LastProcessed => &mut fields.times[0],
            Field::LastUpdate => &mut fields.times[1],
            Field::LastFound => &mut fields.times[2],
            Field::FirstFound => &mut fields.times[3],
            Field::QdsFactors => {
                for factor in view.children(child) {
                    let Some(name) = view.attribute(factor, b"name") else {
                        continue;
                    };
                    let slot = match name.as_ref() {
                        "CVSS" => &mut fields.base,
                        "CVSS_version" => &mut fields.version,
                        "CVSS_vector" => &mut fields.vector,
                        "epss" => &mut fields.epss,
                        _ => continue,
                    };
                    slot.get_or_insert(factor);
                }
                continue;
            }
            Field::Other => continue,
        };
        slot.get_or_insert(child);
    }
    fields
}

/// Finds out what a detection is: identity, key and time.
pub(crate) fn identify(
    view: View<'_>,
    host: &HostRecord,
    times: Times,
    detection: &mut Detection,
) -> Fields {
    let fields = fields(view);
    let text = |element: Option<Element>| element.and_then(|element| view.text(element));
    detection.full.clear();
    detection.repaired = view.write_full(&mut detection.full);
    let hash = xxh3_128(detection.full.as_bytes());

    detection.identity.clear();
    if let Some(unique) = text(fields.unique) {
        detection.identity.push_str(unique.trim());
    } else {
        let _ = write!(
            detection.identity,
            "{}:{}",
            host.id,
            text(fields.qid).unwrap_or_default().trim()
        );
        for part in fields.place {
            detection.identity.push(':');
            detection
                .identity
                .push_str(text(part).unwrap_or_default().trim());
        }
    }
    if detection.identity.len() > IDENTITY_LIMIT {
        let short = format!(
            "{}:{:032x}",
            host.id,
            xxh3_128(detection.identity.as_bytes())
        );
        detection.identity = short;
    }
    detection.key.clear();
    let _ = write!(detection.key, "{}-{hash:032x}", detection.identity);

    let when = fields.times.into_iter().find_map(text);
    (detection.time_ms, detection.time_repaired) =
        timestamp::event_time(when.as_deref(), times.walk_start_ms, times.now_ms);
    fields
}

/// Appends the record of a detection that was identified just before. Returns the number of texts that were cut.
pub(crate) fn write_record(
    view: View<'_>,
    fields: &Fields,
    host: &HostRecord,
    detection: &Detection,
    selection: &Selection,
    out: &mut String,
) -> u64 {
    let text = |element: Option<Element>| element.and_then(|element| view.text(element));
    out.reserve(host.common.len() + host.vendor.len() + detection.full.len() + 512);
    out.push('{');
    out.push_str(&host.common);
    out.push_str(",\"event\":{");
    if let Some(unique) = text(fields.unique) {
        write_text(out, "id", unique.trim());
    }
    write_text(out, "category", "vulnerability");
    write_text(out, "type", "info");
    let severity = text(fields.severity).as_deref().and_then(severity);
    if let Some((number, word)) = severity {
        write_value(out, "severity", number);
        write_text(out, "severity_str", word);
    }
    out.push_str("},\"vulnerability\":{");
    if let Some(qid) = text(fields.qid) {
        write_text(out, "id", qid.trim());
        write_text(out, "enumeration", "QID");
    }
    if let Some((_, word)) = severity {
        write_text(out, "severity", word);
    }
    if let Some(status) = text(fields.status) {
        write_text(out, "status", status.trim());
    }
    // As the notes on the host call it.
    if text(fields.unique).is_none_or(|unique| unique.trim() != detection.identity) {
        write_text(out, "finding_id", &detection.identity);
    }
    for (key, value) in [("qds", fields.qds), ("epss", fields.epss)] {
        if let Some(number) = text(value).as_deref().and_then(number) {
            write_value(out, key, &number);
        }
    }
    let base = text(fields.base);
    let base = base.as_deref().and_then(number);
    let vector = text(fields.vector);
    if base.is_some() || vector.is_some() {
        write_value(out, "score", "{");
        if let Some(base) = base {
            write_value(out, "base", &base);
        }
        if let Some(version) = text(fields.version) {
            let version = version.trim();
            write_text(
                out,
                "version",
                version.strip_prefix(['v', 'V']).unwrap_or(version),
            );
        }
        if let Some(vector) = vector {
            write_text(out, "vector", vector.trim());
        }
        out.push('}');
    }
    out.push_str(if out.ends_with('{') { "" } else { "," });
    out.push_str("\"scanner\":{\"vendor\":\"Qualys\"}");
    if let Some(cves) = text(fields.cves) {
        write_cves(out, &cves);
    }
    out.push_str("},\"");
    out.push_str(LABEL);
    out.push_str("\":{");
    out.push_str(&host.vendor);
    if !host.vendor.is_empty() {
        out.push(',');
    }
    let before = out.len();
    let mut cut = 0;
    out.push_str("\"DETECTION\":{");
    if view.differs(selection) {
        if selection
            .leave_out
            .iter()
            .any(|left| left.as_slice() == ["DETECTION"])
        {
            out.truncate(if host.vendor.is_empty() {
                before
            } else {
                before - 1
            });
            out.push_str("}}");
            return 0;
        }
        cut = view.write_selected(out, selection, &["DETECTION"]);
    } else {
        out.push_str(&detection.full);
    }
    out.push_str("}}}");
    cut
}

fn write_cves(out: &mut String, list: &str) {
    let mut cves: Vec<&str> = Vec::new();
    for cve in list
        .split([',', ' ', '\n', '\t'])
        .map(str::trim)
        .filter(|cve| !cve.is_empty())
    {
        if !cves.contains(&cve) && cves.len() < 1000 {
            cves.push(cve);
        }
    }
    if cves.is_empty() {
        return;
    }
    write_value(out, "cve", "[");
    for (index, cve) in cves.iter().enumerate() {
        out.push_str(if index == 0 { "\"" } else { ",\"" });
        crate::text::escape_into(out, cve);
        out.push('"');
    }
    out.push(']');
}

/// Qualys' level, as a number and as a word. Never computed from a score.
fn severity(text: &str) -> Option<(&'static str, &'static str)> {
    Some(match text.trim() {
        "1" => ("1", "informational"),
        "2" => ("2", "low"),
        "3" => ("3", "medium"),
        "4" => ("4", "high"),
        "5" => ("5", "critical"),
        _ => return None,
    })
}

/// `text` as a JSON number, as it is written if that is one.
fn number(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let literal = plain(whole) && plain(fraction) && (whole == "0" || !whole.starts_with('0'));
    Some(if literal {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{value}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_as_written_and_is_always_json() {
        for (text, json) in [
            ("8.1", Some("8.1")),
            (" 78 ", Some("78")),
            ("0.01234", Some("0.01234")),
            ("007", Some("7")),
            ("1e3", Some("1000")),
            (".5", Some("0.5")),
            ("8.", Some("8")),
            ("NaN", None),
            ("inf", None),
            ("high", None),
        ] {
            assert_eq!(number(text).as_deref(), json, "{text}");
            if let Some(json) = json {
                serde_json::from_str::<serde_json::Value>(json).expect("JSON");
            }
        }
    }
}
