//! Forwarding without a process that serves: one forwarder of a data directory, up to the journal's end.

use crate::config::Config;
use crate::connectors::schema::migrations;
use crate::forwarders::{Surroundings, registrations};
use connector_runtime::Clock;
use connector_runtime::journal::{Journal, JournalError};
use connector_runtime::runs::Stop;
use std::error::Error;
use std::path::Path;
use tokio::runtime::Handle;

/// What was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Blocks that the forwarder was given.
    pub blocks: u64,
    /// Their records.
    pub records: u64,
}

/// The journal of a data directory, as the host has it.
///
/// # Errors
/// If the directory is in use, or what SQLite says.
pub fn journal(data: &Path) -> Result<Journal, JournalError> {
    Journal::open(data, migrations())
}

/// Gives a forwarder what it has not taken yet, as a follower does: commits at its pace, notes in the journal what it holds,
/// and lets it do at the end what is to be done from time to time. Blocks; not for a thread of the runtime that `handle` is of.
///
/// # Errors
/// A wrong configuration, a data directory in use, or what keeps the forwarder from its work.
pub fn forward(
    data: &Path,
    name: &str,
    clock: &Clock,
    handle: &Handle,
) -> Result<Forwarded, Box<dyn Error + Send + Sync>> {
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
    let forwarder = &mut registration.consumer;
    let row = handle.block_on(journal.register_consumer(
        &consumer,
        forwarder.interest().tenants.as_deref(),
        registration.when_behind,
        registration.start,
        clock.now_ms(),
    ))?;
    let mut committed = forwarder.open(row.acknowledged)?;
    let mut forwarded = Forwarded {
        blocks: 0,
        records: 0,
    };
    let (mut last, mut uncommitted) = (committed, 0);
    for block in journal.blocks(None, committed) {
        let block = block?;
        last = block.offset;
        if !forwarder.interest().covers(&block) {
            continue;
        }
        forwarder.take(&block)?;
        forwarded.blocks += 1;
        forwarded.records += block.records;
        uncommitted += block.records;
        if uncommitted >= forwarder.pace().records {
            forwarder.commit(last)?;
            handle.block_on(journal.acknowledge(&consumer, last))?;
            (committed, uncommitted) = (last, 0);
        }
    }
    if last > committed {
        forwarder.commit(last)?;
        handle.block_on(journal.acknowledge(&consumer, last))?;
    }
    forwarder.rest()?;
    Ok(forwarded)
}
