use super::*;
use crate::manifest::{Bucket, QuotaHeaders};
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tokio::sync::Semaphore as Gate;

const ORIGIN: &str = "https://acme-scanner.example.test";

/// An upstream that notes what it is asked, and answers alike.
#[derive(Default)]
struct Recorder {
    steps: Mutex<Vec<&'static str>>,
    requests: Mutex<Vec<Request<Bytes>>>,
    /// What `resolve` says.
    refusal: Option<UpstreamError>,
    /// What `send` says.
    failure: Option<UpstreamError>,
    headers: HeaderMap,
    trailers: HeaderMap,
    status: StatusCode,
    /// Nothing comes after the head.
    silent: bool,
}

/// A body that never goes on.
struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        Poll::Pending
    }
}

impl Recorder {
    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn steps(&self) -> Vec<&'static str> {
        self.steps.lock().unwrap().clone()
    }
}

impl Upstream for Recorder {
    fn resolve(&self, _origin: &Origin) -> Resolution {
        self.steps.lock().unwrap().push("resolve");
        let result = self.refusal.clone().map_or(Ok(()), Err);
        Box::pin(std::future::ready(result))
    }

    fn send(&self, request: Request<Bytes>) -> Answer {
        self.steps.lock().unwrap().push("send");
        self.requests.lock().unwrap().push(request);
        if let Some(failure) = self.failure.clone() {
            return Box::pin(std::future::ready(Err(failure)));
        }
        let trailers = self.trailers.clone();
        let body =
            Full::new(Bytes::from_static(b"ok")).with_trailers(async move { Some(Ok(trailers)) });
        let mut response = Response::new(match self.silent {
            true => body_of(Silent),
            false => body_of(body),
        });
        *response.headers_mut() = self.headers.clone();
        *response.status_mut() = self.status;
        Box::pin(std::future::ready(Ok(response)))
    }
}

fn quota(calls: u32) -> Quota {
    Quota {
        buckets: vec![Bucket {
            id: "assets".into(),
            path: "/assets".into(),
            calls,
            window_seconds: 3600,
            concurrency: 10,
        }],
        headers: QuotaHeaders::default(),
    }
}

struct Site {
    egress: Arc<Egress>,
    upstream: Arc<Recorder>,
    session: EgressSession,
    traffic: Arc<Traffic>,
}

impl Site {
    fn new(upstream: Recorder, book: &QuotaBook, limits: Limits, clock: Clock) -> Self {
        Self::within(&quota(300), upstream, book, limits, clock)
    }

    fn within(
        quota: &Quota,
        upstream: Recorder,
        book: &QuotaBook,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let rules = serde_json::from_value(serde_json::json!([
            {"id": "assets", "methods": ["GET", "POST"], "path": "/assets"},
            {"id": "about", "methods": ["GET"], "path": "/about"},
        ]))
        .unwrap();
        let grant = Grant::new(Origin::parse(ORIGIN, false).unwrap(), rules);
        let upstream = Arc::new(upstream);
        let egress = Arc::new(Egress::new(
            grant,
            Some(Credential::basic("reader", Secret::new("pass-word"))),
            quota,
            book,
            Arc::clone(&upstream) as Arc<dyn Upstream>,
            limits,
            clock,
        ));
        let traffic = Arc::new(Traffic::default());
        Self {
            session: EgressSession::new(Arc::clone(&egress), Arc::clone(&traffic)),
            egress,
            upstream,
            traffic,
        }
    }

    fn with(upstream: Recorder) -> Self {
        let limits = Limits {
            requests: 100_000,
            ..Limits::default()
        };
        Self::new(upstream, &QuotaBook::default(), limits, Clock::simulated(0))
    }

    async fn send(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        self.egress.send(&self.session, request).await
    }

    async fn get(&self, path: &str) -> Result<Response<WasiBody>, Error> {
        self.send(request("GET", path, "")).await
    }

    fn calls(&self) -> u32 {
        self.egress.quota()[0].calls_in_window
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<WasiBody> {
    let full = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {});
    let mut request = Request::new(full.boxed_unsync());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = format!("{ORIGIN}{path}").parse().unwrap();
    if !body.is_empty() {
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(form::TYPE));
    }
    request
}

fn refused(error: &str) -> UpstreamError {
    UpstreamError::Denied(error.into())
}

#[tokio::test]
async fn the_credential_goes_only_to_an_address_that_was_checked() {
    let site = Site::with(Recorder::default());
    site.get("/assets").await.unwrap();
    assert_eq!(site.upstream.steps(), ["resolve", "send"]);
    let sent = site.upstream.requests.lock().unwrap();
    assert_eq!(
        sent[0].headers()["authorization"],
        "Basic cmVhZGVyOnBhc3Mtd29yZA=="
    );
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_was_refused_and_no_call_counts() {
    let site = Site::with(Recorder {
        refusal: Some(refused("10.0.0.1 is a private address")),
        ..Recorder::default()
    });
    let error = site.get("/assets").await.err().unwrap();
    assert!(matches!(error, Error::DestinationIpProhibited), "{error}");
    assert_eq!(site.upstream.steps(), ["resolve"]);
    assert_eq!(site.calls(), 0);
    let counts = site.traffic.counts();
    assert_eq!((counts.requests, counts.denied), (0, 1));
    assert_eq!(counts.denials, ["10.0.0.1 is a private address"]);
}

#[tokio::test]
async fn what_the_grant_refuses_is_neither_looked_up_nor_counted() {
    let site = Site::with(Recorder::default());
    for request in [
        request("DELETE", "/assets", ""),
        request("GET", "/users", ""),
        request("GET", "/assets?a=1&a=2", ""),
        request("GET", "/x/../assets", ""),
        request("GET", "/assets", "a=1"),
        {
            let mut request = request("GET", "/assets", "");
            request
                .headers_mut()
                .insert("authorization", HeaderValue::from_static("Basic eDp5"));
            request
        },
        {
            let mut request = request("POST", "/assets", "a=1");
            request
                .headers_mut()
                .insert("x-http-method-override", HeaderValue::from_static("DELETE"));
            request
        },
    ] {
        let error = site.send(request).await.err().unwrap();
        assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    }
    assert!(site.upstream.steps().is_empty());
    assert_eq!(site.calls(), 0);
    let counts = site.traffic.counts();
    assert_eq!(
        (counts.requests, counts.denied, counts.denials.len()),
        (0, 7, 7)
    );
}

#[tokio::test]
async fn a_body_is_read_to_its_end_before_anything_else_and_has_an_end() {
    let limits = Limits {
        request_bytes: 100,
        ..Limits::default()
    };
    let site = Site::new(
        Recorder::default(),
        &QuotaBook::default(),
        limits,
        Clock::simulated(0),
    );
    let most = format!("a={}", "x".repeat(98));
    site.send(request("POST", "/assets", &most)).await.unwrap();
    let more = format!("a={}", "x".repeat(99));
    let error = site
        .send(request("POST", "/assets", &more))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(100))),
        "{error}"
    );
    assert_eq!(
        site.traffic.counts().denials,
        ["a request was refused: its body is larger than 100 bytes, which is the most it may have"]
    );
    assert_eq!(site.upstream.requests(), 1);
}

#[tokio::test]
async fn the_length_that_is_sent_is_the_bodys_and_not_the_guests_word() {
    let site = Site::with(Recorder::default());
    let mut request = request("POST", "/assets", "ids=1&action=list");
    let headers = request.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("5"));
    headers.insert("accept", HeaderValue::from_static("text/xml"));
    site.send(request).await.unwrap();
    let sent = site.upstream.requests.lock().unwrap();
    assert!(sent[0].headers().contains_key("accept"));
    assert!(!sent[0].headers().contains_key("content-length"));
    assert_eq!(sent[0].body(), &b"ids=1&action=list"[..]);
}

#[tokio::test]
async fn a_plugin_that_calls_in_a_loop_is_told_and_the_vendor_does_not_notice() {
    let site = Site::with(Recorder::default());
    let mut told = 0;
    for _ in 0..1_000 {
        let response = site.get("/assets").await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(response.headers()["retry-after"], "3600");
            told += 1;
        }
    }
    assert_eq!((site.upstream.requests(), told), (285, 715));
    let counts = site.traffic.counts();
    assert_eq!((counts.requests, counts.held_back), (285, 715));
    // What no bucket counts is counted by the host's own, which is another budget.
    for _ in 0..950 {
        assert_eq!(site.get("/about").await.unwrap().status(), StatusCode::OK);
    }
    let refused = site.get("/about").await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let states = site.egress.quota();
    let own = states.last().unwrap();
    assert_eq!(
        (
            own.bucket.as_str(),
            own.calls_in_window,
            own.limit,
            own.remaining
        ),
        ("uncovered", 950, 1000, 50)
    );
}

#[tokio::test]
async fn a_call_that_never_reached_the_vendor_does_not_count_and_one_that_may_have_does() {
    for (failure, calls) in [
        (UpstreamError::Connect("acme".into(), "refused".into()), 0),
        (UpstreamError::ConnectTimeout("acme".into()), 0),
        (
            UpstreamError::Tls("acme".into(), "unknown issuer".into()),
            0,
        ),
        (
            UpstreamError::Proxy("acme".into(), "unsuccessful".into()),
            0,
        ),
        (UpstreamError::Closed("reset".into()), 1),
    ] {
        let site = Site::with(Recorder {
            failure: Some(failure.clone()),
            ..Recorder::default()
        });
        assert!(site.get("/assets").await.is_err());
        assert_eq!(site.calls(), calls, "{failure}");
    }
}

#[tokio::test]
async fn no_more_requests_than_connections_are_under_way() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let site = Arc::new(Site::new(
        Recorder::default(),
        &QuotaBook::default(),
        limits,
        Clock::simulated(0),
    ));
    let first = site.get("/about").await.unwrap();
    let _second = site.get("/assets").await.unwrap();
    let third = tokio::spawn({
        let site = Arc::clone(&site);
        async move { site.get("/about").await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    assert_eq!(site.upstream.requests(), 2);
    drop(first);
    assert!(third.await.unwrap());
    // A request that fails gives its place back, too.
    assert!(site.get("/users").await.is_err());
    assert!(site.get("/about").await.is_ok());
}

/// Two connectors of one account of whose budget only one call may be under way (two, less the one that is kept for people).
fn neighbours(clock: &Clock, first: Recorder) -> [Site; 2] {
    let book = QuotaBook::default();
    let mut narrow = quota(300);
    narrow.buckets[0].concurrency = 2;
    [first, Recorder::default()].map(|upstream| {
        let (limits, clock) = (Limits::default(), clock.clone());
        Site::within(&narrow, upstream, &book, limits, clock)
    })
}

#[tokio::test]
async fn a_response_that_nobody_reads_is_dropped_and_its_permit_goes_to_a_neighbour() {
    let clock = Clock::simulated(0);
    let [first, second] = neighbours(&clock, Recorder::default());
    let unread = first.get("/assets").await.unwrap();
    clock.sleep(Duration::from_secs(40)).await;
    let moving = clock.clone();
    let time = tokio::spawn(async move { moving.sleep(Duration::from_secs(300)).await });
    let answer = second.get("/assets").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(clock.elapsed(), Duration::from_secs(60));
    // Whoever reads on is told that the connection is lost.
    let read = unread.into_body().collect().await;
    assert!(matches!(read.err(), Some(Error::ConnectionTerminated)));
    let said = first.traffic.counts().last_failure.unwrap();
    assert_eq!(
        said,
        "nobody read the response for 60 s, so it was given up (`unread_seconds`)"
    );
    assert_eq!(first.traffic.spending().peak(Limit::UnreadTime), 60_000);
    // The neighbour reads in time, and loses nothing.
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    time.await.unwrap();
}

#[tokio::test]
async fn a_response_that_is_read_slowly_is_kept() {
    let clock = Clock::simulated(0);
    let [site, _] = neighbours(&clock, Recorder::default());
    let mut body = site.get("/assets").await.unwrap().into_body();
    let mut frames = 0;
    loop {
        clock.sleep(Duration::from_secs(59)).await;
        match body.frame().await {
            Some(frame) => frames += usize::from(frame.is_ok()),
            None => break,
        }
    }
    drop(body);
    assert_eq!(frames, 2, "data and trailers, each within its time");
    assert_eq!(site.traffic.spending().peak(Limit::UnreadTime), 59_000);
}

#[tokio::test]
async fn a_response_that_is_looked_at_once_and_stops_is_dropped_after_its_silence() {
    let clock = Clock::simulated(0);
    let silent = Recorder {
        silent: true,
        ..Recorder::default()
    };
    let [first, second] = neighbours(&clock, silent);
    let mut body = first.get("/assets").await.unwrap().into_body();
    let once = std::future::poll_fn(|context| {
        Poll::Ready(Pin::new(&mut body).poll_frame(context).is_pending())
    });
    assert!(once.await, "nothing is there");
    clock.sleep(Duration::from_secs(100)).await;
    let moving = clock.clone();
    let time = tokio::spawn(async move { moving.sleep(Duration::from_secs(300)).await });
    let answer = second.get("/assets").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(clock.elapsed(), Duration::from_secs(120));
    let read = body.frame().await.unwrap();
    assert!(matches!(read.err(), Some(Error::ConnectionReadTimeout)));
    time.await.unwrap();
}

#[tokio::test]
async fn a_redirect_reaches_the_guest_as_it_came_without_cookies() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "location",
        HeaderValue::from_static("https://other.example.test/"),
    );
    headers.insert("set-cookie", HeaderValue::from_static("session=1"));
    let mut trailers = HeaderMap::new();
    trailers.insert("set-cookie", HeaderValue::from_static("session=2"));
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    let site = Site::with(Recorder {
        status: StatusCode::FOUND,
        headers,
        trailers,
        ..Recorder::default()
    });
    let response = site.get("/about").await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(
        response.headers()["location"],
        "https://other.example.test/"
    );
    assert!(!response.headers().contains_key("set-cookie"));
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert!(trailers.contains_key("x-checksum") && !trailers.contains_key("set-cookie"));
    assert_eq!(site.upstream.requests(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_counts_and_says_why() {
    let clock = Clock::simulated(0);
    let limits = Limits {
        first_byte_timeout: Duration::from_secs(7),
        ..Limits::default()
    };
    let site = Site::new(Recorder::default(), &QuotaBook::default(), limits, clock);
    let silent = |_request: Request<Bytes>| std::future::pending();
    let egress = Egress {
        upstream: Arc::new(silent),
        grant: site.egress.grant.clone(),
        credential: None,
        plan: Arc::clone(&site.egress.plan),
        account: Arc::clone(&site.egress.account),
        places: Arc::clone(&site.egress.places),
        limits: site.egress.limits.clone(),
        clock: site.egress.clock.clone(),
    };
    let asked = egress.send(&site.session, request("GET", "/assets", ""));
    let time = site.egress.clock.sleep(Duration::from_secs(60));
    let (answer, ()) = tokio::join!(asked, time);
    assert!(matches!(answer.err(), Some(Error::HttpResponseTimeout)));
    assert_eq!(site.calls(), 1, "the vendor may have seen it");
    let said = site.traffic.counts().last_failure.unwrap();
    assert!(said.starts_with("no answer within 7 s; "), "{said}");
}

/// A store whose disk is slow: a write ends when the gate lets it.
struct SlowStore(Arc<Gate>);

impl QuotaStore for SlowStore {
    fn load(&self, _account: &str) -> Result<Vec<StoredBucket>, String> {
        Ok(Vec::new())
    }

    fn save(&self, _account: &str, _bucket: StoredBucket) -> Saving {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            let permit = gate.acquire().await.map_err(|error| error.to_string())?;
            permit.forget();
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_call_is_durably_counted_before_its_answer_reaches_the_guest() {
    let gate = Arc::new(Gate::new(0));
    let book = QuotaBook::kept_in(Arc::new(SlowStore(Arc::clone(&gate))));
    let clock = Clock::simulated(0);
    let site = Arc::new(Site::new(
        Recorder::default(),
        &book,
        Limits::default(),
        clock,
    ));
    let call = tokio::spawn({
        let site = Arc::clone(&site);
        async move { site.get("/assets").await.is_ok() }
    });
    while site.upstream.requests() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(!call.is_finished(), "sent, answered, and not yet counted");
    gate.add_permits(1);
    assert!(call.await.unwrap());
}

#[tokio::test]
async fn a_store_that_fails_stops_nobody() {
    struct Broken;
    impl QuotaStore for Broken {
        fn load(&self, _account: &str) -> Result<Vec<StoredBucket>, String> {
            Err("the disk is broken".into())
        }
        fn save(&self, _account: &str, _bucket: StoredBucket) -> Saving {
            Box::pin(std::future::ready(Err("the disk is broken".into())))
        }
    }
    let book = QuotaBook::kept_in(Arc::new(Broken));
    let clock = Clock::simulated(0);
    let site = Site::new(Recorder::default(), &book, Limits::default(), clock);
    assert!(site.get("/assets").await.is_ok());
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_call_may_make_so_many_requests_and_what_a_guest_writes_steers_no_terminal() {
    let limits = Limits {
        requests: 2,
        ..Limits::default()
    };
    let site = Site::new(
        Recorder::default(),
        &QuotaBook::default(),
        limits,
        Clock::simulated(0),
    );
    let error = site.get("/assets?x=%1b[2J&x=1").await.err();
    assert!(matches!(error, Some(Error::HttpRequestDenied)));
    assert!(site.get("/assets").await.is_ok());
    assert!(site.get("/assets").await.is_err());
    let denials = site.traffic.counts().denials;
    assert!(denials.iter().all(|denial| !denial.contains('\u{1b}')));
    assert_eq!(
        denials[1],
        "a request was refused: one call may make 2 of them"
    );
}
