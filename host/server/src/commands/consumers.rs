//! `consumers ...`: who takes the records to other places, and how far each has come.

use crate::answer::Answer;
use crate::api::consumers::ConsumerList;
use crate::arguments::{ConsumersCommand, Global};
use crate::client::Client;
use crate::connectors::Catalogue;
use crate::consumers::listing::{self, ListedConsumer};
use crate::failure::Failure;
use crate::{figures, forwarders, host, table};
use axum::http::Method;
use connector_runtime::Clock;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long a consumer of a process that serves is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &ConsumersCommand) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    let client = Client::find(global)?;
    match (command, client) {
        (ConsumersCommand::List, Some(client)) => {
            let list: ConsumerList = client
                .ask(Method::GET, &["consumers"], &Value::Null)
                .await?;
            Ok(shown(list.consumers))
        }
        (ConsumersCommand::List, None) => {
            let consumers = match Catalogue::read_if_any(&directory)? {
                Some(catalogue) => listing::list(catalogue.journal(), &[])?,
                None => Vec::new(),
            };
            Ok(shown(consumers))
        }
        (ConsumersCommand::Remove { name }, Some(_)) => Err(Failure::Usage(format!(
            "consumer {name} is at work: take it out of host.toml, and start `serve` again; what is configured no more is removed then"
        ))),
        (ConsumersCommand::Remove { name }, None) => {
            let catalogue = Catalogue::open(&directory)?;
            if !catalogue.journal().remove_consumer(name).await? {
                let known: Vec<_> = catalogue.journal().consumers()?;
                let known: Vec<_> = known.iter().map(|row| row.name.as_str()).collect();
                return Err(Failure::Usage(if known.is_empty() {
                    format!("there is no consumer `{name}`, nor any other")
                } else {
                    format!(
                        "there is no consumer `{name}`; there is {}",
                        known.join(", ")
                    )
                }));
            }
            forwarders::forget(&directory, name).map_err(|error| {
                Failure::Usage(format!(
                    "consumer {name} was removed, and what it has left open cannot be handed over ({error}); look at its path and the disk"
                ))
            })?;
            let consumers = listing::list(catalogue.journal(), &[])?;
            let text = format!(
                "consumer {name} was removed: nothing is kept for it; if it is still configured, the next `serve` begins it anew"
            );
            Ok(Answer::new(text, &document(consumers), 0))
        }
    }
}

/// Waits, within bounds, until a consumer of the process that serves has everything that the journal has now.
///
/// # Errors
/// [`Failure::Busy`] if it does not come that far.
pub(super) async fn await_consumer(
    client: &Client,
    data: &Path,
    name: &str,
) -> Result<(), Failure> {
    let end = Catalogue::read(data)?.journal().last_offset()?;
    let clock = Clock::system();
    loop {
        let list: ConsumerList = client
            .ask(Method::GET, &["consumers"], &Value::Null)
            .await?;
        let found = list.consumers.iter().find(|consumer| consumer.name == name);
        let Some(consumer) = found.filter(|consumer| consumer.offset < end) else {
            return Ok(());
        };
        if consumer.failure.is_some() || clock.elapsed() >= PATIENCE {
            return Err(Failure::Busy(format!(
                "consumer {name} of the process that serves is {} behind, so that not everything would be found; `connector-host consumers list` says why",
                figures::counted(end - consumer.offset, "block")
            )));
        }
        clock.sleep(PAUSE).await;
    }
}

fn document(consumers: Vec<ListedConsumer>) -> ConsumerList {
    ConsumerList {
        total: consumers.len(),
        consumers,
    }
}

fn shown(consumers: Vec<ListedConsumer>) -> Answer {
    let text = if consumers.is_empty() {
        "There are no consumers: `serve` registers them.".to_owned()
    } else {
        describe(&consumers)
    };
    Answer::new(text, &document(consumers), 0)
}

fn describe(consumers: &[ListedConsumer]) -> String {
    let rows: Vec<_> = consumers
        .iter()
        .map(|consumer| {
            let tenants = consumer.tenants.as_ref();
            [
                consumer.name.clone(),
                tenants.map_or_else(|| "all".into(), |names| names.join(", ")),
                consumer.when_behind.clone(),
                figures::count(consumer.offset),
                figures::count(consumer.lag_blocks),
                consumer
                    .behind_since
                    .map_or_else(|| "-".into(), figures::moment),
                consumer.failure.clone().unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    table::of(
        [
            "NAME",
            "TENANTS",
            "WHEN BEHIND",
            "OFFSET",
            "BLOCKS BEHIND",
            "SINCE",
            "FAILURE",
        ],
        &rows,
    )
}
