//! How fast a page of detections becomes records: the core compiled natively, the component in the sandbox, and the ratio.
//!
//! A dense page (1.25 kB a detection, 50 a host) and a tag-heavy one, each of `CONVERT_MB` megabytes (250). The component's
//! figure is the guest's CPU time, with what the host does while the guest waits for it (taking items over and checking
//! them) included. Figures are printed, never judged.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use bytes::Bytes;
use connector_runtime::egress::{UpstreamError, body_of};
use connector_runtime::runs::RunOutcome;
use connector_runtime::testing::Bench;
use http_body::Frame;
use http_body_util::StreamBody;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use qualys_connector::environment::{
    Body, Cache, CacheError, Clock, Item, Level, Log, Rejection, Request, Response, Sink,
    Transport, TransportError,
};
use qualys_connector::{BatchRequest, Connector};

/// A page that is made of one host, over and over, with other IDs.
struct Page {
    template: Vec<u8>,
    /// Where the template says which host it is: in its ID, and at the beginning of each UNIQUE_VULN_ID.
    places: Vec<usize>,
    hosts: u64,
    next: u64,
}

impl Body for Page {
    fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, TransportError> {
        let before = into.len();
        if self.next == 0 {
            into.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-03-02T09:15:00Z</DATETIME><HOST_LIST>");
        } else if self.next <= self.hosts {
            let at = into.len();
            into.extend_from_slice(&self.template);
            let id = format!("{:010}", self.next);
            for place in &self.places {
                into[at + place..at + place + 10].copy_from_slice(id.as_bytes());
            }
        } else if self.next == self.hosts + 1 {
            into.extend_from_slice(b"</HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>");
        } else {
            return Ok(0);
        }
        self.next += 1;
        Ok(into.len() - before)
    }
}

impl Page {
    fn new(template: &[u8], hosts: u64) -> Self {
        let places = (0..template.len())
            .filter_map(|at| {
                ["<ID>", "<UNIQUE_VULN_ID>"]
                    .into_iter()
                    .find(|tag| template[at..].starts_with(tag.as_bytes()))
                    .map(|tag| at + tag.len())
            })
            .collect();
        Self {
            template: template.to_vec(),
            places,
            hosts,
            next: 0,
        }
    }
}

#[derive(Default)]
struct World {
    template: Vec<u8>,
    hosts: u64,
    items: u64,
    bytes: u64,
    cache: HashMap<String, Vec<u8>>,
}

impl Transport for World {
    type Body = Page;
    fn send(&mut self, _: &Request) -> Result<Response<Page>, TransportError> {
        let body = Page::new(&self.template, self.hosts);
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body,
        })
    }
}

impl Sink for World {
    fn emit(&mut self, items: &mut [Item]) -> Result<(), Rejection> {
        self.items += items.len() as u64;
        self.bytes += items.iter().map(|item| item.body.len() as u64).sum::<u64>();
        Ok(())
    }
}

impl Cache for World {
    fn get(&mut self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        keys.iter()
            .map(|key| self.cache.get(key).cloned())
            .collect()
    }
    fn put(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(), CacheError> {
        // Kept small: this is a bench of the conversion, not of a map.
        self.cache.clear();
        self.cache.extend(entries.iter().cloned());
        Ok(())
    }
    fn remove(&mut self, _: &[String]) {}
}

impl Log for World {
    fn log(&mut self, _: Level, _: &str) {}
}

impl Clock for World {
    fn now_ms(&self) -> u64 {
        1_772_442_900_000
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
}

/// A dense host: 50 detections of 1.25 kB. With `tags`, a host part of about 8 kB.
fn template(tags: bool) -> Vec<u8> {
    let mut xml = String::from(
        "<HOST><ID>0000000001</ID>\n        <ASSET_ID>88120001</ASSET_ID>\n        <IP>192.0.2.15</IP>\n        <TRACKING_METHOD>AGENT</TRACKING_METHOD>\n        <NETWORK_ID>0</NETWORK_ID>\n        <OS><![CDATA[Ubuntu Linux 22.04.4]]></OS>\n        <DNS><![CDATA[build-07.corp.example]]></DNS>\n        <DNS_DATA><HOSTNAME><![CDATA[build-07]]></HOSTNAME><DOMAIN><![CDATA[corp.example]]></DOMAIN></DNS_DATA>\n        <QG_HOSTID><![CDATA[3a6b1e52-0000-4b7c-9a11-5f2d6d1c0e01]]></QG_HOSTID>\n        <LAST_SCAN_DATETIME>2026-03-02T08:41:17Z</LAST_SCAN_DATETIME>\n        <TAGS>",
    );
    for tag in 0..if tags { 100 } else { 2 } {
        xml.push_str(&format!("<TAG>\n            <TAG_ID>{}</TAG_ID>\n            <NAME><![CDATA[Servers & Build {tag}]]></NAME>\n          </TAG>", 4410 + tag));
    }
    xml.push_str("</TAGS>\n        <DETECTION_LIST>\n");
    for n in 0..50 {
        let mut one = format!(
            "          <DETECTION>\n            <UNIQUE_VULN_ID>0000000001{n:05}</UNIQUE_VULN_ID>\n            <QID>99{n:04}</QID>\n            <TYPE>Confirmed</TYPE>\n            <SEVERITY>4</SEVERITY>\n            <PORT>8443</PORT>\n            <PROTOCOL>tcp</PROTOCOL>\n            <FQDN><![CDATA[build-07.corp.example]]></FQDN>\n            <SSL>0</SSL>\n            <RESULTS><![CDATA[Package\tInstalled Version\tRequired Version\nlibdemo\t1.2.0\t1.2.9\nRESULTS_FILL]]></RESULTS>\n            <STATUS>Active</STATUS>\n            <FIRST_FOUND_DATETIME>2026-01-10T04:00:00Z</FIRST_FOUND_DATETIME>\n            <LAST_FOUND_DATETIME>2026-03-02T08:40:55Z</LAST_FOUND_DATETIME>\n            <QDS severity=\"HIGH\">78</QDS>\n            <QDS_FACTORS>\n              <QDS_FACTOR name=\"CVSS\"><![CDATA[8.1]]></QDS_FACTOR>\n              <QDS_FACTOR name=\"CVSS_version\"><![CDATA[v3.x]]></QDS_FACTOR>\n              <QDS_FACTOR name=\"epss\"><![CDATA[0.01234]]></QDS_FACTOR>\n            </QDS_FACTORS>\n            <TIMES_FOUND>204</TIMES_FOUND>\n            <LAST_TEST_DATETIME>2026-03-02T08:40:55Z</LAST_TEST_DATETIME>\n            <LAST_UPDATE_DATETIME>2026-03-02T08:41:17Z</LAST_UPDATE_DATETIME>\n            <IS_IGNORED>0</IS_IGNORED>\n            <IS_DISABLED>0</IS_DISABLED>\n            <LAST_PROCESSED_DATETIME>2026-03-02T08:41:17Z</LAST_PROCESSED_DATETIME>\n          </DETECTION>\n"
        );
        let room = 1250_usize.saturating_sub(one.len());
        one = one.replace("RESULTS_FILL", &"x".repeat(room + 12));
        xml.push_str(&one);
    }
    xml.push_str("        </DETECTION_LIST></HOST>\n");
    xml.into_bytes()
}

/// The page in pieces, as a server would send it.
fn pieces(template: &[u8], hosts: u64) -> Vec<Bytes> {
    let mut page = Page::new(template, hosts);
    let mut whole = Vec::new();
    while page.read(&mut whole).expect("a page in memory") > 0 {}
    let whole = Bytes::from(whole);
    (0..whole.len())
        .step_by(64 * 1024)
        .map(|at| whole.slice(at..whole.len().min(at + 64 * 1024)))
        .collect()
}

/// Seconds, records and bytes.
fn native(template: &[u8], hosts: u64) -> (f64, u64, u64) {
    let mut connector = Connector::new(World {
        template: template.to_vec(),
        hosts,
        ..World::default()
    });
    connector
        .configure(r#"{"qualys_url":"https://qualysapi.example.test","username":"demo","content_type":["vulnerabilities"]}"#)
        .expect("good settings");
    let started = Instant::now();
    let mut cursor = None;
    loop {
        let batch = connector
            .collect_batch(&BatchRequest {
                content_type: "vulnerabilities".into(),
                cursor: cursor.clone(),
                max_items: 5_000,
                max_bytes: 8 << 20,
                soft_deadline_ms: 10_000,
                attempt: 0,
                options: "{}".into(),
            })
            .expect("a good page");
        if !batch.more {
            break;
        }
        cursor = Some(batch.next);
    }
    let seconds = started.elapsed().as_secs_f64();
    let world = connector.environment();
    (seconds, world.items, world.bytes)
}

struct Sandboxed {
    cpu: f64,
    wall: f64,
    records: u64,
    bytes: u64,
    memory: u64,
}

fn sandboxed(template: &[u8], hosts: u64) -> Sandboxed {
    let page = Arc::new(pieces(template, hosts));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async move {
        let upstream = move |_request: http::Request<Bytes>| {
            let page = Arc::clone(&page);
            let frames = (0..page.len())
                .map(move |at| Ok::<_, std::io::Error>(Frame::data(page[at].clone())));
            let body = body_of(StreamBody::new(futures_util::stream::iter(frames)));
            std::future::ready(Ok::<_, UpstreamError>(http::Response::new(body)))
        };
        let mut bench = Bench::of(tests::qualys_component())
            .compiled(tests::compiled())
            .clock(connector_runtime::Clock::system())
            .upstream(upstream)
            .settings(tests::settings(
                serde_json::json!({"content_type": ["vulnerabilities"]}),
            ))
            .open()
            .await
            .expect("the component loads");
        let started = Instant::now();
        let ledger = bench.collect().await.expect("a run");
        let wall = started.elapsed().as_secs_f64();
        assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.reason);
        Sandboxed {
            cpu: ledger.usage.cpu_ms as f64 / 1000.0,
            wall,
            records: ledger.records,
            bytes: ledger.contents[0].bytes,
            memory: ledger.usage.memory_peak_bytes,
        }
    })
}

fn main() {
    let megabytes: u64 = std::env::var("CONVERT_MB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(250);
    for (name, tags) in [("dense", false), ("tag-heavy", true)] {
        let template = template(tags);
        let hosts = megabytes * 1_000_000 / template.len() as u64;
        let input = (hosts * template.len() as u64) as f64 / 1e6;
        let (seconds, items, bytes) = native(&template, hosts);
        println!(
            "{name:<10} native     {input:.0} MB of XML in {seconds:.2} s: {:.0} MB/s in, {:.0} MB/s out, {:.0} detections/s",
            input / seconds,
            bytes as f64 / 1e6 / seconds,
            items as f64 / seconds,
        );
        let guest = sandboxed(&template, hosts);
        assert_eq!(guest.records, items, "native and component differ");
        println!(
            "{name:<10} component  {input:.0} MB of XML in {:.2} s of guest CPU: {:.0} MB/s in, {:.0} MB/s out, {:.0} detections/s; {:.2} times native; {:.2} s until all is committed; guest memory {:.1} MiB",
            guest.cpu,
            input / guest.cpu,
            guest.bytes as f64 / 1e6 / guest.cpu,
            guest.records as f64 / guest.cpu,
            guest.cpu / seconds,
            guest.wall,
            guest.memory as f64 / 1024.0 / 1024.0,
        );
    }
}
