use super::*;
use crate::search::lucene::{Operator, parse};
use serde_json::json;

const NOW: i64 = 1_772_452_800_000; // 2026-03-02T12:00:00Z

fn record() -> Value {
    json!({
        "msg_class": "acme_findings",
        "timestamp": 1_772_440_877_000_u64, // 2026-03-02T08:41:17Z
        "write_time": 1_772_442_031_123_u64,
        "stellar_uuid": "7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e901772440877000",
        "srcip": "192.0.2.15",
        "host": {"ip": ["192.0.2.15", "2001:db8::15"], "name": "build-07.corp.example", "os": {"full": "Ubuntu Linux 22.04.4"}},
        "event": {"severity": 4, "severity_str": "high"},
        "vulnerability": {"id": "991001", "status": "Active", "epss": 0.01234, "patchable": true, "cve": ["CVE-2026-0001", "CVE-2026-0002"]},
        "acme_scanner": {
            "FOUND": "2026-03-01T09:15:00Z",
            "TAGS": [{"NAME": "prod", "ID": "1"}, {"NAME": "Web Front", "ID": "2"}],
            "EMPTY": {}, "NULL": null, "NONE": [], "DOTTED.KEY": {"A": "b"},
            "RESULTS": "Package\tInstalled\nlibdemo\t1.2.0",
        },
    })
}

fn assert_matches(document: &Value, table: &[(&str, bool)]) {
    for (text, expected) in table {
        let query = parse(text, Operator::Or).expect(text);
        assert_eq!(matches(&query, document, NOW), *expected, "{text}");
    }
}

#[test]
fn texts_match_by_their_whole_or_by_words_one_behind_the_other() {
    assert_matches(
        &record(),
        &[
            ("host.name:build-07.corp.example", true),
            ("host.name:BUILD-07", true),
            ("host.name:corp.build-07", false),
            ("host.name:buil", false),
            ("host.os.full:\"linux 22.04\"", true),
            ("host.os.full:\"ubuntu 22.04\"", false),
            ("host.name:build*", true),
            ("host.name:*.example", true),
            ("host.name:b?ild-07*", true),
            ("host.name:c?rp", true),
            ("host.name:c?p", false),
            ("host.name:build-07.corp.exampl?", true),
            ("srcip:192.0.2.*", true),
            ("srcip:192.0.3.*", false),
            ("host.ip:2001:db8::15", true),
            ("acme_scanner.RESULTS:\"libdemo 1.2.0\"", true),
            ("acme_scanner.TAGS.NAME:\"web front\"", true),
            ("acme_scanner.TAGS.NAME:\"prod web\"", false),
            ("acme_scanner.DOTTED.KEY.A:b", true),
            ("vulnerability.cve:CVE-2026-0002", true),
            ("vulnerability.cve:2026", true),
            ("vulnerability.cve:CVE-2026-0003", false),
            ("host:build", false),
        ],
    );
}

#[test]
fn arrays_of_objects_are_flattened() {
    assert_matches(
        &record(),
        &[
            (
                "acme_scanner.TAGS.NAME:prod AND acme_scanner.TAGS.ID:2",
                true,
            ),
            ("acme_scanner.TAGS.ID:3", false),
        ],
    );
}

#[test]
fn numbers_are_compared_as_numbers_and_truth_as_truth() {
    assert_matches(
        &record(),
        &[
            ("event.severity:4", true),
            ("event.severity:4.0", true),
            ("event.severity:\"4\"", true),
            ("event.severity:four", false),
            ("event.severity:>=4", true),
            ("event.severity:>4", false),
            ("event.severity:<10", true),
            ("event.severity:[1 TO 4}", false),
            ("event.severity:{3 TO 4]", true),
            ("event.severity:[a TO z]", false),
            ("event.severity:4*", false),
            ("vulnerability.epss:[0.01 TO 0.02]", true),
            ("vulnerability.patchable:true", true),
            ("vulnerability.patchable:false", false),
            ("vulnerability.id:991001", true),
            ("vulnerability.id:991001.0", false),
            ("vulnerability.status:[a TO b]", true),
            ("vulnerability.status:[active TO active]", true),
            ("vulnerability.status:{active TO *]", false),
        ],
    );
}

#[test]
fn times_are_compared_as_moments_and_a_span_counts_as_a_whole() {
    assert_matches(
        &record(),
        &[
            ("timestamp:1772440877000", true),
            ("timestamp:1772440877001", false),
            ("timestamp:2026-03-02", true),
            ("timestamp:2026-03-01", false),
            ("timestamp:[2026-03-01 TO 2026-03-02]", true),
            ("timestamp:[2026-03-01 TO 2026-03-02}", false),
            ("timestamp:{2026-03-02 TO *]", false),
            ("timestamp:>=now-4h", true),
            ("timestamp:>=now-3h", false),
            ("timestamp:now/d", true),
            ("timestamp:>1772440877000", false),
            ("timestamp:>=1772440877000", true),
            ("timestamp:<=1772440877000", true),
            ("timestamp:[soon TO *]", false),
            ("acme_scanner.FOUND:2026-03-01", true),
            ("acme_scanner.FOUND:2026-03-01T09:15", true),
            ("acme_scanner.FOUND:2026-03-01T09:16", false),
            ("acme_scanner.FOUND:\"2026-03-01T10:15:00+01:00\"", true),
            ("acme_scanner.FOUND:\"2026-03-01T09:15:00Z\"", true),
            ("acme_scanner.FOUND:[2026-02-28 TO 2026-03-01]", true),
            ("acme_scanner.FOUND:{2026-03-01 TO *]", false),
            ("acme_scanner.FOUND:[* TO 2026-03-01}", false),
            ("acme_scanner.FOUND:[2026-03-01T09:15:01Z TO *]", false),
            ("acme_scanner.FOUND:2026-03*", true),
        ],
    );
}

#[test]
fn a_field_exists_if_any_value_lies_at_or_below_it() {
    assert_matches(
        &record(),
        &[
            ("_exists_:host", true),
            ("_exists_:host.os", true),
            ("host.ip:*", true),
            ("_exists_:acme_scanner.TAGS.NAME", true),
            ("_exists_:acme_scanner.DOTTED.KEY", true),
            ("_exists_:acme_scanner.EMPTY", false),
            ("_exists_:acme_scanner.NULL", false),
            ("_exists_:acme_scanner.NONE", false),
            ("_exists_:hos", false),
            ("_exists_:host.os.full.more", false),
        ],
    );
}

#[test]
fn a_record_is_found_by_its_id_with_or_without_the_moment_behind_it() {
    assert_matches(
        &record(),
        &[
            ("_id:7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e90", true),
            ("_id:7D1C5A52-3c0e-5d1b-9a4e-0f2b7c6d8e90", true),
            ("stellar_uuid:7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e90", true),
            (
                "stellar_uuid:7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e901772440877000",
                true,
            ),
            ("_id:7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e91", false),
            ("_exists_:_id", true),
        ],
    );
}

#[test]
fn a_value_without_a_field_is_looked_for_in_the_usual_ones() {
    assert_matches(
        &record(),
        &[
            ("build-07", true),
            ("CVE-2026-0001", true),
            ("libdemo", false),
            ("high AND active", true),
            ("high AND fixed", false),
            ("*", true),
        ],
    );
}

#[test]
fn conditions_are_joined_as_their_operators_say() {
    assert_matches(
        &record(),
        &[
            ("event.severity:4 AND NOT vulnerability.status:Fixed", true),
            ("event.severity:(1 OR 2)", false),
            ("event.severity:(1 OR 4)", true),
            ("-event.severity:4", false),
            ("NOT missing:1", true),
        ],
    );
}

#[test]
fn a_pattern_of_many_stars_takes_no_longer() {
    let pattern = format!("host.name:{}", "a*".repeat(2_000));
    let query = parse(&pattern, Operator::Or).expect("a pattern");
    let document = json!({"host": {"name": "a".repeat(256)}});
    assert!(!matches(&query, &document, NOW));
}
