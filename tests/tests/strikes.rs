//! Strikes: a plugin that faults again and again is held back, then set aside, and a mended one is not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use connector_runtime::Limits;
use connector_runtime::runs::{Held, Ledger, RunError, RunOutcome};
use connector_runtime::sandbox::FaultKind;
use connector_runtime::testing::{Bench, BenchError, Script};
use serde_json::json;
use std::time::Duration;

const SMALL: &str = r#"[{"id": "a1", "seen_ms": 1772440877000}]"#;

/// A list that the example plugin cannot hold in the memory it is given here.
fn large() -> String {
    format!(
        r#"[{{"id": "a1", "seen_ms": 1, "text": "{}"}}]"#,
        "x".repeat(4 << 20)
    )
}

async fn open(script: &Script) -> Bench {
    let limits = Limits {
        memory_bytes: 3 << 20,
        ..Limits::default()
    };
    Bench::of(tests::acme_component())
        .compiled(tests::compiled())
        .settings(json!({"url": "https://acme-scanner.example.test", "token_name": "demo", "token": "s3cret-token"}))
        .limits(limits)
        .upstream(script.clone())
        .open()
        .await
        .unwrap()
}

/// A run that the plugin does not survive.
async fn struck_out(bench: &mut Bench) -> Ledger {
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{}", ledger.to_json());
    assert!(ledger.struck_out);
    assert_eq!(ledger.contents[0].faults.len(), 3);
    ledger
}

fn held(result: Result<Ledger, BenchError>) -> Held {
    match result {
        Err(BenchError::Run(RunError::Held(held))) => held,
        other => panic!("{other:?}"),
    }
}

fn with_large(times: usize) -> Script {
    (0..times).fold(Script::new(), |script, _| script.answer(200, &[], large()))
}

#[tokio::test]
async fn three_strikes_end_a_run_and_hold_the_connector_back_for_a_while() {
    let script = with_large(3)
        .answer(200, &[], SMALL)
        .answer(200, &[], SMALL);
    let mut bench = open(&script).await;
    let ledger = struck_out(&mut bench).await;
    let now = bench.clock().now_ms();
    assert_eq!(ledger.resume_at, Some(now + 300_000));
    assert!(ledger.reason.contains("held back"), "{}", ledger.reason);

    let left = Duration::from_secs(300);
    assert_eq!(held(bench.collect().await), Held::Back { left });
    assert_eq!(script.requests().len(), 3, "nothing was sent");

    bench.clock().advance(left);
    let ledger = bench.collect().await.unwrap();
    assert_eq!((ledger.outcome, ledger.records), (RunOutcome::Done, 1));
    let ledger = bench.collect().await.unwrap();
    assert_eq!(
        ledger.outcome,
        RunOutcome::Done,
        "a kept batch clears the record"
    );
}

#[tokio::test]
async fn three_such_runs_in_a_row_set_it_aside_until_it_is_forced() {
    let script = with_large(9)
        .answer(200, &[], SMALL)
        .answer(200, &[], SMALL);
    let mut bench = open(&script).await;
    for back_off in [300, 1200] {
        struck_out(&mut bench).await;
        bench.clock().advance(Duration::from_secs(back_off));
    }
    let ledger = struck_out(&mut bench).await;
    assert_eq!(ledger.resume_at, None);
    bench.clock().advance(Duration::from_secs(30 * 86_400));
    assert_eq!(held(bench.collect().await), Held::Aside { runs: 3 });
    assert_eq!(script.requests().len(), 9, "nothing was sent");

    bench.options.force = true;
    assert_eq!(bench.collect().await.unwrap().outcome, RunOutcome::Done);
    bench.options.force = false;
    assert_eq!(bench.collect().await.unwrap().outcome, RunOutcome::Done);
}

#[tokio::test]
async fn a_run_that_keeps_something_beside_a_fault_clears_nothing() {
    let script = with_large(4)
        .answer(200, &[], SMALL)
        .answer(200, &[], large())
        .answer(200, &[], large())
        .answer(200, &[], large());
    let mut bench = open(&script).await;
    struck_out(&mut bench).await;
    bench.clock().advance(Duration::from_secs(300));
    let ledger = bench.collect().await.unwrap();
    assert_eq!((ledger.outcome, ledger.records), (RunOutcome::Done, 1));
    assert_eq!(ledger.contents[0].faults.len(), 1);
    let ledger = struck_out(&mut bench).await;
    let now = bench.clock().now_ms();
    assert_eq!(
        ledger.resume_at,
        Some(now + 1_200_000),
        "the second such run"
    );
}

#[tokio::test]
async fn a_fault_tells_its_story_and_is_kept_with_the_run() {
    let script = with_large(1).answer(200, &[], SMALL);
    let mut bench = open(&script).await;
    let ledger = bench.collect().await.unwrap();
    assert_eq!((ledger.outcome, ledger.records), (RunOutcome::Done, 1));
    let fault = &ledger.contents[0].faults[0];
    assert_eq!(
        (fault.kind, fault.call),
        (FaultKind::Limit, "collect-batch")
    );
    assert!(fault.message.contains("memory: "), "{}", fault.message);
    assert!(
        fault
            .panic
            .as_deref()
            .unwrap()
            .contains("memory allocation"),
        "{fault:?}"
    );
    assert!(
        fault
            .backtrace
            .iter()
            .any(|frame| frame.contains("acme_scanner_connector")),
        "{:?}",
        fault.backtrace
    );
    assert!(fault.advice.contains("[limits]"));

    let runs = bench.journal().runs(None, 1).unwrap();
    let kept: serde_json::Value = serde_json::from_str(runs[0].ledger.as_deref().unwrap()).unwrap();
    let fault = &kept["contents"][0]["faults"][0];
    assert_eq!(fault["kind"], "limit");
    assert!(fault["backtrace"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn a_plugin_that_cannot_start_has_a_run_that_says_so() {
    let script = Script::new();
    let mut bench = Bench::of(tests::acme_component())
        .compiled(tests::compiled())
        .settings(json!({"url": "https://acme-scanner.example.test", "token_name": "n".repeat(2 << 20), "token": "s3cret-token"}))
        .limits(Limits {
            memory_bytes: 3 << 20,
            ..Limits::default()
        })
        .upstream(script.clone())
        .open()
        .await
        .unwrap();
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{}", ledger.to_json());
    let fault = ledger.start_fault.as_ref().unwrap();
    assert_eq!((fault.kind, fault.call), (FaultKind::Limit, "configure"));
    assert_eq!(
        bench.journal().runs(None, 1).unwrap()[0].outcome.as_deref(),
        Some("failed")
    );
    assert!(matches!(held(bench.collect().await), Held::Back { .. }));
}

#[tokio::test]
async fn the_ledger_tells_the_use_of_every_limit() {
    let script = Script::new().answer(200, &[], SMALL);
    let mut bench = open(&script).await;
    let ledger = bench.collect().await.unwrap();
    let peak = |key: &str| {
        let spent = ledger
            .limits
            .iter()
            .find(|spent| spent.limit == key)
            .unwrap();
        (spent.peak.unwrap(), spent.allowed)
    };
    assert_eq!(ledger.limits.len(), connector_runtime::limits::TABLE.len());
    let (memory, allowed) = peak("memory_mib");
    assert!(memory > 64 << 10 && memory <= allowed && allowed == 3 << 20);
    assert_eq!(peak("emit_items").0, 1);
    assert_eq!(peak("batch_items").0, 1);
    assert_eq!(peak("item_depth").0, 2);
    assert!(peak("cursor_kib").0 > 0 && peak("report_mib").0 > 0 && peak("component_mib").0 > 0);
    assert!(peak("hostcall_mib").0 > 0 && peak("item_mib").0 > 0);
}
