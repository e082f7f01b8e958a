//! `/assets`: machines, and what is open on them.

use super::extract::{Json, Name, Query};
use super::page::ListQuery;
use super::problem::Problem;
use crate::access::Principal;
use crate::assets::column::Column;
use crate::assets::document::{AssetDocument, AssetWithDetections};
use crate::assets::store::{AssetFilter, AssetPage, Shown};
use crate::assets::{AssetError, AssetStore};
use crate::failure::Failure;
use crate::search::request::Scope;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Assets.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct AssetList {
    /// How many there are, on all pages.
    pub(crate) total: usize,
    pub(crate) assets: Vec<AssetDocument>,
}

/// Which assets: those that fit everything that is given. A text is in the column's; a list has an entry with it; a number or
/// a time (milliseconds since 1970, or like `2026-03-01T09:15:00Z`) is the column's, or lies as `>`, `>=`, `<` or `<=` before it say.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssetsQuery {
    /// Only what belongs to this tenant, by name or id.
    pub(crate) tenant: Option<String>,
    /// Only what has this text in its name, as `name`.
    pub(crate) q: Option<String>,
    /// How many entries; at most 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<usize>,
    /// How many to leave out first.
    #[param(minimum = 0, default = 0)]
    pub(crate) offset: Option<usize>,
    /// The field to sort by; `-field` sorts downwards.
    pub(crate) sort: Option<String>,
    /// The host's name; where there is none, its address or the vendor's id.
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) hostname: Option<String>,
    /// An address that it has.
    pub(crate) ip: Option<String>,
    /// A hardware address, as `00-00-5E-00-53-23`.
    pub(crate) mac: Option<String>,
    /// An address that it had.
    pub(crate) iphistory: Option<String>,
    /// The operating system.
    pub(crate) os: Option<String>,
    /// What told of it.
    pub(crate) data_sources: Option<String>,
    /// The class of a record that told of it.
    pub(crate) msg_class: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) first_seen: Option<String>,
    pub(crate) last_seen: Option<String>,
    pub(crate) tenantid: Option<String>,
    pub(crate) tenant_name: Option<String>,
    /// An id that a vendor knows it by.
    pub(crate) vendor_ids: Option<String>,
    pub(crate) tags: Option<String>,
    /// How many detections are open.
    pub(crate) open: Option<String>,
    /// How many of them are critical.
    pub(crate) critical: Option<String>,
    pub(crate) high: Option<String>,
    pub(crate) medium: Option<String>,
    pub(crate) low: Option<String>,
    pub(crate) informational: Option<String>,
    /// How many different CVEs its open detections have.
    pub(crate) cves: Option<String>,
    /// The largest QDS of its open detections.
    pub(crate) worst_qds: Option<String>,
    /// A severity of which a detection is open.
    pub(crate) severity: Option<String>,
    /// A CVE of an open detection, or what the vendor calls what was found.
    pub(crate) vulnerability: Option<String>,
}

impl AssetsQuery {
    fn conditions(&self) -> Result<Vec<(Column, String)>, Problem> {
        let given = [
            ("name", &self.q),
            ("name", &self.name),
            ("id", &self.id),
            ("hostname", &self.hostname),
            ("ip", &self.ip),
            ("mac", &self.mac),
            ("iphistory", &self.iphistory),
            ("os", &self.os),
            ("data_sources", &self.data_sources),
            ("msg_class", &self.msg_class),
            ("state", &self.state),
            ("first_seen", &self.first_seen),
            ("last_seen", &self.last_seen),
            ("tenantid", &self.tenantid),
            ("tenant_name", &self.tenant_name),
            ("vendor_ids", &self.vendor_ids),
            ("tags", &self.tags),
            ("open", &self.open),
            ("critical", &self.critical),
            ("high", &self.high),
            ("medium", &self.medium),
            ("low", &self.low),
            ("informational", &self.informational),
            ("cves", &self.cves),
            ("worst_qds", &self.worst_qds),
            ("severity", &self.severity),
            ("vulnerability", &self.vulnerability),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        given
            .map(|(name, value)| match Column::named(name) {
                Ok(column) => Ok((column, value)),
                Err(error) => Err(Problem::bad_request(error.to_string())),
            })
            .collect()
    }
}

fn problem(error: AssetError) -> Problem {
    match error {
        AssetError::Column(error) => Problem::bad_request(error.to_string()),
        error => Failure::from(error).into(),
    }
}

fn scope(principal: &Principal) -> Scope {
    Scope {
        tenant: principal.tenant.as_ref().map(|tenant| tenant.id.clone()),
    }
}

/// Machines, by name
#[utoipa::path(get, path = "/assets", operation_id = "list_assets", tag = "assets", params(AssetsQuery), responses((status = 200, body = AssetList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<AssetsQuery>,
) -> Result<Json<AssetList>, Problem> {
    let conditions = query.conditions()?;
    let part = ListQuery {
        limit: query.limit,
        offset: query.offset,
        sort: query.sort,
        ..ListQuery::default()
    };
    let window = part.window(Column::sortable())?;
    let page = AssetPage {
        sort: window
            .field
            .map(Column::named)
            .transpose()
            .map_err(|error| problem(error.into()))?,
        downwards: window.downwards,
        offset: window.offset,
        limit: window.limit,
    };
    let filter = AssetFilter {
        conditions,
        tenant: query.tenant,
    };
    let store = AssetStore::new(service.host.data_directory());
    let found = on_a_thread(move || store.list(&scope(&principal), &filter, page)).await?;
    Ok(Json(AssetList {
        total: found.total,
        assets: found.assets,
    }))
}

/// One machine, the addresses that it had, and what is open on it
#[utoipa::path(get, path = "/assets/{asset}", operation_id = "show_asset", tag = "assets", params(("asset" = String, Path, description = "Its id, an id that it had before it was merged, or its name")), responses((status = 200, body = AssetWithDetections), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(reference): Name,
) -> Result<Json<AssetWithDetections>, Problem> {
    let store = AssetStore::new(service.host.data_directory());
    let asked = reference.clone();
    match on_a_thread(move || store.show(&scope(&principal), &asked)).await? {
        Shown::One(found) => Ok(Json(*found)),
        Shown::Several(ids) => Err(Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            format!(
                "several assets are called `{reference}`; say which by its id: {}",
                ids.join(", ")
            ),
        )),
        Shown::None => Err(Problem::not_found(format!(
            "there is no asset `{reference}`"
        ))),
    }
}

/// Reads where nobody else is held up: a list may look at every row.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AssetError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(found) => found.map_err(problem),
        Err(error) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "threads",
            format!("the assets could not be read: {error}"),
        )),
    }
}
