//! The searcher: whom the API and the command line ask, whatever the index.

use super::answer::SearchAnswer;
use super::documents;
use super::error::SearchError;
use super::parameters::Search;
use super::request::{Histogram, SearchRequest, SortKey, TimeAxis};
use crate::assets::AssetStore;
use connector_runtime::interflow::Index;
use std::sync::Arc;

/// Columns that a histogram has room for whose width was left to us.
const ROOM: u64 = 60;
/// The widths that it may have: round ones, in seconds, up to a year.
const WIDTHS: [u64; 16] = [
    1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000,
    31_536_000,
];

/// Somebody who answers searches of some index. It may block.
pub(crate) trait Searches: Send + Sync {
    /// Answers. `now_ms` is what `now` means in the query, in milliseconds since 1970.
    ///
    /// # Errors
    /// Why there is no answer.
    fn search(&self, request: &SearchRequest, now_ms: i64) -> Result<SearchAnswer, SearchError>;
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Searcher {
    records: Option<Arc<dyn Searches>>,
    assets: Option<Arc<dyn Searches>>,
}

impl Searcher {
    /// The same, with somebody who knows the records.
    #[must_use]
    pub(crate) fn with_records(mut self, records: Arc<dyn Searches>) -> Self {
        self.records = Some(records);
        self
    }

    /// The same, with somebody who knows the assets.
    #[must_use]
    pub(crate) fn with_assets(mut self, assets: Arc<dyn Searches>) -> Self {
        self.assets = Some(assets);
        self
    }

    /// Answers a search. It blocks.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) fn search(&self, search: &Search, now_ms: i64) -> Result<SearchAnswer, SearchError> {
        let index = search.request.index;
        let known = match index {
            Index::Assets => self.assets.as_ref(),
            Index::Syslog | Index::Scans => self.records.as_ref(),
        };
        let Some(known) = known else {
            return Err(SearchError::Unavailable(format!(
                "this host keeps no index to search {index} in: set `search.enabled` in its configuration, or use a build that has search"
            )));
        };
        match search.automatic {
            None => known.search(&search.request, now_ms),
            Some(axis) => {
                let mut request = search.request.clone();
                let interval_ms = width(known.as_ref(), &request, axis, now_ms)?;
                request.histogram = Some(Histogram { axis, interval_ms });
                known.search(&request, now_ms)
            }
        }
    }
}

/// How wide the columns are, so that what is found fits into the room there is.
fn width(
    known: &dyn Searches,
    request: &SearchRequest,
    axis: TimeAxis,
    now_ms: i64,
) -> Result<u64, SearchError> {
    let edge = |descending| {
        let field = documents::axis_field(request.index, axis).to_owned();
        let request = SearchRequest {
            from: 0,
            size: 1,
            sort: vec![SortKey { field, descending }],
            search_after: None,
            histogram: None,
            top: Vec::new(),
            ..request.clone()
        };
        let answer = known.search(&request, now_ms)?;
        let hit = answer.hits.hits.first();
        Ok::<_, SearchError>(hit.and_then(|hit| hit.sort.first()?.as_u64()))
    };
    let (first, last) = (edge(false)?.unwrap_or(0), edge(true)?.unwrap_or(0));
    Ok(round_width(last.saturating_sub(first)))
}

fn round_width(span_ms: u64) -> u64 {
    let widths = WIDTHS.iter().map(|seconds| seconds * 1_000);
    let widest = 31_536_000_000;
    let mut fitting = widths.filter(|width| span_ms / width < ROOM);
    fitting.next().unwrap_or(widest)
}

impl Searches for AssetStore {
    fn search(&self, request: &SearchRequest, now_ms: i64) -> Result<SearchAnswer, SearchError> {
        let unreadable = |error: crate::assets::AssetError| SearchError::Files(error.to_string());
        let mut failed = None;
        let documents = self.documents(&request.scope).map_err(unreadable)?;
        let documents = documents.map_while(|document| {
            document
                .map_err(|error| failed = Some(unreadable(error)))
                .ok()
        });
        let answer = documents::search(documents, request, now_ms);
        match failed {
            Some(error) => Err(error),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_round_columns_that_fit() {
        for (span, width) in [
            (0, 1_000),
            (59_999, 1_000),
            (60_000, 5_000),
            (3_600_000 * 24, 1_800_000),
            (86_400_000 * 365 * 3, 2_592_000_000),
            (u64::MAX, 31_536_000_000),
        ] {
            assert_eq!(round_width(span), width, "{span}");
        }
    }
}
