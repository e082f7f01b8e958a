//! The registry: which consumers there are, and how they are.
//!
//! Only a process that serves registers consumers, since only it follows the journal all the time: what is registered is
//! waited for.

use super::Consumer;
use super::follower::Follower;
use super::state::{Shared, State};
use crate::failure::Failure;
use connector_runtime::Clock;
use connector_runtime::journal::{Journal, Start, WhenBehind};
use connector_runtime::runs::Stop;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long followers may take to end.
const LAST_COMMITS: Duration = Duration::from_secs(10);

/// A consumer, and what the journal is to know of it.
pub(crate) struct Registration {
    pub(crate) consumer: Box<dyn Consumer>,
    /// Where it begins if it is new.
    pub(crate) start: Start,
    pub(crate) when_behind: WhenBehind,
}

/// The consumers of a process that serves, for whoever asks how they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumers(Vec<Shared>);

impl Consumers {
    /// How they are, in the order of their registration.
    pub(crate) fn states(&self) -> Vec<State> {
        self.0.iter().map(Shared::get).collect()
    }
}

/// The followers of a process that serves.
pub(crate) struct Registry {
    journal: Journal,
    consumers: Consumers,
    threads: Vec<JoinHandle<()>>,
    stop: Stop,
}

impl Registry {
    /// Registers consumers, forgets those that are configured no more, and starts a follower for each, until `stop`.
    ///
    /// # Errors
    /// [`Failure::Journal`] if the journal cannot be written, [`Failure::Threads`].
    pub(crate) async fn start(
        journal: &Journal,
        registrations: Vec<Registration>,
        clock: &Clock,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        for row in journal.consumers()? {
            let known = |registration: &Registration| registration.consumer.name() == row.name;
            if !registrations.iter().any(known) {
                tracing::warn!(
                    consumer = row.name,
                    "it is configured no more: nothing is kept for it"
                );
                journal.remove_consumer(&row.name).await?;
            }
        }
        let mut registry = Self {
            journal: journal.clone(),
            consumers: Consumers::default(),
            threads: Vec::new(),
            stop: stop.clone(),
        };
        for registration in registrations {
            registry.follow(registration, clock).await?;
        }
        Ok(registry)
    }

    async fn follow(&mut self, registration: Registration, clock: &Clock) -> Result<(), Failure> {
        let consumer = registration.consumer;
        let name = consumer.name().to_owned();
        let row = self
            .journal
            .register_consumer(
                &name,
                consumer.interest().tenants.as_deref(),
                registration.when_behind,
                registration.start,
                clock.now_ms(),
            )
            .await?;
        let shared = Shared::new(State::new(&name, row.acknowledged));
        let follower = Follower::new(
            self.journal.clone(),
            consumer,
            shared.clone(),
            clock.clone(),
            self.stop.clone(),
            Handle::current(),
        );
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || follower.run())
            .map_err(Failure::Threads)?;
        self.consumers.0.push(shared);
        self.threads.push(thread);
        Ok(())
    }

    /// How they are.
    pub(crate) fn consumers(&self) -> Consumers {
        self.consumers.clone()
    }

    /// Waits, within bounds, until every follower has committed what it took. They must have been asked to stop.
    pub(crate) async fn finish(self) {
        let threads = self.threads;
        let ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        match tokio::time::timeout(LAST_COMMITS, ended).await {
            Ok(Ok(true)) => {}
            Ok(_) => tracing::error!("a consumer's thread ended in a panic"),
            Err(_) => tracing::warn!(
                "a consumer did not end within {} s; it goes on from its last commit the next time",
                LAST_COMMITS.as_secs()
            ),
        }
    }
}
