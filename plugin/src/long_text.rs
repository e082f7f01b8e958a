//! Long text: a text too long to be held, reduced to its start, its length and its hash while it passes.

use sha2::{Digest as _, Sha256};

use crate::text::{REFERENCE, cut, decode};

/// A text too long to be held: its start, its length and its hash.
#[derive(Debug, Clone)]
pub(crate) struct LongText {
    /// Where in the window it stood (its bytes have been taken out).
    pub(crate) offset: usize,
    /// The decoded start, at least as much as any limit asks for.
    pub(crate) kept: String,
    /// Length of the whole decoded text in bytes.
    pub(crate) length: u64,
    /// SHA-256 of the whole decoded text.
    pub(crate) sha256: [u8; 32],
    /// Whether something in it had to be repaired.
    pub(crate) repaired: bool,
}

/// Takes a text piece by piece and keeps only its start and its digest. Gives exactly what reading the text at once would give.
pub(crate) struct LongTextReader {
    limit: usize,
    state: State,
    /// The state behind the last piece that is sure to belong to the text: blanks at its end may not.
    sure: State,
    kept: String,
    held: Vec<u8>,
    repaired: bool,
}

#[derive(Clone, Default)]
struct State {
    hash: Sha256,
    length: u64,
    kept: usize,
}

impl LongTextReader {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: State::default(),
            sure: State::default(),
            kept: String::new(),
            held: Vec::new(),
            repaired: false,
        }
    }

    /// Takes the next bytes; `last` when the token (text or CDATA section) ends with them.
    pub(crate) fn feed(&mut self, raw: &[u8], cdata: bool, last: bool) {
        let held = std::mem::take(&mut self.held);
        let joined;
        let raw = if held.is_empty() {
            raw
        } else {
            joined = [held.as_slice(), raw].concat();
            joined.as_slice()
        };
        let end = if last {
            raw.len()
        } else {
            raw.len() - unfinished(raw, cdata)
        };
        let (text, repaired) = decode(&raw[..end], cdata);
        self.repaired |= repaired;
        self.push(&text, cdata);
        self.held.extend_from_slice(&raw[end..]);
    }

    fn push(&mut self, text: &str, cdata: bool) {
        let is_blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        let mut text = text;
        if self.state.length == 0 && !cdata {
            text = text.trim_start_matches(is_blank);
        }
        let sure = if cdata {
            text
        } else {
            text.trim_end_matches(is_blank)
        };
        if !sure.is_empty() {
            self.add(sure);
            self.sure = self.state.clone();
        }
        if sure.len() < text.len() {
            self.add(&text[sure.len()..]);
        }
    }

    fn add(&mut self, text: &str) {
        self.state.hash.update(text.as_bytes());
        self.state.length += text.len() as u64;
        // Once something was cut off, the start is complete and nothing may be appended behind the gap.
        if self.kept.len() as u64 + text.len() as u64 == self.state.length {
            self.kept.push_str(cut(text, self.limit - self.kept.len()));
        }
        self.state.kept = self.kept.len();
    }

    /// The finished text; `None` when there was nothing but blanks.
    pub(crate) fn finish(mut self, offset: usize) -> Option<LongText> {
        self.kept.truncate(self.sure.kept.min(self.kept.len()));
        (self.sure.length > 0).then(|| LongText {
            offset,
            kept: self.kept,
            length: self.sure.length,
            sha256: self.sure.hash.finalize().into(),
            repaired: self.repaired,
        })
    }
}

/// How many bytes at the end of a piece must wait for what follows: a split character, a CR, the start of a reference.
fn unfinished(raw: &[u8], cdata: bool) -> usize {
    let len = raw.len();
    if raw.last() == Some(&b'\r') {
        return 1;
    }
    for back in 1..=len.min(3) {
        let byte = raw[len - back];
        let needs = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => break,
        };
        if needs > back {
            return back;
        }
        break;
    }
    if !cdata {
        let window = &raw[len.saturating_sub(REFERENCE + 2)..];
        if let Some(at) = memchr::memrchr(b'&', window)
            && memchr::memchr(b';', &window[at..]).is_none()
        {
            return window.len() - at;
        }
    }
    0
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::sha256;

    fn read_in_pieces(raw: &[u8], cdata: bool, size: usize, limit: usize) -> Option<LongText> {
        let mut reader = LongTextReader::new(limit);
        let mut pieces = raw.chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            reader.feed(piece, cdata, pieces.peek().is_none());
        }
        reader.finish(0)
    }

    #[test]
    fn a_long_text_read_in_pieces_is_the_text_read_at_once() {
        let raw =
            "  a\r\nb\u{1} \u{20AC}&amp;&#x41;&nope;&&lt; \u{FFFE}\u{1F600}  c \r\n ".as_bytes();
        let mut broken = raw.to_vec();
        broken.extend_from_slice(b"caf\xE9 \xC3");
        for bytes in [raw, &broken] {
            for cdata in [false, true] {
                let (whole, repaired) = decode(bytes, cdata);
                let whole = if cdata {
                    whole.as_ref()
                } else {
                    whole.trim_matches([' ', '\n', '\t'])
                };
                for size in 1..=bytes.len() {
                    let long = read_in_pieces(bytes, cdata, size, 1 << 20).expect("text");
                    assert_eq!(long.kept, whole, "pieces of {size}");
                    assert_eq!(long.length, whole.len() as u64);
                    assert_eq!(long.sha256, sha256(whole));
                    assert_eq!(long.repaired, repaired);
                    let short = read_in_pieces(bytes, cdata, size, 9).expect("text");
                    assert_eq!(short.kept, cut(whole, 9), "pieces of {size}");
                    assert_eq!(short.sha256, sha256(whole));
                }
            }
        }
    }

    #[test]
    fn blanks_alone_are_no_text() {
        assert!(read_in_pieces(b" \n\t \r\n", false, 2, 100).is_none());
    }
}
