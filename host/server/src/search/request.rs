//! A search, checked: what the API and the command line hand to whoever answers it.

use super::documents::SEQ;
use super::query::Query;
use connector_runtime::interflow::Index;
use serde_json::Value;

/// The most hits in one answer.
pub(crate) const MOST_HITS: usize = 10_000;
/// The deepest hit that `from` reaches; beyond it, `search_after` goes on.
pub(crate) const DEEPEST: usize = 10_000;
/// The most values of one field that are counted.
pub(crate) const MOST_VALUES: usize = 1_000;
/// The most columns of a histogram.
pub(crate) const MOST_COLUMNS: u64 = 2_000;

/// Whose records are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The tenant's id, 32 hexadecimal digits; none: every tenant's.
    pub(crate) tenant: Option<String>,
}

/// One search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchRequest {
    /// Where.
    pub(crate) index: Index,
    /// What for.
    pub(crate) query: Query,
    /// Whose.
    pub(crate) scope: Scope,
    /// When; none: at any time.
    pub(crate) time: Option<TimeRange>,
    /// How many hits are left out at the beginning, at most [`DEEPEST`] together with `size`.
    pub(crate) from: usize,
    /// How many hits are shown, at most [`MOST_HITS`]. All are counted.
    pub(crate) size: usize,
    /// The order of the hits. An order by `seq`, the order of arrival, is added at its end, so that it is total. Empty: the
    /// newest arrivals first.
    pub(crate) sort: Vec<SortKey>,
    /// Go on behind the hit with these values of its `sort`.
    pub(crate) search_after: Option<Vec<Value>>,
    /// Count the hits by time.
    pub(crate) histogram: Option<Histogram>,
    /// Count the values that some fields have in the hits.
    pub(crate) top: Vec<TopValues>,
}

impl SearchRequest {
    /// The whole order: what was asked for, and the newest arrivals first where that says nothing more.
    pub(crate) fn order(&self) -> Vec<SortKey> {
        let mut order = self.sort.clone();
        if !order.iter().any(|key| key.field == SEQ) {
            order.push(SortKey {
                field: SEQ.into(),
                descending: true,
            });
        }
        order
    }
}

/// A record's two times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeAxis {
    /// When it was committed: `write_time`.
    #[default]
    WriteTime,
    /// When it happened: `timestamp`.
    Timestamp,
}

impl TimeAxis {
    /// The field.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::WriteTime => "write_time",
            Self::Timestamp => "timestamp",
        }
    }
}

/// From a moment (included) to another (not included), in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) axis: TimeAxis,
    pub(crate) from_ms: Option<u64>,
    pub(crate) to_ms: Option<u64>,
}

/// One key of an order. Documents without the field come last, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    /// A dotted path.
    pub(crate) field: String,
    /// The largest first.
    pub(crate) descending: bool,
}

/// Counts by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Histogram {
    pub(crate) axis: TimeAxis,
    /// The width of a column, in milliseconds; columns begin at its multiples.
    pub(crate) interval_ms: u64,
}

/// The most frequent values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopValues {
    /// A dotted path.
    pub(crate) field: String,
    /// How many, at most [`MOST_VALUES`].
    pub(crate) size: usize,
}
