//! Collection: the walk over one list, batch by batch.
//!
//! A walk asks for page after page in the order of host IDs. It is finished only by a closed page without a notice to go on, and only a finished
//! walk that accounts for everything moves the watermark. A batch may end behind any host, or inside a large one; the cursor says where.
//!
//! Promises: hosts in front of a fault are kept, and the fault is reported by the next call; a page without its closing tag never ends a walk;
//! what was emitted before and has not changed is counted as repeated.
//!
//! Never here: waiting, or trying a request again.

use crate::batch::{Batch, BatchRequest, BatchState, Options};
use crate::environment::{Environment, Level};
use crate::fault::{Fault, FaultKind, shorten};
use crate::outbox::Outbox;
use crate::page::Progress;
use crate::reading::{Step, StepError, refused};
use crate::report::Report;
use crate::request::Endpoint;
use crate::settings::Settings;
use crate::verdict;
use crate::walk::{Again, Session, no_start};

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
        from: None,
        opened: 0,
        first_page: true,
        options,
    };
    let again = (state.options.full && !*begun).then_some(Again {
        since_ms: state.options.since_ms,
    });
    // Taken out, so that a failure on the way leaves nothing behind that no longer fits the host's cursor.
    let kept = slot.take().filter(|session| {
        session.expected.is_some() && session.expected == request.cursor && again.is_none()
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
            again,
            &mut state.report,
        )?,
    };
    session.begin_walk(settings, again, environment.now_ms());
    state.from = session.place();
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
                batch.reached(environment, session.page.is_some())
            };
            if full {
                session.pause(environment, batch);
                return Ok(None);
            }
        }
        if session.page.is_none()
            && let Err(fault) = session.open_page(environment, settings, batch)
        {
            if session.step_over(environment, settings, batch, &fault) {
                batch.first_page = false;
                continue;
            }
            return fail(environment, session, batch, fault);
        }
        let fault = match advance(environment, settings, session, batch) {
            Ok(Advance::Go) => continue,
            Ok(Advance::Pause) => {
                session.pause(environment, batch);
                return Ok(None);
            }
            Ok(Advance::Ended) => return Ok(Some(session.end_walk(batch))),
            Err(StepError::Fault(fault)) if fault.kind == FaultKind::Internal => return Err(fault),
            Err(StepError::Fault(fault)) => return fail(environment, session, batch, fault),
            Err(StepError::Page(error)) => verdict::page_fault(&error),
        };
        if session.step_over(environment, settings, batch, &fault) {
            batch.first_page = false;
            continue;
        }
        return fail(environment, session, batch, fault);
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

/// Keeps what was done before a failure, which then waits for the next call; where the position did not move, it is returned at once.
fn fail<E: Environment>(
    environment: &mut E,
    session: &mut Session<E::Body>,
    batch: &mut BatchState,
    fault: Fault,
) -> Result<Option<bool>, Fault> {
    session.pause(environment, batch);
    session.page = None;
    if !batch.progress || session.place() == batch.from {
        return Err(fault);
    }
    environment.log(Level::Warn, &format!("{}: {}", fault.code, fault.message));
    session.failure = Some(fault);
    Ok(None)
}
