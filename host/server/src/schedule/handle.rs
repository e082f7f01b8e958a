//! What can be seen of a run from outside: how far it is, and, for whoever asked for it, how it ended.

use crate::connectors::error::CatalogueError;
use crate::failure::Failure;
use connector_runtime::runs::{Event, Ledger, Observer, RunOptions};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};
use utoipa::ToSchema;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Its id, as soon as it is noted: 32 hexadecimal digits.
    pub(crate) run: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// Records that have become durable so far, by content type.
    pub(crate) records: BTreeMap<String, u64>,
    /// Why it waits, if that is the last that it told.
    pub(crate) waiting: Option<String>,
}

/// Watches one run.
pub(crate) struct Watch {
    progress: Mutex<Progress>,
    by_hand: bool,
    run: watch::Sender<Option<String>>,
    is_over: watch::Sender<bool>,
}

impl Watch {
    pub(super) fn new(now_ms: u64, by_hand: bool) -> Self {
        Self {
            progress: Mutex::new(Progress {
                started_ms: now_ms,
                ..Progress::default()
            }),
            by_hand,
            run: watch::Sender::new(None),
            is_over: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_by_hand(&self) -> bool {
        self.by_hand
    }

    pub(super) fn begin(&self, now_ms: u64) {
        self.lock().started_ms = now_ms;
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().clone()
    }

    pub(super) fn end(&self) {
        self.is_over.send_replace(true);
    }

    pub(super) async fn ended(&self) {
        // The sender lives as long as this does.
        drop(self.is_over.subscribe().wait_for(|over| *over).await);
    }
}

impl Observer for Watch {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started { run } => {
                self.lock().run = Some((*run).to_owned());
                self.run.send_replace(Some((*run).to_owned()));
            }
            Event::Committed { ledger } | Event::Ended { ledger } => {
                let mut progress = self.lock();
                progress.waiting = None;
                progress
                    .records
                    .insert(ledger.content_type.clone(), ledger.records);
            }
            Event::Waiting { reason, .. } => self.lock().waiting = Some((*reason).to_owned()),
            Event::Log(_) => crate::progress::LogOnly.event(event),
        }
    }
}

/// A run that somebody asked for, on its way to a slot.
pub(super) struct Asked {
    pub(super) options: RunOptions,
    pub(super) watch: Arc<Watch>,
    reply: oneshot::Sender<Result<Ledger, Failure>>,
}

impl Asked {
    pub(super) fn answer(self, result: Result<Ledger, Failure>) {
        // Whoever asked may have stopped waiting.
        drop(self.reply.send(result));
    }
}

/// For whoever asked for a run.
pub(crate) struct RunHandle {
    #[cfg(test)]
    watch: Arc<Watch>,
    answer: oneshot::Receiver<Result<Ledger, Failure>>,
}

impl RunHandle {
    pub(super) fn new(options: RunOptions, now_ms: u64) -> (Self, Asked) {
        let watch = Arc::new(Watch::new(now_ms, true));
        let (reply, answer) = oneshot::channel();
        let handle = Self {
            #[cfg(test)]
            watch: Arc::clone(&watch),
            answer,
        };
        let asked = Asked {
            options,
            watch,
            reply,
        };
        (handle, asked)
    }

    /// The run's id, as soon as it is noted; none if it ended before it began.
    #[cfg(test)]
    pub(crate) async fn run_id(&self) -> Option<String> {
        let mut run = self.watch.run.subscribe();
        let mut over = self.watch.is_over.subscribe();
        tokio::select! {
            biased;
            noted = run.wait_for(Option::is_some) => noted.ok()?.clone(),
            _ = over.wait_for(|over| *over) => None,
        }
    }

    /// How it ended.
    ///
    /// # Errors
    /// Whatever kept it from its ledger.
    pub(crate) async fn finished(self) -> Result<Ledger, Failure> {
        self.answer.await.unwrap_or_else(|_| {
            Err(Failure::Catalogue(CatalogueError::Conflict(
                "the run was called off before it had begun, or cut off by the end of the host"
                    .into(),
            )))
        })
    }
}
