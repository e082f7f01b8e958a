//! `/connectors`: the life of a connector, in the shapes of the platform's own API.

use super::extract::{Json, Name, Query};
use super::filters;
use super::page::{ListQuery, Page};
use super::problem::{FieldError, Problem};
use crate::access::{Principal, Right};
use crate::connectors::Catalogue;
use crate::connectors::event::Event;
use crate::connectors::listing::{ConnectorFilter, ConnectorPage, LastRun, StoredConnector};
use crate::failure::Failure;
use crate::schedule::Progress;
use crate::service::{Change, ConnectorChange, NewConnector, Service, TestReply};
use crate::status::Status;
use axum::extract::State;
use axum::http::StatusCode;
use connector_runtime::plugins::Plugin;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Events of a connector that are listed.
const EVENTS: usize = 1_000;

/// A connector. Times are milliseconds since 1970; no secret is ever among the settings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConnectorDocument {
    /// 24 hexadecimal digits.
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) name: String,
    /// The connector type: a plugin's id.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The type's category; null if its plugin is not there.
    pub(crate) category: Option<String>,
    /// 32 hexadecimal digits.
    pub(crate) tenantid: String,
    pub(crate) tenant_name: String,
    pub(crate) is_collect: bool,
    pub(crate) is_respond: bool,
    pub(crate) active: bool,
    /// The device that it runs on.
    pub(crate) run_on: String,
    /// The plugin's version when the settings were last checked.
    pub(crate) version: String,
    pub(crate) created_at: u64,
    pub(crate) modified_at: u64,
    /// The end of the last run that was done.
    pub(crate) last_activity: Option<u64>,
    /// When records were last kept.
    pub(crate) last_data_received: Option<u64>,
    pub(crate) status: StatusDocument,
    /// The settings.
    #[schema(value_type = Object)]
    pub(crate) configuration: Value,
    /// Names of settings that are kept as secrets.
    pub(crate) secrets: Vec<String>,
    /// Names of the log filters attached.
    pub(crate) filter_list: Vec<String>,
    #[schema(value_type = Object)]
    pub(crate) advanced_setting: Value,
    /// The chosen content types.
    pub(crate) content_types: Vec<String>,
    /// Minutes between runs.
    pub(crate) interval: u64,
    /// The profiles that it is in.
    pub(crate) profiles: Vec<String>,
    /// When it is to run next.
    pub(crate) due: Option<u64>,
    /// The run that began last.
    pub(crate) last_run: Option<LastRun>,
    /// How far the run under way is; null if there is none.
    pub(crate) progress: Option<Progress>,
}

/// How things stand with a connector.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StatusDocument {
    /// 0 is healthy.
    pub(crate) code: u32,
    /// `healthy`, `collecting`, `failing`, ...
    pub(crate) state: String,
    /// A sentence.
    pub(crate) message: String,
    /// Since when it is so.
    pub(crate) status_time: u64,
    /// Until when it will be, if that is known.
    pub(crate) until: Option<u64>,
}

impl StatusDocument {
    pub(crate) fn of(status: &Status) -> Self {
        Self {
            code: status.code,
            state: status.state.as_str().to_owned(),
            message: status.message.clone(),
            status_time: status.since_ms,
            until: status.until_ms,
        }
    }
}

/// A list of connectors.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorList {
    /// How many there are in all.
    total: usize,
    connectors: Vec<ConnectorDocument>,
}

/// What came of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeDocument {
    connector: ConnectorDocument,
    /// Keys that changed, secrets included.
    changed: Vec<String>,
    /// Whether the next run reads everything again.
    full_walk: bool,
    /// The settings because of which it does.
    full_walk_because: Vec<String>,
    /// Keys of required secrets that are still missing.
    missing: Vec<String>,
    /// Remarks on settings that can be used: `{"pointer", "message"}`.
    #[schema(value_type = Vec<Object>)]
    warnings: Vec<Value>,
}

/// The events of a connector, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    total: usize,
    events: Vec<Event>,
}

/// A connector that `principal` may see.
///
/// # Errors
/// 404 for what does not exist and for what is somebody else's, in the same words.
pub(crate) fn visible(
    service: &Service,
    principal: &Principal,
    reference: &str,
) -> Result<StoredConnector, Problem> {
    principal.require(Right::Read, "see connectors")?;
    let unknown = || Problem::not_found(format!("there is no connector `{reference}`"));
    match service.catalogue.connector(reference) {
        // A bare name would be one or several depending on what other tenants have.
        Ok(connector)
            if principal.sees(&connector.tenant_id)
                && (reference == connector.id || reference == connector.full_name()) =>
        {
            Ok(connector)
        }
        Ok(_) => Err(unknown()),
        Err(error) if error.code() == "not-found" => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

fn document(service: &Service, connector: StoredConnector) -> Result<ConnectorDocument, Problem> {
    let status = service.catalogue.status(&connector.id)?;
    let status = status.ok_or_else(|| Problem::not_found("the connector has just been deleted"))?;
    let attached = service.catalogue.filters_of(&connector.id)?;
    let attached = attached.into_iter().map(|filter| filter.name).collect();
    Ok(of(service, connector, &status, attached))
}

fn of(
    service: &Service,
    connector: StoredConnector,
    status: &Status,
    filter_list: Vec<String>,
) -> ConnectorDocument {
    let directory = service.plugins.current();
    let plugin: Option<&Arc<Plugin>> = directory.find(&connector.kind);
    let progress = service.schedule.current(&connector.id);
    ConnectorDocument {
        category: plugin.map(|plugin| plugin.manifest.category.clone()),
        id: connector.id,
        name: connector.name,
        kind: connector.kind,
        tenantid: connector.tenant_id,
        tenant_name: connector.tenant,
        is_collect: true,
        is_respond: false,
        active: connector.active,
        run_on: connector.run_on,
        version: connector.version,
        created_at: connector.created,
        modified_at: connector.modified,
        last_activity: connector.last_activity,
        last_data_received: connector.last_data_received,
        status: StatusDocument::of(status),
        configuration: connector.settings,
        secrets: connector.secrets,
        filter_list,
        advanced_setting: Value::Object(serde_json::Map::new()),
        content_types: connector.content_types,
        interval: connector.interval_minutes,
        profiles: connector.profiles,
        due: connector.due,
        last_run: connector.last_run,
        progress,
    }
}

fn changed(service: &Service, change: Change) -> Result<Json<ChangeDocument>, Problem> {
    Ok(Json(ChangeDocument {
        connector: document(service, change.connector)?,
        changed: change.changed,
        full_walk: !change.shaping.is_empty(),
        full_walk_because: change.shaping,
        missing: change.missing,
        warnings: change
            .warnings
            .iter()
            .map(|warning| serde_json::to_value(warning).unwrap_or_default())
            .collect(),
    }))
}

/// The connectors
#[utoipa::path(get, path = "/connectors", operation_id = "list_connectors", tag = "connectors", params(ListQuery), responses((status = 200, body = ConnectorList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<ConnectorList>, Problem> {
    let window = query.window(Catalogue::connector_orders())?;
    let filter = ConnectorFilter {
        seen_tenant: principal.tenant.as_ref().map(|tenant| tenant.id.as_str()),
        tenant: query.tenant.as_deref(),
        name_part: query.q.as_deref(),
    };
    let ConnectorPage { total, connectors } = service.catalogue.connector_page(&filter, &window)?;
    let connectors = connectors
        .into_iter()
        .map(|listed| of(&service, listed.connector, &listed.status, listed.filters))
        .collect();
    Ok(Json(ConnectorList { total, connectors }))
}

/// One connector
#[utoipa::path(get, path = "/connectors/{connector}", operation_id = "show_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id, or `tenant/name` with the slash as %2F")), responses((status = 200, body = ConnectorDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<Json<ConnectorDocument>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    Ok(Json(document(&service, connector)?))
}

/// The name of the tenant that `asked` (a name or an id) means, if `principal` may use it.
fn tenant_of(service: &Service, principal: &Principal, asked: &str) -> Result<String, Problem> {
    let tenants = service.catalogue.tenants()?;
    let found = tenants
        .into_iter()
        .find(|tenant| tenant.id == asked || tenant.name == asked)
        .filter(|tenant| principal.sees(&tenant.id));
    match found {
        Some(tenant) => Ok(tenant.name),
        // A definition makes its tenant, if whoever keeps it may make tenants.
        None if principal.may(Right::Administer) => Ok(asked.to_owned()),
        None => Err(Problem::not_found(format!(
            "cust_id: there is no tenant `{asked}`"
        ))),
    }
}

/// Whether things of the tenant of this name may be named to `principal`.
fn names(principal: &Principal, tenant: &str) -> bool {
    principal.tenant_name().is_none_or(|own| own == tenant)
}

/// A refused definition, with the key that it was refused for.
fn about_definition(failure: Failure) -> Problem {
    let found = match &failure {
        Failure::Catalogue(error) => error.key_of_definition().map(|key| FieldError {
            key: Some(key.to_owned()),
            detail: error.to_string(),
        }),
        _ => None,
    };
    let mut problem = Problem::from(failure);
    problem.errors.extend(found);
    problem
}

/// Keep a new connector
#[utoipa::path(post, path = "/connectors", operation_id = "create_connector", tag = "connectors", request_body = NewConnector, responses((status = 201, body = ChangeDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(new): Json<NewConnector>,
) -> Result<(StatusCode, Json<ChangeDocument>), Problem> {
    principal.require(Right::Change, "change connectors")?;
    if new.profile.is_some() {
        principal.require(Right::Administer, "change profiles")?;
    }
    let tenant = tenant_of(&service, &principal, &new.cust_id)?;
    for filter in &new.filter_list {
        filters::seen(&service, &principal, filter)?;
    }
    let created = service.create(&tenant, new).await;
    let change = created.map_err(about_definition)?;
    Ok((StatusCode::CREATED, changed(&service, change)?))
}

/// Change a connector's settings
#[utoipa::path(patch, path = "/connectors/{connector}", operation_id = "change_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id")), request_body = ConnectorChange, responses((status = 200, body = ChangeDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
    Json(change): Json<ConnectorChange>,
) -> Result<Json<ChangeDocument>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "change connectors")?;
    let change = service.edit(&connector, change).await?;
    changed(&service, change)
}

/// Delete a connector with its secrets, positions and cache; its records stay
#[utoipa::path(delete, path = "/connectors/{connector}", operation_id = "delete_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<StatusCode, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "change connectors")?;
    service.delete(&connector).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a connector collect
#[utoipa::path(post, path = "/connectors/{connector}/activate", operation_id = "activate_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id")), responses((status = 200, body = ChangeDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn activate(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<Json<ChangeDocument>, Problem> {
    set_active(&service, &principal, &reference, true).await
}

/// Let a connector collect no longer; a run under way stops at its next safe point
#[utoipa::path(post, path = "/connectors/{connector}/deactivate", operation_id = "deactivate_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id")), responses((status = 200, body = ChangeDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn deactivate(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<Json<ChangeDocument>, Problem> {
    set_active(&service, &principal, &reference, false).await
}

async fn set_active(
    service: &Service,
    principal: &Principal,
    reference: &str,
    active: bool,
) -> Result<Json<ChangeDocument>, Problem> {
    let connector = visible(service, principal, reference)?;
    principal.require(Right::Change, "change connectors")?;
    let change = service.set_active(&connector, active).await?;
    changed(service, change)
}

/// Check a kept connector's credentials and connectivity, at once; one test at a time
#[utoipa::path(post, path = "/connectors/{connector}/test", operation_id = "test_connector", tag = "connectors", params(("connector" = String, Path, description = "Its id")), responses((status = 200, body = TestReply), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<Json<TestReply>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "change connectors")?;
    let asker = |tenant: &str| names(&principal, tenant);
    Ok(Json(service.test(&connector, &asker).await?))
}

/// Check the credentials and connectivity of a connector that is not kept
#[utoipa::path(post, path = "/connectors/test", operation_id = "test_unsaved_connector", tag = "connectors", request_body = NewConnector, responses((status = 200, body = TestReply), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test_unsaved(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(new): Json<NewConnector>,
) -> Result<Json<TestReply>, Problem> {
    principal.require(Right::Change, "change connectors")?;
    let tenant = tenant_of(&service, &principal, &new.cust_id)?;
    let definition = new.definition(tenant).map_err(Problem::from)?;
    let asker = |tenant: &str| names(&principal, tenant);
    Ok(Json(service.test_unsaved(&definition, &asker).await?))
}

/// What was done to a connector, the newest first
#[utoipa::path(get, path = "/connectors/{connector}/events", operation_id = "list_connector_events", tag = "connectors", params(("connector" = String, Path, description = "Its id"), ListQuery), responses((status = 200, body = EventList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn events(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
    Query(query): Query<ListQuery>,
) -> Result<Json<EventList>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    let mut events = service.catalogue.events(&connector.id, EVENTS)?;
    let tenant = Some((connector.tenant.as_str(), connector.tenant_id.as_str()));
    // An event has no name; what it says is looked at instead.
    events.retain(|event| query.wants(&event.text, tenant));
    let Page { total, entries } = query.page(
        events,
        &[
            ("-time", |a, b| b.time.cmp(&a.time)),
            ("time", |a, b| a.time.cmp(&b.time)),
        ],
    )?;
    Ok(Json(EventList {
        total,
        events: entries,
    }))
}
