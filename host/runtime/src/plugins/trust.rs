//! Whose files are taken: digests and keys that the operator has put into the configuration.
//!
//! A pinned id takes exactly the file with that SHA-256. Where a key is configured, for one id or for every plugin, a file
//! `NAME.wasm` needs a detached signature `NAME.wasm.minisig` over exactly its bytes, made with that key; an id's own key
//! stands in the place of the one for all. What can be said before a file is compiled is said then; which id a file has
//! shows only when it has described itself, and the rest is checked before anything else is asked of it.

use minisign_verify::Signature;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// More than any signature file has.
const LARGEST_SIGNATURE: u64 = 8 * 1024;

/// Whom the operator trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The key with which every plugin must be signed, if there is one.
    pub public_key: Option<PublicKey>,
    /// What single plugins must be, by their ids.
    pub pins: BTreeMap<String, Pin>,
}

/// What one plugin must be.
#[derive(Clone, Debug, Default)]
pub struct Pin {
    /// SHA-256 of the one file that is taken, 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// The key with which it must be signed.
    pub public_key: Option<PublicKey>,
}

/// A public key of minisign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: minisign_verify::PublicKey,
    text: String,
}

impl PublicKey {
    /// Reads a key as minisign writes it: one line that begins with `RW`.
    ///
    /// # Errors
    /// In words that continue "the key", if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match minisign_verify::PublicKey::from_base64(text) {
            Ok(key) => Ok(Self {
                key,
                text: text.to_owned(),
            }),
            Err(_) => Err(
                "is not a public key of minisign: write the second line of its .pub file, which begins with RW"
                    .into(),
            ),
        }
    }
}

/// Why a file is not the one that the operator means. Continues a sentence that begins with the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Another file than the pinned one.
    #[error(
        "its SHA-256 is {found}, and `{id}` is pinned to {pinned}. If the new file is the right one, change sha256 in [plugins.{id}]"
    )]
    Digest {
        /// The plugin.
        id: String,
        /// Of the configuration.
        pinned: String,
        /// Of the file.
        found: String,
    },
    /// There is no signature.
    #[error(
        "it is not signed, and the configuration asks for a signature with the key {key}: put the signature beside it as {}", path.display()
    )]
    Unsigned {
        /// Where the signature should lie.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The signature cannot be read.
    #[error("its signature {} cannot be read ({message}): copy it there again", path.display())]
    Unreadable {
        /// The signature.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The signature is not one of these bytes with this key.
    #[error(
        "its signature {} does not fit ({message}; the key is {key}). Get the file and its signature from its author again, or correct the key", path.display()
    )]
    Signature {
        /// The signature.
        path: PathBuf,
        /// What does not fit.
        message: String,
        /// The key.
        key: String,
    },
}

/// With which keys a file is signed, of those that the operator has named.
pub(super) struct Signed<'a> {
    path: PathBuf,
    outcome: Result<Vec<&'a PublicKey>, TrustError>,
}

impl Trust {
    /// Checks the signature of `bytes`, as far as it can be done before their id is known.
    ///
    /// # Errors
    /// If every plugin must be signed and this file is not, with any key that some plugin may be signed with.
    pub(super) fn before_compiling(
        &self,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Signed<'_>, TrustError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".minisig");
        let path = PathBuf::from(name);
        let own = self.pins.values().filter_map(|pin| pin.public_key.as_ref());
        let keys: Vec<&PublicKey> = own.chain(&self.public_key).collect();
        let outcome = match keys.first() {
            None => Ok(Vec::new()),
            Some(first) => {
                let first = self.public_key.as_ref().unwrap_or(first);
                verified(&path, bytes, &keys, first)
            }
        };
        match outcome {
            Err(error) if self.public_key.is_some() => Err(error),
            outcome => Ok(Signed { path, outcome }),
        }
    }

    /// Checks what can be checked once the file has told its id.
    ///
    /// # Errors
    /// If it is pinned to another digest, or not signed with the key of this id.
    pub(super) fn of_id(
        &self,
        id: &str,
        sha256: &str,
        signed: Signed<'_>,
    ) -> Result<(), TrustError> {
        let pin = self.pins.get(id);
        if let Some(pinned) = pin.and_then(|pin| pin.sha256.as_ref())
            && pinned != sha256
        {
            return Err(TrustError::Digest {
                id: id.to_owned(),
                pinned: pinned.clone(),
                found: sha256.to_owned(),
            });
        }
        let own = pin.and_then(|pin| pin.public_key.as_ref());
        let Some(key) = own.or(self.public_key.as_ref()) else {
            return Ok(());
        };
        let keys = signed.outcome?;
        if keys.contains(&key) {
            return Ok(());
        }
        Err(TrustError::Signature {
            path: signed.path,
            message: format!("it was made with another key than that of `{id}`"),
            key: key.text.clone(),
        })
    }
}

/// Those of `keys` with which the file is signed; `asked` is the one that is named if it is none.
fn verified<'a>(
    path: &Path,
    bytes: &[u8],
    keys: &[&'a PublicKey],
    asked: &PublicKey,
) -> Result<Vec<&'a PublicKey>, TrustError> {
    let unreadable = |message: String| TrustError::Unreadable {
        path: path.to_owned(),
        message,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(unreadable("it is not a regular file".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(TrustError::Unsigned {
                path: path.to_owned(),
                key: asked.text.clone(),
            });
        }
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_SIGNATURE).read_to_string(&mut text))
        .map_err(|error| unreadable(error.to_string()))?;
    let signature =
        Signature::decode(&text).map_err(|_| unreadable("it is not one of minisign".into()))?;
    let mut message = String::new();
    let mut fitting = Vec::new();
    for key in keys {
        // Signatures over the bytes themselves, as older versions made them, are as good as those over their digest.
        match key.key.verify(bytes, &signature, true) {
            Ok(()) => fitting.push(*key),
            Err(error) if *key == asked || message.is_empty() => {
                message = match error {
                    minisign_verify::Error::UnexpectedKeyId => "it was made with another key",
                    _ => "it is not one of these bytes",
                }
                .to_owned();
            }
            Err(_) => {}
        }
    }
    if fitting.is_empty() {
        return Err(TrustError::Signature {
            path: path.to_owned(),
            message,
            key: asked.text.clone(),
        });
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests;
