//! Users and tokens, changed here or by the process that serves. Either way the data directory's owner asks, who is root.

use super::Keeper;
use crate::access::{Password, Passwords, Principal, Role, tokens, users};
use crate::api::tokens::MadeToken;
use crate::connectors::token::Token;
use crate::connectors::user::{User, UserChange};
use crate::failure::Failure;
use axum::http::Method;
use connector_runtime::Clock;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

#[derive(Serialize)]
struct UserBody<'a> {
    name: &'a str,
    password: &'a str,
    role: Role,
    tenant: Option<&'a str>,
}

#[derive(Serialize)]
struct ChangeBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
}

#[derive(Serialize)]
struct PasswordBody<'a> {
    password: &'a str,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    name: &'a str,
    role: Role,
    tenant: Option<&'a str>,
    expires_in_seconds: Option<u64>,
}

impl Keeper {
    /// Makes a user.
    pub(crate) async fn add_user(&self, new: users::New<'_>) -> Result<User, Failure> {
        match self {
            Self::Here(catalogue) => {
                let (passwords, owner) = (Passwords::default(), Principal::owner());
                Ok(users::add(catalogue, &passwords, &owner, new).await?)
            }
            Self::There(client, _) => {
                let body = UserBody {
                    name: new.name,
                    password: new.password.expose(),
                    role: new.role,
                    tenant: new.tenant,
                };
                client.ask(Method::POST, &["users"], &body).await
            }
        }
    }

    /// Changes a user's role, tenant or activity.
    pub(crate) async fn edit_user(&self, name: &str, change: UserChange) -> Result<User, Failure> {
        match self {
            Self::Here(catalogue) => {
                Ok(users::edit(catalogue, &Principal::owner(), name, change).await?)
            }
            Self::There(client, _) => {
                let body = ChangeBody {
                    role: change.role,
                    tenant: change.tenant.as_ref().map(Option::as_deref),
                    active: change.active,
                };
                client.ask(Method::PATCH, &["users", name], &body).await
            }
        }
    }

    /// Gives a user another password.
    pub(crate) async fn set_password(
        &self,
        name: &str,
        password: &Password,
    ) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => {
                let (passwords, owner) = (Passwords::default(), Principal::owner());
                Ok(users::set_password(catalogue, &passwords, &owner, name, password).await?)
            }
            Self::There(client, _) => {
                let body = PasswordBody {
                    password: password.expose(),
                };
                let path = ["users", name, "password"];
                client
                    .ask::<Value>(Method::PUT, &path, &body)
                    .await
                    .map(drop)
            }
        }
    }

    /// Deletes a user.
    pub(crate) async fn delete_user(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Here(catalogue) => Ok(users::delete(catalogue, &Principal::owner(), name).await?),
            Self::There(client, _) => client.delete(&["users", name]).await.map(drop),
        }
    }

    /// Makes a token.
    pub(crate) async fn add_token(&self, wanted: tokens::Wanted) -> Result<tokens::Made, Failure> {
        match self {
            Self::Here(catalogue) => {
                let now = Clock::system().now_ms();
                Ok(tokens::add(catalogue, &Principal::owner(), wanted, now).await?)
            }
            Self::There(client, _) => {
                let body = TokenBody {
                    name: &wanted.name,
                    role: wanted.role,
                    tenant: wanted.tenant.as_deref(),
                    expires_in_seconds: wanted.lifetime.map(|lifetime| lifetime.as_secs()),
                };
                let made: MadeToken = client.ask(Method::POST, &["tokens"], &body).await?;
                Ok(tokens::Made {
                    token: made.about,
                    secret: Zeroizing::new(made.token),
                })
            }
        }
    }

    /// Deletes a token, which `reference` (its id or its name) means.
    pub(crate) async fn delete_token(&self, reference: &str) -> Result<Token, Failure> {
        let owner = Principal::owner();
        match self {
            Self::Here(catalogue) => Ok(tokens::delete(catalogue, &owner, reference).await?),
            Self::There(client, catalogue) => {
                let token = tokens::find(catalogue, &owner, reference)?;
                client.delete(&["tokens", &token.id]).await?;
                Ok(token)
            }
        }
    }
}
