//! `/session`: signing in and out, and who one is.

use super::extract::Json;
use super::problem::Problem;
use crate::access::{
    AccessState, COOKIE, MaybeSession, Password, Peer, Principal, Refused, Role, TenantOf, Via,
    sign_in,
};
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use cookie::{Cookie, SameSite};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Who is signing in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    name: String,
    password: Password,
}

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionDocument {
    /// The user's or the token's name.
    name: String,
    role: Role,
    /// None: all tenants.
    tenant: Option<TenantOf>,
    via: Via,
    /// What a page sends in the header `x-csrf-token` when it changes something; none without a session.
    csrf_token: Option<String>,
}

impl SessionDocument {
    fn new(principal: Principal, csrf_token: Option<String>) -> Self {
        Self {
            name: principal.name,
            role: principal.role,
            tenant: principal.tenant,
            via: principal.via,
            csrf_token,
        }
    }
}

/// The routes, behind [`crate::access::layer`], which lets signing in pass.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccessState: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(log_in, who_am_i, log_out))
}

/// Answers with a cookie; nothing of it may be kept on the way.
fn with_cookie(access: &AccessState, value: &str, answer: Response) -> Result<Response, Refused> {
    let mut cookie = Cookie::build((COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(access.secure_cookies)
        .build();
    if value.is_empty() {
        cookie.make_removal();
    }
    let header = HeaderValue::from_str(&cookie.to_string()).map_err(|error| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "output",
            error.to_string(),
        )
    })?;
    let mut answer = answer;
    answer.headers_mut().insert(SET_COOKIE, header);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Sign in: begins a session, whose cookie comes with the answer
#[utoipa::path(
    post, path = "/session", tag = "session", operation_id = "log_in", request_body = Credentials,
    security(()),
    responses(
        (status = 200, description = "A session has begun", body = SessionDocument),
        (status = 401, description = "Name or password is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Led here by another site", body = Problem, content_type = "application/problem+json"),
        (status = 400, description = "No JSON", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not sent as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A key is missing or unknown", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong ones; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn log_in(
    State(access): State<AccessState>,
    peer: Peer,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Refused> {
    let Credentials { name, password } = credentials;
    let signed_in = sign_in(&access, &name, &password, peer.0).await?;
    let document = SessionDocument::new(signed_in.principal, Some(signed_in.csrf));
    with_cookie(&access, &signed_in.secret, Json(document).into_response())
}

/// Who am I: the name, role and tenant of whoever asks
#[utoipa::path(
    get, path = "/session", tag = "session", operation_id = "who_am_i",
    responses(
        (status = 200, description = "Who asks", body = SessionDocument),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn who_am_i(
    principal: Principal,
    MaybeSession(session): MaybeSession,
) -> impl axum::response::IntoResponse {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let csrf = session.map(|session| session.csrf);
    (headers, Json(SessionDocument::new(principal, csrf)))
}

/// Sign out: ends the session, if it is one
#[utoipa::path(
    delete, path = "/session", tag = "session", operation_id = "log_out",
    responses(
        (status = 204, description = "The session is over"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Without the session's token", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn log_out(
    State(access): State<AccessState>,
    _principal: Principal,
    MaybeSession(session): MaybeSession,
) -> Result<Response, Refused> {
    if let Some(session) = session {
        access.catalogue.end_session(session.digest).await?;
    }
    with_cookie(&access, "", StatusCode::NO_CONTENT.into_response())
}
