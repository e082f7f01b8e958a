//! A journal or a disk without room: collection stops with a sentence, nothing is lost, and it goes on when there is room.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::Limits;
use connector_runtime::journal::{Journal, Retention, Start, WhenBehind};
use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::testing::Bench;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::Vendor;
use tests::estate::{self, calls, collect};
use tests::truth::{Truth, done, everything_arrived, nothing_twice};

/// Small batches, so that a walk has many places to wait at.
fn limits() -> Limits {
    Limits {
        batch_items: 20,
        ..Limits::default()
    }
}

async fn bench(vendor: &Vendor) -> Bench {
    let only = json!({"content_type": ["vulnerabilities"]});
    let bench = vendor.bench().settings(tests::settings(only));
    bench.limits(limits()).open().await.unwrap()
}

/// How many records a run brings that nothing holds up.
async fn undisturbed() -> u64 {
    let only = json!({"content_type": ["vulnerabilities"]});
    let (_, _, ledger) = estate::run("--hosts 40 --detections 40", only).await;
    done(&ledger);
    ledger.records
}

fn allow(journal: &Journal, bytes: u64) {
    journal.set_retention(Retention {
        size_bytes: journal.size().unwrap().used_bytes() + bytes,
        ..Retention::default()
    });
}

/// Takes everything of a tenant that is there, as a forwarder does.
async fn take(journal: &Journal, consumer: &str, tenant: &str, taken: &mut Vec<Value>) {
    let mut place = journal.consumer(consumer).unwrap().unwrap().acknowledged;
    for block in journal.blocks(None, place) {
        let block = block.unwrap();
        if block.tenant_name == tenant {
            let records = block.records().unwrap();
            taken.extend(
                records
                    .iter()
                    .map(|record| serde_json::from_slice::<Value>(record).unwrap()),
            );
        }
        place = block.offset;
    }
    journal.acknowledge(consumer, place).await.unwrap();
}

fn postponed_for_room(ledger: &Ledger, says: &str) {
    assert_eq!(
        ledger.outcome,
        RunOutcome::Postponed,
        "{}",
        ledger.to_json()
    );
    assert!(ledger.reason.contains(says), "{}", ledger.reason);
    assert!(ledger.lacked_room());
    assert_eq!(ledger.resume_at, Some(ledger.ended + 60_000));
}

#[tokio::test]
async fn a_consumer_that_is_behind_holds_up_its_own_tenant_and_no_other() {
    let vendor = estate::vendor("--hosts 40 --detections 40");
    let mut acme = bench(&vendor).await;
    let elsewhere = estate::vendor("--hosts 40 --detections 40");
    let only = json!({"content_type": ["vulnerabilities"]});
    let other = elsewhere.bench().settings(tests::settings(only));
    let other = other.named("umbrella", "bench-2").beside(&acme);
    let mut other = other.open().await.unwrap();
    let journal = acme.journal().clone();
    let now = acme.clock().now_ms();
    journal
        .register_consumer(
            "forwarder:siem",
            Some(&["acme".to_owned()]),
            WhenBehind::Wait,
            Start::Oldest,
            now,
        )
        .await
        .unwrap();
    allow(&journal, 100_000);

    let held_up = collect(&mut acme).await;
    postponed_for_room(&held_up, "the consumer forwarder:siem has yet to take");
    assert!(held_up.waited_ms >= 60_000, "{}", held_up.waited_ms);
    assert!(held_up.records > 0);
    let asked = calls(&vendor, "hld").len();
    postponed_for_room(&collect(&mut acme).await, "size_limit_gib");
    assert_eq!(
        calls(&vendor, "hld").len(),
        asked,
        "nothing is asked that cannot be kept"
    );

    let free = collect(&mut other).await;
    done(&free);
    assert_eq!(free.records, undisturbed().await);
    assert_eq!(free.contents[0].counter("waits_for_room"), 0);

    let mut taken = Vec::new();
    let mut runs = 0;
    loop {
        take(&journal, "forwarder:siem", "acme", &mut taken).await;
        let ledger = collect(&mut acme).await;
        runs += 1;
        if ledger.outcome == RunOutcome::Done {
            done(&ledger);
            break;
        }
        postponed_for_room(&ledger, "forwarder:siem");
        assert!(runs < 20, "it does not come to its end");
    }
    take(&journal, "forwarder:siem", "acme", &mut taken).await;
    Truth::of(&vendor).check_detections(&taken);
    nothing_twice(&taken);
}

#[tokio::test]
async fn a_batch_that_waits_goes_on_as_soon_as_there_is_room_with_the_response_still_open() {
    let vendor = estate::vendor("--hosts 40 --detections 40");
    let mut acme = bench(&vendor).await;
    let journal = acme.journal().clone();
    let clock = acme.clock().clone();
    journal
        .register_consumer(
            "index",
            None,
            WhenBehind::Wait,
            Start::Oldest,
            clock.now_ms(),
        )
        .await
        .unwrap();
    allow(&journal, 100_000);
    let catching_up = async {
        loop {
            if clock.elapsed().as_secs() > 0 {
                let all = journal.last_offset().unwrap();
                journal.acknowledge("index", all).await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let ledger = tokio::select! {
        ledger = collect(&mut acme) => ledger,
        () = catching_up => unreachable!(),
    };
    done(&ledger);
    assert_eq!(ledger.records, undisturbed().await);
    assert!(ledger.contents[0].counter("waits_for_room") > 0);
    assert_eq!(
        calls(&vendor, "hld").len(),
        1,
        "the page was not asked for again"
    );
}

#[tokio::test]
async fn a_disk_without_room_postpones_the_run_and_nothing_is_lost() {
    let vendor = estate::vendor("--hosts 40 --detections 4");
    let bench = vendor.bench().settings(tests::settings(json!({})));
    let mut bench = bench.limits(limits()).open().await.unwrap();
    bench.journal().set_disk_floor(u64::MAX >> 1);
    let full = collect(&mut bench).await;
    postponed_for_room(&full, "the disk is full: ");
    assert!(full.reason.contains("free at least"), "{}", full.reason);
    assert_eq!(
        full.contents.len(),
        1,
        "the others would find no room either"
    );
    bench.journal().set_disk_floor(0);
    done(&collect(&mut bench).await);
    everything_arrived(&vendor, &bench);
}

/// With the real program on a small file system of its own.
#[cfg(target_os = "linux")]
mod disk {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use tests::process::{SimProcess, Site};

    const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
    const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
    const NAME: &str =
        "disk::a_disk_that_fills_up_stops_collection_and_freeing_space_lets_it_go_on";
    /// Set where this is the second process, in a user namespace.
    const INSIDE: &str = "ROOM_TEST_INSIDE";
    /// What the host is to leave alone.
    const FLOOR: u64 = 48 << 20;

    /// A file system in memory; gone with its owner.
    struct Small(PathBuf);

    impl Small {
        fn mount(at: &Path) -> Option<Self> {
            std::fs::create_dir(at).unwrap();
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=160m", "none"])
                .arg(at)
                .output();
            let done = mount.is_ok_and(|output| output.status.success());
            done.then(|| Self(at.to_owned()))
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            // What is left behind if this fails ends with the machine.
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    /// Runs this test again where it may mount something; false if there is no such place.
    fn again_in_a_namespace() -> bool {
        let test = std::env::current_exe().unwrap();
        let output = Command::new("unshare")
            .arg("-Urm")
            .arg(test)
            .args(["--exact", NAME, "--nocapture"])
            .env(INSIDE, "1")
            .output();
        let Ok(output) = output else {
            return false;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("unshare failed") || said.contains("Operation not permitted") {
            return false;
        }
        assert!(
            output.status.success(),
            "{}{said}",
            String::from_utf8_lossy(&output.stdout)
        );
        true
    }

    fn vendor_data(records: &[Value]) -> Vec<String> {
        let mut data: Vec<String> = records
            .iter()
            .map(|record| format!("{}{}", record["msg_class"], record["qualys_cloud_platform"]))
            .collect();
        data.sort();
        data
    }

    /// Fills the disk up to so many bytes above the floor.
    fn fill(disk: &Path, above: u64) -> PathBuf {
        let ballast = disk.join("ballast");
        let free = connector_runtime::journal::free_bytes(disk).unwrap();
        let size = usize::try_from(free - FLOOR - above).unwrap();
        std::fs::write(&ballast, vec![b'x'; size]).unwrap();
        ballast
    }

    #[test]
    fn a_disk_that_fills_up_stops_collection_and_freeing_space_lets_it_go_on() {
        let options = ["--hosts", "240", "--detections", "12"];
        let options = [&options[..], &["--rate-limit", "1000000"]].concat();
        let sim = SimProcess::start(SIM, &options).unwrap();
        let settings = "hosts_per_page = 3";
        let site = Site::new(HOST, &sim.address, settings).unwrap();
        let disk = site.path().join("disk");
        let Some(_small) = Small::mount(&disk) else {
            let inside = std::env::var_os(INSIDE).is_some();
            if !inside && again_in_a_namespace() {
                return;
            }
            assert!(
                std::env::var_os("CI").is_none(),
                "neither root nor a user namespace: no file system can be mounted here"
            );
            eprintln!("skipped: no file system can be mounted here");
            return;
        };
        let undisturbed = Site::new(HOST, &sim.address, settings).unwrap();
        undisturbed.collect().unwrap();
        let expected = undisturbed.export("syslog").unwrap();
        assert_eq!(expected.len(), 240 * 13);

        let floor = format!("[journal]\ndisk_floor_mib = {}\n", FLOOR >> 20);
        std::fs::write(disk.join("host.toml"), floor).unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new(HOST)
                .current_dir(site.path())
                .args(["--data-dir", "disk", "--plugins", "plugins"])
                .arg("--insecure-loopback")
                .args(arguments)
                .env("QUALYS_PASSWORD", "demo")
                .output();
            output.unwrap()
        };
        let answer = |arguments: &[&str]| {
            let output = run(&[arguments, &["--json"]].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let document = serde_json::from_slice::<Value>(&output.stdout);
            (output.status.code(), document.expect(&said))
        };
        let exported = || {
            let output = run(&["export", "--index", "syslog"]);
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        };
        // What is compiled takes its space before the disk is filled.
        let (code, _) = answer(&["tenants", "add", "acme"]);
        assert_eq!(code, Some(0));
        answer(&["plugins", "list"]);
        let ballast = fill(&disk, 2 << 20);
        sim.logged();

        let (code, ledger) = answer(&["collect", "qualys.toml", "--max-wait", "1s"]);
        assert_eq!(ledger["outcome"], "postponed", "{ledger}");
        assert_ne!(code, Some(0));
        let reason = ledger["reason"].as_str().unwrap();
        assert!(
            reason.contains("the disk is full: ") && reason.contains("free at least"),
            "{reason}"
        );
        let part = exported();
        assert!(
            !part.is_empty() && part.len() < expected.len(),
            "{} of {}",
            part.len(),
            expected.len()
        );
        let listed = answer(&["runs", "list"]).1;
        assert_eq!(listed["runs"][0]["outcome"], "postponed", "{listed}");
        let finding = answer(&["doctor"]).1;
        let finding = finding["checks"].as_array().unwrap().iter();
        let finding: Vec<_> = finding.filter(|one| one["check"] == "disk").collect();
        assert_ne!(finding[0]["verdict"], "ok", "{finding:?}");

        std::fs::remove_file(ballast).unwrap();
        let (code, ledger) = answer(&["collect", "qualys.toml"]);
        assert_eq!(
            (code, &ledger["outcome"]),
            (Some(0), &json!("done")),
            "{ledger}"
        );
        let all = exported();
        let ids: BTreeSet<&str> = all
            .iter()
            .map(|record| &record["stellar_uuid"].as_str().unwrap()[..36])
            .collect();
        assert_eq!(ids.len(), all.len(), "a record stands twice");
        assert_eq!(vendor_data(&all), vendor_data(&expected));
    }
}
