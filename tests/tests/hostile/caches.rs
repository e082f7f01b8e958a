//! The cache: full, crumbled, echoed.

use connector_runtime::Limits;
use connector_runtime::runs::RunOutcome;
use connector_runtime::sandbox::FaultKind::Limit;
use tests::hostile::Attack;

#[tokio::test]
async fn a_flood_of_the_cache_ends_at_the_entry_the_batch_and_the_whole() {
    let limits = Limits {
        cache_batch_bytes: 1 << 20,
        cache_bytes: 2_500_000,
        ..Limits::default()
    };
    let attacked = Attack::by("cache_flood").within(limits).run().await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    assert_eq!(saw["large"], "too-large");
    // A batch of a mebibyte holds ten entries of 100,000 bytes, the whole 24.
    for (batch, outcome) in [
        ("batch 0", "10, then full"),
        ("batch 1", "10, then full"),
        ("batch 2", "4, then full"),
        ("batch 3", "0, then full"),
    ] {
        assert_eq!(saw[batch], outcome, "{batch}");
    }
    let stored: usize = attacked
        .cache
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    assert!(stored <= 2_500_000, "{stored} bytes");
    assert_eq!(attacked.cache.len(), 24);
}

#[tokio::test]
async fn crumbs_in_the_cache_cost_what_they_cost_the_host() {
    let limits = Limits {
        cache_batch_bytes: 1 << 20,
        ..Limits::default()
    };
    let attacked = Attack::by("cache_crumbs").within(limits).run().await;
    assert_eq!(attacked.saw()["crumbs"], "7000, then full");
    let full = "The plugin was stopped: one batch may write 1048576 bytes to the cache (`cache_batch_mib`).";
    for (kind, _, sentence) in attacked.faults() {
        assert_eq!((kind, sentence.as_str()), (Limit, full));
    }
    assert_eq!(attacked.faults().len(), 3);
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    assert_eq!(attacked.cache.len(), 7000, "no removal was kept");
}

#[tokio::test]
async fn one_entry_asked_for_ten_thousand_times_is_not_copied_as_often() {
    let attacked = Attack::by("cache_echo").run().await;
    assert_eq!(attacked.saw()["put"], "ok");
    let full =
        "The plugin was stopped: one `cache.get` may return 67108864 bytes (`hostcall_mib`).";
    for (kind, _, sentence) in attacked.faults() {
        assert_eq!((kind, sentence.as_str()), (Limit, full));
    }
    assert_eq!(attacked.faults().len(), 3);
}
