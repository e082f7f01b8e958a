//! Authentication: the layer before every route but the open ones. It finds out who asks, or answers 401.
//!
//! A browser sends its cookie by itself, wherever a request comes from. So a request that changes something and is let in
//! by a cookie must carry the session's token in the header `x-csrf-token`, which only a page of the same site can read; and
//! whatever a browser says is from another site is refused before that.

use super::AccessState;
use super::credential;
use super::error::AccessError;
use super::principal::Principal;
use super::sign_in::CurrentSession;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cookie::Cookie;
use http::header::{AUTHORIZATION, COOKIE as COOKIE_HEADER, HOST, ORIGIN};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The cookie of a session.
pub(crate) const COOKIE: &str = "connector_host_session";
/// The header that a request with a cookie needs to change something.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
/// Uses of a token or a session are written down at most so often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// An extension of a request that came through the local socket, which only the data directory's owner can open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

/// An extension: the address that a request came from, behind a proxy the one that the proxy names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// The one to count failures by; all requests that have none share one.
    fn of(extensions: &Extensions) -> Self {
        let none = Self(Ipv4Addr::UNSPECIFIED.into());
        extensions.get().copied().unwrap_or(none)
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// The layer, for `axum::middleware::from_fn_with_state`: lets a request pass with its [`Principal`] (and, by cookie, its
/// [`CurrentSession`]) as extensions.
pub(crate) async fn authenticate(
    State(access): State<AccessState>,
    request: Request,
    next: Next,
) -> Response {
    // The body can be shared by no two threads, so what is waited for meanwhile sees the head alone.
    let (head, body) = request.into_parts();
    match identify(&access, &head).await {
        Ok((principal, session)) => {
            let mut request = Request::from_parts(head, body);
            request.extensions_mut().insert(principal);
            if let Some(session) = session {
                request.extensions_mut().insert(session);
            }
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// The layer of open routes that change something, which is to sign in: refuses a browser that another site led here.
pub(crate) async fn refuse_cross_site(request: Request, next: Next) -> Response {
    match same_site(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn identify(
    access: &AccessState,
    head: &Parts,
) -> Result<(Principal, Option<CurrentSession>), AccessError> {
    let headers = &head.headers;
    if head.extensions.get::<Local>().is_some() {
        return Ok((Principal::owner(), None));
    }
    // Whoever sends a token means it: a cookie that came along neither helps nor needs a check.
    if let Some(value) = headers.get(AUTHORIZATION) {
        let address = Peer::of(&head.extensions).0;
        let text = value.to_str().unwrap_or_default();
        return Ok((by_token(access, text, address).await?, None));
    }
    let secret = session_cookie(headers).ok_or(AccessError::Unauthenticated)?;
    let found = by_session(access, &secret).await?;
    same_site(&head.method, headers)?;
    if !is_safe(&head.method) {
        let sent = headers
            .get(CSRF_HEADER)
            .and_then(|value| value.to_str().ok());
        if !sent.is_some_and(|sent| credential::same(sent, &found.1.csrf)) {
            return Err(AccessError::CrossSite(
                "a request with a cookie that changes something needs the session's token in the header x-csrf-token; GET /connect/api/v1/session tells it",
            ));
        }
    }
    Ok((found.0, Some(found.1)))
}

async fn by_token(
    access: &AccessState,
    authorization: &str,
    address: IpAddr,
) -> Result<Principal, AccessError> {
    let shown = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let now = access.clock.now_ms();
            let digest = credential::digest(token.trim());
            access.catalogue.shown_token(digest, now)?
        }
        _ => None,
    };
    let Some(token) = shown else {
        return Err(access.limiter.bad_token(address));
    };
    let now = access.clock.now_ms();
    if is_due(token.last_used.unwrap_or(0), now) {
        // A full disk keeps nobody out who has to look what is wrong.
        if let Err(error) = access.catalogue.note_token_used(&token.id, now).await {
            tracing::warn!(
                "the use of token {} could not be noted: {error}",
                token.name
            );
        }
    }
    Ok(Principal::of_token(token))
}

async fn by_session(
    access: &AccessState,
    secret: &str,
) -> Result<(Principal, CurrentSession), AccessError> {
    let (digest, now) = (credential::digest(secret), access.clock.now_ms());
    let session = access.catalogue.session(digest, now)?;
    let session = session.ok_or(AccessError::Unauthenticated)?;
    if is_due(session.used, now) {
        if let Err(error) = access.catalogue.note_session_used(digest, now).await {
            tracing::warn!(
                "the use of a session of {} could not be noted: {error}",
                session.user
            );
        }
    }
    let current = CurrentSession {
        digest,
        csrf: credential::csrf(secret),
    };
    Ok((Principal::of_session(session), current))
}

fn is_due(noted: u64, now: u64) -> bool {
    u128::from(now.saturating_sub(noted)) >= NOTE_EVERY.as_millis()
}

fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn session_cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == COOKIE)
        .map(|cookie| cookie.value().to_owned())
}

/// Refuses what a browser itself says is from another site. Programs send neither header.
fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), AccessError> {
    if is_safe(method) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let foreign = AccessError::CrossSite(
        "this request comes from a page of another site, which may change nothing here; a program leaves the headers origin and sec-fetch-site out",
    );
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(foreign);
    }
    let Some(origin) = text(ORIGIN.as_str()) else {
        return Ok(());
    };
    // The scheme may differ where a proxy speaks TLS; the port may not.
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, text(HOST.as_str())) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(foreign),
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = AccessError;

    /// Without the layer there is nobody: a route that was forgotten to be put behind it lets no one in.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AccessError> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or(AccessError::Unauthenticated)
    }
}
