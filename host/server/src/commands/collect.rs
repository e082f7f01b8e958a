//! `collect`: one run of every chosen content type, from the stored cursors to the journal's commit.
//!
//! Everything that a person can put right is found before the first request. Ctrl-C (or SIGTERM) stops the run at once: what
//! is committed stays, its ledger is kept, and the next run goes on from there. A second one ends the process.

use crate::answer::Answer;
use crate::arguments::{Collect, Global};
use crate::definition::Definition;
use crate::failure::{Failure, Mistake};
use crate::figures;
use crate::host::{self, Host};
use crate::progress::Progress;
use crate::report;
use connector_runtime::journal::{Journal, JournalError};
use connector_runtime::runs::{self, Identity, RunError, RunOptions, RunOutcome, StartError, Stop};
use connector_runtime::sandbox::ErrorKind;
use indicatif::MultiProgress;
use std::sync::Arc;

/// Runs the command. The JSON result is the run's ledger.
///
/// # Errors
/// Mistakes, a journal that cannot be used, or an interruption; how the run itself went is in the answer.
pub(crate) async fn run(
    global: &Global,
    collect: &Collect,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let definition = Definition::load(&collect.definition)?;
    let host = Host::assemble(global)?;
    let plugin = host.plugin(&definition, &host.accepted_so_far()?).await?;
    let settings = host.settings(&definition, &plugin)?;
    let journal = Journal::open(&host::data_directory(global)?, Vec::new())?;
    let identity = identify(&journal, &definition)?;
    let connector = host.connector(identity, plugin, settings)?;
    let plan = connector.manifest().ledger.clone();

    let progress = Arc::new(Progress::new(
        screen,
        connector.content_types(),
        &plan,
        !global.json,
    ));
    let options = RunOptions {
        full: collect.full,
        force: collect.force,
        max_wait: collect.max_wait,
        stop: Stop::default(),
    };
    let run = runs::collect(&connector, &journal, &options, progress.clone());
    let twice = async {
        interruption().await;
        options.stop.request();
        interruption().await;
    };
    let result = tokio::select! {
        biased;
        () = twice => Err(Failure::Interrupted {
            records: figures::counted(progress.records(), "record"),
        }),
        result = run => result.map_err(|error| explain(error, &definition)),
    };
    progress.clear();
    let ledger = result?;

    let exit = u8::from(ledger.outcome != RunOutcome::Done);
    let json = ledger.to_json();
    let mut text = report::of_ledger(&json, &plan);
    let refused = ledger.contents.iter().any(|content| {
        let failure = content.failure.as_ref();
        content.outcome == RunOutcome::Failed
            && failure.is_some_and(|failure| failure.kind == ErrorKind::Unauthenticated)
    });
    if refused {
        text.push_str(&format!(
            "\nCollection has stopped so that the account is not locked. `connector-host test {}` tries again.",
            definition.file.display()
        ));
    }
    if let Some(moment) = ledger.resume_at {
        text.push_str(&format!(
            "\nIt is worth going on from {}: `connector-host collect {}` resumes where this run ended.",
            figures::moment(moment),
            definition.file.display()
        ));
    }
    Ok(Answer::with_json(text, json, exit))
}

/// The connector's identity, made at its first use.
fn identify(journal: &Journal, definition: &Definition) -> Result<Identity, Failure> {
    let row = journal.connector(&definition.tenant, &definition.name, &definition.kind);
    match row {
        Ok(row) => Ok(Identity {
            tenant_id: row.tenant_id,
            tenant: row.tenant_name,
            connector_id: row.id,
            name: row.name,
            kind: row.kind,
        }),
        Err(error @ JournalError::OtherKind { .. }) => Err(Failure::Mistakes(vec![Mistake::new(
            &definition.file,
            "type",
            error.to_string(),
        )])),
        Err(error) => Err(error.into()),
    }
}

fn explain(error: RunError, definition: &Definition) -> Failure {
    match error {
        RunError::Start(StartError::Settings(problems)) => definition.refused(&problems),
        RunError::Held(held) => Failure::Held(held),
        RunError::Start(StartError::Suspended(suspension)) => Failure::Suspended(suspension),
        error => Failure::Run(error),
    }
}

/// Ends when somebody wants the process to end.
async fn interruption() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the signal ends the process by itself.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminate => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_belongs_to_another_type_is_a_mistake_in_the_definition() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        let text = "name = \"a\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\n";
        std::fs::write(&file, text).unwrap();
        let definition = Definition::load(&file).ok().unwrap();
        let journal = Journal::open(directory.path(), Vec::new()).unwrap();
        let first = identify(&journal, &definition).unwrap();
        assert_eq!(
            identify(&journal, &definition).unwrap().connector_id,
            first.connector_id
        );
        std::fs::write(&file, text.replace("acme-scanner", "acme-other")).unwrap();
        let failure = identify(&journal, &Definition::load(&file).ok().unwrap()).unwrap_err();
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().contains("a.toml: type: "), "{failure}");
    }
}
