//! The grammar: clauses, and how they are joined.

use super::scanner::{Scanner, Term, Word};
use super::{DEEPEST_NESTING, MOST_CONDITIONS, Operator, QueryError};
use crate::search::query::{Bound, Condition, Query, Test};

/// The field that asks whether another one is there.
const EXISTS: &str = "_exists_";

/// See the module.
pub(super) struct Parser<'a> {
    scanner: Scanner<'a>,
    neighbours: Operator,
    conditions: usize,
    depth: usize,
}

/// A field that a value belongs to, and where its name begins.
#[derive(Clone, Copy)]
struct Field<'f> {
    name: &'f str,
    at: usize,
}

/// What a clause is to its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Plus,
    Minus,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, neighbours: Operator) -> Self {
        Self {
            scanner: Scanner::new(text),
            neighbours,
            conditions: 0,
            depth: 0,
        }
    }

    /// The whole text.
    pub(super) fn whole(mut self) -> Result<Query, QueryError> {
        self.scanner.skip_blanks();
        if self.scanner.peek().is_none() {
            return Ok(Query::All);
        }
        let query = self.alternatives(None)?;
        match self.scanner.peek() {
            None => Ok(query),
            // Nothing else ends the alternatives.
            Some(_) => {
                Err(self
                    .here("this `)` closes nothing: remove it, or write \\) for the letter itself"))
            }
        }
    }

    fn here(&self, message: impl Into<String>) -> QueryError {
        self.scanner.mistake(self.scanner.at(), message)
    }

    fn alternatives(&mut self, field: Option<Field<'_>>) -> Result<Query, QueryError> {
        let mut alternatives = vec![self.neighbours(field)?];
        while self.scanner.take_word(Word::Or) {
            alternatives.push(self.neighbours(field)?);
        }
        Ok(joined(alternatives, Query::Or))
    }

    fn neighbours(&mut self, field: Option<Field<'_>>) -> Result<Query, QueryError> {
        let (mut must, mut must_not, mut may) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let (sign, chain) = self.chain(field)?;
            match (sign, self.neighbours) {
                (Sign::Minus, _) => must_not.push(Query::Not(Box::new(chain))),
                (Sign::Plus, _) | (Sign::None, Operator::And) => must.push(chain),
                (Sign::None, Operator::Or) => may.push(chain),
            }
            self.scanner.skip_blanks();
            let ended = matches!(self.scanner.peek(), None | Some(')'));
            if ended || matches!(self.scanner.word(), Some((Word::Or, _))) {
                break;
            }
        }
        if must.is_empty() && !may.is_empty() {
            must.push(joined(may, Query::Or));
        }
        must.append(&mut must_not);
        Ok(joined(must, Query::And))
    }

    /// Clauses with AND between them. The sign is that of its only clause, or a plus if any has one.
    fn chain(&mut self, field: Option<Field<'_>>) -> Result<(Sign, Query), QueryError> {
        let (sign, first) = self.clause(field)?;
        let mut clauses = vec![(sign, first)];
        self.scanner.skip_blanks();
        while self.scanner.take_word(Word::And) {
            clauses.push(self.clause(field)?);
            self.scanner.skip_blanks();
        }
        if clauses.len() == 1 {
            return clauses
                .pop()
                .ok_or_else(|| self.here("a condition is missing here"));
        }
        let plus = clauses.iter().any(|(sign, _)| *sign == Sign::Plus);
        let clauses = clauses.into_iter().map(|(sign, clause)| match sign {
            Sign::Minus => Query::Not(Box::new(clause)),
            Sign::None | Sign::Plus => clause,
        });
        let sign = if plus { Sign::Plus } else { Sign::None };
        Ok((sign, Query::And(clauses.collect())))
    }

    fn clause(&mut self, field: Option<Field<'_>>) -> Result<(Sign, Query), QueryError> {
        let mut sign = Sign::None;
        loop {
            self.scanner.skip_blanks();
            if self.scanner.take("-") || self.scanner.take_word(Word::Not) {
                sign = match sign {
                    Sign::Minus => Sign::None,
                    Sign::None | Sign::Plus => Sign::Minus,
                };
            } else if self.scanner.take("+") {
                if sign == Sign::None {
                    sign = Sign::Plus;
                }
            } else {
                break;
            }
        }
        let query = self.unsigned(field)?;
        self.scanner.suffix()?;
        Ok((sign, query))
    }

    /// A clause behind its signs.
    fn unsigned(&mut self, field: Option<Field<'_>>) -> Result<Query, QueryError> {
        if let Some((word, length)) = self.scanner.word() {
            let at = self.scanner.at();
            let text = match word {
                Word::And => "AND",
                Word::Or => "OR",
                Word::Not => "NOT",
            };
            debug_assert!(length > 0);
            return Err(self.scanner.mistake(
                at,
                format!("a condition is missing before this {text}; put the word in quotes if it is looked for"),
            ));
        }
        match (self.scanner.peek(), field) {
            (None, _) => Err(self.here(
                "the query ends where a condition is expected: add one, or remove what leads to it",
            )),
            (Some(')'), _) => Err(self.here(
                "a condition is missing before this `)`: add one, or remove what leads to it",
            )),
            (Some('('), field) => self.group(field),
            (_, Some(field)) => self.value(field, false),
            (Some('"'), None) => {
                let at = self.scanner.at();
                let phrase = self.scanner.phrase()?;
                self.condition(None, Test::Phrase(phrase), at)
            }
            (Some(letter @ ('[' | '{' | '>' | '<')), None) => Err(self.here(format!(
                "a range needs a field: write field:{letter}..., or put the value in quotes"
            ))),
            (Some(_), None) => self.term(),
        }
    }

    fn group(&mut self, field: Option<Field<'_>>) -> Result<Query, QueryError> {
        let begin = self.scanner.at();
        if self.depth >= DEEPEST_NESTING {
            return Err(self.here(format!(
                "parentheses may stand inside each other {DEEPEST_NESTING} deep: simplify the query"
            )));
        }
        self.depth += 1;
        self.scanner.take("(");
        let query = self.alternatives(field)?;
        if !self.scanner.take(")") {
            return Err(self.scanner.mistake(
                begin,
                "this `(` is not closed: add a `)`, or write \\( for the letter itself",
            ));
        }
        self.depth -= 1;
        Ok(query)
    }

    /// A value without a field, or a field with its value.
    fn term(&mut self) -> Result<Query, QueryError> {
        self.refuse_expressions()?;
        let term = self.scanner.term(false)?;
        if term.pieces.is_empty() {
            return Err(self.stray());
        }
        if !self.scanner.take(":") {
            if term.is_star() {
                return Ok(Query::All);
            }
            let at = term.at;
            return self.condition(None, test_of(term), at);
        }
        self.scanner.skip_blanks();
        match term.plain() {
            Some(name) => {
                let field = Field { name, at: term.at };
                let query = match self.scanner.peek() {
                    Some('(') => self.group(Some(field))?,
                    _ => self.value(field, true)?,
                };
                Ok(query)
            }
            None if term.is_star() && self.scanner.take("*") => Ok(Query::All),
            None => Err(self.scanner.mistake(
                term.at,
                "a field's name has no wildcards: name the field, or leave it out to search the usual ones",
            )),
        }
    }

    /// A letter that begins nothing.
    fn stray(&self) -> QueryError {
        match self.scanner.peek() {
            Some(':') => self.here(
                "a field's name is missing before this colon: write field:value without blanks before the colon, or \\: for the letter itself",
            ),
            Some(letter) => self.here(format!(
                "`{letter}` cannot begin a condition: write \\{letter} for the letter itself"
            )),
            None => self.here("the query ends where a condition is expected"),
        }
    }

    fn refuse_expressions(&self) -> Result<(), QueryError> {
        match self.scanner.peek() {
            Some('/') => Err(self.here(
                "regular expressions (`/`) are not supported: use wildcards, or put a value that begins with a slash in quotes",
            )),
            _ => Ok(()),
        }
    }

    /// A value of a field: `direct` behind its colon, or in its parentheses.
    fn value(&mut self, field: Field<'_>, direct: bool) -> Result<Query, QueryError> {
        if direct
            && (self.scanner.word().is_some() || matches!(self.scanner.peek(), None | Some(')')))
        {
            return Err(self.here(format!(
                "a value for the field {} is missing here; put it in quotes if it is a word like AND",
                field.name
            )));
        }
        self.refuse_expressions()?;
        let test = match self.scanner.peek() {
            Some('"') => Test::Phrase(self.scanner.phrase()?),
            Some('[' | '{') => {
                let (from, to) = self.scanner.range()?;
                match (&from, &to) {
                    (Bound::Open, Bound::Open) => Test::Exists,
                    _ => Test::Range { from, to },
                }
            }
            Some('>' | '<') => self.comparison(field)?,
            _ => {
                // Directly behind its field a value may have colons, as addresses have: nothing else could be meant.
                let term = self.scanner.term(direct)?;
                if !direct && self.scanner.peek() == Some(':') && !term.pieces.is_empty() {
                    return Err(self.scanner.mistake(
                        term.at,
                        format!(
                            "a colon inside the parentheses of the field {}: put the value in quotes, or close the parentheses before another field",
                            field.name
                        ),
                    ));
                }
                if term.pieces.is_empty() {
                    return Err(self.stray());
                }
                test_of(term)
            }
        };
        self.condition(Some(field.name), test, field.at)
    }

    fn comparison(&mut self, field: Field<'_>) -> Result<Test, QueryError> {
        let is_upper = self.scanner.peek() == Some('<');
        self.scanner.take(if is_upper { "<" } else { ">" });
        let including = self.scanner.take("=");
        self.scanner.skip_blanks();
        let at = self.scanner.at();
        let missing = format!(
            "a number, a time or a text is missing here, for the field {} to be compared with",
            field.name
        );
        let value = match self.scanner.peek() {
            Some('"') => self.scanner.phrase()?,
            _ => match self.scanner.term(true)? {
                term if term.pieces.is_empty() => return Err(self.scanner.mistake(at, missing)),
                term => match term.plain() {
                    Some(text) => text.to_owned(),
                    None => {
                        return Err(self.scanner.mistake(
                            at,
                            "nothing can be compared with wildcards: write a whole value, or put it in quotes",
                        ));
                    }
                },
            },
        };
        let bound = match including {
            true => Bound::Including(value),
            false => Bound::Excluding(value),
        };
        Ok(match is_upper {
            true => Test::Range {
                from: Bound::Open,
                to: bound,
            },
            false => Test::Range {
                from: bound,
                to: Bound::Open,
            },
        })
    }

    fn condition(
        &mut self,
        field: Option<&str>,
        test: Test,
        at: usize,
    ) -> Result<Query, QueryError> {
        self.conditions += 1;
        if self.conditions > MOST_CONDITIONS {
            return Err(self.scanner.mistake(
                at,
                format!(
                    "a query has at most {MOST_CONDITIONS} conditions: ask in several searches"
                ),
            ));
        }
        let (field, test) = match (field, test) {
            (Some(EXISTS), Test::Value(name) | Test::Phrase(name)) if !name.is_empty() => {
                (Some(name), Test::Exists)
            }
            (Some(EXISTS), _) => {
                return Err(self.scanner.mistake(
                    at,
                    "the name of a field belongs behind _exists_: write _exists_:field",
                ));
            }
            (field, test) => (field.map(str::to_owned), test),
        };
        Ok(Query::Condition(Condition { field, test, at }))
    }
}

fn test_of(mut term: Term) -> Test {
    if term.is_star() {
        return Test::Exists;
    }
    match term.plain() {
        Some(text) => Test::Value(text.to_owned()),
        None => Test::Wildcard(std::mem::take(&mut term.pieces)),
    }
}

fn joined(mut queries: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    match (queries.len(), queries.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            queries.extend(last);
            join(queries)
        }
    }
}
