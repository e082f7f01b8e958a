//! XML tokens: where a tag, a text, a CDATA section or a comment ends in a buffer.
//!
//! One grammar for everything that reads a page: the window that looks for complete hosts and the tree that is made of them use this same
//! function, so they cannot disagree about where something ends. It is our own, where small documents are read with quick-xml, because bytes that are
//! not UTF-8 have to be repaired instead of refused, a text of hundreds of megabytes may never be held whole, and the end of what
//! the window holds must be found while bytes still arrive. A test compares its tokens with quick-xml's.
//!
//! Names are only delimited here; whether their characters may stand in a name is asked where an unknown one is used ([`is_valid_name`]).
//!
//! Never here: entities, name spaces, anything that fetches.

use std::ops::Range;

use crate::bytes::{HIGH, ONES, word, zero_in};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Character data up to the next `<`.
    Text,
    /// `<![CDATA[...]]>`.
    CData,
    /// `<!--...-->`.
    Comment,
    /// `<?...?>`, the XML declaration included.
    Instruction,
    /// `<!DOCTYPE ...>`.
    Doctype,
    /// `<NAME ...>`, or `<NAME .../>` when `empty`.
    Start {
        /// Ends with `/>`.
        empty: bool,
    },
    /// `</NAME>`.
    End,
}

/// A token that begins where the scan began. Places are 32 bits wide, since a window is small and has very many of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Behind its last byte.
    end: u32,
    from: u32,
    to: u32,
}

impl Token {
    pub(crate) const fn new(kind: Kind, end: usize, inside: Range<usize>) -> Self {
        Self {
            kind,
            end: end as u32,
            from: inside.start as u32,
            to: inside.end as u32,
        }
    }

    /// Behind its last byte.
    pub(crate) const fn end(self) -> usize {
        self.end as usize
    }

    /// The name of a tag; a text; the inside of a CDATA section; else empty.
    pub(crate) const fn inside(self) -> Range<usize> {
        self.from as usize..self.to as usize
    }

    /// The same token after bytes in front of it were given up.
    pub(crate) const fn moved(self, by: usize) -> Self {
        let by = by as u32;
        Self {
            kind: self.kind,
            end: self.end - by,
            from: self.from - by,
            to: self.to - by,
        }
    }
}

/// The result of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A complete token.
    Token(Token),
    /// The buffer ends inside the token.
    More,
    /// Not XML, and why.
    Bad(&'static str),
}

#[inline]
const fn token(kind: Kind, end: usize, from: usize, to: usize) -> Scan {
    Scan::Token(Token::new(kind, end, from..to))
}

/// The first byte from `at` on that cannot belong to a name: a blank, `/`, `>`, or the end of the buffer.
#[inline]
fn name_end(buf: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(buf, at) {
        let blank = word.wrapping_sub(ONES * 0x21) & !word & HIGH;
        let stop =
            blank | zero_in(word ^ (ONES * b'>' as u64)) | zero_in(word ^ (ONES * b'/' as u64));
        if stop != 0 {
            return at + (stop.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while buf
        .get(at)
        .is_some_and(|b| *b > b' ' && *b != b'/' && *b != b'>')
    {
        at += 1;
    }
    at
}

/// The next `<` from `at` on. Most texts are short, and a call for each would cost more than looking.
#[inline]
fn next_tag(buf: &[u8], at: usize) -> Option<usize> {
    for step in 0..4 {
        let Some(word) = word(buf, at + step * 8) else {
            break;
        };
        let stop = zero_in(word ^ (ONES * b'<' as u64));
        if stop != 0 {
            return Some(at + step * 8 + (stop.trailing_zeros() / 8) as usize);
        }
    }
    memchr::memchr(b'<', &buf[at..]).map(|len| at + len)
}

/// True if these bytes are a name.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    name.first().is_some_and(|first| starts_name(*first))
        && name.iter().all(|b| NAME[usize::from(*b)])
        && (name.is_ascii() || std::str::from_utf8(name).is_ok())
}

const fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || byte >= 0x80
}

/// The bytes a name may go on with; above ASCII everything.
static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        table[byte] = starts_name(it) || it.is_ascii_digit() || it == b'-' || it == b'.';
        byte += 1;
    }
    table
};

/// The token at `at`; `at` must lie inside the buffer.
#[inline]
pub(crate) fn scan(buf: &[u8], at: usize) -> Scan {
    if buf[at] != b'<' {
        return match next_tag(buf, at) {
            Some(end) => token(Kind::Text, end, at, end),
            None => Scan::More,
        };
    }
    match buf.get(at + 1) {
        None => Scan::More,
        Some(b'/') => scan_end(buf, at),
        Some(byte) if starts_name(*byte) => {
            let to = name_end(buf, at + 2);
            if buf.get(to) == Some(&b'>') {
                return token(Kind::Start { empty: false }, to + 1, at + 1, to);
            }
            scan_start(buf, at + 1, to)
        }
        Some(byte) => scan_other(buf, at, *byte),
    }
}

#[inline(never)]
fn scan_other(buf: &[u8], at: usize, next: u8) -> Scan {
    match next {
        b'!' => scan_declaration(buf, at),
        b'?' => match find(&buf[at..], 2, b'?', b">") {
            Some(len) => token(Kind::Instruction, at + len, at, at),
            None => Scan::More,
        },
        _ => Scan::Bad("a `<` that begins no tag"),
    }
}

/// Behind the first place from `from` on where `first` is followed by `then`.
fn find(rest: &[u8], from: usize, first: u8, then: &[u8]) -> Option<usize> {
    let mut at = from;
    while let Some(step) = memchr::memchr(first, &rest[at..]) {
        let end = at + step + 1;
        if rest[end..].starts_with(then) {
            return Some(end + then.len());
        }
        at = end;
    }
    None
}

fn scan_declaration(buf: &[u8], at: usize) -> Scan {
    const CDATA: &[u8] = b"<![CDATA[";
    let rest = &buf[at..];
    if rest.starts_with(b"<!--") {
        return match find(rest, 4, b'-', b"->") {
            Some(len) => token(Kind::Comment, at + len, at, at),
            None => Scan::More,
        };
    }
    if rest.starts_with(CDATA) {
        return match find(rest, CDATA.len(), b']', b"]>") {
            Some(len) => token(Kind::CData, at + len, at + CDATA.len(), at + len - 3),
            None => Scan::More,
        };
    }
    let head = &rest[..rest.len().min(9)];
    if head.eq_ignore_ascii_case(b"<!DOCTYPE") {
        return scan_doctype(buf, at);
    }
    let begins =
        |whole: &[u8]| head.len() < whole.len() && head.eq_ignore_ascii_case(&whole[..head.len()]);
    if begins(b"<!--") || begins(CDATA) || begins(b"<!DOCTYPE") {
        return Scan::More;
    }
    Scan::Bad("a `<!` that begins neither a comment nor a CDATA section")
}

fn scan_doctype(buf: &[u8], at: usize) -> Scan {
    let mut pos = at + 9;
    let mut subset = false;
    while let Some(byte) = buf.get(pos) {
        match byte {
            b'"' | b'\'' => match memchr::memchr(*byte, &buf[pos + 1..]) {
                Some(len) => pos += len + 1,
                None => return Scan::More,
            },
            b'<' if buf[pos..].starts_with(b"<!--") => match find(&buf[pos..], 4, b'-', b"->") {
                Some(len) => pos += len - 1,
                None => return Scan::More,
            },
            b'[' => subset = true,
            b']' => subset = false,
            b'>' if !subset => return token(Kind::Doctype, pos + 1, at + 9, pos),
            _ => {}
        }
        pos += 1;
    }
    Scan::More
}

#[inline]
fn scan_end(buf: &[u8], at: usize) -> Scan {
    let from = at + 2;
    let to = name_end(buf, from);
    let mut end = to;
    while buf.get(end).is_some_and(u8::is_ascii_whitespace) {
        end += 1;
    }
    match buf.get(end) {
        None => Scan::More,
        Some(b'>') if to > from => token(Kind::End, end + 1, from, to),
        Some(_) => Scan::Bad("an end tag that does not end"),
    }
}

/// A start tag that has more than its name.
fn scan_start(buf: &[u8], from: usize, to: usize) -> Scan {
    match buf.get(to) {
        None => return Scan::More,
        Some(b'/' | b' ' | b'\t' | b'\n' | b'\r') => {}
        Some(_) => return Scan::Bad("a character that no name may have"),
    }
    let mut pos = to;
    loop {
        let Some(step) = memchr::memchr3(b'>', b'"', b'\'', &buf[pos..]) else {
            return Scan::More;
        };
        pos += step;
        if buf[pos] == b'>' {
            return token(
                Kind::Start {
                    empty: buf[pos - 1] == b'/',
                },
                pos + 1,
                from,
                to,
            );
        }
        match memchr::memchr(buf[pos], &buf[pos + 1..]) {
            Some(len) => pos += len + 2,
            None => return Scan::More,
        }
    }
}

/// The attributes of a start tag: `inside` is what stands between its name and its `>` or `/>`.
pub(crate) struct Attributes<'a> {
    inside: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    pub(crate) const fn new(inside: &'a [u8]) -> Self {
        Self { inside, at: 0 }
    }
}

/// Ranges of name and value, relative to `inside`.
pub(crate) type Attribute = (std::ops::Range<usize>, std::ops::Range<usize>);

impl Iterator for Attributes<'_> {
    type Item = Result<Attribute, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let skip = |mut at: usize, inside: &[u8]| {
            while inside.get(at).is_some_and(u8::is_ascii_whitespace) {
                at += 1;
            }
            at
        };
        let from = skip(self.at, self.inside);
        if from == self.inside.len() {
            return None;
        }
        self.at = self.inside.len();
        let mut to = from;
        while self.inside.get(to).is_some_and(|b| NAME[usize::from(*b)]) {
            to += 1;
        }
        let equals = skip(to, self.inside);
        if to == from || from == self.at || self.inside.get(equals) != Some(&b'=') {
            return Some(Err("an attribute without a value"));
        }
        let open = skip(equals + 1, self.inside);
        let Some(quote @ (b'"' | b'\'')) = self.inside.get(open) else {
            return Some(Err("an attribute value without quotes"));
        };
        let Some(len) = memchr::memchr(*quote, &self.inside[open + 1..]) else {
            return Some(Err("an attribute value that does not end"));
        };
        let close = open + 1 + len;
        if memchr::memchr(b'<', &self.inside[open + 1..close]).is_some() {
            return Some(Err("a `<` in an attribute value"));
        }
        self.at = close + 1;
        Some(Ok((from..to, open + 1..close)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quick_xml::Reader;
    use quick_xml::events::Event;

    /// Kind letter, name or content of every token; `Err` at the first thing that is not well-formed.
    fn ours(xml: &str) -> Result<Vec<(char, String)>, ()> {
        let buf = xml.as_bytes();
        let mut out = Vec::new();
        let mut at = 0;
        while at < buf.len() {
            let token = match scan(buf, at) {
                Scan::Token(token) => token,
                Scan::More if buf[at] != b'<' => Token::new(Kind::Text, buf.len(), at..buf.len()),
                Scan::More | Scan::Bad(_) => return Err(()),
            };
            let inside = &xml[token.inside()];
            match token.kind {
                Kind::Text => out.push(('t', inside.to_owned())),
                Kind::CData => out.push(('d', inside.to_owned())),
                Kind::Comment => out.push(('c', String::new())),
                Kind::Instruction => out.push(('i', String::new())),
                Kind::Doctype => out.push(('y', String::new())),
                Kind::End => out.push(('e', inside.to_owned())),
                Kind::Start { empty } => {
                    let tail = token.end() - if empty { 2 } else { 1 };
                    let inner = &xml[token.inside().end..tail];
                    let mut text = inside.to_owned();
                    for attribute in Attributes::new(inner.as_bytes()) {
                        let (name, value) = attribute.map_err(|_| ())?;
                        text.push_str(&format!("|{}={}", &inner[name], &inner[value]));
                    }
                    out.push((if empty { 'm' } else { 's' }, text));
                }
            }
            at = token.end();
        }
        Ok(out)
    }

    fn theirs(xml: &str) -> Result<Vec<(char, String)>, ()> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        reader.config_mut().allow_dangling_amp = true;
        let mut out: Vec<(char, String)> = Vec::new();
        loop {
            let tag = |start: &quick_xml::events::BytesStart<'_>| -> Result<String, ()> {
                let mut text = start.name().as_ref().to_owned();
                for attribute in start.attributes().with_checks(false) {
                    let attribute = attribute.map_err(|_| ())?;
                    text.push_str(&format!("|{}={}", attribute.key.as_ref(), attribute.value));
                }
                Ok(text)
            };
            match reader.read_event().map_err(|_| ())? {
                Event::Eof => return Ok(out),
                Event::Start(start) => out.push(('s', tag(&start)?)),
                Event::Empty(start) => out.push(('m', tag(&start)?)),
                Event::End(end) => out.push(('e', end.name().as_ref().to_owned())),
                Event::CData(data) => out.push(('d', data.into_inner().into_owned())),
                Event::Comment(_) => out.push(('c', String::new())),
                Event::PI(_) | Event::Decl(_) => out.push(('i', String::new())),
                Event::DocType(_) => out.push(('y', String::new())),
                // References are separate events there and part of the text here.
                event @ (Event::Text(_) | Event::GeneralRef(_)) => {
                    let piece = match event {
                        Event::Text(text) => text.into_inner().into_owned(),
                        Event::GeneralRef(name) => format!("&{};", name.into_inner()),
                        _ => String::new(),
                    };
                    match out.last_mut() {
                        Some(('t', text)) => text.push_str(&piece),
                        _ => out.push(('t', piece)),
                    }
                }
            }
        }
    }

    const PIECES: [&str; 24] = [
        "<A>",
        "</A>",
        "<B x=\"1\">",
        "<B x='a>b' y = \"'\" />",
        "<C/>",
        "</B >",
        "<D\n>",
        "text",
        "&amp;",
        " ",
        "<![CDATA[x]]>",
        "<![CDATA[</A>]]]]>",
        "<![CDATA[]]>",
        "<!-- a > b -->",
        "<!---->",
        "<?pi a?>",
        "&#10;",
        "]]>",
        "\u{e9}",
        "<E.f-g_h:i>",
        ">",
        "\"",
        "<!DOCTYPE A SYSTEM \"u\">",
        "</E.f-g_h:i>",
    ];

    #[test]
    fn tokens_are_those_of_a_reference_reader() {
        // Every pair, and a long pseudo-random walk over the pieces.
        for a in PIECES {
            for b in PIECES {
                let xml = format!("{a}{b}");
                assert_eq!(ours(&xml), theirs(&xml), "{xml}");
            }
        }
        let mut seed = 7_u64;
        for _ in 0..3000 {
            let mut xml = String::new();
            for _ in 0..12 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                xml.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
            }
            assert_eq!(ours(&xml), theirs(&xml), "{xml}");
        }
    }

    #[test]
    fn a_token_that_is_cut_anywhere_asks_for_more() {
        for whole in [
            "<!-- c -->",
            "<![CDATA[x]]>",
            "<A b=\"c>\">",
            "</A >",
            "<?p ?>",
            "<!DOCTYPE A [ <!-- > --> ]>",
        ] {
            for len in 1..whole.len() {
                assert_eq!(
                    scan(&whole.as_bytes()[..len], 0),
                    Scan::More,
                    "{}",
                    &whole[..len]
                );
            }
            assert!(
                matches!(scan(whole.as_bytes(), 0), Scan::Token(token) if token.end() == whole.len())
            );
        }
    }

    #[test]
    fn what_is_no_markup_is_refused() {
        for bad in ["< A>", "<1>", "<!A>", "</>", "</A b>", "<A\u{7}>"] {
            assert!(matches!(scan(bad.as_bytes(), 0), Scan::Bad(_)), "{bad}");
        }
    }
}
