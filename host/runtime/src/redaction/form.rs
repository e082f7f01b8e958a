//! One form of a secret, and whether it stands at a place of a text.
//!
//! The text is read character by character, each as everything that it can stand for: `%2B` is itself and `+`, `+` is
//! itself and a blank. So one matcher knows every encoding, whichever characters an encoder chose to leave alone.

use super::LONG;
use std::ops::Range;
use zeroize::Zeroizing;

/// The longest way to write one byte: `\u{0041}`.
pub(super) const WIDEST_UNIT: usize = 8;
/// The most that may stand between two bytes of a secret and mean nothing: control characters, the backslashes of an escape
/// within an escape.
pub(super) const WIDEST_GAP: usize = 16;
/// Base64 of eight bytes, so that a cut one shows no more of a secret than a cut plain one.
const LONG_BASE64: usize = 11;

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// In any way.
    Text,
    /// As the inside of a JSON text, which must stay one: an escape is never taken apart.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Recognised anywhere.
    Plain,
    /// Recognised where it stands as a value.
    Value,
    /// Recognised anywhere, in both alphabets; the whole run of base64 around it is taken.
    Base64,
}

/// See the module.
#[derive(PartialEq, Eq)]
pub(super) struct Form {
    wanted: Zeroizing<Vec<u8>>,
    kind: Kind,
}

impl Form {
    /// A secret as it is.
    pub(super) fn plain(secret: &str) -> Self {
        Self::new(secret, Kind::Plain)
    }

    /// A secret that is too short to be recognised anywhere.
    pub(super) fn value(secret: &str) -> Self {
        Self::new(secret, Kind::Value)
    }

    /// A piece of base64, in the standard alphabet.
    pub(super) fn base64(encoded: &str) -> Self {
        Self::new(encoded, Kind::Base64)
    }

    fn new(wanted: &str, kind: Kind) -> Self {
        Self {
            wanted: Zeroizing::new(wanted.as_bytes().to_vec()),
            kind,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether it may stand where a text goes on with this byte.
    pub(super) fn may_begin(&self, byte: u8) -> bool {
        let first = self.wanted.first();
        // An escape or a control character can stand for another.
        first.is_some_and(|first| self.fits(*first, byte))
            || b"\\%&+".contains(&byte)
            || byte.is_ascii_control()
            || byte == 0xc2
    }

    /// Whether it counts only where it stands as a value.
    pub(super) fn is_value(&self) -> bool {
        self.kind == Kind::Value
    }

    /// Whether `text` is this and nothing else.
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Base64 && self.wanted.as_slice() == text.as_bytes()
    }

    /// What has to be taken out if this form begins at `start`.
    pub(super) fn find_at(
        &self,
        text: &[u8],
        start: usize,
        reading: Reading,
    ) -> Option<Range<usize>> {
        let end = self.end(text, start, reading)?;
        match self.kind {
            Kind::Plain => Some(start..end),
            Kind::Value => is_value(text, start, end).then_some(start..end),
            // In JSON the run could reach into an escape.
            Kind::Base64 if reading == Reading::Json => Some(start..end),
            Kind::Base64 => {
                let before = text[..start].iter().rev();
                let after = text[end..].iter();
                let left = before.take_while(|byte| is_base64(**byte)).count();
                let right = after
                    .take_while(|byte| is_base64(**byte) || **byte == b'=')
                    .count();
                Some(start - left..end + right)
            }
        }
    }

    /// Where this form ends if it begins at `start`; it may be cut off by the end of the text or by an ellipsis.
    fn end(&self, text: &[u8], start: usize, reading: Reading) -> Option<usize> {
        let first = *self.wanted.first()?;
        readings(text, start, reading)
            .into_iter()
            .flatten()
            .find(|(byte, _)| self.fits(first, *byte))?;
        // A text can often be read in two ways, and only what follows tells which was meant.
        let mut places = vec![start];
        let mut next = Vec::new();
        let mut gaps = Vec::new();
        let mut cut = None;
        let shown = match self.kind {
            Kind::Plain => LONG,
            Kind::Base64 => LONG_BASE64,
            Kind::Value => usize::MAX,
        };
        for (matched, wanted) in self.wanted.iter().enumerate() {
            if matched >= shown {
                let ends = places.iter().copied().find(|at| is_cut(&text[*at..]));
                cut = ends.or(cut);
            }
            next.clear();
            for &place in &places {
                gaps.clear();
                gaps.push(place);
                while let Some(at) = gaps.pop() {
                    for (byte, len) in readings(text, at, reading).into_iter().flatten() {
                        if self.fits(*wanted, byte) && !next.contains(&(at + len)) {
                            next.push(at + len);
                        }
                    }
                    // A first byte stands at the start itself.
                    let room = if matched == 0 { 0 } else { WIDEST_GAP };
                    let fits = |at: &usize| at - place <= room;
                    gaps.extend(gap(text, at, reading).into_iter().flatten().filter(fits));
                }
            }
            if next.is_empty() {
                return cut;
            }
            std::mem::swap(&mut places, &mut next);
        }
        places.into_iter().max()
    }

    fn fits(&self, wanted: u8, byte: u8) -> bool {
        wanted == byte
            || self.kind == Kind::Base64 && matches!((wanted, byte), (b'+', b'-') | (b'/', b'_'))
    }
}

/// Bytes until the next place at which a form may begin.
pub(super) fn unit_len(text: &[u8], at: usize, reading: Reading) -> usize {
    match reading {
        Reading::Text => 1,
        Reading::Json => escape(text, at).map_or(1, |(_, len)| len),
    }
}

/// What the character at `at` can stand for, and its length.
fn readings(text: &[u8], at: usize, reading: Reading) -> [Option<(u8, usize)>; 3] {
    let Some(&byte) = text.get(at) else {
        return [None; 3];
    };
    let itself = (reading == Reading::Text || byte != b'\\').then_some((byte, 1));
    let encoded = match byte {
        b'\\' => escape(text, at),
        b'%' => hex(text.get(at + 1..at + 3)).map(|value| (value, 3)),
        b'+' => Some((b' ', 1)),
        b'&' => entity(&text[at..]),
        _ => None,
    };
    // A control character will be shown as a blank.
    let blank = control(text, at).map(|len| (b' ', len));
    [itself, encoded, blank]
}

/// Where a text goes on behind the meaningless character at `at`.
fn gap(text: &[u8], at: usize, reading: Reading) -> [Option<usize>; 2] {
    let literal = control(text, at);
    let escape = escape(text, at);
    let escaped = escape.filter(|(value, _)| {
        value.is_ascii_control() || reading == Reading::Json && *value == b'\\'
    });
    let backslash = (reading == Reading::Text && text.get(at) == Some(&b'\\')).then_some(1);
    [
        literal.or(backslash).map(|len| at + len),
        escaped.map(|(_, len)| at + len),
    ]
}

/// The length of the control character at `at`, if there is one.
fn control(text: &[u8], at: usize) -> Option<usize> {
    match (text.get(at)?, text.get(at + 1)) {
        (byte, _) if byte.is_ascii_control() => Some(1),
        (0xc2, Some(0x80..=0x9f)) => Some(2),
        _ => None,
    }
}

/// `\n`, `\"`, `\x41`, `\u0041`, `\u{41}`. A character outside ASCII has no single byte: as 0xff, which is in no text.
fn escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    if text.get(at) != Some(&b'\\') {
        return None;
    }
    let simple = |value| Some((value, 2));
    match text.get(at + 1)? {
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'b' => simple(8),
        b'f' => simple(12),
        b'0' => simple(0),
        b'x' => hex(text.get(at + 2..at + 4)).map(|value| (value, 4)),
        b'u' if text.get(at + 2) == Some(&b'{') => {
            let digits = text.get(at + 3..(at + 8).min(text.len()))?;
            let len = digits.iter().position(|byte| *byte == b'}')?;
            hex(digits.get(..len)).map(|value| (value, len + 4))
        }
        b'u' => {
            let digits = text.get(at + 2..at + 6)?;
            let value = hex(Some(digits)).filter(u8::is_ascii);
            digits
                .iter()
                .all(u8::is_ascii_hexdigit)
                .then_some((value.unwrap_or(0xff), 6))
        }
        other if other.is_ascii_punctuation() => simple(*other),
        _ => None,
    }
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    let len = text
        .iter()
        .take(WIDEST_UNIT)
        .position(|byte| *byte == b';')?;
    let value = match text.get(1..len)? {
        b"amp" => b'&',
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', digits @ ..] => hex(Some(digits))?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some((value, len + 1))
}

/// The text with its percent-encoding taken off: its bytes, and where each of them begins, the text's end included. `None`
/// if there is nothing to take off.
///
/// One character at a time is not enough where a whole text was encoded that held an encoded secret.
pub(super) fn percent_decoded(text: &[u8]) -> Option<(Vec<u8>, Vec<usize>)> {
    let encoded = |at: usize| match text.get(at) {
        Some(b'%') => hex(text.get(at + 1..at + 3)),
        _ => None,
    };
    let first = (0..text.len()).find(|at| encoded(*at).is_some())?;
    let mut bytes = text[..first].to_vec();
    let mut places: Vec<usize> = (0..first).collect();
    let mut at = first;
    while let Some(byte) = text.get(at) {
        places.push(at);
        match encoded(at) {
            Some(value) => {
                bytes.push(value);
                at += 3;
            }
            None => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    places.push(text.len());
    Some((bytes, places))
}

fn hex(digits: Option<&[u8]>) -> Option<u8> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Whether a text was cut here.
fn is_cut(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with("…".as_bytes()) || rest.starts_with(b"...")
}

/// Whether what stands from `start` to `end` is a whole value: of a name, of an element, or of a URL's user-info.
fn is_value(text: &[u8], start: usize, end: usize) -> bool {
    let (before, after) = (&text[..start], &text[end..]);
    let ends = match after {
        [] => true,
        [b'.' | b'!' | b'?' | b':', rest @ ..] => rest.first().is_none_or(u8::is_ascii_whitespace),
        [byte, ..] => byte.is_ascii_whitespace() || b"\"'`\\&;,<>@#%)]}|".contains(byte),
    };
    if !ends {
        return false;
    }
    if before.ends_with(b"//") {
        return after.starts_with(b"@");
    }
    if before.ends_with(b">") {
        return after.starts_with(b"<");
    }
    // Quotes (also escaped ones) and blanks may stand between a value and its sign, and between the sign and its name.
    let surplus = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`\\".contains(byte);
    let mut left = before.iter().rev().skip_while(|byte| surplus(byte));
    let has_sign = left.next().is_some_and(|byte| matches!(byte, b'=' | b':'));
    let name = left.find(|byte| !surplus(byte));
    has_sign && name.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-)]".contains(byte))
}
