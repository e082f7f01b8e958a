mod detections;
mod durability;
mod machines;
mod speed;

use super::column::Column;
use super::document::{AssetDocument, AssetWithDetections};
use super::store::{AssetFilter, AssetPage, Shown};
use super::{AssetConsumer, AssetStore};
use crate::connectors::schema::migrations;
use crate::consumers::Consumer as _;
use crate::search::request::Scope;
use connector_runtime::interflow::{Index, remains};
use connector_runtime::journal::{Block, Commit, Journal, StoredBlock};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A moment on the first of March 2026, so many minutes after midnight, in milliseconds since 1970.
const fn at(minutes: u64) -> u64 {
    1_772_323_200_000 + minutes * 60_000
}

/// A journal with a connector of the tenant `acme` and one of `other`, and the assets of it.
struct Bench {
    directory: TempDir,
    journal: Journal,
    connectors: [String; 3],
}

/// Connectors of a [`Bench`].
const ACME: usize = 0;
const ACME_TOO: usize = 1;
const OTHER: usize = 2;

fn merged(mut into: Value, from: &Value) -> Value {
    for (key, value) in from.as_object().unwrap() {
        match into.get_mut(key) {
            Some(there) if there.is_object() => *there = merged(there.take(), value),
            _ => into[key] = value.clone(),
        }
    }
    into
}

/// A record about a host.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a literal where it is called"
)]
fn host(id: &str, minutes: u64, more: Value) -> Value {
    let record = json!({
        "timestamp": at(minutes), "host": {"id": id}, "event": {"category": "host"},
        "msg_origin": {"source": "acme_scanner"}, "msg_class": "acme_hosts",
    });
    merged(record, &more)
}

/// A record about what was found on a host.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a literal where it is called"
)]
fn finding(id: &str, identity: &str, minutes: u64, more: Value) -> Value {
    let record = json!({
        "timestamp": at(minutes), "host": {"id": id, "name": format!("host-{id}")},
        "event": {"category": "vulnerability", "id": identity},
        "vulnerability": {"id": "9001", "status": "Active", "severity": "high"}, "msg_origin": {"source": "acme_scanner"},
        "msg_class": "acme_findings",
    });
    merged(record, &more)
}

/// A note on a host that was collected to its end.
fn seen(id: &str, minutes: u64, emitted: &[&str], repeated: &[&str]) -> Value {
    json!({"object": id, "time_ms": at(minutes), "emitted": emitted, "repeated": repeated, "more": false})
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), migrations()).unwrap();
        journal.set_disk_floor(0);
        let connector = |tenant, name| journal.connector(tenant, name, "acme-scanner").unwrap().id;
        let connectors = [
            connector("acme", "one"),
            connector("acme", "two"),
            connector("other", "one"),
        ];
        Self {
            directory,
            journal,
            connectors,
        }
    }

    fn block(&self, connector: usize, index: Index, records: &[Value], notes: &[Value]) {
        let mut text = String::new();
        for record in records {
            text.push_str(&record.to_string());
            text.push('\n');
        }
        let times = records
            .iter()
            .filter_map(|record| record["timestamp"].as_u64());
        let times = times.clone().min().zip(times.max());
        let notes = match notes {
            [] => String::new(),
            notes => json!(notes).to_string(),
        };
        let count = records.len() as u64;
        let block = Block::press(
            &[Index::Syslog, index],
            count,
            times,
            text.as_bytes(),
            notes.as_bytes(),
        );
        let commit = Commit {
            connector: self.connectors[connector].clone(),
            content_type: index.id().to_owned(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms: at(0),
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block.unwrap()),
        };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(self.journal.commit(commit))
            .unwrap();
    }

    fn hosts(&self, connector: usize, records: &[Value]) {
        self.block(connector, Index::Assets, records, &[]);
    }

    fn findings(&self, records: &[Value], notes: &[Value]) {
        self.block(ACME, Index::Scans, records, notes);
    }

    fn blocks(&self) -> Vec<StoredBlock> {
        self.journal
            .blocks(None, 0)
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn consumer(&self) -> AssetConsumer {
        AssetConsumer::new(self.directory.path())
    }

    /// Takes up everything, in one commit.
    fn take_up(&self) {
        let mut consumer = self.consumer();
        let held = consumer.open(0).unwrap();
        let mut last = held;
        for block in self.journal.blocks(None, held) {
            let block = block.unwrap();
            if consumer.interest().covers(&block) {
                consumer.take(&block).unwrap();
            }
            last = block.offset;
        }
        consumer.commit(last).unwrap();
    }

    fn store(&self) -> AssetStore {
        AssetStore::new(self.directory.path())
    }

    fn listed(&self, conditions: &[(&str, &str)], sort: Option<&str>) -> Vec<AssetDocument> {
        let conditions = conditions.iter();
        let filter = AssetFilter {
            conditions: conditions
                .map(|(name, value)| (Column::named(name).unwrap(), (*value).to_owned()))
                .collect(),
            tenant: None,
        };
        let sort = sort.unwrap_or("name");
        let page = AssetPage {
            sort: Some(Column::named(sort.trim_start_matches('-')).unwrap()),
            downwards: sort.starts_with('-'),
            offset: 0,
            limit: 1_000,
        };
        self.store()
            .list(&Scope::default(), &filter, page)
            .unwrap()
            .assets
    }

    /// Everything, taken up.
    fn assets(&self) -> Vec<AssetDocument> {
        self.take_up();
        self.listed(&[], None)
    }

    fn only(&self) -> AssetDocument {
        let mut assets = self.assets();
        assert_eq!(assets.len(), 1, "{assets:#?}");
        assets.remove(0)
    }

    fn shown(&self, reference: &str) -> AssetWithDetections {
        match self.store().show(&Scope::default(), reference).unwrap() {
            Shown::One(found) => *found,
            other => panic!("{reference}: {other:?}"),
        }
    }

    /// The identities of what is open on an asset.
    fn open(&self, reference: &str) -> Vec<String> {
        self.take_up();
        let mut open: Vec<_> = self
            .shown(reference)
            .detections
            .into_iter()
            .map(|found| found.id)
            .collect();
        open.sort();
        open
    }
}
