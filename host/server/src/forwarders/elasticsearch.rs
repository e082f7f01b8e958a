//! Elasticsearch and OpenSearch: records as documents, by `_bulk`.
//!
//! A document's id is the record's (the first 36 characters of `stellar_uuid`), and the date in the name of its index that of
//! its `timestamp`, so that a record that is sent again, or collected again, finds itself in the same place and is there
//! once.
//!
//! Of a request, only those documents are sent again that were not taken for the moment (429, 5xx), after a pause that grows;
//! those that are refused for what they are (400, say a text in a field of numbers) go to the dead letters. A request that is
//! too large is cut in two. What concerns all of them (a credential, an index that may not be made) is an error, and nothing
//! counts as delivered until it is put right.

mod bulk;
mod pattern;

use super::dead_letters::DeadLetters;
use super::destination::{Answered, Destination, packed};
use super::{Forwarder, targets};
use crate::consumers::{Consumer, ConsumerError, Interest, Pace};
use crate::formats::Format;
use bulk::{Answer, Bulk, Fate, Item};
use connector_runtime::interflow::Index;
use connector_runtime::journal::StoredBlock;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub(crate) use bulk::Action;
pub(crate) use pattern::{DEFAULT as DEFAULT_PATTERN, Pattern};

/// Between attempts at the documents of one request that were not taken for the moment; then it is an error, and everything
/// since the last commit is sent again later.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// Only what is looked at comes back.
const QUERY: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";
/// Of an answer: for each document, and besides.
const ANSWER_PER_DOCUMENT: usize = 2 << 10;
const ANSWER: usize = 64 << 10;

/// What `host.toml` says.
#[derive(Clone)]
pub(crate) struct Options {
    /// The names of indices.
    pub(crate) pattern: Pattern,
    /// How documents are written.
    pub(crate) action: Action,
    /// Whether requests are compressed.
    pub(crate) gzip: bool,
    /// The value of `authorization`.
    pub(crate) authorization: Option<HeaderValue>,
    /// The most documents of a request.
    pub(crate) records: usize,
    /// The most bytes of a request, before compression; a larger document goes alone.
    pub(crate) bytes: usize,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("pattern", &self.pattern)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// See the module.
pub(crate) struct Elasticsearch {
    name: String,
    interest: Interest,
    format: Format,
    options: Options,
    destination: Destination,
    dead: DeadLetters,
    bulk: Bulk,
}

/// What is needed of a record.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    stellar_uuid: Cow<'a, str>,
    timestamp: u64,
}

impl Elasticsearch {
    /// The consumer of a forwarder of this kind.
    pub(crate) fn new(
        forwarder: &Forwarder,
        options: Options,
        destination: Destination,
        dead: DeadLetters,
    ) -> Self {
        Self {
            name: forwarder.consumer_name(),
            interest: forwarder.interest(),
            format: forwarder.format,
            options,
            destination,
            dead,
            bulk: Bulk::default(),
        }
    }

    /// Puts a record into the request that is being gathered, once for each name of an index.
    fn gather(
        &mut self,
        offset: u64,
        record: &[u8],
        indices: &[Index],
    ) -> Result<(), ConsumerError> {
        let head: Option<Head<'_>> = serde_json::from_slice(record).ok();
        let id = head
            .as_ref()
            .and_then(|head| Some((head.stellar_uuid.get(..36)?, head.timestamp)));
        let Some((id, timestamp)) = id else {
            let reason = "it has no stellar_uuid or no timestamp";
            return self.dead.put(offset, "no-id", reason, record);
        };
        let mut document = Vec::with_capacity(record.len() + 64);
        if let Err(error) = self.format.write(record, &mut document) {
            return self.dead.put(offset, "format", &error.to_string(), record);
        }
        let mut names: Vec<String> = Vec::new();
        for index in indices {
            let name = self.options.pattern.name(*index, timestamp);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in names {
            let size = self.bulk.size_with(&document);
            if size > self.options.bytes || self.bulk.len() >= self.options.records {
                self.send()?;
            }
            self.bulk
                .push(offset, self.options.action, &name, id, &document);
        }
        Ok(())
    }

    /// Sends what was gathered until each document is taken or a dead letter.
    fn send(&mut self) -> Result<(), ConsumerError> {
        let bulk = std::mem::take(&mut self.bulk);
        let mut requests = vec![bulk.items()];
        while let Some(items) = requests.pop() {
            if items.is_empty() {
                continue;
            }
            let mut pauses = PAUSES.iter();
            let mut left = items;
            while !left.is_empty() {
                let answered = self.post(&bulk, &left)?;
                if answered.status == StatusCode::PAYLOAD_TOO_LARGE {
                    if let [item] = &left[..] {
                        let reason = "the document alone is larger than a request may be";
                        self.dead
                            .put(item.offset, "too-large", reason, bulk.document(item))?;
                    } else {
                        let second = left.split_off(left.len() / 2);
                        // The last is the next.
                        requests.push(second);
                        requests.push(left);
                    }
                    break;
                }
                let (again, what) = self.judge(&bulk, &left, &answered)?;
                left = again;
                if left.is_empty() {
                    break;
                }
                match pauses.next() {
                    Some(pause) => self.destination.pause(*pause)?,
                    None => {
                        let text = format!(
                            "{} of the documents were not taken ({what}), again and again; they are sent again later",
                            left.len()
                        );
                        return Err(self.destination.failed(&text, None));
                    }
                }
            }
        }
        Ok(())
    }

    fn post(&self, bulk: &Bulk, items: &[Item]) -> Result<Answered, ConsumerError> {
        let (body, encoding) = packed(bulk.body(items), self.options.gzip);
        let mut request = self
            .destination
            .request_below(Method::POST, "_bulk", QUERY)
            .header(header::CONTENT_TYPE, "application/x-ndjson");
        if let Some(encoding) = encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        if let Some(authorization) = &self.options.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        // What is refused may be quoted in the answer.
        let sent: usize = items.iter().map(|item| bulk.document(item).len()).sum();
        let most = ANSWER + items.len() * ANSWER_PER_DOCUMENT + sent;
        self.destination.exchange(request.body(body), most)
    }

    /// Which of the documents are to be sent again, and what was said of the last of them.
    fn judge(
        &mut self,
        bulk: &Bulk,
        items: &[Item],
        answered: &Answered,
    ) -> Result<(Vec<Item>, String), ConsumerError> {
        if answered.status != StatusCode::OK {
            return Err(self.destination.refused(answered));
        }
        let answer = Answer::parse(&answered.body, items.len())
            .map_err(|what| self.destination.failed(&what, None))?;
        let (mut again, mut said) = (Vec::new(), String::new());
        for (item, outcome) in items.iter().zip(answer.outcomes()) {
            match outcome.fate(self.options.action) {
                Fate::Taken => {}
                Fate::Again => {
                    said = outcome.said();
                    again.push(item.clone());
                }
                Fate::Never => self.dead.put(
                    item.offset,
                    outcome.kind(),
                    outcome.reason(),
                    bulk.document(item),
                )?,
                Fate::Everybody => {
                    let text = format!(
                        "documents may not be written to index {} ({}); check that it exists or may be made, is not closed or read-only, and that the credential may write to it",
                        bulk.index(item),
                        outcome.said()
                    );
                    return Err(self.destination.failed(&text, None));
                }
            }
        }
        Ok((again, said))
    }
}

impl Consumer for Elasticsearch {
    fn name(&self) -> &str {
        &self.name
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, noted: u64) -> Result<u64, ConsumerError> {
        self.bulk = Bulk::default();
        Ok(noted)
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        let indices = targets(block, self.interest.indices.as_deref());
        for record in block.records()?.iter() {
            self.gather(block.offset, record, &indices)?;
        }
        Ok(())
    }

    fn commit(&mut self, _: u64) -> Result<(), ConsumerError> {
        self.send()?;
        self.dead.sync()
    }

    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// What a server says of itself at its root.
#[derive(Deserialize)]
pub(super) struct Greeting {
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    distribution: Option<String>,
}

impl Greeting {
    /// Its product and version.
    pub(super) fn product(self) -> Option<String> {
        let version = self.version?;
        let name = match version.distribution.as_deref() {
            Some("opensearch") => "OpenSearch",
            Some(other) => return Some(format!("{other} {}", version.number)),
            None => "Elasticsearch",
        };
        Some(format!("{name} {}", version.number))
    }
}

/// Asks a server who it is, with the credential.
///
/// # Errors
/// If it does not answer so.
pub(super) async fn greet(
    destination: &Destination,
    options: &Options,
) -> Result<String, ConsumerError> {
    let mut request = destination.request_below(Method::GET, "", "");
    if let Some(authorization) = &options.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let answered = destination
        .exchanged(request.body(bytes::Bytes::new()), ANSWER)
        .await?;
    if answered.status != StatusCode::OK {
        return Err(destination.refused(&answered));
    }
    let greeting: Option<Greeting> = serde_json::from_slice(&answered.body).ok();
    greeting.and_then(Greeting::product).ok_or_else(|| {
        destination.failed(
            "what answers there is neither Elasticsearch nor OpenSearch; check `url`",
            None,
        )
    })
}

#[cfg(test)]
mod tests;
