//! A host that serves, as its users meet it: commands, sockets, signals, restarts.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tests::components;
use tests::desk::{Desk, SECRET, Said, Scanner};
use tests::process::{ServeProcess, SimProcess, Site, ask_over, ask_socket};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
/// A run's last words in the log.
const END: &str = "a run has ended";

/// Runs a command of a site, which must do its work, and returns its JSON.
fn done(site: &Site, arguments: &[&str]) -> Value {
    let output = site.run(&[arguments, &["--json"]].concat()).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{error}");
    serde_json::from_str(&text).unwrap()
}

/// The outcomes of all runs, the first one first.
fn outcomes(site: &Site) -> Vec<Value> {
    let runs = done(site, &["runs", "list"]);
    let runs = runs["runs"].as_array().unwrap();
    runs.iter()
        .rev()
        .map(|run| run["outcome"].clone())
        .collect()
}

/// What the vendor said, without what differs between two data directories; each record stands once.
fn vendor_data(site: &Site) -> Vec<String> {
    let records = site.export("syslog").unwrap();
    let ids: BTreeSet<_> = records
        .iter()
        .map(|record| record["stellar_uuid"].to_string())
        .collect();
    assert_eq!(ids.len(), records.len(), "a record stands twice");
    let mut data: Vec<String> = records
        .iter()
        .map(|record| format!("{}{}", record["msg_class"], record["qualys_cloud_platform"]))
        .collect();
    data.sort();
    data
}

#[test]
fn a_connector_that_comes_into_a_profile_while_serving_is_collected_at_once() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let undisturbed = Site::new(HOST, &sim.address, "").unwrap();
    assert_eq!(undisturbed.collect().unwrap(), 60);

    let site = Site::new(HOST, &sim.address, "").unwrap();
    let serving = site.serve().unwrap();
    let added = done(
        &site,
        &["connectors", "add", "qualys.toml", "--profile", "Default"],
    );
    serving.logs(END).unwrap();
    let id = added["connector"]["id"].as_str().unwrap();
    let path = format!("/connectors/{id}");
    let (status, shown) = ask_socket(site.path(), "GET", &path, None).unwrap();
    assert_eq!(status, 200);
    assert_eq!(shown["status"]["state"], "healthy");
    assert_eq!(shown["status"]["code"], 0);
    assert_eq!(shown["last_run"]["outcome"], "done");
    let next = shown["last_run"]["started"].as_u64().unwrap() + 5 * 60_000;
    assert!(
        shown["due"].as_u64().unwrap().abs_diff(next) < 60_000,
        "{shown}"
    );
    assert_eq!(vendor_data(&site), vendor_data(&undisturbed));
    assert_eq!(outcomes(&site), ["done"], "it is not due again");
    assert_eq!(serving.end().unwrap().0, Some(0));
}

/// What somebody does with a data directory, in the words of the command line; `{run}` is the last run's id.
const WORK: &[&str] = &[
    "tenants add globex",
    "tenants rename globex initech",
    "tenants add initech",
    "tenants delete nobody",
    "devices add sensor-1",
    "devices add sensor-1",
    "profiles add Night",
    "profiles add Night",
    "connectors add scanner.toml",
    "connectors add scanner.toml",
    "connectors add wrong.toml",
    "connectors add elsewhere.toml --profile Default",
    "connectors add scanner-2.toml --profile Nowhere",
    "connectors add scanner-2.toml --profile Night",
    "connectors import scanner-3.toml",
    "connectors list",
    "connectors show scanner-1",
    "connectors edit scanner-1 --set interval=10",
    "connectors edit scanner-1 --from scanner.toml",
    "connectors edit scanner-1 --set interval=0 --unset page_size",
    "connectors edit scanner-1 --set token_name=other",
    "connectors edit scanner-1 --set name=other",
    "connectors edit nobody --set interval=10",
    "connectors edit scanner-3 --set token={env=\"SCANNER_TOKEN\"}",
    "connectors activate scanner-3",
    "connectors activate scanner-3",
    "connectors deactivate scanner-3",
    "connectors deactivate scanner-3",
    "connectors run scanner-3",
    "connectors test scanner-1",
    "connectors run scanner-1",
    "connectors run scanner-1 --full",
    "connectors run nobody",
    "collect scanner.toml",
    "collect new.toml",
    "collect wrong.toml",
    "collect moved.toml",
    "profiles add-connector Night scanner-3",
    "profiles add-connector Night scanner-3",
    "profiles add-connector Night nobody",
    "profiles remove-connector Night scanner-3",
    "profiles remove-connector Night scanner-3",
    "profiles delete Night",
    "filters add filter.toml",
    "filters add filter.toml",
    "filters add bad-filter.toml",
    "filters list",
    "filters attach known scanner-1",
    "filters attach known scanner-1",
    "connectors run scanner-1 --full",
    "filters edit known --from filter.toml",
    "filters delete known",
    "filters detach known scanner-1",
    "filters detach known scanner-1",
    "filters delete known",
    "secrets rotate",
    "connectors test scanner-1",
    "plugins accept acme-scanner",
    "plugins accept nobody",
    "plugins list",
    "connectors delete scanner-1",
    "connectors delete scanner-1 --yes",
    "connectors delete scanner-1 --yes",
    "connectors delete scanner-3 --yes",
    "tenants delete acme",
    "tenants delete initech",
    "devices delete sensor-1",
    "devices delete dp",
    "runs list",
];

/// The files that the work needs.
fn prepare(desk: &Desk, address: &str) {
    desk.define(address);
    let text = std::fs::read_to_string(desk.path().join("scanner.toml")).unwrap();
    let named = |name: &str| text.replace("scanner-1", name);
    desk.write(
        "wrong.toml",
        &named("wrong").replace("url =", "interval = 0\nurl ="),
    );
    desk.write("new.toml", &named("new"));
    desk.write(
        "moved.toml",
        &text.replace("tenant =", "run_on = \"sensor-1\"\ntenant ="),
    );
    let switched_off = |name: &str| named(name).replace("tenant =", "active = false\ntenant =");
    desk.write("scanner-2.toml", &switched_off("scanner-2"));
    let without = |line: &&str| !line.starts_with("token =");
    let imported: Vec<_> = text.lines().filter(without).collect();
    desk.write(
        "scanner-3.toml",
        &imported.join("\n").replace("scanner-1", "scanner-3"),
    );
    desk.write(
        "elsewhere.toml",
        &named("elsewhere").replace("tenant =", "run_on = \"sensor-1\"\ntenant ="),
    );
    let filter = "name = \"known\"\n[[conditions]]\nfield = \"acme_scanner.id\"\noperator = \"is\"\nvalues = [\"a1\"]\n";
    desk.write("filter.toml", filter);
    desk.write("bad-filter.toml", &filter.replace("\"is\"", "\"was\""));
}

/// Notes where two documents differ.
fn differ(place: &str, alone: &Value, served: &Value, differences: &mut Vec<String>) {
    match (alone, served) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (one, other) = (&alone[key], &served[key]);
                differ(&format!("{place}: {key}"), one, other, differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{place}: {number}"), one, other, differences);
            }
        }
        _ if alone != served => {
            differences.push(format!("{place}\n  alone:  {alone}\n  served: {served}"));
        }
        _ => {}
    }
}

/// What was said, without what two data directories, or two moments, may differ in: ids, times, and how long something took.
fn alike(said: &Said, desk: &Desk, is_document: bool) -> Value {
    let folder = desk.path().display().to_string();
    let without_folder = |text: &str| text.replace(&folder, "FOLDER");
    let out = match is_document {
        true => alike_document(serde_json::from_str(&without_folder(&said.out)).unwrap()),
        false => Value::from(alike_text(&without_folder(&said.out))),
    };
    let error = alike_text(&without_folder(&said.error));
    json!({"code": said.code, "out": out, "error": error})
}

fn alike_document(document: Value) -> Value {
    const DIFFERENT: [&str; 11] = [
        "id",
        "run",
        "connector_id",
        "tenant_id",
        "cpu_ms",
        "memory_peak_bytes",
        "host_memory_peak_bytes",
        "permit_wait_ms",
        "waited_ms",
        // A test counts in the process that makes it: whoever serves goes on from there.
        "calls_in_window",
        "remaining",
    ];
    match document {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| match value {
                    // Whether there is one is the same.
                    Value::String(_) | Value::Number(_) if DIFFERENT.contains(&key.as_str()) => {
                        (key, json!("*"))
                    }
                    // How much of each was used, as far as it was seen.
                    Value::Array(limits) if key == "limits" => (key, json!(limits.len())),
                    value => (key, alike_document(value)),
                })
                .collect(),
        ),
        Value::Array(entries) => entries.into_iter().map(alike_document).collect(),
        // Milliseconds since 1970.
        Value::Number(number) if number.as_u64().is_some_and(|it| it > 1_000_000_000_000) => {
            json!("*")
        }
        other => other,
    }
}

fn alike_text(text: &str) -> String {
    let word = |word: &str| -> String {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = bare.len() >= 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_id || bare.contains(|c: char| c.is_ascii_digit()) && !bare.contains("scanner") {
            true => "*".into(),
            false => word.to_owned(),
        }
    };
    // How long it took may be said in other units as well.
    let units = ["ms", "s", "min", "B", "kB", "KiB", "MiB", "bytes"];
    let is_unit = |word: &&str| !units.contains(&word.trim_matches(|c: char| !c.is_alphanumeric()));
    // As above: how many calls were counted.
    let text = text.replace("call of", "calls of");
    let words = text.split_whitespace().filter(is_unit).map(word);
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_says_and_does_the_same_whether_somebody_serves_or_not() {
    let scanner = Scanner::start();
    for document in [true, false] {
        let (alone, served) = (Desk::new(HOST), Desk::new(HOST));
        prepare(&alone, &scanner.address);
        prepare(&served, &scanner.address);
        // An empty catalogue has no file before somebody writes.
        alone.done(&["tenants", "add", "first"]);
        let serving = served.serve();
        served.done(&["tenants", "add", "first"]);
        let mut differences = Vec::new();
        for line in WORK {
            let words: Vec<&str> = line.split(' ').collect();
            let said = |desk: &Desk| match document {
                true => desk.json(&words),
                false => desk.run(&words),
            };
            let (here, there) = (said(&alone), said(&served));
            let expected = alike(&here, &alone, document);
            let found = alike(&there, &served, document);
            differ(line, &expected, &found, &mut differences);
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
        served.end(serving);
        alone.assert_no_secret();
        served.assert_no_secret();
    }
}

#[test]
fn the_socket_is_its_owners_alone_and_one_that_was_left_behind_is_in_nobodys_way() {
    let desk = Desk::new(HOST);
    desk.define("https://scanner.example.test");
    let socket = desk.path().join("data/serve.sock");
    let serving = desk.serve();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Another one says who serves already; so does one that finds the address taken.
    let second = desk.json(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 2);
    let holder = format!("in use by process {}", serving.id());
    assert!(second.refusal().1.contains(&holder), "{}", second.out);
    let taken = serving.url.trim_start_matches("http://");
    let elsewhere = Desk::new(HOST);
    let refused = elsewhere.json(&["serve", "--listen", taken]);
    let (code, sentence) = refused.refusal();
    assert_eq!((refused.code, code.as_str()), (2, "serving"));
    assert!(
        sentence.contains(taken) && sentence.contains("choose another"),
        "{sentence}"
    );
    let open = elsewhere.json(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((open.code, open.refusal().0.as_str()), (2, "usage"));

    serving.kill().unwrap();
    assert!(socket.exists());
    desk.done(&["connectors", "add", "scanner.toml"]);
    let serving = desk.serve();
    desk.done(&["connectors", "deactivate", "scanner-1"]);
    assert_eq!(desk.ask("GET", "/connectors")["total"], 1);
    desk.end(serving);
    assert!(!socket.exists());
    desk.assert_no_secret();
}

#[test]
fn a_host_that_is_no_device_of_its_catalogue_does_not_begin_to_serve() {
    let desk = Desk::new(HOST);
    desk.write("data/host.toml", "device = \"sensor-9\"\n");
    let refused = desk.json(&["serve", "--listen", "127.0.0.1:0"]);
    let (code, sentence) = refused.refusal();
    assert_eq!((refused.code, code.as_str()), (2, "not-found"));
    assert!(sentence.contains("sensor-9"), "{sentence}");
    desk.done(&["devices", "add", "sensor-9"]);
    let serving = desk.serve();
    assert_eq!(desk.ask("GET", "/status")["device"], "sensor-9");
    desk.end(serving);
}

/// A vendor whose first page of detections never comes to its end, and the site that collects it: 60 hosts, 240 detections.
fn stalled() -> (SimProcess, Site) {
    let sim = SimProcess::start(
        SIM,
        &[
            "--hosts",
            "60",
            "--detections",
            "4",
            "--switch",
            "stall=4000:600,at=hld,times=1",
        ],
    )
    .unwrap();
    let site = Site::new(HOST, &sim.address, "hosts_per_page = 20").unwrap();
    (sim, site)
}

/// Waits until the vendor has been asked for detections; it says so only here, since the request is not over.
fn in_the_middle(sim: &SimProcess) {
    while !sim.get("/_sim/requests").unwrap().contains("\"hld\"") {
        std::thread::yield_now();
    }
}

fn collects_the_rest(sim: &SimProcess, site: &Site, before: &str) {
    let asked = sim.logged().len();
    let serving = site.serve().unwrap();
    serving.logs(END).unwrap();
    let (code, log) = serving.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(outcomes(site), [before, "done"], "{log}");
    assert_eq!(vendor_data(site).len(), 300);
    let hosts = |request: &Value| request.to_string().contains("\"host\"");
    assert!(
        !sim.logged().iter().any(hosts),
        "{asked} asked before; hosts were read already"
    );
}

#[test]
fn sigterm_in_a_collection_keeps_its_ledger_and_the_next_serve_goes_on() {
    let (sim, site) = stalled();
    let serving = site.serve().unwrap();
    done(
        &site,
        &["connectors", "add", "qualys.toml", "--profile", "Default"],
    );
    in_the_middle(&sim);
    let (code, log) = serving.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("cut off"), "{log}");
    assert_eq!(outcomes(&site), ["stopped"]);
    let run = done(&site, &["runs", "list"])["runs"][0]["id"].clone();
    let ledger = done(&site, &["runs", "show", run.as_str().unwrap()]);
    assert_eq!(ledger["contents"][0]["outcome"], "done", "{ledger}");
    collects_the_rest(&sim, &site, "stopped");
}

#[test]
fn a_killed_serve_leaves_nothing_that_the_next_one_does_not_collect() {
    let (sim, site) = stalled();
    let serving = site.serve().unwrap();
    done(
        &site,
        &["connectors", "add", "qualys.toml", "--profile", "Default"],
    );
    in_the_middle(&sim);
    serving.kill().unwrap();
    assert_eq!(
        outcomes(&site),
        [Value::Null],
        "nobody has seen its end yet"
    );
    collects_the_rest(&sim, &site, "interrupted");
}

#[test]
fn sighup_takes_up_a_plugin_and_one_that_asks_for_more_waits_for_the_owner() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    let acme = std::fs::read(tests::acme_component()).unwrap();
    let file = desk.path().join("data/plugins/acme.wasm");
    std::fs::remove_file(&file).unwrap();
    let serving = desk.serve();
    let refused = desk.json(&["connectors", "add", "scanner.toml"]);
    assert_eq!(refused.code, 2, "{}", refused.out);

    std::fs::write(&file, &acme).unwrap();
    serving.signal("HUP").unwrap();
    serving.logs("plugins were looked at again").unwrap();
    let add = ["connectors", "add", "scanner.toml", "--profile", "Default"];
    let added = desk.done(&add);
    serving.logs(END).unwrap();
    let path = format!("/connectors/{}", added["connector"]["id"].as_str().unwrap());
    let state = || desk.ask("GET", &path)["status"]["state"].clone();
    assert_eq!(state(), "healthy");

    // The rule is another, so the plugin may not do what it did; it asks for a path that was never granted.
    let greedy = components::patched(&acme, r#""path": "/assets""#, r#""path": "/secret""#);
    std::fs::write(&file, &greedy).unwrap();
    serving.signal("HUP").unwrap();
    serving.logs("plugins were looked at again").unwrap();
    scanner.asked();
    // It answers when the schedule has looked again.
    let refused = desk.json(&["connectors", "run", "scanner-1"]);
    assert_eq!(
        (refused.code, refused.refusal().0.as_str()),
        (2, "suspended")
    );
    assert_eq!(state(), "suspended");
    assert_eq!(scanner.asked(), 0);

    let accepted = desk.done(&["plugins", "accept", "acme-scanner"]);
    assert_eq!(accepted["new"], json!(["requests assets: GET /secret"]));
    assert_ne!(state(), "suspended");
    // It runs, and may not ask for what its rules do not name.
    let ran = desk.json(&["connectors", "run", "scanner-1", "--max-wait", "0s"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert_ne!(ran.json()["traffic"]["denied"], 0, "{}", ran.out);
    assert_eq!(scanner.asked(), 0);
    std::fs::write(&file, &acme).unwrap();
    assert_eq!(
        desk.done(&["plugins", "reload"])["replaced"],
        json!(["acme-scanner"])
    );
    desk.done(&["plugins", "accept", "acme-scanner"]);
    let ran = desk.done(&["connectors", "run", "scanner-1"]);
    assert_eq!(ran["outcome"], "done");
    assert_eq!(state(), "healthy");
    desk.end(serving);
    desk.assert_no_secret();
}

/// A connection over TLS that trusts one certificate.
fn tls(
    authority: &str,
    certificate: &Path,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(client, TcpStream::connect(authority).unwrap())
}

#[test]
fn over_tls_a_token_opens_and_nothing_else_does() {
    let desk = Desk::new(HOST);
    let token = desk.done(&["tokens", "add", "console", "--role", "root"]);
    let token = token["token"].as_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    desk.write("host.pem", &made.cert.pem());
    desk.write("host.key", &made.signing_key.serialize_pem());
    let options = [
        "serve",
        "--tls-certificate",
        "host.pem",
        "--tls-key",
        "host.key",
    ];
    let serving = ServeProcess::start_with(desk.command(&[]), &options).unwrap();
    let authority = serving.url.strip_prefix("https://").unwrap();
    let certificate = desk.path().join("host.pem");
    let ask = |headers: &[(&str, &str)]| {
        let stream = tls(authority, &certificate);
        ask_over(stream, "GET", "/connectors", headers, None).unwrap()
    };
    let (status, refused) = ask(&[]);
    assert_eq!((status, &refused["status"]), (401, &json!(401)));
    let bearer = format!("Bearer {token}");
    let (status, list) = ask(&[("authorization", &bearer)]);
    assert_eq!((status, &list["total"]), (200, &json!(0)));
    let (status, _) = ask(&[("authorization", &bearer[..bearer.len() - 1])]);
    assert_eq!(status, 401);

    // Who speaks no TLS is told nothing, and certainly not asked for a token.
    let mut plain = TcpStream::connect(authority).unwrap();
    let request =
        format!("GET /connect/api/v1/connectors HTTP/1.0\r\nauthorization: {bearer}\r\n\r\n");
    // It may have been hung up on before it has said all that.
    let _ = plain.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP/"),
        "{answer:?}"
    );
    let (code, log) = serving.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(&token) && !log.contains(SECRET), "{log}");
}
