//! `connectors list` and `connectors show`.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::Catalogue;
use crate::connectors::device::DATA_PROCESSOR;
use crate::connectors::error::CatalogueError;
use crate::connectors::event::Event;
use crate::connectors::listing::{LastRun, StoredConnector};
use crate::connectors::status::StatusFilter;
use crate::definition::key_of;
use crate::failure::Failure;
use crate::figures;
use crate::host;
use crate::report::printable;
use crate::status::Status;
use crate::table;
use serde::Serialize;

/// Events that are shown.
const EVENTS: usize = 20;

/// The JSON result of `connectors list`.
#[derive(Serialize)]
struct List<'a> {
    total: usize,
    connectors: Vec<Listed<'a>>,
}

/// A connector and its status.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    connector: &'a StoredConnector,
    status: &'a Status,
}

/// The JSON result of `connectors show`.
#[derive(Serialize)]
struct Shown<'a> {
    connector: Listed<'a>,
    /// The names of its log filters.
    filters: &'a [String],
    /// The last ones, the newest first: `{"time","kind","text"}`.
    events: &'a [Event],
}

pub(super) fn list(global: &Global, tenant: Option<&str>) -> Result<Answer, Failure> {
    let (mut connectors, statuses) = match Catalogue::read_if_any(&host::data_directory(global)?)? {
        Some(catalogue) => (
            catalogue.connectors()?,
            catalogue.statuses(&StatusFilter::default())?,
        ),
        None => Default::default(),
    };
    if let Some(tenant) = tenant {
        connectors.retain(|connector| connector.tenant == tenant);
    }
    // One that was added between the two looks is in the next list.
    let listed: Vec<_> = connectors
        .iter()
        .filter_map(|connector| {
            let status = statuses.get(&connector.id)?;
            Some(Listed { connector, status })
        })
        .collect();
    let text = describe_list(&listed);
    let document = List {
        total: listed.len(),
        connectors: listed,
    };
    Ok(Answer::new(text, &document, 0))
}

fn describe_list(connectors: &[Listed<'_>]) -> String {
    if connectors.is_empty() {
        return "There are no connectors. `connector-host connectors add FILE.toml` keeps one."
            .into();
    }
    let rows: Vec<_> = connectors
        .iter()
        .map(|Listed { connector, status }| {
            [
                connector.full_name(),
                connector.kind.clone(),
                connector.content_types.join(", "),
                format!("{} min", connector.interval_minutes),
                connector.run_on.clone(),
                collects(connector).to_owned(),
                status.state.as_str().to_owned(),
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
            "STATUS",
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
    let status = catalogue.status(&connector.id)?.ok_or_else(|| {
        CatalogueError::Conflict(format!("connector {name} was deleted just now"))
    })?;
    let document = Shown {
        connector: Listed {
            connector: &connector,
            status: &status,
        },
        filters: &filters,
        events: &events,
    };
    let text = describe(&connector, &status, &filters, &events);
    Ok(Answer::new(text, &document, 0))
}

fn describe(
    connector: &StoredConnector,
    status: &Status,
    filters: &[String],
    events: &[Event],
) -> String {
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
    line(
        "status",
        format!(
            "{} (code {}), since {}",
            status.state.as_str(),
            status.code,
            figures::moment(status.since_ms)
        ),
    );
    line("", status.message.clone());
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
    line("due", moment(connector.due));
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
