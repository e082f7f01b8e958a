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
use connector_runtime::egress::{Origin, UpstreamError, body_of};
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

    fn alerts(&self, webhooks: Vec<Webhook>) -> Arc<Alerts> {
        let (catalogue, clock) = (Arc::clone(&self.catalogue), self.clock.clone());
        Arc::new(Alerts::new(catalogue, clock, Rules::default(), webhooks).unwrap())
    }

    async fn look(&self, alerts: &Alerts, seen: &[Seen]) -> Vec<StoredAlert> {
        // The journal's thread takes no simulated time.
        let _held = self.clock.hold();
        alerts.look_at_all(seen).await.unwrap()
    }

    async fn arrivals(&mut self, count: usize) -> Vec<Arrival> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.arrivals.recv().await.unwrap());
        }
        all
    }

    /// What is queued for a destination, next: its id and the attempts that have failed.
    fn queued(&self, webhook: &str) -> Option<(String, u32)> {
        let next = self.catalogue.next_delivery(webhook).unwrap();
        next.map(|(_, delivery)| (delivery.id, delivery.attempts))
    }

    /// Lets the others work until it is so.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            tokio::task::yield_now().await;
        }
    }
}

/// Delivers beside the test.
fn delivering(alerts: &Arc<Alerts>) -> tokio::task::JoinHandle<()> {
    let alerts = Arc::clone(alerts);
    tokio::spawn(async move { alerts.deliver().await })
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
        .map(|alert| {
            let about = alert.connector.or(alert.subject).unwrap();
            format!("{about} {}", alert.kind)
        })
        .collect()
}

#[tokio::test]
async fn an_alert_is_raised_once_and_cleared_once_and_both_arrive_signed() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &[])]);
    let delivery = delivering(&alerts);
    let mut changed = Vec::new();
    for state in [
        "healthy",
        "failing",
        "collecting",
        "failing",
        "waiting",
        "healthy",
        "healthy",
    ] {
        changed.extend(site.look(&alerts, &[in_state(&seen, state)]).await);
    }
    assert_eq!(kinds(&changed), [("failing", false), ("failing", true)]);
    let arrived = site.arrivals(2).await;
    let bodies: Vec<_> = arrived.iter().map(Arrival::json).collect();
    assert_eq!(
        bodies[0],
        json!({
            "version": 1,
            "type": "alert.raised",
            "timestamp": "2026-03-02T09:15:00Z",
            "data": {
                "alert": {
                    "id": changed[0].id, "kind": "failing", "message": "acme/scanner-1 is failing",
                    "since": "2026-03-02T09:15:00Z", "raised": "2026-03-02T09:15:00Z", "cleared": null,
                },
                "connector": {"id": seen.connector, "name": "scanner-1"},
                "tenant": {"id": changed[0].tenant_id, "name": "acme"},
            },
        })
    );
    assert_eq!(bodies[1]["type"], "alert.cleared");
    assert_eq!(bodies[1]["data"]["alert"]["id"], changed[0].id);
    assert_ne!(arrived[0].id, arrived[1].id);
    for arrival in &arrived {
        let signed = format!("{}.{}.{}", arrival.id, arrival.timestamp, arrival.body);
        let signature = arrival.signature.strip_prefix("v1,").unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        let seconds: u64 = arrival.timestamp.parse().unwrap();
        assert_eq!(seconds, arrival.at / 1000);
    }
    site.until(|site| site.queued("on-call").is_none()).await;
    delivery.abort();
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_under_the_same_id_later_and_later() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let refusals = [500, 302, 404, 429, 1, 503, 503, 503];
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &refusals)]);
    site.look(&alerts, &[in_state(&seen, "failing")]).await;
    let delivery = delivering(&alerts);
    let arrived = site.arrivals(9).await;
    let first = &arrived[0];
    assert!(arrived.iter().all(|arrival| arrival.id == first.id));
    assert!(arrived.iter().all(|arrival| arrival.body == first.body));
    let pauses: Vec<u64> = arrived
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at) / 60_000)
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_ne!(arrived[1].signature, first.signature, "of another time");
    site.until(|site| site.queued("on-call").is_none()).await;
    delivery.abort();
}

#[tokio::test]
async fn after_three_days_a_message_is_given_up_with_an_event_and_the_next_one_arrives() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let refusals = [503; 100];
    let alerts = site.alerts(vec![site.webhook(
        "on-call",
        Scope::default(),
        &refusals[..78],
    )]);
    site.look(&alerts, &[in_state(&seen, "failing")]).await;
    let delivery = delivering(&alerts);
    site.until(|site| site.queued("on-call").is_none()).await;
    let mut tried = Vec::new();
    while let Ok(arrival) = site.arrivals.try_recv() {
        tried.push(arrival);
    }
    let last = tried.last().unwrap().at - START;
    assert!((72 * HOUR..74 * HOUR).contains(&last), "{last}");
    let events = site.catalogue.events(&seen.connector, 1).unwrap();
    assert_eq!(events[0].kind, "alert");
    let text = &events[0].text;
    assert!(
        text.contains("on-call") && text.contains("given up: it answered 503"),
        "{text}"
    );
    let healthy = Seen {
        last_data_ms: Some(site.clock.now_ms()),
        ..in_state(&seen, "healthy")
    };
    site.look(&alerts, &[healthy]).await;
    let arrived = site.arrivals(1).await.remove(0);
    assert_eq!(arrived.json()["type"], "alert.cleared");
    delivery.abort();
}

#[tokio::test]
async fn a_restart_loses_no_message_and_changes_no_id() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &[503])]);
    site.look(&alerts, &[in_state(&seen, "suspended")]).await;
    let delivery = delivering(&alerts);
    let before = site.arrivals(1).await.remove(0);
    site.until(|site| {
        site.queued("on-call")
            .is_some_and(|(_, attempts)| attempts == 1)
    })
    .await;
    delivery.abort();
    assert!(delivery.await.unwrap_err().is_cancelled());
    drop(alerts);
    let mut site = site.restarted();
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &[])]);
    let again = site.look(&alerts, &[in_state(&seen, "suspended")]).await;
    assert!(again.is_empty(), "it is open already");
    let delivery = delivering(&alerts);
    let after = site.arrivals(1).await.remove(0);
    assert_eq!((after.id, after.body), (before.id, before.body));
    site.until(|site| site.queued("on-call").is_none()).await;
    delivery.abort();
}

#[tokio::test]
async fn a_destination_that_never_answers_holds_up_no_other() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let alerts = site.alerts(vec![
        site.webhook("silent", Scope::default(), &[0; 100]),
        site.webhook("on-call", Scope::default(), &[]),
    ]);
    let delivery = delivering(&alerts);
    for state in ["failing", "healthy", "failing", "healthy"] {
        site.look(&alerts, &[in_state(&seen, state)]).await;
    }
    site.until(|site| site.queued("on-call").is_none()).await;
    assert!(site.queued("silent").is_some());
    // One that was begun at the silent destination, and all four at the other.
    assert_eq!(site.arrivals(5).await.len(), 5);
    delivery.abort();
}

#[tokio::test]
async fn a_destination_hears_of_its_tenants_and_kinds_only_and_nothing_of_others() {
    let mut site = Site::new();
    let acme = site.connector("acme", "scanner-1").await;
    let other = site.connector("umbrella", "secret-project").await;
    let scope = |tenants: Option<&str>, kinds: Option<Kind>| Scope {
        tenants: tenants.map(|tenant| vec![tenant.to_owned()]),
        kinds: kinds.map(|kind| vec![kind]),
    };
    let alerts = site.alerts(vec![site.webhook(
        "of-acme",
        scope(Some("acme"), Some(Kind::Failing)),
        &[],
    )]);
    let seen = [in_state(&other, "failing"), in_state(&acme, "failing")];
    site.look(&alerts, &seen).await;
    let seen = [
        in_state(&other, "incomplete"),
        in_state(&acme, "incomplete"),
    ];
    site.look(&alerts, &seen).await;
    let delivery = delivering(&alerts);
    let arrived = site.arrivals(2).await;
    site.until(|site| site.queued("of-acme").is_none()).await;
    assert!(site.arrivals.try_recv().is_err(), "nothing else");
    for arrival in &arrived {
        let body = arrival.json();
        assert_eq!(body["data"]["tenant"]["name"], "acme");
        assert_eq!(body["data"]["alert"]["kind"], "failing");
        for foreign in ["umbrella", "secret-project", other.connector.as_str()] {
            assert!(!arrival.body.contains(foreign), "{}", arrival.body);
        }
    }
    delivery.abort();
    assert_eq!(
        open_alerts(&site, Some("acme")),
        ["acme/scanner-1 incomplete"]
    );
    assert_eq!(open_alerts(&site, None).len(), 2);
    assert!(open_alerts(&site, Some("nobody")).is_empty());
}

#[tokio::test]
async fn a_destination_that_is_gone_is_sent_nothing_until_its_address_changes() {
    let mut site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &[410])]);
    let delivery = delivering(&alerts);
    site.look(&alerts, &[in_state(&seen, "failing")]).await;
    site.arrivals(1).await;
    site.until(|site| site.queued("on-call").is_none()).await;
    site.look(&alerts, &[in_state(&seen, "healthy")]).await;
    assert!(site.queued("on-call").is_none());
    delivery.abort();
    let _ = delivery.await;
    drop(alerts);

    let mut site = site.restarted();
    let alerts = site.alerts(vec![site.webhook("on-call", Scope::default(), &[])]);
    site.look(&alerts, &[in_state(&seen, "failing")]).await;
    assert!(site.queued("on-call").is_none(), "gone still");
    drop(alerts);

    let moved = "https://hooks.example.test/b";
    let moved = site.webhook_at(moved, "on-call", Scope::default(), &[]);
    let alerts = site.alerts(vec![moved]);
    site.look(&alerts, &[in_state(&seen, "healthy")]).await;
    let delivery = delivering(&alerts);
    let arrived = site.arrivals(1).await.remove(0);
    assert_eq!(arrived.json()["type"], "alert.cleared");
    delivery.abort();
}

#[tokio::test]
async fn what_was_queued_for_a_destination_that_is_no_longer_named_is_dropped() {
    let site = Site::new();
    let seen = site.connector("acme", "scanner-1").await;
    let alerts = site.alerts(vec![site.webhook("former", Scope::default(), &[])]);
    site.look(&alerts, &[in_state(&seen, "failing")]).await;
    assert!(site.queued("former").is_some());
    let alerts = site.alerts(Vec::new());
    alerts.deliver().await;
    assert!(site.queued("former").is_none());
}

#[tokio::test]
async fn the_alerts_of_a_connector_that_is_gone_are_cleared_and_stay_readable() {
    let site = Site::new();
    let first = site.connector("acme", "scanner-1").await;
    let second = site.connector("acme", "scanner-2").await;
    let alerts = site.alerts(Vec::new());
    let seen = [in_state(&first, "failing"), in_state(&second, "failing")];
    site.look(&alerts, &seen).await;
    site.catalogue.delete("acme/scanner-1").await.unwrap();
    let changed = site.look(&alerts, &seen[1..]).await;
    assert_eq!(kinds(&changed), [("failing", true)]);
    assert_eq!(changed[0].connector.as_deref(), Some("acme/scanner-1"));
    assert_eq!(open_alerts(&site, None), ["acme/scanner-2 failing"]);
    let (total, all) = site.catalogue.alerts(&AlertFilter::default()).unwrap();
    assert_eq!((total, all.len()), (2, 2));
    // Nor is one raised for a connector that was deleted while it was looked at.
    assert!(site.look(&alerts, &seen).await.is_empty());
}

#[tokio::test]
async fn the_catalogue_shows_connectors_as_alerts_need_them() {
    let site = Site::new();
    let made = site.connector("acme", "scanner-1").await;
    let now = Clock::system().now_ms();
    let seen = site.catalogue.seen(now).unwrap().remove(0);
    assert_eq!(
        (seen.connector, seen.name),
        (made.connector.clone(), made.name)
    );
    assert_eq!(
        (seen.state.as_str(), seen.last_data_ms),
        ("not-in-a-profile", None)
    );
    let made_at = seen.expected_since_ms;
    assert!(now.abs_diff(made_at) < HOUR);
    for active in [false, true] {
        let catalogue = &site.catalogue;
        catalogue.set_active("scanner-1", active).await.unwrap();
    }
    let seen = site.catalogue.seen(now).unwrap().remove(0);
    let events = site.catalogue.events(&made.connector, 9).unwrap();
    let activated = events.iter().find(|event| event.kind == "activated");
    assert_eq!(seen.expected_since_ms, activated.unwrap().time);
}

#[cfg(unix)]
#[tokio::test]
async fn a_private_address_is_refused_with_where_to_allow_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = directory.path().join("host.toml");
    let text = "[[alerts.webhooks]]\nname = \"on-call\"\nurl = \"https://10.1.2.3/t0ken?k=t0ken\"\nsecret = { file = \"secret\" }\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file)).ok().unwrap();
    let webhook = config.alerts.webhooks().unwrap().remove(0);
    let attempt = webhook.send(&Clock::system(), "msg_1", "{}").await;
    let Attempt::Failed(sentence) = attempt else {
        panic!("{attempt:?}");
    };
    assert!(
        sentence.contains("10.1.2.3 is a private address"),
        "{sentence}"
    );
    assert!(
        sentence.contains(
            "`allow_networks` of the webhook `on-call` under [[alerts.webhooks]] in host.toml"
        ),
        "{sentence}"
    );
    assert!(!sentence.contains("t0ken"), "{sentence}");
}

fn forwarder(tenants: Option<&[&str]>) -> crate::consumers::listing::ListedConsumer {
    crate::consumers::listing::ListedConsumer {
        name: "forwarder:siem".into(),
        tenants: tenants.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        when_behind: "wait".into(),
        offset: 0,
        lag_blocks: 0,
        behind_since: None,
        failure: Some("its folder is gone".into()),
        failing_since: Some(START - HOUR),
        added: START,
    }
}

async fn look_at_host(site: &Site, alerts: &Alerts, seen: &HostSeen) -> Vec<StoredAlert> {
    let _held = site.clock.hold();
    alerts.look_at_host(seen).await.unwrap()
}

#[tokio::test]
async fn what_is_no_tenants_is_told_to_nobody_of_one_and_a_tenants_own_forwarder_to_that_one() {
    let mut site = Site::new();
    let own = site.connector("acme", "scanner-1").await;
    site.connector("umbrella", "scanner-2").await;
    let scope = |tenant: &str| Scope {
        tenants: Some(vec![tenant.to_owned()]),
        kinds: None,
    };
    let alerts = site.alerts(vec![
        site.webhook("of-acme", scope("acme"), &[]),
        site.webhook_at(
            "https://hooks.example.test/u",
            "of-umbrella",
            scope("umbrella"),
            &[],
        ),
    ]);
    let mut seen = HostSeen {
        used_bytes: 60,
        limit_bytes: 100,
        disk_shortage: Some("/data has nothing free".into()),
        consumers: vec![forwarder(Some(&["acme"]))],
        ..HostSeen::default()
    };
    let changed = look_at_host(&site, &alerts, &seen).await;
    assert_eq!(
        kinds(&changed),
        [
            ("journal-filling", false),
            ("disk-full", false),
            ("consumer-failing", false)
        ]
    );
    assert!(
        look_at_host(&site, &alerts, &seen).await.is_empty(),
        "it is open already"
    );
    assert_eq!(
        open_alerts(&site, Some("acme")),
        ["consumer forwarder:siem consumer-failing"]
    );
    assert!(open_alerts(&site, Some("umbrella")).is_empty());
    assert_eq!(open_alerts(&site, None).len(), 3);
    // Looking at the connectors ends nothing of the host's, nor the other way round.
    site.look(&alerts, &[in_state(&own, "failing")]).await;
    assert_eq!(open_alerts(&site, None).len(), 4);
    look_at_host(&site, &alerts, &seen).await;
    assert_eq!(open_alerts(&site, None).len(), 4);

    let delivery = delivering(&alerts);
    let arrived = site.arrivals(2).await;
    let mut data: Vec<Value> = arrived
        .iter()
        .map(|arrival| arrival.json()["data"].clone())
        .collect();
    data.sort_by_key(|data| data["connector"].is_object());
    assert_eq!(data[0]["subject"], "consumer forwarder:siem");
    assert_eq!(data[0]["connector"], Value::Null);
    assert_eq!(data[0]["tenant"]["name"], "acme");
    assert_eq!(data[1]["connector"]["name"], "scanner-1");
    assert!(data[1].get("subject").is_none());
    delivery.abort();
    assert!(site.queued("of-umbrella").is_none());

    // One that takes several tenants' records is none of them's to hear of.
    seen.consumers = vec![forwarder(Some(&["acme", "umbrella"]))];
    seen.consumers[0].name = "forwarder:both".into();
    seen.disk_shortage = None;
    let changed = look_at_host(&site, &alerts, &seen).await;
    let told: Vec<_> = changed
        .iter()
        .map(|alert| (alert.subject.as_deref().unwrap(), alert.cleared.is_some()))
        .collect();
    assert!(told.contains(&("disk", true)) && told.contains(&("consumer forwarder:siem", true)));
    assert!(told.contains(&("consumer forwarder:both", false)));
    assert_eq!(open_alerts(&site, Some("acme")), ["acme/scanner-1 failing"]);
}

#[tokio::test]
async fn an_open_alert_about_a_skip_says_all_that_was_lost_and_is_told_once() {
    let site = Site::new();
    let alerts = site.alerts(Vec::new());
    let mut consumer = forwarder(None);
    consumer.failing_since = None;
    let mut seen = HostSeen {
        limit_bytes: 100,
        consumers: vec![consumer],
        skips: vec![connector_runtime::journal::SkipRow {
            consumer: "forwarder:siem".into(),
            first: 3,
            last: 5,
            blocks: 3,
            records: 30,
            first_written_ms: START - HOUR,
            last_written_ms: START,
            noted_ms: START,
        }],
        ..HostSeen::default()
    };
    let changed = look_at_host(&site, &alerts, &seen).await;
    assert_eq!(kinds(&changed), [("consumer-skipped", false)]);
    seen.skips[0].last = 9;
    assert!(look_at_host(&site, &alerts, &seen).await.is_empty());
    let (_, all) = site.catalogue.alerts(&AlertFilter::default()).unwrap();
    assert!(
        all[0].message.contains("has lost the blocks 3 to 9"),
        "{}",
        all[0].message
    );
}
