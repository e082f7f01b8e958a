//! Records on their way to other systems: one forwarder of each kind, over real files and sockets, behind a real collection.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_host::rehearsal::forwarding::forward;
use connector_runtime::Clock;
use ring::hmac;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::process::{SimProcess, Site};
use tokio::runtime::Runtime;

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
const SECRET: &str = "a secret of twenty-four bytes";
const NOW: u64 = 1_772_442_900_000;

/// A request: its first line and its headers in lower case, and its body.
#[derive(Clone)]
struct Message {
    head: String,
    headers: BTreeMap<String, String>,
    body: String,
}

type Seen = Arc<Mutex<Vec<Message>>>;

/// Listens on loopback, and answers every request by a function: status and body.
fn listener(answer: fn(&Message) -> (u16, String)) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noting = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let message = take(&stream);
            let (status, body) = answer(&message);
            noting.lock().unwrap().push(message);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            // Whoever asked may have gone.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (address, seen)
}

fn take(stream: &TcpStream) -> Message {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: BTreeMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or("0", String::as_str);
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Message {
        head: lines[0].clone(),
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

/// A collection of 60 detections on 20 hosts, and a `host.toml` with these forwarders.
fn site(forwarders: &str) -> (SimProcess, Site) {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    std::fs::write(site.path().join("host.toml"), forwarders).unwrap();
    let secret = site.path().join("forwarder.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(site.collect().unwrap(), 60);
    (sim, site)
}

fn run(site: &Site, name: &str, clock: &Clock) -> Result<u64, String> {
    let runtime = Runtime::new().unwrap();
    forward(site.path(), name, clock, runtime.handle()).map_err(|error| error.to_string())
}

fn id(record: &Value) -> String {
    record["stellar_uuid"].as_str().unwrap()[..36].to_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The records of every file below a folder, by its index.
fn files(root: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let place = path.strip_prefix(root).unwrap().to_str().unwrap();
            let (index, rest) = place.split_once('/').unwrap();
            assert!(rest.starts_with("tenant=acme/date="), "{place}");
            assert!(rest.ends_with(".ndjson.zst"), "{place}");
            let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
            let records = lines(std::str::from_utf8(&text).unwrap());
            found.entry(index.to_owned()).or_default().extend(records);
        }
    }
    found
}

#[test]
fn files_hold_what_was_collected_and_a_second_look_adds_nothing() {
    let (_sim, site) = site("[[forwarders]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\n");
    let clock = Clock::simulated(NOW);
    assert_eq!(run(&site, "lake", &clock).unwrap(), 80);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(run(&site, "lake", &clock).unwrap(), 0);
    let found = files(&site.path().join("lake"));
    assert_eq!(found["index=scans"], site.export("scans").unwrap());
    assert_eq!(found["index=syslog"], site.export("syslog").unwrap());
    assert_eq!(found.len(), 2);

    let listed = site.run(&["forwarders", "list", "--json"]).unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let lake = &listed["forwarders"][0];
    assert_eq!(
        (&lake["name"], &lake["kind"]),
        (&json!("lake"), &json!("files"))
    );
    assert_eq!(lake["behind_blocks"], 0, "{listed}");
    let tested = site.run(&["forwarders", "test", "lake"]).unwrap();
    assert!(tested.status.success());
    assert!(
        String::from_utf8_lossy(&tested.stdout).starts_with("passed: files can be written in ")
    );
}

/// Elasticsearch, as far as a forwarder sees it.
fn elasticsearch(message: &Message) -> (u16, String) {
    let expected = format!("Basic {}", STANDARD.encode(format!("forwarder:{SECRET}")));
    if message.headers.get("authorization") != Some(&expected) {
        return (401, String::new());
    }
    if message.head.starts_with("GET / ") {
        let greeting = json!({"version": {"number": "2.19.0", "distribution": "opensearch"}});
        return (200, greeting.to_string());
    }
    let items = lines(&message.body).len() / 2;
    let answer = json!({"errors": false, "items": vec![json!({"index": {"status": 201}}); items]});
    (200, answer.to_string())
}

#[test]
fn elasticsearch_gets_every_record_as_a_document_once_it_may_be_reached() {
    let (address, seen) = listener(elasticsearch);
    let forwarder = format!(
        "[[forwarders]]\nname = \"siem\"\nkind = \"elasticsearch\"\nurl = \"{address}\"\nusername = \"forwarder\"\npassword = {{ file = \"forwarder.secret\" }}\ncompression = \"none\"\nindices = [\"scans\"]\n"
    );
    let (_sim, site) = site(&forwarder);
    let clock = Clock::simulated(NOW);
    let refused = run(&site, "siem", &clock).unwrap_err();
    assert!(
        refused.contains("`allow_networks` of the forwarder `siem` under [[forwarders]]"),
        "{refused}"
    );
    assert!(seen.lock().unwrap().is_empty());

    let allowed = format!("{forwarder}allow_networks = [\"127.0.0.1/32\"]\n");
    std::fs::write(site.path().join("host.toml"), &allowed).unwrap();
    let tested = site.run(&["forwarders", "test", "siem", "--json"]).unwrap();
    let tested: Value = serde_json::from_slice(&tested.stdout).unwrap();
    assert_eq!(tested["passed"], true, "{tested}");
    assert!(
        tested["message"]
            .as_str()
            .unwrap()
            .starts_with("OpenSearch 2.19.0 at ")
    );
    seen.lock().unwrap().clear();

    run(&site, "siem", &clock).unwrap();
    let mut sent = BTreeMap::new();
    for message in seen.lock().unwrap().iter() {
        assert!(message.head.starts_with("POST /_bulk?"), "{}", message.head);
        for pair in lines(&message.body).chunks(2) {
            let target = &pair[0]["index"];
            assert_eq!(target["_id"], id(&pair[1]));
            let index = target["_index"].as_str().unwrap();
            assert!(index.starts_with("interflow-scans-20"), "{index}");
            assert!(sent.insert(id(&pair[1]), pair[1].clone()).is_none());
        }
    }
    let exported = site.export("scans").unwrap();
    let exported: BTreeMap<_, _> = exported
        .into_iter()
        .map(|record| (id(&record), record))
        .collect();
    assert_eq!(sent, exported);

    // Another password, and no document leaves; nor does the password.
    let secret = site.path().join("forwarder.secret");
    std::fs::write(secret, "another-password\n").unwrap();
    let failed = site.run(&["forwarders", "test", "siem"]).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8(failed.stdout).unwrap();
    assert!(text.contains("refused the login (HTTP 401)"), "{text}");
    assert!(!text.contains("another-password"), "{text}");
}

#[test]
fn a_webhook_gets_every_record_in_signed_batches() {
    let (address, seen) = listener(|_| (202, String::new()));
    let (_sim, site) = site(&format!(
        "[[forwarders]]\nname = \"queue\"\nkind = \"webhook\"\nurl = \"{address}/in?token=t0ken\"\nsecret = {{ file = \"forwarder.secret\" }}\nbatch_records = 7\nallow_networks = [\"127.0.0.1/32\"]\n"
    ));
    let tested = site.run(&["forwarders", "test", "queue"]).unwrap();
    assert!(tested.status.success());
    assert!(seen.lock().unwrap().is_empty(), "a test sends nothing");
    assert_eq!(run(&site, "queue", &Clock::simulated(NOW)).unwrap(), 80);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let (mut ids, mut records) = (BTreeSet::new(), Vec::new());
    for message in seen.lock().unwrap().iter() {
        assert!(
            message.head.starts_with("POST /in?token=t0ken "),
            "{}",
            message.head
        );
        let header = |name: &str| message.headers[name].as_str();
        let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = format!("{id}.{time}.{}", message.body);
        let tag = header("webhook-signature").strip_prefix("v1,").unwrap();
        hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(tag).unwrap()).unwrap();
        assert!(ids.insert(id.to_owned()));
        let batch = lines(&message.body);
        assert!((1..=7).contains(&batch.len()));
        records.extend(batch);
    }
    assert_eq!(records, site.export("syslog").unwrap());
}

#[test]
fn a_name_that_host_toml_does_not_have_is_refused_with_those_that_it_has() {
    let (_sim, site) = site("[[forwarders]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\n");
    let refused = site.run(&["forwarders", "test", "sea"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains("there is no forwarder `sea`; host.toml has lake"),
        "{text}"
    );
    let listed = site.run(&["forwarders", "list"]).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("not begun"), "{listed}");
}

#[test]
fn a_host_that_serves_forwards_what_was_collected_and_goes_on_where_it_was() {
    let (address, seen) = listener(|_| (202, String::new()));
    let toml = |name: &str| {
        format!(
            "[[forwarders]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{address}/\"\nsecret = {{ file = \"forwarder.secret\" }}\n"
        )
    };
    let (_sim, site) = site(&toml("queue"));
    let received = || {
        let seen = seen.lock().unwrap();
        let bodies = seen.iter().flat_map(|message| lines(&message.body));
        bodies.map(|record| id(&record)).collect::<Vec<_>>()
    };
    let listed = || {
        let listed = site.run(&["forwarders", "list", "--json"]).unwrap();
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        listed["forwarders"][0]["behind_blocks"].clone()
    };
    assert_eq!(listed(), Value::Null);
    let served = site.serve().unwrap();
    // Each look is a process of its own; the bound is only so that a failure fails.
    assert!((0..2_000).any(|_| listed() == 0));
    let (code, log) = served.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    let exported: Vec<_> = site.export("syslog").unwrap().iter().map(id).collect();
    assert_eq!(received(), exported);

    // What has been delivered is not sent again.
    seen.lock().unwrap().clear();
    let served = site.serve().unwrap();
    assert_eq!(served.end().unwrap().0, Some(0));
    assert!(received().is_empty());
}

#[test]
fn a_forwarder_that_is_removed_hands_over_what_it_has_open() {
    let toml = "[[forwarders]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\n";
    let (_sim, site) = site(toml);
    let clock = Clock::simulated(NOW);
    run(&site, "lake", &clock).unwrap();
    let lake = site.path().join("lake");
    let open = || std::fs::read_dir(lake.join(".open")).unwrap().count();
    assert_eq!(open(), 2);
    let removed = site
        .run(&["consumers", "remove", "forwarder:lake"])
        .unwrap();
    assert!(removed.status.success());
    assert_eq!(open(), 0);
    std::fs::remove_dir(lake.join(".open")).unwrap();
    assert_eq!(files(&lake)["index=syslog"], site.export("syslog").unwrap());

    // And one that host.toml has no longer, when the next process serves.
    run(&site, "lake", &clock).unwrap();
    assert_eq!(open(), 2);
    std::fs::write(site.path().join("host.toml"), "").unwrap();
    assert_eq!(site.serve().unwrap().end().unwrap().0, Some(0));
    assert_eq!(open(), 0);
}
