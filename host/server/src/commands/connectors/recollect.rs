//! `connectors recollect`: lets the next run read again, for what a filter dropped that is there no longer.

use crate::answer::Answer;
use crate::arguments::{Global, Recollect};
use crate::failure::Failure;
use crate::figures;
use crate::keeper::Keeper;
use connector_runtime::Clock;
use serde::Serialize;

/// The JSON result.
#[derive(Serialize)]
struct Recollected<'a> {
    /// `tenant/name`.
    connector: &'a str,
    /// What is read again.
    content_types: &'a [String],
    /// From when on, in milliseconds since 1970; null for everything.
    since: Option<u64>,
    /// Whether the next run reads everything.
    full_walk: bool,
    warnings: &'a [String],
}

pub(super) async fn run(global: &Global, arguments: &Recollect) -> Result<Answer, Failure> {
    let now = Clock::system().now_ms();
    let since = match &arguments.since {
        Some(since) => Some(since.before(now).map_err(Failure::Usage)?),
        None => None,
    };
    let keeper = Keeper::open(global)?;
    let content_types = keeper
        .recollect(&arguments.name, &arguments.content, since)
        .await?;
    let catalogue = keeper.catalogue();
    let connector = catalogue.connector(&arguments.name)?;
    let full = connector.full_name();
    let mut warnings = Vec::new();
    for filter in catalogue.filters_of(&connector.id)? {
        warnings.push(format!(
            "the filter {name} is still attached and drops the same again; `connector-host filters detach {name:?} {full}` ends that",
            name = filter.name
        ));
    }
    if !connector.active {
        warnings.push(format!(
            "it is inactive: `connector-host connectors activate {full}` lets it collect"
        ));
    }
    let what = content_types.join(", ");
    let mut text = match since {
        Some(since) => format!(
            "connector {full}: the next run reads {what} again, as far as it was processed since {} (everything, where the type of the connector cannot ask for less)",
            figures::moment(since)
        ),
        None => {
            format!("connector {full}: the next run is a full walk and reads all of {what} again")
        }
    };
    text.push_str(&format!(
        "\n  Records keep their ids, so one that is kept already comes under the id that it has. `connector-host connectors run {full}` begins now."
    ));
    for warning in &warnings {
        text.push_str(&format!("\n  warning  {warning}"));
    }
    let document = Recollected {
        connector: &full,
        content_types: &content_types,
        since,
        full_walk: since.is_none(),
        warnings: &warnings,
    };
    Ok(Answer::new(text, &document, 0))
}
