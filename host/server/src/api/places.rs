//! `/tenants`, `/profiles`, `/devices`: whose connectors there are, which of them pull, and where they run.

use super::connectors::visible;
use super::extract::{Json, Name, Names, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::{Principal, Right};
use crate::connectors::listing::StoredConnector;
use crate::connectors::tenant::Tenant;
use crate::keeper::Changed;
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Something that has nothing but a name yet.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) name: String,
}

/// The tenants.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantList {
    total: usize,
    tenants: Vec<Tenant>,
}

/// A profile, with the connectors of it that the caller may see.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileDocument {
    name: String,
    created: u64,
    /// `tenant/name`.
    connectors: Vec<String>,
}

/// The profiles.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileList {
    total: usize,
    profiles: Vec<ProfileDocument>,
}

/// A device, with the number of connectors on it that the caller may see.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceDocument {
    name: String,
    /// `dp` or `sensor`.
    kind: String,
    created: u64,
    connectors: usize,
    /// Whether it is this host.
    this_host: bool,
}

/// The devices, the data processor first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceList {
    total: usize,
    devices: Vec<DeviceDocument>,
}

/// The connectors that the caller may see, of the tenant that is asked for.
fn seen(
    service: &Service,
    principal: &Principal,
    query: &ListQuery,
) -> Result<Vec<StoredConnector>, Problem> {
    let mut connectors = service.catalogue.connectors()?;
    connectors.retain(|connector| {
        principal.sees(&connector.tenant_id)
            && query.wants_tenant(Some((&connector.tenant, &connector.tenant_id)))
    });
    Ok(connectors)
}

/// The tenants that the caller may see
#[utoipa::path(get, path = "/tenants", operation_id = "list_tenants", tag = "tenants", params(ListQuery), responses((status = 200, body = TenantList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn tenants(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<TenantList>, Problem> {
    let mut tenants = service.catalogue.tenants()?;
    tenants.retain(|tenant| {
        principal.sees(&tenant.id) && query.wants(&tenant.name, Some((&tenant.name, &tenant.id)))
    });
    let Page { total, entries } = query.page(
        tenants,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("created", |a, b| a.created.cmp(&b.created)),
            ("connectors", |a, b| a.connectors.cmp(&b.connectors)),
        ],
    )?;
    Ok(Json(TenantList {
        total,
        tenants: entries,
    }))
}

/// Make a tenant (root only)
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = Named, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_tenant(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(named): Json<Named>,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "make tenants")?;
    service.catalogue.add_tenant(&named.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a tenant another name (root only); its id, and what was collected for it, stay
#[utoipa::path(patch, path = "/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path, description = "Its name")), request_body = Named, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rename_tenant(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(tenant): Name,
    Json(named): Json<Named>,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "rename tenants")?;
    service
        .catalogue
        .rename_tenant(&tenant, &named.name)
        .await?;
    service.schedule.changed_all().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a tenant that never had a connector (root only)
#[utoipa::path(delete, path = "/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path, description = "Its name")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_tenant(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(tenant): Name,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "delete tenants")?;
    service.catalogue.delete_tenant(&tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The profiles, with those of their connectors that the caller may see
#[utoipa::path(get, path = "/profiles", operation_id = "list_profiles", tag = "profiles", params(ListQuery), responses((status = 200, body = ProfileList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn profiles(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<ProfileList>, Problem> {
    let connectors = seen(&service, &principal, &query)?;
    let mut profiles: Vec<ProfileDocument> = service
        .catalogue
        .profiles()?
        .into_iter()
        .map(|profile| ProfileDocument {
            connectors: connectors
                .iter()
                .filter(|connector| connector.profiles.contains(&profile.name))
                .map(StoredConnector::full_name)
                .collect(),
            name: profile.name,
            created: profile.created,
        })
        .collect();
    profiles.retain(|profile| query.wants_name(&profile.name));
    let Page { total, entries } = query.page(
        profiles,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("created", |a, b| a.created.cmp(&b.created)),
        ],
    )?;
    Ok(Json(ProfileList {
        total,
        profiles: entries,
    }))
}

/// Make a profile (root only)
#[utoipa::path(post, path = "/profiles", tag = "profiles", request_body = Named, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_profile(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(named): Json<Named>,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "change profiles")?;
    service.catalogue.add_profile(&named.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an empty profile (root only)
#[utoipa::path(delete, path = "/profiles/{profile}", tag = "profiles", params(("profile" = String, Path, description = "Its name")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_profile(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(profile): Name,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "change profiles")?;
    service.catalogue.delete_profile(&profile).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a connector into a profile (root only); the first time it pulls at once
#[utoipa::path(put, path = "/profiles/{profile}/connectors/{connector}", tag = "profiles", params(("profile" = String, Path, description = "Its name"), ("connector" = String, Path, description = "Its id")), responses((status = 200, body = Changed), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_to_profile(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Names(profile, reference): Names,
) -> Result<Json<Changed>, Problem> {
    principal.require(Right::Administer, "change profiles")?;
    let connector = visible(&service, &principal, &reference)?;
    let changed = service
        .catalogue
        .add_to_profile(&profile, &connector.id)
        .await?;
    service.schedule.changed(&connector.id);
    Ok(Json(Changed { changed }))
}

/// Take a connector out of a profile (root only)
#[utoipa::path(delete, path = "/profiles/{profile}/connectors/{connector}", tag = "profiles", params(("profile" = String, Path, description = "Its name"), ("connector" = String, Path, description = "Its id")), responses((status = 200, body = Changed), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_from_profile(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Names(profile, reference): Names,
) -> Result<Json<Changed>, Problem> {
    principal.require(Right::Administer, "change profiles")?;
    let connector = visible(&service, &principal, &reference)?;
    let changed = service
        .catalogue
        .remove_from_profile(&profile, &connector.id)
        .await?;
    service.schedule.changed(&connector.id);
    Ok(Json(Changed { changed }))
}

/// The devices that connectors run on
#[utoipa::path(get, path = "/devices", operation_id = "list_devices", tag = "devices", params(ListQuery), responses((status = 200, body = DeviceList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn devices(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<DeviceList>, Problem> {
    let connectors = seen(&service, &principal, &query)?;
    let mut devices: Vec<DeviceDocument> = service
        .catalogue
        .devices()?
        .into_iter()
        .map(|device| DeviceDocument {
            connectors: connectors
                .iter()
                .filter(|connector| connector.run_on == device.name)
                .count(),
            this_host: device.name == service.host.device(),
            name: device.name,
            kind: device.kind,
            created: device.created,
        })
        .collect();
    devices.retain(|device| query.wants_name(&device.name));
    let Page { total, entries } = query.page(
        devices,
        &[
            ("kind", |a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name))),
            ("name", |a, b| a.name.cmp(&b.name)),
            ("created", |a, b| a.created.cmp(&b.created)),
        ],
    )?;
    Ok(Json(DeviceList {
        total,
        devices: entries,
    }))
}

/// Add a sensor (root only)
#[utoipa::path(post, path = "/devices", tag = "devices", request_body = Named, responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_device(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Json(named): Json<Named>,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "change devices")?;
    service.catalogue.add_sensor(&named.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a sensor that has no connectors (root only)
#[utoipa::path(delete, path = "/devices/{device}", tag = "devices", params(("device" = String, Path, description = "Its name")), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_device(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(device): Name,
) -> Result<StatusCode, Problem> {
    principal.require(Right::Administer, "change devices")?;
    service.catalogue.delete_device(&device).await?;
    Ok(StatusCode::NO_CONTENT)
}
