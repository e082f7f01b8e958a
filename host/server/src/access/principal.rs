//! The principal: who a request is from, and what that means.

use super::error::AccessError;
use super::role::{Right, Role};
use crate::connectors::session::Session;
use crate::connectors::token::ShownToken;
use serde::Serialize;
use utoipa::ToSchema;

/// How somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Via {
    /// As the owner of the data directory: a command, or the local socket.
    Socket,
    /// An API token.
    Token,
    /// A session of a user.
    Session,
}

/// A principal's tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TenantOf {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The user's, or the token's.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// None: all tenants.
    pub(crate) tenant: Option<TenantOf>,
    pub(crate) via: Via,
    /// A token's end, in milliseconds since 1970: what it makes must not outlive it.
    pub(crate) until: Option<u64>,
}

impl Principal {
    /// Whoever may write the data directory.
    pub(crate) fn owner() -> Self {
        Self {
            name: "owner".into(),
            role: Role::Root,
            tenant: None,
            via: Via::Socket,
            until: None,
        }
    }

    /// A user who has signed in.
    pub(super) fn of_session(session: Session) -> Self {
        Self {
            name: session.user,
            role: session.role,
            tenant: session.tenant.map(|(id, name)| TenantOf { id, name }),
            via: Via::Session,
            until: None,
        }
    }

    /// A token.
    pub(super) fn of_token(token: ShownToken) -> Self {
        Self {
            name: token.name,
            role: token.role,
            tenant: token.tenant.map(|(id, name)| TenantOf { id, name }),
            via: Via::Token,
            until: token.expires,
        }
    }

    /// Whether the principal has a right, as far as its tenant reaches.
    pub(crate) fn may(&self, right: Right) -> bool {
        self.role.has(right)
    }

    /// Refuses a principal that has not this right. `deed` continues "may not ...": `change profiles`.
    ///
    /// # Errors
    /// [`AccessError::Forbidden`], which says whom to ask.
    pub(crate) fn require(&self, right: Right, deed: &str) -> Result<(), AccessError> {
        if self.may(right) {
            return Ok(());
        }
        Err(AccessError::Forbidden(match right {
            Right::Administer => {
                format!("only a root user may {deed}; ask an administrator")
            }
            Right::Change | Right::Read => {
                format!("a {} user may not {deed}; ask an administrator", self.role)
            }
        }))
    }

    /// Whether things of this tenant (its id) are there for the principal.
    pub(crate) fn sees(&self, tenant_id: &str) -> bool {
        self.tenant.as_ref().is_none_or(|own| own.id == tenant_id)
    }

    /// Whether a user or a token, which may be of one tenant (its id) or of all, is there for the principal: what is of all
    /// tenants is shown to those who see all.
    pub(crate) fn sees_of(&self, tenant_id: Option<&str>) -> bool {
        match tenant_id {
            Some(tenant) => self.sees(tenant),
            None => self.tenant.is_none(),
        }
    }

    /// The tenant's name that every list is cut to; none for all.
    pub(crate) fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_ref().map(|tenant| tenant.name.as_str())
    }
}
