//! The REST API of a host that serves, with a real connector: the life of a connector over HTTP, tests that wait for each
//! other, and what a tenant's administrator cannot make the host do.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "bodies are written where they are sent"
)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use tempfile::TempDir;

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SECRET: &str = "s3cret-token";

/// An imaginary scanner that knows one asset. It says when it is asked, and answers when it is told to.
struct Scanner {
    address: String,
    asked: Receiver<()>,
    answer: Sender<()>,
}

impl Scanner {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = channel();
        let (answer, wait) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n")
                    && reader.read_line(&mut head).is_ok_and(|read| read > 0)
                {}
                if tell.send(()).is_err() || wait.recv().is_err() {
                    return;
                }
                let body = r#"[{"id":"a1","seen_ms":1772440877000}]"#;
                // Whoever asked may have gone.
                let _ = write!(
                    &stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self {
            address,
            asked,
            answer,
        }
    }

    /// Lets the next requests be answered.
    fn answers(&self, requests: usize) {
        for _ in 0..requests {
            self.answer.send(()).unwrap();
        }
    }
}

/// A host that serves, with the example plugin, the tenants `acme` and `umbra`, and a token for each of its administrators.
struct Site {
    folder: TempDir,
    process: Child,
    address: String,
    root: String,
    acme: String,
    umbra: String,
}

impl Site {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("data/plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        std::fs::copy(tests::acme_component(), plugins.join("acme.wasm")).unwrap();
        let mut process = command(&folder, options)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        let mut site = Self {
            address: address.to_owned(),
            folder,
            process,
            root: String::new(),
            acme: String::new(),
            umbra: String::new(),
        };
        site.root = site.token(&["root", "--role", "root"]);
        for tenant in ["acme", "umbra"] {
            site.command(&["tenants", "add", tenant]);
        }
        site.acme = site.token(&["acme-admin", "--role", "tenant-admin", "--tenant", "acme"]);
        site.umbra = site.token(&["umbra-admin", "--role", "tenant-admin", "--tenant", "umbra"]);
        site
    }

    /// A command that must do its work while the host serves; its JSON.
    fn command(&self, arguments: &[&str]) -> Value {
        let output = command(&self.folder, &["--json"]).args(arguments).output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn token(&self, arguments: &[&str]) -> String {
        let made = self.command(&[&["tokens", "add"], arguments].concat());
        made["token"].as_str().unwrap().to_owned()
    }

    /// One request; the status, and the body if it is JSON.
    fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        ask(&self.address, token, method, path, &body)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(folder: &TempDir, options: &[&str]) -> Command {
    let mut command = Command::new(HOST);
    command
        .current_dir(folder.path())
        .args(["--data-dir", "data"])
        .args(options)
        .env_remove("CONNECTOR_HOST_KEY")
        .stdin(Stdio::null());
    command
}

fn ask(address: &str, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    write!(
        stream,
        "{method} /connect/api/v1{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(!answer.contains(SECRET), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn scanner(tenant: &str, name: &str, address: &str) -> Value {
    json!({
        "cust_id": tenant, "name": name, "type": "acme-scanner", "category": "scan",
        "is_collect": true, "is_respond": false, "run_on": "dp", "filter_list": [], "advanced_setting": {},
        "conf": {"url": address, "token_name": "reader", "token": SECRET},
    })
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_connector_lives_over_http_from_its_making_to_its_end() {
    let site = Site::start(&["--insecure-loopback"]);
    let vendor = Scanner::start();
    let acme = |method: &str, path: &str, body: Value| site.ask(&site.acme, method, path, body);

    // A definition that is not kept is tested, and nothing is there afterwards.
    vendor.answers(1);
    let new = scanner("acme", "scanner-1", &vendor.address);
    let (status, tested) = acme("POST", "/connectors/test", new.clone());
    assert_eq!((status, &tested["passed"]), (200, &json!(true)), "{tested}");
    assert_eq!(keys(&tested), ["detail", "passed", "report", "summary"]);
    assert_eq!(acme("GET", "/connectors", Value::Null).1["total"], 0);

    // What is wrong is told field by field, all at once, and nothing is kept.
    let mut wrong = new.clone();
    wrong["conf"] = json!({"url": "", "colour": "red", "token": SECRET});
    wrong["is_respond"] = json!(true);
    let (status, problem) = acme("POST", "/connectors", wrong);
    assert_eq!(status, 422, "{problem}");
    let (status, unknown) = acme("POST", "/connectors", {
        let mut new = new.clone();
        new["conf"]["colour"] = json!("red");
        new
    });
    let at: Vec<_> = unknown["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["key"])
        .collect();
    assert_eq!(
        (status, at),
        (422, vec![&json!("settings.colour")]),
        "{unknown}"
    );

    let (status, made) = acme("POST", "/connectors", new.clone());
    assert_eq!(status, 201, "{made}");
    let connector = &made["connector"];
    assert_eq!(
        connector["configuration"],
        json!({"token_name": "reader", "url": vendor.address})
    );
    assert_eq!(
        (&connector["active"], &connector["category"]),
        (&json!(true), &json!("Vulnerability Scanner"))
    );
    let path = format!("/connectors/{}", connector["_id"].as_str().unwrap());
    assert_eq!(acme("POST", "/connectors", new).0, 409, "the name is taken");

    // One run, with its ledger.
    vendor.answers(1);
    let (status, run) = acme("POST", &format!("{path}/run"), json!({"wait": true}));
    assert_eq!(
        (status, &run["ledger"]["outcome"]),
        (200, &json!("done")),
        "{run}"
    );
    let (_, runs) = acme("GET", &format!("{path}/runs"), Value::Null);
    assert_eq!(
        (&runs["total"], &runs["runs"][0]["records"]),
        (&json!(1), &json!(1)),
        "{runs}"
    );
    let run = runs["runs"][0]["_id"].as_str().unwrap().to_owned();
    let (_, run) = acme("GET", &format!("/runs/{run}"), Value::Null);
    assert_eq!(run["ledger"]["records"], 1, "{run}");
    let tried = json!({"connector": connector["_id"], "conditions": [{"field": "msg_class", "operator": "is", "values": ["acme_assets"]}]});
    let (status, tried) = acme("POST", "/filters/try", tried);
    assert_eq!(
        (status, &tried["records"], &tried["dropped"]),
        (200, &json!(1), &json!(1)),
        "{tried}"
    );

    // Another address or account needs the secret in the same request; with it, the next run reads everything.
    let (status, refused) = acme("PATCH", &path, json!({"conf": {"token_name": "other"}}));
    assert_eq!(
        (status, &refused["errors"][0]["key"]),
        (422, &json!("settings.token")),
        "{refused}"
    );
    let (status, changed) = acme(
        "PATCH",
        &path,
        json!({"conf": {"token_name": "other", "token": SECRET}}),
    );
    assert_eq!(
        (status, &changed["full_walk"]),
        (200, &json!(true)),
        "{changed}"
    );
    assert_eq!(
        changed["changed"],
        json!(["settings.token_name", "settings.token"])
    );

    for (verb, active) in [("deactivate", false), ("activate", true)] {
        let (status, changed) = acme("POST", &format!("{path}/{verb}"), Value::Null);
        assert_eq!(
            (status, &changed["connector"]["active"]),
            (200, &json!(active))
        );
    }
    let (_, events) = acme("GET", &format!("{path}/events?sort=time"), Value::Null);
    let kinds: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind != "status")
            .collect::<Vec<_>>(),
        [&"created", &"edited", &"deactivated", &"activated"]
    );
    assert_eq!(acme("DELETE", &path, Value::Null).0, 204);
    assert_eq!(acme("GET", &path, Value::Null).0, 404);
    let (_, runs) = acme("GET", "/runs", Value::Null);
    assert_eq!(
        (&runs["total"], &runs["runs"][0]["deleted"]),
        (&json!(1), &json!(true))
    );
}

#[test]
fn a_second_test_is_told_which_one_runs_unless_that_is_somebody_elses() {
    let site = Site::start(&["--insecure-loopback"]);
    let vendor = Scanner::start();
    let first = std::thread::spawn({
        let (address, token) = (site.address.clone(), site.acme.clone());
        let new = scanner("acme", "scanner-1", &vendor.address);
        move || ask(&address, &token, "POST", "/connectors/test", &new)
    });
    vendor.asked.recv().unwrap();
    for (token, tenant, named) in [
        (&site.acme, "acme", true),
        (&site.umbra, "umbra", false),
        (&site.root, "umbra", true),
    ] {
        let second = scanner(tenant, "scanner-2", &vendor.address);
        let (status, problem) = site.ask(token, "POST", "/connectors/test", second);
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("busy")),
            "{detail}"
        );
        assert_eq!(detail.contains("acme/scanner-1"), named, "{detail}");
        assert_eq!(detail.contains("another connector"), !named, "{detail}");
    }
    vendor.answers(1);
    let (status, tested) = first.join().unwrap();
    assert_eq!((status, &tested["passed"]), (200, &json!(true)), "{tested}");
    vendor.answers(1);
    let again = scanner("umbra", "scanner-2", &vendor.address);
    assert_eq!(
        site.ask(&site.umbra, "POST", "/connectors/test", again).0,
        200
    );
}

#[test]
fn a_tenants_administrator_cannot_make_the_host_connect_where_root_has_not_allowed_it() {
    let site = Site::start(&[]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let port = nobody.local_addr().unwrap().port();
    for address in [
        format!("https://127.0.0.1:{port}"),
        format!("https://[::1]:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
        format!("https://localhost:{port}"),
        "https://10.1.2.3".to_owned(),
        "https://169.254.169.254".to_owned(),
    ] {
        let new = scanner("acme", "scanner-1", &address);
        let (status, tested) = site.ask(&site.acme, "POST", "/connectors/test", new);
        assert_eq!(
            (status, &tested["passed"]),
            (200, &json!(false)),
            "{address}: {tested}"
        );
        let detail = tested["detail"].as_str().unwrap();
        assert!(
            detail.contains("not allowed") || detail.contains("refused"),
            "{address}: {detail}"
        );
    }
    let plain = scanner("acme", "scanner-1", &format!("http://127.0.0.1:{port}"));
    assert_eq!(
        site.ask(&site.acme, "POST", "/connectors/test", plain).0,
        422
    );
    assert!(nobody.accept().is_err(), "somebody came");
    // Nor does a definition bring its own networks, proxy or limits.
    for key in ["network", "allow_networks", "proxy", "limits"] {
        let mut new = scanner("acme", "scanner-1", "https://10.1.2.3");
        new[key] = json!(["10.0.0.0/8"]);
        assert_eq!(
            site.ask(&site.acme, "POST", "/connectors", new).0,
            422,
            "{key}"
        );
    }
}

#[test]
fn users_and_tokens_are_made_changed_and_deleted_while_the_host_serves() {
    let site = Site::start(&[]);
    let password = site.folder.path().join("password.txt");
    std::fs::write(&password, "correct horse battery\n").unwrap();
    let file = password.to_str().unwrap();
    let made = site.command(&[
        "users",
        "add",
        "alice",
        "--role",
        "root",
        "--password-file",
        file,
    ]);
    assert_eq!(made["users"][0]["name"], "alice");
    site.command(&[
        "users",
        "add",
        "bob",
        "--role",
        "root",
        "--password-file",
        file,
    ]);
    let edited = site.command(&[
        "users",
        "edit",
        "bob",
        "--role",
        "tenant-admin",
        "--tenant",
        "acme",
    ]);
    assert_eq!(edited["users"][1]["tenant"], "acme");
    let edited = site.command(&[
        "users",
        "edit",
        "bob",
        "--role",
        "read-only",
        "--all-tenants",
    ]);
    assert_eq!(edited["users"][1]["tenant"], Value::Null);
    let login = |password: &str| {
        site.ask(
            "",
            "POST",
            "/session",
            json!({"name": "bob", "password": password}),
        )
        .0
    };
    assert_eq!(login("correct horse battery"), 200);
    std::fs::write(&password, "another horse battery\n").unwrap();
    site.command(&["users", "password", "bob", "--password-file", file]);
    assert_eq!(
        (
            login("correct horse battery"),
            login("another horse battery")
        ),
        (401, 200)
    );
    assert_eq!(site.command(&["users", "delete", "bob"])["total"], 1);

    let made = site.command(&[
        "tokens",
        "add",
        "short",
        "--role",
        "read-only",
        "--expires",
        "12h",
    ]);
    let token = made["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "short")
        .unwrap();
    assert_eq!(
        token["expires"].as_u64().unwrap() - token["created"].as_u64().unwrap(),
        12 * 3_600_000
    );
    let secret = made["token"].as_str().unwrap();
    assert_eq!(site.ask(secret, "GET", "/connectors", Value::Null).0, 200);
    site.command(&["tokens", "delete", "short"]);
    assert_eq!(site.ask(secret, "GET", "/connectors", Value::Null).0, 401);

    let refused = command(&site.folder, &["--json"])
        .args(["users", "delete", "alice"])
        .output()
        .unwrap();
    let error: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(
        (refused.status.code(), &error["error"]["code"]),
        (Some(2), &json!("conflict")),
        "{error}"
    );
}
