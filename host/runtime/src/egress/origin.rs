//! The one origin of a connector: scheme, host, port. Typed by an operator, normalised once, used everywhere.

use url::{Host, Url};

/// A checked origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    url: String,
    scheme: String,
    host: String,
    port: u16,
}

/// Why a text is not an origin that may be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OriginError {
    /// Not a URL.
    #[error("is not a URL ({0}); write it like https://api.example.com")]
    Syntax(String),
    /// Something that only looks like `http` or `https`.
    #[error("must start with https://")]
    Scheme,
    /// Clear text.
    #[error(
        "would send the password in clear text; use https:// (http:// is allowed to a loopback address, with --insecure-loopback)"
    )]
    ClearText,
    /// Parts that do not belong to an origin.
    #[error("must be scheme and host (and port) only, without {0}")]
    Surplus(&'static str),
}

impl Origin {
    /// Normalises what an operator typed: blanks around it and trailing slashes are dropped, `https://` is added if there is
    /// no scheme. `http://` is accepted for loopback literals and `localhost` if `insecure_loopback` is set.
    ///
    /// # Errors
    /// If the rest is not an origin; the message continues a sentence that begins with the setting's name.
    pub fn parse(text: &str, insecure_loopback: bool) -> Result<Self, OriginError> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .unwrap_or(("https", text.trim()));
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| OriginError::Syntax(error.to_string()))?;
        let host = match url.host() {
            Some(host) => host,
            None => return Err(OriginError::Syntax("it names no host".into())),
        };
        match url.scheme() {
            "https" => {}
            "http" if insecure_loopback && is_loopback(&host) => {}
            "http" => return Err(OriginError::ClearText),
            _ => return Err(OriginError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::Surplus("a user name or password"));
        }
        if url.query().is_some() {
            return Err(OriginError::Surplus("a query"));
        }
        if url.fragment().is_some() {
            return Err(OriginError::Surplus("a fragment"));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(OriginError::Surplus("a path"));
        }
        if url.host_str().is_some_and(|host| host.ends_with('.')) {
            return Err(OriginError::Surplus("a dot behind the host"));
        }
        Self::of(&url).ok_or_else(|| OriginError::Syntax("it names no host".into()))
    }

    /// The origin of a URL; a trailing dot of the host is kept, so it differs from the name without it.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            url: url.origin().ascii_serialization(),
        })
    }

    /// Like `https://api.example.com`, with a port if it is not the scheme's own, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Host name or address literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is `https://`; otherwise it is `http://`.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.url)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_type_becomes_one_form() {
        for text in [
            "https://api.example.test",
            "  api.example.test ",
            "API.Example.test///",
            "https://api.example.test:443/",
        ] {
            assert_eq!(
                Origin::parse(text, false).unwrap().as_str(),
                "https://api.example.test",
                "{text}"
            );
        }
        let local = Origin::parse("http://127.0.0.1:8080/", true).unwrap();
        assert_eq!(local.as_str(), "http://127.0.0.1:8080");
    }

    #[test]
    fn clear_text_is_for_loopback_and_only_when_asked_for() {
        let clear = Err(OriginError::ClearText);
        assert_eq!(Origin::parse("http://127.0.0.1:8080", false), clear);
        assert_eq!(Origin::parse("http://192.0.2.1", true), clear);
        assert_eq!(Origin::parse("http://localhost.example.test", true), clear);
        assert_eq!(
            Origin::parse("ftp://api.example.test", true),
            Err(OriginError::Scheme)
        );
    }

    #[test]
    fn everything_beyond_an_origin_is_refused() {
        for (text, part) in [
            (
                "https://user:secret@api.example.test",
                "a user name or password",
            ),
            ("https://api.example.test?x=1", "a query"),
            ("https://api.example.test#x", "a fragment"),
            ("https://api.example.test/api/2.0", "a path"),
            ("https://api.example.test.", "a dot behind the host"),
        ] {
            assert_eq!(Origin::parse(text, false), Err(OriginError::Surplus(part)));
        }
        assert!(matches!(
            Origin::parse("https://", false),
            Err(OriginError::Syntax(_))
        ));
    }
}
