//! `collect` against the simulator, as processes on the same machine: detections a second until they are committed, and
//! memory for a very large page. Figures are printed, never judged.
//!
//! `COLLECT_HOSTS` hosts with 50 detections each (6000), for a plain and a tag-heavy estate; then one page of about
//! `COLLECT_PAGE_MB` megabytes (1074).

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use serde_json::Value;
use std::time::Instant;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn measure(name: &str, hosts: u64, options: &[&str], settings: &str) {
    let hosts = hosts.to_string();
    let mut all = vec![
        "--detections",
        "50",
        "--rate-limit",
        "100000",
        "--quiet",
        "--hosts",
        &hosts,
    ];
    all.extend(options);
    let sim = SimProcess::start(SIM, &all).expect("the simulator starts");
    let site = Site::new(HOST, &sim.address, settings).expect("a data directory");
    // Compiles the component once, which an installed host has done long ago.
    site.run(&["plugins", "list"]).expect("the host runs");
    let started = Instant::now();
    let output = site
        .run(&["--json", "collect", "qualys.toml"])
        .expect("the host runs");
    let seconds = started.elapsed().as_secs_f64();
    let ledger: Value = serde_json::from_slice(&output.stdout).expect("a ledger");
    assert_eq!(ledger["outcome"], "done", "{ledger}");
    let content = &ledger["contents"][1];
    let detections = content["records"].as_f64().unwrap_or_default();
    let received = ledger["traffic"]["bytes_received"]
        .as_f64()
        .unwrap_or_default()
        / 1e6;
    let written: f64 = (0..2)
        .filter_map(|at| ledger["contents"][at]["bytes"].as_f64())
        .sum::<f64>()
        / 1e6;
    let mib = |value: &Value| value.as_f64().unwrap_or_default() / 1024.0 / 1024.0;
    println!(
        "{name:<10} {detections:.0} detections in {seconds:.2} s: {:.0} detections/s, {:.0} MB/s in, {:.0} MB/s out; guest memory {:.1} MiB, host memory {:.0} MiB",
        detections / seconds,
        received / seconds,
        written / seconds,
        mib(&ledger["usage"]["memory_peak_bytes"]),
        mib(&ledger["usage"]["host_memory_peak_bytes"]),
    );
}

fn main() {
    let hosts = number("COLLECT_HOSTS", 6_000);
    measure("plain", hosts, &["--tags", "0"], "");
    measure("tag-heavy", hosts, &["--tags", "100"], "");
    // A host with 50 detections takes about 86 kB.
    let hosts = number("COLLECT_PAGE_MB", 1_074) * 1_000 / 86;
    measure("one page", hosts, &[], &format!("hosts_per_page = {hosts}"));
}
