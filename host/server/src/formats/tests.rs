mod random;
mod samples;

use super::{Format, FormatError};
use serde_json::Value;
use std::path::PathBuf;

fn write(format: Format, record: &str) -> Value {
    let mut out = b"before".to_vec();
    format.write(record.as_bytes(), &mut out).expect(record);
    let line = out.strip_prefix(b"before").expect("it appends");
    assert!(!line.contains(&b'\n'));
    serde_json::from_slice(line).expect("a document is JSON")
}

fn sample(name: &str) -> String {
    let samples = samples::all();
    let found = samples.into_iter().find(|(sample, _)| *sample == name);
    found.expect(name).1
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/formats/golden")
        .join(name)
}

/// `UPDATE_GOLDEN=1` writes the files anew; the difference is to be read, and `tests/formats/validate.sh` to be run.
#[test]
fn every_sample_makes_the_documents_that_are_kept() {
    for (name, record) in samples::all() {
        for format in Format::ALL {
            let path = golden(&format!("{name}.{format}.json"));
            let document = write(format, &record);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                let text = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
                std::fs::write(&path, text).expect("it can be written");
            }
            let kept = std::fs::read(&path).unwrap_or_else(|error| {
                panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display())
            });
            let kept: Value = serde_json::from_slice(&kept).expect("JSON");
            assert_eq!(document, kept, "{}", path.display());
        }
    }
}

#[test]
fn interflow_is_the_very_bytes_without_the_newline() {
    let record = sample("vulnerability_full");
    let mut out = Vec::new();
    let line = format!("{record}\n");
    Format::Interflow
        .write(line.as_bytes(), &mut out)
        .expect("a record");
    assert_eq!(out, record.as_bytes());
}

#[test]
fn the_vendors_object_is_carried_along_byte_by_byte() {
    // No parser gives this number back, nor this order, nor these escapes.
    let own = r#"{"z":1e400,"a":1.10,"m":"\u00e9\/"}"#;
    let record = sample("host_sparse").replace(r#"{"seen":1}"#, own);
    assert!(record.contains(own));
    for format in Format::ALL {
        let mut out = Vec::new();
        format.write(record.as_bytes(), &mut out).expect("a record");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains(&format!(r#""acme_scanner":{own}"#)), "{text}");
    }
}

#[test]
fn what_is_no_object_is_refused_and_nothing_is_appended() {
    for format in Format::ALL {
        for record in ["", "[]", "7", "{\"a\":1", "null"] {
            let mut out = Vec::new();
            let refused = format.write(record.as_bytes(), &mut out);
            assert!(
                matches!(refused, Err(FormatError::NoObject | FormatError::Json(_))),
                "{format} {record}"
            );
            assert!(out.is_empty());
        }
    }
}

#[test]
fn a_format_that_nobody_knows_is_answered_with_those_there_are() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.as_str()), Ok(format));
    }
    let refused = Format::parse("cef").expect_err("no format").to_string();
    assert_eq!(
        refused,
        "`cef` is no format of records: it is `interflow`, `ecs` or `ocsf`"
    );
}

#[test]
fn an_address_that_is_none_is_kept_where_it_harms_no_index() {
    let record = r#"{"msg_origin":{"source":"acme_scanner"},"srcip":"unknown",
        "host":{"id":"7","ip":["192.0.2.1","192.0.2.1%eth0",null],"mac":["nonsense"]}}"#;
    let ecs = write(Format::Ecs, record);
    assert_eq!(ecs["host"]["ip"], serde_json::json!(["192.0.2.1"]));
    assert_eq!(ecs["interflow"]["srcip"], "unknown");
    let left = serde_json::json!({"ip": ["192.0.2.1%eth0", null], "mac": ["nonsense"]});
    assert_eq!(ecs["interflow"]["host"], left);
    let ocsf = write(Format::Ocsf, record);
    assert_eq!(ocsf["device"]["ip"], "192.0.2.1");
    assert_eq!(ocsf["unmapped"]["host"], left);
}

#[test]
fn a_label_that_ecs_means_something_by_does_not_reach_its_top() {
    let record = r#"{"msg_origin":{"source":"process"},"process":{"a":1},"other":{"b":2}}"#;
    let ecs = write(Format::Ecs, record);
    assert_eq!(ecs.get("process"), None);
    assert_eq!(ecs["interflow"]["process"]["a"], 1);
    assert_eq!(ecs["interflow"]["other"]["b"], 2);
}

#[test]
fn a_record_without_a_usable_time_takes_that_of_its_id_or_of_its_writing() {
    let id = "7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e901772440877000";
    for (record, time) in [
        (
            format!(r#"{{"stellar_uuid":"{id}","timestamp":"soon"}}"#),
            1_772_440_877_000_u64,
        ),
        (
            r#"{"write_time":1772442031123}"#.to_owned(),
            1_772_442_031_123,
        ),
        (r#"{"timestamp":-5}"#.to_owned(), 0),
    ] {
        assert_eq!(write(Format::Ocsf, &record)["time"], time, "{record}");
    }
    let ecs = write(Format::Ecs, r#"{"timestamp":1772440877005}"#);
    assert_eq!(ecs["@timestamp"], "2026-03-02T08:41:17.005Z");
}

#[test]
fn a_finding_keeps_its_uid_while_its_state_and_activity_change() {
    for (status, activity, status_id) in [
        ("New", 1, 1),
        ("Active", 2, 99),
        ("Re-Opened", 2, 99),
        ("Fixed", 3, 4),
        ("Mothballed", 99, 99),
    ] {
        let record = sample("vulnerability_full").replace("\"Active\"", &format!("{status:?}"));
        let ocsf = write(Format::Ocsf, &record);
        assert_eq!(ocsf["activity_id"], activity, "{status}");
        assert_eq!(ocsf["type_uid"], 200_200 + activity, "{status}");
        assert_eq!(ocsf["status_id"], status_id, "{status}");
        assert_eq!(ocsf["finding_info"]["uid"], "9100000001");
        if status_id == 99 {
            assert_eq!(ocsf["status"], status);
        }
    }
}

#[test]
fn the_score_of_several_cves_is_given_to_none_of_them() {
    let ocsf = write(Format::Ocsf, &sample("vulnerability_cves"));
    let found = ocsf["vulnerabilities"].as_array().expect("a list");
    assert_eq!(found.len(), 3);
    for one in found {
        assert_eq!(one["cve"].get("cvss"), None);
        assert_eq!(one["cve"].get("epss"), None);
    }
    assert_eq!(ocsf["unmapped"]["vulnerability"]["score"]["base"], 9.8);
    assert_eq!(ocsf["unmapped"]["vulnerability"]["epss"], 0.42);
    let alone = write(Format::Ocsf, &sample("vulnerability_full"));
    let cve = &alone["vulnerabilities"][0]["cve"];
    assert_eq!(cve["cvss"][0]["base_score"], 8.1);
    assert_eq!(cve["epss"]["score"], "0.01234");
}

#[test]
fn a_host_that_only_the_envelopes_neighbours_name_has_that_name() {
    let record = r#"{"srcip":"192.0.2.1","srcip_host":"web-1","host":{"id":"7"}}"#;
    assert_eq!(write(Format::Ecs, record)["host"]["name"], "web-1");
    assert_eq!(write(Format::Ocsf, record)["device"]["hostname"], "web-1");
    let record = r#"{"srcip_host":"web-1","host":{"name":"web-2"}}"#;
    assert_eq!(
        write(Format::Ecs, record)["interflow"]["srcip_host"],
        "web-1"
    );
}

#[test]
fn the_vulnerabilitys_word_is_its_severity_where_the_event_says_none() {
    let record = r#"{"vulnerability":{"id":"1","severity":"CRITICAL"}}"#;
    let ocsf = write(Format::Ocsf, record);
    assert_eq!(ocsf["severity_id"], 5);
    assert_eq!(ocsf["vulnerabilities"][0]["severity"], "CRITICAL");
}

/// All texts and numbers, without the signs that separate the bytes of a MAC.
fn leaves(value: &Value, found: &mut Vec<String>) {
    let plain = |text: String| text.to_lowercase().replace([':', '-', '.'], "");
    match value {
        Value::Array(values) => values.iter().for_each(|value| leaves(value, found)),
        Value::Object(map) => map.values().for_each(|value| leaves(value, found)),
        Value::String(text) => found.push(plain(text.clone())),
        Value::Number(number) => found.push(plain(number.to_string())),
        Value::Bool(_) | Value::Null => {}
    }
}

#[test]
fn every_value_of_a_record_is_found_in_its_documents() {
    // Said by the class and the kind in other words, or always the same.
    let known = ["host", "vulnerability", "info", "log_collector"];
    for (name, record) in samples::all() {
        let mut values = Vec::new();
        leaves(&serde_json::from_str(&record).expect("JSON"), &mut values);
        for format in [Format::Ecs, Format::Ocsf] {
            let mut there = Vec::new();
            leaves(&write(format, &record), &mut there);
            for value in &values {
                let is_time = value.starts_with("17724") && format == Format::Ecs;
                let found = there.iter().any(|one| one == value)
                    // Identity and time, which stand apart.
                    || value.ends_with("1772440877000") && there.iter().any(|one| value.starts_with(one));
                assert!(
                    found || is_time || known.contains(&value.as_str()),
                    "{name} {format}: {value}"
                );
            }
        }
    }
}
