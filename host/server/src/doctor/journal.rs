//! The journal: whether it opens, is of a known schema, and whole; and whether the clock fits what it says.

use super::Finding;
use crate::config::JournalOptions;
use crate::connectors::schema;
use crate::figures;
use connector_runtime::Clock;
use connector_runtime::journal::{self, Depth, Examination, JournalError};
use std::path::Path;

const CHECK: &str = "journal";
/// 2025-01-01T00:00:00Z: this program was not written before.
const EARLIEST_MS: u64 = 1_735_689_600_000;
/// A clock may be set back by so much.
const SLACK_MS: u64 = 60_000;
const RESTORE: &str = "stop what uses it, check the disk, and restore a backup (`connector-host restore BACKUP --replace`)";

/// What was found, and the journal's schema.
pub(super) fn check(data: &Path, options: &JournalOptions) -> (Vec<Finding>, Option<usize>) {
    let now = Clock::system().now_ms();
    match journal::examine(data, Depth::Quick) {
        Ok(found) => (
            vec![
                state(&found),
                limit(&found, options),
                clock(now, found.latest_ms),
            ],
            Some(found.schema),
        ),
        Err(JournalError::Missing { .. }) => {
            let finding = Finding::warning(
                CHECK,
                "there is none yet",
                "nothing is to be done: the first connector that is kept makes it",
            );
            (vec![finding, clock(now, None)], None)
        }
        Err(error) => {
            let finding = Finding::problem(CHECK, error.to_string(), RESTORE);
            (vec![finding, clock(now, None)], None)
        }
    }
}

fn state(found: &Examination) -> Finding {
    let known = schema::migrations().len();
    if !found.damage.is_empty() {
        let message = format!("it is damaged: {}", found.damage.join("; "));
        return Finding::problem(CHECK, message, RESTORE);
    }
    let message = format!(
        "schema {}, {} in {} ({} of it free), whole",
        found.schema,
        figures::counted(found.records, "record"),
        figures::mebibytes((found.size.used_pages + found.size.free_pages) * found.size.page_bytes),
        figures::mebibytes(found.size.free_pages * found.size.page_bytes),
    );
    if found.schema > known {
        let message = format!("{message}; this version knows schema {known} only");
        let remedy = "use the version that wrote it, or a newer one";
        return Finding::problem(CHECK, message, remedy);
    }
    if found.schema < known {
        let message = format!("{message}; this version brings it to schema {known}");
        let remedy = "take a backup first, then run any command that writes";
        return Finding::warning(CHECK, message, remedy);
    }
    Finding::ok(CHECK, message)
}

/// The journal's size against its limit.
fn limit(found: &Examination, options: &JournalOptions) -> Finding {
    let (used, limit) = (found.size.used_bytes(), options.retention.size_bytes);
    let message = format!(
        "it uses {} of {} (`size_limit_gib`)",
        figures::mebibytes(used),
        figures::mebibytes(limit)
    );
    if u128::from(used) * 5 < u128::from(limit) * 4 {
        return Finding::ok(CHECK, message);
    }
    let remedy = "raise the limit if the disk has room; `connector-host consumers list` shows who is behind: at the limit collection waits for them, and otherwise the oldest records go before `retention_days`";
    Finding::warning(CHECK, message, remedy)
}

fn clock(now: u64, latest: Option<u64>) -> Finding {
    const CHECK: &str = "clock";
    let remedy =
        "set the clock, and let it be kept right (NTP): positions, waits and quotas depend on it";
    let shown = figures::moment(now);
    if now < EARLIEST_MS {
        return Finding::problem(CHECK, format!("it is {shown}, which cannot be"), remedy);
    }
    match latest.filter(|latest| *latest > now + SLACK_MS) {
        Some(latest) => Finding::problem(
            CHECK,
            format!(
                "it is {shown}, and the journal was written at {}",
                figures::moment(latest)
            ),
            remedy,
        ),
        None => Finding::ok(CHECK, format!("it is {shown}")),
    }
}
