//! The service file is one that systemd understands, and keeps its promises.
#![expect(clippy::panic, reason = "a helper of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/connector-host.service")
}

fn value(text: &str, key: &str) -> String {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("no {key}"));
    assert!(values.next().is_none(), "{key} stands there twice");
    value.to_owned()
}

#[test]
fn the_service_gives_up_what_it_does_not_need_and_keeps_what_it_does() {
    let text = std::fs::read_to_string(unit()).unwrap();
    for (key, expected) in [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
        ("StateDirectory", "connector-host"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        // Compiled plugins need it.
        ("MemoryDenyWriteExecute", "no"),
    ] {
        assert_eq!(value(&text, key), expected, "{key}");
    }
    assert!(value(&text, "ExecReload").contains("-HUP"));
    assert!(value(&text, "TimeoutStopSec").parse::<u32>().unwrap() >= 60);
    let state = format!("/var/lib/{}", value(&text, "StateDirectory"));
    assert!(value(&text, "ExecStart").contains(&format!("--data-dir {state}")));
    // A key without a section, or one that was mistyped into a comment, would be ignored without a word.
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(
            line.starts_with(['#', '[']) || line.contains('='),
            "{line:?}"
        );
    }
}

/// Where there is systemd, it is asked. The program need not be installed, so a copy names one that is.
#[test]
fn systemd_understands_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(unit()).unwrap();
    let text = text.replace("/usr/local/bin/connector-host", "/bin/true");
    let copy = folder.path().join("connector-host.service");
    std::fs::write(&copy, text).unwrap();
    let Ok(output) = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&copy)
        .output()
    else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let about = said
        .lines()
        .filter(|line| line.contains("connector-host.service"));
    let about: Vec<_> = about.collect();
    assert!(about.is_empty(), "{about:?}");
    assert!(
        output.status.success() || !said.contains("connector-host"),
        "{said}"
    );
}
