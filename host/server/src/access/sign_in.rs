//! Signing in: a name and a password for a session.

use super::AccessState;
use super::credential::{self, Drawn};
use super::error::AccessError;
use super::password::Password;
use super::principal::Principal;
use axum::extract::FromRequestParts;
use http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// A session that has just begun.
pub(crate) struct SignedIn {
    /// For the browser's cookie, and nobody else.
    pub(crate) secret: Zeroizing<String>,
    /// For the page that signed in.
    pub(crate) csrf: String,
    /// Who it is now.
    pub(crate) principal: Principal,
}

/// An extension of a request that a cookie let in: the session.
#[derive(Clone, Debug)]
pub(crate) struct CurrentSession {
    /// What the catalogue knows it by.
    pub(crate) digest: [u8; 32],
    /// What the header `x-csrf-token` must be.
    pub(crate) csrf: String,
}

/// Begins a session.
///
/// # Errors
/// [`AccessError::SignIn`] if name or password are wrong or the user is inactive: nobody is told which.
/// [`AccessError::TooMany`] after several of those.
pub(crate) async fn sign_in(
    access: &AccessState,
    name: &str,
    password: &Password,
    address: IpAddr,
) -> Result<SignedIn, AccessError> {
    let attempt = access.limiter.begin(name, address)?;
    let stored = access.catalogue.stored_password(name)?;
    let hash = stored
        .filter(|stored| stored.active)
        .map(|stored| stored.hash);
    let fits = access.passwords.verify(password, hash.clone()).await?;
    // The name is not logged: people type their password there.
    let refused = || {
        tracing::warn!("a sign-in from {address} was refused");
        AccessError::SignIn
    };
    let Some(hash) = hash.filter(|_| fits) else {
        return Err(refused());
    };
    let drawn = Drawn::session()?;
    let now = access.clock.now_ms();
    let begun = access
        .catalogue
        .begin_session(name, &hash, drawn.digest, now);
    let begun = begun.await?;
    let session = access.catalogue.session(drawn.digest, now)?;
    let Some(session) = session.filter(|_| begun) else {
        return Err(refused());
    };
    attempt.succeeded();
    tracing::info!("user {name} signed in from {address}");
    Ok(SignedIn {
        csrf: credential::csrf(&drawn.text),
        secret: drawn.text,
        principal: Principal::of_session(session),
    })
}

/// The session that let a request in, if one did.
pub(crate) struct MaybeSession(pub(crate) Option<CurrentSession>);

impl<S: Sync> FromRequestParts<S> for MaybeSession {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}
