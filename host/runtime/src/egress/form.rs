//! The form of a request: the fields of query and body as one set, each with one value.
//!
//! A check of one value and a server that uses another is how such checks are passed. So a name that stands twice is
//! refused, in whatever case it is written, and so is whatever servers split, decode or trim differently.

use super::Denial;
use super::session::HeldBodies;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use url::Url;
use wasmtime_wasi_http::{Error, WasiBody};

/// The one type of body.
pub(crate) const TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a request, by name.
#[derive(Debug)]
pub(crate) struct Form(BTreeMap<String, String>);

/// Reads a request's body to its end, as far as it may hold more. Refused if it is longer than `limit`, or than what is left
/// beside those of the instance's other requests.
///
/// # Errors
/// If the guest gave it up.
pub(crate) async fn read_body(
    mut body: WasiBody,
    limit: usize,
    held: &mut HeldBodies,
) -> Result<Result<Bytes, Denial>, Error> {
    // In one piece: a guest that writes single bytes would have each of them kept in a piece of its own.
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::ConnectionTerminated)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if whole.len() + data.len() > limit {
            return Ok(Err(Denial::BodySize(limit)));
        }
        if let Err(denial) = held.add(data.len()) {
            return Ok(Err(denial));
        }
        whole.extend_from_slice(data);
    }
    Ok(Ok(Bytes::from(whole)))
}

impl Form {
    /// The fields of query and body.
    pub(crate) fn of(
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, Denial> {
        let path = || url.path().to_owned();
        if !body.is_empty() {
            if method != Method::POST {
                return Err(Denial::Body {
                    method: method.to_string(),
                    path: path(),
                });
            }
            if !is_form(headers) {
                return Err(Denial::BodyType(path()));
            }
        }
        let query = url.query().unwrap_or_default().as_bytes();
        if query.contains(&b';') || body.contains(&b';') {
            return Err(Denial::Separator(path()));
        }
        let mut fields = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query).chain(form_urlencoded::parse(body)) {
            if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Denial::FieldName(path()));
            }
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(Denial::RepeatedField {
                    path: path(),
                    field: name.into_owned(),
                });
            }
            fields.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(fields))
    }

    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Whether the headers say, once and in UTF-8, that the body is a form.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(text) = only.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE))
        && parts.all(|part| part.is_empty() || part.eq_ignore_ascii_case("charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(query: &str, kinds: &[&'static str], body: &str) -> Result<Form, Denial> {
        let url = Url::parse(&format!("https://a.example.test/x{query}")).unwrap();
        let mut headers = HeaderMap::new();
        for kind in kinds {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Form::of(&Method::POST, &url, &headers, body.as_bytes())
    }

    #[test]
    fn query_and_body_are_one_set() {
        let form = read("?a=1", &[TYPE], "b=%C3%BC+2").unwrap();
        assert_eq!(
            (form.get("a"), form.get("b")),
            (Some("1"), Some("\u{fc} 2"))
        );
        assert_eq!(form.get("c"), None);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_wherever_and_however_it_is_written() {
        for (query, body) in [
            ("", "action=list&action=list"),
            ("", "action=list&action=purge"),
            ("?action=list", "action=purge"),
            ("?action=list&%61ction=purge", ""),
            ("", "action=list&Action=purge"),
            ("", "action=list&ACTION="),
        ] {
            assert!(
                matches!(
                    read(query, &[TYPE], body),
                    Err(Denial::RepeatedField { .. })
                ),
                "{query} {body}"
            );
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for body in [
            "+action=purge&action=list",
            "action%00=purge&action=list",
            "act%C3%AFon=purge",
            "action%FF=purge",
            "action%09=purge",
        ] {
            assert!(
                matches!(read("", &[TYPE], body), Err(Denial::FieldName(_))),
                "{body}"
            );
        }
        for (query, body) in [
            ("", "x=1;action=purge&action=list"),
            ("?x=1;action=purge", ""),
        ] {
            assert!(
                matches!(read(query, &[TYPE], body), Err(Denial::Separator(_))),
                "{query} {body}"
            );
        }
        assert_eq!(read("", &[TYPE], "x=1%3B2").unwrap().get("x"), Some("1;2"));
    }

    #[test]
    fn a_body_is_a_form_that_says_so_once() {
        for kinds in [
            &[TYPE][..],
            &["application/x-www-form-urlencoded; charset=UTF-8"],
            &["Application/X-WWW-Form-URLencoded;"],
        ] {
            assert!(read("", kinds, "a=1").is_ok(), "{kinds:?}");
        }
        for kinds in [
            &[][..],
            &["application/json"],
            &["multipart/form-data; boundary=x"],
            &["application/x-www-form-urlencoded; charset=utf-16"],
            &[TYPE, "application/json"],
            &["application/json", TYPE],
        ] {
            assert_eq!(
                read("", kinds, "a=1").unwrap_err(),
                Denial::BodyType("/x".into()),
                "{kinds:?}"
            );
            assert!(
                read("?a=1", kinds, "").is_ok(),
                "without a body it does not matter"
            );
        }
    }

    #[test]
    fn only_a_post_carries_a_body() {
        let url = Url::parse("https://a.example.test/x").unwrap();
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(TYPE))]);
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::PUT] {
            let refused = Form::of(&method, &url, &headers, b"a=1").unwrap_err();
            assert_eq!(
                refused,
                Denial::Body {
                    method: method.to_string(),
                    path: "/x".into()
                }
            );
        }
    }
}
