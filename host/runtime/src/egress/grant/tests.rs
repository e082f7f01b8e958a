use super::*;
use crate::egress::{headers, target};
use http::{HeaderMap, HeaderValue, header};

fn grant() -> Grant {
    let rules = serde_json::from_value(serde_json::json!([
        {"id": "assets", "methods": ["POST"], "path": "/api/*/assets/", "form": {"action": ["list", "count"]}},
        {"id": "about", "methods": ["GET"], "path": "/about"},
    ]))
    .unwrap();
    Grant::new(
        Origin::parse("https://acme-scanner.example.test", false).unwrap(),
        rules,
    )
}

/// The checks of a whole request, as `Egress::send` makes them one after the other.
fn check(method: &str, url: &str, body: &str) -> Result<(), Denial> {
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
    }
    let method = method.parse().unwrap();
    let url = target::normalise(&url.parse().unwrap())?;
    let form = Form::of(&method, &url, &headers, body.as_bytes())?;
    grant().check(&method, &url, &form)?;
    headers::check(&headers)
}

const ASSETS: &str = "https://acme-scanner.example.test/api/5.0/assets/";

#[test]
fn what_was_granted_passes() {
    for (method, url, body) in [
        ("POST", ASSETS, "action=list&ids=1-9"),
        ("POST", &format!("{ASSETS}?action=count"), "ids=1"),
        ("POST", &format!("{ASSETS}?action=count"), ""),
        ("GET", "https://ACME-scanner.example.test:443/about", ""),
        ("GET", "https://acme-scanner.example.test/about?x=1", ""),
    ] {
        assert_eq!(check(method, url, body), Ok(()), "{method} {url} {body}");
    }
}

#[test]
fn what_was_not_granted_is_refused_with_what_would_have_to_be() {
    const HOME: &str = "https://acme-scanner.example.test";
    const RULE: &str = "no rule of the plugin's manifest (network.requests) covers it; rule `assets` asks for action=list|count";
    let elsewhere = |wanted: &str| {
        format!(
            "a request to {wanted} was refused: this connector is granted {HOME} only (the setting that holds its address)"
        )
    };
    let twice = "a request to /api/5.0/assets/ was refused: the field `action` stands more than once in query and body";
    let table = [
        // Another action, or none.
        (
            "POST",
            ASSETS.to_owned(),
            "action=purge",
            format!("POST /api/5.0/assets/ (action=purge) was refused: {RULE}"),
        ),
        (
            "POST",
            ASSETS.to_owned(),
            "",
            format!("POST /api/5.0/assets/ (no action) was refused: {RULE}"),
        ),
        (
            "POST",
            ASSETS.to_owned(),
            "action=LIST",
            format!("POST /api/5.0/assets/ (action=LIST) was refused: {RULE}"),
        ),
        (
            "POST",
            format!("{ASSETS}?action=purge"),
            "",
            format!("POST /api/5.0/assets/ (action=purge) was refused: {RULE}"),
        ),
        // The same field twice, and a query that the body contradicts.
        ("POST", ASSETS.to_owned(), "action=list&action=list", twice.into()),
        ("POST", ASSETS.to_owned(), "action=list&action=purge", twice.into()),
        ("POST", format!("{ASSETS}?action=list"), "action=purge", twice.into()),
        // Another method.
        (
            "DELETE",
            format!("{ASSETS}?action=list"),
            "",
            "DELETE /api/5.0/assets/ was refused: no rule of the plugin's manifest (network.requests) covers it; rule `assets` would need the method DELETE".into(),
        ),
        (
            "GET",
            format!("{ASSETS}?action=list"),
            "",
            "GET /api/5.0/assets/ was refused: no rule of the plugin's manifest (network.requests) covers it; rule `assets` would need the method GET".into(),
        ),
        (
            "GET",
            format!("{HOME}/about"),
            "x=1",
            "a GET request to /about was refused: only a POST may carry a body".into(),
        ),
        // Another path.
        (
            "GET",
            format!("{HOME}/users"),
            "",
            "GET /users was refused: no rule of the plugin's manifest (network.requests) covers it; it would need one with the path /users".into(),
        ),
        (
            "GET",
            format!("{HOME}/about/"),
            "",
            "GET /about/ was refused: no rule of the plugin's manifest (network.requests) covers it; it would need one with the path /about/".into(),
        ),
        (
            "GET",
            format!("{HOME}/About"),
            "",
            "GET /About was refused: no rule of the plugin's manifest (network.requests) covers it; it would need one with the path /About".into(),
        ),
        // Another origin.
        (
            "GET",
            "https://other.example.test/about".into(),
            "",
            elsewhere("https://other.example.test"),
        ),
        (
            "GET",
            "http://acme-scanner.example.test/about".into(),
            "",
            elsewhere("http://acme-scanner.example.test"),
        ),
        (
            "GET",
            format!("{HOME}:8443/about"),
            "",
            elsewhere(&format!("{HOME}:8443")),
        ),
        (
            "GET",
            "https://192.0.2.7/about".into(),
            "",
            elsewhere("https://192.0.2.7"),
        ),
        (
            "GET",
            "https://acme-scanner.example.test.evil.example.test/about".into(),
            "",
            elsewhere("https://acme-scanner.example.test.evil.example.test"),
        ),
        // A URL that can be read in two ways.
        (
            "GET",
            format!("{HOME}/x/../about"),
            "",
            "a request was refused: its URL has a path that is not in its normal form".into(),
        ),
    ];
    for (method, url, body, sentence) in table {
        let refused = check(method, &url, body).unwrap_err();
        assert_eq!(refused.to_string(), sentence, "{method} {url} {body}");
    }
}

#[test]
fn no_manifest_can_ask_for_a_tunnel_or_an_echo() {
    let rules = serde_json::json!([{"id": "all", "methods": ["GET", "CONNECT", "TRACE"], "path": "/about"}]);
    let origin = Origin::parse("https://acme-scanner.example.test", false).unwrap();
    let grant = Grant::new(origin, serde_json::from_value(rules).unwrap());
    let url = Url::parse("https://acme-scanner.example.test/about").unwrap();
    let check = |method: &Method| {
        let form = Form::of(method, &url, &HeaderMap::new(), b"").unwrap();
        grant.check(method, &url, &form)
    };
    assert_eq!(check(&Method::GET), Ok(()));
    for method in [Method::CONNECT, Method::TRACE] {
        assert_eq!(check(&method), Err(Denial::Method(method.to_string())));
    }
}

#[test]
fn a_star_is_exactly_one_segment() {
    assert!(path_matches("/api/*/assets/", "/api/2.0/assets/"));
    assert!(!path_matches("/api/*/assets/", "/api//assets/"));
    assert!(!path_matches("/api/*/assets/", "/api/2.0/x/assets/"));
    assert!(!path_matches("/api/*/assets/", "/api/2.0/assets"));
}
