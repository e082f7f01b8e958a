use super::*;
use crate::alerts::message;
use crate::forwarders::Kind;
use crate::forwarders::tests::{SECRET, START, Site, destination, forwarder, way};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_runtime::egress::body_of;
use connector_runtime::interflow::Index;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

fn options(gzip: bool) -> Options {
    Options {
        key: message::key(SECRET).unwrap(),
        gzip,
        records: 3,
        bytes: 1 << 20,
    }
}

/// A webhook whose requests are seen, and answered with these states, the last one for ever.
fn webhook(site: &Site, options: Options, statuses: &'static [u16]) -> (Webhook, Seen) {
    let seen = Seen::default();
    let noting = Arc::clone(&seen);
    let destination = destination(site, move |request: Request<Bytes>| {
        assert_eq!(request.uri(), "https://siem.example.test/in?token=t0ken");
        let (parts, body) = request.into_parts();
        let mut noted = noting.lock().unwrap();
        let status = statuses.get(noted.len()).or(statuses.last()).unwrap();
        noted.push((parts.headers, body));
        let answer = Response::builder()
            .status(*status)
            .header("retry-after", "7");
        async move { Ok(answer.body(body_of(Empty::new())).unwrap()) }
    });
    let forwarder = forwarder(Kind::Webhook(options.clone(), way()));
    let dead = forwarder.dead_letters(&site.surroundings);
    (Webhook::new(&forwarder, options, destination, dead), seen)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers[name].to_str().unwrap().to_owned()
}

#[test]
fn a_batch_is_signed_as_it_is_sent_and_holds_records_of_one_block() {
    for gzip in [false, true] {
        let site = Site::new();
        let mut records = site.add("acme", &[Index::Syslog], 4, START);
        records.extend(site.add("acme", &[Index::Syslog, Index::Scans], 1, START));
        let (mut webhook, seen) = webhook(&site, options(gzip), &[204]);
        assert_eq!(site.follow(&mut webhook, 0).unwrap(), 2);
        let seen = seen.lock().unwrap();
        let mut all = Vec::new();
        let mut sizes = Vec::new();
        for (headers, body) in seen.iter() {
            assert_eq!(text(headers, "content-type"), "application/x-ndjson");
            assert_eq!(headers.contains_key("content-encoding"), gzip);
            let (id, time) = (
                text(headers, "webhook-id"),
                text(headers, "webhook-timestamp"),
            );
            assert_eq!(time, (START / 1000).to_string());
            let mut signed = format!("{id}.{time}.").into_bytes();
            signed.extend_from_slice(body);
            let signature = text(headers, "webhook-signature");
            let tag = STANDARD
                .decode(signature.strip_prefix("v1,").unwrap())
                .unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            hmac::verify(&key, &signed, &tag).unwrap();
            let mut lines = String::new();
            match gzip {
                true => flate2::read::GzDecoder::new(&body[..])
                    .read_to_string(&mut lines)
                    .unwrap(),
                false => (&body[..]).read_to_string(&mut lines).unwrap(),
            };
            sizes.push(lines.lines().count());
            all.extend(lines.lines().map(str::to_owned));
        }
        assert_eq!(sizes, [3, 1, 1]);
        assert_eq!(all, records);
    }
}

#[test]
fn what_is_sent_again_has_the_same_ids_and_other_batches_have_others() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 5, START);
    // The same text in another block is another message.
    let line = "{\"stellar_uuid\":\"a\"}\n";
    site.add_text("acme", &[Index::Syslog], 1, line, START);
    site.add_text("acme", &[Index::Syslog], 1, line, START);
    let ids = |statuses| {
        let (mut webhook, seen) = webhook(&site, options(false), statuses);
        // Behind a failure everything since the last commit comes again.
        while site.follow(&mut webhook, 0).is_err() {}
        let seen = seen.lock().unwrap();
        seen.iter()
            .map(|(headers, _)| text(headers, "webhook-id"))
            .collect::<Vec<_>>()
    };
    let once = ids(&[200]);
    let mut distinct = once.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((once.len(), distinct.len()), (4, 4));
    assert!(
        once.iter()
            .all(|id| id.starts_with("msg_") && id.len() == 36)
    );
    let again = ids(&[200, 500, 200]);
    assert_eq!(again[..2], once[..2]);
    assert_eq!(again[2..], once);
}

#[test]
fn a_batch_is_cut_by_its_bytes_and_a_larger_record_goes_alone() {
    let site = Site::new();
    let mut lines = String::new();
    for size in [10, 10, 200, 10] {
        lines.push_str(&format!("{{\"a\":\"{}\"}}\n", "x".repeat(size)));
    }
    site.add_text("acme", &[Index::Syslog], 4, &lines, START);
    let mut options = options(false);
    options.bytes = 60;
    let (mut webhook, seen) = webhook(&site, options, &[200]);
    site.follow(&mut webhook, 0).unwrap();
    let seen = seen.lock().unwrap();
    let counts = seen
        .iter()
        .map(|(_, body)| body.iter().filter(|byte| **byte == b'\n').count());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn an_answer_that_is_not_2xx_is_an_error_that_says_what_to_do_and_shows_no_token() {
    for (statuses, text, rest) in [
        (&[500_u16][..], "it answered 500", 7),
        (&[429], "takes no more at present (HTTP 429)", 7),
        (&[302], "redirects are not followed", 7),
        (&[401], "check the credential", 7),
        (
            &[410],
            "wants nothing any more (HTTP 410); name another `url`",
            3600,
        ),
    ] {
        let site = Site::new();
        site.add("acme", &[Index::Syslog], 1, START);
        let (mut webhook, _seen) = webhook(&site, options(false), statuses);
        let error = site.follow(&mut webhook, 0).unwrap_err();
        let ConsumerError::Destination {
            message,
            retry_after,
        } = error
        else {
            panic!("{error}");
        };
        assert!(
            message.starts_with("forwarder siem (siem.example.test): "),
            "{message}"
        );
        assert!(
            message.contains(text) && !message.contains("t0ken"),
            "{message}"
        );
        assert_eq!(retry_after, Some(Duration::from_secs(rest)));
    }
}
