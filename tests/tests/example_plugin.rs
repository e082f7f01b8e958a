//! The host is vendor-free: a connector that is not Qualys runs in it unchanged.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::runs::RunOutcome;
use connector_runtime::testing::{Bench, Script};
use serde_json::json;

fn settings() -> serde_json::Value {
    json!({"url": " acme-scanner.example.test/ ", "token_name": "demo", "token": "s3cret-token"})
}

async fn open(script: &Script) -> Bench {
    Bench::of(tests::acme_component())
        .compiled(tests::compiled())
        .settings(settings())
        .upstream(script.clone())
        .open()
        .await
        .unwrap()
}

const ASSETS: &str = r#"[
  {"id": "a1", "seen_ms": 1772440877000, "name": "press"},
  {"id": "a2", "seen_ms": 1772440878000, "name": "lathe"}
]"#;

#[tokio::test]
async fn the_example_plugin_collects_through_the_same_host() {
    let script = Script::new().answer(200, &[], ASSETS);
    let mut bench = open(&script).await;
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.to_json());
    assert_eq!(ledger.records, 2);

    let records = bench.records().unwrap();
    assert_eq!(records[1]["acme_scanner"]["name"], "lathe");
    assert_eq!(records[1]["msg_class"], "acme_assets");
    assert_eq!(records[1]["msg_origin"]["source"], "acme_scanner");
    assert_eq!(records[1]["domain"], "https://acme-scanner.example.test");
    assert_eq!(records[1]["timestamp"], 1_772_440_878_000_u64);

    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url, "https://acme-scanner.example.test/assets");
    assert_eq!(
        requests[0].headers["authorization"],
        "Basic ZGVtbzpzM2NyZXQtdG9rZW4="
    );
}

#[tokio::test]
async fn a_refused_login_makes_one_call_and_stops() {
    let script = Script::new().answer(401, &[], "").answer(200, &[], ASSETS);
    let mut bench = open(&script).await;
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Failed);
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_is_tried_again_in_virtual_time() {
    let script = Script::new()
        .answer(503, &[], "")
        .answer(503, &[], "")
        .answer(200, &[], ASSETS);
    let mut bench = open(&script).await;
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.reason);
    let waits: Vec<u64> = bench
        .waits()
        .iter()
        .map(|(time, _)| time.as_secs())
        .collect();
    assert_eq!(waits, [1, 2]);
    assert_eq!(bench.clock().elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_file_that_is_no_regular_file_is_skipped_and_the_others_load() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(tests::acme_component(), folder.path().join("acme.wasm")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless.wasm")).unwrap();
    let engine = connector_runtime::sandbox::Engine::new(
        None,
        connector_runtime::Limits::default(),
        connector_runtime::Clock::system(),
    )
    .unwrap();
    let directory = connector_runtime::plugins::Directory::load(&engine, folder.path())
        .await
        .unwrap();
    assert!(directory.find("acme-scanner").is_some());
    let endless = &directory.listings()[1];
    let refused = endless.refused.as_deref().unwrap();
    assert!(refused.contains("not a regular file"), "{refused}");
}
