//! `search`: what is looked for, and how it is shown.

use crate::search::parameters::length;
use clap::{Args, ValueEnum};
use connector_runtime::interflow::Index;
use std::time::Duration;

/// What to look for.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Where
    #[arg(long)]
    pub(crate) index: SearchIndex,
    /// What for, in Lucene's syntax, like 'event.severity:>=4 AND NOT vulnerability.status:Fixed'; everything, if it is left out
    #[arg(value_name = "QUERY")]
    pub(crate) query: Option<String>,
    /// Only the last so much time, like 15m, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with_all = ["from", "to"])]
    pub(crate) last: Option<Duration>,
    /// From this time on: 2026-03-01, 2026-03-01T09:15:00Z, now-24h, or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Up to this time, which does not belong to it
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// The time that --last, --from, --to and --histogram mean: when it was kept, or when it happened
    #[arg(long, value_name = "FIELD", default_value = "write-time")]
    pub(crate) time_field: TimeField,
    /// How many are shown: a number, or `all`
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = size)]
    pub(crate) size: Size,
    /// The order: field, field:asc or field:desc, several with commas [default: the newest arrivals first]
    #[arg(long, value_name = "FIELDS")]
    pub(crate) sort: Option<String>,
    /// Which fields are shown as columns, with commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Count the values of these fields: field or field:n, several with commas
    #[arg(long, value_name = "FIELDS")]
    pub(crate) top: Option<String>,
    /// Count by time, in columns as wide as this, like 1h or 1d, or `auto`
    #[arg(long, value_name = "TIME")]
    pub(crate) histogram: Option<String>,
    /// How conditions without an operator between them are joined
    #[arg(long, value_name = "OPERATOR", default_value = "or")]
    pub(crate) default_operator: DefaultOperator,
    /// Only what belongs to one tenant
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// As comma-separated values, with a header
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}

/// The indices that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchIndex {
    /// Every record
    Syslog,
    /// What scanners found
    Scans,
    /// The machines
    Assets,
}

impl From<SearchIndex> for Index {
    fn from(index: SearchIndex) -> Self {
        match index {
            SearchIndex::Syslog => Self::Syslog,
            SearchIndex::Scans => Self::Scans,
            SearchIndex::Assets => Self::Assets,
        }
    }
}

/// A record's two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeField {
    /// When it was kept
    #[value(alias = "write_time")]
    WriteTime,
    /// When it happened
    Timestamp,
}

/// How neighbours are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DefaultOperator {
    /// Any of them
    Or,
    /// All of them
    And,
}

/// How many hits are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// All of them, page behind page.
    All,
    /// So many.
    Of(usize),
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "all" => Ok(Size::All),
        text => text
            .parse()
            .map(Size::Of)
            .map_err(|_| "neither a number nor `all`".into()),
    }
}
