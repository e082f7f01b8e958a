//! The doctor: how a data directory and all that it needs are, each with a verdict and, where one is needed, a remedy.
//!
//! ```text
//! data directory ─ lock and socket ─ disk ─ journal ─ clock ─ configuration ─ certificates ─ plugins ─ consumers ─ key ─ connectors
//! ```
//!
//! Promises: nothing is sent; nothing is changed but the store of compiled plugins; what is broken is a finding and never the
//! end of the examination. Never here: a repair.

mod catalogue;
mod certificates;
mod consumers;
mod directory;
mod journal;
mod plugins;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::host;
use serde::Serialize;
use std::path::PathBuf;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not as somebody expects.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// `data-directory`, `lock`, `disk`, `journal`, `clock`, `configuration`, `certificates`, `plugins`, `consumers`, `key` or `connectors`.
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) message: String,
    /// What to do; null where nothing is to be done.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            message: message.into(),
            remedy: None,
        }
    }

    fn warning(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Warning,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn problem(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Problem,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Examination {
    /// The data directory.
    pub(crate) directory: PathBuf,
    /// The worst one.
    pub(crate) verdict: Verdict,
    /// The journal's schema; null if there is none, or it cannot be read.
    pub(crate) schema: Option<usize>,
    /// The newest schema that is known here.
    pub(crate) known_schema: usize,
    pub(crate) checks: Vec<Finding>,
}

/// Looks at everything.
///
/// # Errors
/// Only if it cannot be said which directory is meant.
pub(crate) async fn examine(global: &Global) -> Result<Examination, Failure> {
    let data = host::data_directory(global)?;
    // A file with mistakes is a finding of its own.
    let options = host::configuration(global)
        .map(|config| config.journal)
        .unwrap_or_default();
    let mut checks = directory::check(&data, options.disk_floor);
    let (found, schema) = journal::check(&data, &options);
    checks.extend(found);
    let plugins = plugins::check(global, &data, &mut checks).await;
    checks.extend(certificates::check(global, &data));
    let known_schema = crate::connectors::schema::migrations().len();
    // To read one of another schema would change it, or fail.
    if schema == Some(known_schema) {
        checks.extend(consumers::check(&data));
        checks.extend(catalogue::check(global, &data, plugins.as_ref()));
    }
    let worst = checks.iter().map(|finding| finding.verdict).max();
    Ok(Examination {
        directory: data,
        verdict: worst.unwrap_or(Verdict::Ok),
        schema,
        known_schema,
        checks,
    })
}
