//! The data directory itself: whose it is, who may look into it, who owns it now, and the room on its disk.

use super::Finding;
use crate::figures;
use connector_runtime::journal;
use std::fs::Metadata;
use std::path::Path;

const CHECK: &str = "data-directory";
/// The socket of a process that serves.
const SOCKET: &str = "serve.sock";
/// So many times the floor should be free.
const ROOM: u64 = 4;

/// `floor` is how many bytes of the disk collection leaves alone.
pub(super) fn check(data: &Path, floor: u64) -> Vec<Finding> {
    let shown = data.display();
    let metadata = match data.metadata() {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            return vec![Finding::problem(
                CHECK,
                format!("{shown} is no directory"),
                "name another one with --data-dir",
            )];
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::warning(
                CHECK,
                format!("{shown} is not there: nothing was ever kept in it"),
                "add a connector (`connector-host connectors add`), or name the right directory with --data-dir",
            )];
        }
        Err(error) => {
            return vec![Finding::problem(
                CHECK,
                format!("{shown} cannot be looked at: {error}"),
                "run this as its owner, or name another directory with --data-dir",
            )];
        }
    };
    let mut findings = access(data, &metadata);
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{shown} is its owner's only")));
    }
    findings.push(lock(data));
    findings.push(disk(data, floor));
    findings
}

#[cfg(unix)]
fn access(data: &Path, metadata: &Metadata) -> Vec<Finding> {
    use std::os::unix::fs::MetadataExt as _;
    let shown = data.display();
    let mut findings = Vec::new();
    let mode = metadata.mode() & 0o777;
    let remedy = format!("`chmod 700 {shown}`");
    if mode & 0o022 != 0 {
        let message = format!("other users may write into {shown} (mode {mode:03o})");
        findings.push(Finding::problem(CHECK, message, remedy));
    } else if mode & 0o077 != 0 {
        let message = format!("other users may look into {shown} (mode {mode:03o})");
        findings.push(Finding::warning(CHECK, message, remedy));
    }
    if mode & 0o300 != 0o300 {
        let message = format!("its owner may not write into {shown} (mode {mode:03o})");
        findings.push(Finding::problem(
            CHECK,
            message,
            format!("`chmod 700 {shown}`"),
        ));
    }
    // What the process is allowed to do stands here; where it does not, this check is left out.
    let own = std::fs::metadata("/proc/self").map(|process| process.uid());
    if let Ok(own) = own
        && own != metadata.uid()
    {
        let message = format!(
            "{shown} belongs to user {}, and this is user {own}",
            metadata.uid()
        );
        let remedy = "run commands as its owner: files made by another user may lock the owner out";
        findings.push(match own {
            0 => Finding::warning(CHECK, message, remedy),
            _ => Finding::problem(CHECK, message, remedy),
        });
    }
    findings
}

#[cfg(not(unix))]
fn access(_: &Path, _: &Metadata) -> Vec<Finding> {
    Vec::new()
}

fn lock(data: &Path) -> Finding {
    const CHECK: &str = "lock";
    let socket = data.join(SOCKET);
    match (journal::owner(data), answers(&socket)) {
        (Ok(Some(owner)), true) => {
            Finding::ok(CHECK, format!("served by {owner}, which answers commands"))
        }
        (Ok(Some(owner)), false) => Finding::ok(CHECK, format!("in use by {owner}")),
        (Ok(None), _) if socket.exists() => Finding::warning(
            CHECK,
            format!("nobody listens on {}", socket.display()),
            "nothing is to be done: the next `serve` takes its place. If one should be running, look at its log",
        ),
        (Ok(None), _) => Finding::ok(CHECK, "nobody owns it now"),
        (Err(error), _) => Finding::problem(
            CHECK,
            error.to_string(),
            "keep the data directory on a local file system that has locks",
        ),
    }
}

#[cfg(unix)]
fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn answers(_: &Path) -> bool {
    false
}

fn disk(data: &Path, floor_bytes: u64) -> Finding {
    const CHECK: &str = "disk";
    let floor = figures::mebibytes(floor_bytes);
    match journal::free_bytes(data) {
        Ok(free) if free < floor_bytes => Finding::problem(
            CHECK,
            format!(
                "{} free, and collection leaves {floor} alone",
                figures::mebibytes(free)
            ),
            "make room: collection goes on by itself then",
        ),
        Ok(free) if free < floor_bytes.saturating_mul(ROOM) => Finding::warning(
            CHECK,
            format!(
                "{} free; collection stops at {floor}",
                figures::mebibytes(free)
            ),
            "make room",
        ),
        Ok(free) => Finding::ok(CHECK, format!("{} free", figures::mebibytes(free))),
        Err(error) => Finding::problem(CHECK, error.to_string(), "check the disk"),
    }
}
