//! A desk at which somebody works: a scanner, a data directory, and every command of the host, with all that it prints.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::process::ServeProcess;
#[cfg(unix)]
use crate::process::ask_socket;
use serde_json::Value;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The scanner's password.
pub const SECRET: &str = "s3cret-token";
/// `reader:s3cret-token`, as HTTP Basic sends it.
pub const SENT: &str = "cmVhZGVyOnMzY3JldC10b2tlbg==";

/// An imaginary scanner that knows one asset and one account.
pub struct Scanner {
    /// Like `http://127.0.0.1:40123`.
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scanner {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = answer(&stream);
                log.lock().unwrap().push(head);
            }
        });
        Self { address, requests }
    }

    /// How many requests came since the last look.
    pub fn asked(&self) -> usize {
        std::mem::take(&mut *self.requests.lock().unwrap()).len()
    }
}

fn answer(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    let (status, body) = match head.contains(SENT) {
        true => ("200 OK", r#"[{"id":"a1","seen_ms":1772440877000}]"#),
        false => ("401 Unauthorized", ""),
    };
    let length = body.len();
    // Whoever asked may have gone.
    let mut out = stream;
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    head
}

/// A data directory with the example plugin; everything that commands and the process that serves print is remembered.
pub struct Desk {
    program: OsString,
    folder: TempDir,
    printed: RefCell<String>,
}

/// What a command has said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub error: String,
}

impl Said {
    /// The document that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The error's code and all that it says.
    pub fn refusal(&self) -> (String, String) {
        let error = &self.json()["error"];
        let text = |key: &str| error[key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    /// The keys of what was refused.
    pub fn keys(&self) -> Vec<String> {
        let document = self.json();
        let problems = document["error"]["problems"].as_array().unwrap();
        let key = |problem: &Value| problem["key"].as_str().unwrap_or_default().to_owned();
        problems.iter().map(key).collect()
    }
}

impl Desk {
    /// One for this program, a host.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("data/plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        std::fs::copy(crate::acme_component(), plugins.join("acme.wasm")).unwrap();
        Self {
            program: program.as_ref().to_owned(),
            folder,
            printed: RefCell::default(),
        }
    }

    /// Where it stands; the data directory is `data` in there.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `scanner.toml`: the connector `scanner-1` of the tenant `acme`.
    pub fn define(&self, address: &str) {
        self.write(
            "scanner.toml",
            &format!(
                "name = \"scanner-1\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\nurl = \"{address}\"\ntoken_name = \"reader\"\ntoken = {{ env = \"SCANNER_TOKEN\" }}\n"
            ),
        );
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// A command of the host.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.path())
            .args(["--data-dir", "data", "--insecure-loopback"])
            .args(arguments)
            .env("SCANNER_TOKEN", SECRET)
            .env_remove("CONNECTOR_HOST_KEY")
            .stdin(Stdio::null());
        command
    }

    /// Serves the data directory.
    pub fn serve(&self) -> ServeProcess {
        ServeProcess::start(self.command(&[])).unwrap()
    }

    /// Ends what serves, which must go well; its log is remembered.
    pub fn end(&self, serving: ServeProcess) {
        let (code, log) = serving.end().unwrap();
        assert_eq!(code, Some(0), "{log}");
        self.printed.borrow_mut().push_str(&log);
    }

    /// Asks whoever serves, as root, and remembers the answer.
    #[cfg(unix)]
    pub fn ask(&self, method: &str, path: &str) -> Value {
        let data = self.path().join("data");
        let (status, body) = ask_socket(&data, method, path, None).unwrap();
        assert!(status < 300, "{method} {path}: {status} {body}");
        self.printed.borrow_mut().push_str(&body.to_string());
        body
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            code: output.status.code().unwrap(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        };
        self.printed.borrow_mut().push_str(&said.out);
        self.printed.borrow_mut().push_str(&said.error);
        said
    }

    /// Runs a command that must do its work, and returns its JSON.
    pub fn done(&self, arguments: &[&str]) -> Value {
        let said = self.json(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.error);
        said.json()
    }

    /// Runs a command that prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Said {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        self.run(&arguments)
    }

    /// No secret was printed, and none lies in the data directory.
    pub fn assert_no_secret(&self) {
        let printed = self.printed.borrow();
        for secret in [SECRET, SENT] {
            assert!(!printed.contains(secret), "{printed}");
            let found = memchr::memmem::Finder::new(secret);
            for file in std::fs::read_dir(self.path().join("data")).unwrap() {
                let path = file.unwrap().path();
                let bytes = std::fs::read(&path).unwrap_or_default();
                assert!(found.find(&bytes).is_none(), "{path:?}");
            }
        }
    }
}
