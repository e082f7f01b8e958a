//! What can be done to API tokens, and by whom. For the command line and the API.
//!
//! A token inherits nothing of its maker: it has a role and a tenant of its own, never more than the maker's, and a token
//! that was made by one that expires does not outlive it.

use super::credential::Drawn;
use super::error::AccessError;
use super::principal::Principal;
use super::role::{Right, Role};
use super::users::{fits, found};
use crate::connectors::Catalogue;
use crate::connectors::token::{NewToken, Token};
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes of an id.
const ID: usize = 8;
/// Longer than anybody means: ten years.
const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);

/// What a token is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The tenant's name. None is the maker's own tenant, for one who has one.
    pub(crate) tenant: Option<String>,
    /// None: it never expires.
    pub(crate) lifetime: Option<Duration>,
}

/// A token that was just made.
pub(crate) struct Made {
    pub(crate) token: Token,
    /// The token itself: this is the only time that anybody sees it.
    pub(crate) secret: Zeroizing<String>,
}

/// The tokens that a principal sees, by name.
///
/// # Errors
/// If the principal only looks.
pub(crate) fn list(
    catalogue: &Catalogue,
    principal: &Principal,
) -> Result<Vec<Token>, AccessError> {
    principal.require(Right::Change, "list tokens")?;
    let mut tokens = catalogue.tokens()?;
    tokens.retain(|token| principal.sees_of(token.tenant_id.as_deref()));
    Ok(tokens)
}

/// Makes a token.
///
/// # Errors
/// If the principal may not make such a one, or it cannot be one.
pub(crate) async fn add(
    catalogue: &Catalogue,
    principal: &Principal,
    wanted: Wanted,
    now: u64,
) -> Result<Made, AccessError> {
    principal.require(Right::Change, "make tokens")?;
    if wanted.role == Role::Root {
        principal.require(Right::Administer, "make tokens of the role root")?;
    }
    let tenant = match (&wanted.tenant, principal.tenant_name()) {
        (None, own) => own.map(str::to_owned),
        (Some(tenant), Some(own)) if own != tenant => {
            return Err(AccessError::unknown("tenant", tenant));
        }
        (Some(tenant), _) => Some(tenant.clone()),
    };
    fits(wanted.role, tenant.as_deref())?;
    let expires = expiry(principal, wanted.lifetime, now)?;
    let drawn = Drawn::token()?;
    let id = super::credential::random::<ID>()?;
    let new = NewToken {
        id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        name: wanted.name,
        prefix: drawn.prefix(),
        digest: drawn.digest,
        role: wanted.role,
        tenant,
        created: now,
        created_by: principal.name.clone(),
        expires,
    };
    Ok(Made {
        token: found(catalogue.add_token(new).await)?,
        secret: drawn.text,
    })
}

fn expiry(
    principal: &Principal,
    lifetime: Option<Duration>,
    now: u64,
) -> Result<Option<u64>, AccessError> {
    let invalid = |message: &str| AccessError::Invalid {
        key: "expires_in_seconds",
        message: message.into(),
    };
    if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime > LONGEST) {
        return Err(invalid("must be later than now and within ten years"));
    }
    let expires = lifetime.map(|lifetime| {
        now.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
    });
    match (expires, principal.until) {
        (Some(expires), Some(until)) if expires > until => Err(invalid(
            "is after the end of the token that asks; one that it makes must not outlive it",
        )),
        // Unless it is told otherwise, it ends with its maker.
        (None, until) => Ok(until),
        (expires, _) => Ok(expires),
    }
}

/// The one token that `reference`, an id or a name, means to a principal.
///
/// # Errors
/// [`AccessError::Unknown`] if there is none that it sees; if several tenants have one of that name.
pub(crate) fn find(
    catalogue: &Catalogue,
    principal: &Principal,
    reference: &str,
) -> Result<Token, AccessError> {
    let mut tokens = list(catalogue, principal)?;
    if let Some(place) = tokens.iter().position(|token| token.id == reference) {
        return Ok(tokens.swap_remove(place));
    }
    tokens.retain(|token| token.name == reference);
    match (tokens.pop(), tokens.is_empty()) {
        (Some(token), true) => Ok(token),
        (Some(_), false) => Err(AccessError::Invalid {
            key: "name",
            message: format!(
                "`{reference}` is that of several tokens; name the one by its id (`tokens list`)"
            ),
        }),
        (None, _) => Err(AccessError::unknown("token", reference)),
    }
}

/// Deletes a token; the next request with it is refused.
///
/// # Errors
/// As [`find`]; if the token can do more than the principal.
pub(crate) async fn delete(
    catalogue: &Catalogue,
    principal: &Principal,
    reference: &str,
) -> Result<Token, AccessError> {
    let token = find(catalogue, principal, reference)?;
    match catalogue.delete_token(&token.id).await? {
        true => Ok(token),
        false => Err(AccessError::unknown("token", reference)),
    }
}
