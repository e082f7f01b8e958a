//! The secret and how it is sent.
//!
//! Promises: no `Debug`, no `Display`, no `Serialize` (what cannot be printed is not printed by accident); wiped when
//! dropped, the header's value included; read by egress, which sends it, and by [`crate::redaction`], which keeps it out of
//! everything else, and by nobody outside this crate.
//!
//! Out of reach: the copies that the TLS and HTTP libraries make while they send, and the process's own environment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A secret in memory; wiped when dropped.
///
/// It can be neither printed nor compared, and its text is no business of another crate:
///
/// ```compile_fail,E0624
/// let secret = connector_runtime::egress::Secret::new("s3cret-token");
/// secret.expose();
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for those who must have it: egress and the redactor.
    pub(crate) fn expose(&self) -> &str {
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

    /// The value of `authorization`, marked sensitive. Its bytes are wiped with its last clone.
    pub(crate) fn header(&self) -> HeaderValue {
        let password = self.password.expose();
        // Room for all of it: a text that grows leaves its old bytes behind.
        let mut pair = Zeroizing::new(String::with_capacity(
            self.username.len() + 1 + password.len(),
        ));
        for part in [self.username.as_str(), ":", password] {
            pair.push_str(part);
        }
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        let mut text = Zeroizing::new(Vec::with_capacity(SCHEME.len() + encoded.len()));
        text.extend_from_slice(SCHEME);
        text.extend_from_slice(encoded.as_bytes());
        // Base64 after an ASCII word is always a valid header value.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
            .unwrap_or(HeaderValue::from_static("Basic"));
        value.set_sensitive(true);
        value
    }
}

const SCHEME: &[u8] = b"Basic ";

/// Does not compile if `$type` implements `$forbidden`: the call below would have two meanings then.
macro_rules! never {
    ($type:ty: $forbidden:path) => {
        const _: fn() = || {
            trait Never<Case> {
                fn happens() {}
            }
            struct Forbidden;
            impl<T: ?Sized> Never<()> for T {}
            impl<T: ?Sized + $forbidden> Never<Forbidden> for T {}
            <$type as Never<_>>::happens();
        };
    };
}

never!(Secret: std::fmt::Debug);
never!(Secret: std::fmt::Display);
never!(Secret: serde::Serialize);
never!(Credential: std::fmt::Debug);
never!(Credential: std::fmt::Display);
never!(Credential: serde::Serialize);

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
