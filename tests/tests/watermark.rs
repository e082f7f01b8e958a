//! The watermark: what an increment asks for, and when it must not move, so that nothing is missed for good.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use connector_runtime::egress::{UpstreamError, body_of};
use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::testing::Bench;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::estate::{calls, code, collect, field, open, run, sum, vendor, whole};
use tests::truth::{Truth, done, everything_arrived, nothing_twice};
use tests::{Vendor, settings};

const START: &str = "2026-03-02T09:15:00Z";

fn watermark(bench: &Bench) -> Option<String> {
    let cursor = bench.cursor("hosts").unwrap()?;
    let cursor: Value = serde_json::from_str(&cursor).unwrap();
    cursor["watermark"].as_str().map(str::to_owned)
}

/// `vm_processed_after` of the last request for the host list.
fn asked_after(vendor: &Vendor) -> Option<String> {
    field(
        calls(vendor, "host-list").last().unwrap(),
        "vm_processed_after",
    )
    .map(str::to_owned)
}

fn has_notice(ledger: &Ledger, code: &str) -> bool {
    ledger
        .contents
        .iter()
        .all(|content| content.notices.iter().any(|notice| notice.code == code))
}

/// Moves the estate's clock and ours together.
fn pass(vendor: &Vendor, bench: &Bench, time: Duration) {
    vendor
        .simulator
        .advance(i64::try_from(time.as_secs()).unwrap());
    bench.clock().advance(time);
}

#[tokio::test]
async fn an_increment_starts_at_the_watermark_less_the_overlap() {
    for (minutes, after) in [
        (15, "2026-03-02T09:00:00Z"),
        (0, START),
        (120, "2026-03-02T07:15:00Z"),
    ] {
        let (vendor, mut bench, _) = run("--hosts 5", json!({"overlap_minutes": minutes})).await;
        assert_eq!(
            asked_after(&vendor),
            None,
            "the first walk asks for everything"
        );
        assert_eq!(watermark(&bench).as_deref(), Some(START));
        done(&collect(&mut bench).await);
        assert_eq!(asked_after(&vendor).as_deref(), Some(after));
    }
}

#[tokio::test]
async fn a_look_back_bounds_the_first_walk_and_no_other() {
    let (vendor, mut bench, ledger) = run("", json!({"lookback_days": 30})).await;
    done(&ledger);
    assert_eq!(
        asked_after(&vendor).as_deref(),
        Some("2026-01-31T09:15:00Z")
    );
    let listed = ledger.content("hosts").unwrap().counter("listed");
    assert!((1..24).contains(&listed), "{listed}");
    done(&collect(&mut bench).await);
    assert_eq!(
        asked_after(&vendor).as_deref(),
        Some("2026-03-02T09:00:00Z")
    );
}

#[tokio::test]
async fn increments_over_days_bring_every_change_once() {
    let vendor = vendor("--hosts 30 --detections 10");
    let mut bench = open(&vendor, json!({"hosts_per_page": 7})).await;
    done(&collect(&mut bench).await);
    let first = bench.records().unwrap().len();
    for _ in 0..14 {
        pass(&vendor, &bench, Duration::from_secs(9 * 3600));
        done(&collect(&mut bench).await);
        let records = bench.records().unwrap();
        nothing_twice(&records);
        Truth::of(&vendor).check_what_is_left(&records);
    }
    assert!(
        bench.records().unwrap().len() > first * 3,
        "five days bring many changes"
    );
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert_eq!(ledger.records, 0);
}

#[tokio::test]
async fn the_watermark_is_the_time_of_the_first_answer_of_the_walk() {
    let vendor = vendor("");
    let simulator = vendor.simulator.clone();
    let clock = vendor.clock.clone();
    // Every answer is a minute later than the one before.
    let upstream = move |request: http::Request<Bytes>| {
        let (simulator, clock) = (simulator.clone(), clock.clone());
        async move {
            let answer = simulator.handle(request).await.map(body_of);
            simulator.advance(60);
            clock.advance(Duration::from_secs(60));
            Ok::<_, UpstreamError>(answer)
        }
    };
    let small = settings(json!({"hosts_per_page": 7, "content_type": ["hosts"]}));
    let mut bench = vendor
        .bench()
        .upstream(upstream)
        .settings(small)
        .open()
        .await
        .unwrap();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert!(ledger.contents[0].counter("pages") >= 4);
    assert_eq!(watermark(&bench).as_deref(), Some(START));
    assert_eq!(ledger.contents[0].window["started"], START);
}

#[tokio::test]
async fn a_server_clock_more_than_ten_minutes_ahead_does_not_move_the_watermark() {
    for (clock, ahead) in [
        ("2026-03-02T09:25:00Z", false),
        ("2026-03-02T09:25:01Z", true),
    ] {
        let (vendor, mut bench, ledger) = run(&format!("--clock {clock}"), json!({})).await;
        done(&ledger);
        everything_arrived(&vendor, &bench);
        assert_eq!(has_notice(&ledger, "clock-ahead"), ahead);
        assert_eq!(watermark(&bench).as_deref(), (!ahead).then_some(clock));
        let ledger = collect(&mut bench).await;
        done(&ledger);
        assert_eq!(ledger.records, 0);
        assert_eq!(
            asked_after(&vendor).is_none(),
            ahead,
            "without a watermark everything is read again"
        );
        assert_eq!(sum(&ledger, "repeated") > 0, ahead);
    }
}

#[tokio::test]
async fn a_server_clock_behind_the_watermark_does_not_move_it_back() {
    let ahead = vendor("");
    let behind = vendor("--clock 2026-03-02T08:00:00Z");
    let current = Arc::new(Mutex::new(ahead.simulator.clone()));
    let shared = Arc::clone(&current);
    let upstream = move |request: http::Request<Bytes>| {
        let simulator = shared.lock().unwrap().clone();
        async move { Ok::<_, UpstreamError>(simulator.handle(request).await.map(body_of)) }
    };
    let mut bench = ahead.bench().upstream(upstream).open().await.unwrap();
    done(&collect(&mut bench).await);
    *current.lock().unwrap() = behind.simulator.clone();
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert!(has_notice(&ledger, "clock-behind"));
    assert_eq!(watermark(&bench).as_deref(), Some(START));
}

#[tokio::test]
async fn changed_settings_bring_a_full_walk_that_is_emitted_again_and_said() {
    let (vendor, mut bench, ledger) = run("", json!({})).await;
    let all = ledger.records;
    for (changes, records) in [
        (json!({"leave_out": ["RESULTS"]}), all),
        (
            json!({"leave_out": ["RESULTS"], "ignored": false}),
            all - 24,
        ),
        (
            json!({"leave_out": ["RESULTS"], "ignored": false, "information_gathered": true}),
            all,
        ),
        (json!({}), all),
    ] {
        bench.set_settings(&settings(changes.clone())).unwrap();
        let ledger = collect(&mut bench).await;
        done(&ledger);
        assert!(has_notice(&ledger, "fingerprint-changed"), "{changes}");
        assert_eq!(asked_after(&vendor), None, "{changes}");
        assert_eq!(ledger.records, records, "{changes}");
        let ledger = collect(&mut bench).await;
        done(&ledger);
        assert_eq!(ledger.records, 0, "{changes}");
    }
    Truth::of(&vendor).check(
        &bench
            .records()
            .unwrap()
            .split_off(usize::try_from(all).unwrap() * 4 - 24),
    );
}

#[tokio::test]
async fn settings_that_select_nothing_do_not_start_over() {
    let (vendor, mut bench, _) = run("", json!({})).await;
    for changes in [
        json!({"interval": 60}),
        json!({"hosts_per_page": 3}),
        json!({"overlap_minutes": 30}),
    ] {
        bench.set_settings(&settings(changes.clone())).unwrap();
        let ledger = collect(&mut bench).await;
        done(&ledger);
        assert!(asked_after(&vendor).is_some(), "{changes}");
        assert!(!has_notice(&ledger, "fingerprint-changed"), "{changes}");
    }
}

#[tokio::test]
async fn a_full_walk_that_is_asked_for_reads_everything_and_emits_nothing_again() {
    let (vendor, mut bench, first) = run("", json!({"hosts_per_page": 7})).await;
    bench.options.full = true;
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert!(has_notice(&ledger, "full-walk"));
    assert_eq!((ledger.records, sum(&ledger, "listed")), (0, 48));
    assert_eq!(sum(&ledger, "repeated"), first.records);
    everything_arrived(&vendor, &bench);
    assert_eq!(
        calls(&vendor, "host-list").len(),
        8,
        "it began once and not with every batch"
    );
}

async fn store_cursor(bench: &Bench, change: impl Fn(&str) -> String + Send + 'static) {
    let cursor = change(&bench.cursor("hosts").unwrap().unwrap());
    bench
        .journal()
        .write(move |database| {
            database.execute(
                "UPDATE cursors SET cursor = ?1 WHERE content_type = 'hosts'",
                [&cursor],
            )?;
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unreadable_or_newer_cursor_is_an_error_and_never_a_silent_start() {
    let (vendor, mut bench, _) = run("", json!({"content_type": ["hosts"]})).await;
    let good = bench.cursor("hosts").unwrap().unwrap();
    let records = bench.records().unwrap().len();
    for (bad, expected) in [
        ("nonsense".to_owned(), "cursor-unreadable"),
        ("{}".to_owned(), "cursor-unreadable"),
        (good[..good.len() / 2].to_owned(), "cursor-unreadable"),
        (
            good.replace("\"hosts\"", "\"vulnerabilities\""),
            "cursor-unreadable",
        ),
        (good.replace(START, "yesterday"), "cursor-unreadable"),
        (good.replace("\"v\":1", "\"v\":2"), "cursor-newer"),
    ] {
        let before = vendor.simulator.requests().len();
        let written = bad.clone();
        store_cursor(&bench, move |_| written.clone()).await;
        let ledger = collect(&mut bench).await;
        assert_eq!(ledger.outcome, RunOutcome::Failed, "{bad}");
        assert_eq!(code(&ledger.contents[0]), expected, "{bad}");
        assert!(
            ledger.contents[0]
                .failure
                .as_ref()
                .unwrap()
                .advice
                .contains("reset")
        );
        assert_eq!(
            vendor.simulator.requests().len(),
            before,
            "nothing is asked for: {bad}"
        );
        assert_eq!(
            bench.cursor("hosts").unwrap(),
            Some(bad),
            "it stays for a person to look at"
        );
    }
    store_cursor(&bench, move |_| good.clone()).await;
    done(&collect(&mut bench).await);
    assert_eq!(bench.records().unwrap().len(), records);
}

#[tokio::test]
async fn a_walk_that_was_interrupted_goes_on_and_what_changed_meanwhile_arrives_with_the_next() {
    let vendor = vendor("--rate-limit 4");
    let mut bench = open(&vendor, json!({"hosts_per_page": 4})).await;
    let ledger = collect(&mut bench).await;
    assert_eq!(ledger.outcome, RunOutcome::Postponed);
    assert_eq!(watermark(&bench), None, "the walk has not ended");
    // Behind the position and in front of it.
    for place in [2, 9, 20] {
        assert!(vendor.simulator.process(place));
    }
    pass(&vendor, &bench, Duration::from_secs(3600));
    let ledger = collect(&mut bench).await;
    done(&ledger);
    assert_eq!(
        watermark(&bench).as_deref(),
        Some(START),
        "the time at which the walk began"
    );
    bench.clock().advance(Duration::from_secs(3600));
    let ledger = collect(&mut bench).await;
    done(&ledger);
    let records = bench.records().unwrap();
    nothing_twice(&records);
    Truth::of(&vendor).check_what_is_left(&records);
}

#[tokio::test]
async fn the_watermark_does_not_move_while_something_is_set_aside() {
    let (vendor, mut bench, ledger) = run("--switch malformed-host=5", json!({})).await;
    assert_eq!(ledger.outcome, RunOutcome::Incomplete);
    assert_eq!(watermark(&bench), None);
    pass(&vendor, &bench, Duration::from_secs(600));
    let ledger = collect(&mut bench).await;
    assert_eq!(
        ledger.outcome,
        RunOutcome::Incomplete,
        "it is tried again, and still not readable"
    );
    assert_eq!(asked_after(&vendor), None);
    assert_eq!(watermark(&bench), None);
    vendor.simulator.clear(None);
    done(&collect(&mut bench).await);
    assert_eq!(watermark(&bench).as_deref(), Some("2026-03-02T09:25:00Z"));
    Truth::of(&vendor).check_what_is_left(&bench.records().unwrap());
}

#[tokio::test]
async fn a_second_run_adds_nothing_also_when_the_overlap_covers_the_whole_estate() {
    let (vendor, mut bench, ledger) = whole("--fresh").await;
    let again = collect(&mut bench).await;
    done(&again);
    assert_eq!(again.records, 0);
    assert_eq!(sum(&again, "repeated"), ledger.records);
    everything_arrived(&vendor, &bench);
}

#[tokio::test]
async fn the_notes_of_a_run_name_every_host_and_what_belongs_to_it() {
    let (vendor, mut bench, _) = run("--fresh", json!({"hosts_per_page": 7})).await;
    done(&collect(&mut bench).await);
    let truth = Truth::of(&vendor);
    // Of each run: the detections of each host, emitted by the first and repeated by the second.
    let mut named = std::collections::BTreeMap::<String, (Vec<String>, Vec<String>)>::new();
    let list = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect()
    };
    for note in bench
        .notes()
        .unwrap()
        .iter()
        .flat_map(|notes| notes.as_array().unwrap().clone())
    {
        let entry = named
            .entry(note["object"].as_str().unwrap().to_owned())
            .or_default();
        entry.0.extend(list(&note["emitted"]));
        entry.1.extend(list(&note["repeated"]));
    }
    assert_eq!(named.len(), truth.hosts.len());
    for (host, (emitted, repeated)) in &mut named {
        let mut expected: Vec<String> = truth
            .detections
            .iter()
            .filter(|(_, (of, _))| of == host)
            .map(|(id, _)| id.clone())
            .chain([host.clone()])
            .collect();
        expected.sort();
        emitted.sort();
        repeated.sort();
        assert_eq!((&*emitted, &*repeated), (&expected, &expected), "{host}");
    }
}
