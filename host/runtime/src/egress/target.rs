//! Where a request goes: its URL, read in one way or not at all.
//!
//! A URL that two readers can take for two things passes one reader's check and reaches the other's server. So nothing is
//! repaired here: what is not in its normal form is refused, and what was checked is what is sent.

use super::Denial;
use http::Uri;
use url::Url;

/// In a path, whatever a server may turn into a separator or a parent folder after the check.
const TRICKS: [&str; 9] = ["%2f", "%5c", "%2e", "%25", "%3b", "%00", "//", "\\", ";"];

/// One reading of a URL, or none.
pub(crate) fn normalise(uri: &Uri) -> Result<Url, Denial> {
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return Err(Denial::Url("begins with neither https:// nor http://"));
    }
    let text = uri.to_string();
    let url = Url::parse(&text).map_err(|_| Denial::Url("cannot be read"))?;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        return Err(Denial::Url("carries a user name"));
    }
    let host = url.host_str().unwrap_or_default();
    if host.ends_with('.') {
        return Err(Denial::Url("has a host with a trailing dot"));
    }
    // `Url` reads `2130706433` and `0177.1` as addresses, and folds characters that look alike.
    if !uri
        .host()
        .is_some_and(|written| written.eq_ignore_ascii_case(host))
    {
        return Err(Denial::Url("has a host that is not in its normal form"));
    }
    // `Url` folds `..`, backslashes and the like; a path that it had to change meant something else to somebody.
    if url.path() != uri.path() {
        return Err(Denial::Url("has a path that is not in its normal form"));
    }
    let path = url.path().to_ascii_lowercase();
    if TRICKS.iter().any(|trick| path.contains(trick)) {
        return Err(Denial::Url(
            "has encoded or repeated separators in its path",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, or the sentence; URLs that cannot even be part of a request are `not a URL`.
    fn reading(text: &str) -> String {
        match text.parse::<Uri>() {
            Err(_) => "not a URL".into(),
            Ok(uri) => match normalise(&uri) {
                Ok(url) => url.to_string(),
                Err(Denial::Url(sentence)) => sentence.into(),
                Err(other) => other.to_string(),
            },
        }
    }

    #[test]
    fn one_spelling_is_sent_whatever_was_written() {
        for (written, sent) in [
            ("https://a.example.test/x", "https://a.example.test/x"),
            ("https://A.Example.TEST/x", "https://a.example.test/x"),
            ("HTTPS://a.example.test/x", "https://a.example.test/x"),
            ("https://a.example.test:443/x", "https://a.example.test/x"),
            ("https://a.example.test:/x", "https://a.example.test/x"),
            (
                "https://a.example.test:8443/x",
                "https://a.example.test:8443/x",
            ),
            ("https://a.example.test", "https://a.example.test/"),
            (
                "https://xn--bcher-kva.example.test/",
                "https://xn--bcher-kva.example.test/",
            ),
            ("https://192.0.2.7/x", "https://192.0.2.7/x"),
            ("https://[2001:db8::7]/x", "https://[2001:db8::7]/x"),
            (
                "https://a.example.test/x?q=../..%2f",
                "https://a.example.test/x?q=../..%2f",
            ),
        ] {
            assert_eq!(reading(written), sent, "{written}");
        }
    }

    #[test]
    fn every_trick_has_its_sentence() {
        let mut wrong = Vec::new();
        let (host, path, separators) = (
            "has a host that is not in its normal form",
            "has a path that is not in its normal form",
            "has encoded or repeated separators in its path",
        );
        let scheme = "begins with neither https:// nor http://";
        for (written, sentence) in [
            // User-info.
            ("https://user@a.example.test/", "carries a user name"),
            ("https://user:x@a.example.test/", "carries a user name"),
            (
                "https://a.example.test@evil.example.test/",
                "carries a user name",
            ),
            // The host.
            (
                "https://a.example.test./x",
                "has a host with a trailing dot",
            ),
            ("https://2130706433/x", host),
            ("https://0177.0.0.1/x", host),
            ("https://0x7f.0.0.1/x", host),
            ("https://0x7f000001/x", host),
            ("https://127.1/x", host),
            ("https://127.0.0.1./x", host),
            ("https://192.000.002.007/x", host),
            ("https://[0:0:0:0:0:0:0:1]/x", host),
            ("https://[::127.0.0.1]/x", host),
            ("https://[fe80::1%25eth0]/x", "cannot be read"),
            ("https://[fe80::1%eth0]/x", "cannot be read"),
            ("https://::1/x", "not a URL"),
            ("https://b\u{fc}cher.example.test/", "not a URL"),
            ("https://\u{ff41}.example.test/", "not a URL"),
            ("https://a\u{3002}example.test/", "not a URL"),
            ("https://%61.example.test/", "not a URL"),
            ("https:///x", "not a URL"),
            ("https://:443/x", "cannot be read"),
            ("https://a.example.test:99999/x", "cannot be read"),
            // The scheme.
            ("ftp://a.example.test/x", scheme),
            ("file://a.example.test/x", scheme),
            ("ws://a.example.test/x", scheme),
            // The path.
            ("https://a.example.test/x/../y", path),
            ("https://a.example.test/./y", path),
            ("https://a.example.test/x/%2e%2e/y", path),
            ("https://a.example.test/x/.%2E/y", path),
            ("https://a.example.test/x\\y", path),
            ("https://a.example.test\\@evil.example.test/", "not a URL"),
            ("https://a.example.test/x%2fy", separators),
            ("https://a.example.test/x%5Cy", separators),
            ("https://a.example.test/x%252e%252e/y", separators),
            ("https://a.example.test/x/..;/y", separators),
            ("https://a.example.test/x%3by", separators),
            ("https://a.example.test/x%00", separators),
            ("https://a.example.test//x", separators),
            ("https://a.example.test/x\ty", "not a URL"),
            ("https://a.example.test/x\ny", "not a URL"),
            ("https://a.exam\tple.test/x", "not a URL"),
        ] {
            let read = reading(written);
            if read != sentence {
                wrong.push((written, read));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_fragment_is_not_sent() {
        assert_eq!(
            reading("https://a.example.test/x#@evil.example.test/"),
            "https://a.example.test/x"
        );
    }
}
