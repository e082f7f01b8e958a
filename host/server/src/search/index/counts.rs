//! Counts: hits by time, and by the values of a field. They are exact, or refused.

use super::columns::{Cell, Columns};
use super::order::number_to_json;
use crate::search::documents::key_as_string;
use crate::search::error::SearchError;
use crate::search::literal::instant;
use crate::search::request::{Histogram, MOST_COLUMNS, TopValues};
use serde_json::{Value, json};
use std::collections::HashMap;
use tantivy::columnar::Column;
use tantivy::{DocId, SegmentReader, i64_to_u64};

/// The most different values of one field that are told apart.
const MOST_DIFFERENT: usize = 500_000;

/// The columns of a histogram by their number since 1970.
pub(super) type Bars = HashMap<u64, u64>;

/// Hits of a segment by time.
pub(super) struct Times {
    column: Column<u64>,
    interval_ms: u64,
    bars: Bars,
    // Documents that arrived together lie together.
    last: (u64, u64),
}

impl Times {
    pub(super) fn new(histogram: &Histogram, reader: &SegmentReader) -> tantivy::Result<Self> {
        Ok(Self {
            column: reader.fast_fields().u64(histogram.axis.field())?,
            interval_ms: histogram.interval_ms.max(1),
            bars: Bars::new(),
            last: (0, 0),
        })
    }

    pub(super) fn collect(&mut self, document: DocId) {
        let bar = self.column.first(document).unwrap_or_default() / self.interval_ms;
        if bar != self.last.0 {
            self.put_down();
            self.last = (bar, 0);
        }
        self.last.1 += 1;
    }

    fn put_down(&mut self) {
        let (bar, count) = self.last;
        if count > 0 {
            *self.bars.entry(bar).or_default() += count;
        }
    }

    pub(super) fn harvest(mut self) -> Bars {
        self.put_down();
        self.bars
    }
}

/// The histogram of all segments: every column between the first and the last.
///
/// # Errors
/// [`SearchError::TooManyColumns`].
pub(super) fn histogram(histogram: &Histogram, bars: &Bars) -> Result<Value, SearchError> {
    let interval_ms = histogram.interval_ms.max(1);
    let (first, last) = (bars.keys().min(), bars.keys().max());
    let mut buckets = Vec::new();
    if let (Some(first), Some(last)) = (first, last) {
        let columns = last - first + 1;
        if columns > MOST_COLUMNS {
            return Err(SearchError::TooManyColumns {
                columns,
                most: MOST_COLUMNS,
            });
        }
        for bar in *first..=*last {
            let key = bar * interval_ms;
            buckets.push(json!({
                "key": key,
                "key_as_string": key_as_string(key),
                "doc_count": bars.get(&bar).copied().unwrap_or_default(),
            }));
        }
    }
    Ok(json!({ "buckets": buckets }))
}

/// A value that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    Truth(bool),
    Number(u64),
    Text(String),
}

/// Hits by value; none if there are too many values.
pub(super) type Values = Option<HashMap<Counted, u64>>;

/// Hits of a segment by the values of a field.
pub(super) struct Tally {
    columns: Columns,
    texts: Vec<u32>,
    others: HashMap<Cell, u32>,
    cells: Vec<Cell>,
}

impl Tally {
    pub(super) fn new(column: &str, reader: &SegmentReader) -> tantivy::Result<Self> {
        let columns = Columns::open(reader, column)?;
        let texts = columns
            .texts
            .as_ref()
            .map_or(0, |column| column.num_terms());
        Ok(Self {
            columns,
            texts: vec![0; texts],
            others: HashMap::new(),
            cells: Vec::new(),
        })
    }

    pub(super) fn collect(&mut self, document: DocId) {
        let cells = &mut self.cells;
        cells.clear();
        self.columns.visit(document, |cell| cells.push(cell));
        // A document counts once for each of its values.
        if cells.len() > 1 {
            cells.sort_unstable();
            cells.dedup();
        }
        for cell in cells.iter() {
            match *cell {
                Cell::Text(place) => {
                    let count = usize::try_from(place)
                        .ok()
                        .and_then(|at| self.texts.get_mut(at));
                    if let Some(count) = count {
                        *count += 1;
                    }
                }
                // One more than may be tells that it is too many.
                cell if self.others.len() <= MOST_DIFFERENT || self.others.contains_key(&cell) => {
                    *self.others.entry(cell).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    pub(super) fn harvest(self) -> std::io::Result<Values> {
        let places: Vec<u64> = (0..)
            .zip(&self.texts)
            .filter_map(|(place, count)| (*count > 0).then_some(place))
            .collect();
        if places.len() > MOST_DIFFERENT || self.others.len() > MOST_DIFFERENT {
            return Ok(None);
        }
        let counts = self.texts.iter().filter(|count| **count > 0);
        let texts = self.columns.texts_at(&places)?;
        let mut values: HashMap<_, _> = texts
            .into_iter()
            .map(Counted::Text)
            .zip(counts.map(|count| u64::from(*count)))
            .collect();
        for (cell, count) in self.others {
            let value = match cell {
                Cell::Truth(truth) => Counted::Truth(truth),
                Cell::Number(number) => Counted::Number(number),
                Cell::Text(_) => continue,
            };
            values.insert(value, count.into());
        }
        Ok(Some(values))
    }
}

/// Adds the counts of a segment to those of others.
pub(super) fn add(sum: &mut Values, segment: Values) {
    let (Some(values), Some(segment)) = (sum.as_mut(), segment) else {
        *sum = None;
        return;
    };
    for (value, count) in segment {
        *values.entry(value).or_default() += count;
    }
    if values.len() > MOST_DIFFERENT {
        *sum = None;
    }
}

/// The most frequent values of all segments, those with the same count in their order.
///
/// # Errors
/// [`SearchError::Request`] if there are too many different values.
pub(super) fn top(
    asked: &TopValues,
    values: Option<&HashMap<Counted, u64>>,
) -> Result<Value, SearchError> {
    let Some(values) = values else {
        return Err(SearchError::Request(format!(
            "{} has more than {MOST_DIFFERENT} different values in what was found, which is more than can be counted: narrow the query or the time, or ask for another field",
            asked.field
        )));
    };
    let all: u64 = values.values().sum();
    let mut values: Vec<_> = values.iter().collect();
    values.sort_by(|(one, one_count), (two, two_count)| {
        two_count
            .cmp(one_count)
            .then_with(|| rank(one).cmp(&rank(two)))
    });
    values.truncate(asked.size);
    let shown: u64 = values.iter().map(|(_, count)| **count).sum();
    let buckets: Vec<_> = values
        .iter()
        .map(|(value, count)| json!({ "key": key(value), "doc_count": count }))
        .collect();
    Ok(json!({
        "doc_count_error_upper_bound": 0,
        "sum_other_doc_count": all - shown,
        "buckets": buckets,
    }))
}

fn rank(value: &Counted) -> (u8, u64, &str) {
    match value {
        Counted::Truth(truth) => (0, u64::from(*truth), ""),
        Counted::Number(number) => (1, *number, ""),
        Counted::Text(text) => match instant(text) {
            Some(moment) => (2, i64_to_u64(moment), text),
            None => (3, 0, text),
        },
    }
}

fn key(value: &Counted) -> Value {
    match value {
        Counted::Truth(truth) => (*truth).into(),
        Counted::Number(number) => number_to_json(super::columns::number_of(*number)),
        Counted::Text(text) => text.clone().into(),
    }
}
