//! The plugin directory, through the host's front door: what each file becomes, whose files are taken, what is taken up
//! later, and what an operator has to accept.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::egress::{QuotaBook, Upstream, UpstreamError, body_of};
use connector_runtime::journal::Journal;
use connector_runtime::plugins::{AcceptedGrants, Changes, Directory, Plugin, Refusals, Trust};
use connector_runtime::runs::{
    self, Connector, Identity, RunError, RunOptions, RunOutcome, StartError,
};
use connector_runtime::sandbox::{Compiler, Engine};
use connector_runtime::settings::Settings;
use connector_runtime::{Clock, Limits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use tests::components::{self, SigningKey};
use tests::hostile::compile_bomb;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn acme() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(tests::acme_component()).unwrap())
}

/// The example connector, asking for another path.
fn greedy() -> Vec<u8> {
    components::patched(acme(), r#""path": "/assets""#, r#""path": "/secret""#)
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A data directory of a host process, with a definition of the example connector whose vendor nobody plays.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        let place = Self { folder };
        place.write(
            "acme.toml",
            "name = \"a\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\nurl = \"http://127.0.0.1:1\"\ntoken_name = \"demo\"\ntoken = \"s3cret-token\"\n",
        );
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    fn plugin(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join("plugins").join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(HOST)
            .current_dir(self.path())
            .args(["--data-dir", ".", "--insecure-loopback", "--log", "error"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command that answers in JSON; its exit code and its document.
    fn ask(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[arguments, &["--json"]].concat());
        let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), document)
    }

    /// A run that does not wait for a vendor who is away; its exit code.
    fn collect(&self) -> Option<i32> {
        let run = self.run(&["collect", "acme.toml", "--max-wait", "0s"]);
        run.status.code()
    }

    /// The entry of one file in `plugins list`.
    fn listed(&self, name: &str) -> Value {
        let (_, document) = self.ask(&["plugins", "list"]);
        let entries = document["plugins"].as_array().unwrap();
        let named = |entry: &&Value| entry["path"].as_str().unwrap().ends_with(name);
        entries.iter().find(named).unwrap().clone()
    }

    /// What was noted of files that were refused, with the places of the notes.
    fn refusals(&self) -> Vec<(PathBuf, String)> {
        let Ok(notes) = std::fs::read_dir(self.path().join("compiled/refusals")) else {
            return Vec::new();
        };
        notes
            .map(|note| note.unwrap().path())
            .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
            .collect()
    }

    fn refused(&self, name: &str) -> String {
        let entry = self.listed(name);
        entry["refused"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn every_file_is_listed_with_its_verdict_and_the_good_ones_work() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let plugins = site.path().join("plugins");
    let put = |name: &str, bytes: &[u8]| std::fs::write(plugins.join(name), bytes).unwrap();
    let foreign = components::with_foreign_import().unwrap();
    put("acme.wasm", acme());
    put("foreign.wasm", &foreign);
    put("half.wasm", &acme()[..acme().len() / 2]);
    put("junk.wasm", b"not a component");
    put("module.wasm", b"\0asm\x01\0\0\0");
    put("newer.wasm", &components::of_version("0.2.0").unwrap());
    put("notes.txt", b"no plugin");
    put("silent.wasm", &components::trapping().unwrap());
    let large = std::fs::File::create(plugins.join("large.wasm")).unwrap();
    large.set_len((32 << 20) + 1).unwrap();

    let output = site.run(&["plugins", "list", "--json"]).unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let place = document["directory"].as_str().unwrap();
    let shown: Vec<(String, String)> = document["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let own = format!("{place}/");
            let path = entry["path"].as_str().unwrap().replace(&own, "");
            let verdict = entry["refused"].as_str().unwrap_or("ok").replace(&own, "");
            (path, verdict)
        })
        .collect();
    let starts = [
        ("acme.wasm", "ok"),
        (
            "foreign.wasm",
            "foreign.wasm: imports wasi:sockets/tcp@0.2.12, which this host does not offer (see `plugins inspect`). The file was skipped.",
        ),
        (
            "half.wasm",
            "half.wasm: is not a WebAssembly component that this host can run (",
        ),
        (
            "junk.wasm",
            "junk.wasm: is not a WebAssembly component that this host can run (its header is not that of a component). The file was skipped.",
        ),
        (
            "large.wasm",
            "large.wasm: 33554433 bytes is more than the 33554432 that a plugin may have. The file was skipped.",
        ),
        (
            "module.wasm",
            "module.wasm: is not a WebAssembly component that this host can run (its header is not that of a component). The file was skipped.",
        ),
        (
            "newer.wasm",
            "newer.wasm: has interflow:connector/sink@0.2.0, and this host speaks version 0.1.0 of the contract: build the plugin for that, or use a host of its version. The file was skipped.",
        ),
        ("qualys_connector.wasm", "ok"),
        (
            "silent.wasm",
            "silent.wasm: its `describe` failed: The plugin trapped: wasm trap: wasm `unreachable` instruction executed. The file was skipped.",
        ),
    ];
    assert_eq!(shown.len(), starts.len(), "{shown:#?}");
    for ((path, verdict), (expected, start)) in shown.iter().zip(starts) {
        assert_eq!(path, expected);
        assert!(verdict.starts_with(start), "{verdict}");
    }
    let entry = |number: usize| &document["plugins"][number];
    assert_eq!(entry(0)["sha256"], hex(acme()));
    assert_eq!(
        (&entry(0)["id"], &entry(0)["version"]),
        (&json!("acme-scanner"), &json!("0.1.0"))
    );
    assert_eq!(entry(0)["grant"]["requests"][0]["path"], "/assets");
    assert_eq!(entry(0)["size"], acme().len());
    assert_eq!(entry(1)["sha256"], hex(&foreign));
    assert!(
        entry(1)["imports"]
            .as_array()
            .unwrap()
            .contains(&json!("wasi:sockets/tcp@0.2.12"))
    );
    assert_eq!(entry(4)["sha256"], Value::Null);

    let output = site.run(&["plugins", "list"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + starts.len() + 2, "{text}");
    assert_eq!(
        lines[2],
        "  asks for GET /assets; a credential from /token_name and /token; settings that stay secret from it: /token; no limit of its own on calls: 1000 per hour"
    );

    assert_eq!(site.collect().unwrap(), 60);
}

#[test]
fn a_file_that_never_answers_is_skipped_in_bounded_time() {
    let place = Place::new();
    place.write("host.toml", "[limits]\ncall_cpu_seconds = 1\n");
    place.plugin("endless.wasm", components::endless().unwrap());
    place.plugin("acme.wasm", acme());
    let reason = place.refused("endless.wasm");
    assert!(
        reason.contains(
            "its `describe` failed: The plugin was stopped: one call may use 1000 ms of CPU"
        ),
        "{reason}"
    );
    assert_eq!(place.listed("acme.wasm")["refused"], Value::Null);
}

/// Says the notes' sentences in other words, which no look at a file could come to.
fn reword(notes: &[(PathBuf, String)], old: &str, new: &str) {
    for (path, text) in notes {
        assert!(text.contains(old), "{text}");
        std::fs::write(path, text.replace(old, new)).unwrap();
    }
}

#[test]
fn what_a_file_was_refused_for_is_said_again_without_another_look() {
    let place = Place::new();
    let limits = "[limits]\ncall_cpu_seconds = 1\n";
    place.write("host.toml", limits);
    place.plugin("endless.wasm", components::endless().unwrap());
    let found = place.refused("endless.wasm");
    assert!(found.contains("its `describe` failed"), "{found}");
    let notes = place.refusals();
    assert_eq!(notes.len(), 1);
    assert_eq!(place.refused("endless.wasm"), found);

    // Only the note says this: whoever ran `describe` would find the other sentence.
    reword(&notes, "its `describe` failed", "its `describe` is noted");
    let noted = found.replace("its `describe` failed", "its `describe` is noted");
    assert_eq!(place.refused("endless.wasm"), noted);
    assert_ne!(place.listed("endless.wasm")["imports"], json!([]));
    assert_eq!(place.collect(), Some(2), "no plugin of this type");
    place.plugin("renamed.wasm", components::endless().unwrap());
    assert_eq!(
        place.refused("renamed.wasm"),
        noted.replace("endless.wasm", "renamed.wasm")
    );

    // Other limits ask another question, and so does an operator.
    place.write("host.toml", format!("{limits}batch_items = 500\n"));
    std::fs::remove_file(place.path().join("plugins/renamed.wasm")).unwrap();
    assert_eq!(place.refused("endless.wasm"), found);
    assert_eq!(place.refusals().len(), 2);
    place.write("host.toml", limits);
    assert_eq!(place.refused("endless.wasm"), noted);
    let (exit, document) = place.ask(&["plugins", "list", "--recheck"]);
    assert_eq!(exit, Some(0));
    assert_eq!(document["plugins"][0]["refused"], json!(found));
    assert_eq!(place.refused("endless.wasm"), found);
    assert_eq!(place.refusals().len(), 2);
}

#[tokio::test]
async fn what_the_engine_refused_starts_no_child_again() {
    let place = Place::new();
    let path = place.plugin("half.wasm", &acme()[..acme().len() / 2]);
    let found = place.refused("half.wasm");
    assert!(found.contains("is not a WebAssembly component"), "{found}");
    let compiled = place.path().join("compiled");
    let engine = Engine::new(Some(&compiled), Limits::default(), Clock::system())
        .unwrap()
        .with_compiler(nobody());
    let look = async |refusals: Refusals| {
        let (trust, accepted) = (Trust::default(), AcceptedGrants::default());
        let plugins = path.parent().unwrap();
        let looked = Directory::open_with_refusals(&engine, plugins, trust, &accepted, refusals);
        let directory = looked.await.unwrap();
        directory.listings()[0].refused.clone().unwrap()
    };
    let refusals = Refusals::kept_in(compiled.join("refusals"));
    assert_eq!(look(refusals.clone()).await, found);
    let tried = look(refusals.clone().rechecked()).await;
    assert!(tried.contains("could not be started"), "{tried}");
    // That was the host's fault, so it is no note.
    assert_eq!(place.refusals(), []);
}

#[test]
fn a_component_that_takes_too_much_to_compile_costs_a_child_and_is_remembered() {
    let place = Place::new();
    place.plugin("acme.wasm", acme());
    // As large as a plugin may be. It takes some twenty-five times the second of CPU time that it gets below: no machine is
    // so much faster.
    let bomb = compile_bomb(10, 100, 75_000).unwrap();
    place.plugin("bomb.wasm", &bomb);
    place.write("host.toml", "[limits]\ncompile_memory_mib = 64\n");
    let memory = place.refused("bomb.wasm");
    assert!(
        memory.contains("more than 64 MiB of memory (`compile_memory_mib` in [limits])"),
        "{memory}"
    );
    place.write(
        "host.toml",
        "[limits]\ncompile_seconds = 1\ncompile_memory_mib = 16384\n",
    );
    let time = place.refused("bomb.wasm");
    assert!(
        time.contains("more than 1 s of CPU time (`compile_seconds` in [limits])"),
        "{time}"
    );
    assert_eq!(place.listed("bomb.wasm")["sha256"], hex(&bomb));
    // Both are noted, so nobody tries again under the same limits.
    let notes = place.refusals();
    let of_bomb = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&hex(&bomb))
    };
    assert_eq!(notes.len(), 2);
    assert!(notes.iter().all(|(path, _)| of_bomb(path)));
    let of_time: Vec<_> = notes
        .into_iter()
        .filter(|(_, text)| text.contains("CPU time"))
        .collect();
    reword(&of_time, "CPU time", "noted time");
    assert_eq!(
        place.refused("bomb.wasm"),
        time.replace("CPU time", "noted time")
    );
    assert_eq!(place.listed("acme.wasm")["refused"], Value::Null);
}

/// A compiler that cannot be started.
fn nobody() -> Compiler {
    Compiler {
        program: "/nonexistent/compiler".into(),
        arguments: Vec::new(),
    }
}

#[tokio::test]
async fn what_was_compiled_once_starts_no_child_and_is_found_in_the_cache() {
    let place = Place::new();
    let path = place.plugin("acme.wasm", acme());
    assert_eq!(place.listed("acme.wasm")["refused"], Value::Null);
    let code = || {
        let mut files = Vec::new();
        let mut folders = vec![place.path().join("compiled/code")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none() {
                    files.push(path);
                }
            }
        }
        files
    };
    let compiled = code();
    assert_eq!(compiled.len(), 1, "{compiled:?}");
    let engine = |folder: &Path| {
        Engine::new(Some(folder), Limits::default(), Clock::system())
            .unwrap()
            .with_compiler(nobody())
    };
    let plugin = Plugin::load(&engine(&place.path().join("compiled")), &path)
        .await
        .unwrap();
    assert_eq!(plugin.sha256, hex(acme()));
    // The child's code was what the host has loaded: it has compiled nothing itself.
    assert_eq!(code(), compiled);
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = Plugin::load(&engine(&elsewhere.path().join("compiled")), &path)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("could not be started"),
        "{refused}"
    );
}

#[test]
fn a_pinned_plugin_takes_exactly_that_file_and_a_second_one_is_named() {
    let place = Place::new();
    let other = components::renewed(acme(), 1);
    place.plugin("a.wasm", acme());
    place.plugin("b.wasm", &other);
    let refused = place.refused("b.wasm");
    assert!(
        refused.contains("has the id `acme-scanner` of ")
            && refused.contains("/plugins/a.wasm, which stays in use"),
        "{refused}"
    );
    place.write(
        "host.toml",
        format!("[plugins.acme-scanner]\nsha256 = \"{}\"\n", hex(&other)),
    );
    assert_eq!(place.listed("b.wasm")["refused"], Value::Null);
    let refused = place.refused("a.wasm");
    assert!(
        refused.contains(&format!("its SHA-256 is {}", hex(acme())))
            && refused.contains("change sha256 in [plugins.acme-scanner]"),
        "{refused}"
    );
    assert_eq!(place.listed("a.wasm")["id"], "acme-scanner");
}

#[test]
fn of_two_files_the_one_stays_that_has_run() {
    let place = Place::new();
    place.plugin("b.wasm", acme());
    assert_eq!(place.collect(), Some(1));
    place.plugin("a.wasm", components::renewed(acme(), 1));
    assert_eq!(place.listed("b.wasm")["refused"], Value::Null);
    assert!(
        place
            .refused("a.wasm")
            .contains("/plugins/b.wasm, which stays in use")
    );
}

#[test]
fn where_a_key_is_configured_only_its_signature_opens_the_door() {
    let place = Place::new();
    let (right, wrong) = (SigningKey::new(7).unwrap(), SigningKey::new(8).unwrap());
    place.plugin("acme.wasm", acme());
    place.write(
        "host.toml",
        format!("plugin_public_key = \"{}\"\n", right.public()),
    );
    let unsigned = place.refused("acme.wasm");
    assert!(
        unsigned.contains("it is not signed") && unsigned.contains("acme.wasm.minisig"),
        "{unsigned}"
    );
    assert_eq!(place.listed("acme.wasm")["sha256"], hex(acme()));
    // Refused before anything was compiled.
    assert_eq!(place.listed("acme.wasm")["id"], Value::Null);
    assert_eq!(
        std::fs::read_dir(place.path().join("compiled/notes"))
            .unwrap()
            .count(),
        0
    );

    place.plugin("acme.wasm.minisig", wrong.sign(acme()));
    assert!(place.refused("acme.wasm").contains("made with another key"));
    place.plugin("acme.wasm.minisig", right.sign(b"other bytes"));
    assert!(
        place
            .refused("acme.wasm")
            .contains("not one of these bytes")
    );
    place.plugin("acme.wasm.minisig", right.sign(acme()));
    assert_eq!(place.listed("acme.wasm")["refused"], Value::Null);

    // A plugin's own key, once its id is known.
    place.write(
        "host.toml",
        format!(
            "[plugins.acme-scanner]\npublic_key = \"{}\"\n",
            wrong.public()
        ),
    );
    assert!(place.refused("acme.wasm").contains("made with another key"));
    place.plugin("acme.wasm.minisig", wrong.sign(acme()));
    assert_eq!(place.listed("acme.wasm")["refused"], Value::Null);
}

#[test]
fn a_replaced_plugin_that_asks_for_more_runs_nothing_until_that_is_accepted() {
    let place = Place::new();
    place.plugin("acme.wasm", acme());
    // The vendor is away: the run fails, and has begun.
    assert_eq!(place.collect(), Some(1));
    place.plugin("acme.wasm", components::renewed(acme(), 1));
    assert_eq!(place.collect(), Some(1), "the same grant");

    place.plugin("acme.wasm", greedy());
    let digest = hex(&greedy());
    let accept = format!(
        "connector-host plugins accept acme-scanner --sha256 {}",
        &digest[..12]
    );
    for command in ["test", "collect"] {
        let (exit, document) = place.ask(&[command, "acme.toml"]);
        assert_eq!(
            (exit, &document["error"]["code"]),
            (Some(2), &json!("suspended")),
            "{document}"
        );
        let message = document["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("requests assets: GET /secret") && message.contains(&accept),
            "{message}"
        );
    }
    let entry = place.listed("acme.wasm");
    assert_eq!(entry["refused"], Value::Null);
    let suspended = entry["suspended"].as_str().unwrap();
    assert!(
        suspended.starts_with("asks for more than was accepted: requests assets: GET /secret."),
        "{suspended}"
    );
    let text = String::from_utf8(place.run(&["plugins", "list"]).stdout).unwrap();
    assert!(
        text.contains("suspended: asks for more than was accepted") && text.contains(&accept),
        "{text}"
    );

    let (exit, accepted) = place.ask(&["plugins", "accept", "acme-scanner"]);
    assert_eq!(exit, Some(0), "{accepted}");
    assert_eq!(accepted["new"], json!(["requests assets: GET /secret"]));
    assert_eq!(place.listed("acme.wasm")["suspended"], Value::Null);
    assert_eq!(place.collect(), Some(1));
    // What was accepted before is not, any more.
    place.plugin("acme.wasm", acme());
    assert_eq!(place.ask(&["test", "acme.toml"]).0, Some(2));
}

#[test]
fn a_file_that_took_the_place_of_the_one_that_was_read_is_not_accepted() {
    let place = Place::new();
    place.plugin("acme.wasm", acme());
    assert_eq!(place.collect(), Some(1));
    place.plugin("acme.wasm", greedy());
    let suspended = place.listed("acme.wasm")["suspended"].clone();
    let (_, command) = suspended.as_str().unwrap().split_once('`').unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let command: Vec<&str> = command.split(' ').skip(1).collect();

    // Between the look and the word, somebody puts another file there.
    let other = components::patched(acme(), r#""path": "/assets""#, r#""path": "/admins""#);
    place.plugin("acme.wasm", &other);
    let (exit, document) = place.ask(&command);
    assert_eq!(
        (exit, &document["error"]["code"]),
        (Some(2), &json!("usage")),
        "{document}"
    );
    let message = document["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&hex(&other)) && message.contains("Nothing was accepted"),
        "{message}"
    );
    assert_ne!(place.listed("acme.wasm")["suspended"], Value::Null);

    place.plugin("acme.wasm", greedy());
    let (exit, accepted) = place.ask(&command);
    assert_eq!(exit, Some(0), "{accepted}");
    assert_eq!(accepted["sha256"], hex(&greedy()));
    assert_eq!(place.listed("acme.wasm")["suspended"], Value::Null);
    let whole = hex(&greedy());
    let again = ["plugins", "accept", "acme-scanner", "--sha256", &whole];
    assert_eq!(place.ask(&again).0, Some(0));
}

#[test]
fn only_the_owner_of_the_data_directory_accepts_and_only_what_is_there() {
    let place = Place::new();
    place.plugin("acme.wasm", acme());
    let (exit, document) = place.ask(&["plugins", "accept", "other-scanner"]);
    assert_eq!(
        (exit, &document["error"]["code"]),
        (Some(2), &json!("usage"))
    );
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("it has acme-scanner"), "{message}");
    let owner = std::fs::File::open(place.path().join("lock")).unwrap();
    owner.lock().unwrap();
    let (exit, document) = place.ask(&["plugins", "accept", "acme-scanner"]);
    assert_eq!(
        (exit, &document["error"]["code"]),
        (Some(2), &json!("journal"))
    );
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .contains("is in use by process")
    );
    drop(owner);
    assert_eq!(place.ask(&["plugins", "accept", "acme-scanner"]).0, Some(0));
}

// From here on: the runtime's own interface, as a host that goes on running uses it.

fn engine() -> Engine {
    let clock = Clock::simulated(connector_runtime::testing::DEFAULT_NOW_MS);
    Engine::new(Some(&tests::compiled()), Limits::default(), clock).unwrap()
}

async fn open(engine: &Engine, folder: &Path) -> Directory {
    Directory::open(engine, folder, Trust::default(), &AcceptedGrants::default())
        .await
        .unwrap()
}

fn connector(
    plugin: &Arc<Plugin>,
    journal: &Journal,
    upstream: impl Upstream + 'static,
) -> Connector {
    let row = journal.connector("acme", "a", &plugin.manifest.id).unwrap();
    let identity = Identity {
        tenant_id: row.tenant_id,
        tenant: row.tenant_name,
        connector_id: row.id,
        name: row.name,
        kind: row.kind,
    };
    let settings =
        json!({"url": "https://acme.example.test", "token_name": "a", "token": "s3cret-token"});
    let settings = Settings::check(&plugin.manifest, &settings, false).unwrap();
    Connector::new(
        identity,
        Arc::clone(plugin),
        settings,
        Arc::new(upstream),
        &QuotaBook::default(),
        Limits::default(),
        Clock::simulated(connector_runtime::testing::DEFAULT_NOW_MS),
    )
}

fn answer() -> http::Response<connector_runtime::egress::UpstreamBody> {
    let assets = r#"[{"id": "a1", "seen_ms": 1772440877000}]"#;
    http::Response::new(body_of(http_body_util::Full::new(bytes::Bytes::from(
        assets,
    ))))
}

async fn collect(connector: &Connector, journal: &Journal) -> Result<runs::Ledger, RunError> {
    runs::collect(
        connector,
        journal,
        &RunOptions::default(),
        Arc::new(runs::Silent),
    )
    .await
}

#[tokio::test]
async fn a_run_goes_on_with_its_plugin_while_the_directory_takes_up_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.wasm");
    std::fs::write(&path, acme()).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;
    let old = Arc::clone(directory.find("acme-scanner").unwrap());

    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), connector_runtime::journal::migrations()).unwrap();
    let asked = Arc::new(tokio::sync::Notify::new());
    let go_on = Arc::new(tokio::sync::Notify::new());
    let (in_upstream, may_answer) = (Arc::clone(&asked), Arc::clone(&go_on));
    let running = connector(&old, &journal, move |_: http::Request<bytes::Bytes>| {
        let (asked, go_on) = (Arc::clone(&in_upstream), Arc::clone(&may_answer));
        async move {
            asked.notify_one();
            go_on.notified().await;
            Ok::<_, UpstreamError>(answer())
        }
    });
    let run = {
        let journal = journal.clone();
        tokio::spawn(async move { collect(&running, &journal).await })
    };
    asked.notified().await;

    let renewed = components::renewed(acme(), 1);
    std::fs::write(&path, &renewed).unwrap();
    let changes = directory
        .reload(&engine, &AcceptedGrants::default())
        .await
        .unwrap();
    assert_eq!(
        changes,
        Changes {
            replaced: vec!["acme-scanner".into()],
            ..Changes::default()
        }
    );
    assert_eq!(
        directory.find("acme-scanner").unwrap().sha256,
        hex(&renewed)
    );
    assert_eq!(directory.listings()[0].sha256, Some(hex(&renewed)));
    go_on.notify_one();
    let ledger = run.await.unwrap().unwrap();
    assert_eq!(
        (ledger.outcome, ledger.records),
        (RunOutcome::Done, 1),
        "{}",
        ledger.reason
    );
    assert_eq!(old.sha256, hex(acme()));

    let next = connector(
        directory.find("acme-scanner").unwrap(),
        &journal,
        |_: http::Request<bytes::Bytes>| std::future::ready(Ok::<_, UpstreamError>(answer())),
    );
    assert_eq!(
        collect(&next, &journal).await.unwrap().outcome,
        RunOutcome::Done
    );
}

#[tokio::test]
async fn what_comes_changes_and_goes_is_told_and_nothing_is_compiled_twice() {
    let folder = tempfile::tempdir().unwrap();
    let none = AcceptedGrants::default();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;
    assert!(directory.plugins().is_empty());

    put("acme.wasm", acme());
    put("bad.wasm", &components::trapping().unwrap());
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.added, ["acme-scanner"]);
    assert_eq!(changes.refused, [folder.path().join("bad.wasm")]);
    let plugin = Arc::clone(directory.find("acme-scanner").unwrap());
    assert_eq!(
        directory.reload(&engine, &none).await.unwrap(),
        Changes::default()
    );
    assert!(Arc::ptr_eq(
        &plugin,
        directory.find("acme-scanner").unwrap()
    ));

    // An engine that cannot compile shows that nothing known is compiled: not even under another name.
    let elsewhere = tempfile::tempdir().unwrap();
    let unable = Engine::new(
        Some(&elsewhere.path().join("compiled")),
        Limits::default(),
        Clock::system(),
    )
    .unwrap()
    .with_compiler(nobody());
    std::fs::rename(
        folder.path().join("acme.wasm"),
        folder.path().join("scanner.wasm"),
    )
    .unwrap();
    assert_eq!(
        directory.reload(&unable, &none).await.unwrap(),
        Changes::default()
    );
    let moved = directory.find("acme-scanner").unwrap();
    assert!(moved.path.ends_with("scanner.wasm"));
    let refused = directory.listings()[0].refused.as_deref().unwrap();
    assert!(refused.contains("its `describe` failed"), "{refused}");

    std::fs::remove_file(folder.path().join("scanner.wasm")).unwrap();
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.removed, ["acme-scanner"]);
    assert!(directory.find("acme-scanner").is_none());
}

#[tokio::test]
async fn a_file_that_is_being_written_leaves_what_its_path_held_before() {
    let folder = tempfile::tempdir().unwrap();
    let none = AcceptedGrants::default();
    let path = folder.path().join("acme.wasm");
    let renewed = components::renewed(acme(), 1);
    std::fs::write(&path, acme()).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;

    std::fs::write(&path, &renewed[..renewed.len() / 2]).unwrap();
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.refused.as_slice(), std::slice::from_ref(&path));
    assert!(changes.removed.is_empty() && changes.replaced.is_empty());
    let listing = &directory.listings()[0];
    assert!(listing.refused.is_some());
    assert_eq!(listing.kept, Some(hex(acme())));
    assert_eq!(directory.find("acme-scanner").unwrap().sha256, hex(acme()));

    std::fs::write(&path, &renewed).unwrap();
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.replaced, ["acme-scanner"]);
    let listing = &directory.listings()[0];
    assert_eq!((&listing.refused, &listing.kept), (&None, &None));
    assert_eq!(listing.sha256, Some(hex(&renewed)));
}

#[tokio::test]
async fn a_second_file_with_the_id_of_a_running_one_changes_nothing_until_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let none = AcceptedGrants::default();
    let second = components::renewed(acme(), 1);
    std::fs::write(folder.path().join("b.wasm"), acme()).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;
    std::fs::write(folder.path().join("a.wasm"), &second).unwrap();
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.refused, [folder.path().join("a.wasm")]);
    assert!(changes.replaced.is_empty());
    let refused = directory.listings()[0].refused.as_deref().unwrap();
    assert!(
        refused.contains("has the id `acme-scanner` of"),
        "{refused}"
    );
    std::fs::remove_file(folder.path().join("b.wasm")).unwrap();
    let changes = directory.reload(&engine, &none).await.unwrap();
    assert_eq!(changes.replaced, ["acme-scanner"]);
    assert_eq!(directory.find("acme-scanner").unwrap().sha256, hex(&second));
}

#[tokio::test]
async fn the_run_itself_refuses_a_plugin_that_asks_for_more_and_reload_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.wasm");
    std::fs::write(&path, acme()).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), connector_runtime::journal::migrations()).unwrap();
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let connector = |directory: &Directory| {
        let calls = Arc::clone(&calls);
        connector(
            directory.find("acme-scanner").unwrap(),
            &journal,
            move |_: http::Request<bytes::Bytes>| {
                calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                std::future::ready(Ok::<_, UpstreamError>(answer()))
            },
        )
    };
    collect(&connector(&directory), &journal).await.unwrap();
    std::fs::write(&path, greedy()).unwrap();
    let accepted = AcceptedGrants::read(&journal).unwrap();
    assert_eq!(
        accepted.last_run("acme-scanner"),
        Some(hex(acme()).as_str())
    );
    let changes = directory.reload(&engine, &accepted).await.unwrap();
    assert_eq!(changes.suspended, ["acme-scanner"]);
    let suspension = directory.suspension("acme-scanner").unwrap().clone();
    let refused = collect(&connector(&directory), &journal).await.unwrap_err();
    assert!(
        matches!(&refused, RunError::Start(StartError::Suspended(other)) if *other == suspension),
        "{refused}"
    );
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
    let plugin = Arc::clone(directory.find("acme-scanner").unwrap());
    connector_runtime::plugins::grant::accept(&journal, &plugin, 1)
        .await
        .unwrap();
    let accepted = AcceptedGrants::read(&journal).unwrap();
    directory.reload(&engine, &accepted).await.unwrap();
    assert!(directory.suspension("acme-scanner").is_none());
    collect(&connector(&directory), &journal).await.unwrap();
}

/// A plugin that says this and can do nothing else.
fn saying(manifest: &serde_json::Value) -> Vec<u8> {
    let text = manifest.to_string();
    let escape =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("\\{byte:02x}")).collect() };
    let length = u32::try_from(text.len()).unwrap();
    let start = [16_u32.to_le_bytes(), length.to_le_bytes()].concat();
    let module = format!(
        r#"(module
        (func (export "interflow:connector/connector@0.1.0#describe") (result i32) i32.const 8)
        (data (i32.const 8) "{}") (data (i32.const 16) "{}"))"#,
        escape(&start),
        escape(text.as_bytes())
    );
    tests::hostile::forge(&module).unwrap()
}

#[tokio::test]
async fn a_file_that_splits_or_drops_the_buckets_of_the_one_before_is_suspended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    let mut manifest: serde_json::Value =
        serde_json::from_str(include_str!("../../fixtures/hostile/manifest.json")).unwrap();
    let bucket = |id: &str, path: &str, calls: u32| json!({"id": id, "path": path, "calls": calls, "window_seconds": 3600, "concurrency": 2});
    manifest["quota"] = json!({"buckets": [bucket("any", "/*", 100)]});
    std::fs::write(&path, saying(&manifest)).unwrap();
    let engine = engine();
    let mut directory = open(&engine, folder.path()).await;
    let data = tempfile::tempdir().unwrap();
    let journal = Journal::open(data.path(), connector_runtime::journal::migrations()).unwrap();
    let plugin = Arc::clone(directory.find("hostile").unwrap());
    connector_runtime::plugins::grant::accept(&journal, &plugin, 1)
        .await
        .unwrap();
    let accepted = AcceptedGrants::read(&journal).unwrap();
    for (buckets, is_suspended) in [
        (json!([bucket("renamed", "/*", 90)]), false),
        (
            json!([bucket("any", "/things", 100), bucket("b", "/hosts", 100)]),
            true,
        ),
        (json!([]), true),
    ] {
        manifest["quota"]["buckets"] = buckets.clone();
        std::fs::write(&path, saying(&manifest)).unwrap();
        directory.reload(&engine, &accepted).await.unwrap();
        let suspension = directory.suspension("hostile");
        assert_eq!(suspension.is_some(), is_suspended, "{buckets}");
        assert!(
            suspension.is_none_or(|it| it.new[0].starts_with("other limits on its calls: ")),
            "{suspension:?}"
        );
    }
}
