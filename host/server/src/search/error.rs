//! Why a search was not answered.

use super::lucene::QueryError;

/// See the module. A search is answered whole or not at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// The query cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A histogram would have too many columns.
    #[error(
        "the histogram would have {columns} columns and has {most} at most: ask for a wider interval or a shorter time"
    )]
    TooManyColumns {
        /// How many it would have.
        columns: u64,
        /// How many it may have.
        most: u64,
    },
    /// What is asked for together does not fit; a whole sentence.
    #[error("{0}")]
    Request(String),
    /// Nobody here answers for this index; a whole sentence.
    #[error("{0}")]
    Unavailable(String),
    /// What is searched cannot be read; a whole sentence that names it.
    #[error("{0}")]
    Files(String),
}

impl SearchError {
    /// Whether whoever asked can put it right by asking otherwise.
    pub(crate) const fn is_of_the_request(&self) -> bool {
        matches!(
            self,
            Self::Query(_) | Self::TooManyColumns { .. } | Self::Request(_)
        )
    }
}
