//! Forwarders: records that flow on to systems which somebody already runs.
//!
//! ```text
//! follower ─ block after block ─▶ forwarder ─▶ files           folders of compressed NDJSON
//!                                           ─▶ elasticsearch   `_bulk`, of Elasticsearch and OpenSearch
//!                                           ─▶ webhook         signed batches of NDJSON
//! ```
//!
//! Each is a [`Consumer`] of its own, set in `host.toml` by whoever owns that. Promises: every record of the chosen tenants
//! and indices is delivered at least once, in the journal's order, and what is delivered again after a failure is recognised
//! by what it carries: a file by its name, a document by its id, a message by its `webhook-id`, and any record by the first
//! 36 characters of its `stellar_uuid`. What a destination refuses for good lies in the dead letters of the forwarder, so
//! that nothing is lost silently.
//!
//! Never here: an address that the operator has not allowed, a redirect that is followed, a secret or an address's path in a
//! log line.

mod dead_letters;
mod destination;
pub(crate) mod elasticsearch;
pub(crate) mod examination;
pub(crate) mod files;
pub(crate) mod webhook;

#[cfg(test)]
mod tests;

use crate::config::Network;
use crate::consumers::{Consumer, Interest, Registration};
use crate::formats::Format;
use crate::secrets;
use connector_runtime::Clock;
use connector_runtime::egress::{NetworkError, NetworkUpstream, Origin, Upstream};
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Start, StoredBlock, WhenBehind};
use connector_runtime::redaction::Redactor;
use connector_runtime::runs::Stop;
use dead_letters::DeadLetters;
use destination::Destination;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use url::Url;

/// The folder in the data directory.
pub(crate) const FOLDER: &str = "forwarders";

/// A forwarder, as `host.toml` has it.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    /// Unique.
    pub(crate) name: String,
    /// Names of tenants; none means all.
    pub(crate) tenants: Option<Vec<String>>,
    /// `syslog`, `scans`; none means all.
    pub(crate) indices: Option<Vec<Index>>,
    /// Where it begins.
    pub(crate) start: Start,
    /// Whether collection waits for it.
    pub(crate) when_behind: WhenBehind,
    /// How records are written.
    pub(crate) format: Format,
    /// Where to.
    pub(crate) kind: Kind,
}

/// Where records go.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Into folders.
    Files(files::Options),
    /// To Elasticsearch or OpenSearch.
    Elasticsearch(elasticsearch::Options, Way),
    /// To an address that takes NDJSON.
    Webhook(webhook::Options, Way),
}

/// The way to a destination in the network.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) url: Url,
    pub(crate) origin: Origin,
    pub(crate) network: Network,
    /// What must not leave the process.
    pub(crate) redactor: Arc<Redactor>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest of its address may hold a token.
        f.debug_struct("Way")
            .field("host", &self.origin.host())
            .finish_non_exhaustive()
    }
}

/// What forwarders live in.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// The data directory.
    pub(crate) data: PathBuf,
    pub(crate) clock: Clock,
    /// Whoever waits for a destination ends when this is requested.
    pub(crate) stop: Stop,
    /// Where requests are made.
    pub(crate) runtime: Handle,
    /// Whether addresses of this machine are allowed.
    pub(crate) insecure_loopback: bool,
}

/// The consumers of these forwarders. From here on their secrets do not leave the process.
///
/// # Errors
/// If an HTTP client cannot be made.
pub(crate) fn registrations(
    forwarders: &[Forwarder],
    surroundings: &Surroundings,
) -> Result<Vec<Registration>, NetworkError> {
    let registration = |forwarder: &Forwarder| {
        Ok(Registration {
            consumer: forwarder.consumer(surroundings)?,
            start: forwarder.start,
            when_behind: forwarder.when_behind,
        })
    };
    forwarders.iter().map(registration).collect()
}

/// Takes leave of a forwarder that is no consumer any more: what it has open is handed over, and what it kept in the data
/// directory is deleted, but for its dead letters. `consumer` is the consumer's name; nothing happens to one that is no
/// forwarder.
///
/// # Errors
/// What the file system says.
pub(crate) fn forget(data: &Path, consumer: &str) -> io::Result<()> {
    match consumer.strip_prefix(PREFIX) {
        Some(name) => files::forget(&folder(data, name)),
        None => Ok(()),
    }
}

/// Takes leave of those that keep something in the data directory and are files no more. One whose files cannot be handed
/// over, since its disk is away say, is warned of and looked at again the next time.
pub(crate) fn tidy(data: &Path, forwarders: &[Forwarder]) {
    let are_files = |forwarder: &&Forwarder| matches!(forwarder.kind, Kind::Files(_));
    let kept: Vec<_> = forwarders
        .iter()
        .filter(are_files)
        .map(|forwarder| folder(data, &forwarder.name))
        .collect();
    // No folder, no forwarder that ever kept something.
    let entries = std::fs::read_dir(data.join(FOLDER));
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if kept.contains(&path) {
            continue;
        }
        if let Err(error) = files::forget(&path) {
            tracing::warn!(
                "what the forwarder of {} has left open cannot be handed over ({error}); look at its path and the disk",
                path.display()
            );
        }
    }
}

/// Begins the name of every forwarder's consumer.
const PREFIX: &str = "forwarder:";

impl Forwarder {
    /// Its name among the consumers.
    pub(crate) fn consumer_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its kind's name in configuration and output.
    pub(crate) const fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Files(_) => "files",
            Kind::Elasticsearch(..) => "elasticsearch",
            Kind::Webhook(..) => "webhook",
        }
    }

    /// Where it sends records, as far as that may be shown: a folder, or a host's name.
    pub(crate) fn destination(&self) -> String {
        match &self.kind {
            Kind::Files(options) => options.path.display().to_string(),
            Kind::Elasticsearch(_, way) | Kind::Webhook(_, way) => way.origin.host().to_owned(),
        }
    }

    fn interest(&self) -> Interest {
        Interest {
            tenants: self.tenants.clone(),
            indices: self.indices.clone(),
        }
    }

    fn dead_letters(&self, surroundings: &Surroundings) -> DeadLetters {
        DeadLetters::new(&self.name, &folder(&surroundings.data, &self.name))
    }

    fn way_out(&self, way: &Way, surroundings: &Surroundings) -> Result<Destination, NetworkError> {
        let name = &self.name;
        let remedy = format!(
            "list its network in `allow_networks` of the forwarder `{name}` under [[forwarders]] in host.toml"
        );
        let mut options = way.network.reach(remedy);
        options.addresses.loopback = surroundings.insecure_loopback;
        let upstream: Arc<dyn Upstream> = Arc::new(NetworkUpstream::new(options)?);
        secrets::keep(&self.consumer_name(), Arc::clone(&way.redactor));
        Ok(Destination::new(name, way, upstream, surroundings))
    }

    fn consumer(&self, surroundings: &Surroundings) -> Result<Box<dyn Consumer>, NetworkError> {
        Ok(match &self.kind {
            Kind::Files(options) => Box::new(files::Files::new(self, options, surroundings)),
            Kind::Elasticsearch(options, way) => {
                let destination = self.way_out(way, surroundings)?;
                let dead = self.dead_letters(surroundings);
                Box::new(elasticsearch::Elasticsearch::new(
                    self,
                    options.clone(),
                    destination,
                    dead,
                ))
            }
            Kind::Webhook(options, way) => {
                let destination = self.way_out(way, surroundings)?;
                let dead = self.dead_letters(surroundings);
                Box::new(webhook::Webhook::new(
                    self,
                    options.clone(),
                    destination,
                    dead,
                ))
            }
        })
    }
}

/// What a forwarder keeps in the data directory.
fn folder(data: &Path, name: &str) -> PathBuf {
    data.join(FOLDER).join(escaped(name))
}

/// Under which indices the records of a block are delivered: of those that it is listed in the chosen ones. Where none is
/// chosen, `assets` counts only if there is no other, since what it lists are hosts, not records.
fn targets(block: &StoredBlock, chosen: Option<&[Index]>) -> Vec<Index> {
    let listed = block.indices.iter().copied();
    match chosen {
        Some(chosen) => listed.filter(|index| chosen.contains(index)).collect(),
        None => {
            let records: Vec<_> = listed.filter(|index| *index != Index::Assets).collect();
            if records.is_empty() {
                block.indices.clone()
            } else {
                records
            }
        }
    }
}

/// The day of a moment in milliseconds since 1970, in UTC.
fn day(milliseconds: u64) -> Date {
    let moment = i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or_default();
    TimeZone::UTC.to_datetime(moment).date()
}

/// A name as a part of a path, whatever it holds: everything but ASCII letters, digits, `-`, `_` and dots inside is
/// percent-encoded, so that two names never become one and none leads elsewhere.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (position, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && position > 0) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
