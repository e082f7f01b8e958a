//! One content type of a run, from its stored cursor to the end of its walk.
//!
//! While a batch is sealed, compressed and committed on other threads, the plugin works on the next; never more than one
//! commit is on its way. The next batch sees the cache writes of the one before, and is thrown away with it if that fails.

use super::ledger::{ContentLedger, RunOutcome};
use super::observer::{Event, Observer};
use super::retry::{self, Decision};
use super::{Connector, RunError, RunOptions, StartError, strikes};
use crate::clock::milliseconds;
use crate::egress::{EgressSession, Traffic};
use crate::interflow::{Envelope, Filter, Index, remains};
use crate::journal::{Block, Commit, Journal, JournalError, Shortage};
use crate::limits::Limit;
use crate::sandbox::{
    BatchRequest, CacheStore, CacheWrites, CallFailure, Collected, Fault, FaultKind, Instance,
    Report, SinkItem, Usage,
};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info_span};

pub(super) struct Collection<'a> {
    pub(super) connector: &'a Connector,
    pub(super) journal: &'a Journal,
    pub(super) options: &'a RunOptions,
    pub(super) observer: &'a Arc<dyn Observer>,
    pub(super) session: &'a EgressSession,
    pub(super) traffic: &'a Traffic,
    pub(super) store: &'a Arc<dyn CacheStore>,
    pub(super) instance: Option<Instance>,
    pub(super) waited: Duration,
    pub(super) ledger: ContentLedger,
    pub(super) used: Usage,
    pub(super) strikes: u32,
}

/// How long a batch waits for room with the vendor's response held open.
const ROOM_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether there is room.
const ROOM_LOOK: Duration = Duration::from_secs(1);
/// After how long a run that found no room is worth trying again.
const ROOM_AGAIN_MS: u64 = 60_000;

/// A commit on its way, and what the ledger will say once it is durable.
struct Commitment {
    task: JoinHandle<Result<Written, RunError>>,
    report: Report,
    repeated: u64,
}

struct Written {
    records: u64,
    bytes: u64,
    /// Of the notes, before compression.
    notes: u64,
    /// Records dropped, for each filter.
    dropped: Vec<u64>,
}

/// What is asked of a batch: `full` with the first one of a walk that is to begin anew, `since` with it.
fn options(full: bool, since: Option<u64>) -> Value {
    match since.filter(|_| full) {
        Some(since) => serde_json::json!({ "full": full, "since_ms": since }),
        None => serde_json::json!({ "full": full }),
    }
}

impl Collection<'_> {
    /// Walks to the end, or as far as it gets; the ledger says which.
    ///
    /// # Errors
    /// Only if the journal or a thread of the host fails.
    pub(super) async fn walk(&mut self, content_type: &str) -> Result<(), RunError> {
        let connector_id = &self.connector.identity().connector_id;
        let position = self.journal.cursor(connector_id, content_type, "")?;
        let generation = position.generation;
        let envelope = Arc::new(self.connector.envelope(content_type));
        let indices = self.indices(content_type);

        let mut cursor = position.cursor;
        // Who asks for everything is not given less.
        let since = position.since_ms.filter(|_| !self.options.full);
        let mut full = self.options.full || since.is_some();
        let mut attempt = 0;
        let (idle_limit, batch_limit, byte_limit) = {
            let limits = self.connector.limits();
            (limits.idle_batches, limits.run_batches, limits.run_bytes)
        };
        let mut idle = 0;
        let mut batches = 0;
        let mut on_its_way: Option<Commitment> = None;
        loop {
            if !self.room().await? {
                break;
            }
            let Some(mut instance) = self.instance().await else {
                break;
            };
            self.session.set_patience(
                self.wait_left()
                    .min(self.options.patience)
                    .min(retry::PATIENCE),
            );
            let request = BatchRequest {
                content_type: content_type.to_owned(),
                cursor: cursor.clone(),
                attempt,
                options: options(full, since),
            };
            let span = info_span!("batch", content_type, attempt);
            let result = tokio::select! {
                biased;
                () = self.options.stop.requested() => None,
                result = instance.collect_batch(&request).instrument(span) => Some(result),
            };
            self.keep(instance);
            let Some(result) = result else {
                self.settle(on_its_way.take()).await?;
                self.ledger.stop_as_asked();
                break;
            };
            match result {
                Ok(batch) => {
                    // The batch before must be durable before this one may be.
                    if !self.settle(on_its_way.take()).await? {
                        break;
                    }
                    let more = batch.more;
                    let complete = batch.complete;
                    idle = if batch.items.is_empty() && cursor.as_ref() == Some(&batch.next) {
                        idle + 1
                    } else {
                        0
                    };
                    let spending = self.traffic.spending();
                    spending.note(Limit::IdleBatches, u64::from(idle));
                    spending.note(Limit::RunBatches, u64::from(batches) + 1);
                    cursor = Some(batch.next.clone());
                    attempt = 0;
                    full = false;
                    if !complete {
                        self.ledger.end(
                            RunOutcome::Incomplete,
                            "something that was listed could not be collected (see set_aside and notices)".into(),
                        );
                    }
                    on_its_way =
                        Some(self.commit(content_type, generation, &envelope, &indices, batch));
                    if !more {
                        break;
                    }
                    batches += 1;
                    if idle >= idle_limit {
                        self.ledger.end(
                            RunOutcome::Failed,
                            format!(
                                "{idle_limit} batches in a row brought nothing and moved nothing"
                            ),
                        );
                        break;
                    }
                    if batches >= batch_limit {
                        self.ledger.end(
                            RunOutcome::Postponed,
                            format!(
                                "one run may take {batch_limit} batches of a content type (`run_batches`); the next goes on from here"
                            ),
                        );
                        break;
                    }
                    if self.ledger.taken >= byte_limit {
                        self.ledger.end(
                            RunOutcome::Postponed,
                            format!(
                                "one run may take {} MiB of a content type (`run_mib`); the next goes on from here",
                                byte_limit >> 20
                            ),
                        );
                        break;
                    }
                }
                Err(failure) => {
                    // Whatever was collected before the failure counts.
                    if !self.settle(on_its_way.take()).await? {
                        break;
                    }
                    attempt += u32::from(!retry::is_limit(&failure));
                    if !self.survive(failure, attempt).await {
                        break;
                    }
                }
            }
        }
        self.settle(on_its_way.take()).await?;
        Ok(())
    }

    /// Waits until the next batch can be kept, while the response stays open and unread. False if that takes too long or
    /// somebody asks to stop: the ledger says so, and the run ends.
    async fn room(&mut self) -> Result<bool, RunError> {
        let clock = self.connector.clock();
        let tenant = &self.connector.identity().tenant;
        let most = ROOM_PATIENCE
            .min(self.wait_left())
            .min(self.options.patience);
        let started = clock.elapsed();
        let mut has_told = false;
        loop {
            let shortage = {
                let _held = clock.hold();
                self.journal.room(tenant, clock.now_ms()).await?
            };
            let Some(shortage) = shortage else {
                return Ok(true);
            };
            if clock.elapsed().saturating_sub(started) >= most {
                self.end_for_room(&shortage).await;
                return Ok(false);
            }
            if !has_told {
                has_told = true;
                self.ledger.count("waits_for_room", 1);
                self.observer.event(&Event::Waiting {
                    content_type: &self.ledger.content_type,
                    time: most,
                    reason: &shortage.to_string(),
                });
            }
            let before = clock.elapsed();
            let stopped = tokio::select! {
                biased;
                () = self.options.stop.requested() => true,
                () = clock.sleep(ROOM_LOOK) => false,
            };
            self.waited += clock.elapsed().saturating_sub(before);
            if stopped {
                self.ledger.stop_as_asked();
                return Ok(false);
            }
        }
    }

    /// Ends the run, and gives the response up.
    async fn end_for_room(&mut self, shortage: &Shortage) {
        if let Some(mut instance) = self.instance.take() {
            instance.leave_core_dump().await;
            self.retire(instance);
        }
        let again = self
            .connector
            .clock()
            .now_ms()
            .saturating_add(ROOM_AGAIN_MS);
        self.ledger.postpone_for_room(shortage, again);
    }

    /// The instance at hand, or a fresh one; `None` if none can be had, which the ledger then says.
    async fn instance(&mut self) -> Option<Instance> {
        if let Some(instance) = self.instance.take() {
            return Some(instance);
        }
        loop {
            let opened = self
                .connector
                .open(self.session.clone(), Arc::clone(self.store), self.observer)
                .await;
            match opened {
                Ok((instance, _)) => return Some(instance),
                Err(StartError::Plugin(fault)) => {
                    if !self.survive(fault.into(), 0).await {
                        return None;
                    }
                }
                Err(error) => {
                    self.ledger.end(RunOutcome::Failed, error.to_string());
                    return None;
                }
            }
        }
    }

    fn keep(&mut self, instance: Instance) {
        if instance.is_gone() {
            self.retire(instance);
        } else {
            self.instance = Some(instance);
        }
    }

    /// Writes what the instance at hand left out of the log into the ledger.
    pub(super) fn count_dropped_lines(&mut self) {
        if let Some(instance) = &mut self.instance {
            self.ledger
                .count("log_lines_dropped", instance.take_dropped_log_lines());
        }
    }

    /// What all instances used.
    pub(super) async fn usage(&mut self) -> Usage {
        if let Some(mut instance) = self.instance.take() {
            instance.leave_core_dump().await;
            self.retire(instance);
        }
        self.used
    }

    fn retire(&mut self, mut instance: Instance) {
        self.used.absorb(&instance.usage());
        self.ledger
            .count("log_lines_dropped", instance.take_dropped_log_lines());
    }

    /// Decides about a failure, and waits. False if this content type has ended.
    async fn survive(&mut self, failure: CallFailure, attempt: u32) -> bool {
        let (decision, reason) = match failure {
            CallFailure::Plugin(failure) => {
                let decision = retry::decide(&failure, attempt);
                let mut reason = format!("{} ({})", failure.message, failure.code);
                if !failure.advice.is_empty() {
                    reason = format!("{reason} {}", failure.advice);
                }
                self.ledger.failure = Some(failure);
                (decision, reason)
            }
            CallFailure::Fault(fault) => {
                let reason = fault.to_string();
                // The host's own failure is nobody's strike.
                self.strikes += u32::from(fault.kind != FaultKind::Host);
                self.ledger.struck_out = self.strikes >= strikes::STRIKES;
                let decision = if fault.kind == FaultKind::Host || self.ledger.struck_out {
                    Decision::GiveUp
                } else {
                    Decision::Again(retry::pause(self.strikes))
                };
                self.fault(fault);
                (decision, reason)
            }
        };
        match decision {
            Decision::Stop => {
                self.ledger.stop(reason);
                false
            }
            Decision::GiveUp => {
                self.ledger.end(RunOutcome::Failed, reason);
                false
            }
            Decision::Later(time) => {
                self.ledger.count("waits_for_quota", 1);
                self.wait(time, &reason).await
            }
            Decision::Again(time) => {
                self.ledger.retries += 1;
                // A pause of our own can be shorter; a wait that the vendor has named cannot.
                let is_named = self
                    .ledger
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.retry_after_ms.is_some());
                let time = match is_named {
                    true => time,
                    false => time.min(self.options.patience),
                };
                self.wait(time, &reason).await
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        let connector = &self.connector.identity().name;
        tracing::warn!(connector, call = fault.call, "{fault}");
        for frame in &fault.backtrace {
            tracing::debug!(connector, "at {frame}");
        }
        self.ledger.faults.push(fault);
    }

    fn wait_left(&self) -> Duration {
        let in_egress = Duration::from_millis(self.traffic.counts().permit_wait_ms);
        self.options
            .max_wait
            .saturating_sub(self.waited + in_egress)
    }

    /// Waits, unless that is longer than the run may wait in all: then it is not begun.
    async fn wait(&mut self, time: Duration, reason: &str) -> bool {
        let clock = self.connector.clock();
        if time > self.wait_left().min(self.options.patience) {
            let wait_ms = milliseconds(time);
            let resume_at = clock.now_ms().saturating_add(wait_ms);
            self.ledger.resume_at = Some(resume_at);
            let why = if time > self.options.patience {
                format!(
                    "The run ends instead of waiting {} s (more than {} s at a time), and goes on afterwards.",
                    time.as_secs(),
                    self.options.patience.as_secs()
                )
            } else {
                format!(
                    "The wait of {} s that this needs is longer than the run may still wait ({} s of {} s).",
                    time.as_secs(),
                    self.wait_left().as_secs(),
                    self.options.max_wait.as_secs()
                )
            };
            self.ledger
                .end(RunOutcome::Postponed, format!("{reason} {why}"));
            return false;
        }
        self.observer.event(&Event::Waiting {
            content_type: &self.ledger.content_type,
            time,
            reason,
        });
        if time > retry::PATIENCE
            && let Some(mut instance) = self.instance.take()
        {
            instance.leave_core_dump().await;
            self.retire(instance);
        }
        let started = clock.elapsed();
        let stopped = tokio::select! {
            biased;
            () = self.options.stop.requested() => true,
            () = clock.sleep(time) => false,
        };
        self.waited += clock.elapsed().saturating_sub(started);
        if stopped {
            self.ledger.stop_as_asked();
            return false;
        }
        true
    }

    fn indices(&self, content_type: &str) -> Vec<Index> {
        let content = self.connector.manifest().content_type(content_type);
        content
            .map(|content| {
                content
                    .indices
                    .iter()
                    .filter_map(|index| index.parse().ok())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// Starts to seal, compress and commit a batch on other threads.
    fn commit(
        &mut self,
        content_type: &str,
        generation: u64,
        envelope: &Arc<Envelope>,
        indices: &[Index],
        batch: Collected,
    ) -> Commitment {
        let writes = Arc::new(batch.cache);
        if let Some(instance) = &mut self.instance {
            instance.set_in_flight(Arc::clone(&writes));
        }
        let notes = match batch.report.seen.as_slice() {
            [] => Vec::new(),
            // Plain data with text keys: serialising it cannot fail.
            seen => serde_json::to_vec(seen).unwrap_or_default(),
        };
        let filters = Arc::clone(self.connector.filters());
        let journal = self.journal.clone();
        let connector = self.connector.identity().connector_id.clone();
        let content_type = content_type.to_owned();
        let envelope = Arc::clone(envelope);
        let indices = indices.to_vec();
        let clock = self.connector.clock().clone();
        let (items, cursor) = (batch.items, batch.next);
        let task = tokio::spawn(async move {
            let written_ms = clock.now_ms();
            let sealed = tokio::task::spawn_blocking(move || {
                seal(&envelope, &items, written_ms, &indices, &notes, &filters)
            })
            .await
            .map_err(|error| RunError::Thread(error.to_string()))??;
            let (block, written) = sealed;
            journal
                .commit(Commit {
                    connector,
                    content_type,
                    part: String::new(),
                    expected_generation: generation,
                    cursor,
                    written_ms,
                    cache_puts: puts(&writes),
                    cache_removes: removes(&writes),
                    block,
                })
                .await?;
            Ok(written)
        });
        Commitment {
            task,
            report: batch.report,
            repeated: batch.repeated,
        }
    }

    /// Waits until a commit is durable, and writes it into the ledger. False if the disk had no room for it: nothing of it
    /// was kept, and the run ends.
    async fn settle(&mut self, commitment: Option<Commitment>) -> Result<bool, RunError> {
        let Some(commitment) = commitment else {
            return Ok(true);
        };
        let held = self.connector.clock().hold();
        let written = commitment
            .task
            .await
            .map_err(|error| RunError::Thread(error.to_string()))?;
        drop(held);
        let written = match written {
            Err(RunError::Journal(JournalError::DiskFull { what })) => {
                self.end_for_room(&Shortage::Disk { what }).await;
                return Ok(false);
            }
            written => written?,
        };
        self.ledger.records += written.records;
        self.ledger.bytes += written.bytes;
        self.ledger.taken += written.bytes + written.notes;
        self.traffic
            .spending()
            .note(Limit::RunBytes, self.ledger.taken);
        self.ledger.batches += 1;
        self.ledger
            .drop_records(self.connector.filters(), &written.dropped);
        self.ledger.absorb(commitment.report);
        self.ledger.count("repeated", commitment.repeated);
        self.observer.event(&Event::Committed {
            ledger: &self.ledger,
        });
        Ok(true)
    }
}

fn puts(writes: &CacheWrites) -> Vec<(String, Vec<u8>)> {
    writes
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect()
}

fn removes(writes: &CacheWrites) -> Vec<String> {
    writes
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.clone())
        .collect()
}

/// Seals items into one compressed block, without those that a filter drops. No block if there is nothing to say.
fn seal(
    envelope: &Envelope,
    items: &[SinkItem],
    write_time_ms: u64,
    indices: &[Index],
    notes: &[u8],
    filters: &[Filter],
) -> Result<(Option<Block>, Written), RunError> {
    let mut ndjson = Vec::with_capacity(items.iter().map(|item| item.body.len() + 800).sum());
    let mut kept = Vec::with_capacity(items.len());
    let mut dropped = vec![0; filters.len()];
    let mut remaining = Vec::new();
    for item in items {
        let start = ndjson.len();
        envelope.seal(
            &item.key,
            item.time_ms,
            write_time_ms,
            &item.body,
            &item.facts,
            &mut ndjson,
        );
        if let Some((filter, record)) = matching(filters, &ndjson[start..]) {
            dropped[filter] += 1;
            remaining.push(remains(&record));
            ndjson.truncate(start);
            continue;
        }
        ndjson.push(b'\n');
        kept.push(item.time_ms);
    }
    let notes = with_remains(notes, &remaining);
    let written = Written {
        records: kept.len() as u64,
        bytes: ndjson.len() as u64,
        notes: notes.len() as u64,
        dropped,
    };
    if kept.is_empty() && notes.is_empty() {
        return Ok((None, written));
    }
    let times = kept.iter().copied();
    let times = times.clone().min().zip(times.max());
    let block = Block::press(indices, written.records, times, &ndjson, &notes)?;
    Ok((Some(block), written))
}

/// The notes of a batch, one JSON array, with those of what was dropped at its end.
fn with_remains<'a>(notes: &'a [u8], remaining: &[Value]) -> Cow<'a, [u8]> {
    if remaining.is_empty() {
        return Cow::Borrowed(notes);
    }
    // Plain data with text keys: serialising it cannot fail.
    let dropped = serde_json::to_vec(remaining).unwrap_or_default();
    match notes.strip_suffix(b"]") {
        Some(seen) => Cow::Owned([seen, b",", &dropped[1..]].concat()),
        None => Cow::Owned(dropped),
    }
}

/// The first filter that a finished record matches, and the record. Nothing is read where there are no filters.
fn matching(filters: &[Filter], record: &[u8]) -> Option<(usize, Value)> {
    if filters.is_empty() {
        return None;
    }
    // The host has just written it: it is JSON.
    let record = serde_json::from_slice(record).ok()?;
    let filter = filters.iter().position(|filter| filter.matches(&record))?;
    Some((filter, record))
}
