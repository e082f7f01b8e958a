//! `GET /metrics`: what Prometheus reads.
//!
//! Whoever is on this machine may read sums without a token, unless a proxy stands before the host: then everybody seems to
//! be on this machine. Everybody else needs a token. Names of tenants and connectors are root's to see.

use super::ApiState;
use super::problem::Problem;
use crate::access::{self, Local, Peer, Principal, Role};
use crate::connectors::alert::OpenAlert;
use crate::failure::Failure;
use crate::metrics::{CONTENT_TYPE, Gauges, Metrics, Watched};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE as CONTENT_TYPE_HEADER, COOKIE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use std::collections::BTreeMap;

/// What is counted, and who may read it.
#[derive(Clone, Debug)]
pub(crate) struct Readable {
    pub(crate) metrics: Metrics,
    /// Whether a proxy stands before the host.
    pub(crate) behind_proxy: bool,
}

/// The route.
pub(crate) fn routes(state: ApiState) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route_layer(from_fn_with_state(state.clone(), admit))
        .with_state(state)
}

/// Lets those pass who need no token, and asks the others for theirs.
async fn admit(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_anonymous = !headers.contains_key(AUTHORIZATION)
        && !headers.contains_key(COOKIE)
        && request.extensions().get::<Local>().is_none();
    let peer = request.extensions().get::<Peer>().copied();
    if is_anonymous && is_here(peer, state.readable.behind_proxy) {
        return next.run(request).await;
    }
    access::layer(State(state.access), request, next).await
}

/// Whether a request is from this machine for certain.
fn is_here(peer: Option<Peer>, behind_proxy: bool) -> bool {
    !behind_proxy && peer.is_some_and(|Peer(address)| address.to_canonical().is_loopback())
}

/// Whether somebody is shown the names of tenants and connectors.
fn sees_names(principal: Option<&Principal>) -> bool {
    principal.is_some_and(|principal| principal.role == Role::Root)
}

async fn scrape(
    State(state): State<ApiState>,
    principal: Option<Extension<Principal>>,
) -> Result<Response, Problem> {
    let catalogue = &state.service.catalogue;
    let size = catalogue.journal().size().map_err(Failure::from)?;
    let mut open_alerts = BTreeMap::new();
    for OpenAlert { kind, .. } in catalogue.open_alerts(None)? {
        *open_alerts.entry(kind).or_default() += 1;
    }
    let last = catalogue.journal().last_offset().map_err(Failure::from)?;
    for consumer in state.service.consumers.states() {
        let lag = last.saturating_sub(consumer.offset);
        state.readable.metrics.set_consumer_lag(&consumer.name, lag);
    }
    let journal = catalogue.journal();
    let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
    for row in journal.consumers().map_err(Failure::from)? {
        skipped.insert(row.name, 0);
    }
    for skip in journal.skips().map_err(Failure::from)? {
        if let Some(records) = skipped.get_mut(&skip.consumer) {
            *records += skip.records;
        }
    }
    let oldest = journal.oldest().map_err(Failure::from)?;
    let now = state.access.clock.now_ms();
    let watched = catalogue.seen(now)?.into_iter().map(|seen| {
        let (tenant, name) = seen.name.split_once('/').unwrap_or(("", &seen.name));
        Watched {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            id: seen.connector,
            state: seen.state,
        }
    });
    let gauges = Gauges {
        journal_size: size.used_bytes() + size.free_pages * size.page_bytes,
        journal_used: size.used_bytes(),
        journal_limit: journal.retention().size_bytes,
        journal_oldest_ms: oldest.map(|(_, written_ms)| written_ms),
        skipped,
        connectors: watched.collect(),
        open_alerts,
    };
    let all_labels = sees_names(principal.as_deref());
    let text = state.readable.metrics.encode(all_labels, gauges);
    Ok(([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_this_machine_reads_and_only_without_a_proxy() {
        for (address, here) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            let peer = Some(Peer(address.parse().unwrap()));
            assert_eq!(is_here(peer, false), here, "{address}");
            assert!(!is_here(peer, true), "{address}");
        }
        assert!(!is_here(None, false));
    }

    #[test]
    fn names_are_roots_to_see() {
        let mut principal = Principal::owner();
        assert!(sees_names(Some(&principal)));
        for role in [Role::TenantAdmin, Role::ReadOnly] {
            principal.role = role;
            assert!(!sees_names(Some(&principal)), "{role}");
        }
        assert!(!sees_names(None));
    }
}
