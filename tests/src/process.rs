//! The host and the simulator as processes: for what only a process can show, like being killed.

use crate::qualys_component;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Only so that a test whose process hangs fails instead of hanging, too.
const PATIENCE: Duration = Duration::from_secs(180);

/// A simulator on a port of its own; ends with its owner.
pub struct SimProcess {
    child: Child,
    /// Like `http://127.0.0.1:40123`.
    pub address: String,
    requests: Receiver<Value>,
}

impl SimProcess {
    /// Starts `program` (the simulator) with these options.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: impl AsRef<OsStr>, options: &[&str]) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let gone = || std::io::Error::other("the simulator did not start");
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or_else(gone)?).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .ok_or_else(gone)?
            .to_owned();
        let log = BufReader::new(child.stderr.take().ok_or_else(gone)?);
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Ok(request) = serde_json::from_str(&line)
                    && sender.send(request).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            address,
            requests,
        })
    }

    /// One of twenty hosts with three detections each, and these further options: [`Site::collect`] finds 60 records there.
    ///
    /// # Errors
    /// If it does not start.
    pub fn small(program: impl AsRef<OsStr>, options: &[&str]) -> std::io::Result<Self> {
        let size = ["--hosts", "20", "--detections", "3"];
        Self::start(program, &[&size, options].concat())
    }

    /// Waits for the simulator to log one more request.
    ///
    /// # Errors
    /// If it has ended, or nobody asks it anything any more.
    pub fn next_request(&self) -> std::io::Result<Value> {
        self.requests
            .recv_timeout(PATIENCE)
            .map_err(std::io::Error::other)
    }

    /// Waits for the simulator to log one more request, or for `run` to end by itself. False if it ended.
    ///
    /// # Errors
    /// If the state of `run` cannot be asked for.
    pub fn next_request_of(&self, run: &mut Child) -> std::io::Result<bool> {
        loop {
            if self.requests.try_recv().is_ok() {
                return Ok(true);
            }
            if run.try_wait()?.is_some() {
                return Ok(false);
            }
            std::thread::yield_now();
        }
    }

    /// Requests logged since the last look.
    pub fn logged(&self) -> Vec<Value> {
        self.requests.try_iter().collect()
    }

    /// Posts to one of the simulator's own routes and returns the answer's body.
    ///
    /// # Errors
    /// If it does not answer 200.
    pub fn control(&self, path: &str) -> std::io::Result<String> {
        self.ask("POST", path, "")
    }

    /// Turns all switches off but these, written as for `--switch`.
    ///
    /// # Errors
    /// If it does not answer 200.
    pub fn switch(&self, switches: &[&str]) -> std::io::Result<String> {
        let body = serde_json::json!({"clear": ["all"], "set": switches});
        self.ask("POST", "/_sim/faults", &body.to_string())
    }

    /// Reads one of the simulator's own routes.
    ///
    /// # Errors
    /// If it does not answer 200.
    pub fn get(&self, path: &str) -> std::io::Result<String> {
        self.ask("GET", path, "")
    }

    /// HTTP/1.0, so that the answer ends with the connection and is not chunked.
    fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let authority = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority)?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: {authority}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(std::io::Error::other(answer)),
        }
    }
}

impl Drop for SimProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host that serves on a port of its own; ends with its owner.
pub struct ServeProcess {
    child: Child,
    /// Like `http://127.0.0.1:40123`.
    pub url: String,
    log: Arc<Mutex<String>>,
    lines: Receiver<String>,
    is_over: Receiver<()>,
}

impl ServeProcess {
    /// Lets a command of the host serve, on a port of its own and with a log of what it does.
    ///
    /// # Errors
    /// If it does not begin, with what it said.
    pub fn start(command: Command) -> std::io::Result<Self> {
        Self::start_with(command, &["serve"])
    }

    /// The same with further options: `serve` and what follows it.
    ///
    /// # Errors
    /// As [`ServeProcess::start`].
    pub fn start_with(mut command: Command, serve: &[&str]) -> std::io::Result<Self> {
        let mut child = command
            .args(["--log", "info"])
            .args(serve)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let gone = || std::io::Error::other("no pipe");
        let stderr = BufReader::new(child.stderr.take().ok_or_else(gone)?);
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let (sender, lines) = channel();
        let log = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&log);
        let listening = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push_str(&line);
                heard.push('\n');
                // What nobody waits for is still in the log.
                let _ = sender.send(line);
            }
        });
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            child.wait()?;
            // Whatever it said is complete when its last line has been read.
            let _ = listening.join();
            let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(std::io::Error::other(format!("{line}{said}")));
        };
        let (over, is_over) = channel();
        std::thread::spawn(move || {
            // Standard output ends with the process; what is written there meanwhile is nothing.
            let _ = stdout.read_to_end(&mut Vec::new());
            let _ = listening.join();
            let _ = over.send(());
        });
        Ok(Self {
            child,
            url: url.to_owned(),
            log,
            lines,
            is_over,
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line of the log that has `text` in it, after the one that was waited for before, and returns it.
    ///
    /// # Errors
    /// If it ends, or logs nothing of the kind; with what it has logged.
    pub fn logs(&self, text: &str) -> std::io::Result<String> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => {}
                Err(_) => {
                    let log = self.log();
                    return Err(std::io::Error::other(format!("no `{text}` in\n{log}")));
                }
            }
        }
    }

    /// Sends it a signal, `TERM` or `HUP`.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, name: &str) -> std::io::Result<()> {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(std::io::Error::other("there is no such process")),
        }
    }

    /// Tells it to end, and returns its exit code and all that it has logged.
    ///
    /// # Errors
    /// If it does not end.
    pub fn end(mut self) -> std::io::Result<(Option<i32>, String)> {
        self.signal("TERM")?;
        self.is_over
            .recv_timeout(PATIENCE)
            .map_err(|_| std::io::Error::other(format!("it goes on\n{}", self.log())))?;
        let code = self.child.wait()?.code();
        Ok((code, self.log()))
    }

    /// Kills it, as a lost machine would.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(mut self) -> std::io::Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.log())
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the process that serves `data` for something under the API's root, through its socket, and returns status and body.
///
/// # Errors
/// If nobody answers there, or in something that is no HTTP.
#[cfg(unix)]
pub fn ask_socket(
    data: &Path,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    let stream = std::os::unix::net::UnixStream::connect(data.join("serve.sock"))?;
    ask_over(stream, method, path, &[], body)
}

/// Asks over a connection, which serves for this one request.
///
/// # Errors
/// As [`ask_socket`].
pub fn ask_over(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0, so that the answer ends with the connection and is not chunked.
    let mut head = format!(
        "{method} /connect/api/v1{path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n{body}")?;
    stream.flush()?;
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => {
            Ok((status, serde_json::from_str(body).unwrap_or_default()))
        }
        _ => Err(std::io::Error::other(format!("{text:?} {end:?}"))),
    }
}

/// A data directory with the connector installed, and a definition for a simulator.
pub struct Site {
    folder: tempfile::TempDir,
    program: std::ffi::OsString,
}

impl Site {
    /// Prepares a folder. `settings` are further lines of the definition's `[settings]`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn new(program: impl AsRef<OsStr>, address: &str, settings: &str) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        std::fs::copy(qualys_component(), plugins.join("qualys_connector.wasm"))?;
        std::fs::write(
            folder.path().join("qualys.toml"),
            format!(
                "name = \"qualys-test\"\ntype = \"qualys\"\ntenant = \"acme\"\n[settings]\nqualys_url = \"{address}\"\nusername = \"demo\"\npassword = {{ env = \"QUALYS_PASSWORD\" }}\ncontent_type = [\"hosts\", \"vulnerabilities\"]\n{settings}\n"
            ),
        )?;
        Ok(Self {
            folder,
            program: program.as_ref().to_owned(),
        })
    }

    /// Makes the host commit every `items` records, so that a walk has many places to be stopped at.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn commit_every(&self, items: u32) -> std::io::Result<()> {
        let text = format!("[limits]\nbatch_items = {items}\n");
        std::fs::write(self.folder.path().join("host.toml"), text)
    }

    /// Runs a command with `--json`: its exit code and its one document.
    ///
    /// # Errors
    /// If it does not run, was killed, or prints anything else.
    pub fn answer(&self, arguments: &[&str]) -> std::io::Result<(i32, Value)> {
        let output = self.run(&[arguments, &["--json"]].concat())?;
        let code = output.status.code();
        let code = code.ok_or_else(|| std::io::Error::other("the host was killed"))?;
        Ok((code, serde_json::from_slice(&output.stdout)?))
    }

    /// The stored cursor of a content type, if something has been committed.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn cursor(&self, content_type: &str) -> rusqlite::Result<Option<Value>> {
        let path = self.folder.path().join("journal.sqlite");
        if !path.exists() {
            return Ok(None);
        }
        let database = rusqlite::Connection::open(path)?;
        let mut rows = database
            .prepare("SELECT cursor FROM cursors WHERE content_type = ?1 AND cursor IS NOT NULL")?;
        let mut cursors = rows.query_map([content_type], |row| row.get::<_, String>(0))?;
        let cursor = cursors.next().transpose()?;
        Ok(cursor.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Where the walk over a content type was stopped: the host that it goes on from; `None` if it is not under way.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn stopped_at(&self, content_type: &str) -> rusqlite::Result<Option<u64>> {
        let cursor = self.cursor(content_type)?;
        Ok(cursor
            .and_then(|cursor| cursor["walk"]["id_min"].as_u64())
            .filter(|id| *id > 0))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A command of the host in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .args(["--data-dir", ".", "--insecure-loopback"])
            .args(arguments)
            .env("QUALYS_PASSWORD", "demo")
            .stdin(Stdio::null());
        command
    }

    /// Serves the folder.
    ///
    /// # Errors
    /// If it does not begin.
    pub fn serve(&self) -> std::io::Result<ServeProcess> {
        ServeProcess::start(self.command(&[]))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> std::io::Result<Output> {
        self.command(arguments).output()
    }

    /// Collects once, and says how many records the index `scans` has then.
    ///
    /// # Errors
    /// If the run or the export fails, with what it said.
    pub fn collect(&self) -> std::io::Result<usize> {
        let output = self.run(&["collect", "qualys.toml"])?;
        if !output.status.success() {
            return Err(std::io::Error::other(
                String::from_utf8_lossy(&output.stdout).into_owned(),
            ));
        }
        Ok(self.export("scans")?.len())
    }

    /// The exported records of an index.
    ///
    /// # Errors
    /// If the export fails or a line is not JSON.
    pub fn export(&self, index: &str) -> std::io::Result<Vec<Value>> {
        let output = self.run(&["export", "--index", index])?;
        if !output.status.success() {
            return Err(std::io::Error::other(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(std::io::Error::from))
            .collect()
    }
}
