//! A run that is asked to stop keeps what it has, says so, and goes on later.

use bytes::Bytes;
use connector_runtime::Limits;
use connector_runtime::egress::{Upstream as _, UpstreamError};
use connector_runtime::runs::{RunOutcome, Stop};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tests::process::{SimProcess, Site};
use tests::truth::{Truth, done};
use tests::{Vendor, settings};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

#[tokio::test]
async fn a_run_that_is_asked_to_stop_ends_with_a_ledger_and_the_next_one_goes_on() {
    let vendor = Vendor::with("--hosts 40 --detections 3 --seed 5");
    let stop = Stop::default();
    let asked = Arc::new(AtomicU32::new(0));
    let upstream = {
        let (vendor, stop, asked) = (Arc::new(vendor.upstream()), stop.clone(), asked.clone());
        move |request: http::Request<Bytes>| {
            let answer = vendor.send(request);
            // The third request of the detections finds somebody pressing a key, and no answer ever.
            let stops = asked.fetch_add(1, Ordering::SeqCst) == 6;
            let stop = stop.clone();
            async move {
                if stops {
                    stop.request();
                    std::future::pending::<()>().await;
                }
                answer.await.map_err(|error: UpstreamError| error)
            }
        }
    };
    let mut bench = vendor
        .bench()
        .upstream(upstream)
        .settings(settings(json!({"hosts_per_page": 10})))
        .limits(Limits {
            batch_items: 20,
            ..Limits::default()
        })
        .open()
        .await
        .unwrap();
    bench.options.stop = stop;
    let ledger = bench.collect().await.unwrap();
    assert_eq!(ledger.outcome, RunOutcome::Stopped, "{}", ledger.to_json());
    assert!(ledger.reason.contains("asked to stop"), "{}", ledger.reason);
    assert!(
        ledger.records > 40 && ledger.records < 160,
        "{}",
        ledger.records
    );
    let run = &bench.journal().runs(None, 1).unwrap()[0];
    assert_eq!(run.outcome.as_deref(), Some("stopped"));

    bench.options.stop = Stop::default();
    done(&bench.collect().await.unwrap());
    let records = bench.records().unwrap();
    let truth = Truth::of(&vendor);
    truth.check_hosts(&records);
    truth.check_detections(&records);
}

#[test]
fn a_terminated_process_prints_its_ledger_and_the_next_one_goes_on() {
    let sim = SimProcess::start(
        SIM,
        &[
            "--hosts",
            "60",
            "--detections",
            "4",
            "--user",
            "demo",
            "--password",
            "demo",
            "--switch",
            "stall=4000:600,at=hld,times=1",
        ],
    )
    .unwrap();
    let site = Site::new(HOST, &sim.address, "hosts_per_page = 20").unwrap();
    let run = site
        .command(&["collect", "qualys.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The answer to the first page of detections never comes to its end.
    while !sim.get("/_sim/requests").unwrap().contains("\"hld\"") {
        std::thread::yield_now();
    }
    let told = std::process::Command::new("kill")
        .arg(run.id().to_string())
        .status();
    assert!(told.unwrap().success());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let ledger: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ledger["outcome"], "stopped", "{ledger}");
    assert_eq!(ledger["contents"][0]["outcome"], "done");

    let output = site.run(&["collect", "qualys.toml"]).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(site.export("scans").unwrap().len(), 240);
}
