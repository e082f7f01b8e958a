//! A page: one answer of a list, read as a stream and handed out host by host.
//!
//! The window holds complete hosts; a host that is larger is handed out detection by detection, and a single text that is larger still is reduced
//! to its start, its length and its hash while it passes. So memory is bounded by the window, whatever the page holds.
//!
//! Promises: a page counts as read only when its root element was closed; complete hosts in front of a fault are handed out before
//! the fault is reported.
//!
//! Never here: what the elements mean, or a request.

use std::collections::VecDeque;
use std::ops::Range;

use thiserror::Error;

use crate::environment::{Body, TransportError};
use crate::text::{self, LongText, LongTextReader};
use crate::xml::{self, Kind, Scan, Token};

/// A host up to this size is handed out whole.
const WINDOW: usize = 1 << 20;
/// What may have to be held at most, for the head of a host or one detection.
const WINDOW_LIMIT: usize = 3 << 20;
/// A text (several sections of it included) above this many raw bytes is reduced while it is read.
const LONG_RAW: usize = 256 << 10;
/// A tag above this size is no tag.
const TAG_LIMIT: usize = 64 << 10;
/// Elements inside each other.
pub(crate) const DEPTH_LIMIT: usize = 64;
/// Text of a warning and the like.
const CAPTURE_LIMIT: usize = 64 << 10;

/// Why a page could not be read on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PageError {
    /// The body ended before the root element did.
    #[error("the answer ends in the middle of the page")]
    Truncated,
    /// The connection broke or a time limit passed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Not well-formed.
    #[error("the page is not well-formed XML: {0}")]
    Malformed(&'static str),
    /// Something else than XML, or HTML.
    #[error("the answer is not the XML of a Qualys API")]
    NotXml,
    /// The document type declares entities.
    #[error("the page declares entities of its own, which is refused")]
    Entities,
    /// Elements inside each other beyond the limit, outside of any host.
    #[error("the page nests elements more than {DEPTH_LIMIT} deep")]
    TooDeep,
}

/// Why one host inside a good page cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// Elements inside each other beyond the limit.
    TooDeep,
    /// Its head, or one of its detections, exceeds the window.
    TooLarge,
}

/// A host, or a piece of a large one. The ranges are places in [`PageReader::window`].
#[derive(Debug, Clone, Default)]
pub(crate) struct HostChunk {
    /// Begins the host.
    pub(crate) first: bool,
    /// Ends the host.
    pub(crate) last: bool,
    /// The text of `ID`, if it has come by.
    pub(crate) id: Option<String>,
    /// The host without its detections; only with `first`.
    pub(crate) head: Vec<Range<usize>>,
    /// Complete `DETECTION` elements.
    pub(crate) detections: Vec<Range<usize>>,
    /// Set when the host cannot be taken; then `last` is set as well.
    pub(crate) fault: Option<HostFault>,
}

/// The notice at the end of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) code: String,
    pub(crate) text: String,
    pub(crate) url: String,
}

/// What [`PageReader::fill`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There are chunks.
    Hosts,
    /// The root element is closed and every chunk was handed out.
    Closed,
}

struct HostScan {
    first: bool,
    depth: usize,
    /// First byte of the host that is still needed.
    start: usize,
    /// Behind the last tag: where the present text begins.
    run: usize,
    id: Option<String>,
    id_from: Option<usize>,
    in_list: bool,
    /// The detection that is open: where it begins, and the depth around it.
    detection: Option<(usize, usize)>,
    head_from: usize,
    head: Vec<Range<usize>>,
    detections: Vec<Range<usize>>,
    fault: Option<HostFault>,
    kept: usize,
}

/// Reads one page.
pub(crate) struct PageReader<B> {
    body: B,
    buf: Vec<u8>,
    at: usize,
    eof: bool,
    closed: bool,
    /// How much of a long text is kept.
    keep_text: usize,
    path: Vec<String>,
    capture: String,
    long: Vec<LongText>,
    host: Option<HostScan>,
    failure: Option<PageError>,
    datetime: Option<String>,
    warning: Option<Warning>,
}

enum Step {
    Go,
    More,
    Chunk(HostChunk),
}

impl<B: Body> PageReader<B> {
    /// Reads up to and including the root's start tag and returns its name.
    pub(crate) fn open(body: B, keep_text: usize) -> (Self, Result<String, PageError>) {
        let mut page = Self {
            body,
            buf: Vec::new(),
            at: 0,
            eof: false,
            closed: false,
            keep_text: keep_text.max(LONG_RAW),
            path: Vec::new(),
            capture: String::new(),
            long: Vec::new(),
            host: None,
            failure: None,
            datetime: None,
            warning: None,
        };
        let root = page.prolog();
        (page, root)
    }

    /// The bytes that the ranges of the present chunks lie in.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buf
    }

    /// The texts that were taken out of the window.
    pub(crate) fn long_texts(&self) -> &[LongText] {
        &self.long
    }

    /// `RESPONSE/DATETIME`, once it has come by.
    pub(crate) fn datetime(&self) -> Option<&str> {
        self.datetime.as_deref()
    }

    /// `RESPONSE/WARNING`, once it has come by.
    pub(crate) const fn warning(&self) -> Option<&Warning> {
        self.warning.as_ref()
    }

    /// The ID of the host in which reading stopped.
    pub(crate) fn open_host(&self) -> Option<&str> {
        self.host.as_ref()?.id.as_deref()
    }

    /// What has been read and not been consumed, filled up to `limit` bytes; for small answers and for looking at what is no page.
    pub(crate) fn excerpt(&mut self, limit: usize) -> &[u8] {
        while self.buf.len() < limit && !self.eof {
            if self.read().is_err() {
                break;
            }
        }
        &self.buf[..self.buf.len().min(limit)]
    }

    fn read(&mut self) -> Result<(), PageError> {
        if self.body.read(&mut self.buf)? == 0 {
            self.eof = true;
        }
        Ok(())
    }

    /// The next token outside of hosts, reading as needed; long comments and texts pass in pieces.
    fn prolog(&mut self) -> Result<String, PageError> {
        loop {
            if self.at == 0 && self.buf.starts_with(b"\xEF\xBB\xBF") {
                self.at = 3;
            }
            if self.at == self.buf.len() {
                if self.eof {
                    return Err(if self.buf.is_empty() {
                        PageError::Truncated
                    } else {
                        PageError::NotXml
                    });
                }
                self.read()?;
                continue;
            }
            let token = match xml::scan(&self.buf, self.at) {
                Scan::Token(token) => token,
                Scan::More if self.eof => {
                    return Err(if self.buf[self.at] == b'<' {
                        PageError::Truncated
                    } else {
                        PageError::NotXml
                    });
                }
                Scan::More => {
                    if self.buf[self.at] != b'<' && !text::trim(&self.buf[self.at..]).is_empty() {
                        return Err(PageError::NotXml);
                    }
                    if self.buf[self.at] != b'<' {
                        self.at = self.buf.len();
                        continue;
                    }
                    if self.buf.len() - self.at > TAG_LIMIT {
                        let head = &self.buf[self.at..];
                        if memchr::memmem::find(head, b"<!ENTITY").is_some() {
                            return Err(PageError::Entities);
                        }
                        if head.starts_with(b"<!--") && head.len() < WINDOW {
                            self.read()?;
                            continue;
                        }
                        return Err(PageError::NotXml);
                    }
                    self.read()?;
                    continue;
                }
                Scan::Bad(_) => return Err(PageError::NotXml),
            };
            let inside = &self.buf[token.from..token.to];
            match token.kind {
                Kind::Text if text::trim(inside).is_empty() => {}
                // A byte order mark, possibly behind keep-alive blanks.
                Kind::Text if text::trim(inside) == b"\xEF\xBB\xBF" => {}
                Kind::Comment | Kind::Instruction => {}
                Kind::Doctype => {
                    if memchr::memmem::find(inside, b"<!ENTITY").is_some() {
                        return Err(PageError::Entities);
                    }
                }
                Kind::Start { empty } => {
                    let root = String::from_utf8(inside.to_vec()).map_err(|_| PageError::NotXml)?;
                    if root.eq_ignore_ascii_case("html") {
                        return Err(PageError::NotXml);
                    }
                    self.closed = empty;
                    self.path.push(root.clone());
                    self.at = token.end;
                    return Ok(root);
                }
                Kind::Text | Kind::CData | Kind::End => return Err(PageError::NotXml),
            }
            self.at = token.end;
        }
    }

    /// Hands out what is complete, reading on only when nothing is. The caller must be done with all earlier chunks.
    pub(crate) fn fill(&mut self, chunks: &mut VecDeque<HostChunk>) -> Result<Progress, PageError> {
        self.compact();
        loop {
            if let Some(failure) = &self.failure {
                return if chunks.is_empty() {
                    Err(failure.clone())
                } else {
                    Ok(Progress::Hosts)
                };
            }
            if self.closed {
                return Ok(if chunks.is_empty() {
                    Progress::Closed
                } else {
                    Progress::Hosts
                });
            }
            let step = if self.host.is_some() {
                self.step_host()
            } else {
                self.step_page()
            };
            match step {
                Ok(Step::Go) => {}
                Ok(Step::Chunk(chunk)) => {
                    let whole = chunk.last;
                    chunks.push_back(chunk);
                    // Behind a piece of a large host the window must be made free first.
                    if !whole {
                        return Ok(Progress::Hosts);
                    }
                }
                Ok(Step::More) if !chunks.is_empty() => return Ok(Progress::Hosts),
                Ok(Step::More) if self.eof => self.failure = Some(PageError::Truncated),
                Ok(Step::More) => {
                    self.compact();
                    if let Err(error) = self.read() {
                        self.failure = Some(error);
                    }
                }
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// Gives up the bytes in front of everything that is still needed.
    fn compact(&mut self) {
        let cut = self.host.as_ref().map_or(self.at, |host| host.start);
        if cut == 0 {
            return;
        }
        self.buf.drain(..cut);
        self.at -= cut;
        self.long.retain(|long| long.offset >= cut);
        for long in &mut self.long {
            long.offset -= cut;
        }
        if let Some(host) = &mut self.host {
            host.start -= cut;
            host.run = host.run.saturating_sub(cut);
            host.head_from = host.head_from.saturating_sub(cut);
            host.id_from = host.id_from.map(|from| from.saturating_sub(cut));
            if let Some((from, _)) = &mut host.detection {
                *from = from.saturating_sub(cut);
            }
            for range in host.head.iter_mut().chain(host.detections.iter_mut()) {
                *range = range.start - cut..range.end - cut;
            }
        }
    }

    fn step_page(&mut self) -> Result<Step, PageError> {
        if self.at == self.buf.len() {
            return Ok(Step::More);
        }
        let token = match xml::scan(&self.buf, self.at) {
            Scan::Token(token) => token,
            Scan::Bad(why) => return Err(PageError::Malformed(why)),
            Scan::More => return self.pass_page_text(),
        };
        let inside = &self.buf[token.from..token.to];
        match token.kind {
            Kind::Text | Kind::CData => {
                if self.capture.len() < CAPTURE_LIMIT {
                    let (piece, _) = text::decode(inside, token.kind == Kind::CData);
                    self.capture.push_str(&piece);
                }
            }
            Kind::Comment | Kind::Instruction => {}
            Kind::Doctype => return Err(PageError::Malformed("a document type inside the page")),
            Kind::Start { empty } => {
                let name = std::str::from_utf8(inside)
                    .map_err(|_| PageError::Malformed("a name that is not UTF-8"))?;
                if name == "HOST" && self.path.last().is_some_and(|parent| parent == "HOST_LIST") {
                    if empty {
                        let range = self.at..token.end;
                        self.at = token.end;
                        let chunk = HostChunk {
                            first: true,
                            last: true,
                            head: vec![range],
                            ..HostChunk::default()
                        };
                        return Ok(Step::Chunk(chunk));
                    }
                    self.begin_host(token.end);
                    return Ok(Step::Go);
                }
                if !empty {
                    if self.path.len() >= DEPTH_LIMIT {
                        return Err(PageError::TooDeep);
                    }
                    self.path.push(name.to_owned());
                }
                self.capture.clear();
            }
            Kind::End => {
                if self
                    .path
                    .last()
                    .is_none_or(|open| open.as_bytes() != inside)
                {
                    return Err(PageError::Malformed(
                        "an end tag that closes another element",
                    ));
                }
                self.leave_element();
            }
        }
        self.at = token.end;
        Ok(Step::Go)
    }

    /// Lets a text or comment that is longer than anything worth keeping pass by.
    fn pass_page_text(&mut self) -> Result<Step, PageError> {
        let rest = &self.buf[self.at..];
        if rest.len() <= TAG_LIMIT {
            return Ok(Step::More);
        }
        if rest[0] != b'<' {
            self.at = self.buf.len();
        } else if !rest.starts_with(b"<!") || rest.len() > WINDOW {
            return Err(PageError::Malformed("a tag that does not end"));
        }
        Ok(Step::More)
    }

    fn leave_element(&mut self) {
        let value = || self.capture.trim().to_owned();
        match self
            .path
            .iter()
            .skip(1)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["RESPONSE", "DATETIME"] => self.datetime = Some(value()),
            ["RESPONSE", "WARNING"] => {
                self.warning.get_or_insert_default();
            }
            ["RESPONSE", "WARNING", field] => {
                let text = value();
                let warning = self.warning.get_or_insert_default();
                match *field {
                    "CODE" => warning.code = text,
                    "TEXT" => warning.text = text,
                    "URL" => warning.url = text,
                    _ => {}
                }
            }
            _ => {}
        }
        self.capture.clear();
        self.path.pop();
        self.closed = self.path.is_empty();
    }

    fn begin_host(&mut self, inside: usize) {
        self.host = Some(HostScan {
            first: true,
            depth: 1,
            start: self.at,
            run: inside,
            id: None,
            id_from: None,
            in_list: false,
            detection: None,
            head_from: self.at,
            head: Vec::new(),
            detections: Vec::new(),
            fault: None,
            kept: 0,
        });
        self.at = inside;
    }

    fn step_host(&mut self) -> Result<Step, PageError> {
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
        match token.kind {
            Kind::Text | Kind::CData | Kind::Comment | Kind::Instruction => {
                if token.end - host.run > LONG_RAW {
                    return self.reduce_text();
                }
                self.at = token.end;
                Ok(Step::Go)
            }
            Kind::Doctype => Err(PageError::Malformed("a document type inside the page")),
            Kind::Start { empty } => {
                if token.end - self.at > TAG_LIMIT {
                    return Err(PageError::Malformed("a tag that does not end"));
                }
                host.enter(&self.buf, self.at, token);
                if empty {
                    host.leave(&self.buf, token)?;
                }
                self.at = token.end;
                host.run = token.end;
                Ok(self.drop_faulty())
            }
            Kind::End => {
                let closed = host.leave(&self.buf, token)?;
                self.at = token.end;
                host.run = token.end;
                if closed {
                    return Ok(self
                        .host
                        .take()
                        .map_or(Step::Go, |host| Step::Chunk(host.into_chunk(token.end))));
                }
                if self.drop_faulty_or_full() {
                    return Ok(self.hand_out_part().map_or(Step::Go, Step::Chunk));
                }
                Ok(Step::Go)
            }
        }
    }

    /// A host that will not be taken needs no bytes.
    fn drop_faulty(&mut self) -> Step {
        if let Some(host) = self.host.as_mut()
            && host.fault.is_some()
        {
            self.long.retain(|long| long.offset < host.start);
            host.start = self.at;
            host.head.clear();
            host.detections.clear();
            host.detection = None;
        }
        Step::Go
    }

    fn drop_faulty_or_full(&mut self) -> bool {
        self.drop_faulty();
        self.host
            .as_ref()
            .is_some_and(|host| host.fault.is_none() && self.at - host.start + host.kept > WINDOW)
    }

    /// Once the host exceeds the window, hands out its head or the detections that are complete.
    fn hand_out_part(&mut self) -> Option<HostChunk> {
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
            host.start = host.detection.map_or(self.at, |(from, _)| from);
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
    fn reduce_text(&mut self) -> Result<Step, PageError> {
        let Some(host) = self.host.as_ref() else {
            return Ok(Step::Go);
        };
        let run = host.run;
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
                        Kind::Text => reader.feed(&self.buf[token.from..token.to], false, true),
                        Kind::CData => reader.feed(&self.buf[token.from..token.to], true, true),
                        Kind::Comment | Kind::Instruction => {}
                        _ => break,
                    }
                    self.buf.drain(run..token.end);
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

    fn at_run_end(&self, run: usize) -> bool {
        matches!(&self.buf[run..], [b'<', next, ..] if *next != b'!' && *next != b'?')
    }

    /// Takes what is there of a token whose end is not, in pieces, until the end comes by.
    fn reduce_open_token(
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

    fn read_on(&mut self) -> Result<(), PageError> {
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
    fn enter(&mut self, buf: &[u8], at: usize, token: Token) {
        self.depth += 1;
        let name = &buf[token.from..token.to];
        if self.depth > DEPTH_LIMIT && self.fault.is_none() {
            self.fault = Some(HostFault::TooDeep);
        }
        match self.depth {
            2 if name == b"ID" && self.id.is_none() => self.id_from = Some(token.end),
            2 if name == b"DETECTION_LIST" => {
                self.head.push(self.head_from..at);
                self.in_list = true;
            }
            // The list is missing, its members are not.
            2 if name == b"DETECTION" => {
                self.head.push(self.head_from..at);
                self.detection = Some((at, 1));
            }
            3 if self.in_list && name == b"DETECTION" => self.detection = Some((at, 2)),
            _ => {}
        }
    }

    /// An element ends; true when it was the host.
    fn leave(&mut self, buf: &[u8], token: Token) -> Result<bool, PageError> {
        // Names inside are compared when the tree is built; a host that is closed in the wrong place would swallow the next.
        let is_host = token.kind == Kind::End && &buf[token.from..token.to] == b"HOST";
        if is_host != (self.depth == 1) && token.kind == Kind::End {
            return Err(PageError::Malformed(
                "an end tag that closes another element",
            ));
        }
        self.depth -= 1;
        if let Some(from) = self.id_from.take() {
            let to = if token.kind == Kind::End {
                token.from - 2
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
            self.detections.push(from..token.end);
            self.detection = None;
            if around == 1 {
                self.head_from = token.end;
            }
        }
        if self.in_list && self.depth == 1 {
            self.in_list = false;
            self.head_from = token.end;
        }
        Ok(self.depth == 0)
    }

    fn into_chunk(mut self, end: usize) -> HostChunk {
        if self.first && self.fault.is_none() {
            self.head.push(self.head_from..end);
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
