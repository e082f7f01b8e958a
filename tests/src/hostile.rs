//! Hostile plugins: each attack runs beside a connector that means well, on one host, which runs once more after it; then
//! the attacked one runs again and behaves. An attack on a vendor has a second neighbour, with the same origin and account,
//! which shares its quota. Whatever the attack does, [`Attack::run`] asserts that all of these succeed, so that no test can
//! forget it.

mod forged;

pub use forged::{compile_bomb, forge, forged};

use crate::{acme_component, compiled};
use connector_runtime::egress::Upstream;
use connector_runtime::limits::Limits;
use connector_runtime::plugins::Directory;
use connector_runtime::runs::{Ledger, RunOutcome};
use connector_runtime::sandbox::FaultKind;
use connector_runtime::testing::{Bench, Script};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// The origin that the attacked connector is granted.
pub const ORIGIN: &str = "https://hostile.example.test";

const TOKEN: &str = "s3cret-token";

/// Longer than a connector is held back after its first run of strikes.
const HELD_BACK: Duration = Duration::from_secs(301);

/// The component of one hostile plugin; all are built together, once per process.
#[expect(clippy::panic, reason = "without a component there is nothing to test")]
pub fn component(name: &str) -> &'static Path {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let paths =
            demo::component::build_examples("hostile").unwrap_or_else(|error| panic!("{error:#}"));
        let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
        paths
            .into_iter()
            .filter_map(|path| Some((name(&path)?, path)))
            .collect()
    });
    built
        .get(name)
        .unwrap_or_else(|| panic!("there is no hostile plugin {name}"))
}

/// The settings of a hostile plugin.
pub fn settings(attack: bool) -> Value {
    json!({"url": ORIGIN, "token_name": "demo", "token": TOKEN, "attack": attack})
}

/// A connector that means well, beside the one that is attacked: the example connector, with one asset to collect in each
/// of two runs.
struct Neighbour {
    who: &'static str,
    bench: Bench,
    runs: usize,
}

impl Neighbour {
    async fn open(who: &'static str, host: &Bench, url: &str, token: &str) -> Self {
        let asset = r#"[{"id": "a1", "seen_ms": 1772440877000}]"#;
        let script = Script::new()
            .answer(200, &[], asset)
            .answer(200, &[], asset);
        let settings = json!({"url": url, "token_name": "demo", "token": token});
        let bench = Bench::of(acme_component())
            .named("acme", who)
            .beside(host)
            .settings(settings)
            .upstream(script);
        Self {
            who,
            bench: well(bench.open().await),
            runs: 0,
        }
    }

    /// # Panics
    /// If its run is not done with its one record.
    async fn run(&mut self) {
        let ledger = well(self.bench.collect().await);
        self.runs += 1;
        succeeded(self.who, &self.bench, &ledger, self.runs);
    }
}

#[expect(clippy::panic, reason = "the host itself failed, and the test with it")]
fn well<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

fn succeeded(who: &str, bench: &Bench, ledger: &Ledger, records: usize) {
    assert_eq!(
        (ledger.outcome, ledger.records),
        (RunOutcome::Done, 1),
        "{who}: {}",
        ledger.to_json()
    );
    assert_eq!(well(bench.records()).len(), records, "{who}");
}

/// An attack that is to be made.
pub struct Attack {
    name: &'static str,
    limits: Limits,
    upstream: Box<
        dyn FnOnce(
            connector_runtime::testing::BenchBuilder,
        ) -> connector_runtime::testing::BenchBuilder,
    >,
    clock: connector_runtime::Clock,
    has_vendor: bool,
}

impl Attack {
    /// By the plugin of this name, against a vendor who does not answer.
    pub fn by(name: &'static str) -> Self {
        Self {
            name,
            limits: Limits::default(),
            upstream: Box::new(|bench| bench.upstream(Script::new())),
            clock: connector_runtime::Clock::simulated(connector_runtime::testing::DEFAULT_NOW_MS),
            has_vendor: false,
        }
    }

    /// With other limits than the defaults.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Against this vendor.
    #[must_use]
    pub fn against(mut self, upstream: impl Upstream + 'static) -> Self {
        self.upstream = Box::new(|bench| bench.upstream(upstream));
        self.has_vendor = true;
        self
    }

    /// The clock that everything will share.
    pub fn clock(&self) -> connector_runtime::Clock {
        self.clock.clone()
    }

    /// A bench for the plugin, about to attack.
    pub async fn open(self) -> Bench {
        let bench = Bench::of(component(self.name))
            .compiled(compiled())
            .named("acme", "hostile")
            .clock(self.clock)
            .settings(settings(true))
            .limits(self.limits);
        well((self.upstream)(bench).open().await)
    }

    /// Makes it, beside connectors that mean well; lets these run once more, and then the same connector, without the attack.
    ///
    /// # Panics
    /// If any of those runs is not done with its one record.
    pub async fn run(self) -> Attacked {
        let has_vendor = self.has_vendor;
        let mut bench = self.open().await;
        let elsewhere = "https://acme-scanner.example.test";
        let mut neighbours =
            vec![Neighbour::open("neighbour", &bench, elsewhere, "other-token").await];
        if has_vendor {
            // As the attacked one has it in `settings`: one account, one quota.
            neighbours.push(Neighbour::open("flatmate", &bench, ORIGIN, TOKEN).await);
        }
        let beside = futures_util::future::join_all(neighbours.iter_mut().map(Neighbour::run));
        let (ledger, _) = tokio::join!(bench.collect(), beside);
        // Those beside it may have ended before the harm was done.
        for neighbour in &mut neighbours {
            neighbour.run().await;
        }
        let attacked = Attacked {
            ledger: well(ledger),
            records: well(bench.records()),
            cache: well(bench.cache()),
            cursor: well(bench.cursor("things")),
            logs: bench.logs().into_iter().map(|line| line.message).collect(),
        };
        bench.clock().advance(HELD_BACK);
        well(bench.set_settings(&settings(false)));
        let next = well(bench.collect().await);
        succeeded("the next run", &bench, &next, attacked.records.len() + 1);
        attacked
    }
}

/// What an attack left behind.
pub struct Attacked {
    /// The ledger of its run.
    pub ledger: Ledger,
    /// What it got into the journal.
    pub records: Vec<Value>,
    /// What it got into its cache.
    pub cache: BTreeMap<String, Vec<u8>>,
    /// Its cursor.
    pub cursor: Option<String>,
    /// What it logged.
    pub logs: Vec<String>,
}

impl Attacked {
    /// Kind, call and sentence of every fault.
    pub fn faults(&self) -> Vec<(FaultKind, &'static str, String)> {
        let contents = self.ledger.contents.iter();
        contents
            .flat_map(|content| &content.faults)
            .map(|fault| (fault.kind, fault.call, fault.message.clone()))
            .collect()
    }

    /// What the plugin saw: its notices, by their codes.
    pub fn saw(&self) -> BTreeMap<&str, &str> {
        let contents = self.ledger.contents.iter();
        contents
            .flat_map(|content| &content.notices)
            .map(|notice| (notice.code.as_str(), notice.message.as_str()))
            .collect()
    }

    /// Asserts that it was stopped three times with these sentences, that the run was given up, and that nothing is left.
    pub fn struck_out(&self, kind: FaultKind, sentences: [&str; 3]) {
        let expected = sentences.map(|sentence| (kind, "collect-batch", sentence.to_owned()));
        assert_eq!(self.faults(), expected, "{}", self.ledger.to_json());
        assert!(self.ledger.struck_out);
        assert_eq!(self.ledger.outcome, RunOutcome::Failed);
        assert_eq!((self.records.len(), self.cache.len()), (0, 0));
        assert_eq!(self.cursor, None);
    }

    /// Asserts that the run ended well, with one record, whatever was tried.
    pub fn came_to_nothing(&self) {
        let outcome = (self.ledger.outcome, self.ledger.records);
        assert_eq!(outcome, (RunOutcome::Done, 1), "{}", self.ledger.to_json());
        assert_eq!(self.faults(), []);
    }
}

/// Puts a file beside the example connector's into a plugin directory and loads both, while that connector runs. Returns
/// the sentence with which the file is refused, without its path.
///
/// # Panics
/// If it is not refused, or anything happens to the other.
#[expect(clippy::panic, reason = "a file that is accepted is what must not be")]
pub async fn refusal(bytes: &[u8], limits: Limits) -> String {
    let folder = well(tempfile::tempdir());
    let hostile = folder.path().join("hostile.wasm");
    well(std::fs::write(&hostile, bytes));
    well(std::fs::copy(
        acme_component(),
        folder.path().join("scanner.wasm"),
    ));
    let asset = r#"[{"id": "a1", "seen_ms": 1772440877000}]"#;
    let script = Script::new()
        .answer(200, &[], asset)
        .answer(200, &[], asset);
    let mut bench = well(
        Bench::of(acme_component())
            .compiled(compiled())
            .limits(limits)
            .settings(json!({"url": "https://acme-scanner.example.test", "token_name": "demo", "token": "other-token"}))
            .upstream(script)
            .open()
            .await,
    );
    let engine = bench.engine().clone();
    let (directory, beside) =
        tokio::join!(Directory::load(&engine, folder.path()), bench.collect());
    succeeded("the run beside", &bench, &well(beside), 1);
    let next = well(bench.collect().await);
    succeeded("the next run", &bench, &next, 2);
    let directory = well(directory);
    assert!(directory.find("acme-scanner").is_some());
    let listing = directory
        .listings()
        .iter()
        .find(|listing| listing.path == hostile);
    let Some(refused) = listing.and_then(|listing| listing.refused.as_deref()) else {
        panic!("the file was accepted");
    };
    refused
        .trim_start_matches(&*hostile.to_string_lossy())
        .trim_start_matches(": ")
        .trim_end_matches(" The file was skipped.")
        .to_owned()
}
