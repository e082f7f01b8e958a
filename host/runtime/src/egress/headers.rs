//! Headers on the way out and back: which ones belong to the host, and which ones would make a server read another request
//! than the one that was checked.

use super::Denial;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

/// Headers that a guest can neither set nor see, besides those of the connection itself.
const SECRET: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

/// With these, a server may take a request for another method, host, path or body than stand in it.
const REWRITING: [&str; 8] = [
    "content-encoding",
    "forwarded",
    "x-forwarded-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Whether only the host may set a header.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    SECRET.contains(name) || DEFAULT_FORBIDDEN_HEADERS.contains(name)
}

/// Refuses a request for one of its headers.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Denial> {
    if let Some(name) = headers.keys().find(|name| is_forbidden(name)) {
        return Err(Denial::Header(name.to_string()));
    }
    match headers
        .keys()
        .find(|name| REWRITING.contains(&name.as_str()))
    {
        Some(name) => Err(Denial::Rewriting(name.to_string())),
        None => Ok(()),
    }
}

/// What of a guest's headers is sent. The length of the body is the host's to say: it is the host that sends it.
pub(crate) fn outgoing(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    kept.remove(header::CONTENT_LENGTH);
    kept
}

/// What headers take in memory, as far as a guest decides it, in bytes.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    headers.iter().map(size).sum()
}

/// Takes out of a response, or its trailers, what a guest may not see.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in SECRET {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: &'static str) -> HeaderMap {
        let name = HeaderName::from_static(name);
        HeaderMap::from_iter([(name, HeaderValue::from_static("x"))])
    }

    #[test]
    fn what_only_the_host_may_set_is_refused_by_name() {
        for name in [
            "authorization",
            "cookie",
            "host",
            "proxy-authorization",
            "connection",
            "transfer-encoding",
        ] {
            assert_eq!(
                check(&with(name)),
                Err(Denial::Header(name.into())),
                "{name}"
            );
        }
        assert_eq!(check(&with("accept")), Ok(()));
        assert_eq!(check(&with("x-requested-with")), Ok(()));
    }

    #[test]
    fn what_makes_a_server_read_another_request_is_refused_by_name() {
        for name in REWRITING {
            assert_eq!(check(&with(name)), Err(Denial::Rewriting(name.into())));
        }
    }

    #[test]
    fn a_length_that_the_guest_claims_is_not_sent() {
        let mut headers = with("content-length");
        headers.insert("accept", HeaderValue::from_static("text/xml"));
        let sent = outgoing(&headers);
        assert!(sent.contains_key("accept") && !sent.contains_key("content-length"));
    }

    #[test]
    fn cookies_and_credentials_do_not_come_back() {
        for name in ["set-cookie", "authorization", "proxy-authenticate"] {
            let mut headers = with(name);
            headers.insert("location", HeaderValue::from_static("x"));
            strip(&mut headers);
            assert_eq!(headers.keys_len(), 1, "{name}");
        }
    }
}
