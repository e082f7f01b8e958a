//! Requests: where they go, how many, how large; and vendors who are hostile themselves.

use bytes::Bytes;
use connector_runtime::Limits;
use connector_runtime::egress::{
    AddressPolicy, Lookup, NetworkOptions, NetworkUpstream, UpstreamError, body_of,
};
use connector_runtime::runs::RunOutcome;
use connector_runtime::sandbox::FaultKind::Limit;
use connector_runtime::testing::{Bench, Script};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tests::hostile::{Attack, component, settings};

const DENIED: &str = "ErrorCode::HttpRequestDenied";

#[tokio::test]
async fn headers_that_only_the_host_sets_can_be_neither_set_nor_seen() {
    let script = Script::new().answer(
        200,
        &[
            ("set-cookie", "session=1"),
            ("proxy-authenticate", "Basic"),
            ("x-seen", "1"),
        ],
        "",
    );
    let attacked = Attack::by("forbidden_headers")
        .against(script.clone())
        .run()
        .await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    for name in [
        "authorization",
        "Authorization",
        "AUTHORIZATION",
        "cookie",
        "host",
        "proxy-authorization",
        "connection",
        "transfer-encoding",
        "append",
    ] {
        assert_eq!(saw[name], "Err(HeaderError::Forbidden)", "{name}");
    }
    assert_eq!(saw["list"], "Some(HeaderError::Forbidden)");
    for name in ["authorization ", "x  authorization", "split"] {
        assert_eq!(saw[name], "Err(HeaderError::InvalidSyntax)", "{name}");
    }
    assert_eq!(saw["seen"], "x-seen");
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    let names: Vec<&str> = requests[0]
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["authorization"]);
    assert_eq!(
        requests[0].headers["authorization"],
        "Basic ZGVtbzpzM2NyZXQtdG9rZW4="
    );
}

#[tokio::test]
async fn forty_thousand_request_headers_end_at_the_limit() {
    let script = Script::new();
    let attacked = Attack::by("many_headers")
        .against(script.clone())
        .run()
        .await;
    let full = "The plugin was stopped: a request has larger headers than allowed (`headers_kib`).";
    attacked.struck_out(Limit, [full; 3]);
    assert!(script.requests().is_empty());
}

#[tokio::test]
async fn forty_thousand_response_headers_are_no_response() {
    let upstream = |_: http::Request<Bytes>| async {
        let mut response = http::Response::new(body_of(Full::new(Bytes::new())));
        for _ in 0..40_000 {
            let value = http::HeaderValue::from_static("x");
            response.headers_mut().append("x-many", value);
        }
        Ok::<_, UpstreamError>(response)
    };
    let attacked = Attack::by("reads_to_the_end").against(upstream).run().await;
    attacked.came_to_nothing();
    assert_eq!(
        attacked.saw()["read"],
        "ErrorCode::HttpResponseHeaderSectionSize(None)"
    );
    assert_eq!(
        attacked.ledger.traffic.last_failure.as_deref(),
        Some("the response has larger headers than allowed (`headers_kib`)")
    );
}

#[tokio::test]
async fn nothing_outside_of_the_grant_reaches_anybody() {
    let script = Script::new();
    let attacked = Attack::by("reaches_out")
        .against(script.clone())
        .run()
        .await;
    attacked.came_to_nothing();
    assert_eq!(script.requests().len(), 0, "{:?}", script.requests());
    let mut denied = 0;
    for (what, outcome) in attacked.saw() {
        match outcome {
            DENIED => denied += 1,
            "ok" => assert_eq!(what, "good"),
            other => assert_eq!(other, "the URL was refused", "{what}"),
        }
    }
    assert!(denied >= 16, "{:?}", attacked.saw());
    let traffic = &attacked.ledger.traffic;
    assert_eq!((traffic.requests, traffic.denied), (0, denied));
    for place in [
        "http://169.254.169.254",
        "http://[fd00:ec2::254]",
        "https://second.example.test",
        "http://localhost",
        "http://hostile.example.test",
        "https://hostile.example.test:8443",
    ] {
        let sentence = format!("a request to {place} was refused");
        assert!(
            traffic.denials.iter().any(|one| one.starts_with(&sentence)),
            "{place}: {:#?}",
            traffic.denials
        );
    }
}

#[tokio::test]
async fn hosts_cannot_be_deleted_at_the_granted_origin() {
    let script = Script::new().answer(200, &[], "").answer(200, &[], "");
    let attacked = Attack::by("deletes_hosts")
        .against(script.clone())
        .run()
        .await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    for what in [
        "purge",
        "delete",
        "nothing",
        "both",
        "contradicted",
        "escaped",
        "capital",
        "method",
    ] {
        assert_eq!(saw[what], DENIED, "{what}");
    }
    assert_eq!(saw["list"], "200");
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body, "action=list");
    assert_eq!(attacked.ledger.traffic.denied, 8);
    let denials = attacked.ledger.traffic.denials.join("\n");
    assert!(
        denials.contains("action=purge") && denials.contains("asks for action=list"),
        "{denials}"
    );
}

/// A network on which every name has these addresses.
fn resolving_to(addresses: &'static [&'static str]) -> NetworkUpstream {
    let lookup: Lookup = Arc::new(move |_| {
        let found = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(found)))
    });
    NetworkUpstream::new(NetworkOptions {
        addresses: AddressPolicy::default(),
        lookup: Some(lookup),
        ..NetworkOptions::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_name_that_resolves_to_the_metadata_service_is_not_connected_to() {
    for addresses in [
        &["169.254.169.254"][..],
        &["fd00:ec2::254"],
        &["::ffff:169.254.169.254"],
        // One good address does not help the bad one.
        &["93.184.215.14", "169.254.169.254"],
    ] {
        let attacked = Attack::by("reads_to_the_end")
            .against(resolving_to(addresses))
            .run()
            .await;
        attacked.came_to_nothing();
        assert_eq!(
            attacked.saw()["read"],
            "ErrorCode::DestinationIpProhibited",
            "{addresses:?}"
        );
        let traffic = &attacked.ledger.traffic;
        assert_eq!((traffic.denied, traffic.bytes_received), (1, 0));
        let sentence = &traffic.denials[0];
        assert!(sentence.contains("hostile.example.test"), "{sentence}");
    }
}

#[tokio::test]
async fn requests_in_a_loop_end_at_the_limit() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let upstream = move |_: http::Request<Bytes>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let response = http::Response::new(body_of(Full::new(Bytes::new())));
        std::future::ready(Ok::<_, UpstreamError>(response))
    };
    let attacked = Attack::by("request_loop").against(upstream).run().await;
    attacked.came_to_nothing();
    assert_eq!(attacked.saw()["requests"], "64 answered, 936 refused");
    assert_eq!(seen.load(Ordering::Relaxed), 64);
    let traffic = &attacked.ledger.traffic;
    assert_eq!((traffic.requests, traffic.denied), (64, 936));
    assert_eq!(
        traffic.denials,
        ["a request was refused: one call may make 64 of them"]
    );
}

#[tokio::test]
async fn a_form_without_end_is_not_sent_and_not_waited_for() {
    let script = Script::new();
    let attacked = Attack::by("huge_request")
        .against(script.clone())
        .run()
        .await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Done);
    let late = "The plugin was stopped: one call may take 120 s, waiting for the vendor not counted (`call_seconds`).";
    assert_eq!(
        attacked.faults(),
        [(Limit, "collect-batch", late.to_owned())]
    );
    assert_eq!(
        attacked.saw()["large"],
        "ErrorCode::HttpRequestBodySize(Some(1048576))"
    );
    assert!(script.requests().is_empty());
}

#[tokio::test]
async fn forms_without_end_have_room_for_so_many_bytes_together_over_all_calls() {
    let script = Script::new();
    let attacked = Attack::by("holds_forms")
        .against(script.clone())
        .run()
        .await;
    attacked.came_to_nothing();
    let saw = attacked.saw();
    // 1 MiB for each of 8 connections.
    assert_eq!(saw["first"], "6 held, 0 refused");
    assert_eq!(saw["second"], "8 held, 4 refused");
    assert_eq!(saw["refused"], "Some(ErrorCode::HttpRequestDenied)");
    assert!(!saw.contains_key("odd"));
    let traffic = &attacked.ledger.traffic;
    assert_eq!((traffic.requests, traffic.denied), (0, 4));
    let sentence = "a request was refused: with its body, those of the plugin's requests that are not answered yet would hold more than 8388608 bytes, which is the most they may (`request_kib` for each of `connections`)";
    assert_eq!(traffic.denials, [sentence]);
}

#[tokio::test]
async fn a_response_that_is_too_large_is_cut_off() {
    let limits = Limits {
        response_bytes: 1 << 20,
        ..Limits::default()
    };
    let script = Script::new().answer(200, &[], vec![b'x'; (1 << 20) + 1]);
    let attacked = Attack::by("reads_to_the_end")
        .within(limits)
        .against(script)
        .run()
        .await;
    attacked.came_to_nothing();
    assert_eq!(
        attacked.saw()["read"],
        "Err(\"HTTP response body size exceeds limit\")"
    );
}

/// What was done with the bodies of a vendor who never ends one.
#[derive(Clone, Default)]
struct Watched {
    open: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

struct Endless(Watched);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65_536])))))
    }
}

impl Endless {
    fn open(watched: &Watched) -> Self {
        watched.open.fetch_add(1, Ordering::Relaxed);
        Self(watched.clone())
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_response_that_is_never_read_is_not_read_ahead_and_is_closed() {
    let watched = Watched::default();
    let bodies = watched.clone();
    let upstream = move |_: http::Request<Bytes>| {
        let response = http::Response::new(body_of(Endless::open(&bodies)));
        std::future::ready(Ok::<_, UpstreamError>(response))
    };
    let limits = Limits {
        idle_batches: 20,
        ..Limits::default()
    };
    let attacked = Attack::by("never_reads")
        .within(limits)
        .against(upstream)
        .run()
        .await;
    assert_eq!(attacked.ledger.outcome, RunOutcome::Failed);
    assert_eq!(
        attacked.ledger.reason,
        "things: 20 batches in a row brought nothing and moved nothing"
    );
    assert_eq!(attacked.ledger.traffic.requests, 1);
    assert_eq!(watched.reads.load(Ordering::Relaxed), 0);
    assert_eq!(watched.open.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn time_is_not_the_vendors_because_a_response_was_once_looked_at() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let upstream = move |_: http::Request<Bytes>| {
        let body = if first.swap(false, Ordering::Relaxed) {
            let silent = futures_util::stream::pending::<Result<Frame<Bytes>, UpstreamError>>();
            body_of(StreamBody::new(silent))
        } else {
            body_of(Full::new(Bytes::new()))
        };
        std::future::ready(Ok::<_, UpstreamError>(http::Response::new(body)))
    };
    let attack = Attack::by("stretches_time");
    let clock = attack.clock();
    let before = clock.elapsed();
    let attacked = attack.against(upstream).run().await;
    let late = "The plugin was stopped: one call may take 120 s, waiting for the vendor not counted (`call_seconds`).";
    attacked.struck_out(Limit, [late; 3]);
    // The first call's own 120 s beside the vendor's 120 s of silence, two calls without a silent vendor, two pauses of one
    // and two seconds, and the time that it was held back.
    let passed = clock.elapsed() - before;
    assert_eq!(passed, Duration::from_secs(240 + 2 * 120 + 3 + 301));
}

#[tokio::test]
async fn a_response_that_drips_for_ever_is_given_up() {
    let attack = Attack::by("reads_to_the_end");
    let clock = attack.clock();
    let before = clock.elapsed();
    let dripping = clock.clone();
    let upstream = move |_: http::Request<Bytes>| {
        let drops = futures_util::stream::unfold(dripping.clone(), |clock| async {
            clock.sleep(Duration::from_secs(100)).await;
            let drop = Frame::data(Bytes::from_static(b"x"));
            Some((Ok::<_, UpstreamError>(drop), clock))
        });
        let response = http::Response::new(body_of(StreamBody::new(drops)));
        std::future::ready(Ok::<_, UpstreamError>(response))
    };
    let attacked = attack.against(upstream).run().await;
    attacked.came_to_nothing();
    assert_eq!(
        attacked.saw()["read"],
        "Err(\"connection read timeout\")",
        "a sentence, and nothing of the host's own"
    );
    // Two hours, and the time that a connector would be held back.
    assert_eq!((clock.elapsed() - before).as_secs(), 7_200 + 301);
    assert_eq!(attacked.ledger.traffic.bytes_received, 72);
}

#[tokio::test]
async fn requests_that_nobody_looks_after_are_given_up_with_their_instance() {
    let watched = Watched::default();
    let waiting = watched.clone();
    let upstream = move |_: http::Request<Bytes>| {
        let held = Endless::open(&waiting);
        async move {
            std::future::pending::<()>().await;
            let response = http::Response::new(body_of(held));
            Ok::<_, UpstreamError>(response)
        }
    };
    let attacked = Attack::by("drops_requests").against(upstream).run().await;
    attacked.came_to_nothing();
    assert_eq!(attacked.saw()["held"], "100");
    assert!(attacked.ledger.traffic.requests <= 64);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(watched.open.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn two_plugins_on_one_account_share_the_calls_that_neither_has_a_bucket_for() {
    let calls = Arc::new(AtomicU32::new(0));
    let vendor = {
        let calls = Arc::clone(&calls);
        move |_: http::Request<Bytes>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async {
                Ok::<_, UpstreamError>(http::Response::new(body_of(Full::new(Bytes::from("[]")))))
            }
        }
    };
    let limits = Limits {
        // Less the twentieth that is left to others: 38.
        uncovered_calls: 40,
        requests: 1000,
        ..Limits::default()
    };
    let mut greedy = Bench::of(component("request_loop"))
        .compiled(tests::compiled())
        .limits(limits)
        .settings(settings(true))
        .upstream(vendor.clone())
        .open()
        .await
        .unwrap();
    let mut account = settings(true);
    account.as_object_mut().unwrap().remove("attack");
    let mut modest = Bench::of(tests::acme_component())
        .named("acme", "modest")
        .beside(&greedy)
        .settings(account)
        .upstream(vendor)
        .open()
        .await
        .unwrap();
    assert_eq!(modest.collect().await.unwrap().outcome, RunOutcome::Done);
    let ledger = greedy.collect().await.unwrap();
    assert_eq!(ledger.traffic.requests, 37, "{}", ledger.to_json());
    assert_eq!(ledger.traffic.held_back, 1000 - 37);
    assert_eq!(ledger.quota[0].calls_in_window, 38);
    let ledger = modest.collect().await.unwrap();
    assert_ne!(ledger.outcome, RunOutcome::Done);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        38,
        "the vendor does not notice"
    );

    modest.clock().advance(Duration::from_secs(3600));
    assert_eq!(modest.collect().await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(calls.load(Ordering::SeqCst), 39);
}
