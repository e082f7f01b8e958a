//! Probe: authentication and connectivity, in as few calls as possible.
//!
//! After a refused login nothing else is tried, because refused logins lock accounts.

use crate::client;
use crate::environment::{Environment, Level, Transport};
use crate::fault::{Fault, FaultKind};
use crate::request;
use crate::settings::Settings;
use crate::verdict;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Passed,
    /// The login was accepted, but a limit was reached.
    Busy,
    /// It does not work.
    Failed,
    /// Left out, because the login was refused before.
    NotTried,
}

/// One check of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `about`, or the content type.
    pub id: String,
    /// For a person.
    pub label: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Why it did not pass.
    pub error: Option<Fault>,
}

/// Runs the checks.
pub(crate) fn run<E: Environment>(environment: &mut E, settings: &Settings) -> Vec<Check> {
    let about = client::small(
        environment,
        &request::about(settings),
        "ABOUT",
        "/msp/about.php",
    )
    .and_then(|answer| verdict::version(&answer));
    if let Ok(version) = &about {
        environment.log(Level::Info, &format!("Qualys answers, version {version}."));
    }
    let mut checks = vec![check(
        "about",
        "Qualys answers and accepts the login",
        about,
    )];
    for endpoint in settings.content_types.clone() {
        let refused = checks.iter().any(|check| {
            check
                .error
                .as_ref()
                .is_some_and(|fault| fault.kind == FaultKind::Unauthenticated)
        });
        let (id, label) = (
            endpoint.content_type(),
            format!("{} can be read", endpoint.label()),
        );
        checks.push(if refused {
            Check {
                id: id.to_owned(),
                label,
                outcome: Outcome::NotTried,
                error: None,
            }
        } else {
            let answer = probe(environment, settings, endpoint);
            check(id, &label, answer)
        });
    }
    checks
}

fn probe<T: Transport>(
    transport: &mut T,
    settings: &Settings,
    endpoint: request::Endpoint,
) -> Result<Vec<u8>, Fault> {
    client::small(
        transport,
        &request::probe(settings, endpoint),
        endpoint.root(),
        endpoint.label(),
    )
}

fn check<T>(id: &str, label: &str, answer: Result<T, Fault>) -> Check {
    let error = answer.err();
    let outcome = match &error {
        None => Outcome::Passed,
        Some(fault) if fault.kind == FaultKind::RateLimited => Outcome::Busy,
        Some(_) => Outcome::Failed,
    };
    Check {
        id: id.to_owned(),
        label: label.to_owned(),
        outcome,
        error,
    }
}
