//! Verdicts: what a run came to, as its connector's status remembers it.

use super::State;
use crate::failure::Failure;
use crate::figures;
use crate::secrets;
use connector_runtime::runs::{Held, Ledger, RunError, RunOutcome, StartError};
use serde_json::Value;

/// What the last run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Healthy, incomplete, failing, stopped after a refused login, waiting for quota or room, held back or set aside.
    pub(crate) state: State,
    /// Why, in a sentence without secrets.
    pub(crate) reason: String,
}

/// How an attempt to run ended, as far as status and schedule are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It came to a verdict; no run by schedule before `not_before`, if there is one.
    Judged {
        /// The verdict.
        verdict: Verdict,
        /// In milliseconds since 1970.
        not_before: Option<u64>,
    },
    /// It was asked to stop, which says nothing about the connector.
    Stopped,
    /// Nothing was begun, since the plugin's faults hold the connector back or have set it aside.
    Held {
        /// The verdict.
        verdict: Verdict,
        /// In milliseconds since 1970.
        not_before: Option<u64>,
    },
    /// Nothing was begun, since the plugin asks for more than was accepted.
    Suspended(String),
}

impl Verdict {
    fn new(state: State, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
        }
    }

    /// The sentence of a status.
    pub(crate) fn message(&self, until: Option<u64>) -> String {
        let reason = &self.reason;
        match (self.state, until) {
            (State::WaitingForQuota, Some(until)) => {
                format!(
                    "waiting for quota until {}: {reason}",
                    figures::moment(until)
                )
            }
            (State::WaitingForRoom, Some(until)) => {
                format!(
                    "waiting for room until {}: {reason}",
                    figures::moment(until)
                )
            }
            (State::HeldBack, Some(until)) => {
                format!("held back until {}: {reason}", figures::moment(until))
            }
            (State::StoppedAfterRefusedLogin, _) => format!(
                "{reason} Collection has stopped so that the account is not locked: it goes on when the connector is edited, a test of it passes, or somebody runs it."
            ),
            _ => reason.clone(),
        }
    }

    fn held(held: &Held, now_ms: u64) -> (Self, Option<u64>) {
        let (state, not_before) = match held {
            Held::Back { left } => {
                let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                (State::HeldBack, Some(now_ms.saturating_add(left)))
            }
            Held::Aside { .. } => (State::SetAside, None),
        };
        // How long it still is would be wrong a moment later; until when stands beside it.
        let reason = match held {
            Held::Back { .. } => "the plugin faulted too often in the last run".to_owned(),
            Held::Aside { .. } => held.to_string(),
        };
        (Self::new(state, reason), not_before)
    }

    /// The last login was refused, by a test.
    pub(crate) fn of_refused_test(message: &str) -> Self {
        let reason = secrets::page(message).into_owned();
        Self::new(State::StoppedAfterRefusedLogin, reason)
    }
}

impl Ended {
    /// Of a run that came to its ledger, or to none.
    pub(crate) fn of(result: &Result<Ledger, Failure>, now_ms: u64) -> Self {
        match result {
            Ok(ledger) => Self::of_ledger(ledger, now_ms),
            Err(failure) => Self::of_failure(failure, now_ms),
        }
    }

    /// Of a run that came to its ledger.
    pub(crate) fn of_ledger(ledger: &Ledger, now_ms: u64) -> Self {
        let document = ledger.to_json();
        let reason = serde_json::from_str::<Value>(&document).ok();
        let reason = reason
            .as_ref()
            .and_then(|document| document["reason"].as_str())
            .unwrap_or_default();
        if let Some(held) = &ledger.held {
            let (verdict, not_before) = Verdict::held(held, now_ms);
            let verdict = Verdict::new(verdict.state, reason);
            return Self::Judged {
                verdict,
                not_before,
            };
        }
        let state = match ledger.outcome {
            RunOutcome::Done => State::Healthy,
            RunOutcome::Incomplete => State::Incomplete,
            RunOutcome::Postponed if ledger.lacked_room() => State::WaitingForRoom,
            RunOutcome::Postponed if ledger.resume_at.is_some() => State::WaitingForQuota,
            // The next run goes on where this one had taken all that one may take.
            RunOutcome::Postponed => State::Incomplete,
            RunOutcome::Stopped => return Self::Stopped,
            RunOutcome::Failed if ledger.login_refused() => State::StoppedAfterRefusedLogin,
            RunOutcome::Failed => State::Failing,
        };
        Self::Judged {
            verdict: Verdict::new(state, reason),
            not_before: ledger.resume_at,
        }
    }

    fn of_failure(failure: &Failure, now_ms: u64) -> Self {
        match failure {
            Failure::Held(held) | Failure::Run(RunError::Held(held)) => {
                let (verdict, not_before) = Verdict::held(held, now_ms);
                Self::Held {
                    verdict,
                    not_before,
                }
            }
            Failure::Suspended(suspension)
            | Failure::Run(RunError::Start(StartError::Suspended(suspension))) => {
                Self::Suspended(suspension.to_string())
            }
            Failure::Interrupted { .. } => Self::Stopped,
            failure => Self::Judged {
                verdict: Verdict::new(
                    State::Failing,
                    secrets::page(&failure.to_string()).into_owned(),
                ),
                not_before: None,
            },
        }
    }
}
