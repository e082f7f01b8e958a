//! `index ...`: how the search index is, and building it anew.

use crate::answer::Answer;
use crate::arguments::{Global, IndexCommand};
use crate::client::Client;
use crate::connectors::Catalogue;
use crate::consumers::catch_up;
use crate::failure::Failure;
use crate::search::index::{IndexConsumer, IndexStatus, SearchIndex};
use crate::{figures, host, table};
use connector_runtime::Clock;
use indicatif::MultiProgress;
use serde::Serialize;

/// `{"index": null}` if there is none.
#[derive(Debug, Serialize)]
struct StatusDocument {
    index: Option<IndexStatus>,
}

#[derive(Debug, Serialize)]
struct RebuildDocument {
    /// How many records were indexed.
    records: u64,
    /// When the oldest block of the journal was written, in milliseconds since 1970: what was collected before cannot be
    /// indexed any more. Null if there is no block.
    from_ms: Option<u64>,
    index: Option<IndexStatus>,
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) fn run(
    global: &Global,
    command: &IndexCommand,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    let configured = host::configuration(global)?.search;
    let clock = Clock::system();
    let index = SearchIndex::new(&directory, configured.retention);
    let status = || {
        let status = index.status(clock.now_ms());
        status.map_err(|error| Failure::Usage(error.to_string()))
    };
    match command {
        IndexCommand::Status => {
            let index = status()?;
            let text = match &index {
                Some(index) => describe(index),
                None => "There is no search index yet: it is built while `serve` runs, or by the next search.".into(),
            };
            Ok(Answer::new(text, &StatusDocument { index }, 0))
        }
        IndexCommand::Rebuild => {
            if Client::find(global)?.is_some() {
                return Err(Failure::Usage(format!(
                    "the data directory {} is being served, and its index written: end `serve` first. (Or delete the folder {} while it runs: `serve` notices, and builds it anew.)",
                    directory.display(),
                    index.folder().display()
                )));
            }
            if !configured.enabled {
                return Err(Failure::Usage(
                    "there is no search index here: host.toml has search.enabled = false".into(),
                ));
            }
            let catalogue = Catalogue::open(&directory)?;
            let journal = catalogue.journal();
            let oldest = journal.oldest()?;
            let from_ms = oldest.map(|(_, written_ms)| written_ms);
            let is_whole = oldest.is_none_or(|(offset, _)| offset == 1);
            let mut consumer = IndexConsumer::new(&directory, configured.retention, &clock);
            let name = crate::search::index::NAME;
            consumer.remove().map_err(|source| Failure::Consumer {
                name: name.to_owned(),
                source,
            })?;
            let records = catch_up(journal, &mut consumer, screen)?;
            drop(consumer);
            let text = match from_ms {
                None => "the journal is empty, and so is the search index".to_owned(),
                Some(from_ms) => format!(
                    "the search index was built anew of {}, from {} on{}",
                    figures::counted(records, "record"),
                    figures::moment(from_ms),
                    match is_whole {
                        true => ": everything that was ever collected",
                        false => ": what was collected before is not in the journal any more",
                    }
                ),
            };
            let document = RebuildDocument {
                records,
                from_ms,
                index: status()?,
            };
            Ok(Answer::new(text, &document, 0))
        }
    }
}

fn describe(status: &IndexStatus) -> String {
    let rows: Vec<_> = status
        .indices
        .iter()
        .map(|index| {
            [
                index.index.clone(),
                figures::count(index.documents),
                index.oldest_ms.map_or_else(|| "-".into(), figures::moment),
            ]
        })
        .collect();
    format!(
        "{}\n\n{}: {}, {}, up to block {}",
        table::of(["INDEX", "RECORDS", "OLDEST ARRIVAL"], &rows),
        status.folder.display(),
        figures::counted(status.documents, "record"),
        figures::bytes(status.bytes),
        figures::count(status.offset)
    )
}
