//! What is open on an asset.

use super::*;

#[test]
fn only_vulnerabilities_make_assets_as_well() {
    let bench = Bench::new();
    bench.findings(
        &[
            finding("1", "f", 2, json!({"host": {"name": "a", "ip": ["192.0.2.5"]}, "vulnerability": {"severity": "critical", "qds": 91, "cve": ["CVE-2026-0001", "CVE-2026-0002"]}})),
            finding("1", "g", 3, json!({"host": {"name": "a", "ip": ["192.0.2.5"]}, "vulnerability": {"qds": 40.5, "cve": ["CVE-2026-0002"]}})),
            finding("1", "h", 3, json!({"host": {"name": "a", "ip": ["192.0.2.5"]}, "vulnerability": {"severity": "odd"}})),
        ],
        &[seen("1", 5, &["f", "g", "h"], &[])],
    );
    let asset = bench.only();
    assert_eq!(
        (asset.name.as_str(), &asset.ip[..]),
        ("a", &["192.0.2.5".to_owned()][..])
    );
    let open = asset.open_detections;
    assert_eq!(
        (open.critical, open.high, open.unknown, open.total()),
        (1, 1, 1, 3)
    );
    assert_eq!((asset.cves, asset.worst_qds), (2, Some(91.0)));
    assert_eq!((asset.first_seen, asset.last_seen), (at(2), at(5)));
    let shown = bench.shown("a").detections;
    assert_eq!(shown[0].id, "f");
    assert_eq!(shown[0].cve, ["CVE-2026-0001", "CVE-2026-0002"]);
    assert_eq!((shown[0].first_seen, shown[0].last_seen), (at(2), at(2)));
}

#[test]
fn the_newest_record_of_a_detection_decides_whatever_order_they_come_in() {
    let active = finding("1", "f", 2, json!({"vulnerability": {"severity": "low"}}));
    let fixed = finding("1", "f", 4, json!({"vulnerability": {"status": "Fixed"}}));
    let again = finding(
        "1",
        "f",
        6,
        json!({"vulnerability": {"status": "Re-Opened", "severity": "critical"}}),
    );
    for (order, open) in [
        (vec![&active, &fixed], 0),
        (vec![&fixed, &active], 0),
        (vec![&fixed, &again, &active], 1),
        (vec![&again, &active, &fixed], 1),
    ] {
        let bench = Bench::new();
        for record in order {
            bench.findings(std::slice::from_ref(record), &[]);
        }
        let asset = bench.only();
        assert_eq!(asset.open_detections.total(), open);
        assert_eq!(asset.open_detections.critical, open);
        if open == 1 {
            let found = &bench.shown("host-1").detections[0];
            assert_eq!((found.first_seen, found.last_seen), (at(2), at(6)));
        }
    }
}

#[test]
fn a_detection_that_is_no_longer_reported_is_closed_and_open_when_it_is_reported_again() {
    let bench = Bench::new();
    bench.findings(
        &[
            finding("1", "f", 1, json!({})),
            finding("1", "g", 1, json!({})),
        ],
        &[seen("1", 1, &["f", "g"], &[])],
    );
    assert_eq!(bench.open("host-1"), ["f", "g"]);
    // Nothing new came, so that there is no record; and the host's time is the same.
    bench.findings(&[], &[seen("1", 1, &[], &["f"])]);
    assert_eq!(bench.open("host-1"), ["f"]);
    bench.findings(&[], &[seen("1", 1, &[], &["f", "g"])]);
    assert_eq!(bench.open("host-1"), ["f", "g"]);
    bench.findings(&[], &[seen("1", 1, &[], &[])]);
    assert_eq!(bench.open("host-1"), [""; 0]);
}

#[test]
fn a_detection_that_was_fixed_stays_so_when_it_is_seen_again_unchanged() {
    let bench = Bench::new();
    let fixed = finding("1", "f", 1, json!({"vulnerability": {"status": "Fixed"}}));
    bench.findings(&[fixed], &[seen("1", 1, &["f"], &[])]);
    bench.findings(&[], &[seen("1", 2, &[], &[])]);
    bench.findings(&[], &[seen("1", 3, &[], &["f"])]);
    assert_eq!(bench.open("host-1"), [""; 0]);
}

#[test]
fn a_host_that_goes_on_in_a_later_block_is_compared_when_it_ends() {
    let bench = Bench::new();
    let records = ["f", "g", "h"].map(|identity| finding("1", identity, 1, json!({})));
    bench.findings(&records, &[seen("1", 1, &["f", "g", "h"], &[])]);
    let mut begun = seen("1", 2, &[], &["f"]);
    begun["more"] = json!(true);
    bench.findings(&[], &[begun]);
    assert_eq!(bench.open("host-1"), ["f", "g", "h"]);
    bench.findings(&[], &[seen("1", 2, &[], &["h"])]);
    assert_eq!(bench.open("host-1"), ["f", "h"]);
    // What was remembered counts once.
    bench.findings(&[], &[seen("1", 3, &[], &["h"])]);
    assert_eq!(bench.open("host-1"), ["h"]);
}

#[test]
fn a_filter_on_fixed_leaves_nothing_open() {
    let bench = Bench::new();
    bench.findings(
        &[
            finding("1", "f", 1, json!({})),
            finding("1", "g", 1, json!({})),
        ],
        &[seen("1", 1, &["f", "g"], &[])],
    );
    let fixed = finding("1", "f", 2, json!({"vulnerability": {"status": "Fixed"}}));
    bench.findings(&[], &[seen("1", 2, &["f"], &["g"]), remains(&fixed)]);
    assert_eq!(bench.open("host-1"), ["g"]);
}

#[test]
fn what_a_filter_dropped_is_open_all_the_same() {
    let bench = Bench::new();
    let dropped = finding(
        "1",
        "f",
        2,
        json!({"asset": {"id": "x"}, "vulnerability": {"qds": 88, "cve": ["CVE-2026-0001"], "severity": "critical"}}),
    );
    bench.findings(&[], &[seen("1", 2, &["f"], &[]), remains(&dropped)]);
    let asset = bench.only();
    assert_eq!(asset.name, "host-1");
    assert_eq!(
        (asset.open_detections.critical, asset.cves, asset.worst_qds),
        (1, 1, Some(88.0))
    );
}

#[test]
fn a_detection_without_an_id_of_its_own_is_known_by_the_name_that_the_notes_have() {
    let bench = Bench::new();
    let place = "1:9001:443:tcp:1:::";
    let mut record = finding("1", "", 1, json!({"vulnerability": {"finding_id": place}}));
    record["event"].as_object_mut().unwrap().remove("id");
    bench.findings(&[record.clone()], &[seen("1", 1, &[place], &[])]);
    assert_eq!(bench.open("host-1"), [place]);
    record["vulnerability"]["status"] = json!("Fixed");
    record["timestamp"] = json!(at(2));
    bench.findings(&[], &[seen("1", 2, &[place], &[]), remains(&record)]);
    assert_eq!(bench.open("host-1"), [""; 0]);
}

#[test]
fn what_is_found_waits_until_something_is_told_about_its_host() {
    let bench = Bench::new();
    let mut record = finding("1", "f", 1, json!({}));
    record["host"].as_object_mut().unwrap().remove("name");
    bench.findings(&[record], &[seen("1", 1, &["f"], &[])]);
    assert!(bench.assets().is_empty());
    bench.hosts(ACME, &[host("1", 2, json!({"host": {"name": "a"}}))]);
    assert_eq!(bench.open("a"), ["f"]);
    assert_eq!(bench.only().open_detections.high, 1);
}

#[test]
fn a_merge_brings_what_is_open_on_both_together() {
    let bench = Bench::new();
    let of = |id: &str, identity: &str| {
        finding(
            id,
            identity,
            1,
            json!({"vulnerability": {"cve": ["CVE-2026-0001"]}}),
        )
    };
    bench.findings(
        &[of("1", "f"), of("2", "g")],
        &[seen("1", 1, &["f"], &[]), seen("2", 1, &["g"], &[])],
    );
    assert_eq!(bench.assets().len(), 2);
    let agent = |id: &str| {
        host(
            id,
            2,
            json!({"host": {"name": "one"}, "asset": {"id": "x"}}),
        )
    };
    bench.hosts(ACME, &[agent("1"), agent("2")]);
    let asset = bench.only();
    assert_eq!((asset.open_detections.high, asset.cves), (2, 1));
    // Each view is compared with its own.
    bench.findings(&[], &[seen("1", 3, &[], &[])]);
    assert_eq!(bench.open("one"), ["g"]);
}

#[test]
fn what_one_connector_no_longer_reports_another_may() {
    let bench = Bench::new();
    let agent = json!({"host": {"name": "one"}, "asset": {"id": "x"}});
    bench.findings(
        &[finding("1", "f", 1, agent.clone())],
        &[seen("1", 1, &["f"], &[])],
    );
    bench.block(
        ACME_TOO,
        Index::Scans,
        &[finding("1", "g", 1, agent)],
        &[seen("1", 1, &["g"], &[])],
    );
    assert_eq!(bench.open("one"), ["f", "g"]);
    bench.block(ACME_TOO, Index::Scans, &[], &[seen("1", 2, &[], &[])]);
    assert_eq!(bench.open("one"), ["f"]);
}
