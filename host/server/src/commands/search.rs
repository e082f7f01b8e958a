//! `search`: what was collected, as a table, as JSON in the API's shape, or as CSV.
//!
//! The process that serves the data directory is asked if there is one. Otherwise the directory is opened here, and what is searched is
//! brought up to the journal's end first.
//!
//! `--size all` shows page behind page as they come; nothing is held but one of them.

mod output;

use super::consumers::await_consumer;
use crate::answer::Answer;
use crate::api::data::tenant_id;
use crate::arguments::{DefaultOperator, Global, Search, Size, TimeField};
use crate::client::Client;
use crate::connectors::Catalogue;
#[cfg(feature = "search")]
use crate::consumers;
use crate::failure::Failure;
use crate::search::answer::SearchAnswer;
#[cfg(feature = "search")]
use crate::search::index::IndexConsumer;
use crate::search::lucene;
use crate::search::parameters::Parameters;
use crate::search::request::{MOST_HITS, Scope};
use crate::search::searcher::Searcher;
use crate::{config, host};
use connector_runtime::Clock;
use connector_runtime::interflow::Index;
use connector_runtime::journal::JournalError;
use indicatif::MultiProgress;
use output::Output;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The consumer that makes the index.
const INDEX: &str = "index";
/// Hits on one page of all.
const PAGE: usize = 1_000;

/// Runs the command.
///
/// # Errors
/// A mistake in what is asked for; what is searched, or standard output, fails. A reader that goes away is none.
pub(crate) async fn run(
    global: &Global,
    search: &Search,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    let now_ms = i64::try_from(Clock::system().now_ms()).unwrap_or(i64::MAX);
    let parameters = parameters(search, now_ms);
    let index = search.index.into();
    check(&parameters, index, now_ms)?;
    let source = match Client::find(global)? {
        Some(client) => {
            let consumer = match index {
                Index::Assets => crate::assets::NAME,
                Index::Syslog | Index::Scans => INDEX,
            };
            await_consumer(&client, &host::data_directory(global)?, consumer).await?;
            Source::There(client)
        }
        None => here(global, index, &parameters, screen).await?,
    };
    let format = match (global.json, search.csv) {
        (true, _) => output::Format::Json,
        (_, true) => output::Format::Csv,
        _ => output::Format::Table,
    };
    let mut output = Output::new(io::stdout().lock(), format, index, &search.columns);
    let written = show(&source, &mut output, search.size, parameters, index, now_ms).await;
    match written {
        Ok(()) => Ok(Answer::given()),
        // Whoever read it has seen enough.
        Err(Stopped::Written(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Answer::given())
        }
        Err(Stopped::Written(written, error)) => Err(Failure::Export {
            written,
            source: JournalError::Output(error),
        }),
        Err(Stopped::Search(failure)) => Err(failure),
    }
}

/// Why it did not come to the end.
enum Stopped {
    /// Standard output, after so many bytes.
    Written(u64, io::Error),
    Search(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Search(failure)
    }
}

/// Whoever answers.
enum Source {
    There(Client),
    Here(Searcher, Scope),
}

impl Source {
    async fn ask(
        &self,
        parameters: &Parameters,
        index: Index,
        now_ms: i64,
    ) -> Result<SearchAnswer, Failure> {
        match self {
            Self::There(client) => client.search(index, &parameters.pairs()).await,
            Self::Here(searcher, scope) => {
                let search = parameters.check(index, scope.clone(), now_ms);
                let search = search.map_err(|mistakes| usage(parameters, &mistakes))?;
                // There is nobody else to hold up.
                Ok(searcher.search(&search, now_ms)?)
            }
        }
    }
}

async fn show<W: Write>(
    source: &Source,
    output: &mut Output<W>,
    size: Size,
    mut parameters: Parameters,
    index: Index,
    now_ms: i64,
) -> Result<(), Stopped> {
    let mut left = match size {
        Size::All => usize::MAX,
        Size::Of(size) => size,
    };
    let page = match size {
        Size::All => PAGE,
        Size::Of(size) => size.min(MOST_HITS),
    };
    let stopped = |output: &Output<W>, error| Stopped::Written(output.written(), error);
    let mut is_first = true;
    loop {
        let asked = left.min(page);
        parameters.size = Some(asked.to_string());
        let answer = source.ask(&parameters, index, now_ms).await?;
        if is_first {
            let begun = output.begin(&answer);
            begun.map_err(|error| stopped(output, error))?;
            is_first = false;
        }
        let hits = &answer.hits.hits;
        output.hits(hits).map_err(|error| stopped(output, error))?;
        left = left.saturating_sub(hits.len());
        match hits.last() {
            Some(last) if left > 0 && hits.len() == asked => {
                let sort = serde_json::Value::Array(last.sort.clone());
                parameters.search_after = Some(sort.to_string());
                // They are of all hits, and have been told.
                parameters.top = None;
                parameters.histogram = None;
            }
            _ => break,
        }
    }
    output.end().map_err(|error| stopped(output, error))
}

fn parameters(search: &Search, now_ms: i64) -> Parameters {
    let ago = search.last.map(|last| {
        let last = i64::try_from(last.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(last).max(0).to_string()
    });
    Parameters {
        q: search.query.clone(),
        from: None,
        size: None,
        sort: search.sort.clone(),
        search_after: None,
        time_field: Some(match search.time_field {
            TimeField::WriteTime => "write_time".into(),
            TimeField::Timestamp => "timestamp".into(),
        }),
        time_from: ago.or_else(|| search.from.clone()),
        time_to: search.to.clone(),
        histogram: search.histogram.clone(),
        top: search.top.clone(),
        default_operator: Some(match search.default_operator {
            DefaultOperator::Or => "OR".into(),
            DefaultOperator::And => "AND".into(),
        }),
        tenant: search.tenant.clone(),
    }
}

/// Lets the index take everything that the journal has.
#[cfg(feature = "search")]
fn bring_up_to_date(
    data: &Path,
    configured: &config::Search,
    screen: &MultiProgress,
) -> Result<(), Failure> {
    if configured.enabled {
        let catalogue = Catalogue::open(data)?;
        let mut consumer = IndexConsumer::new(data, configured.retention, &Clock::system());
        consumers::catch_up(catalogue.journal(), &mut consumer, screen)?;
    }
    Ok(())
}

/// There is none in this build.
#[cfg(not(feature = "search"))]
fn bring_up_to_date(_: &Path, _: &config::Search, _: &MultiProgress) -> Result<(), Failure> {
    Ok(())
}

/// Every mistake, before anything is opened or asked.
fn check(parameters: &Parameters, index: Index, now_ms: i64) -> Result<(), Failure> {
    let checked = parameters.check(index, Scope::default(), now_ms);
    checked
        .map(drop)
        .map_err(|mistakes| usage(parameters, &mistakes))
}

/// The mistakes as a person typed them: flags by their names, and a caret under the place in the query.
fn usage(parameters: &Parameters, mistakes: &[crate::api::problem::FieldError]) -> Failure {
    let lines = mistakes.iter().map(|mistake| {
        let flag = match mistake.key.as_deref() {
            Some("q") => return in_query(parameters, &mistake.detail),
            Some("time_from") => "--from ",
            Some("time_to") => "--to ",
            Some("sort") => "--sort ",
            Some("top") => "--top ",
            Some("histogram") => "--histogram ",
            _ => "",
        };
        format!("{flag}{}", mistake.detail)
    });
    Failure::Usage(lines.collect::<Vec<_>>().join("\n"))
}

fn in_query(parameters: &Parameters, detail: &str) -> String {
    let text = parameters.q.as_deref().unwrap_or_default();
    let operator = parameters.operator().unwrap_or_default();
    match lucene::parse(text, operator) {
        Err(error) => format!("the query, {detail}\n{}", error.pointed_at_in(text)),
        Ok(_) => format!("the query, {detail}"),
    }
}

/// What this data directory holds, brought up to the journal's end.
async fn here(
    global: &Global,
    index: Index,
    parameters: &Parameters,
    screen: &MultiProgress,
) -> Result<Source, Failure> {
    let data = host::data_directory(global)?;
    // Where nothing was ever collected, nothing is made.
    let catalogue = Catalogue::read(&data)?;
    let tenant = match parameters.tenant.as_deref() {
        None => None,
        Some(asked) => Some(tenant_id(&catalogue, asked)?),
    };
    drop(catalogue);
    let searcher = match index {
        Index::Assets => {
            let assets = super::assets::up_to_date(global, screen).await?;
            Searcher::default().with_assets(Arc::new(assets))
        }
        Index::Syslog | Index::Scans => {
            let configured = host::configuration(global)?.search;
            bring_up_to_date(&data, &configured, screen)?;
            Searcher::default().with_index(&data, &configured)
        }
    };
    Ok(Source::Here(searcher, Scope { tenant }))
}

#[cfg(test)]
mod tests;
