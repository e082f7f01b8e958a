//! Searches on the command line: what was collected is found, whoever answers, and as many as there are.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

/// What a search says, which must be answered.
fn said(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(&[&["search"], arguments].concat()).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn found(site: &Site, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(site, &[arguments, &["--json"]].concat())).unwrap()
}

fn total(site: &Site, arguments: &[&str]) -> usize {
    let total = found(site, arguments)["hits"]["total"]["value"].as_u64();
    usize::try_from(total.unwrap()).unwrap()
}

/// How many exported records have a value that a test accepts at a pointer.
fn count(records: &[Value], pointer: &str, accepts: impl Fn(&Value) -> bool) -> usize {
    let values = records.iter().filter_map(|record| record.pointer(pointer));
    values.filter(|value| accepts(value)).count()
}

/// The searches by which one verifies that records have come in, and a few more, with as many hits as the export says.
fn assert_answers(site: &Site) {
    let syslog = site.export("syslog").unwrap();
    let scans = site.export("scans").unwrap();
    let class = |name: &'static str| move |value: &Value| value == name;
    let hosts = count(&syslog, "/msg_class", class("qualys_hosts"));
    assert!(hosts > 0 && scans.len() > 10, "{hosts} {}", scans.len());

    let both = "msg_class:qualys_hosts OR msg_class:qualys_vulnerabilities";
    assert_eq!(total(site, &["--index", "syslog", both]), syslog.len());
    assert_eq!(
        total(
            site,
            &["--index", "scans", "msg_class:qualys_vulnerabilities"]
        ),
        scans.len()
    );
    assert_eq!(total(site, &["--index", "assets"]), hosts);

    let severe = count(&scans, "/event/severity", |value| value.as_u64() >= Some(4));
    assert!(severe > 0 && severe < scans.len());
    assert_eq!(
        total(site, &["--index", "scans", "event.severity:>=4"]),
        severe
    );
    assert_eq!(
        total(
            site,
            &[
                "--index",
                "scans",
                "NOT event.severity:[4 TO *]",
                "--last",
                "24h"
            ]
        ),
        scans.len() - severe
    );
    assert_eq!(
        total(site, &["--index", "scans", "--to", "2020-01-01"]),
        0,
        "none was kept before"
    );
    let qid = scans[0]["vulnerability"]["id"].as_str().unwrap();
    let of_qid = count(&scans, "/vulnerability/id", |value| value == qid);
    assert_eq!(total(site, &["--index", "scans", qid]), of_qid);

    let one = scans[0]["stellar_uuid"].as_str().unwrap();
    let hit = found(site, &["--index", "scans", &format!("_id:{}", &one[..36])]);
    assert_eq!(hit["hits"]["hits"][0]["_source"], scans[0]);

    let csv = said(
        site,
        &[
            "--index",
            "scans",
            "--size",
            "all",
            "--csv",
            "--columns",
            "_id,event.severity",
        ],
    );
    let mut ids: Vec<&str> = csv.lines().skip(1).map(|line| &line[..36]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), scans.len());

    let counted = found(
        site,
        &[
            "--index",
            "scans",
            "--size",
            "0",
            "--top",
            "event.severity",
            "--histogram",
            "1d",
        ],
    );
    let sum = |name: &str| -> u64 {
        let buckets = counted["aggregations"][name]["buckets"].as_array().unwrap();
        let counts = buckets.iter().map(|bucket| bucket["doc_count"].as_u64());
        counts.map(Option::unwrap).sum()
    };
    assert_eq!(sum("top_event.severity"), scans.len() as u64);
    assert_eq!(sum("histogram"), scans.len() as u64);
}

#[test]
fn what_was_collected_is_found_and_counted_whether_a_host_serves_or_not() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    site.collect().unwrap();
    assert_answers(&site);
    let table = said(&site, &["--index", "scans", "--size", "3"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("write_time"), "{table}");
    assert!(lines[5].contains("hits, 3 shown"), "{table}");
    let here = found(
        &site,
        &["--index", "scans", "--sort", "vulnerability.id,host.id"],
    );

    let serving = site.serve().unwrap();
    assert_answers(&site);
    let there = found(
        &site,
        &["--index", "scans", "--sort", "vulnerability.id,host.id"],
    );
    assert_eq!(here["hits"], there["hits"]);
    serving.end().unwrap();
}

#[test]
fn a_mistake_is_pointed_at_before_anything_is_opened() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let output = site
        .run(&["search", "--index", "scans", "event.severity:[4 5]"])
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("column 19: TO is missing here"), "{error}");
    assert!(
        error.contains("\n  event.severity:[4 5]\n                    ^"),
        "{error}"
    );
    let output = site.run(&["search", "--index", "scans"]).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    site.collect().unwrap();
    let output = site
        .run(&["search", "--index", "scans", "--tenant", "nobody"])
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("no tenant `nobody`"), "{error}");
}
