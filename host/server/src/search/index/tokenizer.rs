//! Tokenizers: the terms of a text, by the rules of [`crate::search::analysis`].
//!
//! Promises: a text's whole is a term beside its words, unless it is a single word anyway. What a column keeps of a text is
//! as it was written, so that counts of values show it; of long ones it keeps that they are there.

use crate::search::analysis::{LONGEST_TERM, whole};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// The name of the tokenizer of the inverted index.
pub(super) const TEXT: &str = "interflow_text";
/// The name of the tokenizer of the columns.
pub(super) const KEYWORD: &str = "interflow_keyword";

/// What a column has for a text that is longer than [`LONGEST_TERM`]. No other text sorts behind it.
pub(super) const LONG: &str = "\u{10FFFF}";

/// Words, and the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct TextTokenizer {
    token: Token,
}

impl Tokenizer for TextTokenizer {
    type TokenStream<'a> = Terms<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms<'a> {
        self.token.reset();
        Terms {
            rest: text,
            whole: Some(text),
            words: 0,
            token: &mut self.token,
        }
    }
}

/// The terms of one text.
pub(super) struct Terms<'a> {
    rest: &'a str,
    whole: Option<&'a str>,
    words: usize,
    token: &'a mut Token,
}

impl Terms<'_> {
    fn whole(&mut self) -> bool {
        let Some(text) = self.whole.take() else {
            return false;
        };
        let trimmed = text.trim();
        // Its only word is the same term.
        if trimmed.len() > LONGEST_TERM || trimmed.chars().all(char::is_alphanumeric) {
            return false;
        }
        let Some(whole) = whole(trimmed) else {
            return false;
        };
        self.token.text = whole;
        self.token.position = 0;
        true
    }

    fn word(&mut self) -> bool {
        loop {
            let rest = self
                .rest
                .trim_start_matches(|letter: char| !letter.is_alphanumeric());
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric())
                .unwrap_or(rest.len());
            let (word, rest) = rest.split_at(end);
            self.rest = rest;
            if word.is_empty() {
                return false;
            }
            let text = &mut self.token.text;
            text.clear();
            if word.is_ascii() {
                text.push_str(word);
                text.make_ascii_lowercase();
            } else {
                text.push_str(&word.to_lowercase());
            }
            if text.len() <= LONGEST_TERM {
                self.token.position = self.words;
                self.words += 1;
                return true;
            }
        }
    }
}

impl TokenStream for Terms<'_> {
    fn advance(&mut self) -> bool {
        self.whole() || self.word()
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// The text as it was written, or [`LONG`].
#[derive(Clone, Debug, Default)]
pub(super) struct KeywordTokenizer {
    token: Token,
}

impl Tokenizer for KeywordTokenizer {
    type TokenStream<'a> = Keyword<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Keyword<'a> {
        self.token.reset();
        self.token.text.clear();
        let is_long = text.len() > LONGEST_TERM;
        self.token.text.push_str(if is_long { LONG } else { text });
        Keyword {
            token: &mut self.token,
            is_new: true,
        }
    }
}

/// The one term of a column's text.
pub(super) struct Keyword<'a> {
    token: &'a mut Token,
    is_new: bool,
}

impl TokenStream for Keyword<'_> {
    fn advance(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::analysis;

    fn terms(text: &str) -> Vec<(usize, String)> {
        let mut tokenizer = TextTokenizer::default();
        let mut stream = tokenizer.token_stream(text);
        let mut terms = Vec::new();
        while stream.advance() {
            terms.push((stream.token().position, stream.token().text.clone()));
        }
        terms
    }

    #[test]
    fn the_terms_of_a_text_are_its_whole_and_its_words() {
        for text in [
            "Build-07.corp.example",
            "Größe: 12 µm",
            " high ",
            "--",
            "",
            "ΟΔΟΣ İx ΟΔΟΣ",
        ] {
            let words: Vec<_> = analysis::words(text).collect();
            let found: Vec<_> = terms(text).into_iter().map(|(_, term)| term).collect();
            assert!(found.ends_with(&words), "{text}: {found:?}");
            let rest = &found[..found.len() - words.len()];
            let whole = analysis::whole(text).filter(|whole| !whole.is_empty());
            match whole {
                Some(whole) => assert!(found.contains(&whole) && rest.len() <= 1, "{found:?}"),
                None => assert!(rest.is_empty(), "{found:?}"),
            }
        }
        assert_eq!(
            terms("a-b"),
            [(0, "a-b".into()), (0, "a".into()), (1, "b".into())]
        );
        assert_eq!(terms(&format!("{} b", "a".repeat(300))), [(0, "b".into())]);
    }

    #[test]
    fn a_column_has_a_text_as_it_was_written_and_marks_a_long_one() {
        let mut tokenizer = KeywordTokenizer::default();
        let long = "é".repeat(129);
        for (text, kept) in [("Ubuntu Linux", "Ubuntu Linux"), ("", ""), (&long, LONG)] {
            let mut stream = tokenizer.token_stream(text);
            assert!(stream.advance());
            assert_eq!(stream.token().text, kept);
            assert!(!stream.advance());
        }
    }
}
