//! Walk: where one pass over a list begins, what it asks for, and where it ends.
//!
//! A page without its closing tag never ends a walk; only a finished walk that accounts for everything moves the watermark.

use std::collections::VecDeque;

use crate::batch::BatchState;
use crate::client;
use crate::cursor::{Cursor, CursorError, Inside, Walk, WalkKind};
use crate::detections::Detection;
use crate::environment::{Body, Environment};
use crate::fault::{Fault, FaultKind, shorten};
use crate::hosts::{HostRecord, Times};
use crate::isolation::ALONE_FROM;
use crate::memory::{HostMemory, Memory};
use crate::page::{HostChunk, PageReader, Warning};
use crate::report::{Report, Window};
use crate::request::{self, Endpoint, Page};
use crate::settings::Settings;
use crate::timestamp;
use crate::tree::Tree;

/// A server clock may be this far ahead of ours.
const CLOCK_AHEAD_MS: u64 = 10 * 60 * 1000;
const NO_DATETIME: &str =
    "The first answer carries no readable time, so the watermark will stay where it is.";
const WARNING_UNUSABLE: &str = "Qualys said that there are more hosts, and not where to go on; the walk went on behind the last host that was read.";

/// A walk that is to begin anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    /// Only what was processed since, as far as older things have been listed before.
    pub(crate) since_ms: Option<u64>,
}

/// A host that is being read.
pub(crate) struct HostState {
    pub(crate) record: HostRecord,
    pub(crate) memory: HostMemory,
    /// Detections read so far.
    pub(crate) read: u64,
    /// From a cursor: these were done by an earlier run.
    pub(crate) done: Option<Inside>,
    pub(crate) last_hash: u128,
    pub(crate) emitted: Vec<String>,
    pub(crate) repeated: Vec<String>,
    pub(crate) counted: bool,
}

pub(crate) struct OpenPage<B> {
    pub(crate) reader: PageReader<B>,
    pub(crate) chunks: VecDeque<HostChunk>,
    /// Next detection of the first chunk.
    pub(crate) next: usize,
    pub(crate) current: Option<HostState>,
    /// The rest of the present host is not wanted.
    pub(crate) ignoring: bool,
    pub(crate) id_min: u64,
    pub(crate) size: u64,
    pub(crate) last_id: Option<u64>,
}

/// The walk over one list, as far as this instance knows it.
pub(crate) struct Session<B> {
    pub(crate) endpoint: Endpoint,
    pub(crate) cursor: Cursor,
    /// The cursor that was returned last; another one means that the host has discarded that batch.
    pub(crate) expected: Option<String>,
    pub(crate) page: Option<OpenPage<B>>,
    pub(crate) memory: Memory,
    pub(crate) failure: Option<Fault>,
    pub(crate) tree: Tree,
    pub(crate) detection: Detection,
    pub(crate) scratch: String,
}

impl<B: Body> Session<B> {
    /// A session from a stored cursor, and what a person should know about that.
    pub(crate) fn start(
        settings: &Settings,
        endpoint: Endpoint,
        stored: Option<&str>,
        again: Option<Again>,
        report: &mut Report,
    ) -> Result<Self, Fault> {
        let fresh = || Cursor::new(endpoint.content_type(), &settings.fingerprint);
        let mut cursor = match stored {
            None => fresh(),
            Some(text) => Cursor::read(text, endpoint.content_type()).map_err(|error| {
                let code = match error {
                    CursorError::Unreadable(_) => "cursor-unreadable",
                    CursorError::Newer(_) => "cursor-newer",
                };
                Fault::new(
                    FaultKind::Internal,
                    code,
                    shorten(&format!("{}: {error}.", endpoint.content_type())),
                    "Use the connector's version that wrote it, or reset the cursor, which reads everything again.",
                )
            })?,
        };
        if cursor.fingerprint != settings.fingerprint {
            cursor = fresh();
            report.notice(
                "fingerprint-changed",
                "The settings that select or shape data changed, so this run reads everything again.",
            );
        }
        if let Some(again) = again {
            cursor.walk = None;
            match again.since_ms.filter(|_| cursor.watermark.is_some()) {
                Some(since) => report.notice(
                    "since",
                    format!(
                        "This run reads again what was processed since {}, as asked.",
                        timestamp::format(since)
                    ),
                ),
                None => report.notice("full-walk", "This run reads everything again, as asked."),
            }
        }
        Ok(Self {
            memory: Memory::new(endpoint, &settings.fingerprint),
            endpoint,
            cursor,
            expected: None,
            page: None,
            failure: None,
            tree: Tree::default(),
            detection: Detection::default(),
            scratch: String::new(),
        })
    }

    pub(crate) fn begin_walk(&mut self, settings: &Settings, again: Option<Again>, now_ms: u64) {
        if self.cursor.walk.is_some() {
            return;
        }
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let look_back = (settings.lookback_days > 0)
            .then(|| now_ms.saturating_sub(settings.lookback_days * DAY_MS));
        let watermark = self
            .cursor
            .watermark
            .as_deref()
            .and_then(timestamp::parse)
            .map(|mark| mark.saturating_sub(settings.overlap_minutes * 60_000));
        let (kind, after) = match (watermark, again) {
            (Some(mark), None) => (WalkKind::Increment, Some(mark)),
            // Never later than the watermark: what lies between was not listed yet.
            (
                Some(mark),
                Some(Again {
                    since_ms: Some(since),
                }),
            ) => (
                WalkKind::Increment,
                Some(since.max(look_back.unwrap_or(0)).min(mark)),
            ),
            _ => (WalkKind::Full, look_back),
        };
        self.cursor.walk = Some(Walk {
            kind,
            after: after.map(timestamp::format),
            began: timestamp::format(now_ms),
            started: None,
            answered: false,
            id_min: 0,
            page: settings.hosts_per_page,
            complete: true,
            cut_in_a_row: 0,
            host: None,
        });
    }

    /// The next host, and how much of it is done.
    pub(crate) fn place(&self) -> Option<(u64, Option<Inside>)> {
        let walk = self.cursor.walk.as_ref()?;
        Some((walk.id_min, walk.host.clone()))
    }

    pub(crate) fn open_page<E: Environment<Body = B>>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &mut BatchState,
    ) -> Result<(), Fault> {
        let Some(walk) = self.cursor.walk.as_mut() else {
            return Ok(());
        };
        if batch.first_page {
            let halved = walk.page.min(settings.hosts_per_page) >> batch.attempt.min(63);
            walk.page = if batch.attempt >= ALONE_FROM {
                1
            } else {
                halved.max(1)
            };
        }
        let page = Page {
            id_min: walk.id_min,
            size: walk.page,
            after: walk.after.clone(),
        };
        let request = request::page(settings, self.endpoint, &page);
        batch.opened += 1;
        let reader = client::open(
            environment,
            &request,
            self.endpoint,
            settings.selection.text_limit,
        )?;
        self.page = Some(OpenPage {
            reader,
            chunks: VecDeque::new(),
            next: 0,
            current: None,
            ignoring: false,
            id_min: page.id_min,
            size: page.size,
            last_id: None,
        });
        Ok(())
    }

    /// Takes the server's time from the first answer of the walk.
    pub(crate) fn take_start(&mut self, now_ms: u64, report: &mut Report) {
        let (Some(walk), Some(page)) = (self.cursor.walk.as_mut(), self.page.as_ref()) else {
            return;
        };
        if walk.answered {
            return;
        }
        let Some(text) = page.reader.datetime() else {
            return;
        };
        walk.answered = true;
        let Some(server) = timestamp::parse(text) else {
            report.notice("no-datetime", NO_DATETIME);
            return;
        };
        let mark = self.cursor.watermark.as_deref().and_then(timestamp::parse);
        if server > now_ms.saturating_add(CLOCK_AHEAD_MS) {
            report.notice(
                "clock-ahead",
                format!("The server's clock ({}) is more than 10 minutes ahead of ours, so the watermark will stay where it is.", timestamp::format(server)),
            );
        } else if mark.is_some_and(|mark| server < mark) {
            report.notice(
                "clock-behind",
                format!(
                    "The server's clock ({}) is behind the watermark, which will stay where it is.",
                    timestamp::format(server)
                ),
            );
        } else {
            walk.started = Some(timestamp::format(server));
        }
    }

    pub(crate) fn times(&self, now_ms: u64) -> Times {
        let start = self
            .cursor
            .walk
            .as_ref()
            .map(|walk| walk.started.as_deref().unwrap_or(&walk.began));
        Times {
            walk_start_ms: start.and_then(timestamp::parse).unwrap_or(now_ms),
            now_ms,
        }
    }

    /// A page was read to its end: is there another?
    pub(crate) fn end_page(
        &mut self,
        settings: &Settings,
        batch: &mut BatchState,
    ) -> Result<bool, Fault> {
        let (Some(page), Some(walk)) = (self.page.take(), self.cursor.walk.as_mut()) else {
            return Ok(false);
        };
        walk.cut_in_a_row = 0;
        batch.report.counters.pages += 1;
        no_start(walk, &mut batch.report);
        walk.page = page.size.saturating_mul(2).min(settings.hosts_per_page);
        let Some(warning) = page.reader.warning() else {
            return Ok(false);
        };
        let (code, text) = (&warning.code, &warning.text);
        match Onward::of(warning) {
            Onward::At(next)
                if next > page.id_min && page.last_id.is_none_or(|last| next > last) =>
            {
                batch.progress = true;
                walk.id_min = next;
                Ok(true)
            }
            Onward::At(next) => Err(Fault::new(
                FaultKind::Malformed,
                "no-progress",
                format!(
                    "Qualys says to go on at host {next}, which is not behind what was read (from {}, up to {}).",
                    page.id_min,
                    page.last_id.unwrap_or(page.id_min)
                ),
                "This is a fault of the server; the walk goes on from behind the last host.",
            )),
            // Each host moves the position; a page that did not would be asked for for ever.
            Onward::Unsaid if page.last_id.is_some() && walk.id_min > page.id_min => {
                batch.report.notice("warning-unusable", WARNING_UNUSABLE);
                Ok(true)
            }
            Onward::Unsaid => Err(Fault::new(
                FaultKind::Malformed,
                "no-progress",
                "Qualys says that there are more hosts, and not where to go on.",
                "This is a fault of the server; the walk stays where it is.",
            )),
            Onward::Nowhere => {
                batch.report.notice(
                    "vendor-warning",
                    shorten(&format!("Qualys remarks ({code}): {text}")),
                );
                Ok(false)
            }
        }
    }

    /// The walk has ended.
    pub(crate) fn end_walk(&mut self, batch: &mut BatchState) -> bool {
        batch.report.window = self.window();
        let Some(walk) = self.cursor.walk.take() else {
            return true;
        };
        if walk.host.is_some() {
            batch.report.counters.listed += 1;
            batch.report.counters.vanished += 1;
        }
        if walk.complete {
            if walk.started.is_some() {
                self.cursor.watermark = walk.started;
            }
        } else {
            batch.report.notice(
                "incomplete-walk",
                "Something that Qualys listed is not accounted for, so the watermark stays and the next run reads it again.",
            );
        }
        walk.complete
    }

    pub(crate) fn window(&self) -> Window {
        match &self.cursor.walk {
            None => Window {
                started: self.cursor.watermark.clone(),
                ..Window::default()
            },
            Some(walk) => Window {
                walk: walk.kind.name(),
                after: walk.after.clone(),
                started: walk.started.clone(),
                position: walk.id_min,
                page_size: walk.page,
            },
        }
    }
}

/// Hosts went by and the answer had not said when it was made: a later answer's time would be too late.
pub(crate) fn no_start(walk: &mut Walk, report: &mut Report) {
    if !walk.answered {
        walk.answered = true;
        report.notice("no-datetime", NO_DATETIME);
    }
}

/// What a page's notice says about going on.
enum Onward {
    At(u64),
    /// There is more, and no position.
    Unsaid,
    /// Nothing: it is about something else.
    Nowhere,
}

impl Onward {
    /// Of the notice's address only the position is used.
    fn of(warning: &Warning) -> Self {
        let url = warning.url.replace("&amp;", "&");
        let query = url
            .split_once('?')
            .map(|(_, query)| query)
            .unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        let next = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == "id_min")
            .last();
        match next.and_then(|(_, value)| value.trim().parse().ok()) {
            Some(next) => Self::At(next),
            None if warning.url.is_empty()
                && warning.code != "1980"
                && !warning.text.contains("record limit exceeded") =>
            {
                Self::Nowhere
            }
            None => Self::Unsaid,
        }
    }
}
