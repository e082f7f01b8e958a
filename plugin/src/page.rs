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
use crate::long_text::LongText;
use crate::text;
use crate::window::{HostScan, LONG_RAW, WINDOW};
use crate::xml::{self, Kind, Scan, Token};

/// A tag above this size is no tag.
pub(crate) const TAG_LIMIT: usize = 64 << 10;
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

/// A stretch of the window, and the tokens it consists of. Blanks between tags and comments have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Range<usize>,
    pub(crate) tokens: Range<usize>,
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
    pub(crate) head: Vec<Piece>,
    /// Complete `DETECTION` elements.
    pub(crate) detections: Vec<Piece>,
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

/// Reads one page.
pub(crate) struct PageReader<B> {
    pub(crate) body: B,
    pub(crate) buf: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) eof: bool,
    pub(crate) closed: bool,
    /// How much of a long text is kept.
    pub(crate) keep_text: usize,
    pub(crate) path: Vec<String>,
    pub(crate) capture: String,
    pub(crate) long: Vec<LongText>,
    /// Of the hosts in the window, so that nothing has to be scanned twice.
    pub(crate) tokens: Vec<Token>,
    pub(crate) host: Option<HostScan>,
    pub(crate) failure: Option<PageError>,
    pub(crate) datetime: Option<String>,
    pub(crate) warning: Option<Warning>,
}

pub(crate) enum Step {
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
            tokens: Vec::new(),
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

    /// The tokens that the present chunks name.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
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

    pub(crate) fn read(&mut self) -> Result<(), PageError> {
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
            let inside = &self.buf[token.inside()];
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
                    if !xml::is_valid_name(root.as_bytes()) {
                        return Err(PageError::NotXml);
                    }
                    if root.eq_ignore_ascii_case("html") {
                        return Err(PageError::NotXml);
                    }
                    self.closed = empty;
                    self.path.push(root.clone());
                    self.at = token.end();
                    return Ok(root);
                }
                Kind::Text | Kind::CData | Kind::End => return Err(PageError::NotXml),
            }
            self.at = token.end();
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
        let gone = self
            .host
            .as_ref()
            .map_or(self.tokens.len(), |host| host.tokens_start);
        self.tokens.drain(..gone);
        for token in &mut self.tokens {
            *token = token.moved(cut);
        }
        if let Some(host) = &mut self.host {
            host.give_up(cut, gone);
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
        let inside = &self.buf[token.inside()];
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
                    .ok()
                    .filter(|name| xml::is_valid_name(name.as_bytes()));
                let name = name.ok_or(PageError::Malformed("a character that no name may have"))?;
                if name == "HOST" && self.path.last().is_some_and(|parent| parent == "HOST_LIST") {
                    if empty {
                        let first = self.tokens.len();
                        self.tokens.push(token);
                        let piece = Piece {
                            bytes: self.at..token.end(),
                            tokens: first..first + 1,
                        };
                        self.at = token.end();
                        let chunk = HostChunk {
                            first: true,
                            last: true,
                            head: vec![piece],
                            ..HostChunk::default()
                        };
                        return Ok(Step::Chunk(chunk));
                    }
                    self.begin_host(token);
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
        self.at = token.end();
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
}
