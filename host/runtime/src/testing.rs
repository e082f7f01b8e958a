//! The bench: run a plugin as the host runs it, without sockets and in simulated time.
//!
//! Everything is the real thing (sandbox, grant, quota, retries, journal in a temporary folder) but the network behind
//! egress, which is a [`Script`] of answers or any function from request to response, and the clock, which jumps over every
//! wait. Use a current-thread runtime (`#[tokio::test]` is one).
//!
//! ```no_run
//! # async fn example() -> Result<(), connector_runtime::testing::BenchError> {
//! use connector_runtime::testing::{Bench, Script};
//! use serde_json::json;
//!
//! let script = Script::new().answer(200, &[], r#"[{"id":"a1","seen":"2026-03-02T09:15:00Z"}]"#);
//! let mut bench = Bench::of("target/wasm32-wasip2/release/acme_scanner_connector.wasm")
//!     .settings(json!({"url": "https://acme-scanner.example.test", "token_name": "demo", "token": "secret"}))
//!     .upstream(script.clone())
//!     .open()
//!     .await?;
//! let ledger = bench.collect().await?;
//! assert_eq!((ledger.records, script.requests().len()), (1, 1));
//! assert_eq!(bench.records()?[0]["acme_scanner"]["id"], "a1");
//! # Ok(())
//! # }
//! ```

mod script;

pub use script::{RecordedRequest, Script};

use crate::egress::{EgressSession, QuotaBook, Upstream, UpstreamError};
use crate::interflow::Filter;
use crate::journal::{self, Journal, JournalError, StoredBlock};
use crate::plugins::{Plugin, PluginError};
use crate::runs::{
    self, Connector, Event, Identity, Ledger, Observer, RunError, RunOptions, StartError,
    TestReport,
};
use crate::sandbox::{
    CallFailure, CoreDump, CoreDumps, Engine, EngineError, LogLine, NoCache, Split,
};
use crate::settings::{Problem, Settings};
use crate::{Clock, Limits};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// 2026-03-02T09:15:00Z, the moment at which a bench's clock starts unless told otherwise.
pub const DEFAULT_NOW_MS: u64 = 1_772_442_900_000;

/// What can go wrong on a bench.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The settings were refused by the host's checks.
    #[error("the settings cannot be used: {0:?}")]
    Settings(Vec<Problem>),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The connector could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The run failed beyond its ledger.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The temporary folder cannot be made or a record cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Sets a bench up; see the module's example.
pub struct BenchBuilder {
    plugin: PathBuf,
    settings: Value,
    upstream: Arc<dyn Upstream>,
    limits: Limits,
    clock: Clock,
    compiled: Option<PathBuf>,
    filters: Vec<Filter>,
    core_dumps: Option<CoreDumps>,
    folder: Option<PathBuf>,
    name: String,
    tenant: String,
    shared: Option<Shared>,
}

/// What benches beside each other have in common.
#[derive(Clone)]
struct Shared {
    engine: Engine,
    journal: Journal,
    book: Arc<QuotaBook>,
    folder: Arc<Folder>,
}

impl BenchBuilder {
    /// The connector's settings, secrets in their place.
    #[must_use]
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// What answers the requests that egress lets through.
    #[must_use]
    pub fn upstream(mut self, upstream: impl Upstream + 'static) -> Self {
        self.upstream = Arc::new(upstream);
        self
    }

    /// Other limits than the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock, say one that the upstream shares.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps compiled code in this folder, so that the next bench starts at once.
    #[must_use]
    pub fn compiled(mut self, folder: impl Into<PathBuf>) -> Self {
        self.compiled = Some(folder.into());
        self
    }

    /// Log filters of the connector.
    #[must_use]
    pub fn filters(mut self, filters: Vec<Filter>) -> Self {
        self.filters = filters;
        self
    }

    /// Keeps the guest's memory whenever it traps, and ends every run and test with a trap: see [`Bench::core_dumps`].
    #[must_use]
    pub fn keep_core_dumps(mut self) -> Self {
        self.core_dumps = Some(CoreDumps::default());
        self
    }

    /// Runs on the engine, the journal, the quota and the clock of `other`, as two connectors of one host do. Limits and the
    /// folder for compiled code are that bench's, too. Give the connector a name of its own.
    #[must_use]
    pub fn beside(mut self, other: &Bench) -> Self {
        self.shared = Some(other.parts.shared.clone());
        self.limits = other.parts.limits.clone();
        self.clock = other.parts.clock.clone();
        self
    }

    /// Uses this data directory instead of a temporary one, so that a later bench can go on from it. One bench at a time.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The connector's tenant and name; `acme` and `bench` otherwise.
    #[must_use]
    pub fn named(mut self, tenant: &str, name: &str) -> Self {
        self.tenant = tenant.to_owned();
        self.name = name.to_owned();
        self
    }

    /// Loads the plugin and opens a journal.
    ///
    /// # Errors
    /// If the plugin or the settings cannot be used.
    pub async fn open(self) -> Result<Bench, BenchError> {
        let shared = match self.shared {
            Some(shared) => shared,
            None => {
                let folder = match self.folder {
                    Some(folder) => Folder::Named(folder),
                    None => Folder::Temporary(TempDir::new()?),
                };
                let journal = Journal::open(folder.path(), journal::migrations())?;
                let compiled = self.compiled.as_deref();
                let (limits, clock) = (self.limits.clone(), self.clock.clone());
                Shared {
                    engine: match &self.core_dumps {
                        None => Engine::new(compiled, limits, clock)?,
                        Some(kept) => {
                            Engine::with_core_dumps(compiled, limits, clock, kept.clone())?
                        }
                    },
                    book: Arc::new(QuotaBook::kept_in(Arc::new(journal.clone()))),
                    journal,
                    folder: Arc::new(folder),
                }
            }
        };
        let plugin = Arc::new(Plugin::load(&shared.engine, &self.plugin).await?);
        let journal = shared.journal.clone();
        let row = journal.connector(&self.tenant, &self.name, &plugin.manifest.id)?;
        let identity = Identity {
            tenant_id: row.tenant_id,
            tenant: self.tenant,
            connector_id: row.id,
            name: self.name,
            kind: plugin.manifest.id.clone(),
        };
        let heard = Arc::new(Heard::default());
        let parts = Parts {
            identity,
            plugin,
            upstream: self.upstream,
            filters: self.filters,
            shared,
            limits: self.limits,
            clock: self.clock,
        };
        let connector = parts.connector(&self.settings)?;
        Ok(Bench {
            connector,
            parts,
            journal,
            heard,
            core_dumps: self.core_dumps.unwrap_or_default(),
            options: RunOptions::default(),
        })
    }
}

/// A bench's data directory.
enum Folder {
    Temporary(TempDir),
    Named(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Named(folder) => folder,
        }
    }
}

struct Parts {
    identity: Identity,
    plugin: Arc<Plugin>,
    upstream: Arc<dyn Upstream>,
    filters: Vec<Filter>,
    shared: Shared,
    limits: Limits,
    clock: Clock,
}

impl Parts {
    fn connector(&self, settings: &Value) -> Result<Connector, BenchError> {
        let settings =
            Settings::check(&self.plugin.manifest, settings, true).map_err(BenchError::Settings)?;
        Ok(Connector::new(
            self.identity.clone(),
            Arc::clone(&self.plugin),
            settings,
            Arc::clone(&self.upstream),
            &self.shared.book,
            self.limits.clone(),
            self.clock.clone(),
        )
        .with_filters(self.filters.clone()))
    }
}

/// A plugin on the bench.
pub struct Bench {
    connector: Connector,
    parts: Parts,
    journal: Journal,
    heard: Arc<Heard>,
    core_dumps: CoreDumps,
    /// How runs are made.
    pub options: RunOptions,
}

#[derive(Default)]
struct Heard {
    logs: Mutex<Vec<LogLine>>,
    waits: Mutex<Vec<(std::time::Duration, String)>>,
}

impl Observer for Heard {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Log(line) => lock(&self.logs).push((*line).clone()),
            Event::Waiting { time, reason, .. } => {
                lock(&self.waits).push((*time, (*reason).to_owned()));
            }
            Event::Started { .. } | Event::Committed { .. } | Event::Ended { .. } => {}
        }
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// Begins a bench for the component at `plugin`.
    pub fn of(plugin: impl AsRef<Path>) -> BenchBuilder {
        let unscripted = |_request: http::Request<Bytes>| {
            std::future::ready(Err(UpstreamError::Closed("no upstream was given".into())))
        };
        BenchBuilder {
            plugin: plugin.as_ref().to_owned(),
            settings: Value::Object(serde_json::Map::new()),
            upstream: Arc::new(unscripted),
            limits: Limits::default(),
            clock: Clock::simulated(DEFAULT_NOW_MS),
            compiled: None,
            filters: Vec::new(),
            core_dumps: None,
            folder: None,
            name: "bench".into(),
            tenant: "acme".into(),
            shared: None,
        }
    }

    /// Changes the connector's settings; what has been collected stays.
    ///
    /// # Errors
    /// If the host's checks refuse them.
    pub fn set_settings(&mut self, settings: &Value) -> Result<(), BenchError> {
        self.connector = self.parts.connector(settings)?;
        Ok(())
    }

    /// One run of every chosen content type.
    ///
    /// # Errors
    /// If the connector cannot start or the journal fails; the vendor's failures are in the ledger.
    pub async fn collect(&mut self) -> Result<Ledger, BenchError> {
        let observer = Arc::clone(&self.heard);
        Ok(runs::collect(&self.connector, &self.journal, &self.options, observer).await?)
    }

    /// The plugin's connection test.
    ///
    /// # Errors
    /// If the connector cannot start.
    pub async fn test(&mut self) -> Result<TestReport, BenchError> {
        let observer = Arc::clone(&self.heard);
        Ok(runs::test(&self.connector, observer).await?)
    }

    /// Asks the plugin for walks that may run at the same time.
    ///
    /// # Errors
    /// If the connector cannot start; the plugin's own failure is the inner `Err`.
    pub async fn plan(
        &mut self,
        content_type: &str,
        max_parts: u32,
    ) -> Result<Result<Option<Split>, CallFailure>, BenchError> {
        let observer: Arc<dyn Observer> = Arc::clone(&self.heard) as _;
        let session = EgressSession::new(self.connector.egress(), Arc::default());
        let (mut instance, _) = self
            .connector
            .open(session, Arc::new(NoCache), &observer)
            .await?;
        Ok(instance.plan(content_type, None, max_parts).await)
    }

    /// Every record of this connector in the journal, in its order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn records(&self) -> Result<Vec<Value>, BenchError> {
        let mut records = Vec::new();
        for block in self.blocks() {
            for record in block?.records()?.iter() {
                records.push(serde_json::from_slice(record).map_err(std::io::Error::from)?);
            }
        }
        Ok(records)
    }

    /// The notes of every block: which objects were seen, what belonged to each, and what remains of records
    /// that a log filter dropped (see [`crate::interflow::remains`]).
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn notes(&self) -> Result<Vec<Value>, BenchError> {
        let mut notes = Vec::new();
        for block in self.blocks() {
            let text = block?.notes()?;
            if !text.is_empty() {
                notes.push(serde_json::from_slice(&text).map_err(std::io::Error::from)?);
            }
        }
        Ok(notes)
    }

    fn blocks(&self) -> impl Iterator<Item = Result<StoredBlock, JournalError>> {
        let own = &self.parts.identity.connector_id;
        let blocks = self.journal.blocks(None, 0);
        blocks.filter(move |block| {
            block
                .as_ref()
                .map_or(true, |block| block.connector_id == *own)
        })
    }

    /// What the plugin has put into its cache.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn cache(&self) -> Result<BTreeMap<String, Vec<u8>>, BenchError> {
        Ok(self.journal.read(|database| {
            let mut rows = database.prepare("SELECT key, value FROM cache WHERE connector = ?1")?;
            let rows = rows.query_map([&self.parts.identity.connector_id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?)
    }

    /// The stored cursor of a content type.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn cursor(&self, content_type: &str) -> Result<Option<String>, BenchError> {
        let connector = &self.parts.identity.connector_id;
        Ok(self.journal.cursor(connector, content_type, "")?.cursor)
    }

    /// What the plugin logged.
    pub fn logs(&self) -> Vec<LogLine> {
        lock(&self.heard.logs).clone()
    }

    /// The guests' memories so far: of every trap, and at the end of every run and test. Empty unless they are kept.
    pub fn core_dumps(&self) -> Vec<CoreDump> {
        self.core_dumps.kept()
    }

    /// The waits of all runs, with their reasons.
    pub fn waits(&self) -> Vec<(std::time::Duration, String)> {
        lock(&self.heard.waits).clone()
    }

    /// The clock that plugin, host and waits share.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.parts.plugin
    }

    /// The engine, say to load other plugins with.
    pub fn engine(&self) -> &Engine {
        &self.parts.shared.engine
    }

    /// The data directory.
    pub fn folder(&self) -> &Path {
        self.parts.shared.folder.path()
    }
}
