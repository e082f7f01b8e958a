//! What leaves a host besides records: alerts to webhooks, traces to a collector, metrics to whoever asks.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
/// Only so that a test whose message never comes fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request: its head in lower case, and its body.
type Message = (String, Vec<u8>);

/// Listens on loopback, takes every request and answers 200.
fn listener() -> (String, Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if sender.send(take(stream)).is_err() {
                return;
            }
        }
    });
    (address, messages)
}

fn take(stream: TcpStream) -> Message {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    (head, body)
}

fn configure(site: &Site, text: &str) {
    std::fs::write(site.path().join("host.toml"), text).unwrap();
    let secret = site.path().join("webhook.secret");
    std::fs::write(&secret, "a secret of twenty-four bytes\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_refused_login_is_told_to_a_webhook_listed_and_counted_by_a_serving_host() {
    let sim = SimProcess::small(SIM, &["--password", "another"]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let (address, messages) = listener();
    configure(
        &site,
        &format!(
            "[[alerts.webhooks]]\nname = \"on-call\"\nurl = \"{address}/alerts?token=t0ken\"\nsecret = {{ file = \"webhook.secret\" }}\nallow_networks = [\"127.0.0.1/32\"]\n"
        ),
    );
    let added = site.run(&["connectors", "add", "qualys.toml", "--profile", "Default"]);
    assert!(added.unwrap().status.success());
    let refused = site.run(&["connectors", "run", "qualys-test"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));

    let served = site.serve().unwrap();
    let (head, body) = messages.recv_timeout(PATIENCE).unwrap();
    assert!(
        head.starts_with("post /alerts?token=t0ken http/1.1"),
        "{head}"
    );
    for header in [
        "webhook-id: msg_",
        "webhook-timestamp: ",
        "webhook-signature: v1,",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "alert.raised");
    assert_eq!(body["data"]["alert"]["kind"], "login-refused", "{body}");
    assert_eq!(body["data"]["connector"]["name"], "qualys-test");

    let listed = site.run(&["alerts", "list", "--open", "--json"]).unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["alerts"][0]["id"], body["data"]["alert"]["id"]);

    let authority = served.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nhost: {authority}\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    assert!(metrics.starts_with("HTTP/1.0 200"), "{metrics}");
    for line in [
        "connector_host_open_alerts{kind=\"login-refused\"} 1",
        "connector_host_connectors{state=\"stopped-after-refused-login\"} 1",
        "# EOF",
    ] {
        assert!(
            metrics.lines().any(|one| one == line),
            "{line} in {metrics}"
        );
    }
    assert!(!metrics.contains("acme"), "names are root's: {metrics}");

    let (code, log) = served.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("t0ken") && !log.contains("twenty-four"),
        "{log}"
    );
}

struct Span<'a> {
    id: &'a [u8],
    parent: &'a [u8],
}

/// The spans of a name: id (field 2), parent (4; the outermost has none) and name (5) stand one behind the other.
fn spans<'a>(body: &'a [u8], name: &str) -> Vec<Span<'a>> {
    let mut field = vec![0x2a, u8::try_from(name.len()).unwrap()];
    field.extend(name.as_bytes());
    let starts = 20..=body.len() - field.len();
    starts
        .filter(|at| body[*at..].starts_with(&field))
        .map(|at| match body[at - 10..at].strip_prefix(&[0x22, 8]) {
            Some(parent) => Span {
                id: &body[at - 18..at - 10],
                parent,
            },
            None => Span {
                id: &body[at - 8..at],
                parent: &[],
            },
        })
        .collect()
}

#[test]
fn a_collector_gets_the_spans_of_a_run_and_no_secret_with_them() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let (address, messages) = listener();
    configure(
        &site,
        &format!(
            "[telemetry]\notlp_endpoint = \"{address}\"\nallow_networks = [\"127.0.0.1/32\"]\n"
        ),
    );
    assert_eq!(site.collect().unwrap(), 60);
    let (head, mut body) = messages.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    body.extend(messages.try_iter().flat_map(|(_, body)| body));
    let holds = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    // A span's name is field 5 of its message, a text: tag, length, bytes.
    for name in [
        "\x2a\x03run",
        "\x2a\x05batch",
        "\x2a\x04call",
        "qualys-test",
    ] {
        assert!(holds(name.as_bytes()), "{name:?}");
    }
    assert!(holds(b"/fo/asset/host/"), "the path of a call");
    let (calls, batches) = (spans(&body, "call"), spans(&body, "batch"));
    assert!(calls.len() > 1 && batches.len() > 1);
    for call in calls {
        let within = batches.iter().any(|batch| batch.id == call.parent);
        assert!(within, "each call within its batch");
    }
    let run = &spans(&body, "run")[0];
    assert!(batches.iter().all(|batch| batch.parent == run.id));
    for kept_back in ["action=list", "truncation_limit", "Basic ", "ZGVtbzpkZW1v"] {
        assert!(!holds(kept_back.as_bytes()), "{kept_back}");
    }
}

#[test]
fn a_collector_at_an_address_that_is_not_allowed_is_not_reached_and_the_run_goes_on() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let (address, messages) = listener();
    configure(
        &site,
        &format!("[telemetry]\notlp_endpoint = \"{address}\"\n"),
    );
    let output = site.run(&["collect", "qualys.toml"]).unwrap();
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains("traces do not reach") && log.contains("`allow_networks` under [telemetry]"),
        "{log}"
    );
    assert!(messages.try_recv().is_err());
}

#[test]
fn a_json_log_is_one_object_a_line() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let arguments = [
        "--log",
        "debug",
        "--log-format",
        "json",
        "collect",
        "qualys.toml",
    ];
    let output = site.run(&arguments).unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| line["level"].is_string()), "{log}");
}
