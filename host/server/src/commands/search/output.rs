//! How hits are written: a table for people, one JSON object in the API's shape, or CSV (RFC 4180).

use crate::report::printable;
use crate::search::answer::{Hit, SearchAnswer};
use crate::search::documents::key_as_string;
use crate::search::matching::{id, is_moment, visit};
use crate::{figures, secrets};
use connector_runtime::interflow::Index;
use serde_json::Value;
use std::io::{self, Write};

/// Values of one field that a cell of a table has room for.
const VALUES: usize = 3;
/// Letters that a cell of a table has room for.
const LETTERS: usize = 60;
/// Letters of the longest bar of a histogram.
const BAR: u64 = 40;
/// The title of what a histogram counts, among the aggregations.
const HISTOGRAM: &str = "histogram";
/// What stands before the field whose values are counted.
const TOP: &str = "top_";

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// See the module.
pub(super) struct Output<W> {
    out: W,
    written: u64,
    format: Format,
    columns: Vec<String>,
    /// Of the columns of a table; taken from its first page.
    widths: Vec<usize>,
    shown: u64,
    total: u64,
    /// What follows the hits.
    rest: Value,
}

/// What is shown of an index if nothing is said.
fn usual_columns(index: Index) -> &'static [&'static str] {
    match index {
        Index::Syslog => &[
            "write_time",
            "msg_class",
            "srcip_host",
            "srcip",
            "event.severity_str",
            "vulnerability.id",
            "vulnerability.status",
        ],
        Index::Scans => &[
            "write_time",
            "srcip_host",
            "srcip",
            "event.severity",
            "vulnerability.id",
            "vulnerability.status",
            "vulnerability.title",
        ],
        Index::Assets => &[
            "last_seen",
            "name",
            "ip",
            "os",
            "open_detections.critical",
            "open_detections.high",
            "cves",
            "tenant_name",
        ],
    }
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W, format: Format, index: Index, columns: &[String]) -> Self {
        let columns = match columns.is_empty() {
            true => usual_columns(index)
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            false => columns.iter().map(|name| name.trim().to_owned()).collect(),
        };
        Self {
            out,
            written: 0,
            format,
            columns,
            widths: Vec::new(),
            shown: 0,
            total: 0,
            rest: Value::Null,
        }
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.written += text.len() as u64;
        Ok(())
    }

    /// What comes before the hits, of the first answer.
    pub(super) fn begin(&mut self, answer: &SearchAnswer) -> io::Result<()> {
        self.total = answer.hits.total.value;
        self.rest = Value::Object(answer.aggregations.clone());
        match self.format {
            Format::Json => {
                let total = serde_json::to_string(&answer.hits.total)?;
                self.write(&format!(
                    "{{\"took\":{},\"timed_out\":false,\"hits\":{{\"total\":{total},\"max_score\":null,\"hits\":[",
                    answer.took
                ))
            }
            Format::Csv => {
                let header: Vec<_> = self.columns.iter().map(|name| quoted(name)).collect();
                self.write(&format!("{}\r\n", header.join(",")))
            }
            Format::Table => {
                let heading: Vec<_> = self.columns.iter().map(|name| printable(name)).collect();
                let rows = self.rows(&answer.hits.hits);
                let width = |column: usize| {
                    let cells = rows
                        .iter()
                        .chain([&heading])
                        .map(|row| row[column].chars().count());
                    cells.max().unwrap_or(0)
                };
                self.widths = (0..heading.len()).map(width).collect();
                if rows.is_empty() {
                    return Ok(());
                }
                let line = self.line(&heading);
                self.write(&line)
            }
        }
    }

    /// A page of hits.
    pub(super) fn hits(&mut self, hits: &[Hit]) -> io::Result<()> {
        for hit in hits {
            match self.format {
                Format::Json => {
                    let comma = if self.shown == 0 { "" } else { "," };
                    let hit = serde_json::to_string(hit)?;
                    self.write(&format!("{comma}{}", secrets::json(&hit)))?;
                }
                Format::Csv => {
                    let cells = self.columns.iter().map(|column| {
                        let values = values(hit, column);
                        quoted(&secrets::page(&values.join("; ")))
                    });
                    let cells: Vec<_> = cells.collect();
                    self.write(&format!("{}\r\n", cells.join(",")))?;
                }
                Format::Table => {
                    for row in self.rows(std::slice::from_ref(hit)) {
                        let line = self.line(&row);
                        self.write(&secrets::page(&line))?;
                    }
                }
            }
            self.shown += 1;
        }
        self.out.flush()
    }

    /// What comes behind the hits.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let rest = match self.rest.as_object().is_some_and(|rest| !rest.is_empty()) {
                    true => format!(
                        ",\"aggregations\":{}",
                        secrets::json(&self.rest.to_string())
                    ),
                    false => String::new(),
                };
                self.write(&format!("]}}{rest}}}\n"))?;
            }
            // Standard output is for the rows alone.
            Format::Csv => {
                let told = writeln!(io::stderr(), "{}", self.sum());
                // Nobody is left to tell.
                drop(told);
            }
            Format::Table => {
                let counted = counted(&self.rest);
                let blank = if self.shown > 0 { "\n" } else { "" };
                let text = format!("{blank}{}\n{counted}", self.sum());
                self.write(&secrets::page(&text))?;
            }
        }
        self.out.flush()
    }

    /// How many there are, and how many of them were shown.
    fn sum(&self) -> String {
        let all = figures::counted(self.total, "hit");
        match self.total.saturating_sub(self.shown) {
            0 => format!("{all}."),
            _ => format!(
                "{all}, {} shown; --size shows more, --size all every one.",
                figures::count(self.shown)
            ),
        }
    }

    fn rows(&self, hits: &[Hit]) -> Vec<Vec<String>> {
        let cell = |hit: &Hit, column: &String| {
            let values = values(hit, column);
            let more = values.len().saturating_sub(VALUES);
            let mut text = values[..values.len() - more].join(", ");
            if more > 0 {
                text.push_str(&format!(", +{more}"));
            }
            if text.chars().count() > LETTERS {
                text = text.chars().take(LETTERS - 1).chain(['…']).collect();
            }
            printable(if text.is_empty() { "-" } else { &text })
        };
        let rows = hits.iter().map(|hit| {
            let cells = self.columns.iter().map(|column| cell(hit, column));
            cells.collect()
        });
        rows.collect()
    }

    fn line(&self, cells: &[String]) -> String {
        let cells = cells.iter().zip(&self.widths);
        let cells = cells.map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    }
}

/// The values that a hit has in a field, as text; moments as RFC 3339 has them.
fn values(hit: &Hit, field: &str) -> Vec<String> {
    if field == "_id" {
        return vec![hit.id.clone()];
    }
    if field == "_index" {
        return vec![hit.index.clone()];
    }
    if field == "stellar_uuid" {
        return id(&hit.source).map(str::to_owned).into_iter().collect();
    }
    let mut values = Vec::new();
    visit(&hit.source, field, &mut |value| {
        let moment = value.as_u64().filter(|_| is_moment(field));
        values.push(match (value, moment) {
            (_, Some(moment)) => figures::moment(moment),
            (Value::String(text), _) => text.clone(),
            (value, _) => value.to_string(),
        });
    });
    values
}

/// A cell of CSV.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\r', '\n']) || text != text.trim() {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// What was counted, for people.
fn counted(aggregations: &Value) -> String {
    let mut text = String::new();
    for (name, counted) in aggregations.as_object().into_iter().flatten() {
        let buckets = counted["buckets"].as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<(String, u64)> = buckets
            .iter()
            .map(|bucket| {
                let key = match &bucket["key"] {
                    Value::Number(key) if name == HISTOGRAM => {
                        key_as_string(key.as_u64().unwrap_or(0))
                    }
                    Value::String(key) => key.clone(),
                    key => key.to_string(),
                };
                (printable(&key), bucket["doc_count"].as_u64().unwrap_or(0))
            })
            .collect();
        let title = match name.strip_prefix(TOP) {
            Some(field) => format!("by {field}"),
            None => "by time".into(),
        };
        text.push_str(&format!("\n{title}:\n"));
        let largest = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let keys = width(&mut rows.iter().map(|(key, _)| key.chars().count()));
        let counts = width(&mut rows.iter().map(|(_, count)| figures::count(*count).len()));
        for (key, count) in &rows {
            let bar = usize::try_from(count.saturating_mul(BAR).div_ceil(largest.max(1)));
            let bar = "#".repeat(bar.unwrap_or(0));
            let line = format!("  {key:<keys$}  {:>counts$}  {bar}", figures::count(*count));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        match counted["sum_other_doc_count"].as_u64() {
            None | Some(0) => {}
            Some(others) => {
                text.push_str(&format!(
                    "  and {} with other values\n",
                    figures::count(others)
                ));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
