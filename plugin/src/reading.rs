//! Reading: the hosts of a page, one after another, into records.
//!
//! What cannot be taken is set aside by name; what was emitted before and has not changed is counted as repeated.

use crate::batch::BatchState;
use crate::cursor::{Inside, Walk};
use crate::detections;
use crate::elements::Class;
use crate::environment::{Body, Environment, Rejection};
use crate::fault::{Fault, FaultKind, shorten};
use crate::hosts::{self, HostProblem, HostRecord, Times};
use crate::memory;
use crate::page::{HostFault, PageError};
use crate::report::Seen;
use crate::request::Endpoint;
use crate::settings::Settings;
use crate::tree::Tree;
use crate::view::View;
use crate::walk::{HostState, OpenPage, Session};

/// How a step came out.
pub(crate) enum Step {
    Go,
    /// The batch ends inside a host.
    Pause,
}

/// Why a step failed.
pub(crate) enum StepError {
    Page(PageError),
    Fault(Fault),
}

impl From<Rejection> for StepError {
    fn from(rejection: Rejection) -> Self {
        Self::Fault(refused(&rejection))
    }
}

pub(crate) fn refused(rejection: &Rejection) -> Fault {
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
    /// Works on the first chunk.
    pub(crate) fn step<E: Environment>(
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
            // What it has besides is not known: nobody may take this for all of it.
            saw(batch, &mut host, true);
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

    pub(crate) fn end_chunk<E: Environment>(
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
    pub(crate) fn step_detections<E: Environment>(
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
        let (buf, tokens, long) = (reader.window(), reader.tokens(), reader.long_texts());
        while let Some(range) = chunk.detections.get(*next) {
            if host.read > host.done.as_ref().map_or(0, |done| done.read) && batch.much_more() {
                return Ok(true);
            }
            self.tree
                .parse(
                    (buf, tokens, long),
                    std::slice::from_ref(range),
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
    pub(crate) fn pause<E: Environment>(&mut self, environment: &mut E, batch: &mut BatchState) {
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
        (buf, page.reader.tokens(), long),
        &chunk.head,
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
