//! `/filters`: which records of a connector are dropped instead of kept.

use super::connectors::visible;
use super::extract::{Json, Name, Names, Query};
use super::page::{ListQuery, Page};
use super::problem::{FieldError, Problem};
use crate::access::{Principal, Right};
use crate::commands::filters::dry_run::{self, Tried};
use crate::connectors::filter::StoredFilter;
use crate::keeper::Changed;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use connector_runtime::interflow::{Condition, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Records that a dry run looks at if nothing is said, and at most.
const LOOKED_AT: u64 = 10_000;
const MOST_LOOKED_AT: u64 = 100_000;

/// A condition: a dotted path into the record, how it is compared, and with what.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionBody {
    #[schema(example = "vulnerability.status")]
    pub(crate) field: String,
    /// `is`, `is_not`, `contains`, `not_contains`, `exists`, `not_exists`, `in`, `greater_than` or `less_than`.
    #[schema(example = "is")]
    pub(crate) operator: String,
    /// None for `exists` and `not_exists`, several for `in`, otherwise one.
    #[serde(default)]
    pub(crate) values: Vec<Value>,
}

impl ConditionBody {
    /// Conditions, to be sent.
    pub(crate) fn all(conditions: &[Condition]) -> Vec<Self> {
        let body = |condition: &Condition| Self {
            field: condition.field.clone(),
            operator: serde_json::to_value(condition.operator)
                .ok()
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_default(),
            values: condition.values.clone(),
        };
        conditions.iter().map(body).collect()
    }
}

/// A filter that is to be kept.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFilter {
    pub(crate) name: String,
    /// Whose connectors may have it, by the tenant's name; null for all tenants' (root only).
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    /// One to ten; a record is dropped if all hold.
    pub(crate) conditions: Vec<ConditionBody>,
}

/// Other conditions for a filter.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterChange {
    pub(crate) conditions: Vec<ConditionBody>,
}

/// What to try conditions on.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DryRun {
    pub(crate) conditions: Vec<ConditionBody>,
    /// The connector's id; only its records are looked at.
    pub(crate) connector: String,
    /// How many of the last records; at most 100,000.
    #[serde(default)]
    pub(crate) last: Option<u64>,
}

/// The filters.
#[derive(Serialize, ToSchema)]
pub(crate) struct FilterList {
    total: usize,
    filters: Vec<StoredFilter>,
}

fn conditions(bodies: Vec<ConditionBody>) -> Result<Vec<Condition>, Problem> {
    let mut errors = Vec::new();
    let mut conditions = Vec::new();
    for (at, body) in bodies.into_iter().enumerate() {
        match serde_json::from_value(Value::from(body.operator.as_str())) {
            Ok(operator) => conditions.push(Condition {
                field: body.field,
                operator,
                values: body.values,
            }),
            Err(_) => errors.push(FieldError {
                key: Some(format!("conditions[{at}].operator")),
                detail: "must be is, is_not, contains, not_contains, exists, not_exists, in, greater_than or less_than".into(),
            }),
        }
    }
    if errors.is_empty()
        && let Err(problems) = Filter::new("", 0, conditions.clone())
    {
        errors.extend(problems.into_iter().map(|problem| FieldError {
            key: Some(problem.place),
            detail: problem.message,
        }));
    }
    if errors.is_empty() {
        return Ok(conditions);
    }
    let mut problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "configuration",
        "the conditions cannot be used; `errors` says why",
    );
    problem.errors = errors;
    Err(problem)
}

/// A filter that the caller may see: its tenant's, or all tenants'.
pub(crate) fn seen(
    service: &Service,
    principal: &Principal,
    name: &str,
) -> Result<StoredFilter, Problem> {
    let filters = service.catalogue.filters()?;
    filters
        .into_iter()
        .find(|filter| filter.name == name && may_see(principal, filter))
        .ok_or_else(|| Problem::not_found(format!("there is no filter `{name}`")))
}

fn may_see(principal: &Principal, filter: &StoredFilter) -> bool {
    match (&filter.tenant, principal.tenant_name()) {
        (Some(tenant), Some(own)) => own == tenant,
        _ => true,
    }
}

/// Only root changes what all tenants' connectors may have.
fn own(principal: &Principal, tenant: Option<&str>) -> Result<(), Problem> {
    principal.require(Right::Change, "change log filters")?;
    match (tenant, principal.tenant_name()) {
        (_, None) => Ok(()),
        (Some(tenant), Some(own)) if tenant == own => Ok(()),
        (None, Some(_)) => {
            Ok(principal.require(Right::Administer, "change the log filters of all tenants")?)
        }
        (Some(tenant), Some(_)) => {
            Err(Problem::not_found(format!("there is no tenant `{tenant}`")))
        }
    }
}

/// The filters that the caller may see; of their connectors, those that it may see
#[utoipa::path(get, path = "/filters", operation_id = "list_filters", tag = "filters", params(ListQuery), responses((status = 200, body = FilterList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<FilterList>, Problem> {
    let mut filters = service.catalogue.filters()?;
    let tenants = service.catalogue.tenants()?;
    let asked = query.tenant.as_ref().map(|asked| {
        let tenant = tenants.iter().find(|tenant| tenant.id == *asked);
        tenant.map_or(asked, |tenant| &tenant.name)
    });
    filters.retain(|filter| {
        may_see(&principal, filter)
            && query.wants_name(&filter.name)
            // What is all tenants' is this one's, too.
            && asked.is_none_or(|asked| filter.tenant.as_ref().is_none_or(|own| own == asked))
    });
    for filter in &mut filters {
        hide_others(&principal, filter);
    }
    let Page { total, entries } = query.page(
        filters,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("created", |a, b| a.created.cmp(&b.created)),
            ("modified", |a, b| a.modified.cmp(&b.modified)),
        ],
    )?;
    Ok(Json(FilterList {
        total,
        filters: entries,
    }))
}

fn hide_others(principal: &Principal, filter: &mut StoredFilter) {
    if let Some(own) = principal.tenant_name() {
        let prefix = format!("{own}/");
        filter.connectors.retain(|full| full.starts_with(&prefix));
    }
}

/// One filter
#[utoipa::path(get, path = "/filters/{filter}", operation_id = "show_filter", tag = "filters", params(("filter" = String, Path, description = "Its name")), responses((status = 200, body = StoredFilter), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(name): Name,
) -> Result<Json<StoredFilter>, Problem> {
    let mut filter = seen(&service, &principal, &name)?;
    hide_others(&principal, &mut filter);
    Ok(Json(filter))
}

/// Keep a new filter; it drops nothing before it is attached
#[utoipa::path(post, path = "/filters", operation_id = "create_filter", tag = "filters", request_body = NewFilter, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(new): Json<NewFilter>,
) -> Result<StatusCode, Problem> {
    own(&principal, new.tenant.as_deref())?;
    let conditions = conditions(new.conditions)?;
    service
        .catalogue
        .add_filter(&new.name, new.tenant.as_deref(), &conditions)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a filter other conditions
#[utoipa::path(patch, path = "/filters/{filter}", operation_id = "change_filter", tag = "filters", params(("filter" = String, Path, description = "Its name")), request_body = FilterChange, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(name): Name,
    Json(change): Json<FilterChange>,
) -> Result<StatusCode, Problem> {
    let filter = seen(&service, &principal, &name)?;
    own(&principal, filter.tenant.as_deref())?;
    let conditions = conditions(change.conditions)?;
    service.catalogue.edit_filter(&name, &conditions).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a filter that is attached to nothing
#[utoipa::path(delete, path = "/filters/{filter}", operation_id = "delete_filter", tag = "filters", params(("filter" = String, Path, description = "Its name")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    let filter = seen(&service, &principal, &name)?;
    own(&principal, filter.tenant.as_deref())?;
    service.catalogue.delete_filter(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show what conditions would have dropped of a connector's last records; nothing is changed
#[utoipa::path(post, path = "/filters/try", operation_id = "try_filter", tag = "filters", request_body = DryRun, responses((status = 200, body = Tried), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn try_out(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(dry): Json<DryRun>,
) -> Result<Json<Tried>, Problem> {
    let connector = visible(&service, &principal, &dry.connector)?;
    let filter = Filter::new("tried", 0, conditions(dry.conditions)?)
        .map_err(|_| Problem::bad_request("the conditions cannot be used"))?;
    let last = dry.last.unwrap_or(LOOKED_AT).min(MOST_LOOKED_AT);
    let catalogue = Arc::clone(&service.catalogue);
    let tried = tokio::task::spawn_blocking(move || {
        dry_run::look(&catalogue, &filter, Some(&connector.id), last)
    });
    match tried.await {
        Ok(tried) => Ok(Json(tried?)),
        Err(error) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "threads",
            error.to_string(),
        )),
    }
}

/// Let a connector drop what a filter matches
#[utoipa::path(put, path = "/connectors/{connector}/filters/{filter}", operation_id = "attach_filter", tag = "filters", params(("connector" = String, Path, description = "Its id"), ("filter" = String, Path, description = "Its name")), responses((status = 200, body = Changed), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn attach(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Names(reference, name): Names,
) -> Result<Json<Changed>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    seen(&service, &principal, &name)?;
    principal.require(Right::Change, "change connectors")?;
    let changed = service
        .catalogue
        .attach_filter(&name, &connector.id)
        .await?;
    Ok(Json(Changed { changed }))
}

/// Let a connector drop it no longer
#[utoipa::path(delete, path = "/connectors/{connector}/filters/{filter}", operation_id = "detach_filter", tag = "filters", params(("connector" = String, Path, description = "Its id"), ("filter" = String, Path, description = "Its name")), responses((status = 200, body = Changed), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn detach(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Names(reference, name): Names,
) -> Result<Json<Changed>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    seen(&service, &principal, &name)?;
    principal.require(Right::Change, "change connectors")?;
    let changed = service
        .catalogue
        .detach_filter(&name, &connector.id)
        .await?;
    Ok(Json(Changed { changed }))
}
