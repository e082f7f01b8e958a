//! The REST API: what a console, a script or the command line may ask of a serving host.
//!
//! ```text
//! connection ─ who asks (access) ─ route ─ service ─ catalogue, schedule
//! ```
//!
//! Promises: without credentials nothing is answered but `/healthz`, the API's page and the login; what belongs to a tenant that the
//! caller may not see answers as if it did not exist; unknown keys are refused; every mistake has one shape ([`problem`]);
//! every list has `total`, pages and an order. The OpenAPI document is made from the handlers themselves.

pub(crate) mod alerts;
pub(crate) mod assets;
pub(crate) mod connectors;
pub(crate) mod consumers;
pub(crate) mod data;
pub(crate) mod extract;
pub(crate) mod filters;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod places;
pub(crate) mod plugins;
pub(crate) mod problem;
pub(crate) mod runs;
pub(crate) mod session;
pub(crate) mod tokens;
pub(crate) mod users;

use crate::access::{self, AccessState};
use crate::service::Service;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use problem::Problem;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Under which everything lies.
pub(crate) const ROOT: &str = "/connect/api/v1";
/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 1 << 20;

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) service: Arc<Service>,
    pub(crate) access: AccessState,
    pub(crate) readable: metrics::Readable,
}

impl FromRef<ApiState> for AccessState {
    fn from_ref(state: &ApiState) -> Self {
        state.access.clone()
    }
}

impl FromRef<ApiState> for Arc<Service> {
    fn from_ref(state: &ApiState) -> Self {
        Arc::clone(&state.service)
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Connector host",
        description = "Connectors, their tenants, runs and status. Times are milliseconds since 1970. Send a token as `authorization: Bearer`, or log in at `/session`. Every problem is `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("token" = []), ("session" = []))
)]
struct Base;

/// The routes that need credentials; signing in is the one that does not.
fn guarded() -> OpenApiRouter<ApiState> {
    let own = OpenApiRouter::new()
        .routes(routes!(connectors::list, connectors::create))
        .routes(routes!(
            connectors::get,
            connectors::change,
            connectors::delete
        ))
        .routes(routes!(connectors::activate))
        .routes(routes!(connectors::deactivate))
        .routes(routes!(connectors::test_unsaved))
        .routes(routes!(connectors::test))
        .routes(routes!(runs::run, runs::stop))
        .routes(routes!(runs::recollect))
        .routes(routes!(connectors::events))
        .routes(routes!(runs::of_connector))
        .routes(routes!(filters::attach, filters::detach))
        .routes(routes!(filters::list, filters::create))
        .routes(routes!(filters::get, filters::change, filters::delete))
        .routes(routes!(filters::try_out))
        .routes(routes!(places::tenants, places::add_tenant))
        .routes(routes!(places::rename_tenant, places::delete_tenant))
        .routes(routes!(places::profiles, places::add_profile))
        .routes(routes!(places::delete_profile))
        .routes(routes!(places::add_to_profile, places::remove_from_profile))
        .routes(routes!(places::devices, places::add_device))
        .routes(routes!(places::delete_device))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::get))
        .routes(routes!(plugins::reload))
        .routes(routes!(plugins::accept))
        .routes(routes!(plugins::rotate))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::status))
        .routes(routes!(alerts::list))
        .routes(routes!(assets::list))
        .routes(routes!(assets::get))
        .routes(routes!(consumers::list))
        .merge(session::routes())
        .merge(users::routes())
        .merge(tokens::routes());
    OpenApiRouter::new()
        .nest(ROOT, own)
        .nest(data::ROOT, data::routes())
}

/// The OpenAPI document.
pub(crate) fn document() -> Document {
    finish(
        OpenApiRouter::with_openapi(Base::openapi())
            .merge(guarded())
            .into_openapi(),
    )
}

fn finish(mut document: Document) -> Document {
    let components = document.components.get_or_insert_with(Default::default);
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(access::COOKIE))),
    );
    document
}

/// Everything that is answered over HTTP.
pub(crate) fn router(state: ApiState) -> Router {
    let (guarded, _) = guarded().split_for_parts();
    let guarded = guarded
        .fallback(|| async {
            Problem::not_found("there is nothing at this path; /api/docs shows what there is")
        })
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            state.access.clone(),
            access::layer,
        ));
    let document = document();
    // Unless it is told not to, the page asks a validator on the internet about every document.
    let page = utoipa_swagger_ui::SwaggerUi::new("/api/docs")
        .config(utoipa_swagger_ui::Config::default().validator_url("none"))
        .url("/api/openapi.json", document);
    Router::new()
        .route("/healthz", get(|| async { (StatusCode::OK, "ok\n") }))
        .merge(page)
        .merge(metrics::routes(state.clone()))
        .merge(guarded.with_state(state))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::map_response(with_fences))
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "bad-request",
        "this path is there, but not with this method; /api/docs shows which it has",
    )
}

/// What every answer says to a browser.
async fn with_fences(mut response: Response) -> Response {
    const FENCES: [(HeaderName, HeaderValue); 4] = [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
            ),
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in FENCES {
        headers.entry(name).or_insert(value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
