//! Passwords: what may be one, and how it is hashed and checked.
//!
//! Promises: argon2id with the parameters that OWASP recommends; a check of a user who does not exist costs as much as any
//! other; no more than [`AT_ONCE`] are computed at a time (each takes [`MEMORY_KIB`]) and no more than [`WAITING`] wait, so
//! that a flood of sign-ins costs neither memory nor the threads of others.

use super::credential;
use super::error::AccessError;
use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use serde::Deserialize;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Memory of one hash, in KiB.
pub(super) const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes that are computed at once.
pub(super) const AT_ONCE: usize = 2;
/// Hashes that wait for their turn, those under way included.
pub(super) const WAITING: usize = 64;
const SALT: usize = 16;
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;

/// A password as it was typed; overwritten when it is dropped, and printed by nothing.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(value_type = String, format = Password)]
pub(crate) struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

impl Password {
    /// Its text: for the socket of the process that serves, and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Refuses what is no password for this user. Length is all that is asked for: other rules make passwords worse.
    ///
    /// # Errors
    /// [`AccessError::Invalid`].
    pub(super) fn check(&self, name: &str) -> Result<(), AccessError> {
        if !(SHORTEST..=LONGEST).contains(&self.0.chars().count()) {
            return Err(AccessError::password(format!(
                "must have {SHORTEST} to {LONGEST} characters, of any kind; a few words in a row are a good one"
            )));
        }
        if self.0.to_lowercase() == name.to_lowercase() {
            return Err(AccessError::password(
                "must not be the name itself; choose another one",
            ));
        }
        Ok(())
    }
}

/// Computes hashes, a few at a time.
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What the password of a user who does not exist is checked against.
    nobody: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            nobody: Arc::default(),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, AccessError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| AccessError::Resources(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, AccessError> {
    let salt = credential::random::<SALT>()?;
    let hash = argon2()?
        .hash_password_with_salt(password, salt.as_slice())
        .map_err(|error| AccessError::Resources(error.to_string()))?;
    Ok(hash.to_string())
}

impl Passwords {
    /// The hash of a new password of this user, as a PHC string.
    ///
    /// # Errors
    /// If it cannot be a password, or there is no memory for it now.
    pub(crate) async fn hash(
        &self,
        name: &str,
        password: &Password,
    ) -> Result<String, AccessError> {
        password.check(name)?;
        let password = password.clone();
        self.compute(move || hash(password.0.as_bytes())).await
    }

    /// Whether this is the password of `stored`; never, but as slowly, if that is none.
    ///
    /// # Errors
    /// If there is no memory for it now.
    pub(super) async fn verify(
        &self,
        password: &Password,
        stored: Option<String>,
    ) -> Result<bool, AccessError> {
        let (password, nobody) = (password.clone(), self.nobody.clone());
        self.compute(move || {
            let is_somebody = stored.is_some();
            let stored = match stored {
                Some(stored) => stored,
                None => match nobody.get() {
                    Some(made) => made.clone(),
                    // Once in the life of the process.
                    None => {
                        let made = hash(credential::random::<32>()?.as_slice())?;
                        nobody.get_or_init(|| made).clone()
                    }
                },
            };
            let parsed = PasswordHash::new(&stored)
                .map_err(|error| AccessError::Resources(error.to_string()))?;
            let fits = argon2()?
                .verify_password(password.0.as_bytes(), &parsed)
                .is_ok();
            Ok(fits && is_somebody)
        })
        .await
    }

    /// On a thread that may be busy. Whoever stops waiting does not free the place before the work is done.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let gone = |error: &dyn fmt::Display| AccessError::Resources(error.to_string());
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            return Err(AccessError::TooMany {
                after: Duration::from_secs(5),
            });
        };
        let turn = self.running.clone().acquire_owned().await;
        let turn = turn.map_err(|error| gone(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        done.await.map_err(|error| gone(&error))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> bool {
        Password::from(password.to_owned())
            .check("alice.of.acme")
            .is_err()
    }

    #[test]
    fn a_password_has_twelve_characters_of_any_kind_and_is_not_the_name() {
        assert!(refused("eleven char"));
        assert!(!refused("twelve chars"));
        // Characters, not bytes.
        assert!(refused(&"\u{e9}".repeat(11)));
        assert!(!refused(&"\u{5bc6}".repeat(12)));
        assert!(!refused(&"\u{e9}".repeat(1024)));
        assert!(refused(&"e".repeat(1025)));
        assert!(refused("Alice.Of.Acme"));
    }

    #[test]
    fn a_password_is_printed_by_nothing() {
        let password = Password::from("correct horse battery".to_owned());
        assert_eq!(format!("{password:?}"), "[password]");
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_the_recommended_parameters_and_a_salt_of_its_own() {
        let passwords = Passwords::default();
        let password = Password::from("correct horse battery".to_owned());
        let hash = passwords.hash("alice", &password).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_ne!(passwords.hash("alice", &password).await.unwrap(), hash);
        assert!(
            passwords
                .verify(&password, Some(hash.clone()))
                .await
                .unwrap()
        );
        let other = Password::from("correct horse batterY".to_owned());
        assert!(!passwords.verify(&other, Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_a_password_and_is_checked_against_one_all_the_same() {
        let passwords = Passwords::default();
        let password = Password::from("correct horse battery".to_owned());
        assert!(!passwords.verify(&password, None).await.unwrap());
        let nobody = passwords.nobody.get().unwrap().clone();
        assert!(
            nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{nobody}"
        );
        assert!(!passwords.verify(&password, None).await.unwrap());
        assert_eq!(passwords.nobody.get(), Some(&nobody));
    }

    #[tokio::test]
    async fn two_hashes_are_computed_at_once_and_a_flood_of_them_is_refused() {
        let passwords = Passwords::default();
        let password = Password::from("correct horse battery".to_owned());
        let turns = passwords
            .running
            .clone()
            .acquire_many_owned(2)
            .await
            .unwrap();
        let mut first = Box::pin(passwords.hash("alice", &password));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let places = u32::try_from(WAITING - 1).unwrap();
        let places = passwords
            .waiting
            .clone()
            .try_acquire_many_owned(places)
            .unwrap();
        let refused = passwords.hash("bob", &password).await.unwrap_err();
        assert!(matches!(refused, AccessError::TooMany { .. }), "{refused}");
        drop((turns, places));
        assert!(first.await.is_ok());
    }
}
