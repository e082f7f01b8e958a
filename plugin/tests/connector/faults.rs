//! Faults: hostile pages, huge hosts, refusals, the test of a connection.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use qualys_connector::environment::TransportError;
use qualys_connector::{Connector, FaultKind, Outcome};
use serde_json::{Value, json};

use crate::server::{
    Answer, DETECTIONS, Env, Host, LIST, Pieces, Server, detection, estate, host_xml, page,
    read_detections, read_hosts, serve, serve_page,
};

#[test]
fn a_host_nested_too_deep_is_set_aside_and_the_others_arrive() {
    let deep = format!(
        "<HOST><ID>2</ID>{}x{}</HOST>",
        "<A>".repeat(5_000),
        "</A>".repeat(5_000)
    );
    let (records, run) = read_hosts(&format!(
        "<HOST><ID>1</ID></HOST>{deep}<HOST><ID>3</ID></HOST>"
    ));
    assert_eq!(records.len(), 2);
    assert_eq!(run.set_aside, [("2".to_owned(), "too-deep".to_owned())]);
    assert!(!run.complete);
}

#[test]
fn a_host_without_a_usable_id_is_set_aside() {
    let (records, run) = read_hosts(
        "<HOST><IP>192.0.2.1</IP></HOST><HOST/><HOST><ID>seven</ID></HOST><HOST><ID>-1</ID></HOST><HOST><ID>8</ID></HOST>",
    );
    assert_eq!(records.len(), 1);
    let codes: Vec<&str> = run
        .set_aside
        .iter()
        .map(|(_, code)| code.as_str())
        .collect();
    assert_eq!(codes, ["no-id", "no-id", "bad-id", "bad-id"]);
    assert!(!run.complete);
}

#[test]
fn depth_outside_of_hosts_and_endless_tags_are_refused() {
    let deep = page(LIST, "", &"<A>".repeat(100));
    assert_eq!(
        Host::new("hosts", serve_page(deep))
            .batch(0)
            .expect_err("too deep")
            .code,
        "too-deep"
    );
    for hosts in [
        format!(
            "<HOST><ID>1</ID><OS a=\"{}\">x</OS></HOST>",
            "x".repeat(200_000)
        ),
        format!("<HOST><ID>1</ID><{}/></HOST>", "N".repeat(200_000)),
        format!(
            "<HOST><ID>1</ID><OS {}/></HOST>",
            (0..500).map(|n| format!("a{n}=\"1\" ")).collect::<String>()
        ),
        "<HOST><ID>1</ID><OS a=\"1\" a=\"2\"/></HOST>".to_owned(),
        "<HOST><ID>1</ID><OS>x</IP></OS></HOST>".to_owned(),
        "<HOST><ID>1</HOST></ID>".to_owned(),
        "<HOST><ID>1</ID><?pi <x></HOST>".to_owned(),
    ] {
        let fault = Host::new("hosts", serve_page(page(LIST, &hosts, "")))
            .batch(0)
            .expect_err("malformed");
        assert!(
            ["malformed-xml", "truncated-body"].contains(&fault.code.as_str()),
            "{fault:?}"
        );
        assert_eq!(fault.kind, FaultKind::Malformed);
    }
}

#[test]
fn a_page_of_the_wrong_list_is_no_page() {
    let fault = Host::new("hosts", serve_page(page(DETECTIONS, "", "")))
        .batch(0)
        .expect_err("the wrong list");
    assert_eq!(
        (fault.kind, fault.code.as_str()),
        (FaultKind::Malformed, "not-xml")
    );
}

/// A body that is made while it is read: `unit` so many times between a start and an end.
fn endless(
    start: String,
    unit: impl Fn(usize) -> String + 'static,
    times: usize,
    end: String,
) -> Pieces {
    let middle = (0..times).map(move |n| Ok(unit(n).into_bytes()));
    Box::new(
        std::iter::once(Ok(start.into_bytes()))
            .chain(middle)
            .chain([Ok(end.into_bytes())]),
    )
}

fn head(root: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><{root}><RESPONSE><DATETIME>2026-03-02T09:15:00Z</DATETIME><HOST_LIST>"
    )
}

fn tail(root: &str) -> String {
    format!("</HOST_LIST></RESPONSE></{root}>")
}

fn once(make: impl Fn() -> Pieces + 'static) -> Server {
    Box::new(move |_| {
        Ok(Answer {
            status: 200,
            headers: Vec::new(),
            body: make(),
        })
    })
}

#[test]
fn a_host_with_very_many_detections_arrives_whole() {
    let server = once(|| {
        endless(
            head(DETECTIONS) + "<HOST><ID>7</ID><OS>Windows</OS><DETECTION_LIST>",
            |n| detection(n as u64, "x"),
            30_000,
            "</DETECTION_LIST></HOST>".to_owned()
                + &host_xml(8, &[detection(1_000_000, "x")])
                + &tail(DETECTIONS),
        )
    });
    let mut host = Host::new("vulnerabilities", server);
    let run = host.run();
    let records = host.records();
    let keys: HashSet<&str> = records.iter().map(|item| item.key.as_str()).collect();
    assert_eq!((records.len(), keys.len()), (30_001, 30_001));
    assert_eq!((run.count("listed"), host.requests().len()), (2, 1));
    assert!(records[29_999].body.contains("\"type\":\"windows\""));
    assert!(host.world.0.borrow().largest_list < 400 << 10);
    host.run();
    assert_eq!(host.records().len(), 0);
}

#[test]
fn texts_below_the_limit_that_are_huge_together_arrive_whole() {
    const EACH: usize = 250_000;
    let one = |n: usize| {
        format!(
            "<DETECTION><UNIQUE_VULN_ID>{n}</UNIQUE_VULN_ID><RESULTS><![CDATA[{}{n}]]></RESULTS></DETECTION>",
            "r".repeat(EACH)
        )
    };
    let server = once(move || {
        endless(
            head(DETECTIONS) + "<HOST><ID>7</ID><DETECTION_LIST>",
            one,
            40,
            "</DETECTION_LIST></HOST>".to_owned() + &tail(DETECTIONS),
        )
    });
    let mut host = Host::new("vulnerabilities", server);
    let run = host.run();
    let records = host.records();
    assert_eq!((records.len(), run.count("truncated")), (40, 0));
    assert!(
        records
            .iter()
            .all(|item| item.body.len() > EACH && !item.body.contains("_TRUNCATED"))
    );
    assert!(run.batches > 1, "ten megabytes are more than a batch");
}

#[test]
fn a_single_huge_text_arrives_cut_wherever_it_stands() {
    let huge = || {
        (0..200)
            .map(|_| "0123456789abcdef".repeat(1_000))
            .collect::<String>()
    };
    let (records, run) = read_hosts(&format!(
        "<HOST><ID>1</ID><COMMENTS>{}</COMMENTS><OS>x</OS></HOST>",
        huge()
    ));
    let vendor = &records[0]["qualys_cloud_platform"];
    assert_eq!(
        (
            vendor["COMMENTS"].as_str().map(str::len),
            run.count("truncated")
        ),
        (Some(262_144), 1)
    );
    assert_eq!(vendor["COMMENTS_TRUNCATED"]["length"], 3_200_000);
    assert_eq!(vendor["OS"], "x");
    let (records, _) = read_detections(&host_xml(
        7,
        &[
            format!(
                "<DETECTION><QID>1</QID><A><B>{0}</B><B>x</B></A><QDS severity=\"LOW\">{0}</QDS></DETECTION>",
                huge()
            ),
            detection(2, "x"),
        ],
    ));
    let detection = &records[0]["qualys_cloud_platform"]["DETECTION"];
    assert_eq!(
        detection["A"]["B"][0]["value_TRUNCATED"]["length"],
        3_200_000
    );
    assert_eq!(
        (
            &detection["A"]["B"][1],
            &detection["QDS"]["score_TRUNCATED"]["length"]
        ),
        (&json!("x"), &json!(3_200_000))
    );
    assert_eq!(records.len(), 2);
    // Blanks are no text, however many.
    let (records, run) = read_hosts(&format!(
        "<HOST><ID>1</ID>{}<OS>{}</OS></HOST>",
        " ".repeat(600_000),
        "\n".repeat(600_000)
    ));
    assert_eq!(
        (&records[0]["qualys_cloud_platform"], run.count("truncated")),
        (&json!({"ID": "1"}), 0)
    );
}

#[test]
fn a_host_whose_own_part_exceeds_the_window_is_set_aside_and_the_others_arrive() {
    let server = once(|| {
        endless(
            head(LIST) + "<HOST><ID>6</ID></HOST><HOST><ID>7</ID>",
            |n| format!("<E{n}>{}</E{n}>", "x".repeat(90_000)),
            60,
            "</HOST><HOST><ID>8</ID></HOST>".to_owned() + &tail(LIST),
        )
    });
    let mut host = Host::new("hosts", server);
    let run = host.run();
    assert_eq!(run.set_aside, [("7".to_owned(), "too-large".to_owned())]);
    assert_eq!((host.records().len(), run.complete), (2, false));
}

#[test]
fn a_host_that_turns_bad_in_the_middle_keeps_its_first_detections_and_is_set_aside() {
    let deep = format!(
        "<DETECTION>{}{}</DETECTION>",
        "<A>".repeat(100),
        "</A>".repeat(100)
    );
    let end = format!(
        "{deep}</DETECTION_LIST></HOST>{}{}",
        host_xml(8, &[detection(1_000_000, "x")]),
        tail(DETECTIONS)
    );
    let server = once(move || {
        endless(
            head(DETECTIONS) + "<HOST><ID>7</ID><DETECTION_LIST>",
            |n| detection(n as u64, "x"),
            6_000,
            end.clone(),
        )
    });
    let mut host = Host::new("vulnerabilities", server);
    let run = host.run();
    assert_eq!(run.set_aside, [("7".to_owned(), "too-deep".to_owned())]);
    assert!((2_000..6_001).contains(&host.records().len()));
    assert_eq!((run.count("listed"), run.complete), (2, false));
}

#[test]
fn a_wait_that_the_vendor_names_is_passed_on_behind_what_was_collected() {
    let estate = estate(4, 1);
    let inner = estate.clone();
    let server: Server = Box::new(move |request| {
        if crate::server::number(request, "id_min") > 0 {
            return Answer::status(
                409,
                "<SIMPLE_RETURN><RESPONSE><CODE>1965</CODE><TEXT>t</TEXT><ITEM_LIST><ITEM><KEY>SECONDS_TO_WAIT</KEY><VALUE>725</VALUE></ITEM>\
                </ITEM_LIST></RESPONSE></SIMPLE_RETURN>",
            );
        }
        Answer::ok(crate::server::estate_page(&inner, request))
    });
    let mut host = Host::new("vulnerabilities", server).with("hosts_per_page", json!(2));
    assert_eq!(host.batch(0).expect("two hosts").emitted, 2);
    let fault = host.batch(0).expect_err("the limit");
    assert_eq!(
        (fault.kind, fault.code.as_str(), fault.retry_after_ms),
        (FaultKind::RateLimited, "1965", Some(725_000))
    );
}

#[test]
fn a_cursor_that_cannot_be_read_is_an_error_and_nothing_is_asked_for() {
    for (cursor, code) in [
        ("{}", "cursor-unreadable"),
        ("nonsense", "cursor-unreadable"),
        ("{\"v\":2}", "cursor-newer"),
    ] {
        let mut host = Host::new("hosts", serve(&estate(1, 1)));
        host.cursor = Some(cursor.to_owned());
        let fault = host.batch(0).expect_err("no fresh start");
        assert_eq!(
            (fault.kind, fault.code.as_str()),
            (FaultKind::Internal, code)
        );
        assert_eq!(host.requests().len(), 0);
    }
}

#[test]
fn a_connector_that_was_not_configured_does_nothing() {
    let host = Host::new("hosts", serve(&estate(1, 1)));
    let mut connector: Connector<Env> = Connector::new(host.world.clone());
    assert_eq!(
        connector.plan().expect_err("no settings").code,
        "not-configured"
    );
    assert_eq!(connector.test()[0].outcome, Outcome::Failed);
    assert_eq!(
        connector
            .collect_batch(&qualys_connector::BatchRequest::default())
            .expect_err("no settings")
            .kind,
        FaultKind::Internal
    );
}

const ABOUT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<ABOUT><API-VERSION MAJOR=\"1\" MINOR=\"4\" /><WEB-VERSION>10.40</WEB-VERSION></ABOUT>";

fn tested(
    answer: impl Fn(&str) -> Result<Answer, TransportError> + 'static,
) -> (Vec<(String, Outcome, Option<String>)>, usize) {
    let mut host = Host::new("hosts", Box::new(move |request| answer(&request.path)));
    let checks = host.connector.test();
    let calls = host.requests();
    assert!(
        calls
            .iter()
            .skip(1)
            .all(|call| crate::server::number(call, "truncation_limit") == 1)
    );
    (
        checks
            .into_iter()
            .map(|check| (check.id, check.outcome, check.error.map(|error| error.code)))
            .collect(),
        calls.len(),
    )
}

#[test]
fn a_test_makes_one_small_call_for_each_thing_and_tells_each_result() {
    let (checks, calls) = tested(|path| match path {
        "/msp/about.php" => Answer::ok(ABOUT),
        "/api/5.0/fo/asset/host/" => Answer::ok(page(LIST, "", "")),
        _ => Answer::status(
            409,
            "<SIMPLE_RETURN><RESPONSE><CODE>1960</CODE><TEXT>t</TEXT></RESPONSE></SIMPLE_RETURN>",
        ),
    });
    assert_eq!(calls, 3);
    assert_eq!(
        checks,
        [
            ("about".to_owned(), Outcome::Passed, None),
            ("hosts".to_owned(), Outcome::Passed, None),
            (
                "vulnerabilities".to_owned(),
                Outcome::Busy,
                Some("1960".to_owned())
            ),
        ]
    );
    let (checks, _) = tested(|path| match path {
        "/msp/about.php" => Answer::ok("<html>login</html>"),
        "/api/5.0/fo/asset/host/" => Answer::status(403, ""),
        _ => Err(TransportError::Denied("no".to_owned())),
    });
    let codes: Vec<Option<&str>> = checks.iter().map(|(_, _, code)| code.as_deref()).collect();
    assert_eq!(
        codes,
        [Some("not-xml"), Some("http-403"), Some("egress-denied")]
    );
}

#[test]
fn a_request_that_the_host_refused_sends_the_reader_to_the_ledger() {
    let server: Server = Box::new(|_| Err(TransportError::Denied("HttpRequestDenied".to_owned())));
    let fault = Host::new("hosts", server).batch(0).expect_err("a refusal");
    assert_eq!(
        (fault.kind, fault.code.as_str()),
        (FaultKind::Forbidden, "egress-denied")
    );
    assert!(fault.message.contains("the host refused the request"));
    assert!(fault.advice.contains("ledger") && fault.advice.contains("`refused`"));
    assert!(!fault.message.contains("grant"), "one cause among several");
}

#[test]
fn an_about_that_is_no_whole_document_does_not_pass() {
    for about in [
        "<ABOUT><WEB-VERSION>10.40",
        "<ABOUT><WEB-VERSION></ABOUT>",
        "<ABOUT",
    ] {
        let (checks, _) = tested(move |_| Answer::ok(about));
        assert_eq!(checks[0].1, Outcome::Failed, "{about}");
    }
}

#[test]
fn a_refused_login_makes_exactly_one_call() {
    let (checks, calls) = tested(|_| {
        Answer::status(
            401,
            "<SIMPLE_RETURN><RESPONSE><CODE>2000</CODE><TEXT>Bad Login/Password</TEXT></RESPONSE></SIMPLE_RETURN>",
        )
    });
    assert_eq!(calls, 1);
    let outcomes: Vec<Outcome> = checks.iter().map(|(_, outcome, _)| *outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Failed, Outcome::NotTried, Outcome::NotTried]
    );
    let mut host = Host::new("hosts", Box::new(|_| Answer::status(401, "")));
    let fault = host.batch(0).expect_err("a refused login");
    assert_eq!(
        (fault.kind, host.requests().len()),
        (FaultKind::Unauthenticated, 1)
    );
    assert!(
        fault
            .advice
            .contains("another platform's server answers the same way")
    );
}

#[test]
fn the_credential_and_the_answers_body_are_in_no_message() {
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    for status in [200, 302, 400, 401, 404, 500] {
        let mut host = Host::new(
            "hosts",
            Box::new(move |_| Answer::status(status, "<html>top-secret-body</html>")),
        );
        let fault = host.batch(0).expect_err("a fault");
        seen.borrow_mut().push(format!("{fault:?}"));
    }
    assert!(
        seen.borrow()
            .iter()
            .all(|text| !text.contains("top-secret-body"))
    );
}

#[test]
fn the_manifest_is_json_and_names_both_content_types() {
    let manifest: Value = serde_json::from_str(&Connector::<Env>::describe()).expect("JSON");
    let classes: Vec<&str> = manifest["content_types"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["msg_class"].as_str())
        .collect();
    assert_eq!(classes, ["qualys_hosts", "qualys_vulnerabilities"]);
}

#[test]
fn a_host_or_detection_of_too_many_elements_is_set_aside_before_it_fills_memory() {
    let many = "<A/>".repeat(60_000);
    let (records, run) = read_hosts(&format!(
        "<HOST><ID>1</ID></HOST><HOST><ID>2</ID>{many}</HOST><HOST><ID>3</ID></HOST>"
    ));
    assert_eq!(records.len(), 2);
    assert_eq!(run.set_aside, [("2".to_owned(), "too-large".to_owned())]);
    let bad = host_xml(
        7,
        &[
            detection(1, "x"),
            format!("<DETECTION>{many}</DETECTION>"),
            detection(2, "x"),
        ],
    );
    let (records, run) = read_detections(&(bad + &host_xml(8, &[detection(3, "x")])));
    assert_eq!(run.set_aside, [("7".to_owned(), "too-large".to_owned())]);
    assert!(records.iter().any(|record| record["host"]["id"] == "8"));
    assert!(!run.complete);
}
