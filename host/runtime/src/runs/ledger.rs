//! The ledger of a run: what was asked, what came, what is missing, how long it waited, and why it ended.

use super::{Held, Identity};
use crate::clock::milliseconds;
use crate::egress::{BucketState, Traffic, TrafficCounts};
use crate::interflow::Filter;
use crate::journal::Shortage;
use crate::limits::Spent;
use crate::manifest::LedgerPlan;
use crate::redaction::Redactor;
use crate::sandbox::{ErrorKind, Fault, Notice, PluginFailure, Remark, Report, SetAside, Usage};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Entries of a list that are kept; the counters count all.
const KEPT: usize = 100;

/// How a run, or one content type of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Everything that the vendor listed is durable.
    Done,
    /// The walk ended, but something that was listed is not accounted for.
    Incomplete,
    /// The wait would have been longer than allowed; it goes on from its cursor.
    Postponed,
    /// Somebody asked it to stop; it goes on from its cursor.
    Stopped,
    /// It failed; it goes on from its cursor.
    Failed,
}

impl RunOutcome {
    /// As in the ledger's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Postponed => "postponed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// An equation of the manifest, checked.
#[derive(Clone, Debug, Serialize)]
pub struct EquationCheck {
    /// The counter on the left.
    pub total: String,
    /// Its value.
    pub value: u64,
    /// The counters on the right.
    pub parts: Vec<String>,
    /// Their sum.
    pub sum: u64,
    /// Whether both are equal.
    pub holds: bool,
}

/// What a log filter dropped.
#[derive(Clone, Debug, Serialize)]
pub struct Filtered {
    /// The filter's name.
    pub filter: String,
    /// Which version of it was applied.
    pub revision: u64,
    /// How many records it dropped.
    pub dropped: u64,
}

impl Filtered {
    fn none(filter: &Filter) -> Self {
        Self {
            filter: filter.name.clone(),
            revision: filter.revision,
            dropped: 0,
        }
    }
}

/// One content type of a run.
#[derive(Clone, Debug, Serialize)]
pub struct ContentLedger {
    /// The content type.
    pub content_type: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why, in a sentence.
    pub reason: String,
    /// Records that became durable.
    pub records: u64,
    /// Their size as NDJSON, in bytes.
    pub bytes: u64,
    /// Batches that became durable.
    pub batches: u64,
    /// The plugin's counters and the host's (`repeated` counts both), summed over the run.
    pub counters: BTreeMap<String, u64>,
    /// The manifest's equations.
    pub equations: Vec<EquationCheck>,
    /// Attempts that had to be repeated.
    pub retries: u64,
    /// Records that log filters dropped, for each attached filter; a record counts at the first that it matches.
    pub filtered: Vec<Filtered>,
    /// Objects that could not be read; the first hundred.
    pub set_aside: Vec<SetAside>,
    /// Elements that the plugin did not know.
    pub unknown_elements: BTreeMap<String, u64>,
    /// Things that a person should know.
    pub notices: Vec<Notice>,
    /// What was asked of the vendor, last known.
    pub window: Value,
    /// The failure that ended it, or the last that was survived.
    pub failure: Option<PluginFailure>,
    /// Faults of the plugin.
    pub faults: Vec<Fault>,
    /// When it is worth going on, milliseconds since 1970.
    pub resume_at: Option<u64>,
    /// Bytes of records and notes, before compression.
    #[serde(skip)]
    pub(crate) taken: u64,
    /// It was given up because the plugin faulted too often.
    #[serde(skip)]
    pub(crate) struck_out: bool,
    /// It ended because the journal had no room.
    #[serde(skip)]
    pub(crate) no_room: bool,
    #[serde(skip)]
    stop: bool,
}

impl ContentLedger {
    /// One in which nothing has happened yet.
    pub fn begin(content_type: &str) -> Self {
        Self {
            content_type: content_type.to_owned(),
            outcome: RunOutcome::Done,
            reason: "everything that was listed is accounted for".into(),
            records: 0,
            bytes: 0,
            batches: 0,
            counters: BTreeMap::new(),
            equations: Vec::new(),
            retries: 0,
            filtered: Vec::new(),
            set_aside: Vec::new(),
            unknown_elements: BTreeMap::new(),
            notices: Vec::new(),
            window: Value::Null,
            failure: None,
            faults: Vec::new(),
            resume_at: None,
            taken: 0,
            struck_out: false,
            no_room: false,
            stop: false,
        }
    }

    /// A counter's value.
    pub fn counter(&self, id: &str) -> u64 {
        self.counters.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn count(&mut self, id: &str, by: u64) {
        if by > 0 {
            let counter = self.counters.entry(id.to_owned()).or_default();
            *counter = counter.saturating_add(by);
        }
    }

    pub(crate) fn absorb(&mut self, report: Report) {
        let mut dropped = 0;
        for (id, value) in report.counters {
            if self.counters.contains_key(&id) || self.counters.len() < KEPT {
                self.count(&id, value);
                self.counters.entry(id).or_default();
            } else {
                dropped += 1;
            }
        }
        self.count("counters_dropped", dropped);
        for entry in report.set_aside {
            if self.set_aside.len() < KEPT {
                self.set_aside.push(entry);
            }
        }
        for (name, count) in report.unknown_elements {
            if self.unknown_elements.contains_key(&name) || self.unknown_elements.len() < KEPT {
                let all = self.unknown_elements.entry(name).or_default();
                *all = all.saturating_add(count);
            }
        }
        for notice in report.notices {
            if self.notices.len() < KEPT && !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        if !report.window.is_null() {
            self.window = report.window;
        }
    }

    /// Counts what filters dropped; `dropped` goes along with `filters`.
    pub(crate) fn drop_records(&mut self, filters: &[Filter], dropped: &[u64]) {
        if self.filtered.is_empty() {
            self.filtered = filters.iter().map(Filtered::none).collect();
        }
        for (filtered, dropped) in self.filtered.iter_mut().zip(dropped) {
            filtered.dropped += dropped;
        }
    }

    pub(crate) fn end(&mut self, outcome: RunOutcome, reason: String) {
        self.outcome = outcome;
        self.reason = reason;
    }

    /// Ends this content type and the run.
    pub(crate) fn stop(&mut self, reason: String) {
        self.end(RunOutcome::Failed, reason);
        self.stop = true;
    }

    /// Ends this content type and the run, because what would come could not be kept; it is worth trying again at `again`.
    pub(crate) fn postpone_for_room(&mut self, shortage: &Shortage, again: u64) {
        let reason = format!(
            "{shortage}. Nothing is lost: collection goes on by itself from the last commit when there is room"
        );
        self.end(RunOutcome::Postponed, reason);
        self.resume_at = Some(again);
        self.no_room = true;
        self.stop = true;
    }

    /// Ends this content type and the run, because somebody asked.
    pub(crate) fn stop_as_asked(&mut self) {
        let reason =
            "it was asked to stop; what was committed is kept, and the next run goes on from there";
        self.end(RunOutcome::Stopped, reason.into());
        self.stop = true;
    }

    pub(crate) fn stops_the_run(&self) -> bool {
        self.stop
    }

    /// Checks the equations; one that does not hold makes a finished walk incomplete.
    pub(crate) fn check(&mut self, plan: &LedgerPlan) {
        for equation in &plan.equations {
            let value = self.counter(&equation.total);
            let parts = equation.parts.iter().map(|part| self.counter(part));
            let sum = parts.fold(0, u64::saturating_add);
            let holds = value == sum;
            if !holds && self.outcome == RunOutcome::Done {
                self.end(
                    RunOutcome::Incomplete,
                    format!(
                        "{} is {value}, but {} make {sum}",
                        equation.total,
                        equation.parts.join(" + ")
                    ),
                );
            }
            self.equations.push(EquationCheck {
                total: equation.total.clone(),
                value,
                parts: equation.parts.clone(),
                sum,
                holds,
            });
        }
    }
}

/// The ledger of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// The connector.
    pub connector: Identity,
    /// Start, milliseconds since 1970.
    pub started: u64,
    /// End.
    pub ended: u64,
    /// The worst of the content types'.
    pub outcome: RunOutcome,
    /// Why, in a sentence.
    pub reason: String,
    /// All records that became durable.
    pub records: u64,
    /// One entry per content type that was begun.
    pub contents: Vec<ContentLedger>,
    /// Remarks on the settings.
    pub warnings: Vec<Remark>,
    /// What went over the wire.
    pub traffic: TrafficCounts,
    /// What is left of the vendor's quota, by bucket.
    pub quota: Vec<BucketState>,
    /// Milliseconds spent waiting, for quota and between attempts together.
    pub waited_ms: u64,
    /// What the plugin used: peak memory of any instance, CPU of all.
    pub usage: Usage,
    /// Every limit, with what was allowed and used.
    pub limits: Vec<Spent>,
    /// The fault that kept the plugin from starting.
    pub start_fault: Option<Fault>,
    /// The run was given up because the plugin faulted too often, or could not start.
    pub struck_out: bool,
    /// When it is worth going on, milliseconds since 1970.
    pub resume_at: Option<u64>,
    /// What the plugin's faults lead to from now on.
    #[serde(skip)]
    pub held: Option<Held>,
    #[serde(skip)]
    redactor: Arc<Redactor>,
}

impl Ledger {
    pub(crate) fn begin(
        identity: &Identity,
        started: u64,
        warnings: Vec<Remark>,
        redactor: Arc<Redactor>,
    ) -> Self {
        Self {
            connector: identity.clone(),
            started,
            ended: started,
            outcome: RunOutcome::Done,
            reason: String::new(),
            records: 0,
            contents: Vec::new(),
            warnings,
            traffic: TrafficCounts::default(),
            quota: Vec::new(),
            waited_ms: 0,
            usage: Usage::default(),
            limits: Vec::new(),
            start_fault: None,
            struck_out: false,
            resume_at: None,
            held: None,
            redactor,
        }
    }

    /// The ledger of a run in which nothing has happened: for a schedule that is tried out without a plugin.
    pub fn scripted(identity: &Identity, started: u64) -> Self {
        Self::begin(identity, started, Vec::new(), Arc::default())
    }

    /// Whether the vendor refused the login, so that it must not be tried again before a person asks or something changes.
    pub fn login_refused(&self) -> bool {
        self.contents.iter().any(|content| {
            content.outcome == RunOutcome::Failed
                && content
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.kind == ErrorKind::Unauthenticated)
        })
    }

    /// Whether it ended because the journal had no room.
    pub fn lacked_room(&self) -> bool {
        self.contents.iter().any(|content| content.no_room)
    }

    /// The ledger of a content type, if it was begun.
    pub fn content(&self, id: &str) -> Option<&ContentLedger> {
        self.contents
            .iter()
            .find(|content| content.content_type == id)
    }

    /// Ends a run that could not begin, because of the plugin.
    pub(crate) fn fail_to_start(&mut self, fault: Fault) {
        self.outcome = RunOutcome::Failed;
        self.reason = format!("the plugin could not be started: {fault}");
        self.start_fault = Some(fault);
        self.struck_out = true;
    }

    pub(crate) fn finish(&mut self, ended: u64, waited: Duration, traffic: &Traffic) {
        self.ended = ended;
        self.traffic = traffic.counts();
        self.waited_ms = milliseconds(waited) + self.traffic.permit_wait_ms;
        self.records = self.contents.iter().map(|content| content.records).sum();
        self.struck_out |= self.contents.iter().any(|content| content.struck_out);
        self.resume_at = self
            .contents
            .iter()
            .filter_map(|content| content.resume_at)
            .max();
        if let Some(worst) = self.contents.iter().max_by_key(|content| content.outcome) {
            self.outcome = worst.outcome;
            self.reason = match worst.outcome {
                RunOutcome::Done => worst.reason.clone(),
                _ => format!("{}: {}", worst.content_type, worst.reason),
            };
        }
    }

    /// As stored and printed: whatever a text in it missed on its way here, no secret stands in this one.
    pub fn to_json(&self) -> String {
        // Plain data with text keys: serialising it cannot fail.
        let document = serde_json::to_string(self).unwrap_or_default();
        self.redactor.json(&document).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Secret;

    #[test]
    fn whatever_slipped_into_a_ledger_its_document_holds_no_secret() {
        let identity = Identity {
            tenant_id: String::new(),
            tenant: "acme".into(),
            connector_id: String::new(),
            name: "scanner".into(),
            kind: "acme-scanner".into(),
        };
        let secret = Secret::new("a \"quoted\" secret");
        let redactor = Redactor::new([&secret], None);
        let mut ledger = Ledger::begin(&identity, 0, Vec::new(), Arc::new(redactor));
        ledger.reason = format!("told: {}", secret.expose());
        let mut content = ContentLedger::begin("assets");
        content.count(secret.expose(), 1);
        ledger.contents.push(content);
        let document: Value = serde_json::from_str(&ledger.to_json()).unwrap();
        assert_eq!(document["reason"], "told: [redacted]");
        assert_eq!(document["contents"][0]["counters"]["[redacted]"], 1);
    }
}
