//! Bytes: the few loops that every byte of a page passes through, eight bytes at a time.
//!
//! Inside the sandbox each turn of a loop costs a look at the host's clock, so it is the number of turns that has to be small.
//! Plain arithmetic on words does it, which works the same natively.

/// A one in each byte.
pub(crate) const ONES: u64 = 0x0101_0101_0101_0101;
/// The high bit of each byte.
pub(crate) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes at once, if there are as many.
#[inline]
pub(crate) fn word(buf: &[u8], at: usize) -> Option<u64> {
    let eight = buf.get(at..at + 8)?;
    Some(u64::from_le_bytes(eight.try_into().ok()?))
}

/// The high bit of each byte that is zero; exact up to the first one, and zero if there is none.
#[inline]
pub(crate) const fn zero_in(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// True for the blanks of XML.
#[inline]
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// True for nothing but blanks.
#[inline]
pub(crate) fn is_all_blank(raw: &[u8]) -> bool {
    let mut at = 0;
    while at < raw.len() {
        if word(raw, at) == Some(ONES * 0x20) {
            at += 8;
        } else if is_blank(raw[at]) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// True if `byte` is in `raw`.
#[inline]
pub(crate) fn contains(raw: &[u8], byte: u8) -> bool {
    if raw.len() >= 64 {
        return memchr::memchr(byte, raw).is_some();
    }
    let mut at = 0;
    while let Some(word) = word(raw, at) {
        if zero_in(word ^ (ONES * byte as u64)) != 0 {
            return true;
        }
        at += 8;
    }
    raw[at..].contains(&byte)
}

/// Equality of short texts, such as names.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while let (Some(x), Some(y)) = (word(a, at), word(b, at)) {
        if x != y {
            return false;
        }
        at += 8;
    }
    // The last eight once more, if there are as many, instead of what is left one by one.
    match (
        a.len().checked_sub(8).and_then(|last| word(a, last)),
        b.len().checked_sub(8).and_then(|last| word(b, last)),
    ) {
        (Some(x), Some(y)) => x == y,
        _ => a.iter().zip(b).all(|(x, y)| x == y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_at_words_is_looking_at_bytes() {
        let text: Vec<u8> = (0..80).map(|n| (n * 37 % 251) as u8).collect();
        for from in 0..text.len() {
            for to in from..text.len() {
                let part = &text[from..to];
                for byte in [0, 0x1F, 0x26, 0x80, 0xFF, text[from]] {
                    assert_eq!(contains(part, byte), part.contains(&byte));
                }
                let mut other = part.to_vec();
                assert!(same(part, &other));
                if let Some(last) = other.last_mut() {
                    *last ^= 1;
                    assert!(!same(part, &other));
                }
                if let Some(first) = other.first_mut() {
                    *first ^= 1;
                    assert_eq!(same(part, &other), part == other);
                }
            }
        }
    }

    #[test]
    fn only_blanks_are_blank() {
        assert!(is_all_blank(b"") && is_all_blank(b"\n            \t\r  "));
        assert!(
            !is_all_blank(b"              x")
                && !is_all_blank(b"\x0B")
                && !is_all_blank("\u{a0}".as_bytes())
        );
    }
}
