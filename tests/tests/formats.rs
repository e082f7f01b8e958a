//! The documents that forwarders write are what the official schemas say.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the validators answer when the official schema is not installed.
const ABSENT: i32 = 77;

/// Runs a validator; its answer and all that it said, or nothing if there is none on this machine (which is an error in CI).
fn validate(validator: &str, files: &[PathBuf]) -> Option<(bool, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(validator)
        .join("validate.sh");
    let output = match Command::new("bash")
        .arg(script)
        .arg("--installed")
        .args(files)
        .output()
    {
        Ok(output) => output,
        Err(error) => panic!("bash: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(ABSENT) {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "{said}");
        eprintln!("skipped: {said}");
        return None;
    }
    Some((output.status.success(), said))
}

fn golden(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/server/src/formats/golden");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// Spoils a document in one way after another, and wants each to be found.
fn every_fault_is_found(validator: &str, document: &Value, faults: &[(&str, Value)]) {
    let folder = tempfile::tempdir().unwrap();
    for (pointer, value) in faults {
        let mut spoiled = document.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = spoiled.pointer_mut(parent).unwrap();
        parent
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value.clone());
        let file = folder.path().join("spoiled.json");
        std::fs::write(&file, spoiled.to_string()).unwrap();
        let Some((valid, said)) = validate(validator, &[file]) else {
            return;
        };
        assert!(!valid && said.contains(name), "{pointer}: {said}");
    }
}

#[test]
fn every_ocsf_document_is_one_of_the_official_schema() {
    if let Some((valid, said)) = validate("ocsf", &[]) {
        assert!(valid && said.contains(" 0 problems"), "{said}");
    }
}

#[test]
fn the_official_ocsf_schema_finds_what_is_wrong() {
    every_fault_is_found(
        "ocsf",
        &golden("vulnerability_full.ocsf.json"),
        &[
            ("/activity_id", json!(7)),
            ("/severity", json!("Awful")),
            ("/device/ip", json!("nowhere")),
            ("/vulnerabilities/0/unheard_of", json!(1)),
            ("/vulnerabilities/0/kb_articles", json!(["deprecated"])),
            ("/finding_info/uid", Value::Null),
        ],
    );
}

#[test]
fn every_ecs_document_has_fields_of_the_official_list() {
    if let Some((valid, said)) = validate("ecs", &[]) {
        assert!(valid && said.contains(" 0 problems"), "{said}");
    }
}

#[test]
fn the_official_ecs_list_finds_what_is_wrong() {
    every_fault_is_found(
        "ecs",
        &golden("vulnerability_full.ecs.json"),
        &[
            ("/event/kind", json!("whatever")),
            ("/event/type", json!(["deletion"])),
            ("/host/ip", json!("192.0.2.1")),
            ("/host/mac", json!(["00:00:5e:00:53:01"])),
            ("/vulnerability/status", json!("Active")),
        ],
    );
}
