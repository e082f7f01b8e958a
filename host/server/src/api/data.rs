//! `/connect/api/data`: searches, in Elasticsearch's shape.

use super::extract::{Json, Name, Query};
use super::problem::{FieldError, Problem};
use crate::access::Principal;
use crate::connectors::Catalogue;
use crate::connectors::error::CatalogueError;
use crate::search::answer::SearchAnswer;
use crate::search::error::SearchError;
use crate::search::parameters::Parameters;
use crate::search::request::Scope;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use connector_runtime::interflow::Index;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Under which everything here lies: beside the rest of the API, where the platform has it.
pub(crate) const ROOT: &str = "/connect/api/data";

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<super::ApiState> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Search an index
///
/// Parameters that are unknown or do not fit together are refused, all at once. There is no time bound unless one is given.
#[utoipa::path(get, path = "/{index}/_search", operation_id = "search_data", tag = "data", params(("index" = String, Path, description = "`syslog`, `scans` or `assets`"), Parameters), responses((status = 200, body = SearchAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn search(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(index): Name,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<SearchAnswer>, Problem> {
    let index: Index =
        index
            .parse()
            .map_err(|error: connector_runtime::interflow::UnknownIndex| {
                Problem::not_found(error.to_string())
            })?;
    let parameters = Parameters::of_pairs(pairs).map_err(refused)?;
    let now_ms = i64::try_from(service.host.clock().now_ms()).unwrap_or(i64::MAX);
    let scope = scope(&principal, &service.catalogue, parameters.tenant.as_deref())?;
    let search = parameters.check(index, scope, now_ms).map_err(refused)?;
    let searcher = service.searcher.clone();
    // It reads files.
    let answer = tokio::task::spawn_blocking(move || searcher.search(&search, now_ms)).await;
    match answer {
        Ok(answer) => Ok(Json(answer?)),
        Err(error) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "search",
            format!("the search broke off: {error}"),
        )),
    }
}

/// Whose records a caller may look for: its own tenant's, or of those who may see all, the one that it names.
fn scope(
    principal: &Principal,
    catalogue: &Catalogue,
    asked: Option<&str>,
) -> Result<Scope, Problem> {
    let missing = |asked: &str| Problem::not_found(format!("there is no tenant `{asked}`"));
    let tenant = match (&principal.tenant, asked) {
        (Some(own), Some(asked)) if asked != own.name && asked != own.id => {
            return Err(missing(asked));
        }
        (Some(own), _) => Some(own.id.clone()),
        (None, None) => None,
        (None, Some(asked)) => Some(tenant_id(catalogue, asked)?),
    };
    Ok(Scope { tenant })
}

/// The id of a tenant that a name or id stands for.
///
/// # Errors
/// If there is none.
pub(crate) fn tenant_id(catalogue: &Catalogue, reference: &str) -> Result<String, CatalogueError> {
    let tenants = catalogue.tenants()?;
    let found = tenants
        .iter()
        .find(|tenant| tenant.name == reference || tenant.id == reference);
    match found {
        Some(tenant) => Ok(tenant.id.clone()),
        None => Err(CatalogueError::Unknown {
            thing: "tenant",
            name: reference.to_owned(),
            known: tenants.into_iter().map(|tenant| tenant.name).collect(),
        }),
    }
}

fn refused(mistakes: Vec<FieldError>) -> Problem {
    let detail = match mistakes.as_slice() {
        [
            FieldError {
                key: Some(key),
                detail,
            },
        ] => format!("{key}: {detail}"),
        [only] => only.detail.clone(),
        several => format!("{} mistakes; `errors` names each", several.len()),
    };
    let mut problem = Problem::bad_request(detail);
    problem.errors = mistakes;
    problem
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        let (status, code) = match &error {
            error if error.is_of_the_request() => (StatusCode::BAD_REQUEST, "bad-request"),
            SearchError::Unavailable(_) => (StatusCode::CONFLICT, "unavailable"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "search"),
        };
        Self::new(status, code, error.to_string())
    }
}
