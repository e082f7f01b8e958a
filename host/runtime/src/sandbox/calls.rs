//! What calls into a plugin take and return. Every text of a plugin that a person will read has been cleaned here.

use super::cache::CacheWrites;
use super::failure::PluginFailure;
use super::sink::SinkItem;
use crate::redaction::Redactor;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A remark about one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// JSON pointer.
    pub pointer: String,
    /// One sentence.
    pub message: String,
}

/// How a check of `test` came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Passed,
    /// The vendor answered, but is busy.
    Busy,
    /// It does not work.
    Failed,
    /// Not tried, because of an earlier failure.
    NotTried,
}

/// One check of `test`.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub id: String,
    /// For people.
    pub label: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Why.
    pub error: Option<PluginFailure>,
}

/// Walks that may run at the same time.
#[derive(Clone, Debug)]
pub struct Split {
    /// Where each starts.
    pub parts: Vec<String>,
    /// The cursor when all have ended.
    pub then: String,
}

/// What a batch is asked for.
#[derive(Clone, Debug)]
pub struct BatchRequest {
    /// The content type.
    pub content_type: String,
    /// Where to go on; `None` before the very first batch.
    pub cursor: Option<String>,
    /// How often this very cursor has been tried before.
    pub attempt: u32,
    /// The options document.
    pub options: serde_json::Value,
}

/// The report of a batch; its schema is `wit/report.schema.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Counters of the ledger, as deltas.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Objects that could not be read.
    #[serde(default)]
    pub set_aside: Vec<SetAside>,
    /// Elements that the plugin did not know, with how often they came.
    #[serde(default)]
    pub unknown_elements: BTreeMap<String, u64>,
    /// Things that a person should know.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// The objects of the batch.
    #[serde(default)]
    pub seen: Vec<SeenObject>,
    /// What was asked of the vendor.
    #[serde(skip_deserializing)]
    pub window: serde_json::Value,
}

/// The one member of a report that is free in shape, as it came: read into memory it can be thirty times as large.
#[derive(Deserialize)]
struct Window<'a> {
    #[serde(borrow, default)]
    window: Option<&'a RawValue>,
}

/// Longest `window` of a report, in bytes.
const WINDOW_BYTES: usize = 16 * 1024;

impl Report {
    /// Reads a batch's report.
    ///
    /// # Errors
    /// If it is not of the documented shape.
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut report: Self = serde_json::from_str(text)?;
        let Window { window } = serde_json::from_str(text)?;
        match window.map(RawValue::get) {
            None => {}
            Some(window) if window.len() > WINDOW_BYTES => report.notices.push(Notice {
                code: "window-too-large".into(),
                message: format!(
                    "The report's window has {} bytes, at most {WINDOW_BYTES} are kept; it was left out.",
                    window.len()
                ),
            }),
            Some(window) => report.window = serde_json::from_str(window)?,
        }
        Ok(report)
    }

    /// Cleans every text that a person will see. The objects of the batch stay: their identities are the vendor's data.
    pub(super) fn redact(&mut self, redactor: &Redactor) {
        let Self {
            counters,
            set_aside,
            unknown_elements,
            notices,
            seen: _,
            window,
        } = self;
        redactor.names(counters, 128);
        redactor.names(unknown_elements, 1000);
        for SetAside {
            object,
            code,
            message,
        } in set_aside
        {
            *object = redactor.line(object, 1000);
            *code = redactor.line(code, 128);
            *message = redactor.line(message, 2000);
        }
        for Notice { code, message } in notices.iter_mut() {
            *code = redactor.line(code, 128);
            *message = redactor.line(message, 2000);
        }
        redactor.value(window);
    }
}

/// An object that could not be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAside {
    /// Its identity.
    pub object: String,
    /// Why, searchable.
    pub code: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Something that a person should know about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Searchable.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// An object of a batch, with the identities of what belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenObject {
    /// Its identity.
    pub object: String,
    /// Its event time, milliseconds since 1970.
    pub time_ms: u64,
    /// Identities of what was emitted.
    #[serde(default)]
    pub emitted: Vec<String>,
    /// Identities of what was read again unchanged and not emitted.
    #[serde(default)]
    pub repeated: Vec<String>,
    /// The object goes on in the next batch.
    #[serde(default)]
    pub more: bool,
}

/// A batch that returned: nothing of it is durable yet.
#[derive(Debug)]
pub struct Collected {
    /// The cursor behind this batch.
    pub next: String,
    /// There is more to collect.
    pub more: bool,
    /// Everything that the vendor listed is accounted for.
    pub complete: bool,
    /// The plugin's report.
    pub report: Report,
    /// What was emitted, each key once.
    pub items: Vec<SinkItem>,
    /// Items whose key had been emitted in this batch before.
    pub repeated: u64,
    /// What was written to the cache.
    pub cache: CacheWrites,
}
