//! A bulk request: its documents, and what the answer says of each.
//!
//! The server answers in the order of the request, one status a document. What it says in words may quote the document, and
//! goes no further than the dead letters.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// How documents are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A document that is there is replaced.
    Index,
    /// One that is there stays, and counts as taken. Data streams take nothing else.
    Create,
}

impl Action {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Index, Self::Create];

    /// The word in `host.toml` and in requests.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
        }
    }
}

/// Documents, one behind the other as they are sent.
#[derive(Default)]
pub(super) struct Bulk {
    text: Vec<u8>,
    items: Vec<Item>,
}

/// Where a document stands.
#[derive(Clone)]
pub(super) struct Item {
    /// Of its block in the journal.
    pub(super) offset: u64,
    action: Range<usize>,
    document: Range<usize>,
    index: Range<usize>,
}

impl Bulk {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// How large it would be with one more document. 0 if there is none yet: that one goes, whatever its size.
    pub(super) fn size_with(&self, document: &[u8]) -> usize {
        match self.items.len() {
            0 => 0,
            _ => self.text.len() + document.len() + 256,
        }
    }

    /// Appends a document. `index` is a checked name: there is nothing in it that JSON would escape.
    pub(super) fn push(
        &mut self,
        offset: u64,
        action: Action,
        index: &str,
        id: &str,
        document: &[u8],
    ) {
        let start = self.text.len();
        let head = format!("{{\"{}\":{{\"_index\":\"", action.as_str());
        // Serialising a text cannot fail.
        let id = serde_json::to_string(id).unwrap_or_default();
        let shift = start + head.len();
        let line = format!("{head}{index}\",\"_id\":{id}}}}}");
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        let split = self.text.len();
        self.text.extend_from_slice(document);
        let end = self.text.len();
        self.text.push(b'\n');
        self.items.push(Item {
            offset,
            action: start..split,
            document: split..end,
            index: shift..shift + index.len(),
        });
    }

    pub(super) fn items(&self) -> Vec<Item> {
        self.items.clone()
    }

    /// The request with these documents of it.
    pub(super) fn body(&self, items: &[Item]) -> Vec<u8> {
        if items.len() == self.items.len() {
            return self.text.clone();
        }
        let mut body = Vec::new();
        for item in items {
            body.extend_from_slice(&self.text[item.action.start..item.document.end]);
            body.push(b'\n');
        }
        body
    }

    pub(super) fn document(&self, item: &Item) -> &[u8] {
        &self.text[item.document.clone()]
    }

    /// The index that it is written to.
    pub(super) fn index(&self, item: &Item) -> String {
        String::from_utf8_lossy(&self.text[item.index.clone()]).into_owned()
    }
}

/// What a server answers.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    items: Vec<BTreeMap<String, Outcome>>,
}

/// What it says of one document.
#[derive(Deserialize)]
pub(super) struct Outcome {
    status: u16,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    reason: Option<String>,
}

/// What becomes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    /// Not for the moment.
    Again,
    /// Not for what it is.
    Never,
    /// Not for a reason that the others share.
    Everybody,
}

impl Answer {
    /// Reads an answer about so many documents.
    pub(super) fn parse(body: &[u8], documents: usize) -> Result<Self, String> {
        let answer: Self = serde_json::from_slice(body)
            .map_err(|_| "its answer is not that of `_bulk`; check `url`".to_owned())?;
        let complete = answer.items.iter().all(|item| item.len() == 1);
        if answer.items.len() != documents || !complete {
            return Err(format!(
                "it was sent {documents} documents and answered about {}, so none of them counts",
                answer.items.len()
            ));
        }
        Ok(answer)
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.items.iter().flat_map(BTreeMap::values)
    }
}

impl Outcome {
    pub(super) fn fate(&self, action: Action) -> Fate {
        match self.status {
            200..=299 => Fate::Taken,
            // It is there.
            409 if action == Action::Create => Fate::Taken,
            // Many things are wrong requests to it; of these only some are the document's fault, and the others everybody's.
            400 if DOCUMENTS_FAULT.contains(&self.kind()) => Fate::Never,
            413 => Fate::Never,
            409 | 429 | 500..=599 => Fate::Again,
            _ => Fate::Everybody,
        }
    }

    /// The type of the error, a word of the server's own.
    pub(super) fn kind(&self) -> &str {
        let kind = self.error.as_ref().map(|error| error.r#type.as_str());
        kind.filter(|kind| !kind.is_empty() && is_word(kind))
            .unwrap_or("refused")
    }

    pub(super) fn reason(&self) -> &str {
        let reason = self
            .error
            .as_ref()
            .and_then(|error| error.reason.as_deref());
        reason.unwrap_or_default()
    }

    /// Status and kind, for a sentence.
    pub(super) fn said(&self) -> String {
        format!("HTTP {} {}", self.status, self.kind())
    }
}

/// Errors that say that this document can never be written as it is.
const DOCUMENTS_FAULT: [&str; 5] = [
    "mapper_parsing_exception",
    "document_parsing_exception",
    "strict_dynamic_mapping_exception",
    "parsing_exception",
    "x_content_parse_exception",
];

fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
