//! Faults of the vendor and of the way to it: what is damaged is never taken for whole, and whatever passes leaves no trace.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use connector_runtime::egress::{Upstream, UpstreamError};
use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::sandbox::ErrorKind;
use connector_runtime::testing::Script;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::Vendor;
use tests::estate::{calls, code, collect, field, run, scripted, sum, whole};
use tests::truth::{LABEL, Truth, balanced, done, everything_arrived, last_hosts, nothing_twice};

/// Bytes of a page that holds the whole estate.
async fn size_of_a_page(endpoint: &str) -> u64 {
    let (vendor, _, _) = run("", json!({})).await;
    calls(&vendor, endpoint)[0].bytes
}

/// Collects with this switch, which must end in the same failure for both content types, and then without it.
async fn fails_until_it_is_over(switch: &str, kind: ErrorKind, expected: &str) -> Ledger {
    let (vendor, mut bench, ledger) = run(&format!("--switch {switch}"), json!({})).await;
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{switch}");
    let content = &ledger.contents[0];
    let failure = content.failure.as_ref().unwrap();
    assert_eq!((failure.kind, code(content)), (kind, expected), "{switch}");
    assert!(
        !failure.message.is_empty() && !failure.advice.is_empty(),
        "{failure:?}"
    );
    assert!(bench.records().unwrap().is_empty(), "{switch}");
    vendor.simulator.clear(None);
    done(&collect(&mut bench).await);
    everything_arrived(&vendor, &bench);
    ledger
}

/// A fault that passes: it costs a retry in simulated time and nothing else.
async fn passes(switch: &str, expected: &str) {
    let options = format!(
        "--switch {switch},at=host-list,after=1,times=2 --switch {switch},at=hld,after=2,times=1"
    );
    let (_, bench, ledger) = whole(&options).await;
    let (hosts, detections) = (
        ledger.content("hosts").unwrap(),
        ledger.content("vulnerabilities").unwrap(),
    );
    assert_eq!((hosts.retries, detections.retries), (2, 1), "{switch}");
    assert_eq!(
        (code(hosts), code(detections)),
        (expected, expected),
        "{switch}"
    );
    assert_eq!(bench.waits().len(), 3);
    assert!(ledger.waited_ms >= 4_000, "1 s, 2 s and 1 s");
}

#[tokio::test]
async fn wherever_a_page_is_cut_nothing_is_lost_and_nothing_doubled() {
    let size = size_of_a_page("hld").await;
    for switch in ["cut-abrupt", "cut-clean"] {
        for cut in [0, 1, 90, 400, size / 3, size / 2, size - 120, size - 2] {
            let (vendor, bench, ledger) = run(
                &format!("--switch {switch}={cut},at=hld,times=1"),
                json!({}),
            )
            .await;
            done(&ledger);
            everything_arrived(&vendor, &bench);
            let detections = ledger.content("vulnerabilities").unwrap();
            assert_eq!(
                (detections.counter("listed"), detections.retries),
                (24, 1),
                "{switch} at {cut}"
            );
            assert_eq!(calls(&vendor, "hld").len(), 2, "{switch} at {cut}");
        }
    }
}

#[tokio::test]
async fn a_page_that_was_left_unread_too_long_is_asked_for_again_behind_the_last_host() {
    let vendor = tests::estate::vendor("--hosts 40 --detections 40");
    let only = json!({"content_type": ["vulnerabilities"]});
    // Small batches, so that the page is still open when the first of them is durable.
    let limits = connector_runtime::Limits {
        batch_items: 5,
        ..connector_runtime::Limits::default()
    };
    let settings = tests::settings(only);
    let bench = vendor.bench().settings(settings).limits(limits);
    let mut bench = bench.open().await.unwrap();
    let (journal, clock) = (bench.journal().clone(), bench.clock().clone());
    let held_up = async {
        while journal.blocks(None, 0).next().is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance(std::time::Duration::from_secs(60));
    };
    let (ledger, ()) = tokio::join!(collect(&mut bench), held_up);
    done(&ledger);
    let truth = Truth::of(&vendor);
    truth.check_detections(&bench.records().unwrap());
    nothing_twice(&bench.records().unwrap());
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(detections.retries, 1);
    let calls = calls(&vendor, "hld");
    assert_eq!(calls.len(), 2);
    assert!(field(&calls[1], "id_min").is_some());
    assert_eq!(
        ledger.traffic.last_failure.as_deref(),
        Some("nobody read the response for 60 s, so it was given up (`unread_seconds`)")
    );
}

#[tokio::test]
async fn a_cut_page_is_never_a_last_page() {
    let size = size_of_a_page("host-list").await;
    for cut in [500, size / 2, size - 40, size - 2] {
        for switch in ["cut-abrupt", "cut-clean"] {
            let only = json!({"content_type": ["hosts"]});
            let (vendor, mut bench, ledger) = run(&format!("--switch {switch}={cut}"), only).await;
            let hosts = &ledger.contents[0];
            let cursor: Option<Value> = bench
                .cursor("hosts")
                .unwrap()
                .map(|cursor| serde_json::from_str(&cursor).unwrap());
            if ledger.outcome != RunOutcome::Done {
                assert_eq!(code(hosts), "truncated-body");
                assert!(
                    cursor.is_none_or(|cursor| cursor.get("watermark").is_none()),
                    "{switch} at {cut}"
                );
            } else {
                // Smaller pages fit in front of the cut, so that the walk ends after all; then everything is there.
                done(&ledger);
                Truth::of(&vendor).check_hosts(&bench.records().unwrap());
            }
            balanced(hosts);
            vendor.simulator.clear(None);
            // What was set aside meanwhile is read by the next walk, since the watermark has not moved.
            collect(&mut bench).await;
            done(&collect(&mut bench).await);
            Truth::of(&vendor).check_hosts(&bench.records().unwrap());
            nothing_twice(&bench.records().unwrap());
        }
    }
}

#[tokio::test]
async fn a_server_that_cuts_every_page_is_left_alone_before_every_host_has_cost_calls() {
    for (switch, outcome) in [
        ("cut-clean=300", RunOutcome::Postponed),
        ("cut-clean=900", RunOutcome::Postponed),
        ("cut-abrupt=300", RunOutcome::Postponed),
    ] {
        let options = format!("--hosts 60 --switch {switch}");
        let (vendor, mut bench, ledger) = run(&options, json!({"content_type": ["hosts"]})).await;
        let hosts = &ledger.contents[0];
        assert_eq!(
            (ledger.outcome, code(hosts)),
            (outcome, "truncated-body"),
            "{switch}"
        );
        balanced(hosts);
        assert!(
            vendor.simulator.requests().len() < 60,
            "{} calls",
            vendor.simulator.requests().len()
        );
        vendor.simulator.clear(None);
        let ledger = collect(&mut bench).await;
        assert!(
            ledger.outcome <= RunOutcome::Incomplete,
            "{}",
            ledger.to_json()
        );
        done(&collect(&mut bench).await);
        Truth::of(&vendor).check_hosts(&bench.records().unwrap());
    }
}

#[tokio::test]
async fn pages_that_are_all_cut_are_made_smaller_until_they_fit_and_grow_again() {
    let (vendor, _, ledger) = whole("--switch cut-clean=45000,at=hld,times=12").await;
    let sizes: Vec<u64> = calls(&vendor, "hld")
        .iter()
        .map(|call| field(call, "truncation_limit").unwrap().parse().unwrap())
        .collect();
    assert!(sizes.contains(&1) || sizes.contains(&3), "{sizes:?}");
    assert_eq!(sizes[0], 7);
    assert!(
        sizes.windows(2).any(|pair| pair[1] < pair[0])
            && sizes.windows(2).any(|pair| pair[1] > pair[0]),
        "{sizes:?}"
    );
    assert!(ledger.content("vulnerabilities").unwrap().retries > 1);
}

#[tokio::test]
async fn servers_that_cannot_answer_for_a_moment_are_asked_again() {
    for status in [500, 502, 503, 504] {
        passes(&format!("html-{status}"), &format!("http-{status}")).await;
    }
    passes("maintenance", "1999").await;
    passes("generic-return", "999").await;
    for error in [999, 1981, 1920] {
        passes(&format!("error={error}"), &error.to_string()).await;
    }
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_after_sixteen_attempts_and_the_next_run_goes_on() {
    let ledger = fails_until_it_is_over("html-503", ErrorKind::Unavailable, "http-503").await;
    assert_eq!(ledger.contents[0].retries, 15);
    assert!(ledger.contents[0].failure.as_ref().unwrap().http_status == Some(503));
}

#[tokio::test]
async fn a_server_that_nothing_reaches_costs_no_host() {
    let vendor = Vendor::with("--hosts 30 --detections 2");
    let away = Arc::new(AtomicBool::new(true));
    let (network, gone) = (vendor.upstream(), Arc::clone(&away));
    let upstream = move |request: http::Request<bytes::Bytes>| {
        let answer = (!gone.load(Ordering::Relaxed)).then(|| network.send(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Err(UpstreamError::Connect("away".into(), "refused".into())),
            }
        }
    };
    let mut bench = vendor.bench().upstream(upstream).open().await.unwrap();
    let ledger = collect(&mut bench).await;
    assert!(
        ledger.outcome > RunOutcome::Incomplete,
        "{}",
        ledger.to_json()
    );
    for content in &ledger.contents {
        assert_eq!(content.counter("set_aside"), 0, "{}", ledger.to_json());
        assert!(
            content.retries > 9,
            "past the attempts after which a host is blamed"
        );
    }
    away.store(false, Ordering::Relaxed);
    done(&collect(&mut bench).await);
    Truth::of(&vendor).check_hosts(&bench.records().unwrap());
}

#[tokio::test]
async fn what_only_a_person_can_change_is_said_once_and_not_tried_again() {
    for (switch, kind, expected) in [
        ("secure-ips", ErrorKind::Forbidden, "secure-ips"),
        ("error=2012", ErrorKind::Forbidden, "2012"),
        ("error=1901", ErrorKind::InvalidSettings, "1901"),
        ("error=1905", ErrorKind::InvalidSettings, "1905"),
        ("error=1907", ErrorKind::InvalidSettings, "1907"),
    ] {
        let (vendor, bench, ledger) = run(&format!("--switch {switch}"), json!({})).await;
        assert_eq!(ledger.outcome, RunOutcome::Failed, "{switch}");
        for content in &ledger.contents {
            let failure = content.failure.as_ref().unwrap();
            assert_eq!((failure.kind, failure.code.as_str()), (kind, expected));
            assert!(!failure.advice.is_empty(), "{switch}");
            assert_eq!(content.retries, 0, "{switch}");
        }
        assert_eq!(
            vendor.simulator.requests().len(),
            2,
            "{switch}: one call for each content type"
        );
        assert!(bench.waits().is_empty());
    }
}

#[tokio::test]
async fn an_address_that_is_not_on_the_list_is_told_so_and_what_to_do() {
    let ledger = fails_until_it_is_over("secure-ips", ErrorKind::Forbidden, "secure-ips").await;
    let failure = ledger.contents[0].failure.as_ref().unwrap();
    assert!(failure.advice.contains("secure IPs"), "{}", failure.advice);
    assert!(
        !ledger.to_json().contains("192.0.2.99"),
        "the body of an answer is in no message"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let ledger = fails_until_it_is_over("redirect", ErrorKind::Malformed, "http-302").await;
    assert_eq!(ledger.traffic.denied, 0);
    assert!(
        !ledger.to_json().contains("elsewhere"),
        "the address it points to is in no message"
    );
}

#[tokio::test]
async fn a_warning_that_does_not_advance_is_an_error_and_the_walk_goes_on_behind_the_last_host() {
    let (vendor, _, ledger) = whole("--switch warning-stuck").await;
    for content in &ledger.contents {
        assert_eq!(code(content), "no-progress");
        assert!(
            content
                .failure
                .as_ref()
                .unwrap()
                .message
                .contains("not behind what was read")
        );
    }
    for endpoint in ["host-list", "hld"] {
        let positions: Vec<u64> = calls(&vendor, endpoint)
            .iter()
            .map(|call| field(call, "id_min").map_or(0, |text| text.parse().unwrap()))
            .collect();
        assert!(
            positions.windows(2).all(|pair| pair[0] < pair[1]),
            "{endpoint}: {positions:?}"
        );
    }
}

#[tokio::test]
async fn a_warning_that_stands_still_without_any_host_ends_the_run_instead_of_turning_for_ever() {
    let page = "<?xml version=\"1.0\"?><HOST_LIST_OUTPUT><RESPONSE><DATETIME>2026-03-02T09:15:00Z</DATETIME>\
        <WARNING><CODE>1980</CODE><TEXT>1 record limit exceeded.</TEXT><URL>https://qualysapi.example.test/?id_min=0</URL></WARNING>\
        </RESPONSE></HOST_LIST_OUTPUT>";
    let mut script = Script::new();
    for _ in 0..40 {
        script = script.answer(200, &[], page);
    }
    let (_, ledger) = scripted(&script, "hosts").await;
    assert_eq!(
        (ledger.outcome, code(&ledger.contents[0])),
        (RunOutcome::Failed, "no-progress")
    );
    assert_eq!(script.requests().len(), 16);
}

#[tokio::test]
async fn the_next_id_that_exists_is_as_good_as_the_last_one_plus_one() {
    whole("--switch warning-next-id").await;
    whole("--switch count-returned --clean 30").await;
    whole("--clean 80").await;
}

#[tokio::test]
async fn every_page_is_one_post_with_the_products_name_and_no_credential_outside_its_header() {
    let (vendor, _, _) = whole("").await;
    for endpoint in ["host-list", "hld"] {
        let mut last = None;
        for call in calls(&vendor, endpoint) {
            assert_eq!((call.method.as_str(), call.query.as_str()), ("POST", ""));
            assert!(
                call.x_requested_with
                    .as_deref()
                    .unwrap()
                    .starts_with("qualys-connector/")
            );
            assert!(call.had_authorization && call.user.as_deref() == Some("demo"));
            assert!(
                call.parameters
                    .iter()
                    .all(|(name, value)| name != "password" && !value.contains("demo"))
            );
            assert_eq!(call.running, 1, "one page at a time");
            let from: Option<u64> = field(&call, "id_min").map(|text| text.parse().unwrap());
            assert!(
                from > last || (from.is_none() && last.is_none()),
                "id_min grows"
            );
            last = from;
        }
    }
    let statuses = calls(&vendor, "hld")
        .into_iter()
        .map(|call| field(&call, "status").unwrap().to_owned());
    assert!(
        statuses
            .into_iter()
            .all(|status| status == "New,Active,Re-Opened,Fixed")
    );
}

/// A host that cannot be taken is set aside; all others arrive, and the next run tries it again.
async fn set_aside(switch: &str, place: usize, expected: &str) {
    let (vendor, mut bench, ledger) =
        run(&format!("--switch {switch}"), json!({"hosts_per_page": 7})).await;
    let bad = Truth::of(&vendor).host_id(place);
    assert_eq!(
        ledger.outcome,
        RunOutcome::Incomplete,
        "{}",
        ledger.to_json()
    );
    for content in &ledger.contents {
        balanced(content);
        assert_eq!(content.counter("set_aside"), 1, "{switch}");
        let [entry] = content.set_aside.as_slice() else {
            panic!("{:?}", content.set_aside)
        };
        assert_eq!(
            (entry.object.as_str(), entry.code.as_str()),
            (bad.as_str(), expected),
            "{switch}"
        );
        assert!(
            content
                .notices
                .iter()
                .any(|notice| notice.code == "incomplete-walk")
        );
        assert!(content.faults.is_empty(), "the plugin itself is well");
        let cursor: Value =
            serde_json::from_str(&bench.cursor(&content.content_type).unwrap().unwrap()).unwrap();
        assert!(
            cursor.get("watermark").is_none(),
            "the watermark does not move"
        );
    }
    assert!(
        ledger.usage.memory_peak_bytes <= 16 << 20,
        "{}",
        ledger.usage.memory_peak_bytes
    );
    let records = bench.records().unwrap();
    nothing_twice(&records);
    Truth::of(&vendor)
        .without(std::slice::from_ref(&bad))
        .check(&records);

    vendor.simulator.clear(None);
    let ledger = collect(&mut bench).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    assert_eq!(
        ledger.content("hosts").unwrap().records,
        1,
        "only what was missing is new"
    );
}

#[tokio::test]
async fn a_host_that_makes_every_page_with_it_malformed_is_set_aside() {
    set_aside("malformed-host=9", 9, "malformed-xml").await;
}

#[tokio::test]
async fn the_first_or_last_host_of_the_estate_may_be_the_malformed_one() {
    set_aside("malformed-host=0", 0, "malformed-xml").await;
    set_aside("malformed-host=23", 23, "malformed-xml").await;
}

#[tokio::test]
async fn a_host_nested_too_deep_is_set_aside() {
    set_aside("deep-host=9:100000", 9, "too-deep").await;
}

#[tokio::test]
async fn a_host_whose_tag_does_not_end_is_set_aside() {
    set_aside("huge-attribute=9:3000000", 9, "malformed-xml").await;
}

#[tokio::test]
async fn a_name_of_megabytes_is_cut_and_marked_and_the_host_arrives() {
    let (vendor, bench, ledger) =
        run("--switch huge-text=9:5000000", json!({"hosts_per_page": 7})).await;
    done(&ledger);
    let truth = Truth::of(&vendor);
    let id = truth.host_id(9);
    let records = bench.records().unwrap();
    let host = last_hosts(&records)[&id];
    assert_eq!(host[LABEL]["DNS_TRUNCATED"]["length"], 5_000_000);
    assert_eq!(host[LABEL]["DNS"].as_str().unwrap().len(), 262_144);
    assert_eq!(last_hosts(&records).len(), truth.hosts.len());
    assert!(
        ledger.usage.memory_peak_bytes <= 16 << 20,
        "{}",
        ledger.usage.memory_peak_bytes
    );
}

#[tokio::test]
async fn elements_that_nobody_has_heard_of_are_kept_and_counted() {
    let (_, _, ledger) = whole("--switch unknown-elements").await;
    let hosts = ledger.content("hosts").unwrap();
    assert_eq!(
        hosts.unknown_elements["HOST/FUTURE_FIELD"], 24,
        "{:?}",
        hosts.unknown_elements
    );
    let detections = ledger.content("vulnerabilities").unwrap();
    assert_eq!(
        detections.unknown_elements["DETECTION/FUTURE_FLAG"],
        24 * 14,
        "{:?}",
        detections.unknown_elements
    );
}

#[tokio::test]
async fn the_order_of_elements_and_the_forms_of_sources_make_no_difference() {
    whole("--switch other-order").await;
    whole("--switch sources-as-elements").await;
    whole("--switch inferred-elements").await;
}

#[tokio::test]
async fn detections_without_an_id_of_their_own_or_a_severity_arrive_once() {
    let (_, mut bench, _) = whole("--switch no-unique-id --detections 40").await;
    assert_eq!(collect(&mut bench).await.records, 0);
    whole("--switch no-severity").await;
}

#[tokio::test]
async fn hosts_that_the_detection_list_silently_omits_are_not_counted_as_listed_there() {
    // Comparing with the host list comes later; today each ledger accounts for what its own pages contained.
    let (vendor, bench, ledger) = run("--switch omit-hosts=3", json!({"hosts_per_page": 7})).await;
    done(&ledger);
    assert_eq!(ledger.content("hosts").unwrap().counter("listed"), 24);
    assert_eq!(
        ledger.content("vulnerabilities").unwrap().counter("listed"),
        21
    );
    Truth::of(&vendor).check_hosts(&bench.records().unwrap());
    assert_eq!(sum(&ledger, "set_aside"), 0);
}
