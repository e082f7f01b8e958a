//! The columns that assets can be filtered and sorted by.
//!
//! A text matches if it has the value in it; a list if any entry does; a number or a time (milliseconds since 1970, or a time
//! like `2026-03-01T09:15:00Z`) if it is the value, or lies as `>`, `>=`, `<` or `<=` before it say. Case does not count.

use rusqlite::types::Value;

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// JSON; entries are texts.
    List,
    /// JSON; entries are `{"ip", "time"}`.
    History,
    Number,
    Time,
    /// Which severities have open detections: cannot be sorted by.
    Severity,
    /// CVEs of open detections: cannot be sorted by.
    Vulnerability,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// In documents, filters and orders.
    pub(crate) name: &'static str,
    column: &'static str,
    order: &'static str,
    kind: Kind,
}

const fn column(name: &'static str, column: &'static str, kind: Kind) -> Column {
    Column {
        name,
        column,
        order: column,
        kind,
    }
}

const ALL: [Column; 26] = [
    column("name", "a.shown_name", Kind::Text),
    column("id", "a.id", Kind::Text),
    column("hostname", "a.hostname", Kind::Text),
    Column {
        name: "ip",
        column: "a.ip",
        order: "a.ip_order",
        kind: Kind::List,
    },
    column("mac", "a.mac", Kind::List),
    column("iphistory", "a.iphistory", Kind::History),
    column("os", "a.os", Kind::Text),
    column("data_sources", "a.data_sources", Kind::List),
    column("msg_class", "a.msg_class", Kind::List),
    column("state", "a.state", Kind::Text),
    column("first_seen", "a.first_seen", Kind::Time),
    column("last_seen", "a.last_seen", Kind::Time),
    column("tenantid", "a.tenant", Kind::Text),
    column("tenant_name", "t.name", Kind::Text),
    column("vendor_ids", "a.vendor_ids", Kind::List),
    column("tags", "a.tags", Kind::List),
    column("open", "a.open", Kind::Number),
    column("critical", "a.critical", Kind::Number),
    column("high", "a.high", Kind::Number),
    column("medium", "a.medium", Kind::Number),
    column("low", "a.low", Kind::Number),
    column("informational", "a.informational", Kind::Number),
    column("cves", "a.cves", Kind::Number),
    column("worst_qds", "a.worst_qds", Kind::Number),
    column("severity", "", Kind::Severity),
    column("vulnerability", "", Kind::Vulnerability),
];

/// A column or a value that cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColumnError {
    /// No such column.
    #[error("{name}: assets have no such column; they can be filtered by {}", names(|_| true))]
    Unknown {
        /// As it was asked for.
        name: String,
    },
    /// It has no order.
    #[error(
        "{name}: assets cannot be sorted by it, but by {}",
        names(Column::has_order)
    )]
    Unsorted {
        /// As it was asked for.
        name: String,
    },
    /// Not a value for the column.
    #[error("{name}: {value:?} is no {what}")]
    Value {
        /// The column.
        name: &'static str,
        /// As it was given.
        value: String,
        /// `number, like 5, >=5 or <10`.
        what: &'static str,
    },
}

fn names(wanted: impl Fn(&Column) -> bool) -> String {
    let names: Vec<&str> = ALL
        .iter()
        .filter(|column| wanted(column))
        .map(|column| column.name)
        .collect();
    names.join(", ")
}

/// One condition, as SQL with one parameter.
pub(super) struct Clause {
    pub(super) sql: String,
    pub(super) value: Value,
}

impl Column {
    /// The column of a name.
    ///
    /// # Errors
    /// [`ColumnError::Unknown`].
    pub(crate) fn named(name: &str) -> Result<Self, ColumnError> {
        ALL.into_iter()
            .find(|column| column.name == name)
            .ok_or_else(|| ColumnError::Unknown {
                name: name.to_owned(),
            })
    }

    /// Those that assets can be sorted by; the first is the order if nothing is said.
    pub(crate) fn sortable() -> impl Iterator<Item = &'static str> + Clone {
        ALL.iter()
            .filter(|column| column.has_order())
            .map(|column| column.name)
    }

    fn has_order(&self) -> bool {
        !matches!(self.kind, Kind::Severity | Kind::Vulnerability)
    }

    /// `ORDER BY` without its direction.
    ///
    /// # Errors
    /// [`ColumnError::Unsorted`].
    pub(super) fn order(&self) -> Result<&'static str, ColumnError> {
        match self.has_order() {
            true => Ok(self.order),
            false => Err(ColumnError::Unsorted {
                name: self.name.to_owned(),
            }),
        }
    }

    /// The condition that a value stands for; `?` is its parameter.
    ///
    /// # Errors
    /// [`ColumnError::Value`].
    pub(super) fn clause(&self, value: &str) -> Result<Clause, ColumnError> {
        let column = self.column;
        let has = |text: &str| format!("instr(lower({text}), lower(?)) > 0");
        let text = || Value::Text(value.trim().to_owned());
        Ok(match self.kind {
            Kind::Text => Clause {
                sql: has(column),
                value: text(),
            },
            Kind::List => Clause {
                sql: format!("EXISTS (SELECT 1 FROM json_each({column}) e WHERE {})", has("e.value")),
                value: text(),
            },
            Kind::History => Clause {
                sql: format!(
                    "EXISTS (SELECT 1 FROM json_each({column}) e WHERE {})",
                    has("json_extract(e.value, '$.ip')")
                ),
                value: text(),
            },
            Kind::Severity => Clause {
                sql: "CASE lower(?) WHEN 'critical' THEN a.critical WHEN 'high' THEN a.high WHEN 'medium' THEN a.medium
                      WHEN 'low' THEN a.low WHEN 'informational' THEN a.informational WHEN 'unknown' THEN a.unknown ELSE 0 END > 0"
                    .to_owned(),
                value: text(),
            },
            Kind::Vulnerability => Clause {
                sql: "EXISTS (SELECT 1 FROM identities i JOIN detections d ON d.host = i.key
                      WHERE i.asset = a.seq AND d.closed IS NULL AND (lower(?) IN (lower(d.vulnerability), lower(d.identity))
                      OR EXISTS (SELECT 1 FROM json_each(d.cve) e WHERE lower(e.value) = lower(?))))"
                    .to_owned(),
                value: text(),
            },
            Kind::Number | Kind::Time => {
                let value = value.trim();
                let comparison = [">=", "<=", ">", "<"]
                    .into_iter()
                    .find(|comparison| value.starts_with(comparison));
                let literal = value[comparison.map_or(0, str::len)..].trim();
                Clause {
                    sql: format!("{column} {} ?", comparison.unwrap_or("=")),
                    value: self.number(literal)?,
                }
            }
        })
    }

    fn number(&self, literal: &str) -> Result<Value, ColumnError> {
        let number = literal
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        if let Some(number) = number {
            return Ok(Value::Real(number));
        }
        let what = match self.kind {
            Kind::Time => {
                if let Ok(time) = literal.parse::<jiff::Timestamp>() {
                    return Ok(Value::Integer(time.as_millisecond()));
                }
                "time, like 2026-03-01T09:15:00Z, >=2026-03-01T00:00:00Z or milliseconds since 1970"
            }
            _ => "number, like 5, >=5 or <10",
        };
        Err(ColumnError::Value {
            name: self.name,
            value: literal.to_owned(),
            what,
        })
    }
}
