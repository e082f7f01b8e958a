use super::*;
use connector_runtime::manifest::Counter;
use serde_json::json;

fn plan() -> LedgerPlan {
    let counter = |id: &str, label: &str| Counter {
        id: id.into(),
        label: label.into(),
    };
    LedgerPlan {
        counters: vec![
            counter("pages", "Pages read"),
            counter("listed", "Assets listed"),
            counter("collected", "Assets collected"),
            counter("set_aside", "Assets set aside"),
        ],
        equations: Vec::new(),
    }
}

fn ledger() -> Value {
    json!({
        "connector": {"tenant_id": "0", "tenant": "acme", "connector_id": "0", "name": "scanner-1", "type": "acme-scanner"},
        "started": 1_772_442_900_000u64, "ended": 1_772_443_090_000u64,
        "outcome": "incomplete",
        "reason": "assets: something that was listed could not be collected (see set_aside and notices)",
        "records": 1499,
        "contents": [{
            "content_type": "assets", "outcome": "incomplete",
            "reason": "something that was listed could not be collected (see set_aside and notices)",
            "records": 1499, "bytes": 1_250_000, "batches": 3,
            "counters": {"pages": 3, "listed": 1500, "collected": 1499, "set_aside": 1, "log_lines_dropped": 7, "clean": 0},
            "equations": [{"total": "listed", "value": 1500, "parts": ["collected", "set_aside"], "sum": 1500, "holds": true}],
            "retries": 1,
            "set_aside": [{"object": "70010001", "code": "too-deep", "message": "Its elements\u{1b}[31m nest too deep."}],
            "unknown_elements": {"ASSET/COLOUR": 3},
            "notices": [{"code": "full-walk", "message": "Everything was read again."}],
            "window": {"walk": "full", "page_size": 500, "after": null},
            "failure": {"kind": "unavailable", "code": "http-503", "message": "The scanner is down.", "advice": "", "http_status": 503, "retry_after_ms": null},
            "faults": [], "resume_at": null,
        }],
        "warnings": [{"pointer": "/url", "message": "This looks like the console's address."}],
        "traffic": {"requests": 5, "bytes_sent": 420, "bytes_received": 2_000_000, "permit_wait_ms": 0, "held_back": 0, "denials": [], "denied": 0, "last_failure": null},
        "quota": [
            {"bucket": "assets", "calls_in_window": 5, "limit": 300, "window_seconds": 3600, "remaining": 295, "not_before": null, "concurrency": 2},
            {"bucket": "scans\u{1b}", "calls_in_window": 1, "limit": 40, "window_seconds": 600, "remaining": 0, "not_before": 1_772_443_500_000u64, "concurrency": 2},
        ],
        "waited_ms": 61_000,
        "usage": {"memory_peak_bytes": 5 << 20, "cpu_ms": 1_240, "host_memory_peak_bytes": 40 << 20},
        "resume_at": null,
    })
}

#[test]
fn a_ledger_says_what_was_asked_what_came_what_is_missing_and_why() {
    let text = of_ledger(&ledger().to_string(), &plan());
    assert_eq!(
        text,
        "\
connector scanner-1 (acme-scanner, tenant acme)
  outcome   incomplete: assets: something that was listed could not be collected (see set_aside and notices)
  run       began 2026-03-02T09:15:00Z, took 3 min 10 s, waited 1 min 1 s
  records   1,499 committed
  traffic   5 requests, 420 B sent, 2.0 MB received
  quota     assets: 5 calls of 300 in 1 h 0 min, 295 left
  quota     scans : 1 call of 40 in 10 min 0 s, 0 left; none before 2026-03-02T09:25:00Z
  plugin    at most 5.0 MiB of memory, 1.2 s of CPU; the host itself at most 40.0 MiB
  warning   settings.url: This looks like the console's address.
assets: incomplete
  why       something that was listed could not be collected (see set_aside and notices)
  asked     page size 500, walk full
  came      1,499 records (1.2 MB) in 3 batches
  counted   Pages read 3, Assets listed 1,500, Assets collected 1,499, Assets set aside 1, log lines dropped 7
  balance   Assets listed = Assets collected + Assets set aside: 1,500 accounted for
  repeated  1 attempt; the last failure: The scanner is down. (code http-503, HTTP 503)
  set aside 70010001 (too-deep): Its elements [31m nest too deep.
  unknown   ASSET/COLOUR, 3 times, kept as it came
  notice    Everything was read again."
    );
}

#[test]
fn an_equation_that_does_not_hold_is_loud() {
    let mut ledger = ledger();
    ledger["contents"][0]["equations"][0]["sum"] = 1498.into();
    ledger["contents"][0]["equations"][0]["holds"] = false.into();
    let text = of_ledger(&ledger.to_string(), &plan());
    assert!(text.contains("DOES NOT HOLD: 1,500 and 1,498"), "{text}");
}

#[test]
fn a_failure_that_ended_it_comes_with_the_status_help_and_one_that_was_survived_without() {
    let mut ledger = ledger();
    ledger["contents"][0]["failure"]["kind"] = "unauthenticated".into();
    ledger["contents"][0]["failure"]["http_status"] = 401.into();
    assert!(!of_ledger(&ledger.to_string(), &plan()).contains("401 Unauthorized"));
    ledger["contents"][0]["outcome"] = "failed".into();
    let text = of_ledger(&ledger.to_string(), &plan());
    assert!(
        text.contains("\n  help      401 Unauthorized: a credential is invalid"),
        "{text}"
    );
}

#[test]
fn a_request_that_was_refused_is_said_once() {
    let mut ledger = ledger();
    ledger["traffic"]["denials"] = json!(["a request was refused"]);
    ledger["traffic"]["last_failure"] = "a request was refused".into();
    let text = of_ledger(&ledger.to_string(), &plan());
    assert_eq!(text.matches("a request was refused").count(), 1, "{text}");
    ledger["traffic"]["last_failure"] = "the connection was lost".into();
    assert!(
        of_ledger(&ledger.to_string(), &plan()).contains("\n  network   the connection was lost")
    );
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let mut ledger = ledger();
    let entry = ledger["contents"][0]["set_aside"][0].clone();
    ledger["contents"][0]["set_aside"] = vec![entry; 25].into();
    let text = of_ledger(&ledger.to_string(), &plan());
    assert_eq!(text.matches("  set aside ").count(), 11);
    assert!(
        text.contains("set aside and 15 more (`--json` has them)"),
        "{text}"
    );
}

#[test]
fn without_a_manifest_counters_go_by_their_ids() {
    let text = of_ledger(&ledger().to_string(), &LedgerPlan::default());
    assert!(
        text.contains("collected 1,499, listed 1,500, log lines dropped 7, pages 3, set aside 1"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_shown_raw_and_harmless() {
    assert_eq!(of_ledger("{\"a\":\u{1b}1}", &plan()), "{\"a\": 1}");
}

#[test]
fn a_fault_tells_its_story_once_and_limits_are_mentioned_when_they_come_close() {
    let mut ledger = ledger();
    let fault = serde_json::json!({
        "kind": "trap", "call": "collect-batch", "message": "The plugin trapped.",
        "panic": "panicked at src/lib.rs:3\nno room\u{7}", "backtrace": ["descend", "descend", "collect_batch"],
        "advice": "Tell its author.",
    });
    ledger["contents"][0]["faults"] = serde_json::json!([fault, fault]);
    ledger["limits"] = serde_json::json!([
        {"limit": "memory_mib", "unit": "bytes", "allowed": 100, "peak": 51, "total": null},
        {"limit": "handles", "unit": "count", "allowed": 100, "peak": 50, "total": null},
        {"limit": "batch_items", "unit": "count", "allowed": 100, "peak": 100, "total": 100},
        {"limit": "stack_kib", "unit": "bytes", "allowed": 100, "peak": null, "total": null},
    ]);
    let text = of_ledger(&ledger.to_string(), &plan());
    let expected = "
  fault     2 times, trap in collect-batch: The plugin trapped.
    said    panicked at src/lib.rs:3
    said    no room\u{20}
    at      descend (2 times)
    at      collect_batch
    do      Tell its author.";
    assert!(text.contains(expected), "{text}");
    let limits = "\n  limits    more than half used: memory_mib 51 B of 100 B\n";
    assert!(text.contains(limits), "{text}");
}
