//! Wildcards: whether a term fits a pattern, in time that grows with neither's length more than linearly each.

use crate::search::query::Piece;

/// A pattern, in lower case.
#[derive(Clone, Debug)]
pub(super) struct Wildcard(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Letter(char),
    One,
    Any,
}

impl Wildcard {
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let mut steps = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => steps.extend(text.to_lowercase().chars().map(Step::Letter)),
                Piece::One => steps.push(Step::One),
                Piece::Any => steps.push(Step::Any),
            }
        }
        steps.dedup_by(|next, last| *next == Step::Any && *last == Step::Any);
        Self(steps)
    }

    /// How all that fits begins.
    pub(super) fn begins(&self) -> String {
        let letters = self.0.iter().map_while(|step| match step {
            Step::Letter(letter) => Some(*letter),
            Step::One | Step::Any => None,
        });
        letters.collect()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let steps = self.0.as_slice();
        let (mut step, mut rest) = (0, text);
        // The step behind the last `*`, and what of the text was left when it was reached: there it goes on, one letter
        // later, when something does not fit. An earlier `*` need never be tried again.
        let mut again: Option<(usize, &str)> = None;
        loop {
            let letter = rest.chars().next();
            let fits = match (steps.get(step), letter) {
                (None, None) => return true,
                (Some(Step::Any), _) => {
                    step += 1;
                    again = Some((step, rest));
                    continue;
                }
                (Some(Step::One), Some(_)) => true,
                (Some(Step::Letter(wanted)), Some(letter)) => *wanted == letter,
                _ => false,
            };
            if fits {
                step += 1;
                rest = after_first(rest);
                continue;
            }
            match again {
                Some((behind, left)) if !left.is_empty() => {
                    let left = after_first(left);
                    again = Some((behind, left));
                    (step, rest) = (behind, left);
                }
                _ => return false,
            }
        }
    }
}

fn after_first(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wildcard(pattern: &str) -> Wildcard {
        let pieces: Vec<_> = pattern
            .chars()
            .map(|letter| match letter {
                '*' => Piece::Any,
                '?' => Piece::One,
                letter => Piece::Text(letter.into()),
            })
            .collect();
        Wildcard::new(&pieces)
    }

    #[test]
    fn a_star_is_any_letters_and_a_question_mark_is_one() {
        for (pattern, text, fits) in [
            ("build-*", "build-07", true),
            ("build-*", "build-", true),
            ("build-?", "build-", false),
            ("build-??", "build-07", true),
            ("*.example", "a.example.example", true),
            ("*a*b", "aaab", true),
            ("*a*b", "aaba", false),
            ("Ä?*", "äß", true),
            ("?", "ß", true),
            ("**", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(wildcard(pattern).matches(text), fits, "{pattern} on {text}");
        }
        assert_eq!(wildcard("Build-*x").begins(), "build-");
        assert!(!wildcard(&"*a".repeat(40)).matches(&format!("{}b", "a".repeat(250))));
    }
}
