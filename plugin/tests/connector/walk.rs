//! The walk: pages, cursors, crashes, repeats, watermark.

use std::collections::BTreeSet;

use qualys_connector::environment::{Item, TransportError};
use serde_json::json;

use crate::server::{
    Answer, DATETIME, DETECTIONS, Estate, Host, NOW_MS, Run, Server, broken, detection, estate,
    estate_page, number, page, parameter, pieces, serve, warning,
};

fn keys(items: &[Item]) -> Vec<String> {
    let mut keys: Vec<String> = items.iter().map(|item| item.key.clone()).collect();
    keys.sort();
    keys
}

/// What an undisturbed run collects.
fn undisturbed(estate: &Estate) -> Vec<String> {
    let mut host = Host::new("vulnerabilities", serve(estate));
    host.run();
    keys(&host.records())
}

#[test]
fn a_first_walk_reads_everything_and_the_next_only_what_was_processed_since() {
    let estate = estate(7, 3);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(2));
    let run = host.run();
    assert_eq!(
        (
            run.count("listed"),
            run.count("collected"),
            run.count("pages")
        ),
        (7, 7, 4)
    );
    assert!(run.complete);
    assert_eq!(host.records().len(), 21);
    let requests = host.requests();
    let positions: Vec<u64> = requests
        .iter()
        .map(|request| number(request, "id_min"))
        .collect();
    assert_eq!(positions, [0, 30, 50, 70]);
    assert!(
        requests
            .iter()
            .all(|request| parameter(request, "vm_processed_after").is_none())
    );
    assert!(
        requests
            .iter()
            .all(|request| request.post && request.origin == "https://qualysapi.example.test")
    );
    assert!(
        requests
            .iter()
            .all(|request| request.path == "/api/5.0/fo/asset/host/vm/detection/")
    );
    assert_eq!(host.cursor_json()["watermark"], DATETIME);

    let run = host.run();
    assert_eq!(host.records().len(), 0);
    assert_eq!((run.count("listed"), run.count("repeated")), (7, 21));
    let requests = host.requests();
    assert_eq!(
        parameter(&requests[0], "vm_processed_after"),
        Some("2026-03-02T09:00:00Z")
    );
    let seen = &run.seen[0];
    assert_eq!(seen["object"], "10");
    assert_eq!(seen["repeated"].as_array().map(Vec::len), Some(3));
}

#[test]
fn only_what_changed_is_emitted_again_and_what_vanished_is_forgotten() {
    let estate = estate(3, 4);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.run();
    host.records();
    estate.borrow_mut().insert(
        20,
        vec![detection(200_001, "first"), detection(200_002, "second")],
    );
    let run = host.run();
    let records = host.records();
    assert_eq!(records.len(), 1);
    assert!(records[0].key.starts_with("200002-"));
    assert_eq!(run.count("repeated"), 9);
    // Back to what it was: another state than the last, so it is told.
    estate.borrow_mut().insert(
        20,
        vec![detection(200_001, "first"), detection(200_002, "first")],
    );
    host.run();
    assert_eq!(host.records().len(), 1);
}

#[test]
fn hosts_are_collected_once_each_and_again_when_they_change() {
    let estate = estate(5, 0);
    let mut host = Host::new("hosts", serve(&estate)).with("hosts_per_page", json!(2));
    let run = host.run();
    assert_eq!(
        (
            run.count("listed"),
            run.count("collected"),
            run.count("clean")
        ),
        (5, 5, 0)
    );
    assert_eq!(host.records().len(), 5);
    assert!(
        host.requests()
            .iter()
            .all(|request| request.path == "/api/5.0/fo/asset/host/")
    );
    let run = host.run();
    assert_eq!((host.records().len(), run.count("repeated")), (0, 5));
}

#[test]
fn a_host_without_detections_is_clean_and_accounted_for() {
    let estate = estate(3, 2);
    estate.borrow_mut().insert(15, Vec::new());
    let mut host = Host::new("vulnerabilities", serve(&estate));
    let run = host.run();
    assert_eq!(
        (
            run.count("listed"),
            run.count("collected"),
            run.count("clean")
        ),
        (4, 3, 1)
    );
}

#[test]
fn a_crash_behind_any_batch_changes_nothing() {
    let estate = estate(9, 5);
    let expected = undisturbed(&estate);
    for max_items in [1, 3, 5, 7, 11] {
        let mut host =
            Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(4));
        host.max_items = max_items;
        host.fresh_instances = true;
        let run = host.run();
        assert_eq!(keys(&host.records()), expected, "batches of {max_items}");
        assert!(run.batches > 3 && run.count("repeated") == 0);
    }
}

#[test]
fn a_crash_inside_a_large_host_changes_nothing() {
    let estate = estate(2, 4_000);
    estate.borrow_mut().insert(15, vec![detection(7, "small")]);
    let expected = undisturbed(&estate);
    for fresh in [false, true] {
        let mut host = Host::new("vulnerabilities", serve(&estate));
        host.max_items = 200;
        host.fresh_instances = fresh;
        let run = host.run();
        assert_eq!(keys(&host.records()), expected);
        assert!(run.batches >= 6, "{} batches", run.batches);
        assert_eq!((run.count("listed"), run.count("repeated")), (3, 0));
        assert!(
            run.seen
                .iter()
                .any(|seen| seen["more"] == true && seen["object"] == "10")
        );
        let emitted: usize = run
            .seen
            .iter()
            .map(|seen| seen["emitted"].as_array().map_or(0, Vec::len))
            .sum();
        assert_eq!(emitted, expected.len());
        // The next walk knows all of it.
        host.max_items = 10_000;
        assert_eq!(host.run().count("repeated"), expected.len() as u64);
        assert_eq!(host.records().len(), 0);
    }
}

#[test]
fn a_host_that_changes_while_the_walk_is_interrupted_inside_it_is_told_as_it_is_then() {
    let estate = estate(1, 3_000);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.max_items = 100;
    host.batch(0).expect("a batch");
    assert_eq!(host.cursor_json()["walk"]["host"]["id"], 10);
    if let Some(list) = estate.borrow_mut().get_mut(&10) {
        list[0] = detection(100_001, "second");
        list.remove(1_099);
    }
    host.configure();
    let run = host.run();
    assert!(
        run.notices.contains(&"host-changed".to_owned()),
        "{:?}",
        run.notices
    );
    let records = host.records();
    assert_eq!(records.len(), 3_001, "each state once");
    let unique: BTreeSet<String> = keys(&records).into_iter().collect();
    assert_eq!(unique.len(), 3_001);
}

#[test]
fn a_host_that_vanishes_while_the_walk_is_interrupted_inside_it_is_accounted_for() {
    let estate = estate(2, 3_000);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.max_items = 100;
    host.batch(0).expect("a batch");
    estate.borrow_mut().remove(&10);
    host.configure();
    let run = host.run();
    assert_eq!((run.count("vanished"), run.count("collected")), (1, 1));
}

#[test]
fn a_cut_page_is_never_a_last_page() {
    let estate = estate(3, 2);
    let expected = undisturbed(&estate);
    let whole = estate_page(&estate, &first_request(&estate));
    let end = whole
        .find("</HOST_LIST_VM_DETECTION_OUTPUT>")
        .expect("the closing tag");
    for cut in 0..end + "</HOST_LIST_VM_DETECTION_OUTPUT>".len() {
        for clean in [true, false] {
            let mut first = true;
            let inner = estate.clone();
            let server: Server = Box::new(move |request| {
                let page = estate_page(&inner, request);
                let cut = if std::mem::take(&mut first) {
                    cut
                } else {
                    page.len()
                };
                let start = &page.as_bytes()[..cut];
                let body = if clean || cut == page.len() {
                    pieces(start, 97)
                } else {
                    broken(start, 97)
                };
                Ok(Answer {
                    status: 200,
                    headers: Vec::new(),
                    body,
                })
            });
            let mut host = Host::new("vulnerabilities", server);
            let run = host.run();
            assert_eq!(keys(&host.records()), expected, "cut at {cut}");
            assert_eq!(run.faults.len(), 1, "cut at {cut}");
            assert!(
                ["truncated-body", "not-xml"].contains(&run.faults[0].code.as_str()),
                "{:?}",
                run.faults
            );
            assert_eq!((run.count("listed"), run.count("repeated")), (3, 0));
        }
    }
}

fn first_request(estate: &Estate) -> qualys_connector::environment::Request {
    let mut host = Host::new("vulnerabilities", serve(estate));
    host.run();
    host.requests().remove(0)
}

#[test]
fn hosts_in_front_of_a_fault_are_kept_and_the_fault_comes_with_the_next_call() {
    let estate = estate(4, 2);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        let page = estate_page(&inner, request);
        if number(request, "id_min") > 0 {
            return Err(TransportError::Timeout("first byte".to_owned()));
        }
        let cut = page.find("<ID>30</ID>").expect("the third host");
        Ok(Answer {
            status: 200,
            headers: Vec::new(),
            body: broken(&page.as_bytes()[..cut], 500),
        })
    });
    let mut host = Host::new("vulnerabilities", server);
    let batch = host.batch(0).expect("two hosts");
    assert!(batch.more && batch.emitted == 4);
    assert_eq!(host.cursor_json()["walk"]["id_min"], 21);
    let fault = host.batch(0).expect_err("the fault of the call before");
    assert_eq!(fault.code, "truncated-body");
    assert_eq!(host.requests().len(), 1, "nothing is asked for in between");
    assert_eq!(host.batch(1).expect_err("a new attempt").code, "timeout");
    host.serve(serve(&estate));
    host.run();
    assert_eq!(keys(&host.records()), undisturbed(&estate));
}

#[test]
fn the_page_size_is_halved_by_each_attempt_remembered_and_grown_back() {
    let estate = estate(60, 1);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        if number(request, "truncation_limit") > 3 && number(request, "id_min") < 100 {
            return Err(TransportError::Timeout("first byte".to_owned()));
        }
        Answer::ok(estate_page(&inner, request))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(16));
    host.max_items = 1;
    host.run();
    let mut sizes: Vec<u64> = host
        .requests()
        .iter()
        .map(|request| number(request, "truncation_limit"))
        .collect();
    assert_eq!(sizes[..4], [16, 8, 4, 2]);
    sizes.dedup();
    assert_eq!(sizes.last(), Some(&16), "{sizes:?}");
    assert_eq!(keys(&host.records()), undisturbed(&estate));
}

#[test]
fn a_host_that_spoils_its_page_is_set_aside_and_the_watermark_waits() {
    let estate = estate(9, 3);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        Answer::ok(estate_page(&inner, request).replace("<ID>50</ID><IP>", "<ID>50</ID><IP <"))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(4));
    let run = host.run();
    assert_eq!(
        run.set_aside,
        [("50".to_owned(), "malformed-xml".to_owned())]
    );
    assert!(!run.complete);
    assert_eq!(
        (
            run.count("listed"),
            run.count("collected"),
            run.count("set_aside")
        ),
        (9, 8, 1)
    );
    assert_eq!(host.records().len(), 24);
    assert!(host.cursor_json().get("watermark").is_none());
    // The next run tries again, emits only what is new, and is complete once the host is readable.
    host.requests();
    host.serve(serve(&estate));
    let run = host.run();
    assert!(run.complete && parameter(&host.requests()[0], "vm_processed_after").is_none());
    assert_eq!((host.records().len(), run.count("repeated")), (3, 24));
    assert_eq!(host.cursor_json()["watermark"], DATETIME);
}

#[test]
fn a_host_that_spoils_its_page_before_its_id_is_found_by_asking_for_the_id_alone() {
    let estate = estate(4, 1);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        if parameter(request, "details") == Some("None") {
            assert!(request.path.ends_with("/asset/host/"));
            let next = inner
                .borrow()
                .range(number(request, "id_min")..)
                .next()
                .map(|(id, _)| *id)
                .expect("a host");
            let set = format!("<ID_SET><ID>{next}</ID></ID_SET>");
            return Answer::ok(page("HOST_LIST_OUTPUT", "", &set));
        }
        Answer::ok(estate_page(&inner, request).replace("<HOST><ID>20</ID>", "<HOST><<ID>20</ID>"))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    let run = host.run();
    assert_eq!(
        run.set_aside,
        [("20".to_owned(), "malformed-xml".to_owned())]
    );
    assert_eq!((run.count("collected"), run.complete), (3, false));
}

#[test]
fn a_host_on_the_list_to_leave_out_is_stepped_over_at_once_and_the_walk_is_complete() {
    let estate = estate(5, 2);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        Answer::ok(estate_page(&inner, request).replace("<ID>30</ID><IP>", "<ID>30</ID><IP <"))
    });
    let mut host = Host::new("vulnerabilities", server);
    host.options = json!({"skip": ["30", "40"], "something_newer": 1});
    let run = host.run();
    let skipped = |id: &str| (id.to_owned(), "skipped".to_owned());
    assert_eq!(run.set_aside, [skipped("30"), skipped("40")]);
    assert!(run.complete && run.faults.is_empty());
    assert_eq!(host.records().len(), 6);
}

#[test]
fn the_same_host_twice_in_one_walk_is_recognised() {
    let estate = estate(4, 3);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        let page = estate_page(&inner, request);
        let again = crate::server::host_xml(10, &inner.borrow()[&10]);
        Answer::ok(
            page.replacen("<HOST><ID>20", &format!("{again}<HOST><ID>20"), 1)
                .replacen("</HOST_LIST>", &format!("{again}</HOST_LIST>"), 1),
        )
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(3));
    let run = host.run();
    assert_eq!(keys(&host.records()), undisturbed(&estate));
    assert!(run.count("repeated") >= 6);
}

#[test]
fn a_full_walk_reads_everything_again_and_emits_only_what_changed() {
    let estate = estate(4, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(2));
    host.run();
    host.records();
    host.requests();
    host.options = json!({"full": true, "dry_run": false});
    let run = host.run();
    assert_eq!(run.notices, ["full-walk"]);
    assert_eq!((run.count("repeated"), host.records().len()), (8, 0));
    assert!(
        host.requests()
            .iter()
            .all(|request| parameter(request, "vm_processed_after").is_none())
    );
}

#[test]
fn what_is_read_again_since_a_moment_never_begins_behind_the_watermark() {
    let estate = estate(4, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(2));
    host.run();
    host.run();
    host.requests();
    host.run();
    let requests = host.requests();
    let increment = parameter(&requests[0], "vm_processed_after").expect("an increment");
    // 2026-01-01T00:00:00Z, and a moment that is long after the watermark.
    for (since, begins) in [
        (1_767_225_600_000_u64, "2026-01-01T00:00:00Z"),
        (NOW_MS + 3_600_000, increment),
    ] {
        host.world.0.borrow_mut().cache.clear();
        host.records();
        host.requests();
        host.options = json!({"full": true, "since_ms": since});
        let run = host.run();
        assert_eq!(run.notices, ["since"]);
        let requests = host.requests();
        assert_eq!(parameter(&requests[0], "vm_processed_after"), Some(begins));
        assert_eq!(host.records().len(), 8, "the server lists all it has");
    }
    // Without a watermark nothing is left out.
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.options = json!({"full": true, "since_ms": NOW_MS});
    assert_eq!(host.run().notices, ["full-walk"]);
    assert!(parameter(&host.requests()[0], "vm_processed_after").is_none());
}

#[test]
fn a_look_back_bounds_what_is_read_again_too() {
    let estate = estate(2, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("lookback_days", json!(1));
    host.run();
    host.requests();
    host.options = json!({"full": true, "since_ms": 1_767_225_600_000_u64});
    host.run();
    let day_ago = (NOW_MS - 86_400_000) / 1000;
    let requests = host.requests();
    let after = parameter(&requests[0], "vm_processed_after").expect("a beginning");
    let after: jiff::Timestamp = after.parse().expect("a moment");
    assert_eq!(u64::try_from(after.as_second()), Ok(day_ago));
}

#[test]
fn a_host_that_always_asks_for_a_full_walk_gets_one_and_not_an_endless_one() {
    let estate = estate(6, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.max_items = 2;
    host.options = json!({"full": true});
    let mut more = true;
    let mut batches = 0;
    while more {
        more = host.batch(0).expect("a batch").more;
        batches += 1;
        assert!(batches < 20);
    }
    assert_eq!(host.records().len(), 12);
}

#[test]
fn changed_settings_start_a_full_walk_that_emits_everything_and_says_so() {
    let estate = estate(3, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.run();
    assert_eq!(host.records().len(), 6);
    let mut host = host.with("leave_out", json!(["RESULTS"]));
    host.requests();
    let run = host.run();
    assert_eq!(run.notices, ["fingerprint-changed"]);
    let records = host.records();
    assert_eq!((records.len(), run.count("repeated")), (6, 0));
    assert!(records.iter().all(|item| !item.body.contains("RESULTS")));
    assert!(parameter(&host.requests()[0], "vm_processed_after").is_none());
    assert_eq!(host.run().count("repeated"), 6);
}

#[test]
fn a_look_back_limits_the_first_walk_only() {
    let estate = estate(1, 1);
    let mut host = Host::new("hosts", serve(&estate))
        .with("lookback_days", json!(30))
        .with("overlap_minutes", json!(60));
    host.run();
    host.run();
    let requests = host.requests();
    assert_eq!(
        parameter(&requests[0], "vm_processed_after"),
        Some("2026-01-31T09:15:00Z")
    );
    assert_eq!(
        parameter(&requests[1], "vm_processed_after"),
        Some("2026-03-02T08:15:00Z")
    );
}

/// An estate whose server tells the time of each request from a list.
fn with_times(estate: &Estate, times: &[&str]) -> Server {
    let estate = estate.clone();
    let mut times = times
        .iter()
        .map(|&time| time.to_owned())
        .collect::<Vec<_>>()
        .into_iter();
    Box::new(move |request| {
        let time = times.next().unwrap_or_else(|| DATETIME.to_owned());
        Answer::ok(estate_page(&estate, request).replace(DATETIME, &time))
    })
}

#[test]
fn the_watermark_is_the_time_of_the_first_answer_also_after_a_crash() {
    let estate = estate(6, 1);
    let server = with_times(
        &estate,
        &[
            "2026-03-02T09:10:00Z",
            "2026-03-02T09:11:00Z",
            "2026-03-02T09:12:00Z",
        ],
    );
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(2));
    host.max_items = 1;
    host.fresh_instances = true;
    host.run();
    assert_eq!(host.cursor_json()["watermark"], "2026-03-02T09:10:00Z");
}

#[test]
fn a_host_processed_behind_the_position_of_an_interrupted_walk_is_in_the_next_one() {
    let estate = estate(6, 1);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(2));
    host.max_items = 3;
    host.batch(0).expect("a batch");
    host.configure();
    estate
        .borrow_mut()
        .insert(10, vec![detection(100_001, "processed again")]);
    host.run();
    host.records();
    host.requests();
    host.run();
    let records = host.records();
    assert_eq!(records.len(), 1);
    assert!(records[0].body.contains("processed again"));
    // It is asked for, because the increment begins before the interrupted walk did.
    assert_eq!(
        parameter(&host.requests()[0], "vm_processed_after"),
        Some("2026-03-02T09:00:00Z")
    );
}

#[test]
fn a_server_clock_far_ahead_or_behind_the_watermark_never_moves_it() {
    let estate = estate(1, 1);
    let mut host = Host::new("hosts", with_times(&estate, &["2026-03-02T09:25:01Z"]));
    assert_eq!(host.run().notices, ["clock-ahead"]);
    assert!(host.cursor_json().get("watermark").is_none());
    host.serve(with_times(
        &estate,
        &["2026-03-02T09:25:00Z", "2026-03-02T09:24:59Z", "soon"],
    ));
    assert!(host.run().notices.is_empty());
    assert_eq!(host.run().notices, ["clock-behind"]);
    assert_eq!(host.run().notices, ["no-datetime"]);
    assert_eq!(host.cursor_json()["watermark"], "2026-03-02T09:25:00Z");
}

#[test]
fn a_first_answer_without_a_time_leaves_the_watermark_where_it_is() {
    let estate = estate(4, 1);
    let server = with_times(&estate, &["", DATETIME]);
    let mut host = Host::new("hosts", server).with("hosts_per_page", json!(2));
    assert_eq!(host.run().notices, ["no-datetime"]);
    assert!(host.cursor_json().get("watermark").is_none());
}

#[test]
fn a_batch_ends_at_its_limits_and_the_answer_stays_open() {
    let estate = estate(40, 2);
    let ends = |change: fn(&mut Host)| {
        let mut host = Host::new("vulnerabilities", serve(&estate));
        change(&mut host);
        let first = host.batch(0).expect("a batch");
        let run = host.run();
        assert_eq!(
            host.requests().len(),
            1,
            "one page, read through all batches"
        );
        assert_eq!(keys(&host.records()), undisturbed(&estate));
        assert!(run.batches > 1);
        first.emitted
    };
    assert_eq!(ends(|host| host.max_items = 5), 6);
    assert!(ends(|host| host.max_bytes = 3_000) < 20);
    let ticking = ends(|host| {
        host.soft_deadline_ms = 50;
        host.world.0.borrow_mut().tick_ms = 10;
    });
    assert!((2..30).contains(&ticking), "{ticking}");
}

#[test]
fn a_full_cache_costs_repeats_and_nothing_else() {
    let estate = estate(3, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.world.0.borrow_mut().refuse_cache = true;
    assert_eq!(host.run().notices, ["cache-full"]);
    let first = keys(&host.records());
    host.run();
    assert_eq!(keys(&host.records()), first, "the same keys again");
}

#[test]
fn a_discarded_batch_is_collected_again() {
    let estate = estate(6, 2);
    let mut host = Host::new("vulnerabilities", serve(&estate));
    host.max_items = 4;
    host.batch(0).expect("a batch");
    let before = host.cursor.clone();
    let cache = host.world.0.borrow().cache.clone();
    let emitted = host.batch(0).expect("a batch").emitted;
    // The host could not commit: cursor, records and cache are those from before.
    host.cursor = before;
    let mut kept = host.records();
    kept.truncate(kept.len() - usize::try_from(emitted).expect("small"));
    host.world.0.borrow_mut().cache = cache;
    let run = host.run();
    kept.extend(host.records());
    assert_eq!(keys(&kept), undisturbed(&estate));
    assert_eq!(run.count("repeated"), 0);
}

/// One page whose end says `notice`.
fn noticed(notice: &str) -> (Option<Run>, Host) {
    let hosts = crate::server::host_xml(10, &[detection(1, "x")]);
    let notice = notice.to_owned();
    let server: Server = Box::new(move |request| {
        let (hosts, notice) = if number(request, "id_min") > 10 {
            ("", "")
        } else {
            (hosts.as_str(), notice.as_str())
        };
        Answer::ok(page(DETECTIONS, hosts, notice))
    });
    let mut host = Host::new("vulnerabilities", server);
    (host.try_run(), host)
}

#[test]
fn quirk_40_a_notice_without_a_position_is_reported_and_the_walk_goes_on_behind_the_last_host() {
    for notice in [
        "<WARNING><CODE>1980</CODE><TEXT>2 record limit exceeded.</TEXT></WARNING>".to_owned(),
        warning(0).replace("id_min=0", "x=1"),
        warning(0).replace("id_min=0", "id_min=abc"),
        "<WARNING><TEXT>2 record limit exceeded.</TEXT></WARNING>".to_owned(),
    ] {
        let (run, mut host) = noticed(&notice);
        let run = run.expect("a walk that ends");
        assert_eq!(run.notices, ["warning-unusable"], "{notice}");
        assert!(run.faults.is_empty() && run.complete);
        let positions: Vec<u64> = host
            .requests()
            .iter()
            .map(|request| number(request, "id_min"))
            .collect();
        assert_eq!((positions, host.records().len()), (vec![0, 11], 1));
        assert_eq!(host.cursor_json()["watermark"], DATETIME);
    }
}

#[test]
fn a_notice_whose_position_does_not_advance_is_an_error_and_nothing_is_lost() {
    for notice in [warning(10), warning(1)] {
        let (run, mut host) = noticed(&notice);
        let run = run.expect("the walk goes on behind the last host");
        assert_eq!(run.faults.len(), 1, "{notice}");
        assert_eq!(
            (run.faults[0].code.as_str(), host.records().len()),
            ("no-progress", 1)
        );
    }
}

#[test]
fn a_notice_without_a_position_on_a_page_that_brings_nothing_new_is_an_error() {
    let notice = warning(0).replace("id_min=0", "x=1");
    for hosts in [String::new(), crate::server::host_xml(10, &[])] {
        // The same page, whatever is asked for.
        let page = page(DETECTIONS, &hosts, &notice);
        let mut host = Host::new("vulnerabilities", crate::server::serve_page(page));
        assert!(host.try_run().is_none());
        assert!(host.requests().len() <= 17, "no circle");
        assert!(
            host.cursor
                .is_none_or(|cursor| !cursor.contains("watermark"))
        );
    }
}

#[test]
fn a_page_without_hosts_whose_notice_does_not_advance_is_never_asked_for_in_a_circle() {
    let mut host = Host::new(
        "vulnerabilities",
        Box::new(|_| Answer::ok(page(DETECTIONS, "", &warning(0)))),
    );
    assert!(host.try_run().is_none());
    assert_eq!(host.requests().len(), 16, "one call for each attempt");
}

#[test]
fn quirk_41_a_notice_of_another_kind_ends_the_walk_and_is_passed_on() {
    let (run, host) =
        noticed("<WARNING><CODE>1234</CODE><TEXT>For your information.</TEXT></WARNING>");
    assert_eq!(run.expect("a walk that ends").notices, ["vendor-warning"]);
    assert_eq!(host.cursor_json()["watermark"], DATETIME);
}

#[test]
fn quirk_39_the_address_in_a_notice_is_never_followed() {
    let estate = estate(3, 1);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(1));
    host.run();
    let requests = host.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests
            .iter()
            .all(|request| request.origin == "https://qualysapi.example.test")
    );
    assert!(
        requests
            .iter()
            .all(|request| parameter(request, "status") == Some("New,Active,Re-Opened,Fixed"))
    );
}

#[test]
fn a_page_that_left_out_all_its_hosts_is_no_end() {
    let server: Server = Box::new(|request| {
        Answer::ok(match number(request, "id_min") {
            0 => page(DETECTIONS, "", &warning(500)),
            500 => page(
                DETECTIONS,
                &crate::server::host_xml(500, &[detection(1, "x")]),
                "",
            ),
            other => panic!("nobody asks for {other}"),
        })
    });
    let mut host = Host::new("vulnerabilities", server);
    assert_eq!((host.run().count("pages"), host.records().len()), (2, 1));
}

#[test]
fn the_walks_start_is_the_time_of_a_record_that_has_none() {
    let hosts = "<HOST><ID>5</ID></HOST>";
    let mut host = Host::new(
        "hosts",
        crate::server::serve_page(page("HOST_LIST_OUTPUT", hosts, "")),
    );
    host.world.0.borrow_mut().now_ms = NOW_MS + 60_000;
    host.run();
    assert_eq!(host.records()[0].time_ms, NOW_MS);
}

/// Requests of each call until the walk ends.
fn requests_of_each_call(host: &mut Host) -> Vec<usize> {
    let mut calls = Vec::new();
    loop {
        let more = host.batch(0).expect("a batch").more;
        calls.push(host.requests().len());
        if !more {
            return calls;
        }
        assert!(calls.len() < 100);
    }
}

#[test]
fn a_call_makes_no_more_requests_than_a_host_allows_however_small_the_pages_are() {
    let estate = estate(100, 1);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(1));
    assert_eq!(requests_of_each_call(&mut host), [32, 32, 32, 4]);
    assert_eq!(keys(&host.records()), undisturbed(&estate));
    // Hosts that are stepped over cost requests as well.
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        Answer::ok(estate_page(&inner, request).replace("</ID><IP>", "</ID><IP <"))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    let all: Vec<String> = (1..=100).map(|host| (host * 10).to_string()).collect();
    host.options = json!({ "skip": all });
    // The last page has no host any more.
    assert_eq!(requests_of_each_call(&mut host), [32, 32, 32, 5]);
}

#[test]
fn the_question_for_an_id_counts_as_a_page_of_the_call() {
    let estate = estate(100, 1);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        if parameter(request, "details") == Some("None") {
            return Answer::ok(page("HOST_LIST_OUTPUT", "", "<ID_SET><ID>10</ID></ID_SET>"));
        }
        Answer::ok(estate_page(&inner, request).replace("<HOST><ID>10</ID>", "<HOST><<ID>10</ID>"))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    let batch = host.batch(2).expect("a host is stepped over");
    assert_eq!((batch.emitted, batch.complete), (30, false));
    assert_eq!(host.requests().len(), 32);
}

#[test]
fn the_last_page_of_a_call_is_read_to_its_end() {
    let estate = estate(70, 1);
    let mut host = Host::new("vulnerabilities", serve(&estate)).with("hosts_per_page", json!(2));
    assert_eq!(host.batch(0).expect("a batch").emitted, 64);
    assert_eq!(host.requests().len(), 32);
    assert_eq!(requests_of_each_call(&mut host), [3]);
}

/// An estate whose connection breaks where a page comes to host 30: inside of it, or before a byte of the answer.
fn breaking_at_30(estate: &Estate, inside: bool) -> Server {
    let estate = estate.clone();
    Box::new(move |request| {
        if parameter(request, "details") == Some("None") {
            let id = estate
                .borrow()
                .range(number(request, "id_min")..)
                .next()
                .map(|(id, _)| *id)
                .expect("a host");
            let set = format!("<ID_SET><ID>{id}</ID></ID_SET>");
            return Answer::ok(page("HOST_LIST_OUTPUT", "", &set));
        }
        let page = estate_page(&estate, request);
        match page.find("<ID>30</ID>") {
            None => Answer::ok(page),
            Some(at) if inside => Ok(Answer {
                status: 200,
                headers: Vec::new(),
                body: broken(&page.as_bytes()[..at + 40], 500),
            }),
            Some(_) => Err(TransportError::Connection("reset".to_owned())),
        }
    })
}

#[test]
fn a_host_at_which_the_connection_always_breaks_is_set_aside_in_the_end() {
    for (inside, code) in [(true, "truncated-body"), (false, "connection")] {
        let estate = estate(6, 2);
        let server = breaking_at_30(&estate, inside);
        let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(4));
        let run = host.run();
        assert_eq!(run.set_aside, [("30".to_owned(), code.to_owned())]);
        assert_eq!((run.count("collected"), run.complete), (5, false));
        assert!(run.faults.iter().all(|fault| fault.code == code));
        assert!(run.faults.len() >= 10, "{}", run.faults.len());
        assert!(host.cursor_json().get("watermark").is_none());
        // The next run reads it, once the connection holds.
        host.serve(serve(&estate));
        assert!(host.run().complete);
        assert_eq!(keys(&host.records()), undisturbed(&estate));
    }
}

#[test]
fn an_answer_that_is_always_empty_for_a_host_sets_it_aside_in_the_end() {
    let estate = estate(4, 1);
    let mut inner = breaking_at_30(&estate, false);
    let server: Server = Box::new(move |request| inner(request).or_else(|_| Answer::ok("")));
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    let run = host.run();
    let aside = ("30".to_owned(), "truncated-body".to_owned());
    assert_eq!((run.set_aside, run.faults.len()), (vec![aside], 10));
}

#[test]
fn a_connection_that_breaks_for_a_while_costs_no_host() {
    let estate = estate(4, 2);
    for inside in [true, false] {
        let mut bad = 9;
        let mut breaking = breaking_at_30(&estate, inside);
        let inner = estate.clone();
        let server: Server = Box::new(move |request| {
            let answer = breaking(request);
            if number(request, "id_min") <= 20 {
                return answer;
            }
            bad -= 1;
            match bad {
                0.. => answer,
                _ => Answer::ok(estate_page(&inner, request)),
            }
        });
        let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
        let run = host.run();
        assert_eq!((run.set_aside.len(), run.faults.len()), (0, 9));
        assert!(run.complete);
        assert_eq!(keys(&host.records()), undisturbed(&estate));
    }
}

#[test]
fn a_server_that_nothing_reaches_costs_no_host() {
    let server: Server = Box::new(|_| Err(TransportError::Connection("refused".to_owned())));
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    assert!(host.try_run().is_none());
    assert!(host.cursor.is_none());
}

#[test]
fn a_host_that_spoils_its_page_is_found_however_large_pages_are() {
    let estate = estate(5, 1);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        Answer::ok(estate_page(&inner, request).replace("<ID>30</ID><IP>", "<ID>30</ID><IP <"))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1_000_000));
    let run = host.run();
    assert_eq!(
        run.set_aside,
        [("30".to_owned(), "malformed-xml".to_owned())]
    );
    assert_eq!(run.count("collected"), 4);
}

#[test]
fn a_large_host_of_which_a_late_attempt_brings_more_is_not_set_aside() {
    let estate = estate(1, 8_000);
    let inner = estate.clone();
    let mut calls = 0;
    let server: Server = Box::new(move |request| {
        let page = estate_page(&inner, request);
        calls += 1;
        let end = match calls {
            1..=10 => 300,
            11 => page.len() * 4 / 5,
            _ => return Answer::ok(page),
        };
        Ok(Answer {
            status: 200,
            headers: Vec::new(),
            body: broken(&page.as_bytes()[..end], 50_000),
        })
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(1));
    let run = host.run();
    assert_eq!((run.set_aside.len(), run.complete), (0, true));
    assert_eq!(keys(&host.records()), undisturbed(&estate));
}
