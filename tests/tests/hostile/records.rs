//! Emits: too large, too many, miscounted, repeated.

use connector_runtime::Limits;
use connector_runtime::sandbox::FaultKind::{Contract, Limit};
use std::time::Duration;
use tests::hostile::Attack;

#[tokio::test]
async fn an_item_that_is_too_large_and_a_list_that_is_too_long_are_refused() {
    let limits = Limits {
        memory_bytes: 128 << 20,
        ..Limits::default()
    };
    let attacked = Attack::by("huge_emits").within(limits).run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    assert_eq!(
        saw["large"],
        "Reason::TooLarge 0: the body has 17825806 bytes, and one item may have 16777216: cut long texts or split the item"
    );
    assert_eq!(
        saw["long"],
        "Reason::TooLarge 10000: One `emit` takes at most 10000 items; send several lists."
    );
    assert_eq!((saw["empty"], saw["good"]), ("ok", "ok"));
}

#[tokio::test]
async fn endless_emits_fill_one_batch_and_end_with_the_calls_cpu() {
    let limits = Limits {
        call_cpu: Duration::from_millis(500),
        batch_items: 100,
        emit_items: 10,
        ..Limits::default()
    };
    let attacked = Attack::by("endless_emits").within(limits).run().await;
    let stopped = "The plugin was stopped: one call may use 500 ms of CPU (`call_cpu_seconds`).";
    attacked.struck_out(Limit, [stopped; 3]);
    let items = attacked
        .ledger
        .limits
        .iter()
        .find(|spent| spent.limit == "batch_items");
    assert!(items.unwrap().peak.unwrap() <= 110, "{items:?}");
}

#[tokio::test]
async fn a_batch_takes_one_more_list_than_it_asks_for_and_no_item_more() {
    let limits = Limits {
        batch_items: 100,
        emit_items: 10,
        ..Limits::default()
    };
    let attacked = Attack::by("fills_the_batch").within(limits).run().await;
    assert_eq!(attacked.ledger.records, 110);
    assert_eq!(
        attacked.saw()["refused"],
        "Reason::Closed 0: The batch is full; return with `more` set."
    );
}

#[tokio::test]
async fn a_batch_whose_count_is_wrong_is_discarded() {
    let attacked = Attack::by("miscounts").run().await;
    let sentence = |reported| {
        format!("The plugin reported {reported} items but emitted 2; the batch was discarded.")
    };
    attacked.struck_out(Contract, [&sentence(3), &sentence(1), &sentence(0)]);
}

#[tokio::test]
async fn a_key_that_is_repeated_counts_once_and_never_hides_another_body() {
    let attacked = Attack::by("repeated_keys").run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    for accepted in ["first", "same", "same, twice in a list", "other time"] {
        assert_eq!(saw[accepted], "ok", "{accepted}");
    }
    let refused = |key| {
        format!(
            "Reason::InvalidItem 1: The key \"{key}\" stands for another body in this batch: another state needs another key."
        )
    };
    assert_eq!(saw["other"], refused("a"));
    assert_eq!(saw["both in a list"], refused("c"));
    assert_eq!(attacked.ledger.contents[0].counter("repeated"), 4);
    assert_eq!(attacked.records[0]["state"], 1);
}

#[tokio::test]
async fn reports_that_lie_overflow_or_chatter_are_refused_bounded_and_cleaned() {
    let attacked = Attack::by("bad_reports").run().await;
    let faults = attacked.faults();
    assert_eq!(faults.len(), 2, "{}", attacked.ledger.to_json());
    for ((kind, _, sentence), what) in faults
        .iter()
        .zip(["expected a map", "recursion limit exceeded"])
    {
        assert_eq!(*kind, Contract);
        assert!(
            sentence.starts_with("The plugin returned a report that cannot be read (")
                && sentence.contains(what),
            "{sentence}"
        );
    }
    let content = &attacked.ledger.contents[0];
    assert_eq!(attacked.ledger.records, 1);
    assert_eq!(content.counter("listed"), u64::MAX, "it does not wrap");
    assert_eq!(content.unknown_elements["X"], u64::MAX);
    assert!(content.counters.len() <= 102, "{}", content.counters.len());
    assert!(content.counter("counters_dropped") > 4_800);
    assert!(content.window.is_null());
    assert_eq!(content.notices[1].code, "window-too-large");
    let json = attacked.ledger.to_json();
    assert!(json.len() < 32_000, "{} bytes", json.len());
    assert!(!json.contains("\\u001b") && !json.contains('\u{202e}'));
}

#[tokio::test]
async fn what_is_emitted_or_put_outside_of_a_batch_is_refused_or_forgotten() {
    let attacked = Attack::by("emits_early").run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    assert_eq!(
        saw["emit"],
        "Reason::Closed 0: Items can be emitted within `collect-batch` only."
    );
    assert_eq!((saw["put"], saw["seen"]), ("ok", "false"));
    assert!(attacked.cache.is_empty());
    assert_eq!(attacked.records.len(), 1);
}
