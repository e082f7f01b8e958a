//! The schedule: which connector runs when.
//!
//! One task for all connectors. It holds, for each that is to run, the moment of its next run and nothing else; it sleeps
//! until the first of them, or until it is told that something has changed ([`Schedule::changed`]). A connector that is idle
//! costs no task, no timer and no query.
//!
//! ```text
//! agenda (next runs) ──due──▶ queue (fair between tenants) ──slot──▶ runs ──end──▶ catalogue ──▶ agenda
//! ```
//!
//! Promises: due is the last start and an interval, and is kept before anything is sent, so that a restart makes no run twice;
//! runs missed meanwhile become one; runs of one connector never overlap; no call inside a wait; a refused login is not tried
//! again before somebody edits, tests or runs the connector. A run that was cut off (by a crash or a shutdown) is due at once
//! and goes on from its cursor. A connector that has left its profile or was switched off while it collects stops at the next
//! safe point.
//!
//! Never here: what a run does, or what it asks of a vendor.

mod agenda;
pub(crate) mod due;
mod handle;
mod queue;
pub(crate) mod runner;

#[cfg(test)]
mod tests;

pub(crate) use handle::{Progress, RunHandle};
pub(crate) use runner::{HostRunner, Runner};

use crate::connectors::Catalogue;
use crate::connectors::device::DATA_PROCESSOR;
use crate::connectors::error::CatalogueError;
use crate::connectors::schedule::PluginState;
use crate::failure::Failure;
use crate::figures;
use crate::status::{Ended, Facts};
use agenda::Agenda;
use connector_runtime::Clock;
use connector_runtime::runs::{Ledger, RunOptions, Stop};
use handle::{Asked, Watch};
use queue::Queue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How often every status is brought up to date, though nothing is known to have changed.
const REFRESH_MS: u64 = 5 * 60 * 1000;
/// How long a connector is left alone whose start or end could not be written down.
const TROUBLE_MS: u64 = 60 * 1000;
/// A longer wait ends a run of the schedule: it goes on after the wait, in another instance.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be set about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduleOptions {
    /// The device that this host is: only connectors that are placed on it run.
    pub(crate) device: String,
    /// Runs at the same time.
    pub(crate) concurrent_runs: usize,
    /// The most that a run may begin after its due time, so that connectors of one interval do not begin all at once.
    pub(crate) jitter: Duration,
    /// How long a shutdown waits for runs to stop.
    pub(crate) shutdown: Duration,
}

impl Default for ScheduleOptions {
    fn default() -> Self {
        Self {
            device: DATA_PROCESSOR.into(),
            concurrent_runs: 64,
            jitter: Duration::ZERO,
            shutdown: Duration::from_secs(30),
        }
    }
}

/// See the module. Clones are handles on the same schedule.
#[derive(Clone)]
pub(crate) struct Schedule(Arc<Shared>);

struct Shared {
    catalogue: Arc<Catalogue>,
    clock: Clock,
    runner: Arc<dyn Runner>,
    options: ScheduleOptions,
    board: Mutex<Board>,
    wake: Notify,
    /// How often the loop has looked, and how often it has read the catalogue.
    looks: AtomicU64,
    reads: AtomicU64,
}

/// Where every connector stands.
#[derive(Default)]
struct Board {
    agenda: Agenda,
    queue: Queue,
    running: HashMap<String, Running>,
    /// Those whose facts are to be read again.
    changed: BTreeSet<String>,
    all_changed: bool,
    /// Those that are left alone until a moment.
    troubled: HashMap<String, u64>,
    is_stopping: bool,
}

/// A run under way.
struct Running {
    stop: Stop,
    watch: Arc<Watch>,
}

/// A run that begins.
struct Start {
    id: String,
    options: RunOptions,
    watch: Arc<Watch>,
    /// For whoever asked for it.
    asked: Option<Asked>,
    /// What jitter has delayed it.
    delayed_ms: u64,
}

impl Schedule {
    /// A schedule; nothing runs before [`Schedule::run`].
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        clock: Clock,
        runner: Arc<dyn Runner>,
        options: ScheduleOptions,
    ) -> Self {
        Self(Arc::new(Shared {
            catalogue,
            clock,
            runner,
            options,
            board: Mutex::default(),
            wake: Notify::new(),
            looks: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }))
    }

    /// Whether the catalogue knows the device that this host is.
    ///
    /// # Errors
    /// If it does not, with those that it knows.
    pub(crate) fn check_device(&self) -> Result<(), Failure> {
        self.0.check_device()
    }

    /// Runs connectors until `stop` is requested; then runs that are under way are asked to stop and waited for, as long as the
    /// options say. What is committed by then is kept.
    ///
    /// # Errors
    /// If the catalogue cannot be used at the beginning, or has no such device.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), Failure> {
        self.0.begin().await?;
        let mut runs = JoinSet::new();
        let mut names = HashMap::new();
        let mut refresh_at = 0;
        while !stop.is_requested() {
            self.0.looks.fetch_add(1, Ordering::Relaxed);
            let now = self.0.clock.now_ms();
            if now >= refresh_at {
                self.0.board().all_changed = true;
                refresh_at = now.saturating_add(REFRESH_MS);
            }
            self.0.take_up_changes().await;
            for start in self.0.starts() {
                let id = start.id.clone();
                let task = runs.spawn(Arc::clone(&self.0).execute(start));
                names.insert(task.id(), id);
            }
            let next = self.0.next_due().unwrap_or(u64::MAX).min(refresh_at);
            let wait = Duration::from_millis(next.saturating_sub(self.0.clock.now_ms()));
            // While something runs, simulated time is that of the runs.
            let is_idle = runs.is_empty();
            let awaited = async {
                match is_idle {
                    true => self.0.clock.sleep(wait).await,
                    false => self.0.clock.watch(wait).await,
                }
            };
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some(ended) = runs.join_next_with_id() => self.0.took_its_end(&ended, &mut names),
                () = self.0.wake.notified() => {}
                () = awaited => {}
            }
        }
        self.0.stop_all();
        let drained = async {
            while let Some(ended) = runs.join_next_with_id().await {
                self.0.took_its_end(&ended, &mut names);
            }
        };
        let shutdown = self.0.options.shutdown;
        if self.0.clock.timeout(shutdown, drained).await.is_none() {
            tracing::warn!(
                runs = self.0.board().running.len(),
                "runs did not stop within {} s (`schedule.shutdown_seconds`) and are cut off; they go on from their cursors",
                shutdown.as_secs()
            );
        }
        Ok(())
    }

    /// Tells that the connector of this id was created, changed, placed, switched or deleted.
    pub(crate) fn changed(&self, id: &str) {
        self.0.board().changed.insert(id.to_owned());
        self.0.wake.notify_one();
    }

    /// Tells that anything may have changed: plugins, for one. What is told of connectors is up to date afterwards.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written; the schedule tries again by itself.
    pub(crate) async fn changed_all(&self) -> Result<(), Failure> {
        self.0.board().all_changed = true;
        self.0.wake.notify_one();
        Ok(self.0.refresh_statuses().await?)
    }

    /// Runs a connector as soon as a slot is free, before all that are due, whatever its due time and its last verdict.
    ///
    /// # Errors
    /// If there is no such connector, it is inactive or on another device, its run is under way or asked for already, or the
    /// host is shutting down.
    pub(crate) fn run_now(&self, id: &str, options: RunOptions) -> Result<RunHandle, Failure> {
        let shared = &self.0;
        let Some(facts) = shared.catalogue.facts_of(id)? else {
            return Err(Failure::Catalogue(CatalogueError::Unknown {
                thing: "connector",
                name: id.to_owned(),
                known: Vec::new(),
            }));
        };
        let full = &facts.full_name;
        let conflict = |sentence| Err(Failure::Catalogue(CatalogueError::Conflict(sentence)));
        if !facts.active {
            return Err(Failure::Inactive {
                connector: facts.full_name,
            });
        }
        if facts.run_on != shared.options.device {
            return conflict(format!(
                "connector {full} runs on {}, and this host is {}: run it there",
                facts.run_on, shared.options.device
            ));
        }
        let mut board = shared.board();
        if board.is_stopping {
            return conflict("the host is shutting down; run it when it is up again".into());
        }
        if let Some(running) = board.running.get(id) {
            let progress = running.watch.progress();
            let run = progress.run.as_deref().unwrap_or("which is just starting");
            return conflict(format!(
                "connector {full} is collecting already: run {run}, since {}. Wait for its end, or stop it.",
                figures::moment(progress.started_ms)
            ));
        }
        let (handle, asked) = RunHandle::new(options, shared.clock.now_ms());
        if !board.queue.push_asked(&facts.id, asked) {
            return conflict(format!(
                "connector {full} waits for a free slot already, since somebody asked for a run before"
            ));
        }
        drop(board);
        shared.wake.notify_one();
        Ok(handle)
    }

    /// How far the run of a connector is, if one is under way.
    pub(crate) fn current(&self, id: &str) -> Option<Progress> {
        let board = self.0.board();
        board
            .running
            .get(id)
            .map(|running| running.watch.progress())
    }

    /// The connectors whose runs are under way, with their progress, by their ids.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> BTreeMap<String, Progress> {
        let board = self.0.board();
        let running = board.running.iter();
        running
            .map(|(id, running)| (id.clone(), running.watch.progress()))
            .collect()
    }

    /// Asks the run of a connector to stop, and waits for its end; false if none is under way.
    pub(crate) async fn stop_run(&self, id: &str) -> bool {
        let watch = {
            let mut board = self.0.board();
            // A run that was asked for and has not begun is not wanted either.
            board.queue.remove(id);
            let Some(running) = board.running.get(id) else {
                return false;
            };
            running.stop.request();
            Arc::clone(&running.watch)
        };
        watch.ended().await;
        true
    }

    /// How often the loop has looked, and how often it has read the catalogue.
    #[cfg(test)]
    fn tally(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.0.looks), count(&self.0.reads))
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // The board is consistent after every statement, so a panic elsewhere does not spoil it.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_device(&self) -> Result<(), Failure> {
        let device = &self.options.device;
        let known = self.catalogue.devices()?;
        if !known.iter().any(|known| known.name == *device) {
            return Err(Failure::Catalogue(CatalogueError::Unknown {
                thing: "device",
                name: device.clone(),
                known: known.into_iter().map(|device| device.name).collect(),
            }));
        }
        Ok(())
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.check_device()?;
        let _held = self.clock.hold();
        let interrupted = self.catalogue.settle_interrupted().await?;
        if interrupted > 0 {
            tracing::info!(runs = interrupted, "interrupted runs go on now");
        }
        Ok(())
    }

    /// Reads again what has changed, and puts it where it belongs.
    async fn take_up_changes(&self) {
        let (all, changed) = {
            let mut board = self.board();
            let all = std::mem::take(&mut board.all_changed);
            (all, std::mem::take(&mut board.changed))
        };
        let read = if all {
            self.read_all().await
        } else {
            self.read_some(&changed)
        };
        if let Err(error) = read {
            tracing::error!(
                "the schedule cannot read the catalogue and tries again in a minute: {error}"
            );
            let mut board = self.board();
            board.all_changed |= all;
            board.changed.extend(changed);
            // Not at once: whatever is wrong takes its time.
            let wake = self.clock.now_ms().saturating_add(TROUBLE_MS);
            board.agenda.insert("", "", wake);
        }
    }

    async fn refresh_statuses(&self) -> Result<(), CatalogueError> {
        let kinds: BTreeSet<String> = self.catalogue.kinds()?.into_iter().collect();
        let plugins: BTreeMap<String, PluginState> = kinds
            .into_iter()
            .map(|kind| {
                let plugin = self.runner.plugin(&kind);
                (kind, plugin)
            })
            .collect();
        self.catalogue.refresh_statuses(&plugins).await
    }

    async fn read_all(&self) -> Result<(), CatalogueError> {
        let _held = self.clock.hold();
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.refresh_statuses().await?;
        let facts = self.catalogue.facts(Some(&self.options.device))?;
        let mut board = self.board();
        let known: BTreeSet<&str> = facts.iter().map(|facts| facts.id.as_str()).collect();
        let running = board.running.iter();
        for (_, gone) in running.filter(|(id, _)| !known.contains(id.as_str())) {
            gone.stop.request();
        }
        board.agenda.clear();
        board.queue.clear_due();
        for facts in &facts {
            self.place(&mut board, facts);
        }
        Ok(())
    }

    fn read_some(&self, changed: &BTreeSet<String>) -> Result<(), CatalogueError> {
        for id in changed {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let facts = self.catalogue.facts_of(id)?;
            let mut board = self.board();
            match facts {
                Some(facts) => self.place(&mut board, &facts),
                None => {
                    if let Some(running) = board.running.get(id) {
                        running.stop.request();
                    }
                    board.agenda.remove(id);
                    board.queue.remove(id);
                }
            }
        }
        Ok(())
    }

    /// Puts a connector where it belongs.
    fn place(&self, board: &mut Board, facts: &Facts) {
        let id = facts.id.as_str();
        if let Some(running) = board.running.get(id) {
            if !facts.active || (!running.watch.is_by_hand() && facts.lacks_a_profile()) {
                running.stop.request();
            }
            return;
        }
        board.agenda.remove(id);
        board.queue.remove_due(id);
        if !facts.active {
            board.queue.remove(id);
        }
        if let Some(at) = due::next(facts, &self.options) {
            let troubled = board.troubled.get(id).copied().unwrap_or(0);
            board.agenda.insert(id, &facts.tenant_id, at.max(troubled));
        }
    }

    fn next_due(&self) -> Option<u64> {
        self.board().agenda.first()
    }

    /// The runs that begin now: those that somebody asked for, then those that are due, as far as there are slots.
    fn starts(&self) -> Vec<Start> {
        let now = self.clock.now_ms();
        let mut board = self.board();
        let board = &mut *board;
        for due in board.agenda.pop_due(now) {
            if !due.id.is_empty() {
                board.queue.push(&due.tenant, due.at, &due.id);
            }
        }
        let mut starts = Vec::new();
        while board.running.len() < self.options.concurrent_runs.max(1) {
            let start = if let Some((id, asked)) = board.queue.pop_asked() {
                board.agenda.remove(&id);
                board.queue.remove_due(&id);
                Start {
                    id,
                    options: asked.options.clone(),
                    watch: Arc::clone(&asked.watch),
                    asked: Some(asked),
                    delayed_ms: 0,
                }
            } else if let Some(id) = board.queue.pop() {
                Start {
                    options: RunOptions {
                        patience: PATIENCE,
                        ..RunOptions::default()
                    },
                    watch: Arc::new(Watch::new(now, false)),
                    asked: None,
                    delayed_ms: due::jitter_ms(&id, self.options.jitter),
                    id,
                }
            } else {
                break;
            };
            start.watch.begin(now);
            let running = Running {
                stop: start.options.stop.clone(),
                watch: Arc::clone(&start.watch),
            };
            board.running.insert(start.id.clone(), running);
            starts.push(start);
        }
        starts
    }

    /// One run, with what is written down before and after it.
    async fn execute(self: Arc<Self>, start: Start) -> Result<(), CatalogueError> {
        let began = {
            let _held = self.clock.hold();
            self.catalogue.run_began(&start.id, start.delayed_ms).await
        };
        let (before, result) = match began {
            Ok(Some(before)) => {
                let observer = Arc::clone(&start.watch);
                let run = self.runner.run(&start.id, start.options.clone(), observer);
                (before, run.await)
            }
            Ok(None) => {
                start.answer(Err(Failure::Catalogue(CatalogueError::Conflict(
                    "the connector was deleted meanwhile".into(),
                ))));
                return Ok(());
            }
            Err(error) => {
                let sentence = error.to_string();
                start.answer(Err(Failure::Catalogue(error)));
                return Err(CatalogueError::Conflict(sentence));
            }
        };
        let ended = Ended::of(&result, self.clock.now_ms());
        let noted = {
            let _held = self.clock.hold();
            let is_cut_off = self.board().is_stopping;
            let noted = self
                .catalogue
                .run_ended(&start.id, before, ended, is_cut_off);
            noted.await
        };
        self.tell(&start.id, &result);
        start.answer(result);
        noted
    }

    fn tell(&self, id: &str, result: &Result<Ledger, Failure>) {
        match result {
            Ok(ledger) => tracing::info!(
                connector = id,
                outcome = ledger.outcome.as_str(),
                records = ledger.records,
                "a run has ended: {}",
                ledger.reason
            ),
            Err(failure) => tracing::warn!(connector = id, "no run: {failure}"),
        }
    }

    /// Frees the slot of a run that has ended, and has its connector placed anew.
    fn took_its_end(
        &self,
        ended: &Result<(tokio::task::Id, Result<(), CatalogueError>), tokio::task::JoinError>,
        names: &mut HashMap<tokio::task::Id, String>,
    ) {
        let (task, trouble) = match ended {
            Ok((task, Ok(()))) => (*task, None),
            Ok((task, Err(error))) => (*task, Some(error.to_string())),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let Some(id) = names.remove(&task) else {
            return;
        };
        let mut board = self.board();
        if let Some(running) = board.running.remove(&id) {
            running.watch.end();
        }
        match trouble {
            None => {
                board.troubled.remove(&id);
            }
            Some(trouble) => {
                tracing::error!(
                    connector = id,
                    "a run could not be written down, and the next is a minute later at the earliest: {trouble}"
                );
                let until = self.clock.now_ms().saturating_add(TROUBLE_MS);
                board.troubled.insert(id.clone(), until);
            }
        }
        board.changed.insert(id);
    }

    /// Nothing begins any more, and what is under way is asked to stop.
    fn stop_all(&self) {
        let mut board = self.board();
        board.is_stopping = true;
        board.agenda.clear();
        // Whoever asked for a run that has not begun is answered by its being dropped.
        board.queue = Queue::default();
        for running in board.running.values() {
            running.stop.request();
        }
    }
}

impl Start {
    fn answer(self, result: Result<Ledger, Failure>) {
        if let Some(asked) = self.asked {
            asked.answer(result);
        }
    }
}
