use super::*;
use crate::forwarders::Kind;
use crate::forwarders::tests::{START, Site, destination, forwarder, way};
use base64::Engine as _;
use bytes::Bytes;
use connector_runtime::egress::{UpstreamBody, body_of};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

const SCANS: [Index; 2] = [Index::Syslog, Index::Scans];

/// What it says to a document: request number, document, and what becomes of it.
type Rule = fn(usize, &Value) -> (u16, &'static str);

/// A server that keeps documents.
#[derive(Default)]
struct Server {
    /// By index and id; with how often it was written.
    documents: BTreeMap<(String, String), (Value, u64)>,
    /// Documents of each request.
    requests: Vec<usize>,
    heads: Vec<http::request::Parts>,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn bulk(&mut self, request: Request<Bytes>, rule: Rule) -> Response<UpstreamBody> {
        let (parts, body) = request.into_parts();
        let mut text = String::new();
        match parts.headers.get("content-encoding") {
            None => (&body[..]).read_to_string(&mut text).unwrap(),
            Some(_) => flate2::read::GzDecoder::new(&body[..])
                .read_to_string(&mut text)
                .unwrap(),
        };
        assert!(text.ends_with('\n'));
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let number = self.requests.len();
        self.requests.push(lines.len() / 2);
        self.heads.push(parts);
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            let (action, target) = pair[0].as_object().unwrap().iter().next().unwrap();
            let place = ["_index", "_id"].map(|key| target[key].as_str().unwrap().to_owned());
            let [index, id] = place;
            let (mut status, error) = rule(number, &pair[1]);
            let known = self.documents.get(&(index.clone(), id.clone()));
            if status == 200 && action == "create" && known.is_some() {
                status = 409;
            }
            if status == 200 {
                let times = known.map_or(0, |(_, times)| *times) + 1;
                self.documents.insert((index, id), (pair[1].clone(), times));
                items.push(json!({ action: {"status": 201} }));
            } else {
                let error =
                    json!({"type": error, "reason": "failed to parse field [n] of [s3cret]"});
                items.push(json!({ action: {"status": status, "error": error} }));
            }
        }
        let answer = json!({"errors": false, "items": items}).to_string();
        Response::new(body_of(Full::new(answer.into())))
    }
}

fn options() -> Options {
    Options {
        pattern: Pattern::parse(DEFAULT_PATTERN).unwrap(),
        action: Action::Index,
        gzip: true,
        authorization: Some(HeaderValue::from_static("Basic dTpwYXNzdzByZA==")),
        records: 100,
        bytes: 1 << 20,
    }
}

fn consumer(site: &Site, options: Options, destination: Destination) -> Elasticsearch {
    let forwarder = forwarder(Kind::Elasticsearch(options.clone(), way()));
    let dead = forwarder.dead_letters(&site.surroundings);
    Elasticsearch::new(&forwarder, options, destination, dead)
}

fn serving(site: &Site, options: Options, rule: Rule) -> (Elasticsearch, Shared) {
    let server = Shared::default();
    let serving = Arc::clone(&server);
    let destination = destination(site, move |request| {
        let answer = serving.lock().unwrap().bulk(request, rule);
        async move { Ok(answer) }
    });
    (consumer(site, options, destination), server)
}

const TAKES_ALL: Rule = |_, _| (200, "");

fn answering(site: &Site, status: u16, header: Option<(&'static str, &'static str)>) -> String {
    let destination = destination(site, move |_| {
        let mut answer = Response::builder().status(status);
        if let Some((name, value)) = header {
            answer = answer.header(name, value);
        }
        let answer = answer.body(body_of(Empty::new())).unwrap();
        async move { Ok(answer) }
    });
    let mut consumer = consumer(site, options(), destination);
    match site.follow(&mut consumer, 0).unwrap_err() {
        ConsumerError::Destination {
            message,
            retry_after,
        } => format!("{message} {retry_after:?}"),
        error => panic!("{error}"),
    }
}

#[test]
fn a_record_is_one_document_in_each_of_its_indices_however_often_it_is_sent() {
    for action in Action::ALL {
        let site = Site::new();
        site.add("acme", &SCANS, 3, START);
        site.add(
            "acme",
            &[Index::Syslog, Index::Assets],
            1,
            START + 86_400_000,
        );
        let mut options = options();
        options.action = action;
        let (mut consumer, server) = serving(&site, options, TAKES_ALL);
        assert_eq!(site.follow(&mut consumer, 0).unwrap(), 2);
        assert_eq!(site.follow(&mut consumer, 0).unwrap(), 2);
        let server = server.lock().unwrap();
        let places: Vec<_> = server
            .documents
            .keys()
            .map(|(index, id)| format!("{index}/{}", &id[..8]))
            .collect();
        // The day is that of the event, not of the writing.
        let expected = [
            "interflow-scans-2026.02.28/00000002",
            "interflow-scans-2026.03.01/00000001",
            "interflow-scans-2026.03.02/00000000",
            "interflow-syslog-2026.02.28/00000002",
            "interflow-syslog-2026.03.01/00000001",
            "interflow-syslog-2026.03.02/00000000",
            "interflow-syslog-2026.03.02/00000003",
        ];
        assert_eq!(places, expected);
        for ((_, id), (document, times)) in &server.documents {
            assert_eq!(id.len(), 36);
            assert!(document["stellar_uuid"].as_str().unwrap().starts_with(id));
            assert_eq!(*times, if action == Action::Index { 2 } else { 1 });
        }
        for head in &server.heads {
            assert_eq!(head.method, Method::POST);
            assert_eq!(head.uri.path(), "/in/_bulk");
            assert_eq!(head.headers["authorization"], "Basic dTpwYXNzdzByZA==");
            assert_eq!(head.headers["content-type"], "application/x-ndjson");
        }
        assert!(site.dead_letters().is_empty());
    }
}

#[test]
fn a_pattern_without_an_index_makes_one_document_of_a_record() {
    let site = Site::new();
    site.add("acme", &SCANS, 2, START);
    let mut options = options();
    options.pattern = Pattern::parse("acme-{month}").unwrap();
    let (mut consumer, server) = serving(&site, options, TAKES_ALL);
    site.follow(&mut consumer, 0).unwrap();
    assert_eq!(server.lock().unwrap().requests, [2]);
}

#[test]
fn a_request_has_no_more_documents_and_bytes_than_it_may_have() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 7, START);
    let mut by_number = options();
    by_number.records = 3;
    let (mut consumer, server) = serving(&site, by_number, TAKES_ALL);
    site.follow(&mut consumer, 0).unwrap();
    assert_eq!(server.lock().unwrap().requests, [3, 3, 1]);
    let mut by_size = options();
    by_size.bytes = 10;
    let (mut consumer, server) = serving(&site, by_size, TAKES_ALL);
    site.follow(&mut consumer, 0).unwrap();
    assert_eq!(server.lock().unwrap().requests, [1; 7]);
}

#[test]
fn only_documents_that_were_not_taken_for_the_moment_are_sent_again() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 6, START);
    let rule: Rule = |request, document| match document["n"].as_u64().unwrap() {
        1 if request < 2 => (429, "es_rejected_execution_exception"),
        4 if request < 1 => (503, "unavailable_shards_exception"),
        _ => (200, ""),
    };
    let (mut consumer, server) = serving(&site, options(), rule);
    let before = site.surroundings.clock.now_ms();
    site.follow(&mut consumer, 0).unwrap();
    let server = server.lock().unwrap();
    assert_eq!(server.requests, [6, 2, 1]);
    assert!(server.documents.values().all(|(_, times)| *times == 1));
    assert_eq!(server.documents.len(), 6);
    assert_eq!(site.surroundings.clock.now_ms() - before, 3_000);
    assert!(site.dead_letters().is_empty());
}

#[test]
fn documents_that_are_never_taken_become_an_error_and_not_a_dead_letter() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 2, START);
    let rule: Rule = |_, _| (429, "es_rejected_execution_exception");
    let (mut consumer, server) = serving(&site, options(), rule);
    let error = site.follow(&mut consumer, 0).unwrap_err().to_string();
    assert!(
        error.contains(
            "2 of the documents were not taken (HTTP 429 es_rejected_execution_exception)"
        ),
        "{error}"
    );
    assert_eq!(server.lock().unwrap().requests.len(), PAUSES.len() + 1);
    assert!(site.dead_letters().is_empty());
}

#[test]
fn a_document_that_is_refused_for_what_it_is_becomes_a_dead_letter_and_the_others_are_taken() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 4, START);
    let rule: Rule = |_, document| match document["n"].as_u64().unwrap() {
        2 => (400, "document_parsing_exception"),
        _ => (200, ""),
    };
    let (mut consumer, server) = serving(&site, options(), rule);
    assert_eq!(site.follow(&mut consumer, 0).unwrap(), 1);
    assert_eq!(server.lock().unwrap().documents.len(), 3);
    let letters = site.dead_letters();
    let letter: Value = serde_json::from_str(letters.trim()).unwrap();
    assert_eq!(letter["offset"], 1);
    assert_eq!(letter["kind"], "document_parsing_exception");
    assert_eq!(letter["record"]["n"], 2);
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .starts_with("failed to parse")
    );
    assert_eq!(consumer.dead.count(), 1);
    // Until it is committed, nothing is promised; then it is durable.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let path = site
            .surroundings
            .data
            .join("forwarders/siem/dead-letters.ndjson");
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_record_without_an_id_becomes_a_dead_letter() {
    let site = Site::new();
    let lines = "{\"n\":1}\n{\"stellar_uuid\":\"short\",\"timestamp\":1}\n";
    site.add_text("acme", &SCANS, 2, lines, START);
    let (mut consumer, server) = serving(&site, options(), TAKES_ALL);
    site.follow(&mut consumer, 0).unwrap();
    assert!(server.lock().unwrap().requests.is_empty());
    assert_eq!(site.dead_letters().matches("\"kind\":\"no-id\"").count(), 2);
}

#[test]
fn what_concerns_every_document_is_an_error_that_names_the_index() {
    for (status, kind) in [
        (403, "cluster_block_exception"),
        (404, "index_not_found_exception"),
        (403, "security_exception"),
        (400, "validation_exception"),
    ] {
        let site = Site::new();
        site.add("acme", &[Index::Syslog], 1, START);
        let rule: Rule = match kind {
            "cluster_block_exception" => |_, _| (403, "cluster_block_exception"),
            "security_exception" => |_, _| (403, "security_exception"),
            // A cluster with as many shards as it may have.
            "validation_exception" => |_, _| (400, "validation_exception"),
            _ => |_, _| (404, "index_not_found_exception"),
        };
        let (mut consumer, _server) = serving(&site, options(), rule);
        let error = site.follow(&mut consumer, 0).unwrap_err().to_string();
        let said = format!("index interflow-syslog-2026.03.02 (HTTP {status} {kind})");
        assert!(
            error.contains(&said) && !error.contains("s3cret"),
            "{error}"
        );
        assert!(site.dead_letters().is_empty());
    }
}

#[test]
fn a_request_that_is_too_large_is_cut_until_it_fits_and_one_document_alone_is_a_dead_letter() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 5, START);
    let server = Shared::default();
    let serving = Arc::clone(&server);
    let destination = destination(&site, move |request: Request<Bytes>| {
        let body = request.body();
        let text = String::from_utf8_lossy(body);
        // Takes two documents at most, and the fourth not at all.
        let answer = if text.lines().count() > 4 || text.contains("\"n\":3}") {
            let mut answer = Response::new(body_of(Empty::new()));
            *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            answer
        } else {
            serving.lock().unwrap().bulk(request, TAKES_ALL)
        };
        async move { Ok(answer) }
    });
    let mut options = options();
    options.gzip = false;
    let mut consumer = consumer(&site, options, destination);
    site.follow(&mut consumer, 0).unwrap();
    let server = server.lock().unwrap();
    assert_eq!(server.documents.len(), 4);
    assert!(server.documents.values().all(|(_, times)| *times == 1));
    let letters = site.dead_letters();
    assert!(
        letters.contains("\"kind\":\"too-large\"") && letters.contains("\"n\":3}"),
        "{letters}"
    );
}

#[test]
fn an_answer_about_the_whole_request_says_what_to_do_and_how_long_it_wants_rest() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 1, START);
    for (status, header, text) in [
        (
            401,
            None,
            "it refused the login (HTTP 401); check the credential",
        ),
        (403, None, "give its account the right to write there"),
        (404, None, "check `url`"),
        (503, None, "it answered 503 None"),
        (
            429,
            Some(("retry-after", "7")),
            "is asked again by itself Some(7s)",
        ),
        (429, Some(("retry-after", "86400")), "Some(3600s)"),
        (
            429,
            Some(("retry-after", "Mon, 02 Mar 2026 09:01:11 GMT")),
            "Some(40s)",
        ),
        (200, None, "its answer is not that of `_bulk`"),
    ] {
        let said = answering(&site, status, header);
        assert!(said.contains(text), "{said}\nshould have\n{text}");
        assert!(!said.contains("t0ken") && !said.contains("dTpw"), "{said}");
    }
    assert!(site.dead_letters().is_empty());
}

#[test]
fn an_answer_about_another_number_of_documents_counts_for_none() {
    let items =
        |count: usize| json!({"items": vec![json!({"index": {"status": 200}}); count]}).to_string();
    assert!(Answer::parse(items(2).as_bytes(), 2).is_ok());
    let error = Answer::parse(items(1).as_bytes(), 2).err().unwrap();
    assert!(
        error.contains("sent 2 documents and answered about 1"),
        "{error}"
    );
    assert!(Answer::parse(b"{\"items\":[{}]}", 1).is_err());
}

#[test]
fn a_stop_ends_the_wait_for_an_answer_and_for_the_next_attempt() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 1, START);
    let stop = site.surroundings.stop.clone();
    let silent = destination(&site, move |_| {
        stop.request();
        std::future::pending::<Result<Response<UpstreamBody>, _>>()
    });
    let error = site.follow(&mut consumer(&site, options(), silent), 0);
    assert!(matches!(error, Err(ConsumerError::Stopped)));

    let site = Site::new();
    site.add("acme", &[Index::Syslog], 1, START);
    let (stop, server) = (site.surroundings.stop.clone(), Shared::default());
    let busy = destination(&site, move |request| {
        stop.request();
        let answer = server.lock().unwrap().bulk(request, |_, _| (429, "busy"));
        async move { Ok(answer) }
    });
    let error = site.follow(&mut consumer(&site, options(), busy), 0);
    // The answer itself is not waited for any more, if the wish came first.
    assert!(matches!(error, Err(ConsumerError::Stopped)));
}

#[test]
fn nothing_of_a_forwarder_shows_its_credential_or_its_path() {
    let forwarder = forwarder(Kind::Elasticsearch(options(), way()));
    let shown = format!("{forwarder:?}");
    assert!(
        !shown.contains("dTpw") && !shown.contains("t0ken"),
        "{shown}"
    );
    assert!(shown.contains("siem.example.test"));
    let encoded = base64::engine::general_purpose::STANDARD.encode("u:passw0rd");
    assert_eq!(options().authorization.unwrap(), format!("Basic {encoded}"));
}
