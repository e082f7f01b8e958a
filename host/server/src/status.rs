//! Status: what a connector's state is, in a word, a code and a sentence.
//!
//! Everything that a status follows from is kept in the catalogue ([`Facts`]): what the last run came to (the *verdict*), a
//! wait that is not over, what was switched off. So it is the same whoever asks, also while nothing is running.
//!
//! Promises: code 0 is healthy and nothing else; a status says until when it lasts, if that is known; a verdict stays until a
//! run comes to another one, a person edits the connector, or a test of it passes.
//!
//! Never here: a query, or a decision about when to run.

mod verdict;

#[cfg(test)]
mod tests;

pub(crate) use verdict::{Ended, Verdict};

use crate::connectors::device::DATA_PROCESSOR;
use serde::{Deserialize, Serialize};

/// What a connector's state is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// The last run brought everything that was listed.
    Healthy,
    /// It has never run.
    NeverRun,
    /// It runs on the data processor and is in no profile.
    NotInAProfile,
    /// Its turn has not come, or the next run decides.
    Waiting,
    /// A run is under way.
    Collecting,
    /// The vendor's quota is used up.
    WaitingForQuota,
    /// Something that was listed did not come.
    Incomplete,
    /// The last run failed.
    Failing,
    /// The login was refused and is not tried again.
    StoppedAfterRefusedLogin,
    /// Its plugin asks for more than was accepted.
    Suspended,
    /// Its plugin faulted too often.
    SetAside,
    /// It is switched off.
    Inactive,
    /// Its plugin faulted, and it waits for a while.
    HeldBack,
    /// The journal, or the disk that it is on, has no room.
    WaitingForRoom,
}

impl State {
    /// All of them, by their codes.
    pub(crate) const ALL: [Self; 14] = [
        Self::Healthy,
        Self::NeverRun,
        Self::NotInAProfile,
        Self::Waiting,
        Self::Collecting,
        Self::WaitingForQuota,
        Self::Incomplete,
        Self::Failing,
        Self::StoppedAfterRefusedLogin,
        Self::Suspended,
        Self::SetAside,
        Self::Inactive,
        Self::HeldBack,
        Self::WaitingForRoom,
    ];

    /// As in documents and tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NeverRun => "never-run",
            Self::NotInAProfile => "not-in-a-profile",
            Self::Waiting => "waiting",
            Self::Collecting => "collecting",
            Self::WaitingForQuota => "waiting-for-quota",
            Self::Incomplete => "incomplete",
            Self::Failing => "failing",
            Self::StoppedAfterRefusedLogin => "stopped-after-refused-login",
            Self::Suspended => "suspended",
            Self::SetAside => "set-aside",
            Self::Inactive => "inactive",
            Self::HeldBack => "held-back",
            Self::WaitingForRoom => "waiting-for-room",
        }
    }

    /// The state of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// 0 is healthy; every state has its own.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }
}

/// A connector's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    /// In a word.
    pub(crate) state: State,
    /// 0 is healthy.
    pub(crate) code: u32,
    /// In a sentence.
    pub(crate) message: String,
    /// Since when it is in this state, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Until when it lasts, if that is known.
    pub(crate) until_ms: Option<u64>,
}

/// Everything that a connector's status and its next run follow from. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// 24 hexadecimal digits.
    pub(crate) id: String,
    /// `tenant/name`.
    pub(crate) full_name: String,
    /// The plugin's id.
    pub(crate) kind: String,
    /// 32 hexadecimal digits.
    pub(crate) tenant_id: String,
    /// Whether it collects.
    pub(crate) active: bool,
    /// The device that it runs on.
    pub(crate) run_on: String,
    /// Whether it is in a profile.
    pub(crate) in_profile: bool,
    /// When it is to run next; none before it was in a profile.
    pub(crate) due: Option<u64>,
    /// Minutes between runs; 0 if its settings have none.
    pub(crate) interval_minutes: u64,
    /// When its last run began.
    pub(crate) started: Option<u64>,
    /// When the run that is under way began.
    pub(crate) running: Option<u64>,
    /// What the last run came to, and since when it is so.
    pub(crate) verdict: Option<(Verdict, u64)>,
    /// No run by schedule before.
    pub(crate) not_before: Option<u64>,
    /// When a test passed that cleared the verdict.
    pub(crate) tested: Option<u64>,
    /// Why its plugin may not run.
    pub(crate) suspended: Option<String>,
    /// The state that was last told, and since when.
    pub(crate) told: Option<(State, u64)>,
}

impl Facts {
    /// Whether it needs a profile and is in none.
    pub(crate) fn lacks_a_profile(&self) -> bool {
        self.run_on == DATA_PROCESSOR && !self.in_profile
    }

    /// What the last run came to.
    pub(crate) fn judged(&self) -> Option<State> {
        self.verdict.as_ref().map(|(verdict, _)| verdict.state)
    }

    /// The status at a moment.
    pub(crate) fn status(&self, now_ms: u64) -> Status {
        let (state, message, until_ms, since) = self.derive(now_ms);
        let told = self.told.filter(|(told, _)| *told == state);
        Status {
            state,
            code: state.code(),
            message,
            since_ms: since.or(told.map(|(_, since)| since)).unwrap_or(now_ms),
            until_ms,
        }
    }

    /// State, message, until when, and since when if the facts say so.
    fn derive(&self, now_ms: u64) -> (State, String, Option<u64>, Option<u64>) {
        if !self.active {
            return (State::Inactive, "inactive: not pulling".into(), None, None);
        }
        if self.lacks_a_profile() {
            let message = "not in a profile: not pulling; ask an administrator to put it into one";
            return (State::NotInAProfile, message.into(), None, None);
        }
        if let Some(since) = self.running {
            let message = "a run is under way".to_owned();
            return (State::Collecting, message, None, Some(since));
        }
        if let Some(sentence) = &self.suspended {
            return (State::Suspended, sentence.clone(), None, None);
        }
        let not_before = self.not_before.filter(|moment| *moment > now_ms);
        match &self.verdict {
            Some((verdict, _))
                if matches!(
                    verdict.state,
                    State::WaitingForQuota | State::WaitingForRoom
                ) && not_before.is_none() =>
            {
                let message = format!("its turn comes; before: {}", verdict.reason);
                (State::Waiting, message, None, None)
            }
            Some((verdict, since)) => {
                let until = match verdict.state {
                    State::WaitingForQuota | State::WaitingForRoom | State::HeldBack => not_before,
                    _ => None,
                };
                (verdict.state, verdict.message(until), until, Some(*since))
            }
            None if self.tested.is_some() => {
                let message = "the test passed; the next run shows whether the problem is gone";
                (State::Waiting, message.into(), self.due, self.tested)
            }
            None if self.due.is_some_and(|due| due <= now_ms) => {
                let message = "its first run is due".to_owned();
                (State::Waiting, message, None, None)
            }
            None => (State::NeverRun, "it has never run".into(), None, None),
        }
    }
}
