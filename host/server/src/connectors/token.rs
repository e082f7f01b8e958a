//! API tokens: for programs. A token has a role and a tenant of its own, and is kept as its SHA-256 only.

use super::error::CatalogueError;
use super::{Catalogue, event, listing, loaded, stored, tenant, user};
use crate::access::Role;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

/// An API token, without its secret. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Token {
    /// 16 hexadecimal digits.
    pub(crate) id: String,
    /// Unique within its tenant.
    pub(crate) name: String,
    /// How it begins, to tell it from others.
    pub(crate) prefix: String,
    pub(crate) role: Role,
    /// The tenant's name; none for `root`, and for `read-only` over all tenants.
    pub(crate) tenant: Option<String>,
    pub(crate) created: u64,
    /// Who made it.
    pub(crate) created_by: String,
    /// From then on it is refused; none if it never is.
    pub(crate) expires: Option<u64>,
    /// To the minute.
    pub(crate) last_used: Option<u64>,
}

/// A token that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    /// SHA-256 of the token.
    pub(crate) digest: [u8; 32],
    pub(crate) role: Role,
    /// The tenant's name.
    pub(crate) tenant: Option<String>,
    pub(crate) created: u64,
    pub(crate) created_by: String,
    pub(crate) expires: Option<u64>,
}

/// A token that was shown to the host, and is good.
#[derive(Clone, Debug)]
pub(crate) struct ShownToken {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Id and name of its tenant.
    pub(crate) tenant: Option<(String, String)>,
    pub(crate) expires: Option<u64>,
    /// When its use was noted last.
    pub(crate) last_used: Option<u64>,
}

const SELECT: &str =
    "SELECT k.id, k.name, k.prefix, k.role, t.name, k.created, k.created_by, k.expires, k.last_used
    FROM tokens k LEFT JOIN tenants t ON t.id = k.tenant";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        prefix: row.get(2)?,
        role: listing::parsed(row, 3)?,
        tenant: row.get(4)?,
        created: loaded(row.get(5)?),
        created_by: row.get(6)?,
        expires: row.get::<_, Option<i64>>(7)?.map(loaded),
        last_used: row.get::<_, Option<i64>>(8)?.map(loaded),
    })
}

impl Catalogue {
    /// All tokens, by name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn tokens(&self) -> Result<Vec<Token>, CatalogueError> {
        self.look(|database| {
            let mut rows =
                database.prepare_cached(&format!("{SELECT} ORDER BY k.name, t.name, k.id"))?;
            let rows = rows.query_map([], from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The token with this digest, unless it has expired.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(crate) fn shown_token(
        &self,
        digest: [u8; 32],
        now: u64,
    ) -> Result<Option<ShownToken>, CatalogueError> {
        self.look(|database| {
            let token = database
                .prepare_cached(
                    "SELECT k.id, k.name, k.role, t.id, t.name, k.expires, k.last_used FROM tokens k
                     LEFT JOIN tenants t ON t.id = k.tenant
                     WHERE k.digest = ?1 AND (k.expires IS NULL OR k.expires > ?2)",
                )?
                .query_row(params![digest, stored(now)], |row| {
                    Ok(ShownToken {
                        id: row.get(0)?,
                        name: row.get(1)?,
                        role: listing::parsed(row, 2)?,
                        tenant: row.get::<_, Option<String>>(3)?.zip(row.get(4)?),
                        expires: row.get::<_, Option<i64>>(5)?.map(loaded),
                        last_used: row.get::<_, Option<i64>>(6)?.map(loaded),
                    })
                })
                .optional()?;
            Ok(token)
        })
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// If its tenant has one of this name, the name cannot be one, there is no such tenant, or the role does not fit to it.
    pub(crate) async fn add_token(&self, new: NewToken) -> Result<Token, CatalogueError> {
        tenant::checked(&new.name)?;
        self.change(move |database| {
            let tenant = user::tenant_for(database, new.role, new.tenant.as_deref())?;
            let made = database.execute(
                "INSERT INTO tokens (id, name, prefix, digest, role, tenant, created, created_by, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
                params![
                    new.id,
                    new.name,
                    new.prefix,
                    new.digest,
                    new.role.as_str(),
                    tenant,
                    stored(new.created),
                    new.created_by,
                    new.expires.map(stored)
                ],
            )?;
            if made == 0 {
                return Err(CatalogueError::Exists {
                    thing: "token",
                    name: new.name.clone(),
                    advice: "choose another name, or delete that one first".into(),
                });
            }
            let text = format!(
                "token {} ({}...) was made by {}: {}",
                new.name, new.prefix, new.created_by, new.role
            );
            event::note(database, stored(new.created), None, "token", &text)?;
            let token = database
                .prepare_cached(&format!("{SELECT} WHERE k.id = ?1"))?
                .query_row([&new.id], from_row)?;
            Ok(token)
        })
        .await
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn note_token_used(&self, id: &str, now: u64) -> Result<(), CatalogueError> {
        let (id, now) = (id.to_owned(), stored(now));
        self.change(move |database| {
            database.execute(
                "UPDATE tokens SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1",
                params![id, now],
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes the token with this id; false if there is none.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) async fn delete_token(&self, id: &str) -> Result<bool, CatalogueError> {
        let (id, now) = (id.to_owned(), self.now_ms());
        self.change(move |database| {
            let name: Option<String> = database
                .query_row(
                    "DELETE FROM tokens WHERE id = ?1 RETURNING name",
                    [&id],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(name) = &name {
                let text = format!("token {name} was deleted");
                event::note(database, now, None, "token", &text)?;
            }
            Ok(name.is_some())
        })
        .await
    }
}
