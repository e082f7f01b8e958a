mod document;
mod lists;
mod page;
mod search;
mod shapes;
mod walk;

use super::*;
use crate::access::{Peer, Principal, Role, tokens, users};
use crate::arguments::Global;
use crate::assets::{AssetConsumer, AssetStore};
use crate::connectors::Catalogue;
use crate::connectors::definition::Entry;
use crate::connectors::secret::Plain;
use crate::consumers;
use crate::host::Host;
use crate::metrics::Metrics;
use crate::plugins::SharedDirectory;
use crate::schedule::{HostRunner, Schedule};
use crate::search::journal::JournalSearch;
use crate::search::searcher::Searcher;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use connector_runtime::interflow::{Condition, Index};
use connector_runtime::journal::{Block, Commit};
use connector_runtime::journal::{Start, WhenBehind};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tower::ServiceExt as _;

const PASSWORD: &str = "correct horse battery";

/// The API over a data directory with two tenants, `alpha-tenant` and `beta-tenant`. Whatever belongs to a tenant has its
/// name's first word in its own, so that it is seen where it should not be. The schedule does not run: nothing is collected.
struct Site {
    _directory: TempDir,
    catalogue: Arc<Catalogue>,
    router: Router,
    /// By the name of who asks: `root`, `alpha-admin`, `alpha-reader`, `beta-admin`, `beta-reader`, `all-reader`.
    tokens: BTreeMap<&'static str, String>,
    alpha: Things,
    beta: Things,
}

/// One of each kind of things that a tenant has.
#[derive(Clone, Debug)]
struct Things {
    tenant: String,
    tenant_id: String,
    connector: String,
    run: String,
    filter: String,
    user: String,
    token: String,
    asset: String,
}

impl Things {
    /// Of nobody.
    fn missing() -> Self {
        Self {
            tenant: "missing-tenant".into(),
            tenant_id: "2".repeat(32),
            connector: "0".repeat(24),
            run: "1".repeat(32),
            filter: "missing-filter".into(),
            user: "missing-user".into(),
            token: "3".repeat(16),
            asset: "missing-asset".into(),
        }
    }

    /// Everything by which an answer could give one of them away.
    fn marks(&self, word: &str) -> Vec<String> {
        let ids = [&self.tenant_id, &self.connector, &self.run, &self.token];
        ids.into_iter().cloned().chain([word.to_owned()]).collect()
    }
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The problem, in the one shape of all.
    #[track_caller]
    fn problem(&self) -> Problem {
        let kind = self.headers.get(header::CONTENT_TYPE);
        assert_eq!(
            kind.and_then(|kind| kind.to_str().ok()),
            Some("application/problem+json"),
            "{} {}",
            self.status,
            self.text
        );
        let problem: Problem = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.detail.is_empty() && !problem.code.is_empty());
        problem
    }
}

fn conditions() -> Vec<Condition> {
    let text = json!([{"field": "a", "operator": "is", "values": ["b"]}]);
    serde_json::from_value(text).unwrap()
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        for file in ["one.wasm", "two.wasm"] {
            std::fs::write(plugins.join(file), "not a component").unwrap();
        }
        let host = Host::assemble(&Global::of_data(directory.path()));
        let host = Arc::new(host.ok().unwrap());
        let catalogue = Arc::new(Catalogue::open(directory.path()).unwrap());
        catalogue.journal().set_disk_floor(0);
        let plugins = SharedDirectory::open(&host, catalogue.journal()).await;
        let plugins = Arc::new(plugins.ok().unwrap());
        let metrics = Metrics::new(host.clock());
        let runner = HostRunner::new(
            Arc::clone(&host),
            Arc::clone(&catalogue),
            Arc::clone(&plugins),
            metrics.clone(),
        );
        let schedule = Schedule::new(
            Arc::clone(&catalogue),
            host.clock().clone(),
            Arc::new(runner),
            host.schedule_options().clone(),
        );
        let access = AccessState::new(Arc::clone(&catalogue), host.clock().clone(), false);
        let searcher = Searcher::default()
            .with_records(Arc::new(JournalSearch::new(Arc::clone(&catalogue))))
            .with_assets(Arc::new(AssetStore::new(directory.path())));
        let service = Service::new(host, Arc::clone(&catalogue), plugins, Arc::new(schedule))
            .with_searcher(searcher);
        let router = router(ApiState {
            service: Arc::new(service),
            access: access.clone(),
            readable: metrics::Readable {
                metrics,
                behind_proxy: false,
            },
        });
        catalogue.add_profile("shared").await.unwrap();
        catalogue.add_sensor("sensor").await.unwrap();
        catalogue
            .add_filter("shared-filter", None, &conditions())
            .await
            .unwrap();
        let alpha = things(&access, "alpha").await;
        let beta = things(&access, "beta").await;
        let mut assets = AssetConsumer::new(directory.path());
        let screen = indicatif::MultiProgress::new();
        let caught_up = consumers::catch_up(catalogue.journal(), &mut assets, &screen);
        assert_eq!(caught_up.ok(), Some(2));
        for tenant in ["alpha", "beta"] {
            let tenants = [format!("{tenant}-tenant")];
            let name = format!("forwarder:{tenant}");
            let journal = catalogue.journal();
            journal
                .register_consumer(&name, Some(&tenants), WhenBehind::Wait, Start::Oldest, 1)
                .await
                .unwrap();
        }
        let mut tokens = BTreeMap::new();
        for (name, role, tenant) in [
            ("root", Role::Root, None),
            ("alpha-admin", Role::TenantAdmin, Some("alpha-tenant")),
            ("alpha-reader", Role::ReadOnly, Some("alpha-tenant")),
            ("beta-admin", Role::TenantAdmin, Some("beta-tenant")),
            ("beta-reader", Role::ReadOnly, Some("beta-tenant")),
            ("all-reader", Role::ReadOnly, None),
        ] {
            tokens.insert(name, token(&access, name, role, tenant).await.1);
        }
        Self {
            _directory: directory,
            catalogue,
            router,
            tokens,
            alpha,
            beta,
        }
    }

    /// Asks as `who` (nobody, if there is no such token). `path` is the whole of it.
    async fn ask(&self, who: &str, method: &str, path: &str, body: Option<&Value>) -> Answered {
        let body = body.map(Value::to_string);
        self.send(who, method, path, "application/json", body).await
    }

    async fn send(
        &self,
        who: &str,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<String>,
    ) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Peer([192, 0, 2, 1].into()))
            .header(header::HOST, "host.example.test");
        if let Some(token) = self.tokens.get(who) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Body::from(body)
            }
            None => Body::empty(),
        };
        let answer = self.router.clone().oneshot(request.body(body).unwrap());
        let (parts, body) = answer.await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answered {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, who: &str, path: &str) -> Answered {
        self.ask(who, "GET", &format!("{ROOT}{path}"), None).await
    }
}

async fn token(
    access: &AccessState,
    name: &str,
    role: Role,
    tenant: Option<&str>,
) -> (String, String) {
    let wanted = tokens::Wanted {
        name: name.into(),
        role,
        tenant: tenant.map(str::to_owned),
        lifetime: None,
    };
    let now = access.clock.now_ms();
    let made = tokens::add(&access.catalogue, &Principal::owner(), wanted, now).await;
    let made = made.ok().unwrap();
    (made.token.id, made.secret.to_string())
}

/// What a tenant has: a connector with a secret, in a profile, with a filter and two runs; a user and a token.
async fn things(access: &AccessState, word: &str) -> Things {
    let catalogue = &access.catalogue;
    let tenant = format!("{word}-tenant");
    catalogue.add_tenant(&tenant).await.unwrap();
    let entry = Entry {
        tenant: tenant.clone(),
        name: format!("{word}-scanner"),
        kind: "acme-scanner".into(),
        run_on: "dp".into(),
        active: true,
        settings: json!({"url": format!("https://{word}.example.test")}),
        content_types: vec!["assets".into()],
        interval_minutes: 5,
        version: "0.1.0".into(),
        secrets: vec![Plain::new("/token", &json!(format!("{word}-secret")))],
    };
    let connector = catalogue.create(entry).await.unwrap();
    catalogue
        .add_to_profile("shared", &connector)
        .await
        .unwrap();
    let filter = format!("{word}-filter");
    catalogue
        .add_filter(&filter, Some(&tenant), &conditions())
        .await
        .unwrap();
    catalogue.attach_filter(&filter, &connector).await.unwrap();
    let journal = catalogue.journal();
    journal.begin_run(&connector, 1).await.unwrap();
    let run = journal.begin_run(&connector, 2).await.unwrap();
    let tenants = catalogue.tenants().unwrap();
    let tenant_id = tenants.into_iter().find(|found| found.name == tenant);
    let tenant_id = tenant_id.unwrap().id;
    let record = host_record(&connector, word, &tenant_id);
    journal.commit(record).await.unwrap();
    let user = format!("{word}-user");
    let new = users::New {
        name: &user,
        password: &PASSWORD.to_owned().into(),
        role: Role::TenantAdmin,
        tenant: Some(&tenant),
    };
    users::add(catalogue, &access.passwords, &Principal::owner(), new)
        .await
        .ok()
        .unwrap();
    let name = format!("{word}-token");
    let (token, _) = token(access, &name, Role::ReadOnly, Some(&tenant)).await;
    Things {
        tenant_id,
        tenant,
        connector,
        run,
        filter,
        user,
        token,
        asset: format!("{word}-host"),
    }
}

/// A batch with a record about one machine of a tenant.
fn host_record(connector: &str, word: &str, tenant_id: &str) -> Commit {
    let record = json!({
        "stellar_uuid": format!("{}-0000-5000-8000-0000000000001772440877000", &connector[..8]), "tenantid": tenant_id,
        "msg_class": "acme_assets", "write_time": 1_772_440_877_500_u64, "timestamp": 1_772_440_877_000_u64, "host": {"id": word, "name": format!("{word}-host"), "hostname": word,
            "ip": ["192.0.2.1"], "os": {"full": word}},
    });
    let text = format!("{record}\n");
    let indices = [Index::Syslog, Index::Assets];
    let times = Some((1_772_440_877_000, 1_772_440_877_000));
    Commit {
        connector: connector.to_owned(),
        content_type: "assets".into(),
        part: String::new(),
        expected_generation: 0,
        cursor: "c".into(),
        written_ms: 1_772_440_877_000,
        cache_puts: Vec::new(),
        cache_removes: Vec::new(),
        block: Some(Block::press(&indices, 1, times, text.as_bytes(), b"").unwrap()),
    }
}
