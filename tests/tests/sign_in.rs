//! Sign-in and settings: one refused login is one call, secrets stay where they belong, and mistakes are found before
//! anything is sent, all at once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use connector_runtime::runs::{RunError, RunOutcome, StartError};
use connector_runtime::sandbox::{ErrorKind, Outcome};
use connector_runtime::settings::{Problem, check_name};
use connector_runtime::testing::{Bench, BenchError};
use serde_json::{Value, json};
use std::path::Path;
use tests::estate::{code, collect, open, vendor};
use tests::truth::done;
use tests::{Vendor, settings};

/// One refused login, whatever it is refused for: one call for the run, one more for the test.
async fn refused(vendor: &Vendor, changes: Value, expected: &str) -> Bench {
    let mut bench = open(vendor, changes).await;
    let ledger = collect(&mut bench).await;
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{expected}");
    assert_eq!(
        vendor.simulator.requests().len(),
        1,
        "{expected}: exactly one call"
    );
    assert_eq!(
        ledger.contents.len(),
        1,
        "the second content type is not tried"
    );
    let failure = ledger.contents[0].failure.as_ref().unwrap();
    assert_eq!(
        (failure.kind, failure.code.as_str()),
        (ErrorKind::Unauthenticated, expected)
    );
    assert!(!failure.advice.is_empty() && bench.waits().is_empty());
    assert_eq!(ledger.contents[0].retries, 0);
    bench
}

#[tokio::test]
async fn a_wrong_password_makes_exactly_one_call_and_the_second_content_type_is_not_tried() {
    let vendor = vendor("");
    let mut bench = refused(&vendor, json!({"password": "wrong"}), "2000").await;
    let ledger = collect(&mut bench).await;
    assert_eq!(
        vendor.simulator.requests().len(),
        2,
        "a person asked again: one more"
    );
    let failure = ledger.contents[0].failure.as_ref().unwrap();
    assert_eq!(failure.http_status, Some(401));
    assert!(
        failure.message.contains("Bad Login/Password"),
        "{}",
        failure.message
    );
    assert!(
        failure
            .advice
            .contains("another platform's server answers the same way"),
        "{}",
        failure.advice
    );

    bench.set_settings(&settings(json!({}))).unwrap();
    done(&collect(&mut bench).await);
}

#[tokio::test]
async fn an_account_that_may_not_sign_in_is_never_tried_twice_whatever_the_reason_and_status() {
    for (switch, code) in [
        ("expired", "2001"),
        ("error=2002", "2002"),
        ("error=2003", "2003"),
        ("error=2011", "2011"),
    ] {
        refused(&vendor(&format!("--switch {switch}")), json!({}), code).await;
    }
}

#[tokio::test]
async fn a_login_refused_in_the_middle_of_a_walk_stops_the_run_and_keeps_what_was_collected() {
    let vendor = vendor("--switch error=2002,at=host-list,after=2");
    let mut bench = open(&vendor, json!({"hosts_per_page": 5})).await;
    let ledger = collect(&mut bench).await;
    assert_eq!(
        (ledger.outcome, ledger.contents.len()),
        (RunOutcome::Failed, 1)
    );
    assert_eq!(vendor.simulator.requests().len(), 3);
    assert_eq!(bench.records().unwrap().len(), 10);
    vendor.simulator.clear(None);
    done(&collect(&mut bench).await);
    tests::truth::everything_arrived(&vendor, &bench);
}

#[tokio::test]
async fn a_test_with_a_wrong_password_makes_exactly_one_call_and_leaves_the_rest_untried() {
    let vendor = vendor("");
    let mut bench = open(&vendor, json!({"password": "wrong"})).await;
    let report = bench.test().await.unwrap();
    assert!(!report.passed());
    let outcomes: Vec<_> = report
        .checks
        .iter()
        .map(|check| (check.id.as_str(), check.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("about", Outcome::Failed),
            ("hosts", Outcome::NotTried),
            ("vulnerabilities", Outcome::NotTried)
        ]
    );
    let error = report.checks[0].error.as_ref().unwrap();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert!(error.advice.contains("qualys_url"), "{}", error.advice);
    assert_eq!(
        (vendor.simulator.requests().len(), report.traffic.requests),
        (1, 1)
    );
}

async fn tested(switches: &str) -> (Vec<(String, Outcome, String)>, bool, Vendor) {
    let vendor = vendor(switches);
    let mut bench = open(&vendor, json!({})).await;
    let report = bench.test().await.unwrap();
    assert!(report.fault.is_none());
    assert!(bench.records().unwrap().is_empty() && bench.cursor("hosts").unwrap().is_none());
    assert!(bench.cache().unwrap().is_empty(), "a test stores nothing");
    let code = |check: &connector_runtime::sandbox::Check| {
        check
            .error
            .as_ref()
            .map(|error| error.code.clone())
            .unwrap_or_default()
    };
    let checks = report
        .checks
        .iter()
        .map(|check| (check.id.clone(), check.outcome, code(check)));
    (checks.collect(), report.passed(), vendor)
}

#[tokio::test]
async fn a_test_makes_one_small_call_for_each_endpoint() {
    let (checks, passed, vendor) = tested("").await;
    assert!(
        passed
            && checks
                .iter()
                .all(|(_, outcome, _)| *outcome == Outcome::Passed)
    );
    let requests = vendor.simulator.requests();
    let asked: Vec<_> = requests.iter().map(|request| request.endpoint).collect();
    assert_eq!(asked, ["about", "host-list", "hld"]);
    assert!(
        requests[1..]
            .iter()
            .all(|request| { tests::estate::field(request, "truncation_limit") == Some("1") })
    );
    assert!(requests.iter().all(|request| request.bytes < 20_000));
}

#[tokio::test]
async fn a_test_tells_the_verdict_for_each_endpoint() {
    use Outcome::{Busy, Failed, Passed};
    let verdict = |checks: &[(String, Outcome, String)]| {
        checks
            .iter()
            .map(|(_, outcome, code)| (*outcome, code.clone()))
            .collect::<Vec<_>>()
    };
    let passed = || (Passed, String::new());
    let with = |outcome, code: &str| (outcome, code.to_owned());
    for (switches, expected, works) in [
        (
            "--switch error=2012,at=hld",
            [passed(), passed(), with(Failed, "2012")],
            false,
        ),
        (
            "--switch concurrency-409,at=hld",
            [passed(), passed(), with(Busy, "1960")],
            true,
        ),
        (
            "--switch rate-409,at=host-list",
            [passed(), with(Busy, "1965"), passed()],
            true,
        ),
        (
            "--switch bare-409,at=hld",
            [passed(), passed(), with(Busy, "http-409")],
            true,
        ),
        (
            "--switch html-200,at=about",
            [with(Failed, "not-xml"), passed(), passed()],
            false,
        ),
        (
            "--switch html-503,at=hld",
            [passed(), passed(), with(Failed, "http-503")],
            false,
        ),
        (
            "--switch secure-ips,at=host-list",
            [passed(), with(Failed, "secure-ips"), passed()],
            false,
        ),
        (
            "--switch redirect,at=hld",
            [passed(), passed(), with(Failed, "http-302")],
            false,
        ),
    ] {
        let (checks, passed, vendor) = tested(switches).await;
        assert_eq!(verdict(&checks), expected, "{switches}");
        assert_eq!(passed, works, "{switches}");
        assert_eq!(
            vendor.simulator.requests().len(),
            3,
            "{switches}: nothing is tried twice"
        );
    }
}

#[tokio::test]
async fn a_login_refused_for_one_content_type_leaves_the_next_untried() {
    let (checks, passed, vendor) = tested("--switch error=2011,at=host-list").await;
    assert!(!passed);
    assert_eq!(checks[1].1, Outcome::Failed);
    assert_eq!(checks[2].1, Outcome::NotTried);
    assert_eq!(vendor.simulator.requests().len(), 2);
}

fn files_under(folder: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_under(&path, found);
        } else {
            found.extend(std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn the_password_is_in_no_record_cursor_ledger_log_or_file() {
    const PASSWORD: &str = "S3cret-Pa55word-of-the-test";
    // As HTTP Basic carries it: "demo:" and the password.
    const BASIC: &str = "ZGVtbzpTM2NyZXQtUGE1NXdvcmQtb2YtdGhlLXRlc3Q=";
    for (accepted, switches) in [(true, ""), (true, "--switch html-503,times=2"), (false, "")] {
        let password = if accepted { PASSWORD } else { "another" };
        let vendor = vendor(&format!("--password {password} {switches}"));
        let mut bench = open(&vendor, json!({"password": PASSWORD, "hosts_per_page": 7})).await;
        let report = bench.test().await.unwrap();
        let ledger = collect(&mut bench).await;
        assert_eq!(ledger.outcome == RunOutcome::Done, accepted);
        let mut said = format!(
            "{}\n{}\n",
            serde_json::to_string(&report).unwrap(),
            ledger.to_json()
        );
        for line in bench.logs() {
            said.push_str(&format!("{line:?}\n"));
        }
        said.push_str(&format!("{:?}", bench.waits()));
        said.push_str(
            &bench
                .records()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect::<String>(),
        );
        said.push_str(&bench.cursor("hosts").unwrap().unwrap_or_default());
        let mut stored = said.into_bytes();
        files_under(bench.folder(), &mut stored);
        for secret in [PASSWORD, BASIC] {
            let found = stored
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "the password was written somewhere");
        }
    }
}

/// Problems of settings that are refused when a bench is opened, or when its first run starts. Nothing may leave.
async fn problems(all: Value) -> Vec<Problem> {
    let vendor = vendor("");
    let found = match vendor.bench().settings(all).open().await {
        Err(BenchError::Settings(problems)) => problems,
        Err(error) => panic!("{error}"),
        Ok(mut bench) => {
            let tested = bench.test().await.map(|_| ());
            let collected = bench.collect().await.map(|_| ());
            match (tested, collected) {
                (
                    Err(BenchError::Start(StartError::Settings(problems))),
                    Err(BenchError::Run(RunError::Start(StartError::Settings(same)))),
                ) => {
                    assert_eq!(problems, same);
                    problems
                }
                (Ok(()), Ok(())) => return Vec::new(),
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(
        vendor.simulator.requests().is_empty(),
        "nothing leaves with wrong settings"
    );
    assert!(
        found.iter().all(|problem| problem.message.len() > 10),
        "{found:?}"
    );
    found
}

async fn pointers(changes: Value) -> Vec<String> {
    let mut found: Vec<String> = problems(settings(changes))
        .await
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    found.dedup();
    found
}

#[tokio::test]
async fn an_address_is_taken_as_people_type_it_and_one_origin_comes_out() {
    for typed in [
        "https://qualysapi.example.test",
        "https://qualysapi.example.test/",
        "https://qualysapi.example.test///",
        "  qualysapi.example.test ",
        "HTTPS://QualysAPI.Example.Test/",
        "https://qualysapi.example.test:443",
    ] {
        let vendor = vendor("--hosts 3 --detections 1");
        let mut bench = open(&vendor, json!({"qualys_url": typed})).await;
        done(&collect(&mut bench).await);
        for record in bench.records().unwrap() {
            assert_eq!(
                record["domain"], "https://qualysapi.example.test",
                "{typed:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_address_that_could_leak_or_is_none_is_refused() {
    for typed in [
        "",
        "https://",
        "http://qualysapi.example.test",
        "http://192.0.2.1",
        "ftp://qualysapi.example.test",
        "https://user:password@qualysapi.example.test",
        "https://qualysapi.example.test/path",
        "https://qualysapi.example.test/?a=b",
        "https://qualysapi.example.test/#fragment",
        "https://qualysapi.example.test:99999",
        "https://quality api.example.test",
    ] {
        assert_eq!(
            pointers(json!({"qualys_url": typed})).await,
            ["/qualys_url"],
            "{typed:?}"
        );
    }
}

#[tokio::test]
async fn an_address_with_a_password_in_it_is_not_printed() {
    let found = problems(settings(
        json!({"qualys_url": "https://user:S3cret@qualysapi.example.test"}),
    ))
    .await;
    assert!(
        found
            .iter()
            .all(|problem| !problem.message.contains("S3cret")),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_consoles_address_is_accepted_with_a_warning() {
    let vendor = vendor("--hosts 1 --detections 1");
    for (host, warned) in [
        ("qualysguard.example.test", true),
        ("qualysapi.example.test", false),
    ] {
        let mut bench = open(&vendor, json!({"qualys_url": format!("https://{host}")})).await;
        let ledger = collect(&mut bench).await;
        assert_eq!(
            ledger
                .warnings
                .iter()
                .any(|warning| warning.pointer == "/qualys_url"),
            warned,
            "{host}"
        );
    }
}

#[tokio::test]
async fn every_rule_of_the_form_is_kept() {
    for (changes, pointer) in [
        (json!({"username": ""}), "/username"),
        (json!({"username": "  "}), "/username"),
        (json!({"username": "a:b"}), "/username"),
        (json!({"username": 7}), "/username"),
        (json!({"password": "pa\u{df}wort"}), "/password"),
        (json!({"password": ""}), "/password"),
        (json!({"interval": 0}), "/interval"),
        (json!({"interval": -5}), "/interval"),
        (json!({"interval": 1.5}), "/interval"),
        (json!({"interval": "5"}), "/interval"),
        (json!({"content_type": []}), "/content_type"),
        (json!({"content_type": "hosts"}), "/content_type"),
        (
            json!({"content_type": ["hosts", "knowledge"]}),
            "/content_type/1",
        ),
        (json!({"hosts_per_page": 0}), "/hosts_per_page"),
        (json!({"hosts_per_page": 1_000_001}), "/hosts_per_page"),
        (json!({"host_list_version": "1.0"}), "/host_list_version"),
        (
            json!({"detection_version": "5.0/../"}),
            "/detection_version",
        ),
        (json!({"results_limit": 10}), "/results_limit"),
        (
            json!({"extra_parameters": {"action": "launch"}}),
            "/extra_parameters/action",
        ),
        (
            json!({"extra_parameters": {"id_min": "7"}}),
            "/extra_parameters/id_min",
        ),
        (
            json!({"extra_parameters": {"status": "New"}}),
            "/extra_parameters/status",
        ),
    ] {
        assert_eq!(pointers(changes.clone()).await, [pointer], "{changes}");
    }
    for changes in [
        json!({"interval": 1}),
        json!({"hosts_per_page": 1_000_000}),
        json!({"content_type": ["hosts"]}),
    ] {
        assert!(pointers(changes.clone()).await.is_empty(), "{changes}");
    }
}

#[tokio::test]
async fn a_missing_or_unknown_setting_is_named() {
    for name in ["qualys_url", "username", "password", "content_type"] {
        let mut all = settings(json!({}));
        all.as_object_mut().unwrap().remove(name);
        let found = problems(all).await;
        assert!(
            found
                .iter()
                .any(|problem| problem.pointer == format!("/{name}")),
            "{name}: {found:?}"
        );
    }
    let mut all = settings(json!({}));
    all.as_object_mut().unwrap().remove("interval");
    assert!(problems(all).await.is_empty(), "the interval has a default");
    let found = problems(settings(json!({"qualys_urll": "https://x.example.test"}))).await;
    assert!(
        found
            .iter()
            .any(|problem| problem.message.contains("qualys_urll")),
        "{found:?}"
    );
}

#[tokio::test]
async fn all_problems_are_told_at_once_each_with_its_place() {
    let found = pointers(json!({
        "qualys_url": "ftp://x", "password": "\u{e9}", "interval": 0, "content_type": [], "hosts_per_page": 0,
    }))
    .await;
    assert_eq!(
        found,
        [
            "/content_type",
            "/hosts_per_page",
            "/interval",
            "/password",
            "/qualys_url"
        ]
    );
    // What only the connector itself can judge, as well.
    let mut found = pointers(json!({
        "extra_parameters": {"action": "x", "status": "New", "truncation_limit": "5"}, "tag_include": ["a,b"],
        "username": " ",
    }))
    .await;
    found.sort();
    assert_eq!(
        found,
        [
            "/extra_parameters/action",
            "/extra_parameters/status",
            "/extra_parameters/truncation_limit",
            "/tag_include",
            "/username"
        ]
    );
}

#[tokio::test]
async fn a_refused_secret_is_never_printed() {
    for password in ["pa\u{df}wort-S3cret", ""] {
        for problem in problems(settings(json!({"password": password}))).await {
            assert!(
                !problem.message.contains("S3cret") && problem.pointer == "/password",
                "{problem:?}"
            );
        }
    }
    let found = problems(settings(json!({"password": ["S3cret"]}))).await;
    assert!(
        !found.is_empty()
            && found
                .iter()
                .all(|problem| !problem.message.contains("S3cret")),
        "{found:?}"
    );
}

#[test]
fn a_name_takes_no_multibyte_characters() {
    for name in ["qualys-demo", "Qualys 1", "a_b.c"] {
        check_name(name).unwrap();
    }
    for name in ["", " qualys", "b\u{fc}ro", "\u{672c}\u{756a}", "a/b"] {
        let why = check_name(name).unwrap_err();
        assert!(why.contains("ASCII"), "{why}");
    }
}

#[tokio::test]
async fn a_code_in_an_answer_counts_for_more_than_its_status() {
    // An expired account comes with status 200.
    let vendor = vendor("--switch expired");
    let mut bench = open(&vendor, json!({})).await;
    let ledger = collect(&mut bench).await;
    assert_eq!(code(&ledger.contents[0]), "2001");
    assert_eq!(
        ledger.contents[0].failure.as_ref().unwrap().http_status,
        Some(200)
    );
}
