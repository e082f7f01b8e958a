//! Text: from the bytes of an XML page to the inside of a JSON string.
//!
//! Promise: whatever the bytes are, the result is valid text and nothing is dropped. What is not legal is repaired, and the caller is told:
//! a byte that is part of no UTF-8 sequence is read as Windows-1252 (the superset of Latin-1 that such bytes come from),
//! a character that XML 1.0 forbids becomes U+FFFD, a reference to an entity that does not exist stays as it was written.
//! Line ends become a single LF, as XML demands.
//!
//! Never here: entity definitions. The five predefined ones and character references are all there is.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::bytes::{HIGH, ONES, contains, word, zero_in};

/// Longest reference that is looked for, without `&` and `;`.
pub(crate) const REFERENCE: usize = 32;

/// What 0x80 to 0x9F mean in Windows-1252; the five holes become U+FFFD.
const WINDOWS_1252: [char; 32] = [
    '\u{20AC}', '\u{FFFD}', '\u{201A}', '\u{0192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{02C6}', '\u{2030}', '\u{0160}', '\u{2039}', '\u{0152}', '\u{FFFD}', '\u{017D}', '\u{FFFD}',
    '\u{FFFD}', '\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{02DC}', '\u{2122}', '\u{0161}', '\u{203A}', '\u{0153}', '\u{FFFD}', '\u{017E}', '\u{0178}',
];

/// True for bytes that cannot be copied into a JSON string unseen: controls, quote, backslash, and the first byte of U+FFFE/U+FFFF.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0xEF] = true;
    table
};

pub(crate) use crate::bytes::is_blank;

/// `raw` without blanks at its ends.
pub(crate) fn trim(raw: &[u8]) -> &[u8] {
    let start = raw.iter().position(|b| !is_blank(*b)).unwrap_or(raw.len());
    let end = raw
        .iter()
        .rposition(|b| !is_blank(*b))
        .map_or(start, |at| at + 1);
    &raw[start..end]
}

/// Bytes as UTF-8; the flag says whether something had to be repaired.
pub(crate) fn utf8(raw: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(raw) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => {
            let mut text = String::with_capacity(raw.len() + raw.len() / 8);
            for chunk in raw.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    text.push(match byte {
                        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
                        other => char::from(*other),
                    });
                }
            }
            (Cow::Owned(text), true)
        }
    }
}

/// True for the characters that XML 1.0 allows.
const fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What the name between `&` and `;` stands for; `None` when nothing of that name exists. The flag marks a repair.
fn resolve(name: &str) -> Option<(char, bool)> {
    let number = match name {
        "amp" => return Some(('&', false)),
        "lt" => return Some(('<', false)),
        "gt" => return Some(('>', false)),
        "quot" => return Some(('"', false)),
        "apos" => return Some(('\'', false)),
        _ => name.strip_prefix('#')?,
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16),
        None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse(),
        _ => return None,
    };
    match code.ok().and_then(char::from_u32) {
        Some(c) if is_legal(c) => Some((c, false)),
        _ if number.len() < 2 && !number.bytes().any(|b| b.is_ascii_digit()) => None,
        _ => Some(('\u{FFFD}', true)),
    }
}

/// Appends `text` with its references resolved. Line ends are made LF first, since a referenced CR is one that was meant.
pub(crate) fn unescape_into(out: &mut String, text: &str) -> bool {
    let mut repaired = false;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after
            .bytes()
            .take(REFERENCE + 1)
            .position(|b| matches!(b, b';' | b'&' | b'<'));
        match end {
            Some(end) if after.as_bytes()[end] == b';' => {
                match resolve(&after[..end]) {
                    Some((c, mended)) => {
                        out.push(c);
                        repaired |= mended;
                    }
                    None => {
                        out.push('&');
                        out.push_str(&after[..=end]);
                        repaired = true;
                    }
                }
                rest = &after[end + 1..];
            }
            _ => {
                out.push('&');
                repaired = true;
                rest = after;
            }
        }
    }
    out.push_str(rest);
    repaired
}

/// Text with single LF line ends and no illegal character.
pub(crate) fn clean(text: &str) -> (Cow<'_, str>, bool) {
    let dirty = {
        let bytes = text.as_bytes();
        let mut at = 0;
        while word(bytes, at).is_some_and(|word| suspects(word) == 0) {
            at += 8;
        }
        bytes[at..]
            .iter()
            .any(|b| SPECIAL[usize::from(*b)] && !matches!(b, b'\t' | b'\n' | b'"' | b'\\'))
    };
    if !dirty {
        return (Cow::Borrowed(text), false);
    }
    let mut out = String::with_capacity(text.len());
    let mut repaired = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            c if is_legal(c) => out.push(c),
            _ => {
                out.push('\u{FFFD}');
                repaired = true;
            }
        }
    }
    (Cow::Owned(out), repaired)
}

/// The text of one piece of an element: decoded, resolved, repaired.
pub(crate) fn decode(raw: &[u8], cdata: bool) -> (Cow<'_, str>, bool) {
    match utf8(raw) {
        (Cow::Borrowed(text), _) => decode_text(text, cdata),
        (Cow::Owned(text), broken) => {
            let (text, repaired) = decode_text(&text, cdata);
            (Cow::Owned(text.into_owned()), broken || repaired)
        }
    }
}

/// The same, of what is known to be UTF-8.
pub(crate) fn decode_text(text: &str, cdata: bool) -> (Cow<'_, str>, bool) {
    let (text, illegal) = clean(text);
    if cdata || !has_reference(text.as_bytes()) {
        return (text, illegal);
    }
    let mut out = String::with_capacity(text.len());
    let unresolved = unescape_into(&mut out, &text);
    (Cow::Owned(out), illegal || unresolved)
}

/// Zero if eight bytes can be copied unseen. May be more where zero would be right, and then they are looked at one by one.
#[inline]
fn suspects(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let quote = zero_in(word ^ (ONES * 0x22));
    let backslash = zero_in(word ^ (ONES * 0x5C));
    let illegal = zero_in(word ^ (ONES * 0xEF));
    control | quote | backslash | illegal
}

/// Appends `text` as the inside of a JSON string, repairing illegal characters and line ends on the way.
pub(crate) fn escape_into(out: &mut String, text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut repaired = false;
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        // As far as nothing is suspicious, in strides.
        while let (Some(a), Some(b)) = (word(bytes, at), word(bytes, at + 8))
            && suspects(a) | suspects(b) == 0
        {
            at += 16;
        }
        if let Some(eight) = word(bytes, at) {
            let first = suspects(eight).trailing_zeros() / 8;
            at += first as usize;
            if first == 8 {
                continue;
            }
        }
        if at == bytes.len() {
            break;
        }
        let byte = bytes[at];
        if !SPECIAL[usize::from(byte)] {
            at += 1;
            continue;
        }
        let with = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\t' => "\\t",
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => "",
            b'\r' => "\\n",
            0xEF => {
                if bytes.get(at + 1) == Some(&0xBF)
                    && matches!(bytes.get(at + 2), Some(0xBE | 0xBF))
                {
                    repaired = true;
                    out.push_str(&text[from..at]);
                    out.push('\u{FFFD}');
                    at += 3;
                    from = at;
                } else {
                    at += 1;
                }
                continue;
            }
            _ => {
                repaired = true;
                "\u{FFFD}"
            }
        };
        out.push_str(&text[from..at]);
        out.push_str(with);
        at += 1;
        from = at;
    }
    out.push_str(&text[from..]);
    repaired
}

/// Appends an element's text, trimmed by the caller, as the inside of a JSON string.
pub(crate) fn write_text(out: &mut String, text: &str, cdata: bool) -> bool {
    if cdata || !has_reference(text.as_bytes()) {
        return escape_into(out, text);
    }
    let (cleaned, illegal) = clean(text);
    let mut resolved = String::with_capacity(cleaned.len());
    let unresolved = unescape_into(&mut resolved, &cleaned);
    escape_into(out, &resolved) || illegal || unresolved
}

fn has_reference(raw: &[u8]) -> bool {
    contains(raw, b'&')
}

/// The longest start of `text` of at most `limit` bytes that ends at a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// SHA-256 of a text.
pub(crate) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirk_11_illegal_characters_become_the_replacement_character() {
        let (text, repaired) = decode(b"a\x01b&#x1;c&#0;d\xEF\xBF\xBFe", false);
        assert_eq!(text, "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e");
        assert!(repaired);
        let mut json = String::new();
        assert!(write_text(&mut json, "a\u{0}\u{FFFE}b", true));
        assert_eq!(json, "a\u{FFFD}\u{FFFD}b");
    }

    #[test]
    fn quirk_12_bytes_that_are_not_utf8_are_read_as_windows_1252_and_the_rest_stays() {
        let (text, repaired) = utf8(b"caf\xE9 \xE2\x82\xAC \x93q\x94");
        assert_eq!(text, "caf\u{E9} \u{20AC} \u{201C}q\u{201D}");
        assert!(repaired);
    }

    #[test]
    fn an_escaped_text_parses_back_to_the_cleaned_text() {
        let text = "tab\t line\r\nnext\rlast \"q\" \\ \u{FEFF}\u{FFFD}\u{10FFFF}\u{7}";
        let mut json = String::from("\"");
        escape_into(&mut json, text);
        json.push('"');
        let back: String = serde_json::from_str(&json).expect("a JSON string");
        assert_eq!(back, clean(text).0);
    }

    #[test]
    fn references_to_nothing_stay_as_they_are_written() {
        let (text, repaired) = decode(b"a &nbsp; b & c &amp; &#65; &#x; &", false);
        assert_eq!(text, "a &nbsp; b & c & A &#x; &");
        assert!(repaired);
    }
}
