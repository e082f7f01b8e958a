//! `alerts list`: what is wrong with connectors, and what was.

use crate::answer::Answer;
use crate::arguments::{AlertsCommand, Global};
use crate::connectors::Catalogue;
use crate::connectors::alert::{AlertFilter, StoredAlert};
use crate::failure::Failure;
use crate::{figures, host, table};
use serde::Serialize;

/// The JSON result.
#[derive(Serialize)]
struct List<'a> {
    total: u64,
    /// The newest first: `{"id","kind","connector","connector_id","subject","tenant","tenant_id","message","since","raised","cleared"}`.
    alerts: &'a [StoredAlert],
}

/// Runs one of the commands.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn run(global: &Global, command: &AlertsCommand) -> Result<Answer, Failure> {
    let AlertsCommand::List { open, tenant, last } = command;
    let filter = AlertFilter {
        tenant: tenant.clone(),
        open: open.then_some(true),
        limit: Some(*last),
        offset: 0,
        oldest_first: false,
    };
    let (total, alerts) = match Catalogue::read_if_any(&host::data_directory(global)?)? {
        Some(catalogue) => catalogue.alerts(&filter)?,
        None => (0, Vec::new()),
    };
    let document = List {
        total,
        alerts: &alerts,
    };
    Ok(Answer::new(describe(&alerts, *open), &document, 0))
}

fn describe(alerts: &[StoredAlert], open: bool) -> String {
    if alerts.is_empty() {
        let which = if open { "open alerts" } else { "alerts" };
        return format!("There are no {which}.");
    }
    let rows: Vec<_> = alerts
        .iter()
        .map(|alert| {
            [
                alert.kind.clone(),
                alert
                    .connector
                    .clone()
                    .or_else(|| alert.subject.clone())
                    .unwrap_or_default(),
                figures::moment(alert.since),
                figures::moment(alert.raised),
                alert.cleared.map_or_else(|| "-".into(), figures::moment),
                alert.message.clone(),
            ]
        })
        .collect();
    table::of(
        ["ALERT", "ABOUT", "SINCE", "RAISED", "CLEARED", "MESSAGE"],
        &rows,
    )
}
