//! The search index by itself: records a second until they can be searched, the time of searches over many records, memory
//! and disk. Figures are printed, never judged.
//!
//! `SEARCH_RECORDS` records of the shape and size that a vulnerability has (1000000).

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use connector_host::rehearsal::searching::Searching;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BLOCK: u64 = 2_000;
const REPEATS: usize = 21;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A number that looks random, the same every time.
fn mixed(seed: u64, end: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ (value >> 31)) % end
}

fn record(out: &mut String, at: u64, now_ms: u64) {
    let host = at / 50;
    let timestamp = now_ms - mixed(at, 14 * 24 * 3_600_000);
    let severity = 1 + mixed(at * 3, 5);
    let word = ["informational", "low", "medium", "high", "critical"]
        [usize::try_from(severity - 1).unwrap_or_default()];
    let finding = 100_000 + mixed(at * 5, 3_000);
    let status = ["Active", "Active", "New", "Fixed", "Re-Opened"]
        [usize::try_from(mixed(at * 7, 5)).unwrap_or_default()];
    let ip = format!("192.0.2.{}", host % 250);
    let name = format!("build-{host:05}.corp.example.test");
    let minor = mixed(at * 11, 40);
    let uuid = format!(
        "{:08x}-{:04x}-5d1b-9a4e-{at:012x}",
        mixed(at * 13, 1 << 32),
        mixed(at * 17, 1 << 16)
    );
    let written = write!(
        out,
        r#"{{"msg_class":"acme_findings","timestamp":{timestamp},"write_time":{now_ms},"stellar_uuid":"{uuid}{timestamp}","tenantid":"00000000000000000000000000000001","tenant_name":"acme","msg_origin":{{"source":"acme_scanner","vendor":"acme","category":"security_scan","processor":{{"id":"659f34c1ba3f87505be3c33d","name":"acme_scanner","type":"log_collector"}}}},"engid":"acme_scanner_demo","engid_name":"acme_scanner_demo","engid_gateway":"","locid":"unassigned location","domain":"https://scanner.example.test","srcip":"{ip}","srcip_host":"{name}","srcip_version":"ipv4","srcip_type":"public","host":{{"id":"{host}","ip":["{ip}"],"name":"{name}","hostname":"build-{host:05}","os":{{"full":"Ubuntu Linux 22.04.{}","type":"linux"}}}},"event":{{"id":"{at}","category":"vulnerability","type":"info","severity":{severity},"severity_str":"{word}"}},"vulnerability":{{"id":"{finding}","enumeration":"QID","severity":"{word}","status":"{status}","qds":{},"epss":0.0{},"score":{{"base":{}.{},"version":"3.x"}},"scanner":{{"vendor":"Acme"}},"cve":["CVE-2026-{finding}"],"title":"A weakness of library number {finding} that somebody reported"}},"acme_scanner":{{"ID":"{host}","IP":"{ip}","TRACKING_METHOD":"AGENT","OS":"Ubuntu Linux 22.04","LAST_SCAN":"2026-03-{:02}T09:{:02}:{:02}Z","DETECTION":{{"UNIQUE_ID":"{at}","FINDING":"{finding}","TYPE":"Confirmed","SEVERITY":"{severity}","SSL":"0","STATUS":"{status}","TIMES_FOUND":"{}","RESULTS":"Package\tInstalled Version\tRequired Version\nlibdemo{minor}\t1.{minor}.0\t1.{minor}.9\nlibother\t2.{minor}.1\t2.{minor}.7","FACTORS":[{{"name":"CVSS","value":"8.1"}},{{"name":"CVSS_version","value":"v3.x"}}]}}}}}}"#,
        host % 6,
        mixed(at * 19, 100),
        mixed(at * 23, 1_000),
        mixed(at * 29, 10),
        mixed(at * 31, 10),
        1 + host % 28,
        mixed(host, 60),
        mixed(host * 3, 60),
        mixed(at * 37, 90),
    );
    written.expect("a text takes everything");
    out.push('\n');
}

fn anonymous_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn mebibytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the index has a folder");
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    sizes.sum::<u64>() >> 20
}

fn measure(searching: &Searching, query: &str, counted: Option<&str>) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..REPEATS {
        let started = Instant::now();
        found = searching.search(query, counted).expect("an answer");
        times.push(started.elapsed());
    }
    times.sort();
    let counted = counted.map_or("", |_| ", with histogram and top values");
    println!(
        "{query}{counted}: {found} records, median {:.1} ms, slowest {:.1} ms",
        times[REPEATS / 2].as_secs_f64() * 1e3,
        times[REPEATS - 1].as_secs_f64() * 1e3
    );
}

#[tokio::main]
async fn main() {
    let records = number("SEARCH_RECORDS", 1_000_000);
    let data = tempfile::tempdir().expect("a directory");
    let mut searching = Searching::open(data.path()).expect("a journal and an index");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or_default();
    let (mut at, mut bytes, mut spent, mut peak) = (0, 0, Duration::ZERO, 0);
    while at < records {
        // In rounds, so that the time of making records does not count.
        let round = (at + 100_000).min(records);
        while at < round {
            let mut lines = String::new();
            for _ in 0..BLOCK.min(round - at) {
                record(&mut lines, at, now_ms);
                at += 1;
            }
            bytes += lines.len() as u64;
            searching.write(&lines).await.expect("a commit");
        }
        let started = Instant::now();
        searching.follow().expect("the index takes them");
        spent += started.elapsed();
        peak = anonymous_mib("RssAnon:").max(peak);
    }
    println!(
        "indexing: {records} records ({} MiB) in {:.1} s: {:.0} records/s; anonymous memory up to {peak} MiB between commits, resident peak {} MiB (mapped files included)",
        bytes >> 20,
        spent.as_secs_f64(),
        records as f64 / spent.as_secs_f64(),
        anonymous_mib("VmHWM:"),
    );
    println!("disk: {} MiB", mebibytes(&data.path().join("index")));
    for query in [
        "event.severity:5 AND vulnerability.status:Active",
        "event.severity:>=4 AND NOT vulnerability.status:Fixed",
        "vulnerability.id:100042 AND event.severity:[2 TO 4]",
        "host.name:build-0012* AND acme_scanner.LAST_SCAN:[2026-03-01 TO 2026-03-10]",
        "\"CVE-2026-100042\" AND vulnerability.qds:>50",
    ] {
        measure(&searching, query, None);
        measure(&searching, query, Some("vulnerability.id"));
    }
    println!(
        "anonymous memory behind the searches: {} MiB",
        anonymous_mib("RssAnon:")
    );
}
