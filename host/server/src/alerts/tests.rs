//! Alerts from what is seen to what arrives, in simulated time.

use super::message::key;
use super::webhook::{Attempt, Scope};
use super::*;
use crate::config::Config;
use crate::connectors::alert::AlertFilter;
use crate::connectors::definition::Entry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_runtime::egress::{Origin, Upstream, UpstreamError, body_of};
use http::Request;
use http_body_util::Empty;
use ring::hmac;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use url::Url;

const SECRET: &str = "a secret of twenty-four bytes";
const START: u64 = 1_772_442_900_000;
const HOUR: u64 = 3_600_000;

/// A request as it arrived.
struct Arrival {
    at: u64,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Arrival {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct Site {
    directory: TempDir,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    sender: UnboundedSender<Arrival>,
    arrivals: UnboundedReceiver<Arrival>,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = open(directory.path());
        let (sender, arrivals) = unbounded_channel();
        Self {
            directory,
            catalogue,
            clock: Clock::simulated(START),
            sender,
            arrivals,
        }
    }

    /// The same data directory, opened by a later process.
    fn restarted(self) -> Self {
        let Self {
            directory,
            catalogue,
            ..
        } = self;
        assert_eq!(Arc::strong_count(&catalogue), 1);
        drop(catalogue);
        let (sender, arrivals) = unbounded_channel();
        Self {
            catalogue: open(directory.path()),
            directory,
            sender,
            arrivals,
            clock: self.clock,
        }
    }

    async fn connector(&self, tenant: &str, name: &str) -> Seen {
        let entry = Entry {
            tenant: tenant.into(),
            name: name.into(),
            kind: "acme-scanner".into(),
            run_on: "dp".into(),
            active: true,
            settings: json!({}),
            content_types: vec!["assets".into()],
            interval_minutes: 5,
            version: "0.1.0".into(),
            secrets: Vec::new(),
        };
        Seen {
            connector: self.catalogue.create(entry).await.unwrap(),
            name: format!("{tenant}/{name}"),
            state: "healthy".into(),
            message: "all is well".into(),
            since_ms: START,
            expected_since_ms: START,
            last_data_ms: Some(START),
            due_ms: None,
            interval: Duration::from_secs(300),
        }
    }

    /// A destination that answers as `script` says, and 200 from then on; 0 is no answer at all.
    fn webhook(&self, name: &str, scope: Scope, script: &[u16]) -> Webhook {
        self.webhook_at("https://hooks.example.test/a", name, scope, script)
    }

    fn webhook_at(&self, url: &str, name: &str, scope: Scope, script: &[u16]) -> Webhook {
        let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
        let (clock, sender) = (self.clock.clone(), self.sender.clone());
        let upstream = move |request: Request<Bytes>| {
            let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
            let arrival = Arrival {
                at: clock.now_ms(),
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp"),
                signature: header("webhook-signature"),
                body: String::from_utf8(request.body().to_vec()).unwrap(),
            };
            let status = script.lock().unwrap().pop_front().unwrap_or(200);
            let sender = sender.clone();
            async move {
                sender.send(arrival).unwrap();
                match status {
                    0 => std::future::pending().await,
                    1 => Err(UpstreamError::Closed("it hung up".into())),
                    status => Ok(http::Response::builder()
                        .status(status)
                        .body(body_of(Empty::<Bytes>::new()))
                        .unwrap()),
                }
            }
        };
        let url = Url::parse(url).unwrap();
        let origin = Origin::parse(&url.origin().ascii_serialization(), true).unwrap();
        Webhook::new(
            name,
            scope,
            url,
            origin,
            key(SECRET).unwrap(),
            Arc::new(upstream),
        )
    }

    fn alerts(&self, webhooks: Vec<Webhook>) -> Alerts {
        let (catalogue, clock) = (Arc::clone(&self.catalogue), self.clock.clone());
        Alerts::new(catalogue, clock, Rules::default(), webhooks).unwrap()
    }

    /// Delivers until so many requests have arrived, and whatever they led to is kept.
    async fn arrivals(&mut self, alerts: &Alerts, count: usize) -> Vec<Arrival> {
        let mut all = Vec::new();
        let catalogue = Arc::clone(&self.catalogue);
        let until = async {
            while all.len() < count {
                all.push(self.arrivals.recv().await.unwrap());
            }
            let last = &all.last().unwrap().id;
            // What came of the last attempt is being written.
            while catalogue.attempts_of(last) == Some(u32::MAX) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = until => {}
            () = alerts.deliver() => unreachable!("it goes on for ever"),
        }
        all
    }
}

fn open(directory: &Path) -> Arc<Catalogue> {
    let catalogue = Catalogue::open(directory).unwrap();
    catalogue.journal().set_disk_floor(0);
    Arc::new(catalogue)
}

fn in_state(seen: &Seen, state: &str) -> Seen {
    Seen {
        state: state.into(),
        message: format!("{} is {state}", seen.name),
        ..seen.clone()
    }
}

fn kinds(changed: &[StoredAlert]) -> Vec<(&str, bool)> {
    changed
        .iter()
        .map(|alert| (alert.kind.as_str(), alert.cleared.is_some()))
        .collect()
}

fn open_alerts(site: &Site, tenant: Option<&str>) -> Vec<String> {
    let filter = AlertFilter {
        tenant: tenant.map(str::to_owned),
        open: Some(true),
        ..AlertFilter::default()
    };
    let (total, alerts) = site.catalogue.alerts(&filter).unwrap();
    assert_eq!(total, alerts.len() as u64);
    alerts
        .into_iter()
        .map(|alert| format!("{} {}", alert.connector, alert.kind))
        .collect()
}
