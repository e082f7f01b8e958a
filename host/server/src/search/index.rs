//! The search index: Tantivy, one document for each record id, in the folder `index` of the data directory.
//!
//! ```text
//! blocks ─▶ consumer ─▶ document ─▶ tokenizer ─▶ segments
//!                                                   │ reload after each commit
//! request ─▶ clause (terms, wildcard) ─▶ gather (order, counts) ─▶ answer
//! ```
//!
//! Promises: a search sees a whole commit or nothing of it; all hits are counted, none is estimated; the order is total. Tenant,
//! index and retention are conditions around the parsed query, which nothing in it can take away.

mod clause;
mod columns;
mod consumer;
mod counts;
mod document;
mod folder;
mod gather;
mod order;
mod plain;
mod retention;
mod schema;
mod terms;
mod tokenizer;
mod wildcard;

pub(crate) use consumer::{IndexConsumer, NAME};

use super::answer::{Hit, SearchAnswer};
use super::error::SearchError;
use super::request::{DEEPEST, MOST_HITS, MOST_VALUES, SearchRequest};
use crate::config::search::Retention;
use clause::Clauses;
use connector_runtime::interflow::Index as Listed;
use folder::{Note, Opened};
use gather::{Found, Gather};
use order::{MOST_KEYS, Order, Placed, Shown};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tantivy::collector::Count;
use tantivy::query::{BooleanQuery, Query, TermQuery};
use tantivy::schema::document::Value as _;
use tantivy::schema::{IndexRecordOption, TantivyDocument, Term};
use tantivy::{Searcher, TantivyError};

/// Reads the index, also while it is written. Shared by all who search.
pub(crate) struct SearchIndex {
    folder: PathBuf,
    retention: Retention,
    opened: Mutex<Option<Opened>>,
}

/// How the index is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct IndexStatus {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// How many records it holds.
    pub(crate) documents: u64,
    /// How many bytes its files have.
    pub(crate) bytes: u64,
    /// The offset of the last block that it holds.
    pub(crate) offset: u64,
    /// How many of them each index shows.
    pub(crate) indices: Vec<IndexCount>,
}

/// What one index shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct IndexCount {
    /// Its name.
    pub(crate) index: String,
    /// How many records.
    pub(crate) documents: u64,
    /// When the oldest of them arrived, in milliseconds since 1970.
    pub(crate) oldest_ms: Option<u64>,
}

/// One commit, as it is searched.
struct Commit {
    searcher: Searcher,
    fields: schema::Fields,
    note: Note,
}

impl SearchIndex {
    /// The index of a data directory. Its folder need not be there yet.
    pub(crate) fn new(data: &Path, retention: Retention) -> Self {
        Self {
            folder: folder::path(data),
            retention,
            opened: Mutex::new(None),
        }
    }

    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Answers a search.
    ///
    /// # Errors
    /// [`SearchError`]; nothing is answered in part.
    pub(crate) fn search(
        &self,
        request: &SearchRequest,
        now_ms: u64,
    ) -> Result<SearchAnswer, SearchError> {
        let started = Instant::now();
        let gather = plan(request)?;
        let Some(commit) = self.commit()? else {
            return Err(SearchError::Unavailable(
                "there is no search index yet: it is built while `connector-host serve` runs, or by the next search on the command line".into(),
            ));
        };
        let query = self.query(request, &commit, now_ms);
        let found = commit.searcher.search(&query, &gather);
        let found = found.map_err(|error| self.unreadable(&error))?;
        let aggregations = aggregations(request, &found)?;
        let mut hits = Vec::new();
        for placed in found.hits.iter().skip(request.from).take(request.size) {
            hits.push(self.hit(request.index, placed, &commit)?);
        }
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(SearchAnswer::new(took, found.total, hits, aggregations))
    }

    /// How it is; none if there is none.
    ///
    /// # Errors
    /// [`SearchError::Files`].
    pub(crate) fn status(&self, now_ms: u64) -> Result<Option<IndexStatus>, SearchError> {
        let Some(commit) = self.commit()? else {
            return Ok(None);
        };
        let mut indices = Vec::new();
        for index in [Listed::Syslog, Listed::Scans] {
            let shown = self
                .retention
                .shown(index, &commit.fields, &commit.note, now_ms);
            let query = BooleanQuery::intersection(shown);
            let oldest = gather::Oldest;
            let found = commit.searcher.search(&query, &(Count, oldest));
            let (documents, oldest_ms) = found.map_err(|error| self.unreadable(&error))?;
            indices.push(IndexCount {
                index: index.id().to_owned(),
                documents: documents as u64,
                oldest_ms,
            });
        }
        let bytes = folder::bytes(&self.folder).map_err(|error| self.unreadable(&error.into()))?;
        Ok(Some(IndexStatus {
            folder: self.folder.clone(),
            documents: commit.searcher.num_docs(),
            bytes,
            offset: commit.note.offset,
            indices,
        }))
    }

    fn unreadable(&self, error: &TantivyError) -> SearchError {
        SearchError::Files(format!(
            "the search index {} cannot be read ({error}); `connector-host index rebuild` builds it anew from the journal",
            self.folder.display()
        ))
    }

    /// The last commit; none if there is no index.
    fn commit(&self) -> Result<Option<Commit>, SearchError> {
        if !folder::exists(&self.folder) {
            return Ok(None);
        }
        let mut guard = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let current = |opened: &mut Option<Opened>| -> Result<Commit, TantivyError> {
            let opened = match opened {
                Some(there) => {
                    let note = Note::read(&there.index)?;
                    if note.generation == there.note.generation {
                        // Also when the note is the same: merged segments are gone from the disk some day.
                        there.reader.reload()?;
                        // Read again: one that is older than what is searched could show what has expired.
                        there.note = Note::read(&there.index)?;
                    } else {
                        *there = folder::open(&self.folder)?;
                    }
                    there
                }
                None => opened.insert(folder::open(&self.folder)?),
            };
            Ok(Commit {
                searcher: opened.reader.searcher(),
                fields: opened.fields,
                note: opened.note.clone(),
            })
        };
        // A folder that was begun anew, or a segment that was merged away, between two looks at it.
        let commit = current(&mut guard).or_else(|_| {
            *guard = None;
            current(&mut guard)
        });
        commit.map(Some).map_err(|error| self.unreadable(&error))
    }

    fn query(&self, request: &SearchRequest, commit: &Commit, now_ms: u64) -> BooleanQuery {
        let fields = &commit.fields;
        let mut clauses: Vec<Box<dyn Query>> =
            self.retention
                .shown(request.index, fields, &commit.note, now_ms);
        if let Some(tenant) = &request.scope.tenant {
            let term = Term::from_field_text(fields.tenant, tenant);
            clauses.push(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
        }
        if let Some(time) = request.time {
            let field = match time.axis {
                super::request::TimeAxis::WriteTime => fields.write_time,
                super::request::TimeAxis::Timestamp => fields.timestamp,
            };
            let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            clauses.push(clause::between(
                field,
                time.from_ms.map(signed),
                time.to_ms.map(signed),
            ));
        }
        let parsed = Clauses {
            fields,
            now_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
        };
        clauses.push(parsed.of(&request.query));
        BooleanQuery::intersection(clauses)
    }

    fn hit(&self, index: Listed, placed: &Placed, commit: &Commit) -> Result<Hit, SearchError> {
        let document = commit.searcher.doc::<TantivyDocument>(placed.address);
        let document = document.map_err(|error| self.unreadable(&error))?;
        let source = document
            .get_first(commit.fields.source)
            .and_then(|source| source.as_str())
            .and_then(document::shown);
        let source = source.ok_or_else(|| {
            self.unreadable(&TantivyError::InvalidArgument(
                "a record in it is damaged".into(),
            ))
        })?;
        let id = source["stellar_uuid"].as_str().unwrap_or_default();
        let id = id.get(..36).unwrap_or(id).to_owned();
        Ok(Hit {
            index: index.id().to_owned(),
            id,
            score: None,
            source,
            sort: placed.keys.iter().map(Shown::to_json).collect(),
        })
    }
}

/// The column of a field, for orders and counts.
fn column(field: &str) -> Result<String, SearchError> {
    match field {
        "_id" | "stellar_uuid" => Err(SearchError::Request(format!(
            "{field} is another one for each record: there is no order of it, and nothing to count; choose another field"
        ))),
        "timestamp" | "write_time" | schema::SEQ => Ok(field.to_owned()),
        path => Ok(clause::column(path)),
    }
}

fn plan(request: &SearchRequest) -> Result<Gather, SearchError> {
    let wrong = |message: String| Err(SearchError::Request(message));
    if request.index == Listed::Assets {
        return Err(SearchError::Unavailable(
            "assets are no records: they are searched in the asset table".into(),
        ));
    }
    if request.size > MOST_HITS || request.from + request.size > DEEPEST.max(MOST_HITS) {
        return wrong(format!(
            "at most {MOST_HITS} hits are shown, and from + size reaches at most {DEEPEST}: go on with search_after"
        ));
    }
    let order = request.order();
    if order.len() > MOST_KEYS {
        return wrong(format!("an order has at most {} fields", MOST_KEYS - 1));
    }
    let mut keys = Vec::new();
    for key in &order {
        keys.push((column(&key.field)?, key.descending));
    }
    let after = match &request.search_after {
        None => None,
        Some(values) => {
            let shown: Option<Vec<_>> = values.iter().map(Shown::from_json).collect();
            match shown {
                Some(shown) if shown.len() == keys.len() => Some(shown),
                _ => {
                    return wrong(
                        "search_after takes the values of `sort` of the last hit, for the same order"
                            .into(),
                    );
                }
            }
        }
    };
    if let Some(asked) = request.top.iter().find(|asked| asked.size > MOST_VALUES) {
        return wrong(format!(
            "at most {MOST_VALUES} values of {} are counted",
            asked.field
        ));
    }
    let top = request.top.iter().map(|asked| column(&asked.field));
    Ok(Gather {
        order: Order { keys },
        most: match request.size {
            0 => 0,
            size => request.from + size,
        },
        after,
        histogram: request.histogram,
        top: top.collect::<Result<_, _>>()?,
    })
}

fn aggregations(request: &SearchRequest, found: &Found) -> Result<Map<String, Value>, SearchError> {
    let mut aggregations = Map::new();
    if let Some(asked) = &request.histogram {
        let histogram = counts::histogram(asked, &found.bars)?;
        aggregations.insert("histogram".into(), histogram);
    }
    for (asked, values) in request.top.iter().zip(&found.values) {
        let top = counts::top(asked, values.as_ref())?;
        aggregations.insert(format!("top_{}", asked.field), top);
    }
    Ok(aggregations)
}

#[cfg(test)]
mod tests;
