//! What can be done to users, and by whom. For the command line and the API.
//!
//! Only `root` makes, changes and deletes users. A tenant administrator sees those of the tenant; everybody sees and may
//! change the password of themselves.

use super::AccessState;
use super::error::AccessError;
use super::password::{Password, Passwords};
use super::principal::{Principal, Via};
use super::role::{Right, Role};
use crate::connectors::Catalogue;
use crate::connectors::error::CatalogueError;
use crate::connectors::user::{User, UserChange};
use std::net::IpAddr;

/// A user that is to be made.
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a Password,
    pub(crate) role: Role,
    /// The tenant's name; none for all tenants.
    pub(crate) tenant: Option<&'a str>,
}

fn is_self(principal: &Principal, name: &str) -> bool {
    principal.via == Via::Session && principal.name == name
}

/// The users that a principal sees, by name.
///
/// # Errors
/// If it may only look at itself.
pub(crate) fn list(catalogue: &Catalogue, principal: &Principal) -> Result<Vec<User>, AccessError> {
    principal.require(Right::Change, "list users")?;
    let mut users = catalogue.users()?;
    users.retain(|user| principal.sees_of(user.tenant.as_deref()));
    Ok(users)
}

/// A user.
///
/// # Errors
/// [`AccessError::Unknown`] if there is none that the principal sees.
pub(crate) fn show(
    catalogue: &Catalogue,
    principal: &Principal,
    name: &str,
) -> Result<User, AccessError> {
    let user = catalogue.user(name)?.filter(|user| {
        is_self(principal, name)
            || principal.may(Right::Change) && principal.sees_of(user.tenant.as_deref())
    });
    user.ok_or_else(|| AccessError::unknown("user", name))
}

/// A user that the principal is going to change: first what it sees, then what it may.
fn changeable(
    catalogue: &Catalogue,
    principal: &Principal,
    name: &str,
) -> Result<User, AccessError> {
    if !principal.may(Right::Administer) {
        show(catalogue, principal, name)?;
        principal.require(Right::Administer, "change users")?;
    }
    show(catalogue, principal, name)
}

/// Makes a user.
///
/// # Errors
/// If the principal may not, name or password cannot be one, or role and tenant do not fit.
pub(crate) async fn add(
    catalogue: &Catalogue,
    passwords: &Passwords,
    principal: &Principal,
    new: New<'_>,
) -> Result<User, AccessError> {
    principal.require(Right::Administer, "make users")?;
    fits(new.role, new.tenant)?;
    let hash = passwords.hash(new.name, new.password).await?;
    found(
        catalogue
            .add_user(new.name, &hash, new.role, new.tenant)
            .await,
    )
}

/// Refuses a role with a tenant that it cannot have, before anything is computed.
pub(super) fn fits(role: Role, tenant: Option<&str>) -> Result<(), AccessError> {
    match role.misfit(tenant.is_some()) {
        None => Ok(()),
        Some(misfit) => Err(AccessError::Invalid {
            key: "tenant",
            message: format!("does not fit: the role {role} {misfit}"),
        }),
    }
}

/// Changes a user's role, tenant or activity. It holds from the next request of that user on.
///
/// # Errors
/// If the principal may not, there is no such user or tenant, role and tenant do not fit, or no active `root` would be left.
pub(crate) async fn edit(
    catalogue: &Catalogue,
    principal: &Principal,
    name: &str,
    change: UserChange,
) -> Result<User, AccessError> {
    changeable(catalogue, principal, name)?;
    found(catalogue.edit_user(name, change).await)
}

/// Deletes a user, whose sessions end.
///
/// # Errors
/// As [`edit`].
pub(crate) async fn delete(
    catalogue: &Catalogue,
    principal: &Principal,
    name: &str,
) -> Result<(), AccessError> {
    changeable(catalogue, principal, name)?;
    found(catalogue.delete_user(name).await)
}

/// Gives a user another password, whose sessions end.
///
/// # Errors
/// If the principal is neither the user nor `root`, or the password cannot be one.
pub(crate) async fn set_password(
    catalogue: &Catalogue,
    passwords: &Passwords,
    principal: &Principal,
    name: &str,
    password: &Password,
) -> Result<(), AccessError> {
    if !is_self(principal, name) {
        changeable(catalogue, principal, name)?;
    }
    let hash = passwords.hash(name, password).await?;
    found(catalogue.set_password(name, &hash).await)
}

/// As [`set_password`], for a request: whoever changes the own password types the present one, too, so that a browser that was
/// left alone is not enough. A wrong one counts as a failed sign-in.
///
/// # Errors
/// As [`set_password`]; [`AccessError::SignIn`] if the present password is wrong.
pub(crate) async fn change_password(
    access: &AccessState,
    principal: &Principal,
    name: &str,
    present: Option<&Password>,
    password: &Password,
    address: IpAddr,
) -> Result<(), AccessError> {
    if is_self(principal, name) {
        let Some(present) = present else {
            return Err(AccessError::Invalid {
                key: "current_password",
                message: "is missing: type the present password to change your own".into(),
            });
        };
        let attempt = access.limiter.begin(name, address)?;
        let stored = access.catalogue.stored_password(name)?;
        let hash = stored.map(|stored| stored.hash);
        if !access.passwords.verify(present, hash).await? {
            return Err(AccessError::Invalid {
                key: "current_password",
                message: "is wrong; type the present password".into(),
            });
        }
        attempt.succeeded();
    }
    set_password(
        &access.catalogue,
        &access.passwords,
        principal,
        name,
        password,
    )
    .await
}

/// What is not there is said without what is: not everybody sees all names.
pub(super) fn found<T>(result: Result<T, CatalogueError>) -> Result<T, AccessError> {
    result.map_err(|error| match error {
        CatalogueError::Unknown { thing, name, .. } => AccessError::Unknown { thing, name },
        error => error.into(),
    })
}
