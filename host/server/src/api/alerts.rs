//! `GET /connect/api/v1/alerts`: open and past alerts, of one tenant or of all.

use crate::connectors::Catalogue;
use crate::connectors::alert::{AlertFilter, StoredAlert};
use crate::connectors::error::CatalogueError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many alerts come at once, unless asked otherwise.
const PAGE: u64 = 100;
/// How many, at most.
const LARGEST_PAGE: u64 = 1_000;

/// Which alerts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertsQuery {
    /// Only those of the tenant of this name.
    pub(crate) tenant: Option<String>,
    /// Only open ones (`true`), or only cleared ones (`false`).
    pub(crate) open: Option<bool>,
    /// How many, at most; 100 unless given, and never more than 1,000.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u64>,
    /// How many to leave out first.
    pub(crate) offset: Option<u64>,
}

/// Alerts, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// How many there are, on all pages.
    pub(crate) total: u64,
    pub(crate) alerts: Vec<StoredAlert>,
}

/// Lists alerts. `only` is the name of the tenant that the caller is confined to; whatever the query says, nothing of
/// another is shown.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn list(
    catalogue: &Catalogue,
    only: Option<&str>,
    query: &AlertsQuery,
) -> Result<AlertList, CatalogueError> {
    let asked = query.tenant.as_deref();
    if only.is_some_and(|own| asked.is_some_and(|asked| asked != own)) {
        return Ok(AlertList {
            total: 0,
            alerts: Vec::new(),
        });
    }
    let (total, alerts) = catalogue.alerts(&AlertFilter {
        tenant: only.or(asked).map(str::to_owned),
        open: query.open,
        limit: Some(query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)),
        offset: query.offset.unwrap_or(0),
    })?;
    Ok(AlertList { total, alerts })
}
