//! Secrets at rest: sealed with XChaCha20-Poly1305, bound to the connector and the setting that they belong to.
//!
//! Promises: a secret leaves the catalogue only into the definition of a run or a test; no listing, export or message has
//! its value; a sealed secret that was moved to another connector or setting does not open; `rotate` seals all of them anew in
//! one transaction, and whenever it is cut off, every one can still be opened.

use super::Catalogue;
use super::error::CatalogueError;
use super::event;
use super::key::{Key, KeyError, Keyring};
use super::listing::StoredConnector;
use crate::definition::key_of;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use connector_runtime::settings;
use rusqlite::{Connection, params};
use serde_json::Value;
use zeroize::Zeroizing;

/// Bytes of a nonce: long enough to be drawn at random.
const NONCE: usize = 24;

/// A setting and the value that is to be sealed, as JSON text.
pub(crate) struct Plain {
    /// JSON pointer into the settings.
    pub(crate) pointer: String,
    text: Zeroizing<String>,
}

impl Plain {
    /// Of a setting's value.
    pub(crate) fn new(pointer: &str, value: &Value) -> Self {
        Self {
            pointer: pointer.to_owned(),
            text: Zeroizing::new(value.to_string()),
        }
    }
}

struct Sealed {
    pointer: String,
    key: String,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
}

fn bound_to(connector: &str, pointer: &str) -> Vec<u8> {
    format!("{connector}{pointer}").into_bytes()
}

fn seal(key: &Key, connector: &str, pointer: &str, text: &str) -> Result<Sealed, KeyError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(KeyError::Random)?;
    let payload = Payload {
        msg: text.as_bytes(),
        aad: &bound_to(connector, pointer),
    };
    let ciphertext = XChaCha20Poly1305::new(key.bytes.as_slice().into())
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| KeyError::Sealing)?;
    Ok(Sealed {
        pointer: pointer.to_owned(),
        key: key.id.clone(),
        nonce: nonce.to_vec(),
        ciphertext,
    })
}

/// Why a sealed secret does not open.
enum Shut {
    /// Its key is not there.
    NoKey,
    /// It is not what was sealed.
    Changed,
}

fn open(keyring: &Keyring, connector: &str, sealed: &Sealed) -> Result<Zeroizing<String>, Shut> {
    let key = keyring.find(&sealed.key).ok_or(Shut::NoKey)?;
    if sealed.nonce.len() != NONCE {
        return Err(Shut::Changed);
    }
    let payload = Payload {
        msg: &sealed.ciphertext,
        aad: &bound_to(connector, &sealed.pointer),
    };
    let plain = XChaCha20Poly1305::new(key.bytes.as_slice().into())
        .decrypt(XNonce::from_slice(&sealed.nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| Shut::Changed)?;
    let text = std::str::from_utf8(&plain).map_err(|_| Shut::Changed)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn sealed_of(database: &Connection, connector: &str) -> Result<Vec<Sealed>, CatalogueError> {
    let mut rows = database.prepare_cached(
        "SELECT pointer, key, nonce, ciphertext FROM secrets WHERE connector = ?1 ORDER BY pointer",
    )?;
    let rows = rows.query_map([connector], |row| {
        Ok(Sealed {
            pointer: row.get(0)?,
            key: row.get(1)?,
            nonce: row.get(2)?,
            ciphertext: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn insert(database: &Connection, connector: &str, sealed: &Sealed) -> Result<(), CatalogueError> {
    database
        .prepare_cached(
            "INSERT INTO secrets (connector, pointer, key, nonce, ciphertext) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET key = excluded.key, nonce = excluded.nonce, ciphertext = excluded.ciphertext",
        )?
        .execute(params![
            connector,
            sealed.pointer,
            sealed.key,
            sealed.nonce,
            sealed.ciphertext
        ])?;
    Ok(())
}

/// Seals and stores secrets of a connector.
pub(super) fn keep(
    database: &Connection,
    keyring: &Keyring,
    connector: &str,
    secrets: &[Plain],
) -> Result<(), CatalogueError> {
    for plain in secrets {
        let key = keyring.sealing().ok_or(KeyError::Sealing)?;
        let sealed = seal(key, connector, &plain.pointer, &plain.text)?;
        insert(database, connector, &sealed)?;
    }
    Ok(())
}

/// Runs `work` with what it deletes or replaces overwritten in the file.
pub(super) fn shredding<T>(
    database: &Connection,
    work: impl FnOnce() -> Result<T, CatalogueError>,
) -> Result<T, CatalogueError> {
    database.pragma_update(None, "secure_delete", true)?;
    let done = work();
    database.pragma_update(None, "secure_delete", false)?;
    done
}

impl Catalogue {
    /// The settings of a connector with its secrets in their places, for a run or a test. Those of `without` are left out:
    /// they are about to be replaced, and may be locked for ever.
    ///
    /// # Errors
    /// [`CatalogueError::Secret`] if one does not open.
    pub(crate) fn unsealed(
        &self,
        connector: &StoredConnector,
        without: &[String],
    ) -> Result<Value, CatalogueError> {
        let mut all = connector.settings.clone();
        let secrets = self.look(|database| sealed_of(database, &connector.id))?;
        let mut wanted = secrets
            .iter()
            .filter(|sealed| !without.contains(&sealed.pointer))
            .peekable();
        if wanted.peek().is_none() {
            return Ok(all);
        }
        let keyring = self.keys.load()?;
        for sealed in wanted {
            let refused = |why: String| CatalogueError::Secret {
                connector: connector.full_name(),
                key: key_of(&sealed.pointer),
                setting: sealed.pointer.trim_start_matches('/').to_owned(),
                why,
            };
            let text = open(&keyring, &connector.id, sealed).map_err(|shut| match shut {
                Shut::NoKey => refused(format!(
                    "was sealed with a key that is {}; put that key back if you have it",
                    self.keys.places()
                )),
                Shut::Changed => refused("cannot be opened: it was changed in the file".into()),
            })?;
            let value = serde_json::from_str(&text)
                .map_err(|_| refused("cannot be read after opening".into()))?;
            settings::put(&mut all, &sealed.pointer, value);
        }
        Ok(all)
    }

    /// Makes a new key, or takes the one of the environment, and seals every secret with it; returns how many.
    ///
    /// # Errors
    /// If one does not open (nothing is changed then), or a key cannot be made.
    pub(crate) async fn rotate_key(&self) -> Result<u64, CatalogueError> {
        self.settle_rotation()?;
        // All of them must open before there is a new key.
        for connector in self.connectors()? {
            self.unsealed(&connector, &[])?;
        }
        let keyring = self.keys.load()?;
        let new = self.keys.begin_rotation()?;
        // After a failure both keys stay until it is known which of them sealed (the next time it is opened).
        let rotated = self.reseal(keyring, new).await?;
        self.keys.end_rotation(true)?;
        Ok(rotated)
    }

    /// Seals everything with `new`, in one transaction.
    pub(super) async fn reseal(&self, keyring: Keyring, new: Key) -> Result<u64, CatalogueError> {
        let now = self.now_ms();
        self.change(move |database| {
            shredding(database, || {
                let mut ids = database.prepare("SELECT DISTINCT connector FROM secrets")?;
                let ids = ids
                    .query_map([], |row| row.get::<_, String>(0))?
                    .collect::<Result<Vec<_>, _>>()?;
                let mut count = 0;
                for id in ids {
                    for sealed in sealed_of(database, &id)? {
                        let text = open(&keyring, &id, &sealed).map_err(|_| KeyError::Sealing)?;
                        insert(database, &id, &seal(&new, &id, &sealed.pointer, &text)?)?;
                        count += 1;
                    }
                }
                event::note(
                    database,
                    now,
                    None,
                    "key",
                    "the key of the secrets was rotated",
                )?;
                Ok(count)
            })
        })
        .await
    }

    /// Ends a rotation that was cut off: its key stays if its transaction was committed.
    pub(super) fn settle_rotation(&self) -> Result<(), CatalogueError> {
        let Some(new) = self.keys.unfinished_rotation()? else {
            return Ok(());
        };
        let committed = self.look(|database| {
            let sealed = "SELECT EXISTS (SELECT 1 FROM secrets WHERE key = ?1)";
            Ok(database.query_row(sealed, [&new.id], |row| row.get(0))?)
        })?;
        Ok(self.keys.end_rotation(committed)?)
    }

    /// Whether every key that is there can be used.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub(crate) fn check_key(&self) -> Result<(), KeyError> {
        self.keys.load().map(drop)
    }

    /// Whether the environment's new key was what secrets are sealed with now.
    pub(crate) fn rotates_to_variable(&self) -> bool {
        self.keys.rotates_to_variable()
    }
}
