//! A filter's file.
//!
//! ```toml
//! name = "fixed findings"
//! tenant = "acme"                 # left out: for the connectors of all tenants
//! [[conditions]]
//! field = "vulnerability.status"
//! operator = "is"                 # is, is_not, contains, not_contains, exists, not_exists, in, greater_than, less_than
//! values = ["Fixed"]
//! ```

use crate::connectors::filter::StoredFilter;
use crate::document::{self, Section};
use crate::failure::{Failure, Mistake};
use connector_runtime::interflow::{Condition, Filter, Operator};
use connector_runtime::settings::check_name;
use serde::Deserialize as _;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use toml::Value;

/// A filter, checked.
pub(super) struct FilterFile {
    file: PathBuf,
    pub(super) name: String,
    /// None for all tenants.
    pub(super) tenant: Option<String>,
    pub(super) conditions: Vec<Condition>,
}

impl FilterFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Failure::Mistakes`], all of them.
    pub(super) fn load(file: &Path) -> Result<Self, Failure> {
        let table = document::read(file).map_err(|mistake| Failure::Mistakes(vec![mistake]))?;
        let mut mistakes = Vec::new();
        let top = Section::top(file, &table);
        top.refuse_unknown(&["name", "tenant", "conditions"], &mut mistakes);
        let tenant = top.text("tenant", &mut mistakes).map(str::to_owned);
        let name = top.text("name", &mut mistakes).map(str::to_owned);
        match &name {
            Some(name) => {
                if let Err(message) = check_name(name) {
                    mistakes.push(top.mistake("name", message));
                }
            }
            None if !table.contains_key("name") => {
                mistakes.push(top.mistake("name", "is required: the filter's name"));
            }
            None => {}
        }
        let mut conditions = Vec::new();
        match table.get("conditions") {
            None => {
                let message =
                    "is required: [[conditions]] with field, operator and values for each";
                mistakes.push(top.mistake("conditions", message));
            }
            Some(Value::Array(entries)) => {
                for (position, entry) in entries.iter().enumerate() {
                    match condition(file, position, entry, &mut mistakes) {
                        Some(condition) => conditions.push(condition),
                        // Its mistakes stand already.
                        None => continue,
                    }
                }
            }
            Some(other) => {
                let message = format!(
                    "must be a list of [[conditions]], and is {}",
                    document::kind(other)
                );
                mistakes.push(top.mistake("conditions", message));
            }
        }
        if mistakes.is_empty()
            && let Err(problems) = Filter::new("", 0, conditions.clone())
        {
            mistakes.extend(
                problems
                    .into_iter()
                    .map(|problem| Mistake::new(file, problem.place, problem.message)),
            );
        }
        match name {
            Some(name) if mistakes.is_empty() => Ok(Self {
                file: file.to_owned(),
                name,
                tenant,
                conditions,
            }),
            _ => Err(Failure::Mistakes(mistakes)),
        }
    }

    /// Refuses a file that is another filter's: name and tenant cannot change.
    ///
    /// # Errors
    /// [`Failure::Mistakes`].
    pub(super) fn refuse_other(&self, filter: &StoredFilter) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        let mut refuse = |key: &str, present: &str| {
            let message = format!("cannot change and is `{present}`; add another filter instead");
            mistakes.push(Mistake::new(&self.file, key, message));
        };
        if self.name != filter.name {
            refuse("name", &filter.name);
        }
        if self.tenant != filter.tenant {
            refuse("tenant", filter.tenant.as_deref().unwrap_or("all tenants"));
        }
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(Failure::Mistakes(mistakes)),
        }
    }
}

fn condition(
    file: &Path,
    position: usize,
    entry: &Value,
    mistakes: &mut Vec<Mistake>,
) -> Option<Condition> {
    let path = format!("conditions[{position}]");
    let Value::Table(table) = entry else {
        let message = format!("must be a table, and is {}", document::kind(entry));
        mistakes.push(Mistake::new(file, path, message));
        return None;
    };
    let before = mistakes.len();
    let section = Section { file, path, table };
    section.refuse_unknown(&["field", "operator", "values"], mistakes);
    for key in ["field", "operator"] {
        if !table.contains_key(key) {
            mistakes.push(section.mistake(key, "is required"));
        }
    }
    let field = section.text("field", mistakes);
    let operator = section.text("operator", mistakes).and_then(|name| {
        let operator = Operator::deserialize(Json::from(name)).ok();
        if operator.is_none() {
            mistakes.push(section.mistake(
                "operator",
                "must be is, is_not, contains, not_contains, exists, not_exists, in, greater_than or less_than",
            ));
        }
        operator
    });
    let values: Vec<Json> = match table.get("values") {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries
            .iter()
            .map(|entry| serde_json::to_value(entry).unwrap_or_default())
            .collect(),
        Some(other) => {
            let message = format!(
                "must be a list like [\"Fixed\"], and is {}",
                document::kind(other)
            );
            mistakes.push(section.mistake("values", message));
            Vec::new()
        }
    };
    if mistakes.len() > before {
        return None;
    }
    Some(Condition {
        field: field?.to_owned(),
        operator: operator?,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_of_a_filter_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f.toml");
        let keys = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let failure = FilterFile::load(&file).err().unwrap();
            let keys = failure.mistakes().iter().filter_map(|m| m.key.clone());
            keys.collect::<Vec<_>>()
        };
        assert_eq!(keys("nam = 1\n"), ["nam", "name", "conditions"]);
        assert_eq!(
            keys(
                "name = \"f\"\n[[conditions]]\nfield = \"a\"\noperator = \"like\"\n[[conditions]]\noperator = \"is\"\nvalues = 1\n"
            ),
            [
                "conditions[0].operator",
                "conditions[1].field",
                "conditions[1].values"
            ]
        );
        assert_eq!(
            keys("name = \"f\"\n[[conditions]]\nfield = \"a\"\noperator = \"is\"\n"),
            ["conditions[0].values"]
        );
    }
}
