//! What the tests of the whole share: the built components, and a simulated Qualys behind a bench.

pub mod components;
#[cfg(target_os = "linux")]
pub mod crowd;
pub mod desk;
pub mod estate;
pub mod hostile;
pub mod loopback;
pub mod process;
pub mod secrets;
pub mod truth;

use bytes::Bytes;
use connector_runtime::Clock;
use connector_runtime::egress::{Upstream, UpstreamError, body_of};
use connector_runtime::testing::{Bench, BenchBuilder, DEFAULT_NOW_MS};
use qualys_sim::{SimConfig, SimTime, Simulator, Sleep};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The Qualys connector, freshly built, once per process.
pub fn qualys_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("qualys-connector"))
}

/// The example connector.
pub fn acme_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("acme-scanner-connector"))
}

/// The plugin that passes on whatever it is told.
pub fn parrot_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("parrot-connector"))
}

#[expect(clippy::panic, reason = "without a component there is nothing to test")]
fn built(package: &str) -> PathBuf {
    demo::component::build(package).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Where compiled code is kept between tests, so that each starts at once.
pub fn compiled() -> PathBuf {
    let folder = acme_component().parent().unwrap_or(Path::new("."));
    folder.join("compiled-for-tests")
}

/// A simulated Qualys and the clock that it shares with a bench.
#[derive(Clone)]
pub struct Vendor {
    /// The simulator.
    pub simulator: Simulator,
    /// The clock of limits, delays and waits.
    pub clock: Clock,
}

struct SharedTime(Clock);

impl SimTime for SharedTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        let clock = self.0.clone();
        Box::pin(async move { clock.sleep(span).await })
    }
}

impl Vendor {
    /// A simulator with these options of its command line.
    pub fn new<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        Self::on(Clock::simulated(DEFAULT_NOW_MS), options)
    }

    /// Like [`Vendor::new`], on a clock that others share, too.
    #[expect(clippy::panic, reason = "wrong options are a mistake in the test")]
    pub fn on<'a>(clock: Clock, options: impl IntoIterator<Item = &'a str>) -> Self {
        let simulator = SimConfig::from_options(options)
            .map_err(|error| error.to_string())
            .and_then(|config| {
                Simulator::new(config, Arc::new(SharedTime(clock.clone())))
                    .map_err(|error| error.to_string())
            })
            .unwrap_or_else(|error| panic!("{error}"));
        Self { simulator, clock }
    }

    /// Options separated by blanks.
    pub fn with(options: &str) -> Self {
        Self::new(options.split_whitespace())
    }

    /// The way to it that a bench's egress takes.
    pub fn upstream(&self) -> impl Upstream + use<> {
        let simulator = self.simulator.clone();
        move |request: http::Request<Bytes>| {
            let simulator = simulator.clone();
            async move { Ok::<_, UpstreamError>(simulator.handle(request).await.map(body_of)) }
        }
    }

    /// A bench of the Qualys connector in front of it.
    pub fn bench(&self) -> BenchBuilder {
        Bench::of(qualys_component())
            .compiled(compiled())
            .clock(self.clock.clone())
            .upstream(self.upstream())
            .settings(settings(json!({})))
    }
}

/// The connector's settings for the simulator, with changes.
pub fn settings(changes: Value) -> Value {
    let mut settings = json!({
        "qualys_url": "https://qualysapi.example.test/",
        "username": "demo",
        "password": "demo",
        "interval": 5,
        "content_type": ["hosts", "vulnerabilities"],
    });
    if let (Some(all), Value::Object(changes)) = (settings.as_object_mut(), changes) {
        all.extend(changes);
    }
    settings
}
