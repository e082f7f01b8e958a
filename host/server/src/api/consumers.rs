//! `/consumers`: who takes the records to other places, and how far each has come.

use super::extract::Json;
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
    /// By name.
    pub(crate) consumers: Vec<ListedConsumer>,
}

/// Consumers and how far behind each is; a tenant sees those that take its records alone
#[utoipa::path(get, path = "/consumers", operation_id = "list_consumers", tag = "consumers", responses((status = 200, body = ConsumerList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    principal: Principal,
) -> Result<Json<ConsumerList>, Problem> {
    let states = service.consumers.states();
    let mut consumers =
        listing::list(service.catalogue.journal(), &states).map_err(Failure::from)?;
    if let Some(own) = &principal.tenant {
        consumers.retain(
            |consumer| matches!(consumer.tenants.as_deref(), Some([only]) if *only == own.name),
        );
    }
    Ok(Json(ConsumerList {
        total: consumers.len(),
        consumers,
    }))
}
