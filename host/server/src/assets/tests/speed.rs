//! How fast detections are taken up: `cargo test --release -p connector-host assets::tests::speed -- --ignored --nocapture`.

use super::*;
use std::time::Instant;

#[test]
#[ignore = "it measures, and means something in a release build only"]
fn detections_taken_up_in_a_second() {
    const HOSTS: usize = 2_000;
    const EACH: usize = 60;
    let bench = Bench::new();
    let vendor: Value = (0..60)
        .map(|number| (format!("FIELD_{number}"), json!("a value of some length")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for block in 0..HOSTS / 20 {
        let mut records = Vec::new();
        let mut notes = Vec::new();
        for number in 0..20 {
            let id = (block * 20 + number).to_string();
            let names: Vec<String> = (0..EACH).map(|one| format!("{id}-{one}")).collect();
            for (one, name) in names.iter().enumerate() {
                records.push(finding(&id, name, one as u64, json!({
                    "host": {"ip": [format!("198.51.{}.{}", block % 256, number)], "os": {"full": "Linux"}}, "asset": {"network": "0", "tracking": "agent", "id": format!("agent-{id}")},
                    "vulnerability": {"qds": one, "cve": [format!("CVE-2026-{one:04}")]}, "acme_scanner": vendor,
                })));
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            notes.push(seen(&id, 60, &names, &[]));
        }
        bench.findings(&records, &notes);
    }
    let started = Instant::now();
    bench.take_up();
    let took = started.elapsed();
    let count = HOSTS * EACH;
    println!(
        "{count} detections of {HOSTS} hosts: {:.0} a second",
        count as f64 / took.as_secs_f64()
    );
    assert_eq!(
        bench.listed(&[("open", "60")], None).len(),
        1_000,
        "a page of them"
    );
}
