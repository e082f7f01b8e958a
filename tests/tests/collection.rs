//! The main job: everything that Qualys lists becomes a durable record, once.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::testing::Bench;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Vendor, settings};

fn done(ledger: &Ledger) {
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.to_json());
}

fn count(records: &[Value], class: &str) -> usize {
    records
        .iter()
        .filter(|record| record["msg_class"] == class)
        .count()
}

/// Identity of every record: a state that stands twice would show.
fn ids(records: &[Value]) -> BTreeSet<String> {
    records
        .iter()
        .map(|record| record["stellar_uuid"].as_str().unwrap()[..36].to_owned())
        .collect()
}

async fn open(vendor: &Vendor) -> Bench {
    vendor.bench().open().await.unwrap()
}

#[tokio::test]
async fn every_host_and_every_detection_becomes_a_record_once() {
    let vendor = Vendor::with("--hosts 120 --detections 20 --seed 7");
    let mut bench = open(&vendor).await;
    let ledger = bench.collect().await.unwrap();
    done(&ledger);
    let records = bench.records().unwrap();
    assert_eq!(count(&records, "qualys_hosts"), 120);
    assert_eq!(count(&records, "qualys_vulnerabilities"), 2400);
    assert_eq!(ids(&records).len(), 2520);
    for content in &ledger.contents {
        assert_eq!(content.counter("listed"), 120, "{}", content.content_type);
        assert!(content.equations.iter().all(|equation| equation.holds));
    }
}

#[tokio::test]
async fn a_second_run_adds_nothing_also_when_the_overlap_covers_the_whole_estate() {
    let vendor = Vendor::with("--hosts 60 --detections 10 --fresh");
    let mut bench = open(&vendor).await;
    done(&bench.collect().await.unwrap());
    let before = bench.records().unwrap();
    let ledger = bench.collect().await.unwrap();
    done(&ledger);
    assert_eq!(ledger.records, 0);
    assert_eq!(bench.records().unwrap(), before);
    let hosts = ledger.content("hosts").unwrap();
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(hosts.counter("repeated"), 60);
    assert_eq!(detections.counter("repeated"), 600);
}

#[tokio::test]
async fn an_increment_brings_what_changed() {
    let vendor = Vendor::with("--hosts 60 --detections 10");
    let mut bench = open(&vendor).await;
    done(&bench.collect().await.unwrap());
    vendor.simulator.advance(3600);
    let ledger = bench.collect().await.unwrap();
    done(&ledger);
    assert!(ledger.records > 0);
    let records = bench.records().unwrap();
    assert_eq!(ids(&records).len(), records.len());
    let asked: Vec<_> = vendor
        .simulator
        .requests()
        .iter()
        .flat_map(|request| request.parameters.clone())
        .filter(|(name, _)| name == "vm_processed_after")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(asked, ["2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"]);
}

#[tokio::test]
async fn small_pages_bring_the_same_records_as_large_ones() {
    let vendor = Vendor::with("--hosts 45 --detections 7 --rate-limit 100000");
    let mut large = open(&vendor).await;
    done(&large.collect().await.unwrap());
    let mut small = open(&vendor).await;
    small
        .set_settings(&settings(json!({"hosts_per_page": 4})))
        .unwrap();
    let ledger = small.collect().await.unwrap();
    done(&ledger);
    assert_eq!(ledger.content("hosts").unwrap().counter("pages"), 12);
    let keys = |bench: &Bench| {
        let mut bodies: Vec<String> = bench
            .records()
            .unwrap()
            .iter()
            .map(|record| record["qualys_cloud_platform"].to_string())
            .collect();
        bodies.sort();
        bodies
    };
    assert_eq!(keys(&large), keys(&small));
}

#[tokio::test]
async fn a_batch_ends_when_its_time_is_over_and_no_record_is_lost() {
    let mut batches = Vec::new();
    for seconds in [2, 3600] {
        let vendor = Vendor::with("--hosts 60 --detections 3 --switch drip=4000:1000");
        let limits = connector_runtime::Limits {
            batch_soft_deadline: std::time::Duration::from_secs(seconds),
            ..connector_runtime::Limits::default()
        };
        let mut bench = vendor.bench().limits(limits).open().await.unwrap();
        let ledger = bench.collect().await.unwrap();
        done(&ledger);
        assert_eq!(ledger.records, 240);
        batches.push(
            ledger
                .contents
                .iter()
                .map(|content| content.batches)
                .sum::<u64>(),
        );
    }
    assert!(batches[0] > 4 * batches[1], "{batches:?}");
}

#[tokio::test]
async fn batches_smaller_than_a_host_bring_every_record() {
    let vendor = Vendor::with("--hosts 20 --detections 40");
    let limits = connector_runtime::Limits {
        batch_items: 5,
        ..connector_runtime::Limits::default()
    };
    let mut bench = vendor.bench().limits(limits).open().await.unwrap();
    done(&bench.collect().await.unwrap());
    let records = bench.records().unwrap();
    assert_eq!(count(&records, "qualys_vulnerabilities"), 800);
    assert_eq!(ids(&records).len(), 820);
}
