//! Backups: taken while somebody writes, restored whole or not at all.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::journal::Ownership;
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn done(site: &Site, arguments: &[&str]) -> Value {
    let (code, document) = site.answer(arguments).unwrap();
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

fn refusal(site: &Site, arguments: &[&str]) -> String {
    let (code, document) = site.answer(arguments).unwrap();
    assert_eq!(code, 2, "{arguments:?}: {document}");
    document["error"]["message"].as_str().unwrap().to_owned()
}

/// The same command with another data directory.
fn elsewhere(site: &Site, directory: &str, arguments: &[&str]) -> (i32, Vec<u8>) {
    let mut command = std::process::Command::new(HOST);
    let output = command
        .current_dir(site.path())
        .args([
            "--data-dir",
            directory,
            "--plugins",
            "plugins",
            "--insecure-loopback",
        ])
        .args(arguments)
        .env("QUALYS_PASSWORD", "demo")
        .env_remove("CONNECTOR_HOST_KEY")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap(), output.stdout)
}

fn collected(sim: &SimProcess) -> Site {
    let site = Site::new(HOST, &sim.address, "").unwrap();
    done(&site, &["connectors", "add", "qualys.toml"]);
    done(&site, &["connectors", "run", "qualys-test"]);
    site
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_with_its_key_becomes_a_data_directory_that_goes_on() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    fs::write(site.path().join("host.toml"), "[limits]\nmemory_mib = 65\n").unwrap();
    let taken = done(&site, &["backup", "kept", "--with-key"]);
    assert_eq!(taken["manifest"]["records"], 80);
    let kept = site.path().join("kept");
    #[cfg(unix)]
    {
        assert_eq!(mode(&kept), 0o700);
        for file in fs::read_dir(&kept).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }
    let (code, _) = elsewhere(&site, "new", &["restore", "kept"]);
    assert_eq!(code, 0);
    let export = ["export", "--index", "syslog"];
    assert_eq!(
        elsewhere(&site, "new", &export),
        (0, site.run(&export).unwrap().stdout)
    );
    let configuration = fs::read(site.path().join("new/host.toml")).unwrap();
    assert_eq!(configuration, b"[limits]\nmemory_mib = 65\n");
    let (code, ledger) = elsewhere(
        &site,
        "new",
        &["connectors", "run", "qualys-test", "--json"],
    );
    let ledger: Value = serde_json::from_slice(&ledger).unwrap();
    assert_eq!(
        (code, &ledger["records"]),
        (0, &0.into()),
        "it knows what it has"
    );
    // Nothing is left of the making, in either place.
    for folder in [site.path().to_owned(), site.path().join("new")] {
        let names = fs::read_dir(folder).unwrap();
        let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
        let odd: Vec<_> = names.filter(|name| name.starts_with('.')).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}

#[test]
fn a_backup_has_no_key_unless_asked_for_and_says_so() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    done(&site, &["backup", "kept"]);
    assert!(!site.path().join("kept/secret.key").exists());
    let (code, out) = elsewhere(&site, "new", &["restore", "kept"]);
    let said = String::from_utf8(out).unwrap();
    assert!(
        code == 0 && said.contains("There is no secret.key here"),
        "{said}"
    );
    let (code, out) = elsewhere(
        &site,
        "new",
        &["connectors", "run", "qualys-test", "--json"],
    );
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((code, &document["error"]["code"]), (2, &"secret".into()));
    fs::copy(
        site.path().join("secret.key"),
        site.path().join("new/secret.key"),
    )
    .unwrap();
    let (code, _) = elsewhere(&site, "new", &["connectors", "test", "qualys-test"]);
    assert_eq!(code, 0);
}

#[test]
fn a_backup_is_one_committed_state_while_another_process_owns_and_writes_the_directory() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    let _ownership = Ownership::take(site.path()).unwrap();
    let writer = Connection::open(site.path().join("journal.sqlite")).unwrap();
    writer
        .execute_batch(
            "BEGIN IMMEDIATE; INSERT INTO tenants VALUES ('t', 'half done', 1);
             DELETE FROM blocks;",
        )
        .unwrap();
    let taken = done(&site, &["backup", "kept"]);
    assert_eq!(taken["manifest"]["records"], 80);
    let message = refusal(&site, &["restore", "kept", "--replace"]);
    assert!(message.contains("in use by"), "{message}");
    writer.execute_batch("COMMIT").unwrap();
    done(&site, &["backup", "later"]);
    let tenants = |backup: &str| -> i64 {
        let copy = Connection::open(site.path().join(backup).join("journal.sqlite")).unwrap();
        let count = "SELECT count(*) FROM tenants WHERE name = 'half done'";
        copy.query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((tenants("kept"), tenants("later")), (0, 1));
}

#[test]
fn a_backup_that_was_taken_in_the_middle_of_a_run_goes_on_to_the_same_end() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "hosts_per_page = 2").unwrap();
    done(&site, &["connectors", "add", "qualys.toml"]);
    let mut run = site
        .command(&["connectors", "run", "qualys-test"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..4 {
        sim.next_request_of(&mut run).unwrap();
    }
    done(&site, &["backup", "kept", "--with-key"]);
    assert!(run.wait().unwrap().success());
    assert_eq!(elsewhere(&site, "new", &["restore", "kept"]).0, 0);
    let (code, _) = elsewhere(&site, "new", &["connectors", "run", "qualys-test"]);
    assert_eq!(code, 0);
    let (_, out) = elsewhere(&site, "new", &["export", "--index", "syslog"]);
    let mut lines: Vec<Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    lines.sort_by_key(|record| record["stellar_uuid"].to_string());
    lines.dedup_by_key(|record| record["stellar_uuid"].to_string());
    assert_eq!(lines.len(), 80);
}

#[test]
fn nothing_is_overwritten_by_a_backup_and_nothing_replaced_without_being_asked() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    done(&site, &["backup", "kept"]);
    let message = refusal(&site, &["backup", "kept"]);
    assert!(message.contains("is there already"), "{message}");
    done(&site, &["tenants", "add", "later"]);
    let message = refusal(&site, &["restore", "kept"]);
    assert!(
        message.contains("has journal.sqlite") && message.contains("--replace"),
        "{message}"
    );
    assert_eq!(done(&site, &["tenants", "list"])["total"], 2);

    let restored = done(&site, &["restore", "kept", "--replace"]);
    assert_eq!(done(&site, &["tenants", "list"])["total"], 1);
    assert_eq!(restored["has_key"], true, "the one that was there stays");
    let aside = Path::new(restored["aside"].as_str().unwrap()).to_owned();
    let old = Connection::open(aside.join("journal.sqlite")).unwrap();
    let tenants: i64 = old
        .query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tenants, 2);
    assert_eq!(
        done(&site, &["connectors", "run", "qualys-test"])["records"],
        0
    );
}

#[test]
fn a_damaged_or_newer_or_made_up_backup_changes_nothing() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    done(&site, &["backup", "kept"]);
    let manifest = site.path().join("kept/manifest.json");
    let journal = site.path().join("kept/journal.sqlite");
    let (text, bytes) = (
        fs::read_to_string(&manifest).unwrap(),
        fs::read(&journal).unwrap(),
    );
    let known = serde_json::from_str::<Value>(&text).unwrap()["schema"]
        .as_u64()
        .unwrap();
    let schema = format!("\"schema\": {known}");
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases: [(String, &[u8], &str); 6] = [
        (text.clone(), &flipped, "is damaged"),
        (text.clone(), &bytes[..bytes.len() / 2], "is damaged"),
        (
            text.replace(&schema, "\"schema\": 99"),
            &bytes,
            "newer version",
        ),
        (
            text.replace("\"journal.sqlite\"", "\"../journal.sqlite\""),
            &bytes,
            "no backup has",
        ),
        (
            text.replace("\"format\": 1", "\"format\": 2"),
            &bytes,
            "its format is 2",
        ),
        ("{".into(), &bytes, "is no backup"),
    ];
    for (manifest_text, journal_bytes, word) in cases {
        fs::write(&manifest, manifest_text).unwrap();
        fs::write(&journal, journal_bytes).unwrap();
        let message = refusal(&site, &["restore", "kept", "--replace"]);
        assert!(message.contains(word), "{word}: {message}");
        assert_eq!(site.export("scans").unwrap().len(), 60);
        let names = fs::read_dir(site.path()).unwrap();
        let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
        let odd: Vec<_> = names
            .filter(|name| name.starts_with(".restore") || name.starts_with("before"))
            .collect();
        assert!(odd.is_empty(), "{word}: {odd:?}");
    }
}

#[test]
fn a_data_directory_with_a_damaged_journal_can_be_restored() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = collected(&sim);
    done(&site, &["backup", "kept"]);
    fs::write(site.path().join("journal.sqlite"), "this was a journal").unwrap();
    fs::write(site.path().join("journal.sqlite-wal"), "and this its log").unwrap();
    done(&site, &["restore", "kept", "--replace"]);
    assert_eq!(site.export("scans").unwrap().len(), 60);
    assert_eq!(
        done(&site, &["connectors", "run", "qualys-test"])["records"],
        0
    );
}
