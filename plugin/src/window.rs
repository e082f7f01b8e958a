//! Window: the search for the end of a host, and for the parts of one that is too large to be held.
//!
//! The end is found by tokens, never by searching for text: a CDATA section may contain `</HOST>`.

use crate::bytes::is_all_blank;
use crate::environment::Body;
use crate::long_text::LongTextReader;
use crate::page::{
    DEPTH_LIMIT, HostChunk, HostFault, PageError, PageReader, Piece, Step, TAG_LIMIT,
};
use crate::text;
use crate::xml::{self, Kind, Scan, Token};

/// A host up to this size is handed out whole.
pub(crate) const WINDOW: usize = 1 << 20;
/// What may have to be held at most, for the head of a host or one detection.
const WINDOW_LIMIT: usize = 3 << 20;
/// Elements of one host's head or of one detection.
const ELEMENT_LIMIT: usize = 50_000;
/// A text (several sections of it included) above this many raw bytes is reduced while it is read.
pub(crate) const LONG_RAW: usize = 256 << 10;

/// A place in the window: the byte, and how many tokens there are in front of it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    byte: usize,
    token: usize,
}

impl Place {
    const fn to(self, end: Self) -> Piece {
        Piece {
            bytes: self.byte..end.byte,
            tokens: self.token..end.token,
        }
    }

    const fn give_up(self, bytes: usize, tokens: usize) -> Self {
        Self {
            byte: self.byte.saturating_sub(bytes),
            token: self.token.saturating_sub(tokens),
        }
    }
}

pub(crate) struct HostScan {
    pub(crate) first: bool,
    pub(crate) depth: usize,
    /// First byte of the host that is still needed.
    pub(crate) start: usize,
    /// Behind the last tag: where the present text begins.
    pub(crate) run: usize,
    pub(crate) id: Option<String>,
    pub(crate) id_from: Option<usize>,
    pub(crate) in_list: bool,
    /// The detection that is open, and the depth around it.
    pub(crate) detection: Option<(Place, usize)>,
    pub(crate) head_from: Place,
    pub(crate) head: Vec<Piece>,
    pub(crate) detections: Vec<Piece>,
    /// First token of the host that is still needed.
    pub(crate) tokens_start: usize,
    /// Elements since the host or the present detection began.
    pub(crate) elements: usize,
    pub(crate) fault: Option<HostFault>,
    pub(crate) kept: usize,
}

impl<B: Body> PageReader<B> {
    /// The host whose start tag this is begins.
    pub(crate) fn begin_host(&mut self, tag: Token) {
        let here = Place {
            byte: self.at,
            token: self.tokens.len(),
        };
        self.tokens.push(tag);
        self.host = Some(HostScan {
            first: true,
            depth: 1,
            start: self.at,
            run: tag.end(),
            id: None,
            id_from: None,
            in_list: false,
            detection: None,
            head_from: here,
            head: Vec::new(),
            detections: Vec::new(),
            tokens_start: here.token,
            elements: 1,
            fault: None,
            kept: 0,
        });
        self.at = tag.end();
    }

    pub(crate) fn step_host(&mut self) -> Result<Step, PageError> {
        let Some(host) = self.host.as_mut() else {
            return Ok(Step::Go);
        };
        let scan = if self.at == self.buf.len() {
            Scan::More
        } else {
            xml::scan(&self.buf, self.at)
        };
        let token = match scan {
            Scan::Token(token) => token,
            Scan::Bad(why) => return Err(PageError::Malformed(why)),
            Scan::More => {
                let rest = &self.buf[self.at..];
                let is_tag = rest.first() == Some(&b'<') && !rest.starts_with(b"<!");
                if is_tag && rest.len() > TAG_LIMIT {
                    return Err(PageError::Malformed("a tag that does not end"));
                }
                if !is_tag && self.buf.len() - host.run > LONG_RAW {
                    return self.reduce_text();
                }
                return Ok(self.hand_out_part().map_or(Step::More, Step::Chunk));
            }
        };
        let here = Place {
            byte: self.at,
            token: self.tokens.len(),
        };
        match token.kind {
            Kind::Text | Kind::CData | Kind::Comment | Kind::Instruction => {
                if token.end() - host.run > LONG_RAW {
                    return self.reduce_text();
                }
                self.at = token.end();
                let text = match token.kind {
                    Kind::Text => !is_all_blank(&self.buf[token.inside()]),
                    Kind::CData => true,
                    _ => false,
                };
                // Between two pieces of one text a blank is part of it.
                let joins = self
                    .tokens
                    .last()
                    .is_some_and(|last| matches!(last.kind, Kind::Text | Kind::CData));
                if host.fault.is_none() && (text || joins && token.kind == Kind::Text) {
                    self.tokens.push(token);
                }
                Ok(Step::Go)
            }
            Kind::Doctype => Err(PageError::Malformed("a document type inside the page")),
            Kind::Start { empty } => {
                if token.end() - self.at > TAG_LIMIT {
                    return Err(PageError::Malformed("a tag that does not end"));
                }
                host.enter(&self.buf, here, token);
                if host.fault.is_none() {
                    self.tokens.push(token);
                }
                if empty {
                    host.leave(&self.buf, token, self.tokens.len())?;
                }
                self.at = token.end();
                host.run = token.end();
                Ok(self.drop_faulty())
            }
            Kind::End => {
                if host.fault.is_none() {
                    self.tokens.push(token);
                }
                let closed = host.leave(&self.buf, token, self.tokens.len())?;
                self.at = token.end();
                host.run = token.end();
                if closed {
                    let end = Place {
                        byte: token.end(),
                        token: self.tokens.len(),
                    };
                    return Ok(self
                        .host
                        .take()
                        .map_or(Step::Go, |host| Step::Chunk(host.into_chunk(end))));
                }
                if self.drop_faulty_or_full() {
                    return Ok(self.hand_out_part().map_or(Step::Go, Step::Chunk));
                }
                Ok(Step::Go)
            }
        }
    }

    /// A host that will not be taken needs no bytes.
    pub(crate) fn drop_faulty(&mut self) -> Step {
        if let Some(host) = self.host.as_mut()
            && host.fault.is_some()
        {
            self.long.retain(|long| long.offset < host.start);
            host.start = self.at;
            self.tokens.truncate(host.tokens_start);
            host.head.clear();
            host.detections.clear();
            host.detection = None;
        }
        Step::Go
    }

    pub(crate) fn drop_faulty_or_full(&mut self) -> bool {
        self.drop_faulty();
        self.host
            .as_ref()
            .is_some_and(|host| host.fault.is_none() && self.at - host.start + host.kept > WINDOW)
    }

    /// Once the host exceeds the window, hands out its head or the detections that are complete.
    pub(crate) fn hand_out_part(&mut self) -> Option<HostChunk> {
        let host = self.host.as_mut()?;
        let held = self.buf.len() - host.start + host.kept;
        if host.fault.is_some() || held <= WINDOW {
            return None;
        }
        if (host.first && host.in_list) || !host.detections.is_empty() {
            let chunk = HostChunk {
                first: std::mem::take(&mut host.first),
                last: false,
                id: host.id.clone(),
                head: std::mem::take(&mut host.head),
                detections: std::mem::take(&mut host.detections),
                fault: None,
            };
            (host.start, host.tokens_start) = host
                .detection
                .map_or((self.at, self.tokens.len()), |(from, _)| {
                    (from.byte, from.token)
                });
            host.kept = self
                .long
                .iter()
                .filter(|long| long.offset >= host.start)
                .map(|long| long.kept.len())
                .sum();
            return Some(chunk);
        }
        if held > WINDOW_LIMIT {
            host.fault = Some(HostFault::TooLarge);
            self.drop_faulty();
        }
        None
    }

    /// Reduces the text that began behind the last tag, reading on until the next tag.
    pub(crate) fn reduce_text(&mut self) -> Result<Step, PageError> {
        let Some(host) = self.host.as_ref() else {
            return Ok(Step::Go);
        };
        let run = host.run;
        while self.tokens.last().is_some_and(|token| token.end() > run) {
            self.tokens.pop();
        }
        let mut reader = LongTextReader::new(self.keep_text);
        loop {
            if self.at_run_end(run) {
                break;
            }
            match self.buf.get(run..).map(|rest| {
                if rest.is_empty() {
                    Scan::More
                } else {
                    xml::scan(&self.buf, run)
                }
            }) {
                Some(Scan::Token(token)) => {
                    match token.kind {
                        Kind::Text => reader.feed(&self.buf[token.inside()], false, true),
                        Kind::CData => reader.feed(&self.buf[token.inside()], true, true),
                        Kind::Comment | Kind::Instruction => {}
                        _ => break,
                    }
                    self.buf.drain(run..token.end());
                }
                Some(Scan::Bad(why)) => return Err(PageError::Malformed(why)),
                _ => self.reduce_open_token(&mut reader, run)?,
            }
        }
        self.at = run;
        if let Some(long) = reader.finish(run)
            && let Some(host) = self.host.as_mut()
            && host.fault.is_none()
        {
            host.kept += long.kept.len();
            self.long.push(long);
        }
        Ok(Step::Go)
    }

    pub(crate) fn at_run_end(&self, run: usize) -> bool {
        matches!(&self.buf[run..], [b'<', next, ..] if *next != b'!' && *next != b'?')
    }

    /// Takes what is there of a token whose end is not, in pieces, until the end comes by.
    pub(crate) fn reduce_open_token(
        &mut self,
        reader: &mut LongTextReader,
        run: usize,
    ) -> Result<(), PageError> {
        const CDATA: &[u8] = b"<![CDATA[";
        let (end, cdata): (&[u8], bool) = match &self.buf[run..] {
            rest if rest.starts_with(CDATA) => (b"]]>", true),
            rest if rest.starts_with(b"<!--") => (b"-->", false),
            rest if rest.len() > TAG_LIMIT && rest[0] == b'<' => {
                return Err(PageError::Malformed("a declaration that does not end"));
            }
            rest if !rest.is_empty() && rest[0] != b'<' => {
                reader.feed(rest, false, false);
                self.buf.truncate(run);
                return loop {
                    self.read_on()?;
                    let rest = &self.buf[run..];
                    let len = memchr::memchr(b'<', rest);
                    reader.feed(&rest[..len.unwrap_or(rest.len())], false, len.is_some());
                    self.buf.drain(run..run + len.unwrap_or(rest.len()));
                    if len.is_some() {
                        break Ok(());
                    }
                };
            }
            _ => return self.read_on(),
        };
        if cdata {
            self.buf.drain(run..run + CDATA.len());
        } else {
            self.buf.drain(run..run + 4);
        }
        loop {
            let rest = &self.buf[run..];
            if let Some(len) = memchr::memmem::find(rest, end) {
                if cdata {
                    reader.feed(&rest[..len], true, true);
                }
                self.buf.drain(run..run + len + end.len());
                return Ok(());
            }
            // The last two bytes may begin the end mark.
            let sure = rest.len().saturating_sub(2);
            if cdata {
                reader.feed(&rest[..sure], true, false);
            }
            self.buf.drain(run..run + sure);
            self.read_on()?;
        }
    }

    pub(crate) fn read_on(&mut self) -> Result<(), PageError> {
        self.read()?;
        if self.eof {
            Err(PageError::Truncated)
        } else {
            Ok(())
        }
    }
}

impl HostScan {
    /// An element begins.
    fn enter(&mut self, buf: &[u8], here: Place, token: Token) {
        self.depth += 1;
        self.elements += 1;
        if self.fault.is_none() {
            if self.depth > DEPTH_LIMIT {
                self.fault = Some(HostFault::TooDeep);
            } else if self.elements > ELEMENT_LIMIT {
                self.fault = Some(HostFault::TooLarge);
            }
        }
        if self.depth > 3 {
            return;
        }
        let name = &buf[token.inside()];
        match self.depth {
            2 if name == b"ID" && self.id.is_none() => self.id_from = Some(token.end()),
            2 if name == b"DETECTION_LIST" => {
                self.head.push(self.head_from.to(here));
                self.in_list = true;
            }
            // The list is missing, its members are not.
            2 if name == b"DETECTION" => {
                self.head.push(self.head_from.to(here));
                self.detection = Some((here, 1));
                self.elements = 1;
            }
            3 if self.in_list && name == b"DETECTION" => {
                self.detection = Some((here, 2));
                self.elements = 1;
            }
            _ => {}
        }
    }

    /// Bytes and tokens in front of what is still needed were given up.
    pub(crate) fn give_up(&mut self, bytes: usize, tokens: usize) {
        self.start -= bytes;
        self.tokens_start -= tokens;
        self.run = self.run.saturating_sub(bytes);
        self.head_from = self.head_from.give_up(bytes, tokens);
        self.id_from = self.id_from.map(|from| from.saturating_sub(bytes));
        if let Some((from, _)) = &mut self.detection {
            *from = from.give_up(bytes, tokens);
        }
        for piece in self.head.iter_mut().chain(self.detections.iter_mut()) {
            piece.bytes = piece.bytes.start - bytes..piece.bytes.end - bytes;
            piece.tokens = piece.tokens.start - tokens..piece.tokens.end - tokens;
        }
    }

    /// An element ends; true when it was the host.
    fn leave(&mut self, buf: &[u8], token: Token, tokens: usize) -> Result<bool, PageError> {
        let end = Place {
            byte: token.end(),
            token: tokens,
        };
        // Names inside are compared when the tree is built; a host that is closed in the wrong place would swallow the next.
        if token.kind == Kind::End && (&buf[token.inside()] == b"HOST") != (self.depth == 1) {
            return Err(PageError::Malformed(
                "an end tag that closes another element",
            ));
        }
        self.depth -= 1;
        if let Some(from) = self.id_from.take() {
            let to = if token.kind == Kind::End {
                token.inside().start - 2
            } else {
                from
            };
            let raw = buf.get(from..to).unwrap_or_default();
            let raw = raw
                .strip_prefix(b"<![CDATA[")
                .and_then(|raw| raw.strip_suffix(b"]]>"))
                .unwrap_or(raw);
            self.id = Some(text::decode(text::trim(raw), false).0.into_owned());
        }
        if let Some((from, around)) = self.detection
            && self.depth == around
        {
            self.detections.push(from.to(end));
            self.detection = None;
            self.elements = 1;
            if around == 1 {
                self.head_from = end;
            }
        }
        if self.in_list && self.depth == 1 {
            self.in_list = false;
            self.head_from = end;
        }
        Ok(self.depth == 0)
    }

    fn into_chunk(mut self, end: Place) -> HostChunk {
        if self.first && self.fault.is_none() {
            self.head.push(self.head_from.to(end));
        }
        HostChunk {
            first: self.first,
            last: true,
            id: self.id,
            head: if self.first { self.head } else { Vec::new() },
            detections: self.detections,
            fault: self.fault,
        }
    }
}
