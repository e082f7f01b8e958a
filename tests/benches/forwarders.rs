//! The file forwarder: records a second from the journal until they are durable, for each compression. Figures are printed,
//! never judged.
//!
//! `FORWARD_RECORDS` records of about 1.4 kB, each listed in two indices and so written twice (500000).

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use connector_host::rehearsal::forwarding::{self, forward};
use connector_runtime::Clock;
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Block, Commit};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Records of one block.
const BLOCK: u64 = 1_000;
const NOW: u64 = 1_772_442_031_123;

/// A detection as scanners tell it: much is the same from one to the next, and some is not.
fn record(n: u64, out: &mut String) {
    let noise = n.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17);
    let host = n / 50;
    let results: String = (0..6)
        .map(|line| {
            let part = noise.rotate_left(line * 9);
            format!(
                "libdemo-{part:016x}\\t1.{}.{}\\t1.{}.9\\n",
                part % 10,
                part % 37,
                part % 10
            )
        })
        .collect();
    write!(
        out,
        r#"{{"msg_class":"acme_vulnerabilities","timestamp":{timestamp},"write_time":{NOW},"stellar_uuid":"{noise:08x}-{n:012x}-5d1b-9a4e-0f2b{timestamp}","tenantid":"00000000000000000000000000000001","tenant_name":"acme","msg_origin":{{"source":"acme_scanner","vendor":"acme","category":"security_scan","processor":{{"id":"659f34c1ba3f87505be3c33d","name":"acme_scanner","type":"log_collector"}}}},"engid":"acme_scanner_bench","engid_name":"acme_scanner_bench","engid_gateway":"","locid":"unassigned location","domain":"https://scanner.example.test","srcip":"192.0.2.{ip}","srcip_host":"build-{host}.corp.example","srcip_version":"ipv4","srcip_type":"public","host":{{"id":"{host}","ip":["192.0.2.{ip}"],"name":"build-{host}.corp.example","os":{{"full":"Ubuntu Linux 22.04.4","type":"linux"}}}},"event":{{"id":"{noise}","category":"vulnerability","type":"info","severity":{severity},"severity_str":"high"}},"vulnerability":{{"id":"{qid}","enumeration":"ACME","severity":"high","status":"Active","score":{{"base":8.1,"version":"3.x"}},"scanner":{{"vendor":"Acme"}}}},"acme_scanner":{{"ID":"{host}","IP":"192.0.2.{ip}","TRACKING_METHOD":"AGENT","DETECTION":{{"ID":"{noise}","CHECK":"{qid}","TYPE":"Confirmed","SEVERITY":"{severity}","STATUS":"Active","RESULTS":"Package\tInstalled Version\tRequired Version\n{results}"}}}}}}"#,
        timestamp = NOW - noise % 86_400_000,
        ip = host % 250,
        severity = noise % 5 + 1,
        qid = 991_000 + noise % 400,
    )
    .expect("memory");
    out.push('\n');
}

fn fill(data: &Path, records: u64, runtime: &Runtime) -> u64 {
    let journal = forwarding::journal(data).expect("a journal");
    let connector = journal
        .connector("acme", "scanner-1", "acme-scanner")
        .expect("a connector")
        .id;
    let (mut text, mut bytes) = (String::new(), 0);
    for block in 0..records / BLOCK {
        text.clear();
        (block * BLOCK..(block + 1) * BLOCK).for_each(|n| record(n, &mut text));
        bytes += text.len() as u64;
        let indices = [Index::Syslog, Index::Scans];
        let commit = Commit {
            connector: connector.clone(),
            content_type: "vulnerabilities".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: block.to_string(),
            written_ms: NOW,
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(
                Block::press(&indices, BLOCK, Some((NOW, NOW)), text.as_bytes(), b"{}")
                    .expect("a block"),
            ),
        };
        runtime.block_on(journal.commit(commit)).expect("a commit");
    }
    bytes
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => size(&path),
            path => path.metadata().map_or(0, |metadata| metadata.len()),
        })
        .sum()
}

fn main() {
    let text = std::env::var("FORWARD_RECORDS").ok();
    let records = text.and_then(|text| text.parse().ok()).unwrap_or(500_000);
    let runtime = Runtime::new().expect("threads");
    let directory = tempfile::tempdir().expect("a folder");
    let bytes = fill(directory.path(), records, &runtime);
    for compression in ["zstd", "gzip", "none"] {
        let forwarder = format!(
            "[[forwarders]]\nname = \"{compression}\"\nkind = \"files\"\npath = \"{compression}\"\ncompression = \"{compression}\"\n"
        );
        std::fs::write(directory.path().join("host.toml"), forwarder).expect("a file");
        let started = Instant::now();
        let clock = Clock::system();
        let done = forward(directory.path(), compression, &clock, runtime.handle())
            .expect("the forwarder writes");
        let seconds = started.elapsed().as_secs_f64();
        let count = f64::from(u32::try_from(done).unwrap_or(u32::MAX));
        println!(
            "{compression:<5} {count:.0} records, each into two indices, in {seconds:.2} s: {:.0} records/s; {} MB became 2 x {} MB",
            count / seconds,
            bytes / 1_000_000,
            size(&directory.path().join(compression)) / 2_000_000,
        );
    }
}
