//! The words of a query: what lies between its operators and parentheses.

use super::QueryError;
use crate::search::query::{Bound, Piece};

/// Where a reader is in the text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

/// An operator that is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    And,
    Or,
    Not,
}

/// Something between blanks, operators and parentheses.
pub(super) struct Term {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Texts are never empty, and no two of them, or two `*`, follow each other.
    pub(super) pieces: Vec<Piece>,
}

impl Term {
    /// The text, if there are no wildcards in it.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is `*`.
    pub(super) fn is_star(&self) -> bool {
        self.pieces == [Piece::Any]
    }

    fn push(&mut self, letter: char) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(letter),
            _ => self.pieces.push(Piece::Text(letter.into())),
        }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next letter.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    /// Takes these letters, if they are next.
    pub(super) fn take(&mut self, letters: &str) -> bool {
        let there = self.rest().starts_with(letters);
        if there {
            self.at += letters.len();
        }
        there
    }

    pub(super) fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// A mistake at a place in the text.
    pub(super) fn mistake(&self, at: usize, message: impl Into<String>) -> QueryError {
        let before = self.text.get(..at).unwrap_or(self.text);
        QueryError {
            message: message.into(),
            at: before.chars().count() + 1,
        }
    }

    /// The operator that is next, and its length.
    pub(super) fn word(&self) -> Option<(Word, usize)> {
        const WORDS: [(&str, Word); 3] = [("AND", Word::And), ("OR", Word::Or), ("NOT", Word::Not)];
        const SIGNS: [(&str, Word); 3] = [("&&", Word::And), ("||", Word::Or), ("!", Word::Not)];
        let rest = self.rest();
        let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
        if let Some((sign, word)) = sign {
            return Some((*word, sign.len()));
        }
        let (text, word) = WORDS.iter().find(|(word, _)| rest.starts_with(word))?;
        let behind = rest.get(text.len()..)?.chars().next();
        let ends = behind.is_none_or(|letter| {
            letter.is_whitespace() || matches!(letter, '(' | ')' | '"' | '[' | '{')
        });
        ends.then_some((*word, text.len()))
    }

    /// Takes an operator, if it is next.
    pub(super) fn take_word(&mut self, wanted: Word) -> bool {
        match self.word() {
            Some((word, length)) if word == wanted => {
                self.at += length;
                true
            }
            _ => false,
        }
    }

    /// Reads to the next blank, parenthesis or the like. A colon belongs to it only `behind` a field.
    pub(super) fn term(&mut self, behind: bool) -> Result<Term, QueryError> {
        let mut term = Term {
            at: self.at,
            pieces: Vec::new(),
        };
        while let Some(letter) = self.peek() {
            let at = self.at;
            match letter {
                '\\' => {
                    self.next();
                    term.push(self.escaped(at)?);
                    continue;
                }
                '(' | '"' | '[' | ']' | '{' | '}' => {
                    return Err(self.mistake(
                        at,
                        format!(
                            "`{letter}` in the middle of a value: put the value in quotes, write \\{letter}, or put a blank before it"
                        ),
                    ));
                }
                ':' if !behind => break,
                ')' | '^' | '~' => break,
                letter if letter.is_whitespace() => break,
                '*' if term.pieces.last() == Some(&Piece::Any) => {}
                '*' => term.pieces.push(Piece::Any),
                '?' => term.pieces.push(Piece::One),
                letter => term.push(letter),
            }
            self.next();
        }
        Ok(term)
    }

    /// The letter behind a backslash.
    fn escaped(&mut self, at: usize) -> Result<char, QueryError> {
        self.next().ok_or_else(|| {
            self.mistake(
                at,
                "a backslash at the end: it makes the next letter an ordinary one; write \\\\ for a backslash itself",
            )
        })
    }

    /// Reads a text in quotes, whose first is next.
    pub(super) fn phrase(&mut self) -> Result<String, QueryError> {
        let begin = self.at;
        self.next();
        let mut text = String::new();
        while let Some(letter) = self.next() {
            match letter {
                '"' => return Ok(text),
                '\\' => {
                    let at = self.at - 1;
                    text.push(self.escaped(at)?);
                }
                letter => text.push(letter),
            }
        }
        Err(self.mistake(
            begin,
            "this quote is not closed: add a \" behind the phrase, or write \\\" for a quote itself",
        ))
    }

    /// Reads a range, whose bracket is next.
    pub(super) fn range(&mut self) -> Result<(Bound, Bound), QueryError> {
        const SHAPE: &str = "a range is written [a TO b], with * for an open end, and { or } for an end that does not belong to it";
        let begin = self.at;
        let including = self.take("[");
        if !including {
            self.next();
        }
        let from = self.bound(begin, including)?;
        self.skip_blanks();
        let at = self.at;
        let ended = |letter: Option<char>| {
            letter.is_none_or(|letter| letter.is_whitespace() || letter == '"')
        };
        if !self.take("TO") || !ended(self.peek()) {
            return Err(self.mistake(at, format!("TO is missing here: {SHAPE}")));
        }
        let to = self.bound(begin, true)?;
        self.skip_blanks();
        match (self.take("]"), to) {
            (true, to) => Ok((from, to)),
            (false, to) if self.take("}") => Ok((
                from,
                match to {
                    Bound::Including(value) => Bound::Excluding(value),
                    to => to,
                },
            )),
            _ => {
                let at = self.at;
                Err(self.mistake(at, format!("`]` or `}}` is missing here: {SHAPE}")))
            }
        }
    }

    fn bound(&mut self, begin: usize, including: bool) -> Result<Bound, QueryError> {
        self.skip_blanks();
        let value = if self.peek() == Some('"') {
            self.phrase()?
        } else {
            let at = self.at;
            let mut text = String::new();
            while let Some(letter) = self.peek() {
                match letter {
                    ']' | '}' => break,
                    letter if letter.is_whitespace() => break,
                    '\\' => {
                        let at = self.at;
                        self.next();
                        text.push(self.escaped(at)?);
                        continue;
                    }
                    letter => text.push(letter),
                }
                self.next();
            }
            match self.text.get(at..self.at) {
                Some("*") => return Ok(Bound::Open),
                Some("" | "TO") | None => {
                    return Err(self.mistake(
                        begin,
                        "this range lacks an end: write [a TO b], with * for an open end",
                    ));
                }
                Some(raw) if raw.contains(['*', '?']) && !raw.contains('\\') => {
                    return Err(self.mistake(
                        at,
                        "an end of a range has no wildcards: write * alone for an open end, or put the value in quotes",
                    ));
                }
                Some(_) => text,
            }
        };
        Ok(match including {
            true => Bound::Including(value),
            false => Bound::Excluding(value),
        })
    }

    /// Reads what may follow a clause: a boost, which is ignored.
    pub(super) fn suffix(&mut self) -> Result<(), QueryError> {
        let at = self.at;
        if self.take("^") {
            let rest = self.rest();
            let length = rest
                .bytes()
                .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
                .count();
            let number = rest.get(..length).unwrap_or_default();
            if number.parse::<f64>().is_err() {
                return Err(self.mistake(
                    at,
                    "a number belongs behind `^`, which is a boost (and ignored: there is no score); write \\^ for the letter itself",
                ));
            }
            self.at += length;
        }
        if self.peek() == Some('~') {
            return Err(self.mistake(
                self.at,
                "fuzzy words and distances (`~`) are not supported: use wildcards like colo*r, or write \\~ for the letter itself",
            ));
        }
        Ok(())
    }
}
