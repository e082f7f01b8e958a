//! Search: questions about what was collected, in the syntax and the answer shape of Lucene and Elasticsearch.
//!
//! ```text
//! API, command line ─ parameters ─ searcher ─┬▶ index (Tantivy)      syslog, scans
//!                        │                   ├▶ journal              the same, where there is no index
//!                     lucene: text ─▶ query  └▶ documents, matching  assets
//!                     tenant, time ────┘
//! ```
//!
//! Promises: whose records are searched is decided by the caller's tenant, which is added to the parsed query and never to
//! its text. A mistake in a query is a sentence with its position. There is no time bound unless one is given.

pub(crate) mod analysis;
pub(crate) mod answer;
pub(crate) mod documents;
pub(crate) mod error;
pub(crate) mod journal;
#[cfg(feature = "search")]
pub(crate) mod index;
pub(crate) mod literal;
pub(crate) mod lucene;
pub(crate) mod matching;
pub(crate) mod parameters;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod searcher;
