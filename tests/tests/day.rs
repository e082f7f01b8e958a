//! A day of a host with three tenants, in simulated time: the real component in the real host, in front of a simulated vendor
//! for each tenant. Every run of the day is where the rules of the schedule put it, and no other is made.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_host::rehearsal::Rehearsal;
use connector_runtime::Clock;
use connector_runtime::egress::{Upstream, UpstreamError, body_of};
use connector_runtime::testing::DEFAULT_NOW_MS;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tests::Vendor;

const MINUTE: u64 = 60_000;
/// What the third tenant's vendor asks for, again and again.
const WAIT_SECONDS: u64 = 725;

/// The site: a data directory, a clock, and a vendor for each tenant.
struct Site {
    folder: TempDir,
    clock: Clock,
    vendors: BTreeMap<String, Vendor>,
}

impl Site {
    fn new() -> Self {
        let clock = Clock::simulated(DEFAULT_NOW_MS);
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let component = tests::qualys_component();
        std::fs::copy(component, plugins.join("connector.wasm")).unwrap();
        let usual = ["--hosts", "3", "--detections", "2", "--rate-limit", "10000"];
        let vendors = ["acme", "bolt", "core"]
            .map(|tenant| (tenant.to_owned(), Vendor::on(clock.clone(), usual)));
        Self {
            folder,
            clock,
            vendors: vendors.into(),
        }
    }

    /// Each tenant's vendor answers at an address of its own.
    fn upstream(&self) -> Arc<dyn Upstream> {
        let vendors = self.vendors.clone();
        Arc::new(move |request: http::Request<bytes::Bytes>| {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let tenant = host.split('.').next().unwrap_or_default();
            let vendor = vendors.get(tenant).cloned();
            async move {
                let Some(vendor) = vendor else {
                    return Err(UpstreamError::Closed(format!("nobody answers at {host}")));
                };
                Ok(vendor.simulator.handle(request).await.map(body_of))
            }
        })
    }

    async fn open(&self) -> Rehearsal {
        let (data, plugins) = (self.path("data"), self.path("plugins"));
        Rehearsal::open(&data, &plugins, self.clock.clone(), self.upstream())
            .await
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn definition(&self, tenant: &str, interval: u64, password: &str) -> PathBuf {
        let file = self.path(&format!("{tenant}.toml"));
        let text = format!(
            "name = \"scans\"\ntype = \"qualys\"\ntenant = \"{tenant}\"\n[settings]\n\
             qualys_url = \"https://{tenant}.example.test\"\nusername = \"demo\"\npassword = \"{password}\"\n\
             interval = {interval}\ncontent_type = [\"vulnerabilities\"]\n"
        );
        write_private(&file, &text);
        file
    }

    fn calls(&self, tenant: &str) -> usize {
        self.vendors[tenant].simulator.requests().len()
    }
}

fn write_private(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file, owner).unwrap();
    }
}

/// So many minutes after the start, and a second more.
fn minute(minute: u64) -> u64 {
    DEFAULT_NOW_MS + minute * MINUTE + 1_000
}

#[tokio::test]
async fn a_day_of_three_tenants_is_exactly_what_the_schedule_promises() {
    let site = Site::new();
    let host = site.open().await;

    // Acme's connector is put into a profile at once, the others later; Bolt's password is wrong.
    host.define(&site.definition("acme", 60, "demo"))
        .await
        .unwrap();
    host.define(&site.definition("bolt", 60, "wrong"))
        .await
        .unwrap();
    host.define(&site.definition("core", 30, "demo"))
        .await
        .unwrap();
    host.add_to_profile("Default", "acme/scans").await.unwrap();
    host.until(minute(10)).await;
    host.add_to_profile("Default", "bolt/scans").await.unwrap();
    host.until(minute(20)).await;
    host.add_to_profile("Default", "core/scans").await.unwrap();

    // Core's vendor has had enough of three calls from now on.
    host.until(minute(130)).await;
    let storm = format!("rate-409={WAIT_SECONDS},at=hld,times=3");
    site.vendors["core"].simulator.set(&storm).unwrap();

    // Bolt: one call, then silence, with a sentence that says what to do.
    host.until(minute(190)).await;
    assert_eq!(site.calls("bolt"), 1);
    let (state, message) = host.status("bolt/scans").unwrap();
    assert_eq!(state, "stopped-after-refused-login");
    assert!(message.contains("the account is not locked"), "{message}");
    // Editing and a test put it right; its run is long overdue, and comes at once.
    host.edit(&site.definition("bolt", 60, "demo"))
        .await
        .unwrap();
    let report = host.test("bolt/scans").await.unwrap();
    assert!(report.passed(), "{report:?}");

    // Acme leaves its profile, and comes back in another one after its due time.
    host.until(minute(290)).await;
    host.remove_from_profile("Default", "acme/scans")
        .await
        .unwrap();
    assert_eq!(host.status("acme/scans").unwrap().0, "not-in-a-profile");
    host.add_profile("Night").await.unwrap();
    host.until(minute(400)).await;
    host.add_to_profile("Night", "acme/scans").await.unwrap();

    // The host is gone for a hundred minutes.
    host.until(minute(600)).await;
    host.crash().await;
    site.clock.advance(Duration::from_secs(100 * 60));
    let host = site.open().await;
    host.until(minute(24 * 60)).await;

    for tenant in ["acme", "bolt", "core"] {
        let (state, message) = host.status(&format!("{tenant}/scans")).unwrap();
        assert_eq!(state, "healthy", "{tenant}: {message}");
    }
    let expected = expected();
    let runs: Vec<(u64, String, String)> = host
        .runs()
        .unwrap()
        .into_iter()
        .map(|run| {
            let seconds = (run.started_ms - DEFAULT_NOW_MS) / 1_000;
            (seconds, run.connector.replace("/scans", ""), run.outcome)
        })
        .collect();
    let failed = host.runs().unwrap();
    let failed: Vec<_> = failed
        .into_iter()
        .filter(|run| run.outcome == "failed")
        .collect();
    assert_eq!(runs, expected, "{failed:#?}");
    no_call_inside_a_wait(&site.vendors["core"]);
    host.shut_down().await;
}

/// Every run of the day: seconds after the start, tenant, outcome.
fn expected() -> Vec<(u64, String, String)> {
    let mut runs = Vec::new();
    let mut ran = |tenant: &str, seconds: u64, outcome: &str| {
        runs.push((seconds, tenant.to_owned(), outcome.to_owned()));
    };
    // What a test does takes effect a second after the minute.
    let minute = |number: u64| (minute(number) - DEFAULT_NOW_MS) / 1_000;
    let mut every = |tenant: &str, first: u64, interval: u64, end: u64| {
        (0..)
            .map(|number| first + number * interval * 60)
            .take_while(|seconds| *seconds <= end * 60)
            .for_each(|seconds| ran(tenant, seconds, "done"));
    };
    every("acme", 0, 60, 290);
    every("acme", minute(400), 60, 600);
    every("bolt", minute(190), 60, 600);
    every("core", minute(20), 30, 130);
    // The storm: the fifth run is told to wait three times.
    let refused = minute(140);
    every("core", refused + 3 * WAIT_SECONDS, 30, 600);
    for tenant in ["acme", "bolt"] {
        every(tenant, minute(700), 60, 24 * 60);
    }
    every("core", minute(700), 30, 24 * 60);
    ran("bolt", minute(10), "failed");
    for number in 0..3 {
        ran("core", refused + number * WAIT_SECONDS, "postponed");
    }
    runs.sort();
    runs
}

/// From each 409 on, for as long as it says, the vendor of the storm is left alone.
fn no_call_inside_a_wait(vendor: &Vendor) {
    let requests = vendor.simulator.requests();
    let refused: Vec<Duration> = requests
        .iter()
        .filter(|request| request.status == 409)
        .map(|request| request.started)
        .collect();
    assert_eq!(refused.len(), 3);
    for refusal in refused {
        let end = refusal + Duration::from_secs(WAIT_SECONDS);
        let inside = requests
            .iter()
            .filter(|request| request.started > refusal && request.started < end);
        assert_eq!(inside.count(), 0, "calls after the 409 at {refusal:?}");
    }
}
