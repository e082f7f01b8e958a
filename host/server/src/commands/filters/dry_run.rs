//! `filters try`: what a filter would have dropped of the last records, with samples; nothing is changed.
//!
//! What is no longer in the journal, because an attached filter has dropped it, cannot be tried on.

use super::file::FilterFile;
use crate::answer::Answer;
use crate::arguments::TryFilter;
use crate::connectors::Catalogue;
use crate::failure::Failure;
use crate::figures;
use crate::report::printable;
use connector_runtime::interflow::{Filter, Operator, remains};
use connector_runtime::journal::JournalError;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use utoipa::ToSchema;

/// Samples that are shown.
const SAMPLES: usize = 5;
/// Records that a filter is tried on when it is attached.
const LOOKED_AT: u64 = 10_000;

/// The JSON result.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Tried {
    filter: String,
    /// Records that were looked at.
    records: u64,
    /// Of these, what the filter would have dropped.
    dropped: u64,
    /// Of the dropped, those that describe a host and no finding.
    hosts: u64,
    /// Of the dropped, findings with the status `Fixed`.
    fixed: u64,
    warnings: Vec<String>,
    /// What would be noted of the first ones.
    samples: Vec<Value>,
}

pub(super) fn run(catalogue: &Catalogue, dry: &TryFilter) -> Result<Answer, Failure> {
    let filter = filter(catalogue, &dry.filter)?;
    let tried = try_on(catalogue, &filter, dry.connector.as_deref(), dry.last)?;
    Ok(Answer::new(describe(&tried), &tried, 0))
}

/// What a filter that is attached to a connector does besides, as its last records show.
pub(super) fn warnings(
    catalogue: &Catalogue,
    name: &str,
    connector: &str,
) -> Result<Vec<String>, Failure> {
    let filter = filter(catalogue, name)?;
    let tried = try_on(catalogue, &filter, Some(connector), LOOKED_AT)?;
    Ok(tried.warnings)
}

fn try_on(
    catalogue: &Catalogue,
    filter: &Filter,
    connector: Option<&str>,
    last: u64,
) -> Result<Tried, Failure> {
    let connector = match connector {
        Some(reference) => Some(catalogue.connector(reference)?.id),
        None => None,
    };
    look(catalogue, filter, connector.as_deref(), last)
}

/// What a filter would have dropped of the last records, of one connector (by its id) or of all.
///
/// # Errors
/// If the journal cannot be read.
pub(crate) fn look(
    catalogue: &Catalogue,
    filter: &Filter,
    connector: Option<&str>,
    last: u64,
) -> Result<Tried, Failure> {
    // The last of them, so all are read first in the block's order and the ones before are left out.
    let mut skip = {
        let mut found = 0;
        catalogue.last_blocks(connector, last, |block| {
            found += block.records;
            Ok(())
        })?;
        found.saturating_sub(last)
    };
    let mut tried = Tried {
        filter: filter.name.clone(),
        ..Tried::default()
    };
    catalogue.last_blocks(connector, last, |block| {
        for record in block.records()?.iter() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let record = serde_json::from_slice(record).map_err(|error| JournalError::Damaged {
                offset: block.offset,
                what: error.to_string(),
            })?;
            tried.look(filter, &record);
        }
        Ok(())
    })?;
    tried.warn(filter);
    Ok(tried)
}

/// Whether a filter asks for findings that were mended, whatever there is now.
fn names_fixed(filter: &Filter) -> bool {
    filter.conditions.iter().any(|condition| {
        condition.field == "vulnerability.status"
            && matches!(condition.operator, Operator::Is | Operator::In)
            && condition.values.iter().any(|value| value == "Fixed")
    })
}

/// A kept filter by its name, or one in a file.
fn filter(catalogue: &Catalogue, named: &str) -> Result<Filter, Failure> {
    let (name, revision, conditions) = match Path::new(named).is_file() {
        true => {
            let file = FilterFile::load(Path::new(named))?;
            (file.name, 0, file.conditions)
        }
        false => {
            let kept = catalogue.filter(named)?;
            (kept.name, kept.revision, kept.conditions)
        }
    };
    Filter::new(name, revision, conditions).map_err(|problems| {
        let problems = problems.iter().map(ToString::to_string);
        Failure::Usage(problems.collect::<Vec<_>>().join("; "))
    })
}

impl Tried {
    fn look(&mut self, filter: &Filter, record: &Value) {
        self.records += 1;
        if !filter.matches(record) {
            return;
        }
        self.dropped += 1;
        match record.pointer("/vulnerability") {
            None => self.hosts += 1,
            Some(finding) if finding["status"] == "Fixed" => self.fixed += 1,
            Some(_) => {}
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(remains(record)["dropped"].take());
        }
    }

    fn warn(&mut self, filter: &Filter) {
        if self.hosts > 0 {
            self.warnings.push(format!(
                "it drops {}: searches for these hosts find less, though the assets keep them",
                figures::counted(self.hosts, "host record")
            ));
        }
        if self.fixed == 0 && names_fixed(filter) {
            self.warnings.push("it drops findings with the status Fixed, of which none was among these: whoever follows the records alone never hears that they were mended".into());
        }
        if self.fixed > 0 {
            self.warnings.push(format!(
                "it drops {} with the status Fixed: whoever follows the records alone never hears that these were mended",
                figures::counted(self.fixed, "finding")
            ));
        }
    }
}

fn describe(tried: &Tried) -> String {
    let mut text = format!(
        "filter {} would have dropped {} of the last {}",
        tried.filter,
        figures::count(tried.dropped),
        figures::counted(tried.records, "record")
    );
    for warning in &tried.warnings {
        text.push_str(&format!("\n  warning  {warning}"));
    }
    for sample in &tried.samples {
        text.push_str(&format!("\n  sample   {}", printable(&sample.to_string())));
    }
    text
}
