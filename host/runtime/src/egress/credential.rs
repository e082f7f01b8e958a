//! The secret and how it is sent. No `Debug`, no `Display`: what cannot be printed is not printed by accident.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A secret in memory; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one who must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// HTTP Basic: user name and password.
#[derive(Clone)]
pub struct Credential {
    username: String,
    password: Secret,
}

impl Credential {
    /// A credential for HTTP Basic.
    pub fn basic(username: impl Into<String>, password: Secret) -> Self {
        Self {
            username: username.into(),
            password,
        }
    }

    /// The account; not a secret.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The value of `authorization`, marked sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        let pair = Zeroizing::new(format!("{}:{}", self.username, self.password.expose()));
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        // Base64 after an ASCII word is always a valid header value.
        let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Basic"));
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_uses_the_standard_alphabet() {
        // `subjects?_d>` encodes with `/` and `+` in the standard alphabet, with `_` and `-` in the URL-safe one.
        let credential = Credential::basic("a", Secret::new("\u{3f}\u{3f}\u{3e}\u{3f}\u{3f}>"));
        let header = credential.header();
        let text = header.to_str().unwrap();
        let decoded = STANDARD
            .decode(text.strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(decoded, b"a:??>??>");
        assert!(header.is_sensitive());
    }
}
