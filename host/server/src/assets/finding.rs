//! Findings: what a record says was found on a machine, and the table of detections.
//!
//! A detection is *open* until its record says `Fixed`, or its host was collected without it (see [`super::presence`]).

use super::schema::stored;
use rusqlite::{Connection, params};
use std::borrow::Cow;

/// Why a detection is closed: its status.
pub(super) const FIXED: &str = "fixed";
/// Why a detection is closed: its host was collected without it.
pub(super) const NOT_REPORTED: &str = "not reported";

/// The newer record decides, whichever comes first.
const KEEP: &str = "
INSERT INTO detections (host, part, identity, vulnerability, title, status, severity, qds, cve, first_seen, last_seen, closed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)
ON CONFLICT DO UPDATE SET
    vulnerability = CASE WHEN excluded.last_seen >= last_seen THEN excluded.vulnerability ELSE vulnerability END,
    title = CASE WHEN excluded.last_seen >= last_seen THEN excluded.title ELSE title END,
    status = CASE WHEN excluded.last_seen >= last_seen THEN excluded.status ELSE status END,
    severity = CASE WHEN excluded.last_seen >= last_seen THEN excluded.severity ELSE severity END,
    qds = CASE WHEN excluded.last_seen >= last_seen THEN excluded.qds ELSE qds END,
    cve = CASE WHEN excluded.last_seen >= last_seen THEN excluded.cve ELSE cve END,
    closed = CASE WHEN excluded.last_seen >= last_seen THEN excluded.closed ELSE closed END,
    first_seen = min(first_seen, excluded.first_seen),
    last_seen = max(last_seen, excluded.last_seen)";

/// What a record says was found. Time in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    /// As the notes on the host call it.
    pub(super) identity: Cow<'a, str>,
    pub(super) vulnerability: Option<Cow<'a, str>>,
    pub(super) title: Option<Cow<'a, str>>,
    pub(super) status: Option<Cow<'a, str>>,
    pub(super) severity: Option<Cow<'a, str>>,
    pub(super) qds: Option<f64>,
    pub(super) cve: Vec<Cow<'a, str>>,
    pub(super) time: u64,
}

/// What a status says about being closed.
pub(super) fn closed_by(status: Option<&str>) -> Option<&'static str> {
    status
        .is_some_and(|status| status.trim().eq_ignore_ascii_case(FIXED))
        .then_some(FIXED)
}

impl Finding<'_> {
    /// Writes what was found on the host with this key; a newer record that is there stays.
    pub(super) fn keep(&self, database: &Connection, host: i64, part: i64) -> rusqlite::Result<()> {
        let cve = match self.cve.as_slice() {
            [] => Cow::Borrowed("[]"),
            // Texts: serialising them cannot fail.
            some => Cow::Owned(serde_json::to_string(some).unwrap_or_default()),
        };
        database.prepare_cached(KEEP)?.execute(params![
            host,
            part,
            self.identity,
            self.vulnerability,
            self.title,
            self.status,
            self.severity,
            self.qds,
            cve,
            stored(self.time),
            closed_by(self.status.as_deref()),
        ])?;
        Ok(())
    }
}
