//! Roles: how much a user or a token may do, and the rights that a role has.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// How much a user or a token may do. Every role but `root` is for one tenant; a `read-only` one without a tenant reads all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Everything, for every tenant
    Root,
    /// Connectors, log filters, tests and runs of one tenant
    TenantAdmin,
    /// Looks, and changes nothing
    ReadOnly,
}

/// What a request wants to do. What a tenant may be touched is another question: see [`super::Principal::sees`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Look at what belongs to a tenant.
    Read,
    /// Connectors, log filters, tests, runs and tokens of a tenant.
    Change,
    /// What is shared by all tenants: profiles, plugins, networks, destinations, devices, tenants, users, secrets.
    Administer,
}

impl Role {
    /// As it is typed, stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::TenantAdmin => "tenant-admin",
            Self::ReadOnly => "read-only",
        }
    }

    /// Whether it has a right.
    pub(crate) fn has(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::Change => self != Self::ReadOnly,
            Right::Administer => self == Self::Root,
        }
    }

    /// What is wrong with this role for a tenant, or without one; continues a sentence.
    pub(crate) fn misfit(self, has_tenant: bool) -> Option<&'static str> {
        match (self, has_tenant) {
            (Self::Root, true) => Some("is for all tenants; leave the tenant out"),
            (Self::TenantAdmin, false) => Some("is for one tenant; say which"),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Root, Self::TenantAdmin, Self::ReadOnly]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// No role of this host.
#[derive(Debug, thiserror::Error)]
#[error("there is no role `{0}`; there is root, tenant-admin, read-only")]
pub(crate) struct UnknownRole(String);
