//! `test`: checks authentication and connectivity, not data flow. Runs at once, stores nothing.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::connectors::schema::migrations;
use crate::definition::{self, Definition};
use crate::failure::Failure;
use crate::host::Host;
use crate::http_help::{self, HttpHelp};
use crate::report::printable;
use connector_runtime::journal::Journal;
use connector_runtime::plugins::Plugin;
use connector_runtime::runs::{self, Identity, StartError, TestReport};
use connector_runtime::sandbox::{Check, Outcome, PluginFailure};
use connector_runtime::settings::Settings;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// The JSON result.
#[derive(Serialize)]
struct TestDocument<'a> {
    /// `{"name", "type", "tenant"}`.
    connector: Named<'a>,
    /// Whether everything that was tried works, or is merely busy.
    passed: bool,
    /// One entry per check, in the plugin's order: `{"id", "label", "outcome", "error", "help"}`. The outcome is `passed`,
    /// `busy`, `failed` or `not-tried`; the error `{"kind", "code", "message", "advice", "http_status", "retry_after_ms"}`
    /// or null; the help `{"status", "name", "explanation", "ask"}` or null.
    checks: Vec<CheckLine<'a>>,
    /// The rest of the runtime's report.
    warnings: &'a [connector_runtime::sandbox::Remark],
    fault: Option<&'a connector_runtime::sandbox::Fault>,
    traffic: &'a connector_runtime::egress::TrafficCounts,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    tenant: &'a str,
}

#[derive(Serialize)]
struct CheckLine<'a> {
    #[serde(flatten)]
    check: &'a Check,
    help: Option<HttpHelp>,
}

/// Runs the command.
///
/// # Errors
/// Mistakes, or a plugin that cannot be started; what the vendor answers is in the answer.
pub(crate) async fn run(global: &Global, file: &Path) -> Result<Answer, Failure> {
    let definition = Definition::load(file)?;
    let mut host = Host::assemble(global)?;
    let plugin = host.plugin(&definition, &host.accepted()?).await?;
    let settings = host.settings(&definition, &plugin)?;
    // What a collection has spent of the vendor's quota is known from the journal, if there is one; a test only reads it.
    if let Ok(journal) = Journal::open_read_only(host.data_directory(), &migrations()) {
        host.keep_quota_in(&journal);
    }
    examine(&host, &definition, plugin, settings).await
}

/// Tests a definition whose settings have been checked.
///
/// # Errors
/// As [`run`].
pub(crate) async fn examine(
    host: &Host,
    definition: &Definition,
    plugin: Arc<Plugin>,
    settings: Settings,
) -> Result<Answer, Failure> {
    let report = report(host, definition, plugin, settings).await?;
    Ok(answer(definition, &report))
}

/// What a test finds.
///
/// # Errors
/// Mistakes, or a plugin that cannot be started.
pub(crate) async fn report(
    host: &Host,
    definition: &Definition,
    plugin: Arc<Plugin>,
    settings: Settings,
) -> Result<TestReport, Failure> {
    // A test makes no records, so it needs no ids, and no part of the data directory that somebody else may own.
    let identity = Identity {
        tenant_id: String::new(),
        tenant: definition.tenant.clone(),
        connector_id: String::new(),
        name: definition.name.clone(),
        kind: definition.kind.clone(),
    };
    let connector = host.connector(identity, plugin, settings)?;
    let observer = Arc::new(crate::progress::LogOnly);
    match runs::test(&connector, observer).await {
        Ok(report) => Ok(report),
        Err(StartError::Settings(problems)) => Err(definition.refused(&problems)),
        Err(StartError::Plugin(fault)) => Err(Failure::Fault(fault)),
        Err(StartError::Suspended(suspension)) => Err(Failure::Suspended(suspension)),
    }
}

/// One sentence.
pub(crate) fn summary(definition: &Definition, report: &TestReport) -> String {
    let text = describe(definition, report);
    let verdict = text.lines().next().unwrap_or_default().to_owned();
    let failed = report.checks.iter().find_map(|check| check.error.as_ref());
    match failed {
        Some(error) if !report.passed() => format!("{verdict}: {}", printable(&error.message)),
        _ => verdict,
    }
}

/// What a command says about it.
pub(crate) fn answer(definition: &Definition, report: &TestReport) -> Answer {
    let document = TestDocument {
        connector: Named {
            name: &definition.name,
            kind: &definition.kind,
            tenant: &definition.tenant,
        },
        passed: report.passed(),
        checks: report
            .checks
            .iter()
            .map(|check| CheckLine {
                check,
                help: check.error.as_ref().and_then(help),
            })
            .collect(),
        warnings: &report.warnings,
        fault: report.fault.as_ref(),
        traffic: &report.traffic,
    };
    Answer::new(
        describe(definition, report),
        &document,
        u8::from(!report.passed()),
    )
}

fn help(error: &PluginFailure) -> Option<HttpHelp> {
    http_help::of(error.kind.as_str(), error.http_status)
}

fn describe(definition: &Definition, report: &TestReport) -> String {
    let verdict = if report.passed() {
        "the test passed"
    } else {
        "the test failed"
    };
    let mut text = format!("connector {}: {verdict}", definition.name);
    for check in &report.checks {
        let outcome = match check.outcome {
            Outcome::Passed => "ok       ",
            Outcome::Busy => "busy     ",
            Outcome::Failed => "FAILED   ",
            Outcome::NotTried => "not tried",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {outcome}  {}", printable(&check.label));
        let Some(error) = &check.error else { continue };
        let status = error
            .http_status
            .map_or_else(String::new, |status| format!(", HTTP {status}"));
        let _ = write!(
            text,
            "\n             {} (code {}{status})",
            printable(&error.message),
            printable(&error.code)
        );
        if !error.advice.is_empty() {
            let _ = write!(text, "\n             {}", printable(&error.advice));
        }
        if let Some(row) = help(error) {
            let _ = write!(text, "\n             {row}");
        }
    }
    if let Some(fault) = &report.fault {
        let _ = write!(text, "\n  {}", printable(&fault.to_string()));
    }
    for denial in &report.traffic.denials {
        let _ = write!(text, "\n  refused on the way out: {}", printable(denial));
    }
    // A refusal is a failure of the network, too, and has been said.
    let failure = report.traffic.last_failure.as_ref();
    if let Some(failure) = failure.filter(|failure| !report.traffic.denials.contains(failure)) {
        let _ = write!(text, "\n  network: {}", printable(failure));
    }
    for warning in &report.warnings {
        let key = definition::key_of(&warning.pointer);
        let _ = write!(text, "\n  warning  {key}: {}", printable(&warning.message));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_runtime::sandbox::{ErrorKind, Remark};

    fn definition() -> Definition {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        let text = "name = \"scanner-1\"\ntype = \"acme-scanner\"\ntenant = \"acme\"\n[settings]\n";
        std::fs::write(&file, text).unwrap();
        Definition::load(&file).ok().unwrap()
    }

    fn check(label: &str, outcome: Outcome, error: Option<PluginFailure>) -> Check {
        Check {
            id: label.to_lowercase(),
            label: label.into(),
            outcome,
            error,
        }
    }

    fn refused_login() -> TestReport {
        let refused = PluginFailure {
            kind: ErrorKind::Unauthenticated,
            code: "2000".into(),
            message: "Bad\u{1b}[2J login.".into(),
            advice: "Check user and token.".into(),
            http_status: Some(401),
            retry_after_ms: None,
        };
        TestReport {
            checks: vec![
                check("Account", Outcome::Failed, Some(refused)),
                check("Assets", Outcome::NotTried, None),
            ],
            warnings: vec![Remark {
                pointer: "/url".into(),
                message: "This looks like the console's address.".into(),
            }],
            fault: None,
            traffic: connector_runtime::egress::TrafficCounts::default(),
        }
    }

    #[test]
    fn a_refused_login_is_explained_with_advice_and_help() {
        let answer = answer(&definition(), &refused_login());
        assert_eq!(answer.exit, 1);
        assert_eq!(
            answer.text,
            "\
connector scanner-1: the test failed
  FAILED     Account
             Bad [2J login. (code 2000, HTTP 401)
             Check user and token.
             401 Unauthorized: a credential is invalid, or the user lacks the privileges for this API. Are the credentials correct? Have they expired? Is the user entitled and licensed for the resource?
  not tried  Assets
  warning  settings.url: This looks like the console's address."
        );
        let document: serde_json::Value = serde_json::from_str(&answer.json).unwrap();
        assert_eq!(document["passed"], false);
        assert_eq!(document["connector"]["type"], "acme-scanner");
        assert_eq!(document["checks"][0]["outcome"], "failed");
        assert_eq!(document["checks"][0]["error"]["code"], "2000");
        assert_eq!(document["checks"][0]["help"]["status"], 401);
        assert_eq!(document["checks"][1]["outcome"], "not-tried");
    }

    #[test]
    fn a_test_that_tried_nothing_has_not_passed() {
        let mut report = refused_login();
        report.checks.clear();
        assert_eq!(answer(&definition(), &report).exit, 1);
        report.checks.push(check("Account", Outcome::Passed, None));
        assert_eq!(answer(&definition(), &report).exit, 0);
    }
}
