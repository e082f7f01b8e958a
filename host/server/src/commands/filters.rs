//! `filters ...`: which records of a connector are dropped instead of kept.

pub(crate) mod dry_run;
mod file;

use crate::answer::Answer;
use crate::arguments::{FiltersCommand, Global};
use crate::connectors::Catalogue;
use crate::connectors::filter::StoredFilter;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{figures, host, table};
use connector_runtime::interflow::Condition;
use file::FilterFile;
use serde::Serialize;
use serde_json::Value;

/// The JSON result: the filters as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"id","name","tenant","conditions":[{"field","operator","values"}],"revision","connectors","created","modified"}`.
    filters: &'a [StoredFilter],
    /// What attaching one does besides.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// The JSON result of `filters show`.
#[derive(Serialize)]
struct Shown<'a> {
    filter: &'a StoredFilter,
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &FiltersCommand) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    match command {
        FiltersCommand::List => {
            let filters = match Catalogue::read_if_any(&directory)? {
                Some(catalogue) => catalogue.filters()?,
                None => Vec::new(),
            };
            return Ok(answer(describe_list(&filters), &filters, &[]));
        }
        FiltersCommand::Show { name } => {
            let filter = Catalogue::read(&directory)?.filter(name)?;
            return Ok(Answer::new(
                describe(&filter),
                &Shown { filter: &filter },
                0,
            ));
        }
        FiltersCommand::Try(dry) => return dry_run::run(&Catalogue::read(&directory)?, dry),
        _ => {}
    }
    let checked = match command {
        FiltersCommand::Add { file } | FiltersCommand::Edit { from: file, .. } => {
            Some(FilterFile::load(file)?)
        }
        _ => None,
    };
    let keeper = Keeper::open(global)?;
    let mut warnings = Vec::new();
    let mut text = match (command, checked) {
        (FiltersCommand::Add { .. }, Some(file)) => {
            keeper
                .add_filter(&file.name, file.tenant.as_deref(), &file.conditions)
                .await?;
            let name = &file.name;
            format!(
                "filter {name} is kept; `connector-host filters try {name:?}` shows what it would drop, `connector-host filters attach {name:?} NAME` lets it"
            )
        }
        (FiltersCommand::Edit { name, .. }, Some(file)) => {
            file.refuse_other(&keeper.catalogue().filter(name)?)?;
            keeper.edit_filter(name, &file.conditions).await?;
            format!("filter {name} has other conditions from the next run on")
        }
        (FiltersCommand::Delete { name }, _) => {
            keeper.delete_filter(name).await?;
            format!("filter {name} was deleted")
        }
        (FiltersCommand::Attach { name, connector }, _) => {
            let attached = keeper.attach_filter(name, connector).await?;
            warnings = dry_run::warnings(keeper.catalogue(), name, connector)?;
            match attached {
                true => format!(
                    "from its next run on, connector {connector} drops what filter {name} matches, and counts it"
                ),
                false => format!("filter {name} was attached to connector {connector} already"),
            }
        }
        (FiltersCommand::Detach { name, connector }, _) => {
            match keeper.detach_filter(name, connector).await? {
                true => format!(
                    "filter {name} drops nothing of connector {connector} any more; what it dropped comes back when the vendor reports another state of it, or after `connector-host connectors recollect {connector}`"
                ),
                false => format!("filter {name} was not attached to connector {connector}"),
            }
        }
        _ => String::new(),
    };
    for warning in &warnings {
        text.push_str(&format!("\n  warning  {warning}"));
    }
    Ok(answer(text, &keeper.catalogue().filters()?, &warnings))
}

fn answer(text: String, filters: &[StoredFilter], warnings: &[String]) -> Answer {
    let document = Document {
        total: filters.len(),
        filters,
        warnings,
    };
    Answer::new(text, &document, 0)
}

fn describe_list(filters: &[StoredFilter]) -> String {
    if filters.is_empty() {
        return "There are no filters. `connector-host filters add FILE.toml` keeps one.".into();
    }
    let rows: Vec<_> = filters
        .iter()
        .map(|filter| {
            [
                filter.name.clone(),
                filter.tenant.clone().unwrap_or_else(|| "all".into()),
                figures::count(filter.revision),
                match filter.connectors.is_empty() {
                    true => "-".into(),
                    false => filter.connectors.join(", "),
                },
                conditions(&filter.conditions).join(" and "),
            ]
        })
        .collect();
    table::of(
        ["NAME", "TENANT", "REVISION", "CONNECTORS", "DROPS IF"],
        &rows,
    )
}

fn describe(filter: &StoredFilter) -> String {
    let owner = filter.tenant.as_deref().unwrap_or("all tenants");
    let mut text = format!(
        "filter {} (of {owner}, revision {}) drops a record if",
        filter.name, filter.revision
    );
    for condition in conditions(&filter.conditions) {
        text.push_str(&format!("\n  {}", crate::report::printable(&condition)));
    }
    for connector in &filter.connectors {
        text.push_str(&format!("\n  attached to {connector}"));
    }
    text
}

/// `vulnerability.status is Fixed`.
fn conditions(conditions: &[Condition]) -> Vec<String> {
    let sentence = |condition: &Condition| {
        let operator = serde_json::to_value(condition.operator).unwrap_or_default();
        let operator = operator.as_str().unwrap_or_default().replace('_', " ");
        let values = condition.values.iter().map(|value| match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        format!("{} {operator} {values}", condition.field)
            .trim_end()
            .to_owned()
    };
    conditions.iter().map(sentence).collect()
}
