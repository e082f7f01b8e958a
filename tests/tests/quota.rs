//! Limits of the vendor and of the way to it: every wait is obeyed, none is longer than allowed, and no call is one too many.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use connector_runtime::Limits;
use connector_runtime::runs::{Ledger, RunOutcome};
use qualys_sim::RequestRecord;
use serde_json::json;
use std::time::Duration;
use tests::estate::{calls, code, collect, field, open, run, vendor, whole};
use tests::truth::{Truth, done, everything_arrived, nothing_twice};
use tests::{Vendor, settings};

const HOUR: Duration = Duration::from_secs(3600);

fn seconds(bench: &connector_runtime::testing::Bench) -> Vec<u64> {
    bench
        .waits()
        .iter()
        .map(|(time, _)| time.as_secs())
        .collect()
}

/// No call was refused for a limit, none ran beside another, and no window held more than the limit.
fn never_one_too_many(vendor: &Vendor, limit: usize, window: Duration) {
    for endpoint in ["host-list", "hld"] {
        let calls = calls(vendor, endpoint);
        assert!(
            calls.iter().all(|call| call.status == 200),
            "{endpoint}: the vendor had to refuse"
        );
        assert!(
            calls.iter().all(|call| call.running == 1),
            "{endpoint}: one call at a time"
        );
        for call in &calls {
            let within = |other: &&RequestRecord| {
                other.started <= call.started && call.started - other.started < window
            };
            let count = calls.iter().filter(within).count();
            assert!(count <= limit, "{endpoint}: {count} calls in one window");
        }
    }
}

/// The first call of the detection list is refused; the second comes when it may.
async fn refused_once(switches: &str, wait: u64) -> Ledger {
    let (vendor, bench, ledger) = run(switches, json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    let calls = calls(&vendor, "hld");
    let [refused, granted] = calls.as_slice() else {
        panic!("{} calls", calls.len())
    };
    assert_eq!((refused.status, granted.status), (409, 200), "{switches}");
    let between = granted.started - refused.ended.unwrap();
    assert_eq!(between.as_secs(), wait, "{switches}");
    assert_eq!(seconds(&bench), [wait], "{switches}");
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(detections.counter("waits_for_quota"), 1);
    assert_eq!(detections.retries, 0, "a limit is no failure");
    assert_eq!(ledger.waited_ms, wait * 1000);
    ledger
}

#[tokio::test]
async fn the_wait_that_a_409_names_is_obeyed_to_the_second() {
    let ledger = refused_once("--switch rate-409=725,at=hld,times=1", 725).await;
    assert_eq!(code(ledger.content("vulnerabilities").unwrap()), "1965");
}

#[tokio::test]
async fn a_run_of_a_schedule_ends_at_a_long_wait_and_says_when_to_go_on() {
    let half_a_minute = Duration::from_secs(30);
    let vendor = vendor("--switch rate-409=725,at=hld,times=1");
    let mut bench = open(&vendor, json!({})).await;
    bench.options.patience = half_a_minute;
    let ledger = collect(&mut bench).await;
    assert_eq!(ledger.outcome, RunOutcome::Postponed, "{}", ledger.reason);
    assert!(
        ledger.reason.contains("more than 30 s at a time"),
        "{}",
        ledger.reason
    );
    let refused = calls(&vendor, "hld")[0].started;
    let from = vendor.clock.now_ms()
        - u64::try_from((vendor.clock.elapsed() - refused).as_millis()).unwrap();
    assert_eq!(ledger.resume_at, Some(from + 725_000));
    assert!(seconds(&bench).is_empty(), "nothing was waited out");
    vendor.clock.advance(Duration::from_secs(725));
    let shorter = "rate-409=20,at=hld,times=1";
    vendor.simulator.set(shorter).unwrap();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert_eq!(seconds(&bench), [20], "a short wait is waited out");
    everything_arrived(&vendor, &bench);
}

#[tokio::test]
async fn the_pauses_between_attempts_are_no_longer_than_a_run_waits_at_a_time() {
    let vendor = vendor("--switch html-503,at=hld,times=9");
    let mut bench = open(&vendor, json!({})).await;
    bench.options.patience = Duration::from_secs(30);
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert_eq!(seconds(&bench), [1, 2, 4, 8, 16, 30, 30, 30, 30]);
}

#[tokio::test]
async fn the_wait_is_found_in_the_body_when_the_header_is_missing() {
    refused_once(
        "--switch rate-409=300,at=hld,times=1 --switch omit-to-wait,at=hld",
        300,
    )
    .await;
    refused_once(
        "--switch rate-409=61,at=hld,times=1 --switch omit-limit-headers",
        61,
    )
    .await;
}

#[tokio::test]
async fn a_409_for_concurrency_is_waited_out_although_it_names_no_time() {
    for more in [
        "",
        "--switch omit-rate-headers",
        "--switch omit-limit-headers",
        "--switch other-header-spelling",
    ] {
        let ledger = refused_once(
            &format!("--switch concurrency-409,at=hld,times=1 {more}"),
            60,
        )
        .await;
        assert_eq!(code(ledger.content("vulnerabilities").unwrap()), "1960");
    }
}

#[tokio::test]
async fn a_409_without_anything_in_it_is_waited_out_for_a_minute() {
    refused_once("--switch bare-409,at=hld,times=1", 60).await;
    refused_once(
        "--switch bare-409,at=hld,times=1 --switch omit-limit-headers",
        60,
    )
    .await;
}

#[tokio::test]
async fn a_limit_makes_no_page_smaller_and_uses_up_no_attempt() {
    // Smaller pages would need more calls, of which there are too few already.
    let switches =
        "--switch rate-409=5,at=hld,after=1,times=20 --switch html-503,at=hld,after=21,times=1";
    let (vendor, bench, ledger) = run(switches, json!({"hosts_per_page": 8})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    let sizes: Vec<String> = calls(&vendor, "hld")
        .iter()
        .map(|call| field(call, "truncation_limit").unwrap().to_owned())
        .collect();
    assert!(sizes[..22].iter().all(|size| size == "8"), "{sizes:?}");
    assert_eq!(
        sizes[22], "4",
        "after a failure a page is made smaller: {sizes:?}"
    );
}

#[tokio::test]
async fn when_the_calls_are_used_up_the_run_is_postponed_and_the_next_one_goes_on() {
    let vendor = vendor("--rate-limit 5");
    let mut bench = open(&vendor, json!({"hosts_per_page": 4})).await;
    let before = bench.clock().now_ms();
    let ledger = collect(&mut bench).await;
    assert_eq!(
        ledger.outcome,
        RunOutcome::Postponed,
        "{}",
        ledger.to_json()
    );
    assert_eq!(
        (ledger.waited_ms, bench.waits().len()),
        (0, 0),
        "a wait that is too long is not begun"
    );
    assert_eq!(bench.clock().now_ms(), before);
    for content in &ledger.contents {
        assert_eq!(content.outcome, RunOutcome::Postponed);
        assert_eq!(content.resume_at, Some(before + 3_600_000));
        assert_eq!(content.counter("listed"), 20);
        assert!(content.reason.contains("3600 s"), "{}", content.reason);
    }
    assert_eq!(ledger.resume_at, Some(before + 3_600_000));
    never_one_too_many(&vendor, 5, HOUR);

    // Too early: not a single call, and the same answer.
    bench.clock().advance(Duration::from_secs(600));
    let early = collect(&mut bench).await;
    assert_eq!(
        (early.outcome, early.resume_at),
        (RunOutcome::Postponed, ledger.resume_at)
    );
    assert_eq!(early.traffic.requests, 0);

    bench.clock().advance(Duration::from_secs(3000));
    let ledger = collect(&mut bench).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    assert!(
        ledger
            .contents
            .iter()
            .all(|content| content.counter("listed") == 4),
        "it went on where it stood"
    );
    never_one_too_many(&vendor, 5, HOUR);
    assert_eq!(
        vendor.simulator.requests().len(),
        12,
        "no page was read twice"
    );
}

#[tokio::test]
async fn a_run_that_may_wait_sees_the_window_roll_and_ends_in_one_go() {
    let vendor = vendor("--rate-limit 5 --rate-window 600");
    let mut bench = open(&vendor, json!({"hosts_per_page": 2})).await;
    bench.options.max_wait = HOUR;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    never_one_too_many(&vendor, 5, Duration::from_secs(600));
    assert!(
        ledger.waited_ms >= 4 * 600_000,
        "twelve pages of each list, five in ten minutes"
    );
}

#[tokio::test]
async fn all_waits_of_a_run_together_are_bounded() {
    let (vendor, mut bench, ledger) = run(
        "--switch rate-409=600,at=host-list,times=3",
        json!({"content_type": ["hosts"]}),
    )
    .await;
    assert_eq!(ledger.outcome, RunOutcome::Postponed);
    assert_eq!(
        seconds(&bench),
        [600],
        "a second wait of 600 s would make more than 15 minutes"
    );
    assert_eq!(ledger.waited_ms, 600_000);
    assert_eq!(ledger.resume_at, Some(bench.clock().now_ms() + 600_000));
    bench.clock().advance(Duration::from_secs(600));
    let ledger = collect(&mut bench).await;
    done(&ledger);
    Truth::of(&vendor).check_hosts(&bench.records().unwrap());
}

#[tokio::test]
async fn a_vendor_without_limit_headers_is_believed_when_it_refuses() {
    let vendor = vendor("--rate-limit 5 --switch omit-limit-headers");
    let mut bench = open(&vendor, json!({"hosts_per_page": 4})).await;
    bench.options.max_wait = 3 * HOUR;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    for endpoint in ["host-list", "hld"] {
        let calls = calls(&vendor, endpoint);
        assert_eq!(
            calls.iter().filter(|call| call.status == 409).count(),
            1,
            "{endpoint}"
        );
        let refused = calls.iter().position(|call| call.status == 409).unwrap();
        assert!(
            calls[refused + 1].started - calls[refused].started >= HOUR,
            "{endpoint}: the wait is obeyed"
        );
    }
}

#[tokio::test]
async fn either_spelling_of_the_limit_headers_is_understood_and_none_is_needed() {
    whole("--switch other-header-spelling").await;
    whole("--switch omit-limit-headers").await;
}

#[tokio::test]
async fn a_slow_first_byte_is_waited_for_and_one_that_is_too_slow_is_not() {
    let (vendor, bench, ledger) = run("--switch delay-first-byte=299", json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    assert!(ledger.contents.iter().all(|content| content.retries == 0));
    assert_eq!(
        ledger.waited_ms, 0,
        "the vendor's own slowness is no wait of ours"
    );

    let (vendor, bench, ledger) = run("--switch delay-first-byte=301,times=1", json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    let hosts = ledger.content("hosts").unwrap();
    assert_eq!((hosts.retries, code(hosts)), (1, "timeout"));
    assert!(
        vendor
            .simulator
            .requests()
            .iter()
            .all(|call| call.running == 1),
        "the first call was given up"
    );
}

#[tokio::test]
async fn a_body_that_stops_is_given_up_after_the_idle_time_and_continued() {
    for (switch, expected) in [
        ("stall=20000:121", "timeout"),
        ("stall=20000:100", "truncated-body"),
    ] {
        let (vendor, bench, ledger) =
            run(&format!("--switch {switch},at=hld,times=1"), json!({})).await;
        done(&ledger);
        everything_arrived(&vendor, &bench);
        let detections = ledger.content("vulnerabilities").unwrap();
        assert_eq!(
            (detections.retries, code(detections)),
            (1, expected),
            "{switch}"
        );
        assert_eq!(detections.counter("repeated"), 0);
    }
}

#[tokio::test]
async fn a_body_that_drips_arrives_whole() {
    let (vendor, bench, ledger) = run("--switch drip=4000:1000", json!({})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    assert!(bench.clock().elapsed() > Duration::from_secs(60));
    assert!(ledger.contents.iter().all(|content| content.retries == 0));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_in_all_is_continued_in_pieces_that_do_not() {
    let vendor = vendor("--switch drip=500:1000,at=host-list");
    let limits = Limits {
        total_timeout: Duration::from_secs(20),
        ..Limits::default()
    };
    let hosts = settings(json!({"content_type": ["hosts"], "hosts_per_page": 7}));
    let mut bench = vendor
        .bench()
        .limits(limits)
        .settings(hosts)
        .open()
        .await
        .unwrap();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    let records = bench.records().unwrap();
    nothing_twice(&records);
    Truth::of(&vendor).check_hosts(&records);
    assert!(ledger.contents[0].retries > 0);
    assert_eq!(code(&ledger.contents[0]), "timeout");
}

#[tokio::test]
async fn an_answer_that_is_larger_than_allowed_is_continued_in_pieces_that_are_not() {
    let vendor = vendor("");
    let limits = Limits {
        response_bytes: 60_000,
        ..Limits::default()
    };
    let mut bench = vendor.bench().limits(limits).open().await.unwrap();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    assert!(ledger.content("vulnerabilities").unwrap().retries > 0);
    assert!(
        ledger
            .traffic
            .last_failure
            .as_deref()
            .unwrap()
            .contains("larger than allowed")
    );
}

#[tokio::test]
async fn what_was_spent_stays_spent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // Without headers, so that only our own book knows.
    let vendor = vendor("--rate-limit 300 --switch omit-limit-headers");
    let open = || async {
        let one_by_one = settings(json!({"hosts_per_page": 1}));
        let bench = vendor.bench().settings(one_by_one).folder(folder.path());
        bench.open().await.unwrap()
    };
    let mut spent = 0;
    for _ in 0..2 {
        let mut bench = open().await;
        bench.options.full = true;
        let ledger = collect(&mut bench).await;
        done(&ledger);
        spent += 24;
        for bucket in &ledger.quota {
            assert_eq!(bucket.calls_in_window, spent, "{}", bucket.bucket);
            assert_eq!((bucket.limit, bucket.remaining), (300, 300 - spent));
        }
    }
    vendor.clock.advance(HOUR);
    let mut bench = open().await;
    let ledger = collect(&mut bench).await;
    assert!(
        ledger
            .quota
            .iter()
            .all(|bucket| bucket.calls_in_window <= 2),
        "an hour later they are given back: {:?}",
        ledger.quota
    );
}

#[tokio::test]
async fn a_run_that_was_postponed_stays_postponed_after_a_restart_and_goes_on_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = vendor("--rate-limit 5");
    let open = || async {
        let pages = settings(json!({"hosts_per_page": 4}));
        let bench = vendor.bench().settings(pages).folder(folder.path());
        bench.open().await.unwrap()
    };
    let first = collect(&mut open().await).await;
    assert_eq!(first.outcome, RunOutcome::Postponed);
    vendor.clock.advance(Duration::from_secs(600));
    let early = collect(&mut open().await).await;
    assert_eq!(
        (early.outcome, early.resume_at),
        (RunOutcome::Postponed, first.resume_at)
    );
    assert_eq!(early.traffic.requests, 0, "not a single call");
    assert_eq!(early.traffic.held_back, 2);
    vendor.clock.advance(Duration::from_secs(3000));
    let mut bench = open().await;
    done(&collect(&mut bench).await);
    everything_arrived(&vendor, &bench);
    never_one_too_many(&vendor, 5, HOUR);
}

#[tokio::test]
async fn the_reserve_stays_although_others_use_the_same_account() {
    let vendor = vendor("--rate-limit 40");
    let one_by_one = json!({"hosts_per_page": 1});
    let first = collect(&mut open(&vendor, one_by_one.clone()).await).await;
    done(&first);
    // A data directory of its own: this one knows of the first one's calls only what the vendor says.
    let second = collect(&mut open(&vendor, one_by_one).await).await;
    assert_eq!(second.outcome, RunOutcome::Postponed);
    for bucket in &second.quota {
        assert_eq!((bucket.calls_in_window, bucket.remaining), (14, 2));
    }
    never_one_too_many(&vendor, 38, HOUR);
}

#[tokio::test]
async fn a_wait_for_a_permit_is_shown_while_it_lasts() {
    let vendor = vendor("--rate-limit 5 --rate-window 20");
    let mut bench = open(&vendor, json!({"hosts_per_page": 4})).await;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    let waits = bench.waits();
    assert_eq!(seconds(&bench), [20, 20]);
    assert_eq!(waits[0].1, "The vendor's budget `host-list` is used up.");
    assert_eq!(
        waits[1].1,
        "The vendor's budget `detection-list` is used up."
    );
    assert_eq!(ledger.traffic.permit_wait_ms, 40_000);
    never_one_too_many(&vendor, 5, Duration::from_secs(20));
}
