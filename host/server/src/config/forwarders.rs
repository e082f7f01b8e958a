//! The `[[forwarders]]` of the configuration: where records are sent on to.
//!
//! ```toml
//! [[forwarders]]
//! name = "lake"
//! kind = "files"
//! path = "/srv/records"
//! compression = "zstd"                    # or "gzip", "none"
//! rotate_mib = 128
//! rotate_minutes = 15
//!
//! [[forwarders]]
//! name = "siem"
//! kind = "elasticsearch"
//! url = "https://search.example.test:9200"
//! username = "forwarder"
//! password = { file = "siem.password" }   # or { env = "NAME" }; or api_key in the place of both
//! index = "interflow-{index}-{date}"
//! tenants = ["acme"]                      # left out: every tenant
//! indices = ["scans"]                     # left out: every index
//! format = "ecs"
//! start = "now"
//! when_behind = "skip"
//!
//! [[forwarders]]
//! name = "queue"
//! kind = "webhook"
//! url = "https://ingest.example.test/records"
//! secret = { env = "QUEUE_SECRET" }
//! ```

use super::alerts::{required, secret_at};
use super::beside;
use super::network::{self, Network, REACH};
use crate::alerts::message;
use crate::document::{self, Section};
use crate::failure::Mistake;
use crate::formats::Format;
use crate::forwarders::elasticsearch::{self, Action, Pattern};
use crate::forwarders::files::{self, Packing};
use crate::forwarders::{Forwarder, Kind, Way, webhook};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_runtime::egress::Secret;
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Start, WhenBehind};
use connector_runtime::redaction::Redactor;
use connector_runtime::settings::check_name;
use http::HeaderValue;
use std::collections::BTreeSet;
use std::path::{Component, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Value;
use zeroize::Zeroizing;

/// What every kind has.
const KEYS: [&str; 7] = [
    "name",
    "kind",
    "tenants",
    "indices",
    "start",
    "when_behind",
    "format",
];
const FILES: [&str; 4] = ["path", "compression", "rotate_mib", "rotate_minutes"];
const ELASTICSEARCH: [&str; 9] = [
    "url",
    "index",
    "action",
    "compression",
    "username",
    "password",
    "api_key",
    "bulk_mib",
    "bulk_records",
];
const WEBHOOK: [&str; 5] = ["url", "secret", "compression", "batch_kib", "batch_records"];
const KINDS: [&str; 3] = ["files", "elasticsearch", "webhook"];

/// Reads all of them.
pub(super) fn check(top: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Vec<Forwarder> {
    let entries: &[Value] = match top.table.get("forwarders") {
        None => &[],
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            let message = format!(
                "must be written as [[forwarders]], and is {}",
                document::kind(other)
            );
            mistakes.push(top.mistake("forwarders", message));
            &[]
        }
    };
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let Value::Table(table) = entry else {
            let message = format!("entry {} must be a table", position + 1);
            mistakes.push(top.mistake("forwarders", message));
            continue;
        };
        let own = Section {
            file: top.file,
            path: format!("forwarders[{}]", position + 1),
            table,
        };
        let found = mistakes.len();
        let forwarder = forwarder(&own, mistakes);
        if forwarder.is_none() && mistakes.len() == found {
            mistakes.push(Mistake::new(own.file, &own.path, "cannot be used"));
        }
        let Some(forwarder) = forwarder else {
            continue;
        };
        if !names.insert(forwarder.name.clone()) {
            let message = "is the name of another forwarder, too; each needs its own";
            mistakes.push(own.mistake("name", message));
        }
        if let Kind::Files(options) = &forwarder.kind
            && !paths.insert(options.path.clone())
        {
            let message = "is the path of another forwarder, too; each needs its own";
            mistakes.push(own.mistake("path", message));
        }
        all.push(forwarder);
    }
    all
}

fn forwarder(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Forwarder> {
    let name = required(section, "name", mistakes).and_then(|name| match check_name(name) {
        Ok(()) => Some(name.to_owned()),
        Err(message) => {
            mistakes.push(section.mistake("name", message));
            None
        }
    });
    let tenants = section.texts("tenants", mistakes);
    if tenants.as_ref().is_some_and(Vec::is_empty) {
        let message = "names nobody; leave it out for every tenant";
        mistakes.push(section.mistake("tenants", message));
    }
    let indices = indices(section, mistakes);
    let starts = [("oldest", Start::Oldest), ("now", Start::Now)];
    let start = one_of(section, "start", &starts, mistakes);
    let behind = WhenBehind::ALL.map(|behind| (behind.as_str(), behind));
    let when_behind = one_of(section, "when_behind", &behind, mistakes);
    let format = match section.text("format", mistakes).map(Format::parse) {
        None => Some(Format::Interflow),
        Some(Ok(format)) => Some(format),
        Some(Err(message)) => {
            mistakes.push(section.mistake("format", message.to_string()));
            None
        }
    };
    let kind = match required(section, "kind", mistakes)? {
        "files" => files(section, mistakes),
        "elasticsearch" => elasticsearch(section, mistakes),
        "webhook" => webhook(section, mistakes),
        _ => {
            let message = format!("there is no such kind; there is {}", KINDS.join(", "));
            mistakes.push(section.mistake("kind", message));
            None
        }
    };
    Some(Forwarder {
        name: name?,
        tenants,
        indices,
        start: start.unwrap_or(Start::Oldest),
        when_behind: when_behind.unwrap_or(WhenBehind::Wait),
        format: format?,
        kind: kind?,
    })
}

fn indices(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Vec<Index>> {
    let names = section.texts("indices", mistakes)?;
    let mut indices = Vec::new();
    for name in &names {
        match name.as_str() {
            "syslog" => indices.push(Index::Syslog),
            "scans" => indices.push(Index::Scans),
            "assets" => {
                let message = "`assets` is a table made of records and is not forwarded; the records that it is made of are in syslog";
                mistakes.push(section.mistake("indices", message));
            }
            _ => {
                let message = format!("there is no index `{name}`; there is syslog and scans");
                mistakes.push(section.mistake("indices", message));
            }
        }
    }
    if names.is_empty() {
        let message = "names none; leave it out for every index";
        mistakes.push(section.mistake("indices", message));
    }
    Some(indices)
}

/// The word at a key, if the key is there.
fn one_of<T: Copy>(
    section: &Section<'_>,
    key: &str,
    words: &[(&str, T)],
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    let text = section.text(key, mistakes)?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let known: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let message = format!("must be {}", known.join(" or "));
        mistakes.push(section.mistake(key, message));
    }
    found.map(|(_, value)| *value)
}

fn number(
    section: &Section<'_>,
    key: &str,
    most: u64,
    default: u64,
    mistakes: &mut Vec<Mistake>,
) -> u64 {
    section.whole(key, 1, most, mistakes).unwrap_or(default)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn files(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Kind> {
    section.refuse_unknown(&[&KEYS[..], &FILES].concat(), mistakes);
    let path = required(section, "path", mistakes).map(|path| {
        let path = beside(section.file, path);
        // So that two ways to write one path are one path.
        let parts = path.components();
        parts
            .filter(|part| *part != Component::CurDir)
            .collect::<PathBuf>()
    });
    let packings = Packing::ALL.map(|packing| (packing.as_str(), packing));
    let packing = one_of(section, "compression", &packings, mistakes);
    let mib = number(section, "rotate_mib", 65_536, 128, mistakes);
    let minutes = number(section, "rotate_minutes", 1_440, 15, mistakes);
    Some(Kind::Files(files::Options {
        path: path?,
        packing: packing.unwrap_or(Packing::Zstd),
        rotate_bytes: mib << 20,
        rotate_after: Duration::from_secs(minutes * 60),
    }))
}

const GZIP: [(&str, bool); 2] = [("gzip", true), ("none", false)];

fn elasticsearch(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Kind> {
    let known = [&KEYS[..], &ELASTICSEARCH, &REACH].concat();
    let network = Network::check_only(section, &known, mistakes);
    let pattern = section.text("index", mistakes);
    let pattern = Pattern::parse(pattern.unwrap_or(elasticsearch::DEFAULT_PATTERN))
        .map_err(|message| mistakes.push(section.mistake("index", message)))
        .ok();
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let action = one_of(section, "action", &actions, mistakes);
    let gzip = one_of(section, "compression", &GZIP, mistakes);
    let mib = number(section, "bulk_mib", 100, 5, mistakes);
    let records = number(section, "bulk_records", 100_000, 5_000, mistakes);
    let (authorization, redactor) = credential(section, mistakes)?;
    let way = way(section, network, redactor, mistakes)?;
    if way.url.query().is_some() {
        mistakes.push(section.mistake("url", "must not have a query"));
    }
    let options = elasticsearch::Options {
        pattern: pattern?,
        action: action.unwrap_or(Action::Index),
        gzip: gzip.unwrap_or(true),
        authorization,
        records: size(records),
        bytes: size(mib << 20),
    };
    Some(Kind::Elasticsearch(options, way))
}

/// The value of `authorization`, and what must not leave the process. `None` if there is a mistake.
fn credential(
    section: &Section<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<(Option<HeaderValue>, Redactor)> {
    let has = |key: &str| section.table.contains_key(key);
    if has("api_key") && (has("username") || has("password")) {
        let message = "is one way to sign in, and username and password another; choose one";
        mistakes.push(section.mistake("api_key", message));
        return None;
    }
    for (key, needed) in [("username", "password"), ("password", "username")] {
        if has(key) && !has(needed) {
            mistakes.push(section.mistake(needed, format!("is required beside {key}")));
            return None;
        }
    }
    let mut read = |key: &str| {
        let secret = secret_at(section, key).and_then(|text| match text.is_empty() {
            true => Err("is empty".into()),
            false => Ok(text),
        });
        secret
            .map_err(|message| mistakes.push(section.mistake(key, message)))
            .ok()
    };
    if has("api_key") {
        let key = read("api_key")?;
        let header = header(&["ApiKey ", &key]);
        if header.is_none() {
            let message = "cannot be sent in a header; copy its `encoded` form again";
            mistakes.push(section.mistake("api_key", message));
        }
        let redactor = Redactor::of(&[Secret::new(key.as_str())], None);
        return Some((Some(header?), redactor));
    }
    if !has("username") && !has("password") {
        return Some((None, Redactor::none()));
    }
    let password = read("password")?;
    let username = section.text("username", mistakes)?;
    if username.contains(':') {
        mistakes.push(section.mistake("username", "must not contain a colon"));
    }
    let pair = Zeroizing::new([username, ":", password.as_str()].concat());
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    let redactor = Redactor::of(&[Secret::new(password.as_str())], Some(username));
    Some((header(&["Basic ", &encoded]), redactor))
}

/// A header's value that no log shows, wiped with its last clone.
fn header(parts: &[&str]) -> Option<HeaderValue> {
    let text = Zeroizing::new(parts.concat().into_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn webhook(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<Kind> {
    let known = [&KEYS[..], &WEBHOOK, &REACH].concat();
    let network = Network::check_only(section, &known, mistakes);
    let gzip = one_of(section, "compression", &GZIP, mistakes);
    let kib = number(section, "batch_kib", 65_536, 1_024, mistakes);
    let records = number(section, "batch_records", 100_000, 1_000, mistakes);
    let secret = secret_at(section, "secret")
        .and_then(|secret| Ok((message::key(&secret)?, secret)))
        .map_err(|message| mistakes.push(section.mistake("secret", message)))
        .ok();
    let redactor = secret.as_ref().map_or_else(Redactor::none, |(_, secret)| {
        Redactor::of(&[Secret::new(secret.as_str())], None)
    });
    let way = way(section, network, redactor, mistakes)?;
    let options = webhook::Options {
        key: secret?.0,
        gzip: gzip.unwrap_or(false),
        records: size(records),
        bytes: size(kib << 10),
    };
    Some(Kind::Webhook(options, way))
}

fn way(
    section: &Section<'_>,
    network: Network,
    redactor: Redactor,
    mistakes: &mut Vec<Mistake>,
) -> Option<Way> {
    let address = required(section, "url", mistakes).and_then(|url| {
        network::address(url)
            .map_err(|message| mistakes.push(section.mistake("url", message)))
            .ok()
    });
    let (url, origin) = address?;
    Some(Way {
        url,
        origin,
        network,
        redactor: Arc::new(redactor),
    })
}

#[cfg(test)]
mod tests;
