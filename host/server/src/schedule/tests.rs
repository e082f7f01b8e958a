mod idle;
mod rules;
mod slots;
mod verdicts;

use super::*;
use crate::connectors::definition::Entry;
use crate::connectors::schedule::PluginState;
use crate::connectors::status::StatusFilter;
use crate::schedule::runner::Running as Run;
use crate::status::{State, Status};
use connector_runtime::runs::{ContentLedger, Held, Identity, Observer, RunOutcome, TestReport};
use connector_runtime::sandbox::{Check, ErrorKind, Outcome, PluginFailure};
use serde_json::json;
use std::collections::VecDeque;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// 2026-03-02T09:15:00Z.
const START: u64 = 1_772_442_900_000;

/// What a scripted run comes to.
#[derive(Clone, Debug)]
enum Answer {
    Done,
    Incomplete,
    Failed,
    Refused,
    /// The vendor names a wait, in seconds.
    Wait(u64),
    /// The plugin faulted too often; held for so many seconds, or set aside.
    Struck(Option<u64>),
    /// It does not begin: the connector is set aside.
    SetAside,
    /// It takes so many seconds, and ends before if it is asked to.
    Takes(u64),
    /// It takes so many seconds, whoever asks.
    Deaf(u64),
}

/// Runs that come to what a test says; without a word from it, they are done after ten seconds.
struct Scripted {
    clock: Clock,
    names: Mutex<HashMap<String, String>>,
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    /// Seconds since the start, and the connector's name, of each run that began; and the options of the last.
    runs: Mutex<Vec<(u64, String)>>,
    options: Mutex<RunOptions>,
    stopped: Mutex<Vec<(u64, String)>>,
    plugin: Mutex<PluginState>,
    takes: Duration,
}

impl Scripted {
    fn seconds(&self) -> u64 {
        (self.clock.now_ms() - START) / 1000
    }

    fn failure(kind: ErrorKind, message: &str) -> PluginFailure {
        PluginFailure {
            kind,
            code: "2000".into(),
            message: message.into(),
            advice: String::new(),
            http_status: None,
            retry_after_ms: None,
        }
    }

    /// True if it was asked to stop before its end.
    async fn take(&self, time: Duration, stop: &Stop) -> bool {
        tokio::select! {
            biased;
            () = stop.requested() => true,
            () = self.clock.sleep(time) => false,
        }
    }

    async fn answer(
        &self,
        name: &str,
        options: &RunOptions,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        let answer = self
            .answers
            .lock()
            .unwrap()
            .get_mut(name)
            .and_then(VecDeque::pop_front);
        let answer = answer.unwrap_or(Answer::Done);
        let takes = match &answer {
            Answer::SetAside => return Err(Failure::Held(Held::Aside { runs: 3 })),
            Answer::Deaf(seconds) => {
                self.clock.sleep(Duration::from_secs(*seconds)).await;
                Duration::ZERO
            }
            Answer::Takes(seconds) => Duration::from_secs(*seconds),
            _ => self.takes,
        };
        if self.take(takes, &options.stop).await {
            ledger.outcome = RunOutcome::Stopped;
            self.stopped
                .lock()
                .unwrap()
                .push((self.seconds(), name.to_owned()));
            return Ok(());
        }
        let now = self.clock.now_ms();
        ledger.ended = now;
        let mut content = ContentLedger::begin("assets");
        let (outcome, reason) = match answer {
            Answer::Incomplete => (RunOutcome::Incomplete, "assets: one is missing"),
            Answer::Failed => (RunOutcome::Failed, "assets: HTTP 503"),
            Answer::Refused => {
                content.failure = Some(Self::failure(ErrorKind::Unauthenticated, "bad login"));
                (RunOutcome::Failed, "assets: bad login (2000)")
            }
            Answer::Wait(seconds) => {
                ledger.resume_at = Some(now + seconds * 1000);
                (RunOutcome::Postponed, "assets: the quota is used up")
            }
            Answer::Struck(left) => {
                let left = left.map(Duration::from_secs);
                ledger.held = Some(match left {
                    Some(left) => Held::Back { left },
                    None => Held::Aside { runs: 3 },
                });
                ledger.resume_at = left.map(|left| now + left.as_millis() as u64);
                (RunOutcome::Failed, "assets: the plugin trapped")
            }
            _ => (
                RunOutcome::Done,
                "everything that was listed is accounted for",
            ),
        };
        content.outcome = outcome;
        ledger.contents.push(content);
        ledger.outcome = outcome;
        ledger.reason = reason.into();
        Ok(())
    }
}

impl Runner for Scripted {
    fn run<'a>(
        &'a self,
        connector: &'a str,
        options: RunOptions,
        observer: Arc<dyn Observer>,
    ) -> Run<'a> {
        Box::pin(async move {
            let name = self.names.lock().unwrap()[connector].clone();
            self.runs
                .lock()
                .unwrap()
                .push((self.seconds(), name.clone()));
            *self.options.lock().unwrap() = options.clone();
            observer.event(&connector_runtime::runs::Event::Started { run: "0a1b" });
            let identity = Identity {
                tenant_id: String::new(),
                tenant: "acme".into(),
                connector_id: connector.to_owned(),
                name: name.clone(),
                kind: "acme-scanner".into(),
            };
            let mut ledger = Ledger::scripted(&identity, self.clock.now_ms());
            self.answer(&name, &options, &mut ledger).await?;
            Ok(ledger)
        })
    }

    fn plugin(&self, _kind: &str) -> PluginState {
        self.plugin.lock().unwrap().clone()
    }
}

fn entry(tenant: &str, name: &str, run_on: &str, minutes: u64) -> Entry {
    Entry {
        tenant: tenant.into(),
        name: name.into(),
        kind: "acme-scanner".into(),
        run_on: run_on.into(),
        active: true,
        settings: json!({"url": "https://scanner.example.test"}),
        content_types: vec!["assets".into()],
        interval_minutes: minutes,
        version: "0.1.0".into(),
        secrets: Vec::new(),
    }
}

fn report(outcome: Outcome, kind: Option<ErrorKind>) -> TestReport {
    TestReport {
        checks: vec![Check {
            id: "account".into(),
            label: "Account".into(),
            outcome,
            error: kind.map(|kind| Scripted::failure(kind, "told so")),
        }],
        warnings: Vec::new(),
        fault: None,
        traffic: connector_runtime::egress::TrafficCounts::default(),
    }
}

/// A host with a schedule in simulated time.
struct World {
    directory: TempDir,
    clock: Clock,
    catalogue: Arc<Catalogue>,
    runner: Arc<Scripted>,
    options: ScheduleOptions,
    schedule: Schedule,
    stop: Stop,
    task: Option<JoinHandle<Result<(), Failure>>>,
}

impl World {
    fn new() -> Self {
        Self::with(ScheduleOptions::default(), Duration::from_secs(10))
    }

    fn with(options: ScheduleOptions, takes: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START);
        let catalogue = Catalogue::open(directory.path())
            .unwrap()
            .with_clock(clock.clone());
        let catalogue = Arc::new(catalogue);
        let runner = Arc::new(Scripted {
            clock: clock.clone(),
            names: Mutex::default(),
            answers: Mutex::default(),
            runs: Mutex::default(),
            options: Mutex::default(),
            stopped: Mutex::default(),
            plugin: Mutex::new(PluginState {
                sha256: Some("a".into()),
                suspended: None,
            }),
            takes,
        });
        let schedule = Schedule::new(
            Arc::clone(&catalogue),
            clock.clone(),
            runner.clone(),
            options.clone(),
        );
        Self {
            directory,
            clock,
            catalogue,
            runner,
            options,
            schedule,
            stop: Stop::default(),
            task: None,
        }
    }

    /// Starts the schedule, a new one if there was one before: as after a restart of the process.
    fn up(&mut self) {
        self.schedule = Schedule::new(
            Arc::clone(&self.catalogue),
            self.clock.clone(),
            self.runner.clone(),
            self.options.clone(),
        );
        self.stop = Stop::default();
        let (schedule, stop) = (self.schedule.clone(), self.stop.clone());
        self.task = Some(tokio::spawn(async move { schedule.run(stop).await }));
    }

    /// Shuts it down.
    async fn down(&mut self) {
        self.stop.request();
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    /// Ends the process without a word, as a crash does, and opens the data directory again.
    async fn crash(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        drop(task.await);
        let idle = Schedule::new(
            Arc::clone(&self.catalogue),
            self.clock.clone(),
            self.runner.clone(),
            self.options.clone(),
        );
        self.schedule = idle;
    }

    async fn create(&self, entry: Entry) -> String {
        let name = entry.name.clone();
        let _held = self.clock.hold();
        let id = self.catalogue.create(entry).await.unwrap();
        self.runner.names.lock().unwrap().insert(id.clone(), name);
        self.schedule.changed(&id);
        id
    }

    /// A connector of the data processor, in the profile `Default`.
    async fn in_profile(&self, tenant: &str, name: &str, minutes: u64) -> String {
        let id = self.create(entry(tenant, name, "dp", minutes)).await;
        self.join(tenant, name, &id).await;
        id
    }

    async fn join(&self, tenant: &str, name: &str, id: &str) {
        let _held = self.clock.hold();
        let full = format!("{tenant}/{name}");
        self.catalogue
            .add_to_profile("Default", &full)
            .await
            .unwrap();
        self.schedule.changed(id);
    }

    async fn leave(&self, tenant: &str, name: &str, id: &str) {
        let _held = self.clock.hold();
        let full = format!("{tenant}/{name}");
        self.catalogue
            .remove_from_profile("Default", &full)
            .await
            .unwrap();
        self.schedule.changed(id);
    }

    async fn switch(&self, full: &str, id: &str, active: bool) {
        let _held = self.clock.hold();
        self.catalogue.set_active(full, active).await.unwrap();
        self.schedule.changed(id);
    }

    async fn edit(&self, id: &str, entry: Entry) {
        let _held = self.clock.hold();
        let changed = ["settings.url".to_owned()];
        self.catalogue
            .replace(id, entry, Vec::new(), &changed)
            .await
            .unwrap();
        self.schedule.changed(id);
    }

    async fn test(&self, id: &str, report: &TestReport) {
        let _held = self.clock.hold();
        self.catalogue
            .clear_status_after_test(id, report)
            .await
            .unwrap();
        self.schedule.changed(id);
    }

    /// Lets time pass until so many seconds after the start, and half a second more, so that whatever is due then has begun.
    async fn until(&self, seconds: u64) {
        let target = START + seconds * 1000 + 500;
        let left = target.saturating_sub(self.clock.now_ms());
        self.clock.sleep(Duration::from_millis(left)).await;
    }

    fn answers(&self, name: &str, answers: &[Answer]) {
        let mut all = self.runner.answers.lock().unwrap();
        all.entry(name.to_owned())
            .or_default()
            .extend(answers.iter().cloned());
    }

    /// The runs so far, and forgets them.
    fn runs(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut *self.runner.runs.lock().unwrap())
    }

    /// When the runs so far began, and forgets them.
    fn times(&self) -> Vec<u64> {
        self.runs().into_iter().map(|(time, _)| time).collect()
    }

    fn status(&self, id: &str) -> Status {
        self.catalogue.status(id).unwrap().unwrap()
    }

    fn state(&self, id: &str) -> State {
        self.status(id).state
    }

    /// What the events tell of the status, the oldest first.
    fn told(&self, id: &str) -> Vec<String> {
        let events = self.catalogue.events(id, 100).unwrap();
        let told = events
            .into_iter()
            .rev()
            .filter(|event| event.kind == "status");
        told.map(|event| event.text).collect()
    }
}
