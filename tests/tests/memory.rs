//! Memory: whatever one host holds, the component reads it in the same few megabytes, and all of it arrives.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::runs::Ledger;
use connector_runtime::testing::Bench;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use tests::estate::{collect, open, vendor};
use tests::truth::{LABEL, Truth, done};
use tests::{Vendor, settings};

const PEAK: u64 = 16 << 20;

/// The detections of an estate, as the connector collects them.
async fn detections(options: &str) -> (Vendor, Bench, Ledger) {
    let vendor = vendor(&format!(
        "--ignored 0 --disabled 0 --info 0 --clean 0 {options}"
    ));
    let mut bench = open(&vendor, json!({"content_type": ["vulnerabilities"]})).await;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert!(
        ledger.usage.memory_peak_bytes <= PEAK,
        "{} bytes",
        ledger.usage.memory_peak_bytes
    );
    assert!(ledger.usage.memory_peak_bytes > 0);
    (vendor, bench, ledger)
}

/// Every record, one block at a time: all of them together would be too much.
fn each(bench: &Bench, mut look: impl FnMut(&Value)) {
    for block in bench.journal().blocks(None, 0) {
        for record in block.unwrap().records().unwrap().iter() {
            look(&serde_json::from_slice(record).unwrap());
        }
    }
}

/// Text as the simulator fills large elements with it: so many bytes of one period, again and again.
fn filling(bytes: u64) -> impl Iterator<Item = Vec<u8>> {
    let sample = vendor("--hosts 1 --detections 1 --twins 0 --switch heavy-host=0:65536");
    let truth = Truth::of(&sample);
    let period = truth
        .detections
        .values()
        .find_map(|(_, it)| Some(it["RESULTS"].as_str()?.as_bytes().to_vec()))
        .unwrap();
    assert_eq!(period.len(), 65_536);
    let whole = bytes / 65_536;
    let rest = period[..usize::try_from(bytes % 65_536).unwrap()].to_vec();
    (0..whole).map(move |_| period.clone()).chain([rest])
}

#[tokio::test]
async fn one_host_with_100_000_detections_arrives_whole_in_flat_memory() {
    let (_, bench, ledger) =
        detections("--hosts 3 --detections 5 --switch many-detections=1:100000").await;
    let mut keys = BTreeSet::new();
    let mut records = 0;
    each(&bench, |record| {
        records += 1;
        keys.insert(record["event"]["id"].as_str().unwrap().to_owned());
    });
    assert_eq!((records, keys.len()), (100_010, 100_010));
    let content = &ledger.contents[0];
    assert_eq!(
        (content.counter("listed"), content.counter("pages")),
        (3, 1)
    );
    assert!(content.batches > 5, "a batch ends inside the host");

    // Known again, also in pieces, and after a change of one scan only what changed is new.
    let mut bench = bench;
    bench.options.full = true;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert_eq!(
        (ledger.records, ledger.contents[0].counter("repeated")),
        (0, 100_010)
    );
    assert!(
        ledger.usage.memory_peak_bytes <= PEAK,
        "{} bytes",
        ledger.usage.memory_peak_bytes
    );
}

#[tokio::test]
async fn one_host_with_200_megabytes_of_results_arrives_whole_in_flat_memory() {
    const EACH: u64 = 200_000;
    let (_, bench, ledger) = detections(&format!(
        "--hosts 1 --twins 0 --detections 1000 --switch heavy-host=0:{EACH}"
    ))
    .await;
    let expected: Vec<u8> = filling(EACH).flatten().collect();
    let mut keys = BTreeSet::new();
    each(&bench, |record| {
        let detection = &record[LABEL]["DETECTION"];
        assert!(
            detection["RESULTS"].as_str().unwrap().as_bytes() == expected,
            "the text differs"
        );
        assert!(detection.get("RESULTS_TRUNCATED").is_none());
        keys.insert(record["event"]["id"].as_str().unwrap().to_owned());
    });
    assert_eq!(keys.len(), 1000);
    assert!(ledger.traffic.bytes_received > 200_000_000);
    assert_eq!(ledger.contents[0].counter("truncated"), 0);
}

#[tokio::test]
async fn a_single_text_of_200_megabytes_arrives_cut_with_its_length_and_hash_in_flat_memory() {
    const BYTES: u64 = 200_000_000;
    let (_, bench, ledger) = detections(&format!(
        "--hosts 2 --detections 3 --switch huge-results=1:{BYTES}"
    ))
    .await;
    let mut hash = Sha256::new();
    filling(BYTES).for_each(|piece| hash.update(&piece));
    let digest: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let start: Vec<u8> = filling(BYTES).take(4).flatten().collect();
    let (mut cut, mut whole) = (0, 0);
    each(&bench, |record| {
        let detection = &record[LABEL]["DETECTION"];
        let Some(mark) = detection.get("RESULTS_TRUNCATED") else {
            whole += 1;
            return;
        };
        cut += 1;
        assert_eq!(*mark, json!({"length": BYTES, "sha256": digest}));
        let kept = detection["RESULTS"].as_str().unwrap().as_bytes();
        assert!(kept == start && kept.len() == 262_144);
    });
    assert_eq!((cut, whole), (1, 5));
    assert_eq!(ledger.contents[0].counter("truncated"), 1);
    assert!(ledger.traffic.bytes_received > BYTES);
}

#[tokio::test]
async fn a_large_host_is_continued_in_its_middle() {
    // The connection breaks twice inside the host; each run of the walk goes on behind what is durable.
    let vendor = vendor(
        "--ignored 0 --disabled 0 --info 0 --hosts 2 --detections 3 --switch many-detections=0:20000 --switch cut-abrupt=9000000,at=hld,times=2",
    );
    let only = settings(json!({"content_type": ["vulnerabilities"]}));
    let mut bench = vendor.bench().settings(only).open().await.unwrap();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    let mut keys = BTreeSet::new();
    let mut records = 0;
    each(&bench, |record| {
        records += 1;
        keys.insert(record["stellar_uuid"].as_str().unwrap()[..36].to_owned());
    });
    assert_eq!((records, keys.len()), (20_003, 20_003));
    assert_eq!(ledger.contents[0].counter("listed"), 2);
    assert!(
        ledger.usage.memory_peak_bytes <= PEAK,
        "{} bytes",
        ledger.usage.memory_peak_bytes
    );
}
