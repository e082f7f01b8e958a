//! Clauses: a parsed query as Tantivy's queries.
//!
//! Promises: what a condition means is what [`crate::search::query`] says, on numbers, times, truth values and texts of the
//! body, and on the fields that stand outside it: `_id` and `stellar_uuid`, `timestamp` and `write_time`.

use super::document::identity;
use super::plain::Plain;
use super::schema::{BODY, Fields};
use super::terms::{MatchingTerms, MatchingTexts};
use super::tokenizer::LONG;
use super::wildcard::Wildcard;
use crate::search::analysis::{whole, words};
use crate::search::literal::{self, Literal};
use crate::search::query::{Bound, Condition, DEFAULT_FIELDS, Query as Asked, Test};
use std::ops::Bound as Limit;
use std::sync::Arc;
use tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, ExistsQuery, Occur, PhraseQuery, Query, RangeQuery,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption, Term};

type Clause = Box<dyn Query>;

/// Beyond it, not every whole number has a floating-point number of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Translates queries.
pub(super) struct Clauses<'a> {
    pub(super) fields: &'a Fields,
    /// What `now` means, in milliseconds since 1970.
    pub(super) now_ms: i64,
}

/// What a field of a query is.
enum Place<'a> {
    /// The record's id.
    Id,
    /// Milliseconds since 1970.
    Moment(Field),
    /// A path in the body.
    Body(&'a str),
}

impl Clauses<'_> {
    /// The clause of a query.
    pub(super) fn of(&self, query: &Asked) -> Clause {
        match query {
            Asked::All => Box::new(AllQuery),
            Asked::And(parts) => self.all_of(parts),
            Asked::Or(parts) => any(parts.iter().map(|part| self.of(part)).collect()),
            Asked::Not(part) => self.all_of(&[Asked::Not(part.clone())]),
            Asked::Condition(condition) => self.condition(condition),
        }
    }

    fn all_of(&self, parts: &[Asked]) -> Clause {
        let mut clauses: Vec<(Occur, Clause)> = Vec::new();
        for part in parts {
            clauses.push(match part {
                Asked::Not(part) => (Occur::MustNot, self.of(part)),
                part => (Occur::Must, self.of(part)),
            });
        }
        // What is left out is left out of something.
        if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    fn condition(&self, condition: &Condition) -> Clause {
        match &condition.field {
            Some(field) => self.test(field, &condition.test),
            None => any(DEFAULT_FIELDS
                .iter()
                .map(|field| self.test(field, &condition.test))
                .collect()),
        }
    }

    fn test(&self, field: &str, test: &Test) -> Clause {
        match self.place(field) {
            Place::Id => self.id(test),
            Place::Moment(field) => self.moment(field, test),
            Place::Body(path) => self.body(path, test),
        }
    }

    fn place<'f>(&self, field: &'f str) -> Place<'f> {
        match field {
            "_id" | "stellar_uuid" => Place::Id,
            "timestamp" => Place::Moment(self.fields.timestamp),
            "write_time" => Place::Moment(self.fields.write_time),
            path => Place::Body(path),
        }
    }

    /// The 36 characters, or the 49 with the time of the event.
    fn id(&self, test: &Test) -> Clause {
        let id = match test {
            Test::Exists => return Box::new(AllQuery),
            Test::Value(text) | Test::Phrase(text) => text.trim(),
            // An id has no parts that mean anything, and no order.
            Test::Wildcard(_) | Test::Range { .. } => return Box::new(EmptyQuery),
        };
        let Some(bytes) = identity(id) else {
            return Box::new(EmptyQuery);
        };
        let found = term(Term::from_field_bytes(self.fields.id, &bytes));
        let suffix = id.get(36..).unwrap_or_default();
        if suffix.is_empty() {
            return found;
        }
        match suffix.parse() {
            Ok(ms) if suffix.len() == 13 => {
                let timestamp = term(Term::from_field_u64(self.fields.timestamp, ms));
                Box::new(BooleanQuery::intersection(vec![found, timestamp]))
            }
            _ => Box::new(EmptyQuery),
        }
    }

    fn moment(&self, field: Field, test: &Test) -> Clause {
        let span = |text: &str| Literal::read(text, self.now_ms).milliseconds();
        let (from, to) = match test {
            Test::Exists => return Box::new(AllQuery),
            Test::Wildcard(_) => return Box::new(EmptyQuery),
            Test::Value(text) | Test::Phrase(text) => match span(text) {
                Some((first, behind)) => (Some(first), Some(behind)),
                None => return Box::new(EmptyQuery),
            },
            Test::Range { from, to } => match limits(from, to, span) {
                Some(limits) => limits,
                None => return Box::new(EmptyQuery),
            },
        };
        between(field, from, to)
    }

    fn body(&self, path: &str, test: &Test) -> Clause {
        match test {
            Test::Exists => self.exists(path),
            Test::Value(text) | Test::Phrase(text) => self.value(path, text),
            Test::Wildcard(pieces) => {
                let wildcard = Wildcard::new(pieces);
                let mut path = self.path(path);
                path.append_type_and_str("");
                Box::new(MatchingTerms {
                    field: self.fields.body,
                    path: path.serialized_value_bytes().to_vec(),
                    begins: wildcard.begins(),
                    matches: Arc::new(move |term| wildcard.matches(term)),
                })
            }
            Test::Range { from, to } => self.range(path, from, to),
        }
    }

    fn exists(&self, path: &str) -> Clause {
        Box::new(Plain(ExistsQuery::new(column(path), true)))
    }

    fn path(&self, path: &str) -> Term {
        Term::from_field_json_path(self.fields.body, path, true)
    }

    fn text_term(&self, path: &str, text: &str) -> Term {
        let mut term = self.path(path);
        term.append_type_and_str(text);
        term
    }

    fn value(&self, path: &str, text: &str) -> Clause {
        let mut clauses: Vec<Clause> = Vec::new();
        let words: Vec<_> = words(text).collect();
        match whole(text) {
            // It has no terms.
            Some(whole) if whole.is_empty() => clauses.push(Box::new(MatchingTexts {
                column: column(path),
                matches: Arc::new(|text| text.trim().is_empty()),
            })),
            Some(whole) => clauses.push(term(self.text_term(path, &whole))),
            None => {}
        }
        match words.as_slice() {
            [] => {}
            [word] => clauses.push(term(self.text_term(path, word))),
            words => {
                let terms = words.iter().map(|word| self.text_term(path, word));
                clauses.push(Box::new(Plain(PhraseQuery::new(terms.collect()))));
            }
        }
        let literal = Literal::read(text, self.now_ms);
        if let Some(number) = literal.number {
            clauses.push(self.number(path, number));
        }
        if let Some(truth) = literal.truth {
            let mut path = self.path(path);
            path.append_type_and_fast_value(truth);
            clauses.push(term(path));
        }
        if let Some((first, behind)) = literal.time {
            clauses.push(self.times(path, Some(first), Some(behind)));
        }
        any(clauses)
    }

    fn number(&self, path: &str, number: f64) -> Clause {
        // The inverted index has whole numbers as such, others as floating-point numbers.
        if number.abs() >= EXACT {
            let limit = || Limit::Included(self.number_term(path, number));
            return Box::new(Plain(RangeQuery::new(limit(), limit())));
        }
        let mut path = self.path(path);
        if number.fract() == 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole, and small enough"
            )]
            path.append_type_and_fast_value(number as i64);
        } else {
            path.append_type_and_fast_value(number);
        }
        term(path)
    }

    fn number_term(&self, path: &str, number: f64) -> Term {
        let mut path = self.path(path);
        path.append_type_and_fast_value(number);
        path
    }

    /// Times from a moment to another, which is not included.
    fn times(&self, path: &str, from: Option<i64>, to: Option<i64>) -> Clause {
        let at = |ms: i64| {
            let mut path = self.path(path);
            path.append_type_and_fast_value(super::document::moment(ms));
            path
        };
        Box::new(Plain(RangeQuery::new(
            from.map_or(Limit::Unbounded, |ms| Limit::Included(at(ms))),
            to.map_or(Limit::Unbounded, |ms| Limit::Excluded(at(ms))),
        )))
    }

    fn range(&self, path: &str, from: &Bound, to: &Bound) -> Clause {
        if matches!((from, to), (Bound::Open, Bound::Open)) {
            return self.exists(path);
        }
        let mut clauses = Vec::new();
        let read = |text: &str| Literal::read(text, self.now_ms);
        let times = limits(from, to, |text| read(text).time);
        if let Some((first, behind)) = times {
            clauses.push(self.times(path, first, behind));
        }
        let number = |bound: &Bound| match bound {
            Bound::Open => Some(Limit::Unbounded),
            Bound::Including(text) => read(text).number.map(Limit::Included),
            Bound::Excluding(text) => read(text).number.map(Limit::Excluded),
        };
        if let (Some(from), Some(to)) = (number(from), number(to)) {
            clauses.push(self.numbers(path, from, to));
        }
        clauses.extend(texts(path, from, to, times.is_some()));
        any(clauses)
    }

    fn numbers(&self, path: &str, from: Limit<f64>, to: Limit<f64>) -> Clause {
        // Tantivy takes an upper bound below all whole numbers for none.
        if let Limit::Included(number) | Limit::Excluded(number) = to
            && number < -9.2e18
        {
            return Box::new(EmptyQuery);
        }
        let limit = |limit: Limit<f64>| limit.map(|number| self.number_term(path, number + 0.0));
        Box::new(Plain(RangeQuery::new(limit(from), limit(to))))
    }
}

/// The name of a path's columns.
pub(super) fn column(path: &str) -> String {
    format!("{BODY}.{path}")
}

fn term(term: Term) -> Clause {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn any(mut clauses: Vec<Clause>) -> Clause {
    match clauses.len() {
        0 => Box::new(EmptyQuery),
        1 => clauses.swap_remove(0),
        _ => Box::new(BooleanQuery::union(clauses)),
    }
}

/// Milliseconds of a column from a moment to another, which is not included.
pub(super) fn between(field: Field, from: Option<i64>, to: Option<i64>) -> Clause {
    let at = |ms: i64| Term::from_field_u64(field, u64::try_from(ms).unwrap_or_default());
    if to.is_some_and(|to| to <= 0) {
        return Box::new(EmptyQuery);
    }
    let from = from.map_or(Limit::Unbounded, |ms| Limit::Included(at(ms)));
    let to = to.map_or(Limit::Unbounded, |ms| Limit::Excluded(at(ms)));
    match (&from, &to) {
        (Limit::Unbounded, Limit::Unbounded) => Box::new(AllQuery),
        _ => Box::new(Plain(RangeQuery::new(from, to))),
    }
}

/// The first moment of a range and the first one behind it. None if a bound that is not open is no time.
fn limits(
    from: &Bound,
    to: &Bound,
    span: impl Fn(&str) -> Option<(i64, i64)>,
) -> Option<(Option<i64>, Option<i64>)> {
    let from = match from {
        Bound::Open => None,
        Bound::Including(text) => Some(span(text)?.0),
        Bound::Excluding(text) => Some(span(text)?.1),
    };
    let to = match to {
        Bound::Open => None,
        Bound::Including(text) => Some(span(text)?.1),
        Bound::Excluding(text) => Some(span(text)?.0),
    };
    Some((from, to))
}

/// Texts whose whole lies between two others. Those that are times are compared as such, if the bounds are times.
fn texts(path: &str, from: &Bound, to: &Bound, are_times: bool) -> Option<Clause> {
    let lower = |bound: &Bound| match bound {
        Bound::Open => Some(Limit::Unbounded),
        Bound::Including(text) => whole(text).map(Limit::Included),
        Bound::Excluding(text) => whole(text).map(Limit::Excluded),
    };
    let (from, to) = (lower(from)?, lower(to)?);
    Some(Box::new(MatchingTexts {
        column: column(path),
        matches: Arc::new(move |text| {
            let lies = |whole: String| {
                let from = match &from {
                    Limit::Unbounded => true,
                    Limit::Included(from) => whole >= *from,
                    Limit::Excluded(from) => whole > *from,
                };
                from && match &to {
                    Limit::Unbounded => true,
                    Limit::Included(to) => whole <= *to,
                    Limit::Excluded(to) => whole < *to,
                }
            };
            let is_time = are_times && literal::instant(text).is_some();
            !is_time && text != LONG && whole(text).is_some_and(lies)
        }),
    }))
}
