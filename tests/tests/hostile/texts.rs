//! What people read: logs, messages, remarks, names.

use connector_runtime::Limits;
use connector_runtime::runs::RunOutcome;
use connector_runtime::sandbox::FaultKind::Contract;
use tests::hostile::{Attack, component, refusal};

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    let attacked = Attack::by("log_flood").run().await;
    attacked.came_to_nothing();
    assert_eq!(attacked.logs.len(), 200);
    assert_eq!(attacked.logs[0], format!("{}…", "x".repeat(4096)));
    assert_eq!(attacked.logs[199], "line 198");
    let dropped = attacked.ledger.contents[0].counter("log_lines_dropped");
    assert_eq!(dropped, 100_001 - 200);
}

#[tokio::test]
async fn all_log_lines_of_a_run_are_cut_and_counted_together() {
    let limits = Limits {
        run_log_lines: 50,
        ..Limits::default()
    };
    let attacked = Attack::by("log_flood").within(limits).run().await;
    attacked.came_to_nothing();
    assert_eq!(attacked.logs.len(), 50);
    let dropped = attacked.ledger.contents[0].counter("log_lines_dropped");
    assert_eq!(dropped, 100_001 - 50);
}

/// Asserts that a text a person reads cannot move a cursor, end a line or turn itself round.
fn harmless(what: &str, text: &str) {
    let harmful = |character: char| {
        character.is_control()
            || ('\u{2028}'..='\u{202e}').contains(&character)
            || ('\u{2066}'..='\u{2069}').contains(&character)
    };
    assert!(!text.contains(harmful), "{what}: {text:?}");
}

#[tokio::test]
async fn escape_sequences_reach_nobody() {
    let attacked = Attack::by("escape_sequences").run().await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    for line in &attacked.logs {
        harmless("log", line);
    }
    assert_eq!(attacked.logs.len(), 3);
    for remark in &attacked.ledger.warnings {
        harmless("pointer", &remark.pointer);
        harmless("remark", &remark.message);
    }
    assert_eq!(attacked.ledger.warnings.len(), 1);
    let content = &attacked.ledger.contents[0];
    for notice in &content.notices {
        harmless("code", &notice.code);
        harmless("notice", &notice.message);
    }
    assert_eq!(content.notices.len(), 1);
    let failure = content.failure.as_ref().unwrap();
    harmless("failure", &failure.message);
    harmless("failure", &failure.advice);
    let panic = content.faults[0].panic.as_ref().unwrap();
    for line in panic.lines().filter(|line| line.contains("forged")) {
        harmless("panic", line);
    }
    for denial in &attacked.ledger.traffic.denials {
        harmless("denial", denial);
    }
    assert_eq!(attacked.ledger.traffic.denials.len(), 1);
    harmless("reason", &attacked.ledger.reason);
    // What was tried is still to be read.
    let told = [
        &attacked.logs[0],
        &failure.message,
        &content.notices[0].message,
    ];
    assert!(told.iter().all(|text| text.contains("ERROR forged line")));

    let mut bench = Attack::by("escape_sequences").open().await;
    let report = bench.test().await.unwrap();
    let check = &report.checks[0];
    harmless("check", &check.id);
    harmless("check", &check.label);
    harmless("check", &check.error.as_ref().unwrap().message);
}

#[tokio::test]
async fn a_hundred_thousand_remarks_are_refused() {
    let attacked = Attack::by("many_remarks").run().await;
    let fault = attacked.ledger.start_fault.as_ref().unwrap();
    assert_eq!((fault.kind, fault.call), (Contract, "configure"));
    assert_eq!(
        fault.message,
        "The plugin returned 100000 remarks, at most 100 are allowed."
    );
}

#[tokio::test]
async fn a_hundred_thousand_checks_and_a_million_parts_are_refused() {
    let attacked = Attack::by("many_parts").run().await;
    attacked.came_to_nothing();
    let mut bench = Attack::by("many_parts").open().await;
    let fault = bench.test().await.unwrap().fault.unwrap();
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (
            Contract,
            "The plugin returned 100000 checks, at most 100 are allowed."
        )
    );
    for (most, sentence) in [
        (
            8,
            "The plugin returned 1000000 parts, at most 8 are allowed.",
        ),
        (
            1,
            "The plugin returned 70000 bytes of a cursor, at most 65536 are allowed.",
        ),
    ] {
        let refused = bench.plan("things", most).await.unwrap().unwrap_err();
        assert_eq!(refused.to_string(), sentence);
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_refused() {
    let bytes = std::fs::read(component("huge_manifest")).unwrap();
    let limits = Limits {
        memory_bytes: 512 << 20,
        ..Limits::default()
    };
    assert_eq!(
        refusal(&bytes, limits.clone()).await,
        "its `describe` failed: The plugin was stopped: one call of a host function may not carry that much out of the plugin (`hostcall_mib`).",
    );
    let limits = Limits {
        hostcall_bytes: 256 << 20,
        ..limits
    };
    let refused = refusal(&bytes, limits).await;
    assert!(
        refused.starts_with("its `describe` failed: it returned a manifest of 10000")
            && refused.ends_with(" bytes, and at most 262144 are allowed."),
        "{refused}"
    );
}

#[tokio::test]
async fn a_manifest_with_an_escape_sequence_in_its_name_is_refused() {
    let bytes = std::fs::read(component("manifest_escapes")).unwrap();
    assert_eq!(
        refusal(&bytes, Limits::default()).await,
        "its manifest is not usable: /name holds a control character, which could write over what a terminal shows."
    );
}

#[tokio::test]
async fn a_schema_that_would_take_for_ever_is_refused() {
    let bytes = std::fs::read(component("schema_bomb")).unwrap();
    assert_eq!(
        refusal(&bytes, Limits::default()).await,
        "its manifest is not usable: settings: `$ref` is not allowed: write the part out."
    );
}
