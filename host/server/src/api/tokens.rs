//! `/tokens`: what programs come in with.

use super::extract::{Json, Name, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::{AccessState, Principal, Refused, Role, tokens};
use crate::connectors::token::Token;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// How many there are, on all pages.
    total: usize,
    tokens: Vec<Token>,
}

/// A token that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// 1 to 64 characters: ASCII letters, digits, blanks inside, `-`, `_` and `.`.
    name: String,
    /// Not more than one's own.
    role: Role,
    /// The tenant's name; left out: one's own. `root` has none, `read-only` without one reads all tenants.
    #[serde(default)]
    tenant: Option<String>,
    /// After so many seconds it is refused, at most ten years; left out: never.
    #[serde(default)]
    #[schema(minimum = 1)]
    expires_in_seconds: Option<u64>,
}

/// A token that was just made.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    pub(crate) about: Token,
    /// The token itself. It is shown this once and kept nowhere.
    pub(crate) token: String,
}

/// The routes, behind [`crate::access::layer`].
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccessState: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(list_tokens, add_token))
        .routes(routes!(show_token, delete_token))
}

/// List the tokens that one sees
#[utoipa::path(
    get, path = "/tokens", tag = "tokens", params(ListQuery),
    responses(
        (status = 200, description = "The tokens, without their secrets", body = TokenList),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not for this role", body = Problem, content_type = "application/problem+json"),
        (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tokens(
    State(access): State<AccessState>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<TokenList>, Refused> {
    let mut tokens = tokens::list(&access.catalogue, &principal)?;
    tokens.retain(|token| {
        let tenant = token.tenant.as_deref().zip(token.tenant_id.as_deref());
        query.wants(&token.name, tenant)
    });
    let Page { total, entries } = query.page(
        tokens,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("tenant", |a, b| a.tenant.cmp(&b.tenant)),
            ("role", |a, b| a.role.as_str().cmp(b.role.as_str())),
            ("created", |a, b| a.created.cmp(&b.created)),
            ("last_used", |a, b| a.last_used.cmp(&b.last_used)),
        ],
    )?;
    Ok(Json(TokenList {
        total,
        tokens: entries,
    }))
}

/// Make a token; the answer is the only one that has it
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses(
        (status = 201, description = "The token", body = MadeToken),
        (status = 400, description = "No JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not for this role", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No tenant that one sees", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not sent as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be one", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn add_token(
    State(access): State<AccessState>,
    principal: Principal,
    Json(new): Json<NewToken>,
) -> Result<Response, Refused> {
    let wanted = tokens::Wanted {
        name: new.name,
        role: new.role,
        tenant: new.tenant,
        lifetime: new.expires_in_seconds.map(Duration::from_secs),
    };
    let now = access.clock.now_ms();
    let made = tokens::add(&access.catalogue, &principal, wanted, now).await?;
    let document = MadeToken {
        about: made.token,
        token: made.secret.to_string(),
    };
    let mut answer = (StatusCode::CREATED, Json(document)).into_response();
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Show a token, without its secret
#[utoipa::path(
    get, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id, or its name if only one that one sees has it")),
    responses(
        (status = 200, description = "The token", body = Token),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not for this role", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "None that one sees", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The name of several", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_token(
    State(access): State<AccessState>,
    principal: Principal,
    Name(id): Name,
) -> Result<Json<Token>, Refused> {
    Ok(Json(tokens::find(&access.catalogue, &principal, &id)?))
}

/// Delete a token; it is refused from now on
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id, or its name if only one that one sees has it")),
    responses(
        (status = 204, description = "The token was deleted"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not for this role", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "None that one sees", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The name of several", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_token(
    State(access): State<AccessState>,
    principal: Principal,
    Name(id): Name,
) -> Result<StatusCode, Refused> {
    tokens::delete(&access.catalogue, &principal, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
