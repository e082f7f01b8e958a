//! `connectors list` and `connectors show`.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::device::DATA_PROCESSOR;
use crate::connectors::event::Event;
use crate::connectors::listing::{LastRun, StoredConnector};
use crate::definition::key_of;
use crate::failure::Failure;
use crate::figures;
use crate::host;
use crate::report::printable;
use crate::table;
use serde::Serialize;

/// Events that are shown.
const EVENTS: usize = 20;

/// The JSON result of `connectors list`.
#[derive(Serialize)]
struct List<'a> {
    total: usize,
    connectors: &'a [StoredConnector],
}

/// The JSON result of `connectors show`.
#[derive(Serialize)]
struct Shown<'a> {
    connector: &'a StoredConnector,
    /// The names of its log filters.
    filters: &'a [String],
    /// The last ones, the newest first: `{"time","kind","text"}`.
    events: &'a [Event],
}

pub(super) fn list(global: &Global, tenant: Option<&str>) -> Result<Answer, Failure> {
    let mut connectors = match Catalogue::read_if_any(&host::data_directory(global)?)? {
        Some(catalogue) => catalogue.connectors()?,
        None => Vec::new(),
    };
    if let Some(tenant) = tenant {
        connectors.retain(|connector| connector.tenant == tenant);
    }
    let document = List {
        total: connectors.len(),
        connectors: &connectors,
    };
    Ok(Answer::new(describe_list(&connectors), &document, 0))
}

fn describe_list(connectors: &[StoredConnector]) -> String {
    if connectors.is_empty() {
        return "There are no connectors. `connector-host connectors add FILE.toml` keeps one."
            .into();
    }
    let rows: Vec<_> = connectors
        .iter()
        .map(|connector| {
            [
                connector.full_name(),
                connector.kind.clone(),
                connector.content_types.join(", "),
                format!("{} min", connector.interval_minutes),
                connector.run_on.clone(),
                collects(connector).to_owned(),
                outcome(connector.last_run.as_ref()),
                moment(connector.last_activity),
                moment(connector.last_data_received),
            ]
        })
        .collect();
    table::of(
        [
            "NAME",
            "TYPE",
            "CONTENT",
            "INTERVAL",
            "RUN ON",
            "COLLECT",
            "LAST RUN",
            "LAST ACTIVITY",
            "LAST DATA",
        ],
        &rows,
    )
}

fn collects(connector: &StoredConnector) -> &'static str {
    match (
        connector.active,
        connector.run_on == DATA_PROCESSOR && connector.profiles.is_empty(),
    ) {
        (false, _) => "inactive",
        (true, true) => "not in a profile",
        (true, false) => "active",
    }
}

/// How a run went, in a word.
pub(in crate::commands) fn outcome(run: Option<&LastRun>) -> String {
    match run {
        None => "never run".into(),
        Some(run) => run.outcome.clone().unwrap_or_else(|| "under way".into()),
    }
}

fn moment(time: Option<u64>) -> String {
    time.map_or_else(|| "-".into(), figures::moment)
}

pub(super) fn run(global: &Global, name: &str) -> Result<Answer, Failure> {
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    let connector = catalogue.connector(name)?;
    let events = catalogue.events(&connector.id, EVENTS)?;
    let filters = catalogue.filters_of(&connector.id)?;
    let filters: Vec<String> = filters.into_iter().map(|filter| filter.name).collect();
    let document = Shown {
        connector: &connector,
        filters: &filters,
        events: &events,
    };
    let text = describe(&connector, &filters, &events);
    Ok(Answer::new(text, &document, 0))
}

fn describe(connector: &StoredConnector, filters: &[String], events: &[Event]) -> String {
    let mut text = format!(
        "connector {} ({} {})",
        connector.full_name(),
        connector.kind,
        connector.version
    );
    let mut line = |word: &str, value: String| {
        text.push_str(&format!("\n  {word:<15}{}", printable(&value)));
    };
    line("id", connector.id.clone());
    line("collect", collects(connector).to_owned());
    line("run on", connector.run_on.clone());
    if !connector.profiles.is_empty() {
        line("profiles", connector.profiles.join(", "));
    }
    if !filters.is_empty() {
        line("filters", filters.join(", "));
    }
    line("content", connector.content_types.join(", "));
    line("interval", format!("{} min", connector.interval_minutes));
    line("created", figures::moment(connector.created));
    line("modified", figures::moment(connector.modified));
    let last = connector.last_run.as_ref();
    let began = last.map_or_else(String::new, |run| {
        format!(", began {}", figures::moment(run.started))
    });
    line("last run", format!("{}{began}", outcome(last)));
    line("last activity", moment(connector.last_activity));
    line("last data", moment(connector.last_data_received));
    if let Some(settings) = connector.settings.as_object() {
        for (name, value) in settings {
            line("setting", format!("{name} = {value}"));
        }
    }
    for pointer in &connector.secrets {
        line("secret", format!("{} is kept, sealed", key_of(pointer)));
    }
    for event in events {
        line(
            "event",
            format!(
                "{} {}: {}",
                figures::moment(event.time),
                event.kind,
                event.text
            ),
        );
    }
    text
}
