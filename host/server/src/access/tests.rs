use super::*;
use crate::api;
use crate::api::problem::Problem;
use crate::connectors::user::UserChange;
use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;

const ROOT: &str = "/connect/api/v1";
const PASSWORD: &str = "correct horse battery";
const NOW: u64 = 1_700_000_000_000;

struct Site {
    directory: TempDir,
    access: AccessState,
    router: Router,
}

/// What an answer was.
struct Answered {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
}

impl Answered {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn problem(&self) -> Problem {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
        serde_json::from_value(self.body.clone()).unwrap()
    }
}

/// What a browser keeps after signing in.
#[derive(Clone)]
struct Browser {
    cookie: String,
    csrf: String,
}

/// A request that is being written.
struct Asked<'a> {
    site: &'a Site,
    request: http::request::Builder,
    from: IpAddr,
}

impl<'a> Asked<'a> {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    fn browser(self, browser: &Browser) -> Self {
        self.header("cookie", &browser.cookie)
            .header(authentication::CSRF_HEADER, &browser.csrf)
    }

    fn local(mut self) -> Self {
        self.request = self.request.extension(Local);
        self
    }

    fn from(mut self, last: u8) -> Self {
        self.from = [192, 0, 2, last].into();
        self
    }

    async fn send(self, body: Value) -> Answered {
        let request = self.request.extension(Peer(self.from));
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request: Request<Body> = request.body(body).unwrap();
        let response = self.site.router.clone().oneshot(request).await.unwrap();
        Answered::of(response).await
    }

    async fn empty(self) -> Answered {
        self.send(Value::Null).await
    }
}

impl Site {
    fn new() -> Self {
        Self::with_cookies(false)
    }

    fn with_cookies(secure: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(directory.path()).unwrap();
        catalogue.journal().set_disk_floor(0);
        let access = AccessState::new(Arc::new(catalogue), Clock::simulated(NOW), secure);
        let routes = api::session::routes()
            .merge(api::users::routes())
            .merge(api::tokens::routes());
        let routes: OpenApiRouter<AccessState> = OpenApiRouter::new().nest(ROOT, routes);
        let router: Router = routes
            .split_for_parts()
            .0
            .route("/anything", get(|| async { "secret" }))
            .layer(from_fn_with_state(access.clone(), layer))
            // Forgotten: nobody asks who comes.
            .route("/forgotten", get(|_: Principal| async { "secret" }))
            .with_state(access.clone());
        Self {
            directory,
            access,
            router,
        }
    }

    /// With the tenants `acme` and `umbra`, and users `root`, `admin` and `reader` (of acme), `other` (admin of umbra).
    async fn with_users() -> Self {
        let site = Self::new();
        for tenant in ["acme", "umbra"] {
            site.access.catalogue.add_tenant(tenant).await.unwrap();
        }
        for (name, role, tenant) in [
            ("root", Role::Root, None),
            ("admin", Role::TenantAdmin, Some("acme")),
            ("reader", Role::ReadOnly, Some("acme")),
            ("other", Role::TenantAdmin, Some("umbra")),
        ] {
            site.add_user(name, role, tenant).await;
        }
        site
    }

    async fn add_user(&self, name: &str, role: Role, tenant: Option<&str>) {
        let new = users::New {
            name,
            password: &PASSWORD.to_owned().into(),
            role,
            tenant,
        };
        let access = &self.access;
        users::add(
            &access.catalogue,
            &access.passwords,
            &Principal::owner(),
            new,
        )
        .await
        .unwrap();
    }

    fn ask(&self, method: Method, path: &str) -> Asked<'_> {
        let path = match path {
            "/anything" | "/forgotten" => path.to_owned(),
            path => format!("{ROOT}{path}"),
        };
        Asked {
            site: self,
            request: Request::builder()
                .method(method)
                .uri(path)
                .header("host", "host.example.test")
                .header("content-type", "application/json"),
            from: [192, 0, 2, 1].into(),
        }
    }

    fn get(&self, path: &str) -> Asked<'_> {
        self.ask(Method::GET, path)
    }

    fn post(&self, path: &str) -> Asked<'_> {
        self.ask(Method::POST, path)
    }

    async fn try_sign_in(&self, name: &str, password: &str) -> Answered {
        self.post("/session")
            .send(json!({"name": name, "password": password}))
            .await
    }

    async fn browser(&self, name: &str) -> Browser {
        let answer = self.try_sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Browser {
            cookie: answer
                .header(header::SET_COOKIE)
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
            csrf: answer.body["csrf_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn status(&self, browser: &Browser) -> StatusCode {
        self.get("/session").browser(browser).empty().await.status
    }

    async fn token(&self, role: Role, tenant: Option<&str>, lifetime: Option<Duration>) -> String {
        let wanted = tokens::Wanted {
            name: format!("{role}-of-{}", tenant.unwrap_or("all")),
            role,
            tenant: tenant.map(str::to_owned),
            lifetime,
        };
        let now = self.access.clock.now_ms();
        let made = tokens::add(&self.access.catalogue, &Principal::owner(), wanted, now).await;
        made.ok().unwrap().secret.to_string()
    }

    fn pass(&self, duration: Duration) {
        self.access.clock.advance(duration);
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn contains(directory: &Path, needle: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    })
}

// Who is let in.

#[tokio::test]
async fn without_credentials_nothing_is_answered_but_how_to_get_some() {
    let site = Site::new();
    for path in ["/anything", "/users", "/session", "/no-such-thing"] {
        for cookie in ["", "connector_host_session=x", "connector_host_session="] {
            let answer = site.get(path).header("cookie", cookie).empty().await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
            assert_eq!(answer.problem().code, "unauthenticated");
        }
    }
    let answer = site
        .get("/anything")
        .header("authorization", "Basic YTpi")
        .empty()
        .await;
    assert_eq!(answer.status, 401);
}

#[test]
fn every_route_is_under_the_root_and_signing_in_is_the_one_that_is_open() {
    let document = serde_json::to_value(api::document()).unwrap();
    let mut open = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let is_in = |root: &str| path.starts_with(&format!("{root}/"));
        assert!(is_in(api::ROOT) || is_in(api::data::ROOT), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"] == json!([{}]) {
                open.push(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(open, [format!("post {}", authentication::LOGIN_PATH)]);
}

#[tokio::test]
async fn a_route_that_was_forgotten_to_be_guarded_lets_nobody_in() {
    let site = Site::new();
    let answer = site.get("/forgotten").empty().await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn whoever_comes_through_the_local_socket_is_root() {
    let site = Site::new();
    let answer = site.get("/session").local().empty().await;
    assert_eq!(
        answer.body,
        json!({"name": "owner", "role": "root", "tenant": null, "via": "socket", "csrf_token": null})
    );
}

#[tokio::test]
async fn a_host_without_users_says_how_to_make_one() {
    let site = Site::new();
    let advice = first_steps(&site.access.catalogue).unwrap().unwrap();
    assert!(advice.contains("users add NAME --role root"), "{advice}");
    site.add_user("root", Role::Root, None).await;
    assert_eq!(first_steps(&site.access.catalogue).unwrap(), None);
}

#[test]
fn a_right_is_one_of_the_role_and_a_refusal_says_whom_to_ask() {
    let rights = [Right::Read, Right::Change, Right::Administer];
    for (role, has) in [
        (Role::Root, [true, true, true]),
        (Role::TenantAdmin, [true, true, false]),
        (Role::ReadOnly, [true, false, false]),
    ] {
        let principal = Principal {
            role,
            ..Principal::owner()
        };
        assert_eq!(rights.map(|right| principal.may(right)), has, "{role}");
        let refused = rights.map(|right| principal.require(right, "change profiles").is_err());
        assert_eq!(refused, has.map(|has| !has), "{role}");
    }
}

#[test]
fn a_principal_of_a_tenant_sees_that_one_and_nothing_of_all() {
    let mut principal = Principal::owner();
    assert!(principal.sees("1") && principal.sees_of(Some("2")) && principal.sees_of(None));
    principal.tenant = Some(TenantOf {
        id: "1".into(),
        name: "acme".into(),
    });
    assert!(principal.sees("1") && principal.sees_of(Some("1")));
    assert!(!principal.sees("2") && !principal.sees("acme") && !principal.sees_of(None));
}

// Signing in.

#[tokio::test]
async fn a_session_is_a_cookie_that_no_script_and_no_other_site_gets() {
    for secure in [false, true] {
        let site = Site::with_cookies(secure);
        site.add_user("root", Role::Root, None).await;
        let answer = site.try_sign_in("root", PASSWORD).await;
        let cookie = answer.header(header::SET_COOKIE);
        let (value, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(
            value.len(),
            "connector_host_session=".len() + 43,
            "{cookie}"
        );
        let mut attributes: Vec<_> = attributes.split("; ").collect();
        attributes.sort_unstable();
        let expected: &[_] = match secure {
            true => &["HttpOnly", "Path=/", "SameSite=Strict", "Secure"],
            false => &["HttpOnly", "Path=/", "SameSite=Strict"],
        };
        assert_eq!(attributes, expected);
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        assert!(!contains(
            site.directory.path(),
            value.split_once('=').unwrap().1
        ));
        assert!(!contains(site.directory.path(), PASSWORD));
    }
}

#[tokio::test]
async fn whoever_signed_in_is_told_who_that_is_and_until_signing_out() {
    let site = Site::with_users().await;
    let browser = site.browser("admin").await;
    let answer = site.get("/session").browser(&browser).empty().await;
    let acme = &site.access.catalogue.tenants().unwrap()[0].id;
    assert_eq!(
        answer.body,
        json!({"name": "admin", "role": "tenant-admin", "tenant": {"id": acme, "name": "acme"}, "via": "session",
            "csrf_token": browser.csrf})
    );
    let elsewhere = site.browser("admin").await;
    let answer = site
        .ask(Method::DELETE, "/session")
        .browser(&browser)
        .empty()
        .await;
    assert_eq!(answer.status, 204);
    assert!(answer.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert_eq!(site.status(&browser).await, 401);
    assert_eq!(site.status(&elsewhere).await, 200);
}

#[tokio::test]
async fn a_wrong_password_an_unknown_name_and_an_inactive_user_are_answered_alike() {
    let site = Site::with_users().await;
    let change = UserChange {
        active: Some(false),
        ..UserChange::default()
    };
    site.access
        .catalogue
        .edit_user("reader", change)
        .await
        .unwrap();
    let mut answers = Vec::new();
    for (name, password) in [
        ("admin", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("reader", PASSWORD),
    ] {
        let answer = site.try_sign_in(name, password).await;
        assert_eq!(answer.status, 401);
        answers.push(answer.body.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn after_five_wrong_passwords_even_the_right_one_has_to_wait() {
    let site = Site::with_users().await;
    let attempt = |password: &'static str, from| {
        site.post("/session")
            .from(from)
            .send(json!({"name": "admin", "password": password}))
    };
    for from in 1..=5 {
        assert_eq!(attempt("wrong horse battery", from).await.status, 401);
    }
    let answer = attempt(PASSWORD, 6).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header(header::RETRY_AFTER), "30");
    assert_eq!(answer.problem().code, "too-many-attempts");
    site.pass(Duration::from_millis(29_500));
    assert_eq!(attempt(PASSWORD, 6).await.header(header::RETRY_AFTER), "1");
    site.pass(Duration::from_millis(500));
    assert_eq!(attempt(PASSWORD, 6).await.status, 200);
    assert_eq!(attempt("wrong horse battery", 7).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_half_an_hour_after_its_last_use_and_half_a_day_after_its_first() {
    let site = Site::with_users().await;
    let (used, idle) = (site.browser("admin").await, site.browser("admin").await);
    site.pass(minutes(29));
    assert_eq!(site.status(&used).await, 200);
    site.pass(minutes(1));
    assert_eq!(site.status(&idle).await, 401);
    // 30 minutes have passed of 720.
    for _ in 0..23 {
        assert_eq!(site.status(&used).await, 200);
        site.pass(minutes(29));
    }
    assert_eq!(site.status(&used).await, 200);
    site.pass(minutes(23));
    assert_eq!(site.status(&used).await, 401);
}

#[tokio::test]
async fn the_oldest_of_many_sessions_makes_room() {
    let site = Site::with_users().await;
    let first = site.browser("admin").await;
    let catalogue = &site.access.catalogue;
    let hash = catalogue.stored_password("admin").unwrap().unwrap().hash;
    for number in 1..=20_u8 {
        site.pass(Duration::from_secs(1));
        assert_eq!(site.status(&first).await == 200, number <= 20, "{number}");
        let now = site.access.clock.now_ms();
        assert!(
            catalogue
                .begin_session("admin", &hash, [number; 32], now)
                .await
                .unwrap()
        );
    }
    assert_eq!(site.status(&first).await, 401);
    let now = site.access.clock.now_ms();
    assert!((1..=20).all(|number| catalogue.session([number; 32], now).unwrap().is_some()));
}

#[tokio::test]
async fn no_session_begins_with_a_password_that_was_changed_meanwhile() {
    let site = Site::with_users().await;
    let catalogue = &site.access.catalogue;
    let hash = catalogue.stored_password("admin").unwrap().unwrap().hash;
    catalogue.set_password("admin", "another").await.unwrap();
    assert!(
        !catalogue
            .begin_session("admin", &hash, [1; 32], NOW)
            .await
            .unwrap()
    );
    assert!(catalogue.session([1; 32], NOW).unwrap().is_none());
}

#[tokio::test]
async fn a_user_who_was_changed_is_another_one_at_once() {
    let site = Site::with_users().await;
    let browser = site.browser("admin").await;
    let edit = |body: Value| site.ask(Method::PATCH, "/users/admin").local().send(body);
    let answer = edit(json!({"role": "read-only", "tenant": "umbra"})).await;
    assert_eq!(answer.body["tenant"], "umbra");
    let who = site.get("/session").browser(&browser).empty().await.body;
    assert_eq!(
        (&who["role"], &who["tenant"]["name"]),
        (&json!("read-only"), &json!("umbra"))
    );
    edit(json!({"tenant": null})).await;
    let who = site.get("/session").browser(&browser).empty().await.body;
    assert_eq!(who["tenant"], Value::Null);
    edit(json!({"active": false})).await;
    assert_eq!(site.status(&browser).await, 401);
    edit(json!({"active": true})).await;
    assert_eq!(site.status(&browser).await, 401);
}

#[tokio::test]
async fn another_password_ends_all_sessions_and_needs_the_present_one_from_its_user() {
    let site = Site::with_users().await;
    let (browser, elsewhere) = (site.browser("reader").await, site.browser("reader").await);
    let put = |body: Value| {
        site.ask(Method::PUT, "/users/reader/password")
            .browser(&browser)
            .send(body)
    };
    let new = "another horse battery";
    let missing = put(json!({"password": new})).await;
    assert_eq!(missing.status, 422);
    assert_eq!(missing.body["errors"][0]["key"], "current_password");
    let wrong = put(json!({"password": new, "current_password": "wrong horse battery"})).await;
    assert_eq!(wrong.status, 422);
    let short = put(json!({"password": "short", "current_password": PASSWORD})).await;
    assert_eq!(
        (short.status, &short.body["errors"][0]["key"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("password"))
    );
    assert_eq!(site.status(&elsewhere).await, 200);
    let done = put(json!({"password": new, "current_password": PASSWORD})).await;
    assert_eq!(done.status, 204);
    assert_eq!(site.status(&browser).await, 401);
    assert_eq!(site.status(&elsewhere).await, 401);
    assert_eq!(site.try_sign_in("reader", PASSWORD).await.status, 401);
    assert_eq!(site.try_sign_in("reader", new).await.status, 200);
}

// What other sites cannot do with a browser.

#[tokio::test]
async fn a_cookie_alone_changes_nothing() {
    let site = Site::with_users().await;
    let (browser, other) = (site.browser("root").await, site.browser("root").await);
    let delete = || {
        site.ask(Method::DELETE, "/users/reader")
            .header("cookie", &browser.cookie)
    };
    for sent in ["", "x", &other.csrf] {
        let answer = delete().header("x-csrf-token", sent).empty().await;
        assert_eq!(
            (answer.status, answer.problem().code.as_str()),
            (StatusCode::FORBIDDEN, "cross-site")
        );
    }
    assert_eq!(delete().empty().await.status, 403);
    assert_eq!(
        site.get("/users/reader")
            .header("cookie", &browser.cookie)
            .empty()
            .await
            .status,
        200
    );
    assert_eq!(
        delete()
            .header("x-csrf-token", &browser.csrf)
            .empty()
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn another_site_changes_nothing_and_signs_nobody_in() {
    let site = Site::with_users().await;
    let browser = site.browser("root").await;
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example.test"),
        ("origin", "https://host.example.test:8443"),
        ("origin", "null"),
    ];
    for (name, value) in foreign {
        let delete = site.ask(Method::DELETE, "/users/reader").browser(&browser);
        assert_eq!(
            delete.header(name, value).empty().await.status,
            403,
            "{name}: {value}"
        );
        let credentials = json!({"name": "root", "password": PASSWORD});
        let answer = site
            .post("/session")
            .header(name, value)
            .send(credentials)
            .await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    let answer = site
        .ask(Method::DELETE, "/users/reader")
        .browser(&browser)
        .header("sec-fetch-site", "same-origin")
        .header("origin", "https://host.example.test")
        .empty()
        .await;
    assert_eq!(answer.status, 204);
}

// Tokens.

#[tokio::test]
async fn a_token_is_shown_once_and_kept_nowhere() {
    let site = Site::with_users().await;
    let answer = site
        .post("/tokens")
        .local()
        .send(json!({"name": "monitoring", "role": "read-only", "tenant": "acme", "expires_in_seconds": 90 * 86_400}))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let token = answer.body["token"].as_str().unwrap();
    assert!(token.starts_with("cht_") && token.len() == 47, "{token}");
    assert_eq!(answer.body["expires"], NOW + 90 * 24 * 3_600_000);
    assert!(!contains(site.directory.path(), token));
    let list = site.get("/tokens").local().empty().await.body;
    assert_eq!(list["total"], 1);
    assert_eq!(list["tokens"][0]["prefix"], token[..10]);
    assert!(!list.to_string().contains(token));
    let who = site.get("/session").token(token).empty().await.body;
    assert_eq!(
        (&who["name"], &who["via"]),
        (&json!("monitoring"), &json!("token"))
    );
}

#[tokio::test]
async fn a_token_is_refused_when_it_has_expired_or_was_deleted() {
    let site = Site::with_users().await;
    let token = site.token(Role::Root, None, Some(minutes(10))).await;
    let lasting = site.token(Role::ReadOnly, None, None).await;
    site.pass(minutes(10) - Duration::from_millis(1));
    assert_eq!(site.get("/session").token(&token).empty().await.status, 200);
    site.pass(Duration::from_millis(1));
    assert_eq!(site.get("/session").token(&token).empty().await.status, 401);
    assert_eq!(
        site.get("/session").token(&lasting).empty().await.status,
        200
    );
    let delete = site.ask(Method::DELETE, "/tokens/read-only-of-all").local();
    assert_eq!(delete.empty().await.status, 204);
    assert_eq!(
        site.get("/session").token(&lasting).empty().await.status,
        401
    );
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_to_the_minute() {
    let site = Site::with_users().await;
    let token = site.token(Role::ReadOnly, None, None).await;
    let last_used = || site.access.catalogue.tokens().unwrap()[0].last_used;
    assert_eq!(last_used(), None);
    for (passed, noted) in [(0, NOW), (59, NOW), (1, NOW + 60_000), (1, NOW + 60_000)] {
        site.pass(Duration::from_secs(passed));
        assert_eq!(site.get("/session").token(&token).empty().await.status, 200);
        assert_eq!(last_used(), Some(noted));
    }
}

#[tokio::test]
async fn bad_tokens_have_to_wait_and_good_ones_never() {
    let site = Site::with_users().await;
    let token = site.token(Role::ReadOnly, None, None).await;
    for _ in 0..5 {
        assert_eq!(
            site.get("/session").token("cht_x").empty().await.status,
            401
        );
    }
    let answer = site.get("/session").token("cht_x").empty().await;
    assert_eq!(
        (answer.status, answer.header(header::RETRY_AFTER)),
        (StatusCode::TOO_MANY_REQUESTS, "30")
    );
    assert_eq!(
        site.get("/session")
            .token("cht_x")
            .from(9)
            .empty()
            .await
            .status,
        401
    );
    assert_eq!(site.get("/session").token(&token).empty().await.status, 200);
}

#[tokio::test]
async fn a_token_needs_no_csrf_token_and_a_bad_one_is_not_mended_by_a_cookie() {
    let site = Site::with_users().await;
    let (token, browser) = (
        site.token(Role::Root, None, None).await,
        site.browser("root").await,
    );
    let delete = site.ask(Method::DELETE, "/users/reader").token(&token);
    assert_eq!(delete.empty().await.status, 204);
    let both = site.get("/session").browser(&browser).token("cht_x");
    assert_eq!(both.empty().await.status, 401);
}

#[tokio::test]
async fn a_tenant_administrator_makes_tokens_of_the_tenant_and_no_mightier_ones() {
    let site = Site::with_users().await;
    let admin = site.browser("admin").await;
    let make = |body: Value| site.post("/tokens").browser(&admin).send(body);
    let made = make(json!({"name": "a", "role": "tenant-admin"})).await;
    assert_eq!(
        (made.status, &made.body["tenant"]),
        (StatusCode::CREATED, &json!("acme"))
    );
    assert_eq!(made.body["created_by"], "admin");
    let made = make(json!({"name": "b", "role": "read-only", "tenant": "acme"})).await;
    assert_eq!(made.status, 201);
    let root = make(json!({"name": "c", "role": "root"})).await;
    assert_eq!(
        (root.status, root.problem().code.as_str()),
        (StatusCode::FORBIDDEN, "forbidden")
    );
    // Another tenant is as good as none.
    let [umbra, none] = ["umbra", "nowhere"]
        .map(|tenant| make(json!({"name": "d", "role": "read-only", "tenant": tenant})));
    let (umbra, none) = (umbra.await, none.await);
    assert_eq!(
        (umbra.status, none.status),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND)
    );
    let detail = umbra.problem().detail.replace("umbra", "nowhere");
    assert_eq!(detail, none.problem().detail);
}

#[tokio::test]
async fn a_tokens_name_tells_nothing_of_another_tenant() {
    let site = Site::with_users().await;
    let (admin, other) = (site.browser("admin").await, site.browser("other").await);
    for browser in [&admin, &other] {
        let body = json!({"name": "monitoring", "role": "read-only"});
        let made = site
            .post("/tokens")
            .browser(browser)
            .send(body.clone())
            .await;
        assert_eq!(made.status, 201);
        let again = site.post("/tokens").browser(browser).send(body).await;
        assert_eq!(again.status, 409);
        let list = site.get("/tokens").browser(browser).empty().await.body;
        assert_eq!(list["total"], 1);
    }
    let id = site.access.catalogue.tokens().unwrap()[0].id.clone();
    assert_eq!(
        site.access.catalogue.tokens().unwrap()[0].tenant.as_deref(),
        Some("acme")
    );
    let path = format!("/tokens/{id}");
    for method in [Method::GET, Method::DELETE] {
        let answer = site.ask(method, &path).browser(&other).empty().await;
        assert_eq!(answer.status, 404);
    }
    let ambiguous = site.get("/tokens/monitoring").local().empty().await;
    assert_eq!(ambiguous.status, 422);
    assert_eq!(
        site.get("/tokens/monitoring")
            .browser(&admin)
            .empty()
            .await
            .body["id"],
        id.as_str()
    );
}

#[tokio::test]
async fn what_a_token_makes_does_not_outlive_it() {
    let site = Site::with_users().await;
    let day = Duration::from_secs(24 * 3600);
    let token = site
        .token(Role::TenantAdmin, Some("acme"), Some(2 * day))
        .await;
    let make = |body: Value| site.post("/tokens").token(&token).send(body);
    let later =
        make(json!({"name": "a", "role": "read-only", "expires_in_seconds": 3 * 86_400})).await;
    assert_eq!(
        (later.status, &later.body["errors"][0]["key"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("expires_in_seconds")
        )
    );
    let unsaid = make(json!({"name": "b", "role": "read-only"})).await;
    assert_eq!(unsaid.body["expires"], NOW + 2 * 86_400_000);
    let sooner =
        make(json!({"name": "c", "role": "read-only", "expires_in_seconds": 86_400})).await;
    assert_eq!(sooner.body["expires"], NOW + 86_400_000);
}

// Who may do what to users.

#[tokio::test]
async fn a_tenant_administrator_sees_the_tenants_users_and_changes_none() {
    let site = Site::with_users().await;
    let admin = site.browser("admin").await;
    let list = site.get("/users").browser(&admin).empty().await.body;
    let names: Vec<_> = list["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["name"])
        .collect();
    assert_eq!(names, ["admin", "reader"]);
    let expected = [
        ("reader", 403),
        ("root", 404),
        ("other", 404),
        ("nobody", 404),
    ];
    for (name, status) in expected {
        let path = format!("/users/{name}");
        let edit = site
            .ask(Method::PATCH, &path)
            .browser(&admin)
            .send(json!({"active": false}));
        assert_eq!(edit.await.status, status, "{name}");
        let delete = site
            .ask(Method::DELETE, &path)
            .browser(&admin)
            .empty()
            .await;
        assert_eq!(delete.status, status, "{name}");
        let path = format!("/users/{name}/password");
        let put = site.ask(Method::PUT, &path).browser(&admin);
        assert_eq!(
            put.send(json!({"password": PASSWORD})).await.status,
            status,
            "{name}"
        );
    }
    let new = json!({"name": "x", "password": PASSWORD, "role": "read-only", "tenant": "acme"});
    let refused = site.post("/users").browser(&admin).send(new).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.problem().detail,
        "only a root user may make users; ask an administrator"
    );
}

#[tokio::test]
async fn who_only_reads_sees_no_user_but_the_own_and_no_token() {
    let site = Site::with_users().await;
    let reader = site.browser("reader").await;
    for path in ["/users", "/tokens"] {
        assert_eq!(
            site.get(path).browser(&reader).empty().await.status,
            403,
            "{path}"
        );
    }
    assert_eq!(
        site.get("/users/reader")
            .browser(&reader)
            .empty()
            .await
            .status,
        200
    );
    assert_eq!(
        site.get("/users/admin")
            .browser(&reader)
            .empty()
            .await
            .status,
        404
    );
    let make = site.post("/tokens").browser(&reader);
    assert_eq!(
        make.send(json!({"name": "x", "role": "read-only"}))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_token_with_a_users_name_is_not_that_user() {
    let site = Site::with_users().await;
    let wanted = tokens::Wanted {
        name: "root".into(),
        role: Role::ReadOnly,
        tenant: None,
        lifetime: None,
    };
    let made = tokens::add(&site.access.catalogue, &Principal::owner(), wanted, NOW).await;
    let token = made.ok().unwrap().secret;
    assert_eq!(
        site.get("/users/root").token(&token).empty().await.status,
        404
    );
    let put = site.ask(Method::PUT, "/users/root/password").token(&token);
    let body = json!({"password": "another horse battery", "current_password": PASSWORD});
    assert_eq!(put.send(body).await.status, 404);
}

#[tokio::test]
async fn the_last_active_root_user_stays() {
    let site = Site::with_users().await;
    let root = site.browser("root").await;
    let edit = |body: Value| {
        site.ask(Method::PATCH, "/users/root")
            .browser(&root)
            .send(body)
    };
    for body in [json!({"active": false}), json!({"role": "read-only"})] {
        let refused = edit(body).await;
        assert_eq!(refused.status, 409);
        let detail = refused.problem().detail;
        assert!(
            detail.contains("root is the last active root user"),
            "{detail}"
        );
    }
    let delete = || {
        site.ask(Method::DELETE, "/users/root")
            .browser(&root)
            .empty()
    };
    assert_eq!(delete().await.status, 409);
    site.add_user("second", Role::Root, None).await;
    let inactive = site.ask(Method::PATCH, "/users/second").local();
    assert_eq!(inactive.send(json!({"active": false})).await.status, 200);
    assert_eq!(delete().await.status, 409);
    let active = site.ask(Method::PATCH, "/users/second").local();
    assert_eq!(active.send(json!({"active": true})).await.status, 200);
    assert_eq!(delete().await.status, 204);
    assert_eq!(site.status(&root).await, 401);
}

#[tokio::test]
async fn a_role_fits_to_its_tenant_or_is_refused() {
    let site = Site::with_users().await;
    let make = |name: &str, role: &str, tenant: Option<&str>| {
        let body = json!({"name": name, "password": PASSWORD, "role": role, "tenant": tenant});
        site.post("/users").local().send(body)
    };
    for (role, tenant, status) in [
        ("root", Some("acme"), 422),
        ("tenant-admin", None, 422),
        ("tenant-admin", Some("nowhere"), 404),
        ("read-only", None, 201),
        ("king", None, 422),
    ] {
        assert_eq!(make("new", role, tenant).await.status, status, "{role}");
    }
    assert_eq!(make("new", "read-only", None).await.status, 409);
    assert_eq!(make("a/b", "read-only", None).await.status, 422);
    // Who becomes root leaves the tenant; who stops being it needs one.
    let edit = |body: Value| site.ask(Method::PATCH, "/users/admin").local().send(body);
    assert_eq!(
        edit(json!({"role": "root"})).await.body["tenant"],
        Value::Null
    );
    assert_eq!(edit(json!({"role": "tenant-admin"})).await.status, 409);
}

#[tokio::test]
async fn unknown_keys_are_refused_and_no_password_comes_back() {
    let site = Site::with_users().await;
    for body in [
        json!({"name": "x", "password": PASSWORD, "role": "root", "colour": 1}),
        json!({"name": "x", "password": [PASSWORD], "role": "root"}),
        json!({"name": "x", "password": PASSWORD, "role": PASSWORD}),
    ] {
        let answer = site.post("/users").local().send(body).await;
        assert_eq!(answer.status, 422);
        let detail = answer.problem().detail;
        assert!(!detail.contains("[\"correct"), "{detail}");
    }
    let credentials = json!({"name": "x", "password": PASSWORD, "remember": true});
    assert_eq!(site.post("/session").send(credentials).await.status, 422);
}

#[tokio::test]
async fn a_list_of_users_is_cut_sorted_and_of_one_tenant() {
    let site = Site::with_users().await;
    let names = |query: &str| {
        let ask = site.get(&format!("/users?{query}")).local();
        async move {
            let body = ask.empty().await.body;
            let users = body["users"].as_array().unwrap().clone();
            let names: Vec<_> = users
                .iter()
                .map(|user| user["name"].as_str().unwrap().to_owned())
                .collect();
            (body["total"].as_u64().unwrap(), names.join(" "))
        }
    };
    assert_eq!(names("").await, (4, "admin other reader root".into()));
    assert_eq!(
        names("sort=-name&limit=1&offset=1").await,
        (4, "reader".into())
    );
    assert_eq!(names("tenant=acme").await, (2, "admin reader".into()));
}

#[tokio::test]
async fn a_tenant_that_has_users_or_tokens_is_not_deleted() {
    let site = Site::with_users().await;
    let catalogue = &site.access.catalogue;
    let refused = catalogue.delete_tenant("umbra").await.unwrap_err();
    assert!(refused.to_string().contains("users or tokens"), "{refused}");
    catalogue.delete_user("other").await.unwrap();
    site.token(Role::ReadOnly, Some("umbra"), None).await;
    assert!(catalogue.delete_tenant("umbra").await.is_err());
    let token = catalogue.tokens().unwrap()[0].id.clone();
    assert!(catalogue.delete_token(&token).await.unwrap());
    catalogue.delete_tenant("umbra").await.unwrap();
}
