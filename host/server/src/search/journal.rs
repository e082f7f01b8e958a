//! The journal, searched record by record: what tests of the front doors search. Slow, and never wrong.
//!
//! Promises: one document a record id, the one that arrived last, whatever was replayed.

use super::answer::SearchAnswer;
use super::documents;
use super::error::SearchError;
use super::matching;
use super::request::SearchRequest;
use super::searcher::Searches;
use crate::connectors::Catalogue;
use connector_runtime::journal::{JournalError, StoredBlock};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Bits of a place in the order of arrival that say where in its block a record stands; the others are the block's offset.
const LINE_BITS: u32 = 20;

/// See the module.
pub(crate) struct JournalSearch {
    catalogue: Arc<Catalogue>,
}

impl JournalSearch {
    /// Over the journal of a catalogue.
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue }
    }

    fn blocks(
        &self,
        request: &SearchRequest,
    ) -> impl Iterator<Item = Result<StoredBlock, JournalError>> {
        self.catalogue.journal().blocks(Some(request.index), 0)
    }

    /// Where each record stands that arrived last of those with its id.
    fn places(&self, request: &SearchRequest) -> Result<HashMap<String, u64>, JournalError> {
        let mut places = HashMap::new();
        for block in self.blocks(request) {
            for (id, seq, _) in records(&block?)? {
                places.insert(id, seq);
            }
        }
        Ok(places)
    }
}

/// A block's records, each with its id and its place.
fn records(block: &StoredBlock) -> Result<Vec<(String, u64, Value)>, JournalError> {
    let lines = block.records()?;
    let records = lines.iter().zip(0..).filter_map(|(line, number)| {
        let record: Value = serde_json::from_slice(line).ok()?;
        let id = matching::id(&record)?.to_owned();
        Some((id, block.offset << LINE_BITS | number, record))
    });
    Ok(records.collect())
}

impl Searches for JournalSearch {
    fn search(&self, request: &SearchRequest, now_ms: i64) -> Result<SearchAnswer, SearchError> {
        let unreadable = |error: JournalError| SearchError::Files(error.to_string());
        let places = self.places(request).map_err(unreadable)?;
        let mut failed = None;
        let blocks = self.blocks(request).map_while(|block| {
            block
                .and_then(|block| records(&block))
                .map_err(|error| failed = Some(unreadable(error)))
                .ok()
        });
        let last = blocks
            .flatten()
            .filter(|(id, seq, _)| places.get(id) == Some(seq));
        let answer = documents::search(last, request, now_ms);
        match failed {
            Some(error) => Err(error),
            None => answer,
        }
    }
}
