//! The parameters of a search, as the API and the command line are given them, checked all at once.

use super::documents::key_as_string;
use super::literal::Literal;
use super::lucene::{self, Operator};
use super::query::Query;
use super::request::{
    DEEPEST, Histogram, MOST_HITS, MOST_VALUES, Scope, SearchRequest, SortKey, TimeAxis, TimeRange,
    TopValues,
};
use crate::api::problem::FieldError;
use crate::figures;
use connector_runtime::interflow::Index;
use serde_json::Value;
use std::time::Duration;
use utoipa::IntoParams;

/// How many hits are shown if nothing is said, as in Elasticsearch.
const SIZE: usize = 10;
/// How many values of a field are counted if nothing is said.
const VALUES: usize = 10;
/// The most fields of an order, and the most whose values are counted in one search.
const MOST_FIELDS: usize = 4;
/// The narrowest column of a histogram.
const NARROWEST: Duration = Duration::from_secs(1);

/// What is looked for, and how it is shown.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The query, in Lucene's syntax: `event.severity:>=4 AND NOT vulnerability.status:Fixed`. Nothing: everything.
    pub(crate) q: Option<String>,
    /// How many hits are left out first; with `size` at most 10,000. `search_after` goes deeper.
    #[param(value_type = Option<usize>, minimum = 0, default = 0)]
    pub(crate) from: Option<String>,
    /// How many hits are shown, at most 10,000. All are counted.
    #[param(value_type = Option<usize>, minimum = 0, maximum = 10000, default = 10)]
    pub(crate) size: Option<String>,
    /// `field`, `field:asc` or `field:desc`, several with commas. The newest arrivals come first if nothing is said, and among
    /// equals; what has no such field comes last.
    pub(crate) sort: Option<String>,
    /// Go on behind a hit: the JSON array that it has as `sort`.
    pub(crate) search_after: Option<String>,
    /// The time that `time_from`, `time_to` and `histogram` mean: `write_time`, when it was kept, or `timestamp`, when it happened. Of
    /// an asset both are `last_seen`.
    #[param(default = "write_time")]
    pub(crate) time_field: Option<String>,
    /// From this time on: milliseconds since 1970, `2026-03-01T09:15:00Z` or as much of it as is known, or `now-24h`.
    pub(crate) time_from: Option<String>,
    /// Up to this time, which does not belong to it; written like `time_from`.
    pub(crate) time_to: Option<String>,
    /// Count the hits by time, in columns as wide as this: `30s`, `15m`, `1h`, `1d`, or `auto`.
    pub(crate) histogram: Option<String>,
    /// Count the values that these fields have in the hits: `field` or `field:n` (the n most frequent, 10 if nothing is said), several with commas.
    pub(crate) top: Option<String>,
    /// How conditions are joined that have no operator between them: `OR` or `AND`.
    #[param(default = "OR")]
    pub(crate) default_operator: Option<String>,
    /// Only what belongs to this tenant, by name or id.
    pub(crate) tenant: Option<String>,
}

/// A search, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    pub(crate) request: SearchRequest,
    /// A histogram whose columns are as wide as fits what is found; the request has none then.
    pub(crate) automatic: Option<TimeAxis>,
}

impl Parameters {
    /// Takes them from the pairs of a query string.
    ///
    /// # Errors
    /// Names that are none, or that are there twice: all of them.
    pub(crate) fn of_pairs(pairs: Vec<(String, String)>) -> Result<Self, Vec<FieldError>> {
        let (mut parameters, mut mistakes) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            match parameters.slot(&name) {
                Some(slot) if slot.is_none() => *slot = Some(value),
                Some(_) => mistakes.push(mistake(&name, "is given more than once")),
                None => mistakes.push(mistake(
                    &name,
                    "there is no such parameter; /api/docs shows which there are",
                )),
            }
        }
        match mistakes.is_empty() {
            true => Ok(parameters),
            false => Err(mistakes),
        }
    }

    /// The pairs of a query string that says the same.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut copy = self.clone();
        let pairs = NAMES
            .iter()
            .filter_map(|name| Some((*name, copy.slot(name)?.take()?)));
        pairs.collect()
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "q" => &mut self.q,
            "from" => &mut self.from,
            "size" => &mut self.size,
            "sort" => &mut self.sort,
            "search_after" => &mut self.search_after,
            "time_field" => &mut self.time_field,
            "time_from" => &mut self.time_from,
            "time_to" => &mut self.time_to,
            "histogram" => &mut self.histogram,
            "top" => &mut self.top,
            "default_operator" => &mut self.default_operator,
            "tenant" => &mut self.tenant,
            _ => return None,
        })
    }

    /// How neighbours in the query are joined.
    ///
    /// # Errors
    /// If it is neither of the two.
    pub(crate) fn operator(&self) -> Result<Operator, FieldError> {
        match self.default_operator.as_deref() {
            None => Ok(Operator::Or),
            Some(text) if text.eq_ignore_ascii_case("or") => Ok(Operator::Or),
            Some(text) if text.eq_ignore_ascii_case("and") => Ok(Operator::And),
            Some(_) => Err(mistake("default_operator", "is neither OR nor AND")),
        }
    }

    /// The search that they mean. `scope` is whose records are searched, whatever `tenant` says; `now_ms` is now.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn check(
        &self,
        index: Index,
        scope: Scope,
        now_ms: i64,
    ) -> Result<Search, Vec<FieldError>> {
        let mut mistakes = Vec::new();
        let mut keep = |found: FieldError| mistakes.push(found);
        let operator = self.operator().unwrap_or_else(|error| {
            keep(error);
            Operator::Or
        });
        let query = lucene::parse(self.q.as_deref().unwrap_or_default(), operator);
        let query = query.unwrap_or_else(|error| {
            keep(mistake("q", error.to_string()));
            Query::All
        });
        let axis = match self.time_field.as_deref() {
            None | Some("write_time") => TimeAxis::WriteTime,
            Some("timestamp") => TimeAxis::Timestamp,
            Some(_) => {
                keep(mistake("time_field", "is neither write_time nor timestamp"));
                TimeAxis::WriteTime
            }
        };
        let from = number("from", self.from.as_deref(), 0).unwrap_or_else(|error| {
            keep(error);
            0
        });
        let size = number("size", self.size.as_deref(), SIZE).unwrap_or_else(|error| {
            keep(error);
            SIZE
        });
        if size > MOST_HITS {
            keep(mistake(
                "size",
                format!("is {MOST_HITS} at most; `search_after` goes on behind the last hit"),
            ));
        } else if from.saturating_add(size) > DEEPEST {
            keep(mistake(
                "from",
                format!("with size it is {DEEPEST} at most; `search_after` goes deeper"),
            ));
        }
        let mut listed = |found: Result<_, Vec<FieldError>>| {
            found.unwrap_or_else(|errors| {
                errors.into_iter().for_each(&mut keep);
                Vec::new()
            })
        };
        let sort = listed(self.order());
        let mut request = SearchRequest {
            index,
            query,
            scope,
            time: None,
            from,
            size,
            sort,
            search_after: None,
            histogram: None,
            top: Vec::new(),
        };
        match self.counted() {
            Ok(top) => request.top = top,
            Err(errors) => errors.into_iter().for_each(&mut keep),
        }
        match self.after(&request) {
            Ok(after) => request.search_after = after,
            Err(error) => keep(error),
        }
        match self.range(axis, now_ms) {
            Ok(time) => request.time = time,
            Err(errors) => errors.into_iter().for_each(&mut keep),
        }
        let mut automatic = None;
        match self.histogram.as_deref() {
            None => {}
            Some("auto") => automatic = Some(axis),
            Some(text) => match interval(text) {
                Ok(interval_ms) => request.histogram = Some(Histogram { axis, interval_ms }),
                Err(detail) => keep(mistake("histogram", detail)),
            },
        }
        match mistakes.is_empty() {
            true => Ok(Search { request, automatic }),
            false => Err(mistakes),
        }
    }

    fn order(&self) -> Result<Vec<SortKey>, Vec<FieldError>> {
        let text = self.sort.as_deref().unwrap_or_default();
        let keys = fields("sort", text, |part| {
            let (field, way) = part.rsplit_once(':').unwrap_or((part, "asc"));
            let descending = match way {
                "asc" => false,
                "desc" => true,
                _ => return Err(format!("{part:?} is not like field:desc or field:asc")),
            };
            Ok(SortKey {
                field: field.to_owned(),
                descending,
            })
        })?;
        for (place, key) in keys.iter().enumerate() {
            if keys[..place].iter().any(|other| other.field == key.field) {
                return Err(vec![mistake(
                    "sort",
                    format!("the field {} is there twice", key.field),
                )]);
            }
        }
        Ok(keys)
    }

    fn counted(&self) -> Result<Vec<TopValues>, Vec<FieldError>> {
        let text = self.top.as_deref().unwrap_or_default();
        fields("top", text, |part| {
            let (field, size) = match part.rsplit_once(':') {
                None => (part, VALUES),
                Some((field, size)) => {
                    let size = size.parse().ok();
                    let size = size.filter(|size| (1..=MOST_VALUES).contains(size));
                    let sentence =
                        || format!("{part:?} is not like field:10, from 1 to {MOST_VALUES}");
                    (field, size.ok_or_else(sentence)?)
                }
            };
            Ok(TopValues {
                field: field.to_owned(),
                size,
            })
        })
    }

    fn after(&self, request: &SearchRequest) -> Result<Option<Vec<Value>>, FieldError> {
        let Some(text) = &self.search_after else {
            return Ok(None);
        };
        let values: Vec<Value> = serde_json::from_str(text).map_err(|_| {
            mistake(
                "search_after",
                "is not a JSON array; take the one that the last hit has as `sort`",
            )
        })?;
        let order = request.order();
        let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
        if values.len() != order.len() || !values.iter().all(is_scalar) {
            let fields: Vec<_> = order.iter().map(|key| key.field.as_str()).collect();
            return Err(mistake(
                "search_after",
                format!(
                    "has not one value for each of {}; take the array that the last hit has as `sort`",
                    fields.join(", ")
                ),
            ));
        }
        if request.from > 0 {
            return Err(mistake(
                "from",
                "cannot be combined with search_after: leave it out",
            ));
        }
        Ok(Some(values))
    }

    fn range(&self, axis: TimeAxis, now_ms: i64) -> Result<Option<TimeRange>, Vec<FieldError>> {
        let mut mistakes = Vec::new();
        let mut moment = |name: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            let read = Literal::read(text, now_ms).milliseconds();
            let first = read.and_then(|(first, _)| u64::try_from(first).ok());
            if first.is_none() {
                mistakes.push(mistake(
                    name,
                    "is no time: write 2026-03-01, 2026-03-01T09:15:00Z, now-24h, or milliseconds since 1970",
                ));
            }
            first
        };
        let from_ms = moment("time_from", &self.time_from);
        let to_ms = moment("time_to", &self.time_to);
        if let Some((from, to)) = from_ms.zip(to_ms)
            && from >= to
        {
            mistakes.push(mistake(
                "time_to",
                format!(
                    "{} does not lie behind time_from, {}",
                    key_as_string(to),
                    key_as_string(from)
                ),
            ));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let is_bound = from_ms.is_some() || to_ms.is_some();
        Ok(is_bound.then_some(TimeRange {
            axis,
            from_ms,
            to_ms,
        }))
    }
}

/// All parameters, in the order in which they are shown.
const NAMES: [&str; 12] = [
    "q",
    "from",
    "size",
    "sort",
    "search_after",
    "time_field",
    "time_from",
    "time_to",
    "histogram",
    "top",
    "default_operator",
    "tenant",
];

fn mistake(key: &str, detail: impl Into<String>) -> FieldError {
    FieldError {
        key: Some(key.to_owned()),
        detail: detail.into(),
    }
}

fn number(key: &str, text: Option<&str>, default: usize) -> Result<usize, FieldError> {
    match text {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| mistake(key, "is no whole number from 0 on")),
    }
}

/// Reads what stands between commas.
fn fields<T>(
    key: &str,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<FieldError>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for part in text.split(',').map(str::trim) {
        if part.is_empty() || part.starts_with(':') {
            mistakes.push(mistake(
                key,
                "a field is missing between two commas, or before a colon",
            ));
            continue;
        }
        match read(part) {
            Ok(field) => found.push(field),
            Err(detail) => mistakes.push(mistake(key, detail)),
        }
    }
    if found.len() > MOST_FIELDS {
        mistakes.push(mistake(key, format!("takes {MOST_FIELDS} fields at most")));
    }
    match mistakes.is_empty() {
        true => Ok(found),
        false => Err(mistakes),
    }
}

/// Reads a time's length: as everywhere, and whole days (`1d`) and weeks (`1w`).
///
/// # Errors
/// With what can be written.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 3600;
    for (letter, seconds) in [('d', DAY), ('w', 7 * DAY)] {
        let number = text.trim().strip_suffix(letter);
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok())
            && let Some(seconds) = number.checked_mul(seconds)
        {
            return Ok(Duration::from_secs(seconds));
        }
    }
    figures::parse_duration(text)
        .map_err(|_| "not a length of time; write it like 30s, 15m, 24h or 7d".into())
}

fn interval(text: &str) -> Result<u64, String> {
    let length = length(text)?;
    if length < NARROWEST {
        return Err("a column is a second wide at least".into());
    }
    u64::try_from(length.as_millis())
        .ok()
        .filter(|ms| *ms <= 1 << 50)
        .ok_or_else(|| "wider than all time".into())
}

#[cfg(test)]
mod tests;
