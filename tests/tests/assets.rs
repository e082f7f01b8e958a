//! Assets of the real component: one for each host of the estate, with what is open on it, whoever is asked.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests::process::{SimProcess, Site, ask_socket};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What is open on each host, by severity.
fn open(findings: &[Value]) -> BTreeMap<&str, BTreeMap<&str, u64>> {
    let mut open: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for finding in findings {
        let of_host = open.entry(text(finding, "/host/id")).or_default();
        if text(finding, "/vulnerability/status") != "Fixed" {
            *of_host
                .entry(text(finding, "/vulnerability/severity"))
                .or_default() += 1;
        }
    }
    open
}

#[test]
fn every_host_is_an_asset_with_what_is_open_on_it_and_a_deleted_table_comes_back_the_same() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    site.collect().unwrap();
    let assets = site.export("assets").unwrap();
    let syslog = site.export("syslog").unwrap();
    let hosts: Vec<&Value> = syslog
        .iter()
        .filter(|record| text(record, "/event/category") == "host")
        .collect();
    let findings = site.export("scans").unwrap();
    assert!(hosts.len() > 5 && findings.len() > hosts.len());

    let ids = |asset: &Value| -> Vec<String> {
        serde_json::from_value(asset["vendor_ids"].clone()).unwrap()
    };
    let known: Vec<String> = assets.iter().flat_map(ids).collect();
    let expected: BTreeSet<&str> = hosts.iter().map(|host| text(host, "/host/id")).collect();
    assert_eq!(known.len(), expected.len());
    assert_eq!(
        known.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    let open = open(&findings);
    for asset in &assets {
        for severity in ["critical", "high", "medium", "low", "informational"] {
            let of_host = |id: &String| open.get(id.as_str()).and_then(|open| open.get(severity));
            let expected: u64 = ids(asset).iter().filter_map(of_host).sum();
            assert_eq!(asset["open_detections"][severity], expected, "{asset}");
        }
    }
    for host in &hosts {
        let id = text(host, "/host/id").to_owned();
        let asset = assets
            .iter()
            .find(|asset| ids(asset).contains(&id))
            .unwrap();
        if ids(asset).len() == 1 {
            assert_eq!(asset["name"], host["host"]["name"]);
            assert_eq!(asset.get("os"), host.pointer("/host/os/full"));
        }
    }

    for file in ["assets.sqlite", "assets.sqlite-wal", "assets.sqlite-shm"] {
        let _ = std::fs::remove_file(site.path().join(file));
    }
    assert_eq!(site.export("assets").unwrap(), assets);

    // The process that serves follows the journal itself; a command waits for it.
    std::fs::remove_file(site.path().join("assets.sqlite")).unwrap();
    let serving = site.serve().unwrap();
    assert_eq!(site.export("assets").unwrap(), assets);
    let (code, listed) = site
        .answer(&[
            "assets",
            "list",
            "--sort",
            "-worst_qds",
            "--limit",
            "3",
            "--filter",
            "open=>0",
        ])
        .unwrap();
    assert_eq!(code, 0);
    let worst = |asset: &Value| asset["worst_qds"].as_f64().unwrap_or(0.0);
    let first = assets.iter().map(worst).fold(0.0, f64::max);
    assert_eq!(listed["assets"].as_array().unwrap().len(), 3);
    assert!((worst(&listed["assets"][0]) - first).abs() < f64::EPSILON);
    let id = text(&listed["assets"][0], "/id").to_owned();
    let (code, shown) = site.answer(&["assets", "show", &id]).unwrap();
    assert_eq!((code, &shown["asset"]), (0, &listed["assets"][0]));
    let answered = ask_socket(site.path(), "GET", &format!("/assets/{id}"), None);
    assert_eq!(answered.unwrap(), (200, shown.clone()));
    let found = shown["detections"].as_array().unwrap();
    let open = shown["asset"]["open_detections"].as_object().unwrap();
    assert_eq!(
        found.len() as u64,
        open.values().filter_map(Value::as_u64).sum::<u64>()
    );
    let (code, refused) = site.answer(&["assets", "show", "nothing"]).unwrap();
    assert_eq!((code, text(&refused, "/error/code")), (2, "not-found"));
    let (code, refused) = site
        .answer(&["assets", "list", "--sort", "colour"])
        .unwrap();
    assert_eq!((code, text(&refused, "/error/code")), (2, "usage"));
    serving.end().unwrap();
}
