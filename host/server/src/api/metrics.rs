//! `GET /metrics`: what Prometheus reads.
//!
//! Whoever is on this machine may read sums without a token, unless a proxy stands before the host: then everybody seems to
//! be on this machine. Names of tenants and connectors are root's to see.

use crate::connectors::Catalogue;
use crate::connectors::alert::OpenAlert;
use crate::connectors::error::CatalogueError;
use crate::metrics::{CONTENT_TYPE, Gauges, Metrics, Watched};
use axum::response::{IntoResponse as _, Response};
use http::header;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Who asks for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody who may see everything.
    Root,
    /// Somebody else with a token.
    Known,
    /// Somebody without one, from this address if it is known.
    Unknown(Option<SocketAddr>),
}

/// What a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Every series by tenant and connector.
    All,
    /// Sums.
    Sums,
    /// Nothing: a token is needed.
    Nothing,
}

impl Reader {
    /// What this reader is shown.
    pub(crate) fn sight(self, behind_proxy: bool) -> Sight {
        match self {
            Self::Root => Sight::All,
            Self::Known => Sight::Sums,
            Self::Unknown(Some(peer)) if !behind_proxy && peer.ip().to_canonical().is_loopback() => {
                Sight::Sums
            }
            Self::Unknown(_) => Sight::Nothing,
        }
    }
}

/// The answer to a reader who may see something.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn scrape(
    metrics: &Metrics,
    catalogue: &Catalogue,
    connectors: Vec<Watched>,
    all_labels: bool,
) -> Result<Response, CatalogueError> {
    let size = catalogue.journal().size()?;
    let mut open_alerts = BTreeMap::new();
    for OpenAlert { kind, .. } in catalogue.open_alerts(None)? {
        *open_alerts.entry(kind).or_default() += 1;
    }
    let gauges = Gauges {
        journal_size: size.used_bytes() + size.free_pages * size.page_bytes,
        journal_used: size.used_bytes(),
        connectors,
        open_alerts,
    };
    let text = metrics.encode(all_labels, gauges);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_root_and_without_a_token_only_this_machine_reads_sums() {
        let from = |address: &str| Reader::Unknown(Some(address.parse().unwrap()));
        for (reader, sight) in [
            (Reader::Root, Sight::All),
            (Reader::Known, Sight::Sums),
            (from("127.0.0.1:5000"), Sight::Sums),
            (from("[::1]:5000"), Sight::Sums),
            (from("[::ffff:127.0.0.1]:5000"), Sight::Sums),
            (from("192.0.2.1:5000"), Sight::Nothing),
            (Reader::Unknown(None), Sight::Nothing),
        ] {
            assert_eq!(reader.sight(false), sight, "{reader:?}");
        }
        assert_eq!(from("127.0.0.1:5000").sight(true), Sight::Nothing);
        assert_eq!(Reader::Root.sight(true), Sight::All);
    }
}
