//! What the tests of all kinds share: a journal with blocks, and a follower's calls.

use super::*;
use crate::connectors::schema::migrations;
use crate::consumers::ConsumerError;
use bytes::Bytes;
use connector_runtime::egress::{Upstream, UpstreamBody, UpstreamError};
use connector_runtime::journal::{Block, Commit, Journal};
use http::{Request, Response};
use std::future::Future;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(super) const START: u64 = 1_772_442_031_123;
pub(super) const SECRET: &str = "a secret of twenty-four bytes";

/// A data directory with a journal.
pub(super) struct Site {
    pub(super) directory: TempDir,
    pub(super) journal: Journal,
    pub(super) surroundings: Surroundings,
    runtime: Runtime,
    records: std::cell::Cell<u64>,
}

/// A record of acme's, `n` of which tell it from any other.
pub(super) fn record(tenant: &str, n: u64, written: u64) -> String {
    let timestamp = START - 86_400_000 * (n % 3);
    format!(
        r#"{{"msg_class":"acme_vulnerabilities","timestamp":{timestamp},"write_time":{written},"stellar_uuid":"{n:08x}-3c0e-5d1b-9a4e-0f2b7c6d8e90{timestamp}","tenant_name":"{tenant}","event":{{"severity":{}}},"n":{n}}}"#,
        n % 5
    )
}

impl Site {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), migrations()).unwrap();
        journal.set_disk_floor(0);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            surroundings: Surroundings {
                data: directory.path().to_owned(),
                clock: Clock::simulated(START),
                stop: Stop::default(),
                runtime: runtime.handle().clone(),
                insecure_loopback: false,
            },
            directory,
            journal,
            runtime,
            records: std::cell::Cell::new(0),
        }
    }

    /// Commits a block of so many records, and answers them.
    pub(super) fn add(
        &self,
        tenant: &str,
        indices: &[Index],
        records: u64,
        written: u64,
    ) -> Vec<String> {
        let from = self.records.get();
        self.records.set(from + records);
        let lines: Vec<String> = (from..from + records)
            .map(|n| record(tenant, n, written))
            .collect();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.add_text(tenant, indices, records, &text, written);
        lines
    }

    pub(super) fn add_text(
        &self,
        tenant: &str,
        indices: &[Index],
        records: u64,
        text: &str,
        written: u64,
    ) {
        let times = (records > 0).then_some((START, START));
        let connector = self.journal.connector(tenant, "scanner-1", "acme-scanner");
        let commit = Commit {
            connector: connector.unwrap().id,
            content_type: "vulnerabilities".to_owned(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".to_owned(),
            written_ms: written,
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(Block::press(indices, records, times, text.as_bytes(), b"{}").unwrap()),
        };
        self.runtime.block_on(self.journal.commit(commit)).unwrap();
    }

    /// Gives a consumer everything behind `offset` and commits; answers up to which block.
    pub(super) fn follow(
        &self,
        consumer: &mut dyn Consumer,
        offset: u64,
    ) -> Result<u64, ConsumerError> {
        let mut last = consumer.open(offset)?;
        for block in self.journal.blocks(None, last) {
            let block = block?;
            last = block.offset;
            if consumer.interest().covers(&block) {
                consumer.take(&block)?;
            }
        }
        consumer.commit(last)?;
        Ok(last)
    }

    pub(super) fn dead_letters(&self) -> String {
        let path = folder(&self.surroundings.data, "siem").join(dead_letters::FILE);
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

/// A forwarder with the defaults.
pub(super) fn forwarder(kind: Kind) -> Forwarder {
    Forwarder {
        name: "siem".into(),
        tenants: None,
        indices: None,
        start: Start::Oldest,
        when_behind: WhenBehind::Wait,
        format: Format::Interflow,
        kind,
    }
}

pub(super) fn way() -> Way {
    Way {
        url: Url::parse("https://siem.example.test/in?token=t0ken").unwrap(),
        origin: Origin::parse("https://siem.example.test", false).unwrap(),
        network: Network::default(),
        redactor: Arc::new(Redactor::none()),
    }
}

/// A destination that a function answers for.
pub(super) fn destination<F, A>(site: &Site, answer: F) -> Destination
where
    F: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send + 'static,
{
    let upstream: Arc<dyn Upstream> = Arc::new(answer);
    Destination::new("siem", &way(), upstream, &site.surroundings)
}

#[test]
fn two_names_never_become_one_folder_and_none_leads_elsewhere() {
    assert_eq!(escaped("Acme-1_b.c"), "Acme-1_b.c");
    assert_eq!(escaped(".."), "%2E.");
    assert_eq!(escaped("a/../b c%é"), "a%2F..%2Fb%20c%25%C3%A9");
    assert_ne!(escaped("a b"), escaped("a%20b"));
}

#[test]
fn a_record_of_assets_only_is_forwarded_where_no_index_was_chosen() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog, Index::Assets], 1, START);
    site.add("acme", &[Index::Assets], 1, START);
    let blocks: Vec<_> = site.journal.blocks(None, 0).map(Result::unwrap).collect();
    assert_eq!(targets(&blocks[0], None), [Index::Syslog]);
    assert_eq!(targets(&blocks[1], None), [Index::Assets]);
    assert_eq!(targets(&blocks[0], Some(&[Index::Scans])), []);
}

#[test]
fn the_secrets_of_a_forwarder_do_not_leave_once_it_is_made() {
    let site = Site::new();
    let secret = "the secret of a forwarder and of no other test";
    let mut way = way();
    way.redactor = Arc::new(Redactor::of(
        &[connector_runtime::egress::Secret::new(secret)],
        None,
    ));
    let options = webhook::Options {
        key: crate::alerts::message::key(SECRET).unwrap(),
        gzip: false,
        records: 1,
        bytes: 1,
    };
    let forwarder = forwarder(Kind::Webhook(options, way));
    let all = registrations(&[forwarder], &site.surroundings).unwrap();
    assert_eq!(all[0].consumer.name(), "forwarder:siem");
    assert_eq!(
        (all[0].start, all[0].when_behind),
        (Start::Oldest, WhenBehind::Wait)
    );
    assert_eq!(secrets::page(&format!("a {secret}")), "a [redacted]");
}

#[test]
fn what_a_test_of_files_says_is_what_a_forwarder_will_meet() {
    let site = Site::new();
    let options = files::Options {
        path: site.directory.path().join("new/out"),
        packing: files::Packing::Zstd,
        rotate_bytes: 1,
        rotate_after: std::time::Duration::from_secs(1),
    };
    let path = options.path.clone();
    let forwarder = forwarder(Kind::Files(options));
    let examine = || {
        let runtime = &site.surroundings.runtime;
        runtime
            .block_on(forwarder.examine(&site.surroundings))
            .unwrap()
    };
    assert!(examine().passed);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "a file").unwrap();
    let finding = examine();
    assert!(!finding.passed);
    assert!(
        finding.message.contains("no file can be written in"),
        "{}",
        finding.message
    );
}
