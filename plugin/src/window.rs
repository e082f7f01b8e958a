//! Window: the search for the end of a host, and for the parts of one that is too large to be held.
//!
//! The end is found by tokens, never by searching for text: a CDATA section may contain `</HOST>`.

use std::ops::Range;

use crate::environment::Body;
use crate::long_text::LongTextReader;
use crate::page::{DEPTH_LIMIT, HostChunk, HostFault, PageError, PageReader, Step, TAG_LIMIT};
use crate::text;
use crate::xml::{self, Kind, Scan, Token};

/// A host up to this size is handed out whole.
pub(crate) const WINDOW: usize = 1 << 20;
/// What may have to be held at most, for the head of a host or one detection.
const WINDOW_LIMIT: usize = 3 << 20;
/// A text (several sections of it included) above this many raw bytes is reduced while it is read.
pub(crate) const LONG_RAW: usize = 256 << 10;

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
    /// The detection that is open: where it begins, and the depth around it.
    pub(crate) detection: Option<(usize, usize)>,
    pub(crate) head_from: usize,
    pub(crate) head: Vec<Range<usize>>,
    pub(crate) detections: Vec<Range<usize>>,
    pub(crate) fault: Option<HostFault>,
    pub(crate) kept: usize,
}

impl<B: Body> PageReader<B> {
    pub(crate) fn begin_host(&mut self, inside: usize) {
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
    pub(crate) fn drop_faulty(&mut self) -> Step {
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
    pub(crate) fn reduce_text(&mut self) -> Result<Step, PageError> {
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
