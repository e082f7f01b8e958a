//! Log filters: which finished records are dropped instead of kept.
//!
//! ```json
//! {"name": "fixed findings", "conditions": [
//!   {"field": "vulnerability.status", "operator": "is", "values": ["Fixed"]}]}
//! ```
//!
//! A record is dropped if all conditions of one filter hold. A field is a dotted path into the record; where an array lies on
//! the way or at its end, any element counts. Values are compared as text, so `4` and `"4"` are the same; `greater_than` and
//! `less_than` compare numbers, also those that a vendor writes as text.
//!
//! Promises: a negative operator (`is_not`, `not_contains`, `not_exists`) holds exactly where its positive does not, so also
//! for a record without the field. What a drop leaves for the assets is in [`remains`].
//!
//! Never here: a drop that is not counted (that is the run's to do), or a pattern whose cost is not linear in the record.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Conditions of one filter.
pub const MOST_CONDITIONS: usize = 10;
/// Values of one condition.
const MOST_VALUES: usize = 1_000;
/// Bytes of one field or value.
const LONGEST: usize = 1_024;

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal to the value.
    Is,
    /// Not so.
    IsNot,
    /// A text with the value in it.
    Contains,
    /// Not so.
    NotContains,
    /// There, and not null.
    Exists,
    /// Not so.
    NotExists,
    /// Equal to one of the values.
    In,
    /// A number above the value.
    GreaterThan,
    /// A number below the value.
    LessThan,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A dotted path into the record.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what: none for `exists` and `not_exists`, several for `in`, otherwise one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

/// A filter that is ready to be applied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filter {
    /// Its name, for the ledger.
    pub name: String,
    /// Which version of it this is.
    pub revision: u64,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterProblem {
    /// `conditions[2].values`: the place, as in a file.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Filter {
    /// A filter of checked conditions.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        name: impl Into<String>,
        revision: u64,
        conditions: Vec<Condition>,
    ) -> Result<Self, Vec<FilterProblem>> {
        let mut problems = Vec::new();
        let mut report = |place: String, message: &str| {
            problems.push(FilterProblem {
                place,
                message: message.into(),
            });
        };
        if conditions.is_empty() {
            report(
                "conditions".into(),
                "is empty: such a filter would drop everything; give it a condition",
            );
        }
        if conditions.len() > MOST_CONDITIONS {
            report(
                "conditions".into(),
                "has more than 10 entries, which is the most a filter may have; make another filter",
            );
        }
        for (position, condition) in conditions.iter().enumerate() {
            let place = |member: &str| format!("conditions[{position}].{member}");
            let field = &condition.field;
            if field.is_empty() || field.len() > LONGEST || field.split('.').any(str::is_empty) {
                report(
                    place("field"),
                    "must be a dotted path like vulnerability.status",
                );
            }
            if let Err(message) = check_values(condition) {
                report(place("values"), message);
            }
        }
        if problems.is_empty() {
            Ok(Self {
                name: name.into(),
                revision,
                conditions,
            })
        } else {
            Err(problems)
        }
    }

    /// Whether a finished record is to be dropped.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(record))
    }
}

fn check_values(condition: &Condition) -> Result<(), &'static str> {
    use Operator::{Exists, GreaterThan, In, LessThan, NotExists};
    let values = &condition.values;
    match condition.operator {
        Exists | NotExists if !values.is_empty() => {
            return Err("must not be there: this operator compares with nothing");
        }
        Exists | NotExists => {}
        In if values.is_empty() || values.len() > MOST_VALUES => {
            return Err("must have 1 to 1,000 entries");
        }
        In => {}
        _ if values.len() != 1 => return Err("must have one entry; `in` takes several"),
        GreaterThan | LessThan if values.iter().any(|value| number(value).is_none()) => {
            return Err("must be a number");
        }
        _ => {}
    }
    let fits = |value: &Value| match value {
        Value::String(text) => text.len() <= LONGEST,
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    match values.iter().all(fits) {
        true => Ok(()),
        false => Err("must be texts of at most 1,024 bytes, numbers, or true or false"),
    }
}

impl Condition {
    fn holds(&self, record: &Value) -> bool {
        let any = |test: &dyn Fn(&Value) -> bool| reaches(record, &self.field, test);
        let one = self.values.first().unwrap_or(&Value::Null);
        match self.operator {
            Operator::Is | Operator::In => {
                any(&|found| self.values.iter().any(|value| same(found, value)))
            }
            Operator::IsNot => !any(&|found| same(found, one)),
            Operator::Contains => any(&|found| has(found, one)),
            Operator::NotContains => !any(&|found| has(found, one)),
            Operator::Exists => any(&|found| !found.is_null()),
            Operator::NotExists => !any(&|found| !found.is_null()),
            Operator::GreaterThan => {
                any(&|found| number(found).zip(number(one)).is_some_and(|(a, b)| a > b))
            }
            Operator::LessThan => {
                any(&|found| number(found).zip(number(one)).is_some_and(|(a, b)| a < b))
            }
        }
    }
}

/// Whether `test` holds for anything that a path leads to. An array itself is not tested, its elements are.
fn reaches(value: &Value, path: &str, test: &dyn Fn(&Value) -> bool) -> bool {
    if let Value::Array(entries) = value {
        return entries.iter().any(|entry| reaches(entry, path, test));
    }
    if path.is_empty() {
        return test(value);
    }
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    value
        .get(name)
        .is_some_and(|member| reaches(member, rest, test))
}

/// A scalar as text; nothing else is comparable.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn same(found: &Value, wanted: &Value) -> bool {
    let found = text(found);
    found.is_some() && found == text(wanted)
}

fn has(found: &Value, wanted: &Value) -> bool {
    let Value::String(found) = found else {
        return false;
    };
    text(wanted).is_some_and(|wanted| found.contains(wanted.as_ref()))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// What is noted of a dropped record, so that the assets still know what its host has: who and what it was, its status,
/// severity, CVEs and QDS, as far as it had them; and of its host what says which machine that is.
#[must_use]
pub fn remains(record: &Value) -> Value {
    const KEPT: [&str; 18] = [
        "stellar_uuid",
        "msg_class",
        "timestamp",
        "host.id",
        "host.ip",
        "host.name",
        "srcip",
        "cloud.instance.id",
        "asset.id",
        "asset.network",
        "asset.tracking",
        "event.id",
        "vulnerability.id",
        "vulnerability.finding_id",
        "vulnerability.status",
        "vulnerability.severity",
        "vulnerability.cve",
        "vulnerability.qds",
    ];
    let mut kept = Map::new();
    for path in KEPT {
        let pointer = format!("/{}", path.replace('.', "/"));
        if let Some(value) = record.pointer(&pointer) {
            kept.insert(path.to_owned(), value.clone());
        }
    }
    json!({ "dropped": kept })
}

#[cfg(test)]
mod tests;
