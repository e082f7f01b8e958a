//! `/alerts`: what is wrong with connectors, and what was.

use super::extract::{Json, Query};
use super::problem::Problem;
use crate::access::Principal;
use crate::connectors::alert::{AlertFilter, StoredAlert};
use crate::service::Service;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Entries on a page if nothing is said.
const PAGE: u64 = 100;
/// The most on a page.
const LARGEST_PAGE: u64 = 1_000;

/// Which alerts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertsQuery {
    /// Only those of this tenant, by name or id.
    pub(crate) tenant: Option<String>,
    /// Only open ones (`true`), or only cleared ones (`false`).
    pub(crate) open: Option<bool>,
    /// How many entries; at most 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<u64>,
    /// How many to leave out first.
    #[param(minimum = 0, default = 0)]
    pub(crate) offset: Option<u64>,
    /// `raised` (the oldest first) or `-raised` (the newest first, as if nothing is said).
    pub(crate) sort: Option<String>,
}

/// Alerts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// How many there are, on all pages.
    pub(crate) total: u64,
    pub(crate) alerts: Vec<StoredAlert>,
}

/// The filter for what a caller asks; none if that is all of another tenant.
fn filter(principal: &Principal, query: AlertsQuery) -> Result<Option<AlertFilter>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit must be from 1 to {LARGEST_PAGE}"
        )));
    }
    let oldest_first = match query.sort.as_deref() {
        None | Some("-raised") => false,
        Some("raised") => true,
        Some(_) => {
            return Err(Problem::bad_request(
                "sort: there is no such field here; it can be sorted by raised",
            ));
        }
    };
    let tenant = match (&principal.tenant, query.tenant) {
        (Some(own), Some(asked)) if asked != own.name && asked != own.id => return Ok(None),
        (Some(own), _) => Some(own.id.clone()),
        (None, asked) => asked,
    };
    Ok(Some(AlertFilter {
        tenant,
        open: query.open,
        limit: Some(limit),
        offset: query.offset.unwrap_or(0),
        oldest_first,
    }))
}

/// Alerts, the newest first
#[utoipa::path(get, path = "/alerts", operation_id = "list_alerts", tag = "alerts", params(AlertsQuery), responses((status = 200, body = AlertList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<AlertsQuery>,
) -> Result<Json<AlertList>, Problem> {
    let (total, alerts) = match filter(&principal, query)? {
        Some(filter) => service.catalogue.alerts(&filter)?,
        None => (0, Vec::new()),
    };
    Ok(Json(AlertList { total, alerts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::TenantOf;

    fn of(tenant: &str) -> Principal {
        Principal {
            tenant: Some(TenantOf {
                id: format!("id-of-{tenant}"),
                name: tenant.into(),
            }),
            ..Principal::owner()
        }
    }

    fn asking(tenant: Option<&str>) -> AlertsQuery {
        AlertsQuery {
            tenant: tenant.map(str::to_owned),
            ..AlertsQuery::default()
        }
    }

    #[test]
    fn whatever_a_tenants_user_asks_for_only_that_tenants_alerts_are_looked_for() {
        for asked in [None, Some("acme"), Some("id-of-acme")] {
            let filter = filter(&of("acme"), asking(asked)).ok().unwrap().unwrap();
            assert_eq!(filter.tenant.as_deref(), Some("id-of-acme"), "{asked:?}");
        }
        for asked in ["other", "id-of-other", ""] {
            let filter = filter(&of("acme"), asking(Some(asked))).ok().unwrap();
            assert!(filter.is_none(), "{asked}");
        }
        let all = filter(&Principal::owner(), asking(None)).ok().unwrap();
        assert_eq!(all.unwrap().tenant, None);
    }

    #[test]
    fn a_page_out_of_range_or_another_order_is_refused() {
        let limit = |limit| AlertsQuery {
            limit: Some(limit),
            ..AlertsQuery::default()
        };
        let sort = |sort: &str| AlertsQuery {
            sort: Some(sort.into()),
            ..AlertsQuery::default()
        };
        let owner = Principal::owner();
        for query in [limit(0), limit(1_001), sort("kind")] {
            assert_eq!(filter(&owner, query).err().unwrap().status, 400);
        }
        for (asked, oldest_first) in [("raised", true), ("-raised", false)] {
            let filter = filter(&owner, sort(asked)).ok().unwrap().unwrap();
            assert_eq!(filter.oldest_first, oldest_first);
        }
    }
}
