//! `kill -9` at any moment: what was committed stays, what was not is read again, and the result is the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

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

/// What Qualys said, without what differs between two data directories.
fn vendor_data(records: &[Value]) -> Vec<String> {
    let mut data: Vec<String> = records
        .iter()
        .map(|record| format!("{}{}", record["msg_class"], record["qualys_cloud_platform"]))
        .collect();
    data.sort();
    data
}

fn assert_each_once(records: &[Value]) {
    let ids: BTreeSet<&str> = records
        .iter()
        .map(|record| &record["stellar_uuid"].as_str().unwrap()[..36])
        .collect();
    assert_eq!(ids.len(), records.len(), "a record stands twice");
}

/// A collection that goes on while the test does, and will be killed.
fn start(site: &Site) -> Child {
    site.command(&["collect", "qualys.toml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn collect(site: &Site) {
    let output = site.run(&["collect", "qualys.toml"]).unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn fifty_kills_at_random_moments_leave_exactly_the_records_of_an_undisturbed_run() {
    let options = [
        "--hosts",
        "240",
        "--detections",
        "12",
        "--rate-limit",
        "1000000",
    ];
    let sim = SimProcess::start(SIM, &options).unwrap();
    let settings = "hosts_per_page = 3";

    let undisturbed = Site::new(HOST, &sim.address, settings).unwrap();
    collect(&undisturbed);
    let expected = undisturbed.export("syslog").unwrap();
    assert_eq!(expected.len(), 240 * 13);
    sim.logged();

    let site = Site::new(HOST, &sim.address, settings).unwrap();
    site.commit_every(6).unwrap();
    let mut dice = Dice(7);
    let mut places = BTreeSet::new();
    for _ in 0..50 {
        let mut run = start(&site);
        // The moment: some request has been answered, and a random piece of work later.
        for _ in 0..=dice.below(8) {
            if !sim.next_request_of(&mut run).unwrap() {
                break;
            }
        }
        for _ in 0..dice.below(200_000) {
            std::hint::spin_loop();
        }
        run.kill().unwrap();
        run.wait().unwrap();
        sim.logged();
        for content_type in ["hosts", "vulnerabilities"] {
            let place = site.stopped_at(content_type).unwrap();
            places.extend(place.map(|id| (content_type, id)));
        }
    }
    // Otherwise this would be fifty fresh starts, and prove nothing about going on.
    let of = |name| {
        places
            .iter()
            .filter(|(content_type, _)| *content_type == name)
            .count()
    };
    assert!(
        places.len() >= 20,
        "stopped in the middle of a walk at {places:?}"
    );
    assert!(of("hosts") > 0 && of("vulnerabilities") > 0, "{places:?}");
    collect(&site);
    let records = site.export("syslog").unwrap();
    assert_each_once(&records);
    assert_eq!(vendor_data(&records), vendor_data(&expected));
}

#[test]
fn a_host_processed_behind_the_walk_is_there_after_a_kill_and_two_more_runs() {
    let options = [
        "--hosts",
        "40",
        "--detections",
        "3",
        "--rate-limit",
        "1000000",
    ];
    let sim = SimProcess::start(SIM, &options).unwrap();
    let site = Site::new(HOST, &sim.address, "hosts_per_page = 2").unwrap();
    site.commit_every(2).unwrap();
    let first: Value =
        serde_json::from_str(sim.get("/_sim/truth").unwrap().lines().next().unwrap()).unwrap();
    let first = first["ID"].as_str().unwrap();

    let mut run = start(&site);
    // The walk over the detections is a few pages in when its first host is scanned again.
    let mut pages = 0;
    while pages < 6 {
        let request = sim.next_request().unwrap();
        pages += u32::from(
            request["path"]
                .as_str()
                .is_some_and(|path| path.contains("/vm/detection/")),
        );
    }
    sim.control("/_sim/advance?by=1m").unwrap();
    sim.control(&format!("/_sim/process?host={first}")).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let position = site.stopped_at("vulnerabilities").unwrap();
    assert!(
        position.is_some_and(|position| position > first.parse().unwrap()),
        "the walk goes on behind the host that was scanned again: {position:?}"
    );

    collect(&site);
    collect(&site);
    let truth = truth(&sim);
    let records = site.export("scans").unwrap();
    assert_each_once(&records);
    let known: BTreeSet<(String, String)> = records
        .iter()
        .map(|record| state(&record["qualys_cloud_platform"]["DETECTION"]))
        .collect();
    let missing: Vec<_> = truth
        .iter()
        .filter(|state| !known.contains(*state))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A detection's identity and the time of the state that it is in.
fn state(detection: &Value) -> (String, String) {
    let text = |name: &str| detection[name].as_str().unwrap_or_default().to_owned();
    (text("UNIQUE_VULN_ID"), text("LAST_PROCESSED_DATETIME"))
}

fn truth(sim: &SimProcess) -> BTreeSet<(String, String)> {
    sim.get("/_sim/truth")
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line.get("UNIQUE_VULN_ID").is_some())
        .map(|line| state(&line))
        .collect()
}

#[test]
fn two_processes_never_share_a_data_directory() {
    let options = [
        "--hosts",
        "30",
        "--detections",
        "2",
        "--switch",
        "delay-first-byte=60",
    ];
    let sim = SimProcess::start(SIM, &options).unwrap();
    let site = Site::new(HOST, &sim.address, "").unwrap();
    let mut first = start(&site);
    // The lock with its owner's number in it: from now on the directory is taken.
    while std::fs::read_to_string(site.path().join("lock"))
        .unwrap_or_default()
        .is_empty()
    {
        std::thread::yield_now();
    }
    let second = site.run(&["collect", "qualys.toml"]).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("in use by process"), "{message}");
}
