//! A crowd: thousands of connectors that wait for their time, and what the process that serves them takes.
#![expect(clippy::unwrap_used, reason = "helpers of tests and benches")]

use crate::desk::Desk;
use rusqlite::Connection;
use std::time::{SystemTime, UNIX_EPOCH};

/// So many wait in one host.
pub const CROWD: u32 = 10_000;
/// Tenants that they belong to.
const TENANTS: u32 = 20;
/// The next run of each: in a week.
const WEEK_MS: u64 = 7 * 24 * 3_600_000;

/// Fills the data directory of a desk: connectors that are all in the profile `Default`, are healthy, and are due in a week.
/// They are copies of one that the host itself has made, which is switched off; nobody could open the copies' secrets.
pub fn fill(desk: &Desk, number: u32) {
    desk.define("https://scanner.example.test");
    for tenant in 1..=TENANTS {
        desk.done(&["tenants", "add", &format!("tenant-{tenant:02}")]);
    }
    desk.done(&["connectors", "add", "scanner.toml", "--profile", "Default"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let due = u64::try_from(now.as_millis()).unwrap() + WEEK_MS;
    let database = Connection::open(desk.path().join("data/journal.sqlite")).unwrap();
    let copies = format!(
        "BEGIN;
         CREATE TEMP TABLE crowd AS
             WITH RECURSIVE numbers (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {number})
             SELECT printf('%024x', n) AS id, 'scanner-' || n AS name, t.id AS tenant, one.id AS one, one.kind, one.created
             FROM numbers JOIN tenants t ON t.name = printf('tenant-%02d', n % {TENANTS} + 1)
                 JOIN connectors one ON one.name = 'scanner-1';
         INSERT INTO connectors (id, tenant, name, kind, created) SELECT id, tenant, name, kind, created FROM crowd;
         INSERT INTO definitions SELECT c.id, settings, content_types, 10000, active, run_on, version, {due}, d.created, modified
             FROM crowd c JOIN definitions d ON d.connector = c.one;
         INSERT INTO secrets SELECT c.id, pointer, key, nonce, ciphertext FROM crowd c JOIN secrets s ON s.connector = c.one;
         INSERT INTO profile_members SELECT profile, c.id, added FROM crowd c JOIN profile_members m ON m.connector = c.one;
         INSERT INTO statuses (connector, started, verdict, judged, state, since)
             SELECT id, {due} - 600000000, 'healthy', {due} - 600000000, 'healthy', {due} - 600000000 FROM crowd;
         UPDATE definitions SET active = 0 WHERE connector = (SELECT one FROM crowd);
         COMMIT;"
    );
    database.execute_batch(&copies).unwrap();
}

/// Resident memory of a process, in bytes.
///
/// # Errors
/// If there is no such process.
pub fn resident(process: u32) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes
        .map(|number| number * 1024)
        .ok_or_else(|| std::io::Error::other("no VmRSS"))
}

/// Processor time that a process has taken, in hundredths of a second.
///
/// # Errors
/// If there is no such process.
pub fn processor_time(process: u32) -> std::io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may have blanks: user and system time are the twelfth and thirteenth fields.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let time = |at| fields.split_whitespace().nth(at)?.parse::<u64>().ok();
    match (time(11), time(12)) {
        (Some(user), Some(system)) => Ok(user + system),
        _ => Err(std::io::Error::other("no times")),
    }
}
