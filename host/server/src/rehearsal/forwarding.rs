//! Forwarding without a process that serves: one forwarder of a data directory, up to the journal's end.

use crate::config::Config;
use crate::connectors::schema::migrations;
use crate::consumers::catch_up;
use crate::forwarders::{Surroundings, registrations};
use connector_runtime::Clock;
use connector_runtime::journal::{Journal, JournalError};
use connector_runtime::runs::Stop;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::error::Error;
use std::path::Path;
use tokio::runtime::Handle;

/// The journal of a data directory, as the host has it.
///
/// # Errors
/// If the directory is in use, or what SQLite says.
pub fn journal(data: &Path) -> Result<Journal, JournalError> {
    Journal::open(data, migrations())
}

/// Gives a forwarder what it has not taken yet, notes in the journal that it has, and lets it do at the end what is to be done
/// from time to time. Answers how many records it was given. Blocks; not for a thread of the runtime that `handle` is of.
///
/// # Errors
/// A wrong configuration, a data directory in use, or what keeps the forwarder from its work.
pub fn forward(
    data: &Path,
    name: &str,
    clock: &Clock,
    handle: &Handle,
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let config = Config::load(Some(&data.join("host.toml")))?;
    let journal = journal(data)?;
    let surroundings = Surroundings {
        data: data.to_owned(),
        clock: clock.clone(),
        stop: Stop::default(),
        runtime: handle.clone(),
        insecure_loopback: false,
    };
    let consumer = format!("forwarder:{name}");
    let mut all = registrations(&config.forwarders, &surroundings)?.into_iter();
    let mut registration = all
        .find(|registration| registration.consumer.name() == consumer)
        .ok_or_else(|| format!("host.toml has no forwarder {name}"))?;
    let forwarder = registration.consumer.as_mut();
    handle.block_on(journal.register_consumer(
        &consumer,
        forwarder.interest().tenants.as_deref(),
        registration.when_behind,
        registration.start,
        clock.now_ms(),
    ))?;
    let screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
    let records = catch_up(&journal, forwarder, &screen)?;
    handle.block_on(journal.acknowledge(&consumer, journal.last_offset()?))?;
    Ok(records)
}
