//! Matching: whether a document is what a query asks for, by looking at the document itself.
//!
//! This is the meaning of a query; an index answers the same, only faster.

use super::analysis::{whole, words};
use super::literal::{Literal, instant};
use super::query::{Bound, Condition, DEFAULT_FIELDS, Piece, Query, Test};
use connector_runtime::interflow::Index;
use serde_json::Value;

/// Where a value without a field is looked for among assets.
const ASSET_FIELDS: [&str; 12] = [
    "id",
    "name",
    "hostname",
    "ip",
    "mac",
    "os",
    "data_sources",
    "state",
    "tags",
    "tenant_name",
    "vendor_ids",
    "aliases",
];
/// Fields that hold milliseconds since 1970, as numbers.
const MOMENTS: [&str; 5] = [
    "timestamp",
    "write_time",
    "first_seen",
    "last_seen",
    "iphistory.time",
];
/// The letters of a record's id that say which one it is.
const ID_LETTERS: usize = 36;

/// A query, ready to be asked of many documents.
pub(crate) struct Matcher {
    root: Node,
}

enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Any of these fields.
    Field(Vec<String>, Box<Asked>),
}

enum Asked {
    Exists,
    Value(Wanted),
    Wildcard(Vec<Piece>),
    Range(End, End),
}

struct Wanted {
    literal: Literal,
    whole: Option<String>,
    words: Vec<String>,
}

enum End {
    Open,
    At { value: Wanted, including: bool },
}

impl Wanted {
    fn read(text: &str, now_ms: i64) -> Self {
        Self {
            literal: Literal::read(text, now_ms),
            whole: whole(text),
            words: words(text).collect(),
        }
    }
}

impl Matcher {
    /// Makes one; `now_ms` is what `now` means in it.
    pub(crate) fn new(query: &Query, index: Index, now_ms: i64) -> Self {
        Self {
            root: Node::new(query, index, now_ms),
        }
    }

    /// Whether a document matches. Its id is that of its `stellar_uuid` or its `id`.
    pub(crate) fn matches(&self, document: &Value) -> bool {
        self.root.matches(document)
    }
}

/// Whether one record matches.
#[cfg(test)]
pub(crate) fn matches(query: &Query, document: &Value, now_ms: i64) -> bool {
    Matcher::new(query, Index::Syslog, now_ms).matches(document)
}

impl Node {
    fn new(query: &Query, index: Index, now_ms: i64) -> Self {
        let all = |queries: &[Query]| {
            let nodes = queries.iter().map(|query| Self::new(query, index, now_ms));
            nodes.collect()
        };
        match query {
            Query::All => Self::All,
            Query::And(queries) => Self::And(all(queries)),
            Query::Or(queries) => Self::Or(all(queries)),
            Query::Not(query) => Self::Not(Box::new(Self::new(query, index, now_ms))),
            Query::Condition(Condition { field, test, .. }) => {
                let fields = match (field, index) {
                    (Some(field), _) => vec![field.clone()],
                    (None, Index::Assets) => ASSET_FIELDS.map(str::to_owned).into(),
                    (None, _) => DEFAULT_FIELDS.map(str::to_owned).into(),
                };
                Self::Field(fields, Box::new(Asked::new(test, now_ms)))
            }
        }
    }

    fn matches(&self, document: &Value) -> bool {
        match self {
            Self::All => true,
            Self::And(nodes) => nodes.iter().all(|node| node.matches(document)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(document)),
            Self::Not(node) => !node.matches(document),
            Self::Field(fields, asked) => fields.iter().any(|field| asked.of(document, field)),
        }
    }
}

impl Asked {
    fn new(test: &Test, now_ms: i64) -> Self {
        let end = |bound: &Bound| match bound {
            Bound::Open => End::Open,
            Bound::Including(text) | Bound::Excluding(text) => End::At {
                value: Wanted::read(text, now_ms),
                including: matches!(bound, Bound::Including(_)),
            },
        };
        match test {
            Test::Exists => Self::Exists,
            Test::Value(text) | Test::Phrase(text) => Self::Value(Wanted::read(text, now_ms)),
            Test::Wildcard(pieces) => Self::Wildcard(
                pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text(text) => Piece::Text(text.to_lowercase()),
                        piece => piece.clone(),
                    })
                    .collect(),
            ),
            Test::Range { from, to } => Self::Range(end(from), end(to)),
        }
    }

    fn of(&self, document: &Value, field: &str) -> bool {
        if field == "_id" {
            return id(document).is_some_and(|id| self.is_about(&Value::from(id), false));
        }
        if let Self::Exists = self {
            return exists(document, field);
        }
        let is_moment = is_moment(field);
        let mut found = false;
        visit(document, field, &mut |value| {
            found = found || self.is_about(value, is_moment);
        });
        if !found && field == "stellar_uuid" {
            // The moment behind the id is display.
            found = id(document).is_some_and(|id| self.is_about(&Value::from(id), false));
        }
        found
    }

    fn is_about(&self, value: &Value, is_moment: bool) -> bool {
        match (self, value) {
            (Self::Exists, value) => !value.is_null(),
            (Self::Value(asked), Value::String(text)) => asked.is_in(text),
            (Self::Value(asked), Value::Number(number)) => {
                if is_moment {
                    let span = asked.literal.milliseconds();
                    return span.zip(number.as_i64()).is_some_and(within);
                }
                asked.literal.number.is_some() && asked.literal.number == number.as_f64()
            }
            (Self::Value(asked), Value::Bool(truth)) => asked.literal.truth == Some(*truth),
            (Self::Wildcard(pieces), Value::String(text)) => {
                let stands_for = |text: &str| fits(pieces, text);
                whole(text).is_some_and(|whole| stands_for(&whole))
                    || words(text).any(|word| stands_for(&word))
            }
            (Self::Range(from, to), Value::Number(number)) if is_moment => {
                let span = |value: &Wanted| value.literal.milliseconds();
                number
                    .as_i64()
                    .is_some_and(|moment| between_spans(moment, from, to, span) == Some(true))
            }
            (Self::Range(from, to), Value::Number(number)) => {
                number.as_f64().is_some_and(|number| {
                    from.holds(|value, including| {
                        let bound = value.literal.number?;
                        Some(number > bound || including && number >= bound)
                    }) && to.holds(|value, including| {
                        let bound = value.literal.number?;
                        Some(number < bound || including && number <= bound)
                    })
                })
            }
            (Self::Range(from, to), Value::String(text)) => {
                let as_time = instant(text)
                    .and_then(|moment| between_spans(moment, from, to, |value| value.literal.time));
                as_time.unwrap_or_else(|| is_text_between(text, from, to))
            }
            _ => false,
        }
    }
}

fn within(((first, behind), moment): ((i64, i64), i64)) -> bool {
    (first..behind).contains(&moment)
}

/// Whether a moment lies between two ends that are spans of time; none if one of them is not.
fn between_spans(
    moment: i64,
    from: &End,
    to: &End,
    span: impl Fn(&Wanted) -> Option<(i64, i64)>,
) -> Option<bool> {
    let after = match from {
        End::Open => true,
        End::At { value, including } => {
            let (first, behind) = span(value)?;
            moment >= if *including { first } else { behind }
        }
    };
    let before = match to {
        End::Open => true,
        End::At { value, including } => {
            let (first, behind) = span(value)?;
            moment < if *including { behind } else { first }
        }
    };
    Some(after && before)
}

fn is_text_between(text: &str, from: &End, to: &End) -> bool {
    let Some(text) = whole(text) else {
        return false;
    };
    from.holds(|value, including| {
        let bound = value.whole.as_ref()?;
        Some(text > *bound || including && text == *bound)
    }) && to.holds(|value, including| {
        let bound = value.whole.as_ref()?;
        Some(text < *bound || including && text == *bound)
    })
}

impl End {
    /// Whether it is open, or a value keeps to it. One that cannot be compared with it does not.
    fn holds(&self, keeps: impl Fn(&Wanted, bool) -> Option<bool>) -> bool {
        match self {
            Self::Open => true,
            Self::At { value, including } => keeps(value, *including) == Some(true),
        }
    }
}

impl Wanted {
    /// Whether a text of a document is it, or has its words one behind the other.
    fn is_in(&self, text: &str) -> bool {
        if self.whole.is_some() && self.whole == whole(text) {
            return true;
        }
        if let Some((span, moment)) = self.literal.time.zip(instant(text))
            && within((span, moment))
        {
            return true;
        }
        if self.words.is_empty() {
            return false;
        }
        let words: Vec<String> = words(text).collect();
        words
            .windows(self.words.len())
            .any(|words| words == self.words)
    }
}

/// Whether a pattern stands for the whole of a text.
fn fits(pieces: &[Piece], text: &str) -> bool {
    // Which places of the pattern can be reached, letter by letter: nothing is tried twice, whatever the pattern.
    let mut pattern: Vec<(Piece, Option<char>)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                pattern.extend(text.chars().map(|letter| (Piece::One, Some(letter))));
            }
            piece => pattern.push((piece.clone(), None)),
        }
    }
    let is_star = |place: usize| pattern[place].0 == Piece::Any;
    let end = pattern.len();
    let mut reached = vec![false; end + 1];
    reached[0] = true;
    let through_stars = |reached: &mut Vec<bool>| {
        for place in 0..end {
            if reached[place] && is_star(place) {
                reached[place + 1] = true;
            }
        }
    };
    through_stars(&mut reached);
    for letter in text.chars() {
        let mut next = vec![false; end + 1];
        for place in (0..end).filter(|place| reached[*place]) {
            if is_star(place) {
                next[place] = true;
            } else if pattern[place].1.is_none_or(|wanted| wanted == letter) {
                next[place + 1] = true;
            }
        }
        through_stars(&mut next);
        reached = next;
    }
    reached[end]
}

/// Whether a field holds milliseconds since 1970, as numbers.
pub(crate) fn is_moment(field: &str) -> bool {
    MOMENTS.contains(&field)
}

/// The id of a record (36 letters of its `stellar_uuid`) or of an asset (its `id`).
pub(crate) fn id(document: &Value) -> Option<&str> {
    let record = document.get("stellar_uuid").and_then(Value::as_str);
    match record {
        Some(id) => Some(id.get(..ID_LETTERS).unwrap_or(id)),
        None => document.get("id").and_then(Value::as_str),
    }
}

/// Shows each value that lies at a dotted path; those of arrays one by one.
pub(crate) fn visit<'v>(value: &'v Value, path: &str, see: &mut dyn FnMut(&'v Value)) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                visit(element, path, see);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                if key == path {
                    visit_leaves(value, see);
                } else if let Some(rest) = path.strip_prefix(key.as_str())
                    && let Some(rest) = rest.strip_prefix('.')
                {
                    visit(value, rest, see);
                }
            }
        }
        _ => {}
    }
}

fn visit_leaves<'v>(value: &'v Value, see: &mut dyn FnMut(&'v Value)) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                visit_leaves(element, see);
            }
        }
        Value::Object(_) | Value::Null => {}
        leaf => see(leaf),
    }
}

/// Whether there is any value at a dotted path or below it.
fn exists(value: &Value, path: &str) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|element| exists(element, path)),
        Value::Object(members) => members.iter().any(|(key, value)| {
            if key == path {
                return has_values(value);
            }
            let rest = path.strip_prefix(key.as_str());
            rest.and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| exists(value, rest))
        }),
        _ => false,
    }
}

fn has_values(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(elements) => elements.iter().any(has_values),
        Value::Object(members) => members.values().any(has_values),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
