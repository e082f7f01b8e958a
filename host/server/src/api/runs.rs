//! `/runs` and `/status`: what was collected, when, how it went, and how things stand.

use super::connectors::visible;
use super::extract::{Json, Name, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::{Principal, Right};
use crate::arguments::LONGEST_WAIT;
use crate::connectors::run::StoredRun;
use crate::connectors::status::StatusFilter;
use crate::failure::Failure;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use connector_runtime::runs::RunOptions;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The end of the year 9999, in milliseconds since 1970.
const LAST_MOMENT: u64 = 253_402_300_799_999;
/// Runs that are listed, the last ones.
const LISTED: usize = 10_000;

/// A run. Times are milliseconds since 1970.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunDocument {
    #[serde(rename = "_id")]
    id: String,
    /// The connector's id.
    connector: String,
    /// `tenant/name`.
    connector_name: String,
    tenantid: String,
    #[serde(rename = "type")]
    kind: String,
    /// Whether the connector has been deleted since.
    deleted: bool,
    started: u64,
    /// Null while it is under way or if it was interrupted.
    ended: Option<u64>,
    /// `done`, `incomplete`, `postponed`, `stopped`, `failed` or `interrupted`; null while it is under way.
    outcome: Option<String>,
    /// Records that became durable.
    records: Option<u64>,
}

/// A run with its ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunWithLedger {
    run: RunDocument,
    /// What was asked, what came, what is missing and why; null while it is under way.
    #[schema(value_type = Option<Object>)]
    ledger: Value,
}

/// The last runs, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunList {
    total: usize,
    runs: Vec<RunDocument>,
}

/// How things stand with the host and with the connectors that the caller may see.
#[derive(Serialize, ToSchema)]
pub(crate) struct HostStatus {
    /// The host's version.
    version: &'static str,
    /// The device that this host is.
    device: String,
    /// The host's clock.
    time: u64,
    connectors: usize,
    /// How many connectors are in each state.
    states: BTreeMap<String, usize>,
}

impl From<StoredRun> for RunDocument {
    fn from(run: StoredRun) -> Self {
        Self {
            id: run.id,
            connector: run.connector_id,
            connector_name: run.connector,
            tenantid: run.tenant_id,
            kind: run.kind,
            deleted: run.deleted,
            started: run.started,
            ended: run.ended,
            outcome: run.outcome,
            records: run.records,
        }
    }
}

fn page(
    principal: &Principal,
    query: &ListQuery,
    mut runs: Vec<StoredRun>,
) -> Result<Json<RunList>, Problem> {
    runs.retain(|run| {
        let tenant = run.connector.split('/').next().unwrap_or_default();
        principal.sees(&run.tenant_id)
            && query.wants(&run.connector, Some((tenant, &run.tenant_id)))
    });
    let Page { total, entries } = query.page(
        runs,
        &[
            ("-started", |a, b| b.started.cmp(&a.started)),
            ("started", |a, b| a.started.cmp(&b.started)),
            ("records", |a, b| a.records.cmp(&b.records)),
            ("connector_name", |a, b| {
                (&a.connector, b.started).cmp(&(&b.connector, a.started))
            }),
        ],
    )?;
    Ok(Json(RunList {
        total,
        runs: entries.into_iter().map(Into::into).collect(),
    }))
}

/// The last runs, the newest first
#[utoipa::path(get, path = "/runs", operation_id = "list_runs", tag = "runs", params(ListQuery), responses((status = 200, body = RunList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<RunList>, Problem> {
    page(&principal, &query, service.catalogue.runs(None, LISTED)?)
}

/// The last runs of one connector, the newest first
#[utoipa::path(get, path = "/connectors/{connector}/runs", operation_id = "list_connector_runs", tag = "runs", params(("connector" = String, Path, description = "Its id"), ListQuery), responses((status = 200, body = RunList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn of_connector(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
    Query(query): Query<ListQuery>,
) -> Result<Json<RunList>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    let runs = service.catalogue.runs(Some(&connector.id), LISTED)?;
    page(&principal, &query, runs)
}

/// One run with its ledger
#[utoipa::path(get, path = "/runs/{run}", operation_id = "show_run", tag = "runs", params(("run" = String, Path, description = "Its id; for whoever sees all tenants, the first digits of it are enough")), responses((status = 200, body = RunWithLedger), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(id): Name,
) -> Result<Json<RunWithLedger>, Problem> {
    let unknown = || Problem::not_found(format!("there is no run `{id}`"));
    let run = match service.catalogue.run(&id) {
        // Whether the first digits are enough depends on the runs of all tenants.
        Ok(run)
            if principal.tenant.is_none()
                || principal.sees(&run.tenant_id) && run.id.eq_ignore_ascii_case(&id) =>
        {
            run
        }
        Ok(_) => return Err(unknown()),
        // Whether several begin so is nobody's business who may not see them.
        Err(error) if error.code() == "conflict" => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    let ledger = run.ledger.as_deref().map(serde_json::from_str).transpose();
    Ok(Json(RunWithLedger {
        ledger: ledger.ok().flatten().unwrap_or_default(),
        run: run.into(),
    }))
}

/// How things stand
#[utoipa::path(get, path = "/status", operation_id = "show_status", tag = "runs", responses((status = 200, body = HostStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn status(
    State(service): State<Arc<Service>>,
    principal: Principal,
) -> Result<Json<HostStatus>, Problem> {
    let mut states = BTreeMap::new();
    let mut connectors = 0;
    let filter = StatusFilter {
        tenant: principal.tenant_name().map(str::to_owned),
        ..StatusFilter::default()
    };
    for status in service.catalogue.statuses(&filter)?.into_values() {
        connectors += 1;
        *states.entry(status.state.as_str().to_owned()).or_default() += 1;
    }
    Ok(Json(HostStatus {
        version: env!("CARGO_PKG_VERSION"),
        device: service.host.device().to_owned(),
        time: service.host.clock().now_ms(),
        connectors,
        states,
    }))
}

/// How to run.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRequest {
    /// Read everything again, whatever was collected before.
    #[serde(default)]
    pub(crate) full: bool,
    /// Run although the plugin's faults hold the connector back or have set it aside.
    #[serde(default)]
    pub(crate) force: bool,
    /// Answer when the run has ended, with its ledger.
    #[serde(default)]
    pub(crate) wait: bool,
    /// The most that the run may wait, for quota and between attempts together; at most 30 days.
    #[serde(default)]
    #[schema(maximum = 2592000)]
    pub(crate) max_wait_seconds: Option<u64>,
}

/// A run that waits for its turn, is under way, or has ended.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RunReply {
    /// The connector's id.
    pub(crate) connector: String,
    /// The run's id; null as long as it waits for its turn.
    pub(crate) run: Option<String>,
    /// A sentence.
    pub(crate) message: String,
    /// Of a run that has ended.
    #[schema(value_type = Option<Object>)]
    pub(crate) ledger: Value,
}

/// What to read again.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecollectRequest {
    /// Only these content types; all that are chosen if there are none.
    #[serde(default)]
    pub(crate) content_types: Vec<String>,
    /// Only what was processed since, milliseconds since 1970; everything if it is null.
    #[serde(default)]
    #[schema(maximum = 253402300799999u64)]
    pub(crate) since: Option<u64>,
}

/// What the next run reads again.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RecollectReply {
    pub(crate) content_types: Vec<String>,
    /// Whether it reads everything.
    pub(crate) full_walk: bool,
}

/// Let the next run read again, for what a filter dropped that is there no longer; a run under way stops first
#[utoipa::path(post, path = "/connectors/{connector}/recollect", operation_id = "recollect_connector", tag = "runs", params(("connector" = String, Path, description = "Its id")), request_body = RecollectRequest, responses((status = 200, body = RecollectReply), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn recollect(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
    Json(request): Json<RecollectRequest>,
) -> Result<Json<RecollectReply>, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "run connectors")?;
    if request.since.is_some_and(|since| since > LAST_MOMENT) {
        return Err(Problem::bad_request(
            "since: later than the year 9999; it is counted in milliseconds since 1970",
        ));
    }
    service.schedule.stop_run(&connector.id).await;
    let content_types = service
        .catalogue
        .recollect(&connector.id, &request.content_types, request.since)
        .await?;
    service.schedule.changed(&connector.id);
    Ok(Json(RecollectReply {
        content_types,
        full_walk: request.since.is_none(),
    }))
}

/// Collect once, now
#[utoipa::path(post, path = "/connectors/{connector}/run", operation_id = "run_connector", tag = "runs", params(("connector" = String, Path, description = "Its id")), request_body = RunRequest, responses((status = 200, body = RunReply), (status = 202, body = RunReply), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn run(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
    Json(request): Json<RunRequest>,
) -> Result<(StatusCode, Json<RunReply>), Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "run connectors")?;
    if !connector.active {
        return Err(Failure::Inactive {
            connector: connector.full_name(),
        }
        .into());
    }
    let mut options = RunOptions {
        full: request.full,
        force: request.force,
        ..RunOptions::default()
    };
    if let Some(seconds) = request.max_wait_seconds {
        if seconds > LONGEST_WAIT.as_secs() {
            return Err(Problem::bad_request(
                "max_wait_seconds: more than 30 days; a run that may wait that long is better begun later",
            ));
        }
        options.max_wait = Duration::from_secs(seconds);
    }
    let handle = service.schedule.run_now(&connector.id, options)?;
    if request.wait {
        let ledger = handle.finished().await?;
        let ledger: Value = serde_json::from_str(&ledger.to_json()).unwrap_or_default();
        let reply = RunReply {
            run: service
                .catalogue
                .connector(&connector.id)?
                .last_run
                .map(|run| run.id),
            connector: connector.id,
            message: ledger["reason"].as_str().unwrap_or_default().to_owned(),
            ledger,
        };
        return Ok((StatusCode::OK, Json(reply)));
    }
    let message = format!(
        "connector {} collects as soon as there is room for it; its status says how it goes",
        connector.full_name()
    );
    let run = service.schedule.current(&connector.id);
    let reply = RunReply {
        run: run.and_then(|progress| progress.run),
        connector: connector.id,
        message,
        ledger: Value::Null,
    };
    Ok((StatusCode::ACCEPTED, Json(reply)))
}

/// Stop the run under way at its next safe point
#[utoipa::path(delete, path = "/connectors/{connector}/run", operation_id = "stop_connector", tag = "runs", params(("connector" = String, Path, description = "Its id")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<StatusCode, Problem> {
    let connector = visible(&service, &principal, &reference)?;
    principal.require(Right::Change, "change connectors")?;
    service.schedule.stop_run(&connector.id).await;
    Ok(StatusCode::NO_CONTENT)
}
