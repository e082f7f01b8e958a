//! Access: who asks, what they may do, and whose things they see.
//!
//! ```text
//! local socket ───────────────────────────────────▶ the owner, who is root
//! authorization: Bearer cht_... ──▶ tokens ────────▶ Principal { name, role, tenant } ──▶ require(right), sees(tenant)
//! cookie, x-csrf-token ──▶ sessions ──▶ users ─────▶
//! name and password ──▶ limiter ──▶ argon2id ──▶ a new session
//! ```
//!
//! Promises: without a principal nothing is answered but 401; what a principal may not see is answered as if it were not
//! there; role and tenant are looked up at each request, so that a change holds at once; a password is hashed, a token or a
//! session's secret is digested, and none of them is logged, shown twice or stored; a name that nobody has costs a sign-in as
//! much as one that somebody has, and is answered alike.
//!
//! Never here: SQL (the catalogue's), or what a route does.

mod authentication;
mod credential;
mod error;
mod limiter;
mod password;
mod principal;
mod role;
mod sign_in;
pub(crate) mod tokens;
pub(crate) mod users;

#[cfg(test)]
mod tests;

pub(crate) use authentication::{COOKIE, Local, Peer, authenticate, refuse_cross_site};
pub(crate) use error::AccessError;
pub(crate) use limiter::Limiter;
pub(crate) use password::{Password, Passwords};
pub(crate) use principal::{Principal, TenantOf, Via};
pub(crate) use role::{Right, Role};
pub(crate) use sign_in::{MaybeSession, sign_in};

use crate::connectors::Catalogue;
use crate::connectors::error::CatalogueError;
use connector_runtime::Clock;
use std::sync::Arc;

/// What the routes of users, tokens and sessions stand on, and the layer before all others. Clones share everything.
#[derive(Clone)]
pub(crate) struct AccessState {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) clock: Clock,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) passwords: Arc<Passwords>,
    /// Whether browsers reach this host through TLS, its own or a proxy's.
    pub(crate) secure_cookies: bool,
}

impl AccessState {
    /// Of a catalogue that can be written.
    pub(crate) fn new(catalogue: Arc<Catalogue>, clock: Clock, secure_cookies: bool) -> Self {
        Self {
            catalogue,
            limiter: Arc::new(Limiter::new(clock.clone())),
            clock,
            passwords: Arc::new(Passwords::default()),
            secure_cookies,
        }
    }
}

/// What to say to whoever starts a host that has no user yet: how to make one.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn first_steps(catalogue: &Catalogue) -> Result<Option<String>, CatalogueError> {
    Ok(catalogue.users()?.is_empty().then(|| {
        "there are no users yet, so nobody can sign in; make one with `connector-host users add NAME --role root`, \
         or a token for a program with `connector-host tokens add NAME --role root`"
            .to_owned()
    }))
}
