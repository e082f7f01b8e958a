//! Estate: a small simulated Qualys in which everything occurs, collected by the real component in the real host.

use crate::truth::{done, everything_arrived};
use crate::{Vendor, compiled, qualys_component, settings};
use connector_runtime::runs::{ContentLedger, Ledger};
use connector_runtime::testing::{Bench, Script};
use qualys_sim::RequestRecord;
use serde_json::{Value, json};

/// The usual options: few hosts, every kind of host and detection, no bulk.
const USUAL: &str = "--hosts 24 --detections 12 --info 1 --ignored 1 --disabled 1 --big-results 0 --no-ip 5 --ipv6-only 5 --rate-limit 10000";

/// A simulator with the usual options, some of them replaced.
pub fn vendor(options: &str) -> Vendor {
    let mut all = options.to_owned();
    for usual in USUAL.split("--").skip(1) {
        let name = usual.split_whitespace().next();
        let replaced = options
            .split_whitespace()
            .any(|word| word.strip_prefix("--") == name);
        if !replaced {
            all = format!("{all} --{usual}");
        }
    }
    Vendor::with(&all)
}

/// A bench in front of it, with changed settings.
#[expect(
    clippy::expect_used,
    reason = "without a bench there is nothing to test"
)]
pub async fn open(vendor: &Vendor, changes: Value) -> Bench {
    vendor
        .bench()
        .settings(settings(changes))
        .open()
        .await
        .expect("a bench")
}

/// One run.
#[expect(
    clippy::expect_used,
    reason = "the vendor's failures are in the ledger; others fail the test"
)]
pub async fn collect(bench: &mut Bench) -> Ledger {
    bench
        .collect()
        .await
        .expect("a run that comes to its ledger")
}

/// One run over a new estate.
pub async fn run(options: &str, changes: Value) -> (Vendor, Bench, Ledger) {
    let vendor = vendor(options);
    let mut bench = open(&vendor, changes).await;
    let ledger = collect(&mut bench).await;
    (vendor, bench, ledger)
}

/// One run in small pages, after which everything must be there.
pub async fn whole(options: &str) -> (Vendor, Bench, Ledger) {
    let (vendor, bench, ledger) = run(options, json!({"hosts_per_page": 7})).await;
    done(&ledger);
    everything_arrived(&vendor, &bench);
    (vendor, bench, ledger)
}

/// A counter of both content types together.
pub fn sum(ledger: &Ledger, counter: &str) -> u64 {
    ledger
        .contents
        .iter()
        .map(|content| content.counter(counter))
        .sum()
}

/// The code of the failure that a content type ended with, or survived last.
pub fn code(content: &ContentLedger) -> &str {
    content
        .failure
        .as_ref()
        .map_or("", |failure| failure.code.as_str())
}

/// A parameter of a request.
pub fn field<'a>(request: &'a RequestRecord, name: &str) -> Option<&'a str> {
    let found = request.parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// The requests for one list: `host-list` or `hld`.
pub fn calls(vendor: &Vendor, endpoint: &str) -> Vec<RequestRecord> {
    let mut requests = vendor.simulator.requests();
    requests.retain(|request| request.endpoint == endpoint);
    requests
}

/// One run of one content type against answers that we wrote ourselves.
#[expect(
    clippy::expect_used,
    reason = "without a bench there is nothing to test"
)]
pub async fn scripted(script: &Script, content_type: &str) -> (Bench, Ledger) {
    let mut bench = Bench::of(qualys_component())
        .compiled(compiled())
        .upstream(script.clone())
        .settings(settings(json!({"content_type": [content_type]})))
        .open()
        .await
        .expect("a bench");
    let ledger = collect(&mut bench).await;
    (bench, ledger)
}
