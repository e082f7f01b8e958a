//! Secrets that this host draws: API tokens and sessions. Their holder has the text; the host keeps its SHA-256, which is
//! enough for 256 random bits.

use super::error::AccessError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// How an API token begins, so that it is recognised where it should not be.
const TOKEN_PREFIX: &str = "cht_";
/// So many characters of a token are shown afterwards: 36 bits of its 256.
const SHOWN: usize = TOKEN_PREFIX.len() + 6;

/// A secret that was just drawn.
pub(super) struct Drawn {
    /// For its holder, once.
    pub(super) text: Zeroizing<String>,
    /// For the catalogue.
    pub(super) digest: [u8; 32],
}

impl Drawn {
    /// A session's secret.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn session() -> Result<Self, AccessError> {
        Self::new("")
    }

    /// An API token.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn token() -> Result<Self, AccessError> {
        Self::new(TOKEN_PREFIX)
    }

    fn new(prefix: &str) -> Result<Self, AccessError> {
        let bytes = random::<32>()?;
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Ok(Self {
            digest: digest(&text),
            text,
        })
    }

    /// How it begins.
    pub(super) fn prefix(&self) -> String {
        self.text.chars().take(SHOWN).collect()
    }
}

/// Random bytes.
///
/// # Errors
/// If the system has none.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, AccessError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| AccessError::Resources(error.to_string()))?;
    Ok(bytes)
}

/// What the catalogue knows a secret by.
pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The token that proves that a request comes from a page of the session's own site. It is computed from the session's
/// secret, so that nothing more has to be kept, and tells nothing of it.
pub(super) fn csrf(session: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"csrf\0");
    hash.update(session.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
pub(super) fn same(a: &str, b: &str) -> bool {
    digest(a) == digest(b)
}
