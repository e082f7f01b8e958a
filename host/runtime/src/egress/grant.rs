//! The grant: which requests a connector may make. Origin, method, path and form fields, all of them.
//!
//! Query and body are one set of fields. A name that stands twice is refused, whatever the vendor would make of it: a check
//! of one value and a server that uses the other is how such checks are passed.

use super::Origin;
use super::is_forbidden;
use crate::manifest::RequestRule;
use http::{HeaderMap, Method, Uri, header};
use std::collections::BTreeMap;
use url::Url;

const FORM: &str = "application/x-www-form-urlencoded";

/// What one connector may request.
#[derive(Clone, Debug)]
pub struct Grant {
    origin: Origin,
    rules: Vec<RequestRule>,
}

/// A request that the grant covers.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// The normalised URL, which is what will be sent.
    pub(crate) url: Url,
}

/// Why a request is refused; says what would have to be granted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Denial {
    /// The URL is written in a way that could mean two things.
    #[error("a request was refused: its URL {0}")]
    Url(&'static str),
    /// Another origin.
    #[error(
        "a request to {wanted} was refused: this connector is granted {granted} only (the setting that holds its address)"
    )]
    Origin {
        /// Where it wanted to go.
        wanted: String,
        /// Where it may go.
        granted: String,
    },
    /// A header that only the host sets.
    #[error("a request was refused: it sets the header `{0}`, which only the host may set")]
    Header(String),
    /// The body is not a form.
    #[error("a request to {0} was refused: its body is not {FORM}")]
    BodyType(String),
    /// A field stands twice.
    #[error(
        "a request to {path} was refused: the field `{field}` stands more than once in query and body"
    )]
    RepeatedField {
        /// The path.
        path: String,
        /// The field.
        field: String,
    },
    /// Nothing in the manifest's `network.requests` covers it.
    #[error(
        "{method} {path}{fields} was refused: no rule of the plugin's manifest (network.requests) covers it; {missing}"
    )]
    Rule {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The fields that a rule of this path looks at, as they were sent.
        fields: String,
        /// What would have to be granted.
        missing: String,
    },
    /// More requests than one call may make.
    #[error("a request was refused: one call may make {0} of them")]
    TooManyRequests(u32),
}

impl Grant {
    /// What `rules` ask for, at `origin`.
    pub fn new(origin: Origin, rules: Vec<RequestRule>) -> Self {
        Self { origin, rules }
    }

    /// The one origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Allowed, Denial> {
        let url = normalise(uri)?;
        let wanted = Origin::of(&url).ok_or(Denial::Url("names no host"))?;
        if wanted != self.origin {
            return Err(Denial::Origin {
                wanted: wanted.to_string(),
                granted: self.origin.to_string(),
            });
        }
        if let Some(name) = headers.keys().find(|name| is_forbidden(name)) {
            return Err(Denial::Header(name.to_string()));
        }
        let fields = fields(&url, headers, body)?;
        let path = url.path();
        let covered = self.rules.iter().any(|rule| {
            path_matches(&rule.path, path)
                && rule
                    .methods
                    .iter()
                    .any(|allowed| allowed == method.as_str())
                && rule.form.iter().all(|(name, values)| {
                    fields.get(name).is_some_and(|value| values.contains(value))
                })
        });
        if covered {
            return Ok(Allowed { url });
        }
        Err(self.explain(method, path, &fields))
    }

    fn explain(&self, method: &Method, path: &str, fields: &BTreeMap<String, String>) -> Denial {
        let nearest = self
            .rules
            .iter()
            .find(|rule| path_matches(&rule.path, path));
        let (shown, missing) = match nearest {
            None => (
                String::new(),
                format!("it would need one with the path {path}"),
            ),
            Some(rule)
                if !rule
                    .methods
                    .iter()
                    .any(|allowed| allowed == method.as_str()) =>
            {
                (
                    String::new(),
                    format!("rule `{}` would need the method {method}", rule.id),
                )
            }
            Some(rule) => {
                let shown: Vec<String> = rule
                    .form
                    .keys()
                    .map(|name| match fields.get(name) {
                        Some(value) => {
                            // Whole: it is cut where it is redacted, since half a secret is none that is known.
                            format!("{name}={value}")
                        }
                        None => format!("no {name}"),
                    })
                    .collect();
                let needed: Vec<String> = rule
                    .form
                    .iter()
                    .map(|(name, values)| format!("{name}={}", values.join("|")))
                    .collect();
                (
                    format!(" ({})", shown.join(", ")),
                    format!("rule `{}` asks for {}", rule.id, needed.join(" and ")),
                )
            }
        };
        Denial::Rule {
            method: method.to_string(),
            path: path.to_owned(),
            fields: shown,
            missing,
        }
    }
}

/// One reading of a URL, or none.
fn normalise(uri: &Uri) -> Result<Url, Denial> {
    let text = uri.to_string();
    let url = Url::parse(&text).map_err(|_| Denial::Url("cannot be read"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Denial::Url("carries a user name"));
    }
    if url.host_str().is_some_and(|host| host.ends_with('.')) {
        return Err(Denial::Url("has a host with a trailing dot"));
    }
    // `Url` folds `..`, backslashes and the like; a path that it had to change meant something else to somebody.
    if url.path() != uri.path() {
        return Err(Denial::Url("has a path that is not in its normal form"));
    }
    let path = url.path().to_ascii_lowercase();
    if ["%2f", "%5c", "%2e", "//", "\\"]
        .iter()
        .any(|trick| path.contains(trick))
    {
        return Err(Denial::Url(
            "has encoded or repeated separators in its path",
        ));
    }
    Ok(url)
}

fn fields(url: &Url, headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, Denial> {
    let mut fields = BTreeMap::new();
    let repeated = |field: String| Denial::RepeatedField {
        path: url.path().to_owned(),
        field,
    };
    if !body.is_empty() {
        let is_form = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(FORM));
        if !is_form {
            return Err(Denial::BodyType(url.path().to_owned()));
        }
    }
    let in_query = url.query_pairs();
    let in_body = form_urlencoded::parse(body);
    for (name, value) in in_query.chain(in_body) {
        if fields.contains_key(name.as_ref()) {
            return Err(repeated(name.into_owned()));
        }
        fields.insert(name.into_owned(), value.into_owned());
    }
    Ok(fields)
}

/// Whether `path` fits `pattern`, in which `*` stands for exactly one segment that is not empty.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn check(method: &str, url: &str, body: &str) -> Result<Allowed, Denial> {
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, FORM.parse().unwrap());
        }
        grant().check(
            &method.parse().unwrap(),
            &url.parse().unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    const ASSETS: &str = "https://acme-scanner.example.test/api/5.0/assets/";

    #[test]
    fn what_was_granted_passes() {
        assert!(check("POST", ASSETS, "action=list&ids=1-9").is_ok());
        assert!(check("POST", &format!("{ASSETS}?action=count"), "ids=1").is_ok());
        assert!(check("GET", "https://ACME-scanner.example.test:443/about", "").is_ok());
    }

    #[test]
    fn another_action_method_path_or_origin_is_refused_and_named() {
        let denied = |method, url: &str, body| check(method, url, body).unwrap_err().to_string();
        let purge = denied("POST", ASSETS, "action=purge");
        assert!(
            purge.contains("action=purge") && purge.contains("action=list|count"),
            "{purge}"
        );
        assert!(denied("POST", ASSETS, "").contains("no action"));
        assert!(denied("DELETE", ASSETS, "action=list").contains("method DELETE"));
        assert!(
            denied("GET", "https://acme-scanner.example.test/users", "").contains("path /users")
        );
        let elsewhere = denied("GET", "https://other.example.test/about", "");
        assert!(
            elsewhere.contains("https://other.example.test"),
            "{elsewhere}"
        );
        assert!(denied("GET", "http://acme-scanner.example.test/about", "").contains("http://"));
        assert!(
            denied("GET", "https://acme-scanner.example.test:8443/about", "").contains(":8443")
        );
    }

    #[test]
    fn a_field_that_stands_twice_is_refused_wherever_it_stands() {
        for (url, body) in [
            (ASSETS.to_owned(), "action=list&action=purge"),
            (format!("{ASSETS}?action=list"), "action=purge"),
            (format!("{ASSETS}?action=list&%61ction=purge"), ""),
        ] {
            assert!(
                matches!(check("POST", &url, body), Err(Denial::RepeatedField { field, .. }) if field == "action"),
                "{url} {body}"
            );
        }
    }

    #[test]
    fn tricks_with_urls_are_refused() {
        for url in [
            "https://user@acme-scanner.example.test/about",
            "https://acme-scanner.example.test./about",
            "https://acme-scanner.example.test/api/5.0/assets/../../../about",
            "https://acme-scanner.example.test/api%2f5.0/assets/",
            "https://acme-scanner.example.test//about",
            "https://acme-scanner.example.test/api/%2e%2e/assets/",
        ] {
            assert!(check("GET", url, "").is_err(), "{url}");
        }
    }

    #[test]
    fn the_hosts_own_headers_and_other_bodies_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Basic eA==".parse().unwrap());
        let uri = "https://acme-scanner.example.test/about".parse().unwrap();
        let refused = grant().check(&Method::GET, &uri, &headers, b"");
        assert_eq!(refused.unwrap_err(), Denial::Header("authorization".into()));
        let uri = ASSETS.parse().unwrap();
        let refused = grant().check(&Method::POST, &uri, &HeaderMap::new(), b"action=list");
        assert!(matches!(refused, Err(Denial::BodyType(_))));
    }

    #[test]
    fn a_star_is_exactly_one_segment() {
        assert!(path_matches("/api/*/assets/", "/api/2.0/assets/"));
        assert!(!path_matches("/api/*/assets/", "/api//assets/"));
        assert!(!path_matches("/api/*/assets/", "/api/2.0/x/assets/"));
        assert!(!path_matches("/api/*/assets/", "/api/2.0/assets"));
    }
}
