//! Collection: the walk over one list, batch by batch.
//!
//! A walk asks for page after page in the order of host IDs. It is finished only by a closed page without a notice to go on, and only a finished
//! walk that accounts for everything moves the watermark. A batch may end behind any host, or inside a large one; the cursor says where.
//!
//! Promises: hosts in front of a fault are kept, and the fault is reported by the next call; a page without its closing tag never ends a walk;
//! what was emitted before and has not changed is counted as repeated.
//!
//! Never here: waiting, or trying a request again.

use std::collections::{HashSet, VecDeque};

use crate::client;
use crate::cursor::{Cursor, CursorError, Inside, Walk, WalkKind};
use crate::detections::{self, Detection};
use crate::elements::Class;
use crate::environment::{Body, Environment, Level, Rejection};
use crate::fault::{Fault, FaultKind, shorten};
use crate::hosts::{self, HostProblem, HostRecord, Times};
use crate::memory::{self, HostMemory, Memory};
use crate::outbox::Outbox;
use crate::page::{HostChunk, HostFault, PageError, PageReader, Progress, Warning};
use crate::report::{Report, Seen, Window};
use crate::request::{self, Endpoint, Page};
use crate::settings::Settings;
use crate::timestamp;
use crate::tree::{Tree, View};

/// A server clock may be this far ahead of ours.
const CLOCK_AHEAD_MS: u64 = 10 * 60 * 1000;
/// Inside a host a batch goes on for this many items or bytes beyond its limits, so that most hosts stay in one piece.
const SLACK_ITEMS: u64 = 1_000;
const SLACK_BYTES: u64 = 1 << 20;
const SLACK_MS: u64 = 2_000;
/// The list of hosts in a report ends the batch at this size.
const SEEN_BYTES: usize = 1 << 20;
const NO_DATETIME: &str =
    "The first answer carries no readable time, so the watermark will stay where it is.";

/// What one batch is asked for.
#[derive(Debug, Clone, Default)]
pub struct BatchRequest {
    /// `hosts` or `vulnerabilities`.
    pub content_type: String,
    /// None before the very first batch.
    pub cursor: Option<String>,
    /// Items after which the batch ends at the next safe point.
    pub max_items: u32,
    /// The same in bytes.
    pub max_bytes: u64,
    /// The same in time.
    pub soft_deadline_ms: u64,
    /// How often this cursor was tried before.
    pub attempt: u32,
    /// One JSON object.
    pub options: String,
}

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where to go on.
    pub next: String,
    /// The walk is not finished.
    pub more: bool,
    /// Items emitted.
    pub emitted: u64,
    /// Everything listed is accounted for.
    pub complete: bool,
    /// JSON, for the ledger.
    pub report: String,
}

#[derive(Debug, Default)]
struct Options {
    full: bool,
    skip: HashSet<String>,
}

impl Options {
    fn read(text: &str) -> Result<Self, Fault> {
        let bad = || {
            Fault::new(
                FaultKind::Internal,
                "options-unreadable",
                "The options of the batch are no JSON object.",
                "",
            )
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| bad())?;
        let map = value.as_object().ok_or_else(bad)?;
        let skip = map
            .get("skip")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten();
        Ok(Self {
            full: map
                .get("full")
                .and_then(serde_json::Value::as_bool)
                .unwrap_or(false),
            skip: skip
                .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))
                .collect(),
        })
    }
}

/// A host that is being read.
struct HostState {
    record: HostRecord,
    memory: HostMemory,
    /// Detections read so far.
    read: u64,
    /// From a cursor: these were done by an earlier run.
    done: Option<Inside>,
    last_hash: u128,
    emitted: Vec<String>,
    repeated: Vec<String>,
    counted: bool,
}

struct OpenPage<B> {
    reader: PageReader<B>,
    chunks: VecDeque<HostChunk>,
    /// Next detection of the first chunk.
    next: usize,
    current: Option<HostState>,
    /// The rest of the present host is not wanted.
    ignoring: bool,
    id_min: u64,
    size: u64,
    last_id: Option<u64>,
}

/// The walk over one list, as far as this instance knows it.
pub(crate) struct Session<B> {
    endpoint: Endpoint,
    cursor: Cursor,
    /// The cursor that was returned last; another one means that the host has discarded that batch.
    expected: Option<String>,
    page: Option<OpenPage<B>>,
    memory: Memory,
    failure: Option<Fault>,
    tree: Tree,
    detection: Detection,
    scratch: String,
}

/// What is gathered during one call.
struct BatchState {
    report: Report,
    outbox: Outbox,
    options: Options,
    attempt: u32,
    max_items: u64,
    max_bytes: u64,
    deadline: u64,
    progress: bool,
    /// The first page of this call is the one that `attempt` counts for.
    first_page: bool,
}

impl BatchState {
    fn reached<E: Environment>(&self, environment: &E) -> bool {
        self.outbox.total_items >= self.max_items
            || self.outbox.total_bytes >= self.max_bytes
            || self.report.seen_bytes >= SEEN_BYTES
            || environment.monotonic_ms() >= self.deadline
    }

    /// The same inside a host.
    fn far_beyond<E: Environment>(&self, environment: &E) -> bool {
        // The clock is asked between pieces of a host only, not for each detection.
        self.much_more() || environment.monotonic_ms() >= self.deadline.saturating_add(SLACK_MS)
    }

    fn much_more(&self) -> bool {
        self.outbox.total_items >= self.max_items.saturating_add(SLACK_ITEMS)
            || self.outbox.total_bytes >= self.max_bytes.saturating_add(SLACK_BYTES)
            || self.report.seen_bytes >= SEEN_BYTES + (SEEN_BYTES >> 1)
    }
}

/// How a step came out.
enum Step {
    Go,
    /// The batch ends inside a host.
    Pause,
}

/// Why a step failed.
enum StepError {
    Page(PageError),
    Fault(Fault),
}

impl From<Rejection> for StepError {
    fn from(rejection: Rejection) -> Self {
        Self::Fault(refused(&rejection))
    }
}

fn refused(rejection: &Rejection) -> Fault {
    Fault::new(
        FaultKind::Internal,
        "item-refused",
        format!(
            "The host refused item {} of a list: {}",
            rejection.index,
            shorten(&rejection.message)
        ),
        "This is a mistake of the connector or a limit of the host; the walk stands where it stood.",
    )
}

impl<B: Body> Session<B> {
    /// A session from a stored cursor, and what a person should know about that.
    fn start(
        settings: &Settings,
        endpoint: Endpoint,
        stored: Option<&str>,
        full: bool,
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
        if full {
            cursor.walk = None;
            report.notice("full-walk", "This run reads everything again, as asked.");
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

    fn begin_walk(&mut self, settings: &Settings, full: bool, now_ms: u64) {
        if self.cursor.walk.is_some() {
            return;
        }
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let watermark = self
            .cursor
            .watermark
            .as_deref()
            .filter(|_| !full)
            .and_then(timestamp::parse);
        let (kind, after) = match watermark {
            Some(mark) => (
                WalkKind::Increment,
                Some(mark.saturating_sub(settings.overlap_minutes * 60_000)),
            ),
            None if settings.lookback_days > 0 => (
                WalkKind::Full,
                Some(now_ms.saturating_sub(settings.lookback_days * DAY_MS)),
            ),
            None => (WalkKind::Full, None),
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
            host: None,
        });
    }

    fn open_page<E: Environment<Body = B>>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &BatchState,
    ) -> Result<(), Fault> {
        let Some(walk) = self.cursor.walk.as_mut() else {
            return Ok(());
        };
        if batch.first_page {
            walk.page = (walk.page.min(settings.hosts_per_page) >> batch.attempt.min(63)).max(1);
        }
        let page = Page {
            id_min: walk.id_min,
            size: walk.page,
            after: walk.after.clone(),
        };
        let request = request::page(settings, self.endpoint, &page);
        let opened = client::open(
            environment,
            &request,
            self.endpoint,
            settings.selection.text_limit,
        )?;
        self.page = Some(OpenPage {
            reader: opened.page,
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
    fn take_start(&mut self, now_ms: u64, report: &mut Report) {
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

    fn times(&self, now_ms: u64) -> Times {
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

    /// Works on the first chunk.
    fn step<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &mut BatchState,
    ) -> Result<Step, StepError> {
        let now_ms = environment.now_ms();
        let times = self.times(now_ms);
        let (Some(page), Some(walk)) = (self.page.as_mut(), self.cursor.walk.as_mut()) else {
            return Ok(Step::Go);
        };
        let Some(chunk) = page.chunks.front() else {
            return Ok(Step::Go);
        };
        let last = chunk.last;
        if !page.ignoring && page.current.is_none() {
            match begin_host(
                page,
                walk,
                &mut self.tree,
                &mut self.scratch,
                (settings, times),
                batch,
            ) {
                Ok(Some(record)) => {
                    let done = walk.host.take().filter(|inside| inside.id == record.id);
                    page.current = Some(HostState {
                        memory: self.memory.take(environment, record.id),
                        record,
                        read: 0,
                        done,
                        last_hash: 0,
                        emitted: Vec::new(),
                        repeated: Vec::new(),
                        counted: false,
                    });
                }
                Ok(None) => page.ignoring = true,
                Err(why) => return Err(StepError::Page(PageError::Malformed(why))),
            }
        }
        let fault = page.chunks.front().and_then(|chunk| chunk.fault);
        if let (Some(fault), Some(host)) = (fault, page.current.take_if(|_| fault.is_some())) {
            // The host turned out bad after its first detections were handed out.
            let mut host = host;
            set_aside_fault(batch, walk, &host.record.id.to_string(), fault);
            self.memory
                .pause(environment, host.record.id, &mut host.memory);
            saw(batch, &mut host, false);
            page.ignoring = true;
        }
        if !page.ignoring {
            if self.endpoint == Endpoint::Hosts {
                if last {
                    emit_host(environment, page, batch)?;
                }
            } else if self.step_detections(environment, settings, times, batch)? {
                return Ok(Step::Pause);
            }
        }
        self.end_chunk(environment, last, batch);
        Ok(Step::Go)
    }

    fn end_chunk<E: Environment>(
        &mut self,
        environment: &mut E,
        last: bool,
        batch: &mut BatchState,
    ) {
        let (Some(page), Some(walk)) = (self.page.as_mut(), self.cursor.walk.as_mut()) else {
            return;
        };
        let id = page.chunks.pop_front().and_then(|chunk| chunk.id);
        page.next = 0;
        if !last {
            return;
        }
        batch.progress = true;
        let id = match page.current.take() {
            Some(mut host) => {
                batch.report.counters.listed += 1;
                if self.endpoint == Endpoint::Vulnerabilities && host.read == 0 {
                    batch.report.counters.clean += 1;
                } else {
                    batch.report.counters.collected += 1;
                }
                self.memory
                    .finish(environment, host.record.id, &host.memory);
                let id = host.record.id;
                saw(batch, &mut host, false);
                Some(id)
            }
            None => id.and_then(|id| id.trim().parse().ok()),
        };
        page.ignoring = false;
        walk.host = None;
        if let Some(id) = id {
            if page.last_id.is_some_and(|last| id < last) {
                batch.report.notice("unsorted-page", "A page was not in the order of host IDs, on which going on after a crash relies.");
            }
            page.last_id = Some(page.last_id.map_or(id, |last| last.max(id)));
            walk.id_min = walk.id_min.max(id.saturating_add(1));
        }
    }

    /// Works through the detections of the first chunk; true if the batch ends inside the host.
    fn step_detections<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        times: Times,
        batch: &mut BatchState,
    ) -> Result<bool, StepError> {
        let Some(page) = self.page.as_mut() else {
            return Ok(false);
        };
        let OpenPage {
            reader,
            chunks,
            next,
            current: Some(host),
            ..
        } = page
        else {
            return Ok(false);
        };
        let Some(chunk) = chunks.front() else {
            return Ok(false);
        };
        let (buf, long) = (reader.window(), reader.long_texts());
        while let Some(range) = chunk.detections.get(*next) {
            if host.read > host.done.as_ref().map_or(0, |done| done.read) && batch.much_more() {
                return Ok(true);
            }
            self.tree
                .parse(
                    buf,
                    std::slice::from_ref(range),
                    long,
                    (Class::Detection, false),
                    &mut batch.report.unknown_elements,
                )
                .map_err(|why| StepError::Page(PageError::Malformed(why)))?;
            let view = View::new(&self.tree, buf, long, std::slice::from_ref(range));
            let detection = &mut self.detection;
            let fields = detections::identify(view, &host.record, times, detection);
            let hash = memory::hash(&detection.key);
            *next += 1;
            host.read += 1;
            host.last_hash = hash;
            let known = host.memory.recognise(hash);
            if let Some(done) = host.done.as_ref().filter(|done| host.read <= done.read) {
                if host.read == done.read && format!("{hash:032x}") != done.hash {
                    batch.report.notice(
                        "host-changed",
                        "A host changed while a walk was interrupted inside it; it was read again.",
                    );
                }
                // Counted by the run that emitted it.
                if known {
                    continue;
                }
            }
            batch.progress = true;
            if known {
                batch.report.counters.repeated += 1;
                batch.report.seen_bytes += detection.identity.len() + 4;
                host.repeated.push(detection.identity.clone());
                continue;
            }
            let counters = &mut batch.report.counters;
            if !host.counted {
                host.counted = true;
                counters.repaired += host.record.repaired;
                counters.truncated += host.record.cut;
            }
            counters.repaired += detection.repaired;
            counters.time_repaired += u64::from(detection.time_repaired);
            let mut cut = 0;
            batch
                .outbox
                .add(environment, &detection.key, detection.time_ms, |body| {
                    cut = detections::write_record(
                        view,
                        &fields,
                        &host.record,
                        detection,
                        &settings.selection,
                        body,
                    );
                })?;
            batch.report.counters.truncated += cut;
            batch.report.seen_bytes += detection.identity.len() + 4;
            host.emitted.push(detection.identity.clone());
        }
        Ok(false)
    }

    /// Makes the cursor point into the present host, if anything of it was read.
    fn pause<E: Environment>(&mut self, environment: &mut E, batch: &mut BatchState) {
        let (Some(page), Some(walk)) = (self.page.as_mut(), self.cursor.walk.as_mut()) else {
            return;
        };
        let Some(host) = page.current.as_mut() else {
            return;
        };
        if host.read == 0 {
            walk.host = host.done.clone();
            return;
        }
        // What an earlier run had done stays done, even if this one has not come that far again.
        let behind = host
            .done
            .as_ref()
            .filter(|done| host.read < done.read)
            .cloned();
        walk.host = Some(behind.unwrap_or_else(|| Inside {
            id: host.record.id,
            read: host.read,
            hash: format!("{:032x}", host.last_hash),
        }));
        walk.id_min = host.record.id;
        self.memory
            .pause(environment, host.record.id, &mut host.memory);
        saw(batch, host, true);
    }

    /// A page was read to its end: is there another?
    fn end_page(&mut self, settings: &Settings, batch: &mut BatchState) -> Result<bool, Fault> {
        let (Some(page), Some(walk)) = (self.page.take(), self.cursor.walk.as_mut()) else {
            return Ok(false);
        };
        batch.report.counters.pages += 1;
        no_start(walk, &mut batch.report);
        walk.page = page.size.saturating_mul(2).min(settings.hosts_per_page);
        let Some(warning) = page.reader.warning() else {
            return Ok(false);
        };
        match next_position(warning)? {
            Some(next) if next > page.id_min && page.last_id.is_none_or(|last| next > last) => {
                batch.progress = true;
                walk.id_min = next;
                Ok(true)
            }
            Some(next) => Err(Fault::new(
                FaultKind::Malformed,
                "no-progress",
                format!(
                    "Qualys says to go on at host {next}, which is not behind what was read (from {}, up to {}).",
                    page.id_min,
                    page.last_id.unwrap_or(page.id_min)
                ),
                "This is a fault of the server; the walk goes on from behind the last host.",
            )),
            None => {
                batch.report.notice(
                    "vendor-warning",
                    shorten(&format!(
                        "Qualys remarks ({}): {}",
                        warning.code, warning.text
                    )),
                );
                Ok(false)
            }
        }
    }

    /// The walk has ended.
    fn end_walk(&mut self, batch: &mut BatchState) -> bool {
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

    /// True if the page could not be read because of one host, which was then stepped over.
    fn step_over<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        batch: &mut BatchState,
        error: &PageError,
    ) -> bool {
        if !matches!(error, PageError::Malformed(_) | PageError::Truncated) {
            return false;
        }
        let (Some(page), Some(walk)) = (self.page.as_ref(), self.cursor.walk.as_ref()) else {
            return false;
        };
        let position = walk.id_min;
        let read = match &page.current {
            Some(host) => Some(host.record.id),
            None => page
                .chunks
                .front()
                .and_then(|chunk| chunk.id.as_deref())
                .or_else(|| page.reader.open_host())
                .and_then(|id| id.trim().parse::<u64>().ok()),
        };
        let read = read.filter(|id| *id >= position);
        let skipped = read.is_some_and(|id| batch.options.skip.contains(&id.to_string()));
        let given_up = page.size == 1 && batch.first_page && batch.attempt >= 2;
        if !skipped && !given_up {
            return false;
        }
        let Some(id) = read.or_else(|| self.ask_for_id(environment, settings, position)) else {
            return false;
        };
        self.page = None;
        let Some(walk) = self.cursor.walk.as_mut() else {
            return false;
        };
        let object = id.to_string();
        if skipped {
            batch.report.set_aside(
                object,
                "skipped",
                "The host is on the list of hosts to leave out.",
            );
        } else {
            let code = if matches!(error, PageError::Truncated) {
                "truncated-body"
            } else {
                "malformed-xml"
            };
            batch.report.set_aside(
                object,
                code,
                format!("Even a page with this host alone cannot be read: {error}."),
            );
            walk.complete = false;
        }
        walk.id_min = id.saturating_add(1);
        walk.host = None;
        batch.progress = true;
        true
    }

    /// The ID of the next host, from a call that returns nothing else of it.
    fn ask_for_id<E: Environment>(
        &mut self,
        environment: &mut E,
        settings: &Settings,
        position: u64,
    ) -> Option<u64> {
        let after = self.cursor.walk.as_ref()?.after.clone();
        // The open answer holds one of the few calls that may run at the same time.
        self.page = None;
        let request = request::next_id(
            settings,
            &Page {
                id_min: position,
                size: 1,
                after,
            },
        );
        let root = Endpoint::Hosts.root();
        let answer = client::small(environment, &request, root, Endpoint::Hosts.label()).ok()?;
        let piece = answer.iter().position(|b| *b == b'<')?..answer.len();
        self.tree
            .parse(
                &answer,
                std::slice::from_ref(&piece),
                &[],
                (Class::Open, false),
                &mut crate::tree::Unknown::new(),
            )
            .ok()?;
        let view = View::new(&self.tree, &answer, &[], &[]);
        let set = view.descendants(b"ID_SET").next()?;
        let first = view.children(set).find_map(|element| view.text(element))?;
        let first = first.split('-').next()?.trim().parse::<u64>().ok()?;
        (first >= position).then_some(first)
    }

    fn window(&self) -> Window {
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

/// Reads a host's head; `None` if the host was set aside.
fn begin_host<B: Body>(
    page: &mut OpenPage<B>,
    walk: &mut Walk,
    tree: &mut Tree,
    scratch: &mut String,
    (settings, times): (&Settings, Times),
    batch: &mut BatchState,
) -> Result<Option<HostRecord>, &'static str> {
    let Some(chunk) = page.chunks.front() else {
        return Ok(None);
    };
    let said = chunk.id.as_deref().map(str::trim).unwrap_or_default();
    if let Some(inside) = walk
        .host
        .as_ref()
        .filter(|inside| inside.id.to_string() != said)
    {
        // It was half read, and is not listed any more.
        let object = inside.id.to_string();
        batch.report.counters.listed += 1;
        batch.report.counters.vanished += 1;
        batch.report.notice(
            "host-vanished",
            format!("Host {object} vanished while the walk was interrupted inside it."),
        );
        walk.host = None;
    }
    if batch.options.skip.contains(said) {
        batch.report.set_aside(
            said,
            "skipped",
            "The host is on the list of hosts to leave out.",
        );
        return Ok(None);
    }
    if let Some(fault) = chunk.fault {
        set_aside_fault(batch, walk, said, fault);
        return Ok(None);
    }
    let (buf, long) = (page.reader.window(), page.reader.long_texts());
    tree.parse(
        buf,
        &chunk.head,
        long,
        (Class::Host, !chunk.last),
        &mut batch.report.unknown_elements,
    )?;
    match hosts::map(
        View::new(tree, buf, long, &chunk.head),
        &settings.selection,
        times,
        scratch,
    ) {
        Ok(record) => Ok(Some(record)),
        Err(problem) => {
            let (code, message) = match problem {
                HostProblem::MissingId => (
                    "no-id",
                    format!("A host behind position {} has no ID.", walk.id_min),
                ),
                HostProblem::BadId => (
                    "bad-id",
                    format!("A host has the ID {:?}, which is no number.", shorten(said)),
                ),
            };
            batch.report.set_aside(said, code, message);
            walk.complete = false;
            Ok(None)
        }
    }
}

/// Hosts went by and the answer had not said when it was made: a later answer's time would be too late.
fn no_start(walk: &mut Walk, report: &mut Report) {
    if !walk.answered {
        walk.answered = true;
        report.notice("no-datetime", NO_DATETIME);
    }
}

fn set_aside_fault(batch: &mut BatchState, walk: &mut Walk, object: &str, fault: HostFault) {
    let (code, message) = match fault {
        HostFault::TooDeep => ("too-deep", "The host's elements are nested too deep."),
        HostFault::TooLarge => (
            "too-large",
            "The host's own part, or one of its detections, is larger than can be held.",
        ),
    };
    batch.report.set_aside(object, code, message);
    walk.complete = false;
}

fn saw(batch: &mut BatchState, host: &mut HostState, more: bool) {
    batch.report.saw(Seen {
        object: host.record.id.to_string(),
        time_ms: host.record.time_ms,
        emitted: std::mem::take(&mut host.emitted),
        repeated: std::mem::take(&mut host.repeated),
        more,
    });
}

fn emit_host<E: Environment, B: Body>(
    environment: &mut E,
    page: &mut OpenPage<B>,
    batch: &mut BatchState,
) -> Result<(), StepError> {
    let Some(host) = page.current.as_mut() else {
        return Ok(());
    };
    let record = &host.record;
    let identity = record.id.to_string();
    let key = format!("{identity}-{:032x}", record.hash);
    if host.memory.recognise(memory::hash(&key)) {
        batch.report.counters.repeated += 1;
        host.repeated.push(identity);
        return Ok(());
    }
    let counters = &mut batch.report.counters;
    counters.repaired += record.repaired;
    counters.truncated += record.cut;
    counters.time_repaired += u64::from(record.time_repaired);
    batch
        .outbox
        .add(environment, &key, record.time_ms, |body| {
            hosts::write_record(record, body);
        })?;
    host.emitted.push(identity);
    Ok(())
}

/// The position in a page's notice; `None` if the notice does not say to go on.
fn next_position(warning: &Warning) -> Result<Option<u64>, Fault> {
    let url = warning.url.replace("&amp;", "&");
    let query = url
        .split_once('?')
        .map(|(_, query)| query)
        .unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "id_min")
        .last();
    match next.and_then(|(_, value)| value.trim().parse::<u64>().ok()) {
        Some(next) => Ok(Some(next)),
        None if warning.url.is_empty()
            && warning.code != "1980"
            && !warning.text.contains("record limit exceeded") =>
        {
            Ok(None)
        }
        None => Err(Fault::new(
            FaultKind::Malformed,
            "no-progress",
            "Qualys says that there are more hosts, and not where to go on.",
            "This is a fault of the server; the walk goes on from behind the last host.",
        )),
    }
}

/// Collects one batch. `session` is what an earlier call left; `begun` says whether this instance is in
/// the middle of a walk, so that a full walk which is asked for with every call begins once.
pub(crate) fn batch<E: Environment>(
    environment: &mut E,
    settings: &Settings,
    slot: &mut Option<Session<E::Body>>,
    begun: &mut bool,
    request: &BatchRequest,
) -> Result<Batch, Fault> {
    let endpoint = Endpoint::from_content_type(&request.content_type).ok_or_else(|| {
        let message = format!(
            "There is no content type {:?}.",
            shorten(&request.content_type)
        );
        Fault::new(FaultKind::Internal, "content-type", message, "")
    })?;
    let options = Options::read(&request.options)?;
    let mut state = BatchState {
        report: Report::default(),
        outbox: Outbox::default(),
        attempt: request.attempt,
        max_items: u64::from(request.max_items.max(1)),
        max_bytes: request.max_bytes.max(1),
        deadline: environment
            .monotonic_ms()
            .saturating_add(request.soft_deadline_ms),
        progress: false,
        first_page: true,
        options,
    };
    let full = state.options.full && !*begun;
    // Taken out, so that a failure on the way leaves nothing behind that no longer fits the host's cursor.
    let kept = slot.take().filter(|session| {
        session.expected.is_some() && session.expected == request.cursor && !full
    });
    let mut session = match kept {
        Some(mut session) => {
            if let Some(failure) = session.failure.take() {
                return Err(failure);
            }
            session
        }
        None => Session::start(
            settings,
            endpoint,
            request.cursor.as_deref(),
            full,
            &mut state.report,
        )?,
    };
    session.begin_walk(settings, full, environment.now_ms());
    // A page that is still open was asked for before this call.
    state.first_page = session.page.is_none();

    let finished = run(environment, settings, &mut session, &mut state)?;
    state
        .outbox
        .flush(environment)
        .map_err(|rejection| refused(&rejection))?;
    session.memory.flush(environment);
    if session.memory.full {
        state.report.notice("cache-full", "The connector's cache is full, so unchanged records may be emitted again under their old keys.");
    }
    let complete = match &mut session.cursor.walk {
        Some(walk) => {
            if walk.id_min > 0 {
                no_start(walk, &mut state.report);
            }
            walk.complete
        }
        None => finished.unwrap_or(true),
    };
    if session.cursor.walk.is_some() {
        state.report.window = session.window();
    }
    let next = session.cursor.write();
    session.expected = Some(next.clone());
    *begun = session.cursor.walk.is_some();
    let batch = Batch {
        next,
        more: session.cursor.walk.is_some(),
        emitted: state.outbox.total_items,
        complete,
        report: serde_json::to_string(&state.report).unwrap_or_else(|_| "{}".to_owned()),
    };
    *slot = Some(session);
    Ok(batch)
}

/// Goes on until the batch is full, the walk ends (then: whether it is complete), or something fails.
fn run<E: Environment>(
    environment: &mut E,
    settings: &Settings,
    session: &mut Session<E::Body>,
    batch: &mut BatchState,
) -> Result<Option<bool>, Fault> {
    loop {
        if batch.progress {
            let full = if inside(session) {
                batch.far_beyond(environment)
            } else {
                batch.reached(environment)
            };
            if full {
                session.pause(environment, batch);
                return Ok(None);
            }
        }
        if session.page.is_none()
            && let Err(fault) = session.open_page(environment, settings, batch)
        {
            return fail(environment, session, batch, fault);
        }
        let error = match advance(environment, settings, session, batch) {
            Ok(Advance::Go) => continue,
            Ok(Advance::Pause) => {
                session.pause(environment, batch);
                return Ok(None);
            }
            Ok(Advance::Ended) => return Ok(Some(session.end_walk(batch))),
            Err(StepError::Fault(fault)) if fault.kind == FaultKind::Internal => return Err(fault),
            Err(StepError::Fault(fault)) => return fail(environment, session, batch, fault),
            Err(StepError::Page(error)) => error,
        };
        if session.step_over(environment, settings, batch, &error) {
            batch.first_page = false;
            continue;
        }
        return fail(environment, session, batch, client::page_fault(&error));
    }
}

/// Between two pieces of a host only the wider limits apply.
fn inside<B>(session: &Session<B>) -> bool {
    session
        .page
        .as_ref()
        .is_some_and(|page| page.current.is_some())
}

enum Advance {
    Go,
    Pause,
    Ended,
}

fn advance<E: Environment>(
    environment: &mut E,
    settings: &Settings,
    session: &mut Session<E::Body>,
    batch: &mut BatchState,
) -> Result<Advance, StepError> {
    let Some(page) = session.page.as_mut() else {
        return Ok(Advance::Ended);
    };
    if page.chunks.is_empty() {
        let progress = page
            .reader
            .fill(&mut page.chunks)
            .map_err(StepError::Page)?;
        let ids: Vec<u64> = page
            .chunks
            .iter()
            .filter(|chunk| chunk.first && chunk.fault.is_none())
            .filter_map(|chunk| chunk.id.as_deref()?.trim().parse().ok())
            .collect();
        session.take_start(environment.now_ms(), &mut batch.report);
        if progress == Progress::Closed {
            batch.first_page = false;
            let more = session
                .end_page(settings, batch)
                .map_err(StepError::Fault)?;
            batch.progress = true;
            return Ok(if more { Advance::Go } else { Advance::Ended });
        }
        session.memory.read_ahead(environment, &ids);
    }
    match session.step(environment, settings, batch)? {
        Step::Go => Ok(Advance::Go),
        Step::Pause => Ok(Advance::Pause),
    }
}

/// Keeps what was done before a failure, which then waits for the next call; with nothing done, it is returned at once.
fn fail<E: Environment>(
    environment: &mut E,
    session: &mut Session<E::Body>,
    batch: &mut BatchState,
    fault: Fault,
) -> Result<Option<bool>, Fault> {
    session.pause(environment, batch);
    session.page = None;
    if !batch.progress {
        return Err(fault);
    }
    environment.log(Level::Warn, &format!("{}: {}", fault.code, fault.message));
    session.failure = Some(fault);
    Ok(None)
}
