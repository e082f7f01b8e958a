//! `/plugins` and `/secrets`: what root decides about the host itself.

use super::extract::{Json, Name, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::{Principal, Right};
use crate::service::{Accepted, Service};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A file of the plugin directory.
#[derive(Serialize, ToSchema)]
pub(crate) struct PluginDocument {
    /// The connector type; null if the file did not get as far as telling it.
    id: Option<String>,
    version: Option<String>,
    /// The file's name.
    file: String,
    sha256: Option<String>,
    /// Bytes.
    size: u64,
    /// Why it is skipped.
    refused: Option<String>,
    /// Why it runs no connector.
    suspended: Option<String>,
}

/// The files of the plugin directory.
#[derive(Serialize, ToSchema)]
pub(crate) struct PluginList {
    total: usize,
    plugins: Vec<PluginDocument>,
}

/// What a plugin says about itself: a form can be drawn from it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ManifestDocument {
    sha256: String,
    /// As the plugin's `describe` answers it; `settings` is a JSON Schema (draft 2020-12).
    #[schema(value_type = Object)]
    manifest: Value,
}

/// What looking at the plugins again found.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Reloaded {
    pub(crate) added: Vec<String>,
    pub(crate) replaced: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Files.
    pub(crate) refused: Vec<String>,
    pub(crate) suspended: Vec<String>,
}

/// Which file is meant.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    /// Only if its file has this SHA-256, or one that begins so; 12 digits or more.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
}

/// How many secrets were sealed anew.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Rotated {
    pub(crate) secrets: u64,
}

/// The plugins
#[utoipa::path(get, path = "/plugins", operation_id = "list_plugins", tag = "plugins", params(ListQuery), responses((status = 200, body = PluginList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    _principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<PluginList>, Problem> {
    let directory = service.plugins.current();
    let listings = directory.listings().iter();
    let plugins: Vec<PluginDocument> = listings
        .map(|listing| PluginDocument {
            id: listing.id.clone(),
            version: listing.version.clone(),
            file: listing
                .path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            sha256: listing.sha256.clone(),
            size: listing.size,
            refused: listing.refused.clone(),
            suspended: listing.suspended.clone(),
        })
        .filter(|plugin| {
            query
                .q
                .as_ref()
                .is_none_or(|part| plugin.id.as_ref().is_some_and(|id| id.contains(part)))
        })
        .collect();
    let Page { total, entries } = query.page(
        plugins,
        &[
            ("id", |a, b| (&a.id, &a.file).cmp(&(&b.id, &b.file))),
            ("file", |a, b| a.file.cmp(&b.file)),
            ("size", |a, b| a.size.cmp(&b.size)),
        ],
    )?;
    Ok(Json(PluginList {
        total,
        plugins: entries,
    }))
}

/// One plugin's manifest
#[utoipa::path(get, path = "/plugins/{plugin}", operation_id = "show_plugin", tag = "plugins", params(("plugin" = String, Path, description = "Its id")), responses((status = 200, body = ManifestDocument), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    _principal: Principal,
    Name(id): Name,
) -> Result<Json<ManifestDocument>, Problem> {
    let directory = service.plugins.current();
    let plugin = directory
        .find(&id)
        .ok_or_else(|| Problem::not_found(format!("there is no plugin `{id}`")))?;
    Ok(Json(ManifestDocument {
        sha256: plugin.sha256.clone(),
        manifest: serde_json::to_value(&plugin.manifest).unwrap_or_default(),
    }))
}

/// Take up plugins that have come, changed or gone (root only)
#[utoipa::path(post, path = "/plugins/reload", operation_id = "reload_plugins", tag = "plugins", responses((status = 200, body = Reloaded), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn reload(
    State(service): State<Arc<Service>>,
    principal: Principal,
) -> Result<Json<Reloaded>, Problem> {
    principal.require(Right::Administer, "reload plugins")?;
    let changes = service.reload_plugins().await?;
    let refused = changes.refused.iter();
    Ok(Json(Reloaded {
        refused: refused.map(|path| path.display().to_string()).collect(),
        added: changes.added,
        replaced: changes.replaced,
        removed: changes.removed,
        suspended: changes.suspended,
    }))
}

/// Accept what a plugin asks for now, so that its connectors run again (root only)
#[utoipa::path(post, path = "/plugins/{plugin}/accept", operation_id = "accept_plugin", tag = "plugins", params(("plugin" = String, Path, description = "Its id")), request_body = Acceptance, responses((status = 200, body = Accepted), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn accept(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Name(id): Name,
    Json(acceptance): Json<Acceptance>,
) -> Result<Json<Accepted>, Problem> {
    principal.require(Right::Administer, "accept what a plugin asks for")?;
    Ok(Json(
        service.accept(&id, acceptance.sha256.as_deref()).await?,
    ))
}

/// Make a new key and seal every secret anew (root only)
#[utoipa::path(post, path = "/secrets/rotate", operation_id = "rotate_secrets", tag = "secrets", responses((status = 200, body = Rotated), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rotate(
    State(service): State<Arc<Service>>,
    principal: Principal,
) -> Result<Json<Rotated>, Problem> {
    principal.require(Right::Administer, "rotate the key of the secrets")?;
    let secrets = service.catalogue.rotate_key().await?;
    Ok(Json(Rotated { secrets }))
}
