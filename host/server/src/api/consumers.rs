//! `/consumers`: who takes the records to other places, and how far each has come.

use super::extract::{Json, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::Principal;
use crate::consumers::listing::{self, ListedConsumer};
use crate::failure::Failure;
use crate::service::Service;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Consumers.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct ConsumerList {
    pub(crate) total: usize,
    pub(crate) consumers: Vec<ListedConsumer>,
}

/// Consumers and how far behind each is; a tenant sees those that take its records alone
#[utoipa::path(get, path = "/consumers", operation_id = "list_consumers", tag = "consumers", params(ListQuery), responses((status = 200, body = ConsumerList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<ConsumerList>, Problem> {
    let tenants = service.catalogue.tenants()?;
    let states = service.consumers.states();
    let mut consumers =
        listing::list(service.catalogue.journal(), &states).map_err(Failure::from)?;
    consumers.retain(|consumer| {
        // Whoever takes records of several is everybody's.
        let own = match consumer.tenants.as_deref() {
            Some([only]) => tenants.iter().find(|tenant| tenant.name == *only),
            _ => None,
        };
        let own = own.map(|tenant| (tenant.name.as_str(), tenant.id.as_str()));
        let seen = match own {
            Some((_, id)) => principal.sees(id),
            None => principal.tenant.is_none(),
        };
        seen && query.wants(&consumer.name, own)
    });
    let Page { total, entries } = query.page(
        consumers,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("lag_blocks", |a, b| {
                (a.lag_blocks, &a.name).cmp(&(b.lag_blocks, &b.name))
            }),
        ],
    )?;
    Ok(Json(ConsumerList {
        total,
        consumers: entries,
    }))
}
