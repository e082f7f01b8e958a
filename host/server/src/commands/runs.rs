//! `runs list` and `runs show`: what was collected, when, and how it went.

use crate::answer::Answer;
use crate::arguments::{Global, RunsCommand};
use crate::connectors::Catalogue;
use crate::connectors::run::StoredRun;
use crate::failure::Failure;
use crate::host::Host;
use crate::{figures, host, report, table};
use connector_runtime::manifest::LedgerPlan;
use serde::Serialize;

/// Digits of an id that a table has room for.
const SHORT: usize = 8;

/// The JSON result of `runs list`.
#[derive(Serialize)]
struct List<'a> {
    total: usize,
    /// The newest first: `{"id","connector","type","deleted","started","ended","outcome","records"}`.
    runs: &'a [StoredRun],
}

/// The JSON result of `runs show` for a run that has no ledger (yet).
#[derive(Serialize)]
struct WithoutLedger<'a> {
    run: &'a StoredRun,
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &RunsCommand) -> Result<Answer, Failure> {
    match command {
        RunsCommand::List { name, last } => list(global, name.as_deref(), *last),
        RunsCommand::Show { id } => show(global, id).await,
    }
}

fn list(global: &Global, name: Option<&str>, last: usize) -> Result<Answer, Failure> {
    let runs = match Catalogue::read_if_any(&host::data_directory(global)?)? {
        Some(catalogue) => catalogue.runs(name, last)?,
        None => Vec::new(),
    };
    let document = List {
        total: runs.len(),
        runs: &runs,
    };
    Ok(Answer::new(describe(&runs), &document, 0))
}

fn describe(runs: &[StoredRun]) -> String {
    if runs.is_empty() {
        return "There are no runs yet.".into();
    }
    let rows: Vec<_> = runs
        .iter()
        .map(|run| {
            let deleted = if run.deleted { " (deleted)" } else { "" };
            [
                run.id.chars().take(SHORT).collect(),
                format!("{}{deleted}", run.connector),
                figures::moment(run.started),
                match run.ended {
                    Some(ended) => figures::milliseconds(ended.saturating_sub(run.started)),
                    None => "-".into(),
                },
                run.records.map_or_else(|| "-".into(), figures::count),
                outcome(run),
            ]
        })
        .collect();
    table::of(
        ["RUN", "CONNECTOR", "BEGAN", "TOOK", "RECORDS", "OUTCOME"],
        &rows,
    )
}

fn outcome(run: &StoredRun) -> String {
    run.outcome.clone().unwrap_or_else(|| "under way".into())
}

async fn show(global: &Global, id: &str) -> Result<Answer, Failure> {
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    let run = catalogue.run(id)?;
    let Some(ledger) = &run.ledger else {
        let text = format!(
            "run {} of connector {} began {} and has no ledger: it is {}",
            run.id,
            run.connector,
            figures::moment(run.started),
            outcome(&run)
        );
        return Ok(Answer::new(text, &WithoutLedger { run: &run }, 0));
    };
    let text = report::of_ledger(ledger, &plan(global, &run.kind).await);
    Ok(Answer::with_json(text, ledger.clone(), 0))
}

/// The labels of the counters; without the plugin they are called as in the ledger.
async fn plan(global: &Global, kind: &str) -> LedgerPlan {
    let Ok(host) = Host::assemble(global) else {
        return LedgerPlan::default();
    };
    let accepted = host.accepted_so_far().unwrap_or_default();
    match host.plugins(&accepted).await {
        Ok(directory) => directory
            .find(kind)
            .map_or_else(LedgerPlan::default, |plugin| plugin.manifest.ledger.clone()),
        Err(_) => LedgerPlan::default(),
    }
}
