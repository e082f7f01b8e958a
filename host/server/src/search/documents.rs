//! Documents, searched one by one: no index, so for what is few, and as the model of what an index answers.
//!
//! Promises: exact counts; a total order; the same answer for the same documents, in whatever order they come.

use super::analysis::LONGEST_TERM;
use super::answer::{Hit, SearchAnswer};
use super::error::SearchError;
use super::literal::instant;
use super::matching::{Matcher, visit};
use super::request::{Histogram, MOST_COLUMNS, SearchRequest, SortKey, TimeAxis, TopValues};
use connector_runtime::interflow::Index;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Instant;

/// The order of arrival, which ends every order.
pub(crate) const SEQ: &str = "seq";

/// Searches documents, each with its id and its place in the order of arrival. `now_ms` is what `now` means in the query.
///
/// # Errors
/// If the histogram would have too many columns.
pub(crate) fn search(
    documents: impl Iterator<Item = (String, u64, Value)>,
    request: &SearchRequest,
    now_ms: i64,
) -> Result<SearchAnswer, SearchError> {
    let begin = Instant::now();
    let matcher = Matcher::new(&request.query, request.index, now_ms);
    let order = request.order();
    let mut found: Vec<Found> = documents
        .filter(|(_, _, document)| is_in_scope(document, request) && matcher.matches(document))
        .map(|(id, seq, document)| Found {
            keys: order.iter().map(|key| place(&document, seq, key)).collect(),
            id,
            document,
        })
        .collect();
    found.sort_by(|a, b| compare(&order, &a.keys, &b.keys));
    let mut aggregations = Map::new();
    if let Some(histogram) = request.histogram {
        let columns = columns(&found, request.index, histogram)?;
        aggregations.insert("histogram".into(), columns);
    }
    for top in &request.top {
        let values = top_values(&found, top);
        aggregations.insert(format!("top_{}", top.field), values);
    }
    let total = found.len() as u64;
    let after = request.search_after.as_ref().map(|values| {
        let keys = values.iter().map(key_of);
        keys.collect::<Vec<_>>()
    });
    let hits = found
        .into_iter()
        .filter(|found| {
            let behind =
                |after: &Vec<Key>| compare(&order, &found.keys, after) == Ordering::Greater;
            after.as_ref().is_none_or(behind)
        })
        .skip(request.from)
        .take(request.size)
        .map(|found| Hit {
            index: request.index.id().into(),
            id: found.id,
            score: None,
            sort: found.keys.into_iter().map(Key::into_value).collect(),
            source: found.document,
        });
    let hits = hits.collect();
    let took = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(SearchAnswer::new(took, total, hits, aggregations))
}

struct Found {
    id: String,
    document: Value,
    keys: Vec<Key>,
}

/// The field that an index has for a time axis: an asset was last seen when it was last written about.
pub(crate) const fn axis_field(index: Index, axis: TimeAxis) -> &'static str {
    match index {
        Index::Assets => "last_seen",
        Index::Syslog | Index::Scans => axis.field(),
    }
}

fn is_in_scope(document: &Value, request: &SearchRequest) -> bool {
    let tenant = document.get("tenantid").and_then(Value::as_str);
    let is_theirs = match &request.scope.tenant {
        None => true,
        Some(id) => tenant == Some(id),
    };
    is_theirs
        && request.time.is_none_or(|time| {
            moment(document, axis_field(request.index, time.axis)).is_some_and(|moment| {
                time.from_ms.is_none_or(|from| moment >= from)
                    && time.to_ms.is_none_or(|to| moment < to)
            })
        })
}

fn moment(document: &Value, field: &str) -> Option<u64> {
    document.get(field).and_then(Value::as_u64)
}

/// A value of an order. Numbers come before times, times before texts; what is missing comes last, either way.
#[derive(Clone, Debug)]
enum Key {
    Truth(bool),
    Number(serde_json::Number),
    Time(i64, String),
    Text(String),
    Missing,
}

fn key_of(value: &Value) -> Key {
    match value {
        Value::Bool(truth) => Key::Truth(*truth),
        Value::Number(number) => Key::Number(number.clone()),
        Value::String(text) if text.len() > LONGEST_TERM => Key::Missing,
        Value::String(text) => match instant(text) {
            Some(moment) => Key::Time(moment, text.clone()),
            None => Key::Text(text.clone()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Key::Missing,
    }
}

/// Numbers beyond 2^53 are told apart if they are whole.
fn compare_numbers(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    let whole = |number: &serde_json::Number| {
        let positive = number.as_u64().map(i128::from);
        positive.or_else(|| number.as_i64().map(i128::from))
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => {
            let float = |number: &serde_json::Number| number.as_f64().unwrap_or(f64::MAX);
            float(a).total_cmp(&float(b))
        }
    }
}

impl Key {
    fn rank(&self) -> u8 {
        match self {
            Self::Truth(_) => 0,
            Self::Number(_) => 1,
            Self::Time(..) => 2,
            Self::Text(_) => 3,
            Self::Missing => 4,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Truth(a), Self::Truth(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => compare_numbers(a, b),
            (Self::Time(a, _), Self::Time(b, _)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Truth(truth) => Value::Bool(truth),
            Self::Number(number) => Value::Number(number),
            Self::Time(_, text) | Self::Text(text) => Value::String(text),
            Self::Missing => Value::Null,
        }
    }
}

/// Of several values the smallest counts, or downwards the largest.
fn place(document: &Value, seq: u64, key: &SortKey) -> Key {
    if key.field == SEQ {
        return Key::Number(seq.into());
    }
    let mut best = Key::Missing;
    visit(document, &key.field, &mut |value| {
        let candidate = key_of(value);
        if compare_keys(key.descending, &candidate, &best) == Ordering::Less {
            best = candidate;
        }
    });
    best
}

fn compare_keys(descending: bool, a: &Key, b: &Key) -> Ordering {
    match (a, b) {
        (Key::Missing, Key::Missing) => Ordering::Equal,
        (Key::Missing, _) => Ordering::Greater,
        (_, Key::Missing) => Ordering::Less,
        (a, b) if descending => b.cmp(a),
        (a, b) => a.cmp(b),
    }
}

fn compare(order: &[SortKey], a: &[Key], b: &[Key]) -> Ordering {
    let keys = order.iter().zip(a.iter().zip(b));
    keys.map(|(key, (a, b))| compare_keys(key.descending, a, b))
        .find(|ordering| *ordering != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

fn columns(found: &[Found], index: Index, histogram: Histogram) -> Result<Value, SearchError> {
    let interval = histogram.interval_ms.max(1);
    let field = axis_field(index, histogram.axis);
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for found in found {
        if let Some(moment) = moment(&found.document, field) {
            *counts.entry(moment / interval).or_default() += 1;
        }
    }
    let first = counts.keys().next().copied();
    let last = counts.keys().next_back().copied();
    let Some((first, last)) = first.zip(last) else {
        return Ok(json!({"buckets": []}));
    };
    if last - first >= MOST_COLUMNS {
        return Err(SearchError::TooManyColumns {
            columns: last - first + 1,
            most: MOST_COLUMNS,
        });
    }
    let buckets: Vec<Value> = (first..=last)
        .map(|column| {
            let key = column.saturating_mul(interval);
            let count = counts.get(&column).copied().unwrap_or(0);
            json!({"key": key, "key_as_string": key_as_string(key), "doc_count": count})
        })
        .collect();
    Ok(json!({ "buckets": buckets }))
}

/// `2026-03-01T09:15:00.000Z`.
pub(crate) fn key_as_string(ms: u64) -> String {
    let moment = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| ms.to_string(), |moment| format!("{moment:.3}"))
}

fn top_values(found: &[Found], top: &TopValues) -> Value {
    // By the value as text of JSON, so that each counts once a document; numbers by what they are.
    let mut counts: BTreeMap<String, (Key, u64)> = BTreeMap::new();
    for found in found {
        let mut seen: BTreeMap<String, Key> = BTreeMap::new();
        visit(&found.document, &top.field, &mut |value| {
            let name = match value {
                Value::Number(number) => number.as_f64().map(|number| number.to_string()),
                value => Some(value.to_string()),
            };
            match (key_of(value), name) {
                (Key::Missing, _) | (_, None) => {}
                (key, Some(name)) => {
                    seen.insert(name, key);
                }
            }
        });
        for (name, key) in seen {
            counts.entry(name).or_insert((key, 0)).1 += 1;
        }
    }
    let mut counts: Vec<(Key, u64)> = counts.into_values().collect();
    counts.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    let others: u64 = counts.iter().skip(top.size).map(|(_, count)| count).sum();
    let buckets: Vec<Value> = counts
        .into_iter()
        .take(top.size)
        .map(|(key, count)| json!({"key": key.into_value(), "doc_count": count}))
        .collect();
    json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": buckets})
}

#[cfg(test)]
mod tests;
