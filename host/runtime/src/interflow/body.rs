//! The check that every body passes: a hand-written reader of JSON that keeps only the keys of the objects it is inside of.

use std::net::IpAddr;

use super::envelope::ENVELOPE_FIELDS;
use super::limits::{ItemLimits, Refusal};
use super::text::{Fault, Fingerprint, shown, string_end, unescaped};

/// What the check learned, so that the envelope needs no second parse. It belongs to the body it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The address in the top-level member `srcip`, if it is text that reads as one.
    pub srcip: Option<IpAddr>,
    /// The members, without the braces around them and the white space beside those.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Whether there is white space between tokens.
    pub(super) spaced: bool,
    /// How deep objects and arrays lie in each other; the body itself is depth 1.
    pub depth: usize,
}

/// Checks one body: one JSON object, valid to the last byte and nothing behind it; no key twice in one object, compared
/// after unescaping; no field of the envelope and no key with a dot at the top level; depth and size within `limits`.
/// Numbers are kept as text, however large.
///
/// ```
/// use connector_runtime::interflow::{ItemLimits, check};
///
/// let limits = ItemLimits::default();
/// let facts = check(r#"{"srcip":"192.0.2.15","acme_scanner":{"ID":"7"}}"#, &limits)?;
/// assert_eq!(facts.srcip, Some("192.0.2.15".parse()?));
/// // Whatever the spelling: the tenant belongs to the host.
/// assert!(check(r#"{"tenant\u0069d":"another"}"#, &limits).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A [`Refusal`] that says what is wrong and where.
pub fn check(body: &str, limits: &ItemLimits) -> Result<Facts, Refusal> {
    let limit = limits.body_bytes.min(u32::MAX as usize);
    if body.len() > limit {
        return Err(Refusal::TooLarge {
            bytes: body.len(),
            limit,
        });
    }
    Reader {
        body,
        bytes: body.as_bytes(),
        at: 0,
        spaced: false,
        depth: limits.depth,
        deepest: 0,
        fingerprint: Fingerprint::new(),
        levels: Vec::with_capacity(8),
        keys: Vec::with_capacity(64),
    }
    .read()
}

/// Up to this many keys of an object are compared one by one as they come; more are sorted when the object ends.
const FEW: usize = 32;

/// One key of an object that is still open. Sixteen bytes, since a hostile body can have millions.
#[derive(Clone, Copy)]
struct Key {
    from: u32,
    to: u32,
    print: u64,
}

/// An object or array that is still open.
struct Level {
    array: bool,
    /// Where its keys begin in the stack of keys.
    keys_from: usize,
    /// How many elements of an array came before the present one.
    ordinal: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    FirstKey,
    Key,
    FirstElement,
    Value,
    CommaOrEnd,
}

struct Reader<'a> {
    body: &'a str,
    bytes: &'a [u8],
    at: usize,
    spaced: bool,
    depth: usize,
    deepest: usize,
    fingerprint: Fingerprint,
    levels: Vec<Level>,
    keys: Vec<Key>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Facts, Refusal> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(Refusal::NotAnObject {
                found: self.seen(),
                at: self.at,
            });
        }
        self.spaced = false;
        let mut next = self.open(false)?;
        let from = self.at;
        let mut srcip = None;
        let mut is_srcip = false;
        while !self.levels.is_empty() {
            self.skip_space();
            next = match (next, self.peek()) {
                (Next::FirstKey | Next::Key, Some(b'"')) => {
                    is_srcip = self.key()?;
                    self.skip_space();
                    self.expect(b':', "a key without a colon")?;
                    Next::Value
                }
                (Next::FirstKey, Some(b'}'))
                | (Next::FirstElement, Some(b']'))
                | (Next::CommaOrEnd, Some(b'}' | b']')) => self.close()?,
                (Next::FirstKey | Next::Key, _) => return Err(self.wrong("instead of a key")),
                (Next::Value | Next::FirstElement, Some(b'"')) => {
                    let (from, to, _) = self.string()?;
                    if is_srcip {
                        srcip = unescaped(&self.body[from..to]).parse().ok();
                    }
                    Next::CommaOrEnd
                }
                (Next::Value | Next::FirstElement, Some(b'{')) => self.open(false)?,
                (Next::Value | Next::FirstElement, Some(b'[')) => self.open(true)?,
                (Next::Value | Next::FirstElement, _) => {
                    self.scalar()?;
                    Next::CommaOrEnd
                }
                (Next::CommaOrEnd, Some(b',')) => self.comma(),
                (Next::CommaOrEnd, _) => {
                    return Err(self.wrong("instead of a comma or the end"));
                }
            };
            if next != Next::Value {
                is_srcip = false;
            }
        }
        let spaced = self.spaced;
        let to = self.at - 1;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(Refusal::TrailingText { at: self.at });
        }
        let inside = &self.body[from..to];
        let trimmed = inside.trim_matches([' ', '\t', '\n', '\r']);
        let from = from + (inside.len() - inside.trim_start_matches([' ', '\t', '\n', '\r']).len());
        Ok(Facts {
            srcip,
            from,
            to: from + trimmed.len(),
            spaced,
            depth: self.deepest,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.spaced = true;
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Refusal> {
        if self.peek() != Some(byte) {
            return Err(self.fault(Fault::new(self.at, what)));
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, array: bool) -> Result<Next, Refusal> {
        if self.levels.len() >= self.depth {
            return Err(Refusal::TooDeep {
                limit: self.depth,
                at: self.at,
            });
        }
        self.at += 1;
        self.levels.push(Level {
            array,
            keys_from: self.keys.len(),
            ordinal: 0,
        });
        self.deepest = self.deepest.max(self.levels.len());
        Ok(if array {
            Next::FirstElement
        } else {
            Next::FirstKey
        })
    }

    fn close(&mut self) -> Result<Next, Refusal> {
        let (array, keys_from) = self
            .levels
            .last()
            .map_or((false, 0), |level| (level.array, level.keys_from));
        if (self.peek() == Some(b']')) != array {
            return Err(self.wrong("which closes what was not opened last"));
        }
        self.compare_many(keys_from)?;
        self.keys.truncate(keys_from);
        self.levels.pop();
        self.at += 1;
        Ok(Next::CommaOrEnd)
    }

    fn comma(&mut self) -> Next {
        self.at += 1;
        match self.levels.last_mut() {
            Some(level) if level.array => {
                level.ordinal += 1;
                Next::Value
            }
            _ => Next::Key,
        }
    }

    /// Reads a key and compares it with its neighbours. True if it is the top-level `srcip`.
    fn key(&mut self) -> Result<bool, Refusal> {
        let (from, to, escaped) = self.string()?;
        let raw = &self.body[from..to];
        let owned;
        let key = if escaped {
            owned = unescaped(raw);
            &*owned
        } else {
            raw
        };
        let top = self.levels.len() == 1;
        if top {
            if key.contains('.') {
                return Err(Refusal::DottedKey { key: shown(raw) });
            }
            if ENVELOPE_FIELDS.contains(&key) {
                return Err(Refusal::EnvelopeField { key: shown(raw) });
            }
        }
        let print = self.fingerprint.of(key.as_bytes());
        let keys_from = self.levels.last().map_or(0, |level| level.keys_from);
        let neighbours = &self.keys[keys_from..];
        if neighbours.len() < FEW {
            let twice = neighbours
                .iter()
                .any(|other| other.print == print && self.text(*other) == key);
            if twice {
                return Err(self.repeated(raw));
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a body of 4 GiB or more is refused before it is read"
        )]
        self.keys.push(Key {
            from: from as u32,
            to: to as u32,
            print,
        });
        Ok(top && key == "srcip")
    }

    fn text(&self, key: Key) -> std::borrow::Cow<'_, str> {
        unescaped(&self.body[key.from as usize..key.to as usize])
    }

    /// Compares the keys of a large object, which is about to end: sorted, equal ones lie side by side.
    fn compare_many(&mut self, keys_from: usize) -> Result<(), Refusal> {
        if self.keys.len() - keys_from <= FEW {
            return Ok(());
        }
        let mut keys = self.keys.split_off(keys_from);
        keys.sort_unstable_by(|a, b| {
            a.print
                .cmp(&b.print)
                .then_with(|| self.text(*a).cmp(&self.text(*b)))
        });
        for pair in keys.windows(2) {
            if let [a, b] = *pair
                && a.print == b.print
                && self.text(a) == self.text(b)
            {
                let later = if a.from < b.from { b } else { a };
                return Err(self.repeated(&self.body[later.from as usize..later.to as usize]));
            }
        }
        Ok(())
    }

    /// Reads a string: where its text begins and ends, and whether it has escapes.
    fn string(&mut self) -> Result<(usize, usize, bool), Refusal> {
        let from = self.at + 1;
        let (to, escaped) = string_end(self.bytes, from).map_err(|fault| self.fault(fault))?;
        self.at = to + 1;
        Ok((from, to, escaped))
    }

    /// Reads a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<(), Refusal> {
        let rest = &self.bytes[self.at..];
        let length = match rest.first() {
            Some(b'-' | b'0'..=b'9') => number_length(rest),
            Some(b't') if rest.starts_with(b"true") => Some(4),
            Some(b'f') if rest.starts_with(b"false") => Some(5),
            Some(b'n') if rest.starts_with(b"null") => Some(4),
            _ => None,
        };
        match length {
            Some(length) => {
                self.at += length;
                Ok(())
            }
            None => Err(self.wrong("instead of a value")),
        }
    }

    /// What stands at the present place, for a sentence.
    fn seen(&self) -> String {
        match self
            .body
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            None => "the end of the body".to_owned(),
            Some('\u{feff}') => "a byte order mark".to_owned(),
            Some(character) => format!("{character:?}"),
        }
    }

    fn wrong(&self, instead: &str) -> Refusal {
        self.fault(Fault::new(self.at, format!("{} {instead}", self.seen())))
    }

    fn fault(&self, fault: Fault) -> Refusal {
        Refusal::Syntax {
            what: fault.what,
            at: fault.at,
            path: self.path(self.levels.len()),
        }
    }

    fn repeated(&self, raw: &str) -> Refusal {
        Refusal::RepeatedKey {
            key: shown(raw),
            path: self.path(self.levels.len().saturating_sub(1)),
        }
    }

    /// A JSON pointer made of the members that are open, `levels` of them from the outside.
    fn path(&self, levels: usize) -> String {
        const LONGEST: usize = 200;
        let mut path = String::new();
        for (depth, level) in self.levels.iter().enumerate().take(levels) {
            if path.len() > LONGEST {
                path.push_str("/...");
                break;
            }
            path.push('/');
            if level.array {
                path.push_str(&level.ordinal.to_string());
                continue;
            }
            let keys_to = self
                .levels
                .get(depth + 1)
                .map_or(self.keys.len(), |inner| inner.keys_from);
            if let Some(key) = self.keys[level.keys_from.min(keys_to)..keys_to].last() {
                let text = self.text(*key).replace('~', "~0").replace('/', "~1");
                path.push_str(&text[..text.floor_char_boundary(LONGEST)]);
            }
        }
        path
    }
}

/// How many bytes the number at the start of `bytes` has. Its size does not matter: it stays text.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        bytes
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}
