//! Journal, index and assets say the same, whatever happens to the process that serves.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tests::process::{ServeProcess, SimProcess, Site, ask_socket};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
/// A run's last words in the log.
const END: &str = "a run has ended";
/// Hosts of the estate, and detections of each.
const ESTATE: (usize, usize) = (500, 6);

/// Small, repeatable, and all that is needed of randomness here.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn done(site: &Site, arguments: &[&str]) -> Value {
    let (code, document) = site.answer(arguments).unwrap();
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

/// What every place has, without what depends on the moment of a commit.
#[derive(Debug, PartialEq)]
struct Holdings {
    /// Records by the 36 characters of their identity.
    journal: BTreeMap<String, Value>,
    /// The same, as the index has them.
    index: BTreeMap<String, Value>,
    assets: BTreeMap<String, Value>,
}

fn timeless(mut document: Value) -> Value {
    document.as_object_mut().unwrap().remove("write_time");
    document
}

/// Every document once.
fn by_id(documents: impl IntoIterator<Item = (String, Value)>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (id, document) in documents {
        let before = all.insert(id, timeless(document));
        assert!(before.is_none(), "stands twice: {before:?}");
    }
    all
}

fn found(site: &Site, index: &str) -> Vec<Value> {
    let answer = done(site, &["search", "--index", index, "*", "--size", "10000"]);
    let hits = answer["hits"]["hits"].as_array().unwrap().clone();
    assert_eq!(answer["hits"]["total"]["value"], hits.len(), "{index}");
    hits
}

fn holdings(site: &Site) -> Holdings {
    let id = |document: &Value, key: &str| document[key].as_str().unwrap().to_owned();
    let journal = site.export("syslog").unwrap();
    let assets = site.export("assets").unwrap();
    let searched = found(site, "assets");
    let assets = by_id(assets.into_iter().map(|asset| (id(&asset, "id"), asset)));
    let searched = searched
        .into_iter()
        .map(|hit| (id(&hit, "_id"), hit["_source"].clone()));
    assert_eq!(by_id(searched), assets);
    let hits = found(site, "syslog").into_iter();
    Holdings {
        journal: by_id(
            journal
                .into_iter()
                .map(|record| (id(&record, "stellar_uuid")[..36].to_owned(), record)),
        ),
        index: by_id(hits.map(|hit| (id(&hit, "_id"), hit["_source"].clone()))),
        assets,
    }
}

/// A data directory with a connector that is due.
fn prepared(address: &str) -> Site {
    let site = Site::new(HOST, address, "hosts_per_page = 100").unwrap();
    site.commit_every(6).unwrap();
    done(
        &site,
        &["connectors", "add", "qualys.toml", "--profile", "Default"],
    );
    site
}

/// A copy of a data directory: the same connector, and so the same records.
fn copied(of: &Site, address: &str) -> Site {
    let site = Site::new(HOST, address, "hosts_per_page = 100").unwrap();
    site.commit_every(6).unwrap();
    for file in ["journal.sqlite", "secret.key"] {
        fs::copy(of.path().join(file), site.path().join(file)).unwrap();
    }
    site
}

fn consumers(site: &Site) -> Vec<Value> {
    let (status, list) = ask_socket(site.path(), "GET", "/consumers", None).unwrap();
    assert_eq!(status, 200, "{list}");
    list["consumers"].as_array().unwrap().clone()
}

/// Waits until every consumer has everything that the journal has.
fn settle(site: &Site) {
    loop {
        let consumers = consumers(site);
        assert!(consumers.len() >= 2, "{consumers:?}");
        for consumer in &consumers {
            assert_eq!(consumer["failure"], Value::Null, "{consumer}");
        }
        if consumers.iter().all(|consumer| consumer["lag_blocks"] == 0) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Serves until everything is collected and every consumer has it.
fn serve_to_the_end(site: &Site) -> ServeProcess {
    let serving = site.serve().unwrap();
    serving.logs(END).unwrap();
    settle(site);
    serving
}

fn end(serving: ServeProcess) {
    let (code, log) = serving.end().unwrap();
    assert_eq!(code, Some(0), "{log}");
}

/// How far the consumers are, as the journal knows it.
fn acknowledged(path: &Path) -> Vec<i64> {
    let journal = rusqlite::Connection::open(path.join("journal.sqlite")).unwrap();
    let mut rows = journal
        .prepare("SELECT acknowledged FROM consumers ORDER BY name")
        .unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn fifty_kills_of_serve_leave_journal_index_and_assets_of_an_undisturbed_run() {
    let (hosts, detections) = ESTATE;
    let options = [
        "--hosts",
        &hosts.to_string(),
        "--detections",
        &detections.to_string(),
        "--rate-limit",
        "1000000",
        // A connection of one that was killed counts until it is noticed.
        "--concurrency",
        "1000",
    ];
    let sim = SimProcess::start(SIM, &options).unwrap();
    let undisturbed = prepared(&sim.address);
    let site = copied(&undisturbed, &sim.address);
    end(serve_to_the_end(&undisturbed));
    let expected = holdings(&undisturbed);
    assert_eq!(expected.journal.len(), hosts * (detections + 1));
    assert_eq!(expected.journal, expected.index);
    // Qualys keeps some machines twice, as its agent and as its scanner see them, with one QG_HOSTID.
    let machine = |record: &Value| {
        let host = &record["qualys_cloud_platform"];
        host.get("QG_HOSTID").unwrap_or(&host["ID"]).to_string()
    };
    let machines: BTreeSet<String> = expected.journal.values().map(machine).collect();
    assert!(machines.len() < hosts, "{}", machines.len());
    assert_eq!(expected.assets.len(), machines.len());
    sim.logged();

    // No answer comes to its end, so that fifty rounds do not either; what came is committed, and taken by the consumers.
    sim.switch(&["stall=100000:600,at=hld"]).unwrap();
    let mut dice = Dice(11);
    let mut places = BTreeSet::new();
    for round in 0..50 {
        let serving = site.serve().unwrap();
        // The moment: as soon as it serves, or when a consumer has committed, and a random piece of work later.
        if round % 2 == 1 {
            let before = acknowledged(site.path());
            while acknowledged(site.path()) == before {
                std::thread::yield_now();
            }
        }
        for _ in 0..dice.below(20_000_000) {
            std::hint::spin_loop();
        }
        let log = serving.kill().unwrap();
        assert!(!log.contains(END), "round {round} came to its end: {log}");
        sim.logged();
        places.insert(acknowledged(site.path()));
    }
    sim.switch(&[]).unwrap();
    // Otherwise nothing would have been indexed while it was killed.
    assert!(places.len() >= 10, "consumers were killed at {places:?}");
    end(serve_to_the_end(&site));
    assert_eq!(holdings(&site), expected);
}

#[test]
fn a_consumer_whose_folder_is_deleted_rebuilds_itself_also_while_it_is_served() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = prepared(&sim.address);
    let serving = serve_to_the_end(&site);
    end(serving);
    let expected = holdings(&site);
    assert_eq!((expected.journal.len(), expected.assets.len()), (80, 20));

    fs::remove_dir_all(site.path().join("index")).unwrap();
    fs::remove_file(site.path().join("assets.sqlite")).unwrap();
    assert_eq!(holdings(&site), expected, "a search rebuilds them");

    let serving = site.serve().unwrap();
    settle(&site);
    fs::remove_dir_all(site.path().join("index")).unwrap();
    for file in ["assets.sqlite", "assets.sqlite-wal", "assets.sqlite-shm"] {
        // The last two are there as long as somebody writes.
        let _ = fs::remove_file(site.path().join(file));
    }
    // What is collected next makes them notice.
    sim.control("/_sim/advance?by=1h").unwrap();
    done(&site, &["connectors", "run", "qualys-test"]);
    loop {
        let there = |name| site.path().join(name).exists();
        if there("index/meta.json") && there("assets.sqlite") {
            break;
        }
        std::thread::yield_now();
    }
    settle_in_spite_of_failures(&site);
    end(serving);
    let after = holdings(&site);
    assert_eq!(after.journal, after.index);
    assert_eq!(after.assets.len(), 20);
}

/// As [`settle`], of consumers that had to begin anew.
fn settle_in_spite_of_failures(site: &Site) {
    while consumers(site)
        .iter()
        .any(|consumer| consumer["lag_blocks"] != 0 || consumer["failure"] != Value::Null)
    {
        std::thread::yield_now();
    }
}
