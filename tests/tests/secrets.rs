//! The guest never holds the password, and nothing that leaves the host does: not its logs, its errors, its ledger, its
//! files or its answers, whatever a server says.
//!
//! Every search here is also made for something that must be found, so that a search that finds nothing means something.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_runtime::Limits;
use connector_runtime::egress::{Upstream, UpstreamError, body_of};
use connector_runtime::runs::{Ledger, RunError, RunOutcome, StartError};
use connector_runtime::sandbox::{CoreDump, FaultKind};
use connector_runtime::testing::{Bench, BenchError, Script};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use tests::process::{SimProcess, Site};
use tests::secrets::{Marker, logged};
use tests::truth::done;
use tests::{Vendor, acme_component, compiled, parrot_component, settings};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

/// Pages of a component's memory are many; one of them holds the marker, or none.
fn holds(dump: &CoreDump, marker: &Marker) -> bool {
    assert!(!dump.memories.is_empty(), "a dump without a memory");
    let mut memories = dump.memories.iter();
    memories.any(|memory| marker.found_in(memory).is_some())
}

/// The whole of what a bench has kept and told: files, log lines, waits, cursors, cache, and records out of their blocks.
fn not_on(bench: &Bench, secret: &Marker) {
    let files = secret.is_not_below(bench.folder()).unwrap();
    assert!(files > 0, "the data directory is not empty");
    secret.is_not_in("the log", &logged());
    secret.is_not_in("log lines", format!("{:?}", bench.logs()).as_bytes());
    secret.is_not_in("waits", format!("{:?}", bench.waits()).as_bytes());
    secret.is_not_in("cache", format!("{:?}", bench.cache().unwrap()).as_bytes());
    for record in bench.records().unwrap() {
        secret.is_not_in("a record", record.to_string().as_bytes());
    }
    for note in bench.notes().unwrap() {
        secret.is_not_in("notes", note.to_string().as_bytes());
    }
}

fn not_in_ledger(ledger: &Ledger, secret: &Marker) {
    secret.is_not_in("the ledger", format!("{ledger:?}").as_bytes());
    secret.is_not_in("the stored ledger", ledger.to_json().as_bytes());
}

/// A simulated Qualys with this password, and a bench of the real connector in front of it. `given` is a text that the guest
/// does get: a part of the vendor's address.
async fn qualys(given: &Marker, password: &Marker, limits: Limits, options: &[&str]) -> Bench {
    logged();
    let account = ["--password", password.text()];
    let vendor = Vendor::new(account.into_iter().chain(options.iter().copied()));
    vendor
        .bench()
        .limits(limits)
        .settings(qualys_settings(given, password))
        .keep_core_dumps()
        .open()
        .await
        .unwrap()
}

fn qualys_settings(given: &Marker, password: &Marker) -> Value {
    settings(json!({
        "qualys_url": format!("https://{}.example.test", given.text()),
        "password": password.text(),
        "hosts_per_page": 7,
    }))
}

const ESTATE: [&str; 4] = ["--hosts", "40", "--detections", "10"];

#[tokio::test]
async fn the_qualys_connector_holds_what_it_was_given_and_never_the_password() {
    let (given, password, wrong) = (Marker::label(), Marker::random(), Marker::random());
    let mut bench = qualys(&given, &password, Limits::default(), &ESTATE).await;
    let ledger = bench.collect().await.unwrap();
    done(&ledger);
    not_in_ledger(&ledger, &password);
    assert!(bench.test().await.unwrap().passed());

    bench
        .set_settings(&qualys_settings(&given, &wrong))
        .unwrap();
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Failed, "{}", ledger.reason);
    not_in_ledger(&ledger, &wrong);
    let report = bench.test().await.unwrap();
    assert!(!report.passed());

    let dumps = bench.core_dumps();
    assert_eq!(dumps.len(), 4, "two runs and two tests");
    for dump in &dumps {
        // The control: the same search, in the same memory.
        assert!(holds(dump, &given), "the search finds nothing at all");
        assert!(!holds(dump, &password) && !holds(dump, &wrong));
    }
    for secret in [&password, &wrong] {
        not_on(&bench, secret);
        secret.is_not_in("the test's report", format!("{report:?}").as_bytes());
    }
}

#[tokio::test]
async fn a_connector_that_traps_in_the_middle_of_its_work_holds_no_password_either() {
    let (given, password) = (Marker::label(), Marker::random());
    // Too little for one huge value: the guest's allocator gives up, and the guest with it.
    let limits = Limits {
        memory_bytes: 3 << 20,
        ..Limits::default()
    };
    let huge = [ESTATE.as_slice(), &["--switch", "huge-text=3:3000000"]].concat();
    let mut bench = qualys(&given, &password, limits, &huge).await;
    let ledger = bench.collect().await.unwrap();
    let faults: Vec<_> = ledger.contents.iter().flat_map(|it| &it.faults).collect();
    assert!(!faults.is_empty(), "{}", ledger.to_json());
    assert!(faults.iter().all(|fault| fault.kind == FaultKind::Limit));
    assert!(faults.iter().any(|fault| !fault.backtrace.is_empty()));
    let dumps = bench.core_dumps();
    assert!(dumps.len() >= faults.len(), "each fault was a trap");
    for dump in &dumps {
        assert!(holds(dump, &given), "{}", dump.cause);
        assert!(!holds(dump, &password), "{}", dump.cause);
    }
    not_in_ledger(&ledger, &password);
    not_on(&bench, &password);
}

#[tokio::test]
async fn a_guest_that_is_given_the_very_same_text_is_found_out() {
    let (text, other) = (Marker::label(), Marker::label());
    let mut keeps = qualys(&other, &text, Limits::default(), &ESTATE).await;
    done(&keeps.collect().await.unwrap());
    let mut gives = qualys(&text, &other, Limits::default(), &ESTATE).await;
    done(&gives.collect().await.unwrap());
    assert!(!holds(&keeps.core_dumps()[0], &text));
    assert!(holds(&gives.core_dumps()[0], &text));
}

fn acme_settings(host: &str, token: &str) -> Value {
    json!({"url": format!("https://{host}.example.test"), "token_name": "reader", "token": token})
}

#[tokio::test]
async fn the_example_connector_holds_what_it_was_given_and_never_its_token() {
    logged();
    let (given, token) = (Marker::label(), Marker::random());
    let assets = r#"[{"id":"a1","seen_ms":1772440877000}]"#;
    let script = Script::new().answer(200, &[], assets).answer(401, &[], "");
    let mut bench = Bench::of(acme_component())
        .compiled(compiled())
        .upstream(script.clone())
        .settings(acme_settings(given.text(), token.text()))
        .keep_core_dumps()
        .open()
        .await
        .unwrap();
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.records, 1, "{}", ledger.to_json());
    assert!(!bench.test().await.unwrap().passed());
    // The vendor does get it.
    for request in script.requests() {
        let pair = STANDARD.encode(format!("reader:{}", token.text()));
        assert_eq!(request.headers["authorization"], format!("Basic {pair}"));
    }
    assert_eq!(bench.core_dumps().len(), 2);
    for dump in bench.core_dumps() {
        assert!(holds(&dump, &given), "the search finds nothing at all");
        assert!(!holds(&dump, &token));
    }
    not_in_ledger(&ledger, &token);
    not_on(&bench, &token);
}

/// Every form in which a careless server could send a request's credential back.
fn echo(request: &http::Request<Bytes>) -> String {
    let header = request.headers()["authorization"].to_str().unwrap();
    let pair = STANDARD
        .decode(header.trim_start_matches("Basic "))
        .unwrap();
    let pair = String::from_utf8(pair).unwrap();
    let (_, password) = pair.split_once(':').unwrap();
    let percent: String = password
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let json = json!({ "password": password });
    let torn = format!("{}\u{1b}[0m", password.split_at(10).0);
    let half = password.split_at(12).0;
    format!(
        "told: {header}; {password}; https://{percent}@scanner.example.test/?p={percent}; {json}; {}; {}{}; {half}…",
        STANDARD.encode(password),
        torn.trim_end_matches("[0m"),
        password.split_at(10).1,
    )
}

fn parrot_vendor() -> impl Upstream {
    |request: http::Request<Bytes>| {
        let answer = http::Response::new(body_of(http_body_util::Full::new(Bytes::from(echo(
            &request,
        )))));
        std::future::ready(Ok::<_, UpstreamError>(answer))
    }
}

async fn parrot(through: &str, token: &Marker) -> Bench {
    let mut settings = acme_settings("parrot", token.text());
    settings["through"] = json!(through);
    Bench::of(parrot_component())
        .compiled(compiled())
        .upstream(parrot_vendor())
        .settings(settings)
        .keep_core_dumps()
        .open()
        .await
        .unwrap()
}

/// One run of a plugin that passes on an echo of the credential; what it said must show, without the secret.
async fn passed_on(through: &str) -> (Bench, Ledger) {
    logged();
    let token = Marker::random();
    let mut bench = parrot(through, &token).await;
    let ledger = bench.collect().await.unwrap();
    not_in_ledger(&ledger, &token);
    token.is_not_in("log lines", format!("{:?}", bench.logs()).as_bytes());
    token.is_not_in("waits", format!("{:?}", bench.waits()).as_bytes());
    token.is_not_in("the log", &logged());
    token.is_not_below(bench.folder()).unwrap();
    // The server told it: here the search must find something. (A broken contract is no trap, and leaves no dump.)
    let dumps = bench.core_dumps();
    assert!(through == "odd-report" || !dumps.is_empty());
    assert!(dumps.iter().all(|dump| holds(dump, &token)));
    (bench, ledger)
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_log_lines() {
    let (bench, _) = passed_on("log").await;
    let message = &bench.logs()[0].message;
    assert!(
        message.starts_with("told: Basic [redacted]; [redacted]; https://[redacted]@"),
        "{message}"
    );
    assert_eq!(message.matches("[redacted]").count(), 8, "{message}");
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_errors() {
    let (_, ledger) = passed_on("error").await;
    let failure = ledger.contents[0].failure.as_ref().unwrap();
    for text in [
        &failure.code,
        &failure.message,
        &failure.advice,
        &ledger.reason,
    ] {
        assert!(
            text.contains("told: Basic [redacted]; [redacted]"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_trap_reports() {
    let (_, ledger) = passed_on("panic").await;
    let faults = &ledger.contents[0].faults;
    assert_eq!(faults.len(), 3, "{}", ledger.to_json());
    for fault in faults {
        assert_eq!(fault.kind, FaultKind::Trap);
        let panic = fault.panic.as_ref().unwrap();
        assert_eq!(
            panic.matches("told: Basic [redacted]; [redacted]").count(),
            2,
            "{panic}"
        );
    }
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_reports() {
    let (_, ledger) = passed_on("report").await;
    let content = &ledger.contents[0];
    let told = |text: &str| {
        let starts = text.starts_with("told: Basic [redacted]; [redacted]");
        assert!(starts, "{text}");
    };
    told(content.counters.keys().next_back().unwrap());
    told(content.unknown_elements.keys().next().unwrap());
    told(&content.set_aside[0].object);
    told(&content.set_aside[0].code);
    told(&content.set_aside[0].message);
    told(&content.notices[0].code);
    told(&content.notices[0].message);
    told(content.window["asked"].as_str().unwrap());
    told(content.window["deep"][0]["deeper"].as_str().unwrap());
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_what_the_host_says_about_a_report_that_cannot_be_read() {
    let (_, ledger) = passed_on("odd-report").await;
    let fault = &ledger.contents[0].faults[0];
    assert_eq!(fault.kind, FaultKind::Contract);
    assert!(fault.message.contains("told: Basic [redacted]"), "{fault}");
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_refusals_of_egress() {
    let (_, ledger) = passed_on("request").await;
    let denial = &ledger.traffic.denials[0];
    assert!(
        denial.contains("/say") && denial.contains("[redacted]"),
        "{denial}"
    );
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_remarks_on_settings() {
    let (_, ledger) = passed_on("warning").await;
    let message = &ledger.warnings[0].message;
    assert!(message.starts_with("told: Basic [redacted]"), "{message}");

    let token = Marker::random();
    let mut bench = parrot("mistake", &token).await;
    let Err(BenchError::Run(RunError::Start(error @ StartError::Settings(_)))) =
        bench.collect().await
    else {
        unreachable!("it refuses its settings");
    };
    let message = error.to_string();
    assert!(message.contains("told: Basic [redacted]"), "{message}");
    token.is_not_in("a mistake", format!("{error:?}").as_bytes());
}

#[tokio::test]
async fn an_echoed_password_is_redacted_in_what_a_test_says() {
    let token = Marker::random();
    let mut bench = parrot("log", &token).await;
    let report = bench.test().await.unwrap();
    let check = &report.checks[0];
    assert!(
        check.id.starts_with("told: Basic [redacted]"),
        "{}",
        check.id
    );
    assert!(
        check.label.starts_with("told: Basic [redacted]"),
        "{}",
        check.label
    );
    token.is_not_in("the test's report", format!("{report:?}").as_bytes());
    let document = serde_json::to_string(&report).unwrap();
    token.is_not_in("the test's document", document.as_bytes());
}

#[tokio::test]
async fn records_cursor_and_cache_are_the_vendors_data_and_stay_as_they_are() {
    let token = Marker::random();
    let mut bench = parrot("record", &token).await;
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.records, 1, "{}", ledger.to_json());
    let said = bench.records().unwrap()[0]["parrot"]["said"].clone();
    let said = said.as_str().unwrap();
    assert!(said.contains(token.text()), "{said}");
    assert_eq!(bench.cursor("words").unwrap().unwrap(), said);
    assert_eq!(bench.cache().unwrap()["word"], said.as_bytes());
    not_in_ledger(&ledger, &token);
}

#[tokio::test]
async fn qualys_echoing_the_password_in_its_refusal_is_told_on_without_it() {
    logged();
    let password = Marker::random();
    let vendor = |request: http::Request<Bytes>| {
        let told = echo(&request)
            .replace('\u{1b}', "")
            .replace('&', "&amp;")
            .replace('<', "&lt;");
        let body = format!(
            "<SIMPLE_RETURN><RESPONSE><DATETIME>2026-03-02T09:15:00Z</DATETIME><CODE>2000</CODE><TEXT>Bad login, {told}</TEXT></RESPONSE></SIMPLE_RETURN>"
        );
        let mut answer = http::Response::new(body_of(http_body_util::Full::new(Bytes::from(body))));
        *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        std::future::ready(Ok::<_, UpstreamError>(answer))
    };
    let mut bench = Bench::of(tests::qualys_component())
        .compiled(compiled())
        .upstream(vendor)
        .settings(settings(json!({"password": password.text()})))
        .open()
        .await
        .unwrap();
    let ledger = bench.collect().await.unwrap();
    assert!(
        ledger
            .reason
            .contains("Bad login, told: Basic [redacted]; [redacted]"),
        "{}",
        ledger.reason
    );
    not_in_ledger(&ledger, &password);
    password.is_not_below(bench.folder()).unwrap();
    let report = bench.test().await.unwrap();
    password.is_not_in("the test's report", format!("{report:?}").as_bytes());
}

/// A command of the host with this password, its output searched.
fn run(site: &Site, password: &Marker, arguments: &[&str]) -> Output {
    let mut command: Command = site.command(arguments);
    let output = command
        .env("QUALYS_PASSWORD", password.text())
        .output()
        .unwrap();
    let name = arguments.join(" ");
    password.is_not_in(&format!("standard output of {name}"), &output.stdout);
    password.is_not_in(&format!("standard error of {name}"), &output.stderr);
    output
}

const COMMANDS: [&[&str]; 6] = [
    &["test", "qualys.toml"],
    &["test", "qualys.toml", "--json"],
    &["test", "qualys.toml", "--log", "trace"],
    &["collect", "qualys.toml"],
    &["collect", "qualys.toml", "--json"],
    &["collect", "qualys.toml", "--full", "--log", "trace"],
];

#[test]
fn no_command_prints_the_password_and_no_file_keeps_it() {
    let (password, wrong) = (Marker::random(), Marker::random());
    let account = ["--user", "demo", "--password", password.text()];
    let sim = SimProcess::start(SIM, &[&account[..], &ESTATE].concat()).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    for arguments in COMMANDS {
        let output = run(&site, &password, arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        if arguments.contains(&"trace") {
            assert!(output.stderr.len() > 1000, "the log says a lot");
        }
        assert_eq!(run(&site, &wrong, arguments).status.code(), Some(1));
    }
    for secret in [&password, &wrong] {
        assert!(secret.is_not_below(site.path()).unwrap() > 3);
        for index in ["syslog", "scans"] {
            let output = run(&site, secret, &["export", "--index", index]);
            assert!(output.status.success() && !output.stdout.is_empty());
        }
    }
    // The same search finds what does stand there.
    let known = Marker::of("everything that was listed is accounted for");
    assert!(known.is_below(site.path()).unwrap());
}

#[test]
fn the_report_of_a_trap_tells_no_password_either() {
    let password = Marker::random();
    let account = ["--password", password.text()];
    let huge = ["--switch", "huge-text=3:3000000"];
    let sim = SimProcess::start(SIM, &[&account[..], &ESTATE, &huge].concat()).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    std::fs::write(site.path().join("host.toml"), "[limits]\nmemory_mib = 2\n").unwrap();
    for arguments in COMMANDS.iter().skip(3) {
        // A plugin that faults again and again is held back.
        let output = run(&site, &password, &[arguments, &["--force"][..]].concat());
        assert_eq!(output.status.code(), Some(1));
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("ran out of room"), "{told}");
    }
    password.is_not_below(site.path()).unwrap();
}

#[test]
fn a_password_in_the_definition_or_in_a_file_is_printed_by_nobody_and_warned_of_if_everybody_can_read_it()
 {
    use std::os::unix::fs::PermissionsExt as _;
    let password = Marker::random();
    let sim = SimProcess::start(SIM, &["--hosts", "3", "--password", password.text()]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let definition = site.path().join("qualys.toml");
    let secret = site.path().join("password.txt");
    std::fs::write(&secret, password.text()).unwrap();
    let whole = std::fs::read_to_string(&definition).unwrap();
    let reference = "{ env = \"QUALYS_PASSWORD\" }";
    // A JSON text is a TOML text, too.
    let text = Value::from(password.text()).to_string();
    let warned = |arguments: &[&str]| {
        let output = run(&site, &password, arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        told.contains("settings.password: ")
            && told.contains("every user of this machine can read it")
    };
    for (source, file) in [
        (text.as_str(), &definition),
        ("{ file = \"password.txt\" }", &secret),
    ] {
        std::fs::write(&definition, whole.replace(reference, source)).unwrap();
        for (mode, expected) in [(0o644, true), (0o600, false)] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                warned(&["test", "qualys.toml"]),
                expected,
                "{source} {mode:o}"
            );
            assert_eq!(warned(&["collect", "qualys.toml", "--json"]), expected);
        }
    }
    // Mistakes around the secret quote none of it.
    for mistake in [
        format!("password = [{text}]"),
        format!("password = {{ text = {text} }}"),
        format!("passwort = {text}"),
        format!("password = {}", &text[1..]),
        format!("password = {text}x"),
    ] {
        let wrong = whole.replace(&format!("password = {reference}"), &mistake);
        std::fs::write(&definition, wrong).unwrap();
        for arguments in [
            &["test", "qualys.toml"][..],
            &["test", "qualys.toml", "--json"],
        ] {
            assert_eq!(run(&site, &password, arguments).status.code(), Some(2));
        }
    }
}

/// A server that refuses every login and sends the credential back; answers until its test ends.
fn echoing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut header = String::new();
            for line in BufReader::new(&stream).lines() {
                let line = line.unwrap();
                if line.is_empty() {
                    break;
                }
                if line.to_ascii_lowercase().starts_with("authorization:") {
                    line[14..].trim().clone_into(&mut header);
                }
            }
            let request = http::Request::builder().header("authorization", header);
            let told = echo(&request.body(Bytes::new()).unwrap());
            let told = told
                .replace('\u{1b}', "")
                .replace('&', "&amp;")
                .replace('<', "&lt;");
            let body = format!(
                "<SIMPLE_RETURN><RESPONSE><CODE>2000</CODE><TEXT>Bad login, {told}</TEXT></RESPONSE></SIMPLE_RETURN>"
            );
            // The guest may have gone.
            let _ = write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn a_server_that_sends_the_password_back_gets_it_into_no_output_and_no_file() {
    let password = Marker::random();
    let site = Site::new(HOST, &echoing_server(), "").unwrap();
    for arguments in COMMANDS {
        let output = run(&site, &password, arguments);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            told.contains("Bad login, told: Basic [redacted]; [redacted]"),
            "{told}"
        );
    }
    password.is_not_below(site.path()).unwrap();
}

#[test]
fn a_plugin_that_passes_the_password_on_gets_it_into_no_output_and_no_file() {
    let password = Marker::random();
    let address = echoing_server();
    let site = Site::new(HOST, &address, "").unwrap();
    std::fs::copy(parrot_component(), site.path().join("plugins/parrot.wasm")).unwrap();
    for through in ["log", "error", "panic", "report", "request", "mistake"] {
        let definition = format!("{through}.toml");
        let text = format!(
            "name = \"{through}\"\ntype = \"parrot\"\ntenant = \"acme\"\n[settings]\nurl = \"{address}\"\ntoken_name = \"reader\"\ntoken = {{ env = \"QUALYS_PASSWORD\" }}\nthrough = \"{through}\"\n"
        );
        std::fs::write(site.path().join(&definition), text).unwrap();
        for command in ["test", "collect"] {
            // At this level wasmtime logs what a guest hands to the host, byte by byte.
            for told_as in [&["--log", "trace"][..], &["--json"]] {
                let mut arguments = vec![command, &definition];
                arguments.extend(told_as);
                // A plugin that faults again and again is held back.
                arguments.extend((command == "collect").then_some("--force"));
                let output = run(&site, &password, &arguments);
                let told = [output.stdout, output.stderr].concat();
                let told = String::from_utf8_lossy(&told);
                // A person is shown the last line of a panic's message, a program all of it.
                let shows = told.contains("[redacted]");
                // Before a definition is kept, `configure` is asked without a way out: it hears nothing to pass on.
                let is_shut_in = (command, through) == ("collect", "mistake")
                    && told.contains("HttpRequestDenied");
                assert!(
                    shows || is_shut_in || through == "panic" && !told.starts_with('{'),
                    "{told}"
                );
            }
        }
    }
    password.is_not_below(site.path()).unwrap();
}
