//! The notes of a block: which hosts were seen with what, and what remains of records that a filter dropped.
//!
//! ```json
//! [{"object": "a1", "time_ms": 1, "emitted": ["9"], "repeated": ["8"], "more": false},
//!  {"dropped": {"host.id": "a1", "event.id": "9", "vulnerability.status": "Fixed", "timestamp": 1}}]
//! ```

use super::finding::Finding;
use super::machine::{Machine, Parts};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// One host, and what belongs to it. Time in milliseconds since 1970.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) object: String,
    #[serde(default)]
    pub(super) time_ms: u64,
    #[serde(default)]
    pub(super) emitted: Vec<String>,
    #[serde(default)]
    pub(super) repeated: Vec<String>,
    /// It goes on in a later block, or could not be read to its end.
    #[serde(default)]
    pub(super) more: bool,
}

/// What remains of a dropped record.
#[derive(Debug, Deserialize)]
pub(super) struct Dropped {
    dropped: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Note {
    Seen(Seen),
    Dropped(Dropped),
    // Of a later version.
    Other(serde::de::IgnoredAny),
}

/// All notes of a block.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) seen: Vec<Seen>,
    pub(super) dropped: Vec<Dropped>,
}

impl Notes {
    /// Reads them; a block without any has an empty text.
    ///
    /// # Errors
    /// If they are no list.
    pub(super) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut notes = Self::default();
        if text.is_empty() {
            return Ok(notes);
        }
        for note in serde_json::from_slice::<Vec<Note>>(text)? {
            match note {
                Note::Seen(seen) => notes.seen.push(seen),
                Note::Dropped(dropped) => notes.dropped.push(dropped),
                Note::Other(_) => {}
            }
        }
        Ok(notes)
    }
}

impl Dropped {
    fn text(&self, field: &str) -> Option<String> {
        match self.dropped.get(field)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn texts(&self, field: &str) -> Vec<String> {
        match self.dropped.get(field) {
            Some(Value::Array(values)) => values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => self.text(field).into_iter().collect(),
        }
    }

    /// The record's event time.
    pub(super) fn time(&self) -> u64 {
        self.dropped
            .get("timestamp")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    /// The machine that the record was about, as far as that is kept.
    pub(super) fn machine(&self) -> Machine {
        let mut ips = self.texts("host.ip");
        ips.extend(self.text("srcip"));
        Machine::new(Parts {
            agent: self.text("asset.id"),
            instance: self.text("cloud.instance.id"),
            host: self.text("host.id"),
            network: self.text("asset.network"),
            tracking: self.text("asset.tracking"),
            ips,
            name: self.text("host.name"),
            class: self.text("msg_class"),
            ..Parts::default()
        })
    }

    /// What the record said was found.
    pub(super) fn finding(&self) -> Option<Finding<'static>> {
        let text = |field: &str| self.text(field).map(Cow::Owned);
        let vulnerability = text("vulnerability.id");
        let identity = text("event.id")
            .or_else(|| text("vulnerability.finding_id"))
            .or_else(|| vulnerability.clone())?;
        Some(Finding {
            identity,
            vulnerability,
            title: None,
            status: text("vulnerability.status"),
            severity: text("vulnerability.severity"),
            qds: self
                .dropped
                .get("vulnerability.qds")
                .and_then(Value::as_f64),
            cve: self
                .texts("vulnerability.cve")
                .into_iter()
                .map(Cow::Owned)
                .collect(),
            time: self.time(),
        })
    }
}
