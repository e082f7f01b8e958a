//! The doctor: each thing that can be broken is broken, and found, with a remedy.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::journal::Ownership;
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn site() -> Site {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    for arguments in [
        vec!["connectors", "add", "qualys.toml", "--profile", "Default"],
        vec!["connectors", "run", "qualys-test"],
    ] {
        assert!(site.run(&arguments).unwrap().status.success());
    }
    set_mode(site.path(), 0o700);
    site
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The exit code, and what is not in order: check, verdict, message.
fn examine(site: &Site) -> (i32, Vec<(String, String, String)>) {
    let output = site.run(&["doctor", "--json"]).unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = document["checks"].as_array().unwrap().iter();
    // The room on the disk is not the test's.
    let findings = findings
        .filter(|finding| finding["verdict"] != "ok" && finding["check"] != "disk")
        .map(|finding| {
            assert!(!text(finding, "remedy").is_empty());
            (
                text(finding, "check"),
                text(finding, "verdict"),
                text(finding, "message"),
            )
        });
    (output.status.code().unwrap(), findings.collect())
}

/// Exactly these are not in order.
fn assert_found(site: &Site, expected: &[(&str, &str, &str)]) {
    let (code, found) = examine(site);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((check, verdict, message), (its_check, its_verdict, word)) in found.iter().zip(expected) {
        assert_eq!(
            (check.as_str(), verdict.as_str()),
            (*its_check, *its_verdict),
            "{message}"
        );
        assert!(message.contains(word), "{word}: {message}");
    }
    let has_problem = expected.iter().any(|(_, verdict, _)| *verdict == "problem");
    assert_eq!(code, i32::from(has_problem));
}

#[test]
fn a_host_in_order_has_nothing_to_remedy_and_is_left_as_it_is() {
    let site = site();
    let state = |site: &Site| {
        ["journal.sqlite", "secret.key", "lock"]
            .map(|name| fs::read(site.path().join(name)).unwrap())
    };
    let before = state(&site);
    assert_found(&site, &[]);
    assert!(state(&site) == before);
    let text = String::from_utf8(site.run(&["doctor"]).unwrap().stdout).unwrap();
    assert!(text.contains("it opens 1 secret"), "{text}");
    assert!(text.contains("80 records"), "{text}");
}

#[test]
fn the_data_directory_is_looked_at() {
    let site = site();
    set_mode(site.path(), 0o750);
    assert_found(
        &site,
        &[("data-directory", "warning", "other users may look into")],
    );
    set_mode(site.path(), 0o777);
    assert_found(
        &site,
        &[("data-directory", "problem", "other users may write into")],
    );
    set_mode(site.path(), 0o700);
    let output = site
        .run(&["doctor", "--data-dir", "nowhere", "--json"])
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &document["verdict"]),
        (Some(0), &"warning".into())
    );
    assert!(!site.path().join("nowhere").exists(), "nothing is made");
    fs::write(site.path().join("file"), "").unwrap();
    let output = site
        .run(&["doctor", "--data-dir", "file", "--json"])
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_owner_and_its_socket_are_told() {
    let site = site();
    let socket = site.path().join("serve.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    drop(listener);
    assert_found(&site, &[("lock", "warning", "nobody listens")]);
    fs::remove_file(&socket).unwrap();
    let ownership = Ownership::take(site.path()).unwrap();
    let said = |site: &Site| String::from_utf8(site.run(&["doctor"]).unwrap().stdout).unwrap();
    let process = format!("in use by process {}", std::process::id());
    assert!(said(&site).contains(&process), "{}", said(&site));
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(
        said(&site).contains("which answers commands"),
        "{}",
        said(&site)
    );
    drop(ownership);
}

#[test]
fn a_journal_that_is_damaged_newer_or_older_is_a_finding_and_no_crash() {
    let site = site();
    let path = site.path().join("journal.sqlite");
    let whole = fs::read(&path).unwrap();
    let version = |number: i64| {
        let database = Connection::open(&path).unwrap();
        database
            .pragma_update(None, "user_version", number)
            .unwrap();
    };
    let known: i64 = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    version(known + 1);
    assert_found(&site, &[("journal", "problem", "knows schema")]);
    version(known - 1);
    assert_found(&site, &[("journal", "warning", "brings it to schema")]);
    version(known);
    assert_found(&site, &[]);
    for broken in [
        b"not a journal at all".to_vec(),
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
    ] {
        for beside in ["journal.sqlite-wal", "journal.sqlite-shm"] {
            // It may not be there.
            let _ = fs::remove_file(site.path().join(beside));
        }
        fs::write(&path, &broken).unwrap();
        let (code, found) = examine(&site);
        assert_eq!(code, 1, "{found:?}");
        assert!(
            found
                .iter()
                .any(|(check, verdict, _)| check == "journal" && verdict == "problem"),
            "{found:?}"
        );
    }
}

#[test]
fn a_clock_behind_the_journal_is_a_problem() {
    let site = site();
    let database = Connection::open(site.path().join("journal.sqlite")).unwrap();
    database
        .execute("UPDATE runs SET ended = ended + 86400000000", [])
        .unwrap();
    drop(database);
    assert_found(&site, &[("clock", "problem", "the journal was written at")]);
}

#[test]
fn the_key_is_there_private_and_opens_every_secret() {
    let site = site();
    let key = site.path().join("secret.key");
    set_mode(&key, 0o644);
    assert_found(&site, &[("key", "problem", "other users can read")]);
    set_mode(&key, 0o600);
    let right = fs::read(&key).unwrap();
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    fs::write(&key, other).unwrap();
    assert_found(
        &site,
        &[("key", "problem", "acme/qualys-test: its settings.password")],
    );
    fs::write(&key, "no key").unwrap();
    assert_found(&site, &[("key", "problem", "is not a key")]);
    fs::remove_file(&key).unwrap();
    assert_found(
        &site,
        &[("key", "problem", "acme/qualys-test: its settings.password")],
    );
    fs::write(&key, right).unwrap();
    set_mode(&key, 0o600);
    assert_found(&site, &[]);
}

#[test]
fn plugins_that_are_missing_or_broken_are_found_with_the_connectors_that_need_them() {
    let site = site();
    let plugin = site.path().join("plugins/qualys_connector.wasm");
    fs::write(&plugin, "no component").unwrap();
    assert_found(
        &site,
        &[
            ("plugins", "problem", "qualys_connector.wasm"),
            ("connectors", "problem", "no plugin for its type qualys"),
        ],
    );
    fs::remove_file(&plugin).unwrap();
    assert_found(
        &site,
        &[
            ("plugins", "warning", "there are none"),
            ("connectors", "problem", "no plugin for its type qualys"),
        ],
    );
}

#[test]
fn connectors_that_cannot_or_do_not_pull_are_found() {
    let site = site();
    assert!(
        site.run(&["profiles", "remove-connector", "Default", "qualys-test"])
            .unwrap()
            .status
            .success()
    );
    assert_found(&site, &[("connectors", "warning", "in no profile")]);
    let database = Connection::open(site.path().join("journal.sqlite")).unwrap();
    database.execute("DELETE FROM secrets", []).unwrap();
    drop(database);
    assert_found(
        &site,
        &[
            ("connectors", "problem", "settings.password"),
            ("connectors", "warning", "in no profile"),
        ],
    );
}

#[test]
fn the_configuration_and_its_certificates_are_looked_at() {
    let site = site();
    let configuration = site.path().join("host.toml");
    fs::write(
        &configuration,
        "[limit]\n[network]\nca_file = \"missing.pem\"\n",
    )
    .unwrap();
    assert_found(
        &site,
        &[
            ("configuration", "problem", "limit: there is no such key"),
            ("configuration", "problem", "missing.pem"),
            ("certificates", "problem", "missing.pem"),
        ],
    );
    let mut params = rcgen::CertificateParams::new(vec!["ca.example.test".into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let expired = params
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap();
    fs::write(site.path().join("ca.pem"), expired.pem()).unwrap();
    fs::write(&configuration, "[network]\nca_file = \"ca.pem\"\n").unwrap();
    assert_found(
        &site,
        &[("certificates", "problem", "ended at 2020-01-01T00:00:00Z")],
    );
}
