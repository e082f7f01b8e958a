//! `forwarders list`, `forwarders test`: where records are sent on to, and whether that can be reached.

use crate::answer::Answer;
use crate::arguments::{ForwardersCommand, Global};
use crate::connectors::Catalogue;
use crate::failure::Failure;
use crate::forwarders::{Forwarder, Surroundings};
use crate::{figures, host, table};
use connector_runtime::Clock;
use connector_runtime::journal::{ConsumerRow, Start};
use connector_runtime::runs::Stop;
use serde::Serialize;

/// The JSON result of `list`.
#[derive(Serialize)]
struct List {
    total: usize,
    forwarders: Vec<Listed>,
}

/// One forwarder. `behind_blocks` is null as long as it has not been registered by a process that serves.
#[derive(Serialize)]
struct Listed {
    name: String,
    kind: &'static str,
    destination: String,
    format: &'static str,
    /// Null: all.
    tenants: Option<Vec<String>>,
    indices: Option<Vec<&'static str>>,
    start: &'static str,
    when_behind: &'static str,
    behind_blocks: Option<u64>,
}

/// The JSON result of `test`.
#[derive(Serialize)]
struct Tested<'a> {
    forwarder: Named<'a>,
    passed: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    kind: &'static str,
}

/// Runs one of the commands.
///
/// # Errors
/// If the configuration or the journal cannot be read, or no forwarder has the name.
pub(crate) async fn run(global: &Global, command: &ForwardersCommand) -> Result<Answer, Failure> {
    let forwarders = host::configuration(global)?.forwarders;
    match command {
        ForwardersCommand::List => list(global, &forwarders),
        ForwardersCommand::Test { name } => test(global, &forwarders, name).await,
    }
}

fn list(global: &Global, forwarders: &[Forwarder]) -> Result<Answer, Failure> {
    let (rows, last) = match Catalogue::read_if_any(&host::data_directory(global)?)? {
        Some(catalogue) => {
            let journal = catalogue.journal();
            (journal.consumers()?, journal.last_offset()?)
        }
        None => (Vec::new(), 0),
    };
    let document = List {
        total: forwarders.len(),
        forwarders: forwarders
            .iter()
            .map(|forwarder| listed(forwarder, &rows, last))
            .collect(),
    };
    Ok(Answer::new(describe(&document.forwarders), &document, 0))
}

fn listed(forwarder: &Forwarder, rows: &[ConsumerRow], last: u64) -> Listed {
    let consumer = forwarder.consumer_name();
    let row = rows.iter().find(|row| row.name == consumer);
    let indices = forwarder.indices.as_ref();
    Listed {
        name: forwarder.name.clone(),
        kind: forwarder.kind_name(),
        destination: forwarder.destination(),
        format: forwarder.format.as_str(),
        tenants: forwarder.tenants.clone(),
        indices: indices.map(|indices| indices.iter().map(|index| index.id()).collect()),
        start: match forwarder.start {
            Start::Oldest => "oldest",
            Start::Now => "now",
        },
        when_behind: forwarder.when_behind.as_str(),
        behind_blocks: row.map(|row| last.saturating_sub(row.acknowledged)),
    }
}

fn describe(forwarders: &[Listed]) -> String {
    if forwarders.is_empty() {
        return "There are no forwarders; [[forwarders]] in host.toml makes one.".into();
    }
    let all = |names: Option<String>| names.unwrap_or_else(|| "all".into());
    let rows: Vec<_> = forwarders
        .iter()
        .map(|forwarder| {
            [
                forwarder.name.clone(),
                forwarder.kind.to_owned(),
                all(forwarder.tenants.as_ref().map(|names| names.join(", "))),
                all(forwarder.indices.as_ref().map(|names| names.join(", "))),
                forwarder.format.to_owned(),
                forwarder.when_behind.to_owned(),
                match forwarder.behind_blocks {
                    None => "not begun".into(),
                    Some(0) => "-".into(),
                    Some(blocks) => figures::counted(blocks, "block"),
                },
                forwarder.destination.clone(),
            ]
        })
        .collect();
    table::of(
        [
            "NAME",
            "KIND",
            "TENANTS",
            "INDICES",
            "FORMAT",
            "WHEN BEHIND",
            "BEHIND",
            "DESTINATION",
        ],
        &rows,
    )
}

async fn test(global: &Global, forwarders: &[Forwarder], name: &str) -> Result<Answer, Failure> {
    let Some(forwarder) = forwarders.iter().find(|forwarder| forwarder.name == name) else {
        let names: Vec<_> = forwarders.iter().map(|known| known.name.as_str()).collect();
        let known = match names[..] {
            [] => "host.toml has no [[forwarders]]".to_owned(),
            _ => format!("host.toml has {}", names.join(", ")),
        };
        return Err(Failure::Usage(format!(
            "there is no forwarder `{name}`; {known}"
        )));
    };
    let surroundings = Surroundings {
        data: host::data_directory(global)?,
        clock: Clock::system(),
        stop: Stop::default(),
        runtime: tokio::runtime::Handle::current(),
        insecure_loopback: global.insecure_loopback,
    };
    let finding = forwarder.examine(&surroundings).await?;
    let document = Tested {
        forwarder: Named {
            name,
            kind: forwarder.kind_name(),
        },
        passed: finding.passed,
        message: &finding.message,
    };
    let text = match finding.passed {
        true => format!("passed: {}", finding.message),
        false => format!("failed: {}", finding.message),
    };
    Ok(Answer::new(text, &document, u8::from(!finding.passed)))
}
