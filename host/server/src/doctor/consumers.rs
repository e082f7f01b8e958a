//! The consumers of the journal: whether one is far behind, or has lost something.

use super::Finding;
use crate::alerts::rules::Rules;
use crate::connectors::schema::migrations;
use crate::consumers::listing;
use crate::figures;
use connector_runtime::Clock;
use connector_runtime::journal::{Journal, JournalError};
use std::path::Path;

const CHECK: &str = "consumers";
const MINUTE_MS: u64 = 60_000;

pub(super) fn check(data: &Path) -> Vec<Finding> {
    match examine(data) {
        Ok(findings) => findings,
        Err(error) => {
            let remedy = "look at the journal's own finding first";
            vec![Finding::problem(CHECK, error.to_string(), remedy)]
        }
    }
}

fn examine(data: &Path) -> Result<Vec<Finding>, JournalError> {
    let journal = Journal::open_read_only(data, &migrations())?;
    let now = Clock::system().now_ms();
    let rules = Rules::default();
    let skips = journal.skips()?;
    let consumers = listing::list(&journal, &[])?;
    let mut findings = Vec::new();
    for consumer in &consumers {
        let behind = consumer
            .behind_since
            .map_or(0, |since| now.saturating_sub(since));
        if consumer.lag_blocks > rules.consumer_lag_blocks
            && behind > rules.consumer_lag_minutes * MINUTE_MS
        {
            findings.push(Finding::warning(
                CHECK,
                format!(
                    "{} has yet to take {}, the oldest written {} ago",
                    consumer.name,
                    figures::counted(consumer.lag_blocks, "block"),
                    figures::milliseconds(behind)
                ),
                "let `connector-host serve` run: it catches up there, or its log says why not",
            ));
        }
        let records: u64 = skips
            .iter()
            .filter(|skip| skip.consumer == consumer.name)
            .map(|skip| skip.records)
            .sum();
        if records > 0 {
            findings.push(Finding::warning(
                CHECK,
                format!(
                    "{} has lost {} in the last 90 days, since it was too far behind (`when_behind = \"skip\"`)",
                    consumer.name,
                    figures::counted(records, "record")
                ),
                "raise `size_limit_gib`, or let collection wait for it (`when_behind = \"wait\"`)",
            ));
        }
    }
    if findings.is_empty() && !consumers.is_empty() {
        let message = format!(
            "{} follow the journal",
            figures::counted(consumers.len() as u64, "consumer")
        );
        findings.push(Finding::ok(CHECK, message));
    }
    Ok(findings)
}
