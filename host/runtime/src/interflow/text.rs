//! JSON strings at the level of bytes: find the end, unescape, compare. Eight bytes at a time, since most of a record is
//! text between quotes.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

/// Where a string cannot be read, and why.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks, with their high bit, the bytes that end plain text: a quote, a backslash, a control character. Marks above the
/// lowest one may be wrong (a borrow ran into them), the lowest never is.
const fn stops(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    ((quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGH
}

/// The first quote, backslash or control character from `at` on, or the end.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = stops(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Reads a string whose opening quote lies before `at`. Returns where its closing quote lies and whether it has escapes.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Result<(usize, bool), Fault> {
    let opened = at;
    let mut escaped = false;
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = escape_end(bytes, at)?;
            }
            Some(control) => {
                return Err(Fault::new(
                    at,
                    format!("a raw control character (0x{control:02x}) inside a string"),
                ));
            }
            None => {
                return Err(Fault::new(
                    opened.saturating_sub(1),
                    "a string without its closing quote",
                ));
            }
        }
    }
}

/// Where the escape that begins at `at` ends. Surrogates must come in pairs: a lone one is no character.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2)? {
            0xd800..=0xdbff => {
                let paired = bytes.get(at + 6..at + 8) == Some(b"\\u")
                    && matches!(hex4(bytes, at + 8)?, 0xdc00..=0xdfff);
                if paired {
                    Ok(at + 12)
                } else {
                    Err(Fault::new(at, "half a surrogate pair"))
                }
            }
            0xdc00..=0xdfff => Err(Fault::new(at, "half a surrogate pair")),
            _ => Ok(at + 6),
        },
        _ => Err(Fault::new(at, "an escape that JSON does not have")),
    }
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    bytes
        .get(at..at + 4)
        .and_then(|digits| {
            digits.iter().try_fold(0, |value, &digit| {
                Some(value << 4 | char::from(digit).to_digit(16)?)
            })
        })
        .ok_or_else(|| Fault::new(at, "a \\u escape without four hexadecimal digits"))
}

/// The characters of a string that [`string_end`] has accepted, given without its quotes.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(slash) = rest.find('\\') {
        out.push_str(&rest[..slash]);
        let escape = &rest[slash + 1..];
        let (character, taken) = match escape.as_bytes().first() {
            Some(b'u') => unicode(escape),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(&other) => (char::from(other), 1),
            None => break,
        };
        out.push(character);
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of `uXXXX` or `uXXXX\uXXXX` at the start of `escape`, and how many bytes it takes.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |from: usize| hex4(escape.as_bytes(), from).unwrap_or(0);
    let first = unit(1);
    if (0xd800..0xdc00).contains(&first) {
        let joined = 0x1_0000 + ((first & 0x3ff) << 10) + (unit(7) & 0x3ff);
        return (
            char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER),
            11,
        );
    }
    (
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        5,
    )
}

/// Makes numbers that equal keys share. Seeded once per process, so that nobody can prepare keys that collide.
#[derive(Clone, Copy)]
pub(super) struct Fingerprint {
    factor: u64,
    start: u64,
}

impl Fingerprint {
    pub(super) fn new() -> Self {
        static SEED: LazyLock<Fingerprint> = LazyLock::new(|| {
            let random = RandomState::new();
            Fingerprint {
                factor: random.hash_one(0) | 1,
                start: random.hash_one(1),
            }
        });
        *SEED
    }

    pub(super) fn of(self, key: &[u8]) -> u64 {
        let (words, _) = key.as_chunks::<8>();
        let state = words
            .iter()
            .fold(self.start ^ key.len() as u64, |state, word| {
                self.mixed(state, u64::from_le_bytes(*word))
            });
        self.mixed(self.mixed(state, last_word(key)), self.start)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "both halves of the product are wanted"
    )]
    fn mixed(self, state: u64, word: u64) -> u64 {
        let product = u128::from(state ^ word) * u128::from(self.factor);
        (product as u64) ^ ((product >> 64) as u64)
    }
}

/// The last eight bytes, or all of a shorter key. Parts of it may be read twice: the length is mixed in beside it.
fn last_word(key: &[u8]) -> u64 {
    if let Some(word) = key.last_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    key.iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A key for a sentence: quoted, and no longer than a line.
pub(super) fn shown(key: &str) -> String {
    const LONGEST: usize = 80;
    if key.len() <= LONGEST {
        return format!("{key:?}");
    }
    let cut = key.floor_char_boundary(LONGEST);
    format!("{:?}...", &key[..cut])
}

/// Appends `json` without the white space between its tokens. It must be JSON.
pub(super) fn compact(json: &str, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = string_end(bytes, at + 1).map_or(bytes.len(), |(end, _)| end + 1);
                out.extend_from_slice(&bytes[at..end]);
                at = end;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
}
