//! Lucene: queries in the syntax that users of Elasticsearch and its like type.
//!
//! ```text
//! query        = alternative { OR alternative }
//! alternative  = chain { chain }                 neighbours, joined by the default operator
//! chain        = clause { AND clause }
//! clause       = { + | - | ! | NOT } ( "(" query ")" | value | field ":" ( value | "(" query ")" ) ) [ ^boost ]
//! value        = word | "phrase" | w?ld*card | [a TO b] | {a TO b} | >a | >=a | <a | <=a | *
//! ```
//!
//! `&&`, `||` and `!` stand for AND, OR and NOT, which are written in capitals. NOT binds tightest, then AND, then neighbours, then OR. Among
//! neighbours, what has a `-` or a NOT must not match; if any has a `+`, those must match and the others, which could only
//! change an order by score, count for nothing. A boost is read and ignored: there is no score. Regular expressions and fuzzy words are refused.
//!
//! Promises: every mistake is one sentence with its column; nothing that can be typed panics, and the tree's depth and
//! number of conditions are bounded.

mod parser;
mod scanner;

use super::query::Query;

/// The most conditions of one query.
pub(crate) const MOST_CONDITIONS: usize = 1_000;
/// The most parentheses inside each other.
pub(crate) const DEEPEST_NESTING: usize = 50;
/// The longest query, in bytes.
pub(crate) const LONGEST_QUERY: usize = 32 << 10;

/// How neighbours are joined that have no operator between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Any of them, as in Elasticsearch.
    #[default]
    Or,
    /// All of them.
    And,
}

/// A query that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {at}: {message}")]
pub(crate) struct QueryError {
    /// What is wrong and what to do.
    pub(crate) message: String,
    /// Where: the first letter is 1.
    pub(crate) at: usize,
}

impl QueryError {
    /// The query with a caret under the place, two lines that are indented; for a terminal.
    pub(crate) fn pointed_at_in(&self, text: &str) -> String {
        const AROUND: usize = 60;
        let place = self.at.saturating_sub(1);
        let first = place.saturating_sub(AROUND);
        let shown: String = text
            .chars()
            .skip(first)
            .take(2 * AROUND)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        format!("  {shown}\n  {}^", " ".repeat(place - first))
    }
}

/// Reads a query. An empty text is every document.
///
/// # Errors
/// The first mistake in it.
pub(crate) fn parse(text: &str, neighbours: Operator) -> Result<Query, QueryError> {
    if text.len() > LONGEST_QUERY {
        return Err(QueryError {
            message: format!(
                "the query has {} bytes and may have {LONGEST_QUERY}: ask in several searches",
                text.len()
            ),
            at: 1,
        });
    }
    parser::Parser::new(text, neighbours).whole()
}

#[cfg(test)]
mod tests;
