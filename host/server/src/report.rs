//! A run's ledger as a person wants to read it: what was asked, what came, what is missing, how long it waited, and why it
//! ended.
//!
//! It reads the ledger's stored form, so that a run of last week is shown like the one that has just ended. Everything that
//! comes from a plugin or a vendor is stripped of control characters first.

use crate::figures;
use crate::http_help;
use connector_runtime::manifest::LedgerPlan;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Entries of one list that are printed; `--json` has them all.
const SHOWN: usize = 10;

#[derive(Deserialize)]
struct Ledger {
    connector: Identity,
    started: u64,
    ended: u64,
    outcome: String,
    reason: String,
    records: u64,
    contents: Vec<Content>,
    #[serde(default)]
    warnings: Vec<Remark>,
    traffic: Traffic,
    #[serde(default)]
    quota: Vec<Bucket>,
    waited_ms: u64,
    usage: Usage,
    #[serde(default)]
    start_fault: Option<FaultSeen>,
    #[serde(default)]
    limits: Vec<SpentSeen>,
}

#[derive(Deserialize)]
struct SpentSeen {
    limit: String,
    unit: String,
    allowed: u64,
    peak: Option<u64>,
}

#[derive(Deserialize)]
struct Bucket {
    bucket: String,
    calls_in_window: u64,
    limit: u64,
    window_seconds: u64,
    remaining: u64,
    not_before: Option<u64>,
}

#[derive(Deserialize)]
struct Identity {
    tenant: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Content {
    content_type: String,
    outcome: String,
    reason: String,
    records: u64,
    bytes: u64,
    batches: u64,
    counters: BTreeMap<String, u64>,
    equations: Vec<Equation>,
    retries: u64,
    #[serde(default)]
    filtered: Vec<FilteredSeen>,
    set_aside: Vec<SetAside>,
    unknown_elements: BTreeMap<String, u64>,
    notices: Vec<Notice>,
    #[serde(default)]
    window: Value,
    failure: Option<FailureSeen>,
    #[serde(default)]
    faults: Vec<FaultSeen>,
}

#[derive(Deserialize)]
struct Equation {
    total: String,
    value: u64,
    parts: Vec<String>,
    sum: u64,
    holds: bool,
}

#[derive(Deserialize)]
struct FilteredSeen {
    filter: String,
    revision: u64,
    dropped: u64,
}

#[derive(Deserialize)]
struct SetAside {
    object: String,
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Notice {
    message: String,
}

#[derive(Deserialize)]
struct Remark {
    pointer: String,
    message: String,
}

#[derive(Deserialize)]
struct FailureSeen {
    kind: String,
    code: String,
    message: String,
    http_status: Option<u16>,
}

#[derive(Deserialize, PartialEq)]
struct FaultSeen {
    kind: String,
    #[serde(default)]
    call: String,
    message: String,
    panic: Option<String>,
    #[serde(default)]
    backtrace: Vec<String>,
    #[serde(default)]
    advice: String,
}

#[derive(Deserialize)]
struct Traffic {
    requests: u64,
    bytes_sent: u64,
    bytes_received: u64,
    #[serde(default)]
    denials: Vec<String>,
    #[serde(default)]
    last_failure: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    memory_peak_bytes: u64,
    cpu_ms: u64,
    #[serde(default)]
    host_memory_peak_bytes: Option<u64>,
}

/// Describes a ledger, given as its JSON. `plan` gives the counters their labels and their order.
pub(crate) fn of_ledger(json: &str, plan: &LedgerPlan) -> String {
    match serde_json::from_str::<Ledger>(json) {
        Ok(ledger) => describe(&ledger, plan),
        // A later version wrote it: better raw than not at all.
        Err(_) => printable(json),
    }
}

/// Replaces control characters: what a vendor or a plugin says must not steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

fn describe(ledger: &Ledger, plan: &LedgerPlan) -> String {
    let Identity { tenant, name, kind } = &ledger.connector;
    let mut page = Page(format!("connector {name} ({kind}, tenant {tenant})"));
    page.line(
        "outcome",
        &format!("{}: {}", ledger.outcome, printable(&ledger.reason)),
    );
    let busy = ledger.ended.saturating_sub(ledger.started);
    page.line(
        "run",
        &format!(
            "began {}, took {}, waited {}",
            figures::moment(ledger.started),
            figures::milliseconds(busy),
            figures::milliseconds(ledger.waited_ms)
        ),
    );
    page.line(
        "records",
        &format!("{} committed", figures::count(ledger.records)),
    );
    page.line(
        "traffic",
        &format!(
            "{}, {} sent, {} received",
            figures::counted(ledger.traffic.requests, "request"),
            figures::bytes(ledger.traffic.bytes_sent),
            figures::bytes(ledger.traffic.bytes_received)
        ),
    );
    for bucket in &ledger.quota {
        let not_before = bucket.not_before.map_or_else(String::new, |moment| {
            format!("; none before {}", figures::moment(moment))
        });
        page.line(
            "quota",
            &format!(
                "{}: {} of {} in {}, {} left{not_before}",
                printable(&bucket.bucket),
                figures::counted(bucket.calls_in_window, "call"),
                figures::count(bucket.limit),
                figures::milliseconds(bucket.window_seconds.saturating_mul(1000)),
                figures::count(bucket.remaining),
            ),
        );
    }
    let host = ledger
        .usage
        .host_memory_peak_bytes
        .map_or_else(String::new, |bytes| {
            format!("; the host itself at most {}", figures::mebibytes(bytes))
        });
    page.line(
        "plugin",
        &format!(
            "at most {} of memory, {} of CPU{host}",
            figures::mebibytes(ledger.usage.memory_peak_bytes),
            figures::milliseconds(ledger.usage.cpu_ms)
        ),
    );
    if let Some(limits) = close(&ledger.limits) {
        page.line("limits", &limits);
    }
    if let Some(fault) = &ledger.start_fault {
        page.fault(fault, 1);
    }
    for warning in &ledger.warnings {
        let key = crate::definition::key_of(&warning.pointer);
        page.line(
            "warning",
            &format!("{key}: {}", printable(&warning.message)),
        );
    }
    for denial in &ledger.traffic.denials {
        page.line("refused", &printable(denial));
    }
    // A refusal is a failure of the network, too, and has been said.
    let failure = ledger.traffic.last_failure.as_ref();
    if let Some(failure) = failure.filter(|failure| !ledger.traffic.denials.contains(failure)) {
        page.line("network", &printable(failure));
    }
    for content in &ledger.contents {
        describe_content(&mut page, content, plan);
    }
    page.0
}

/// The limits of which more than half was used, so that nobody is surprised later; `--json` has them all.
fn close(limits: &[SpentSeen]) -> Option<String> {
    let close: Vec<_> = limits
        .iter()
        .filter_map(|spent| Some((spent, spent.peak?)))
        // A batch is meant to be filled.
        .filter(|(spent, peak)| *peak > spent.allowed / 2 && !spent.limit.starts_with("batch_"))
        .map(|(spent, peak)| {
            let amount = |value| match spent.unit.as_str() {
                "bytes" => figures::bytes(value),
                "milliseconds" => figures::milliseconds(value),
                _ => figures::count(value),
            };
            let limit = printable(&spent.limit);
            format!("{limit} {} of {}", amount(peak), amount(spent.allowed))
        })
        .collect();
    (!close.is_empty()).then(|| format!("more than half used: {}", close.join(", ")))
}

fn describe_content(page: &mut Page, content: &Content, plan: &LedgerPlan) {
    page.title(&format!("{}: {}", content.content_type, content.outcome));
    if content.outcome != "done" {
        page.line("why", &printable(&content.reason));
        let help = content
            .failure
            .as_ref()
            .and_then(|failure| http_help::of(&failure.kind, failure.http_status));
        if let Some(row) = help.filter(|_| content.outcome != "incomplete") {
            page.line("help", &row.to_string());
        }
    }
    if let Some(window) = window(&content.window) {
        page.line("asked", &window);
    }
    page.line(
        "came",
        &format!(
            "{} ({}) in {}",
            figures::counted(content.records, "record"),
            figures::bytes(content.bytes),
            match content.batches {
                1 => "1 batch".into(),
                batches => format!("{} batches", figures::count(batches)),
            }
        ),
    );
    for filtered in &content.filtered {
        page.line(
            "dropped",
            &format!(
                "{} by the filter {} (revision {})",
                figures::counted(filtered.dropped, "record"),
                printable(&filtered.filter),
                filtered.revision
            ),
        );
    }
    let counters = counters(content, plan);
    if !counters.is_empty() {
        page.line("counted", &counters.join(", "));
    }
    for equation in &content.equations {
        let parts: Vec<_> = equation
            .parts
            .iter()
            .map(|part| label(plan, part))
            .collect();
        let verdict = match equation.holds {
            true => format!("{} accounted for", figures::count(equation.value)),
            false => format!(
                "DOES NOT HOLD: {} and {}",
                figures::count(equation.value),
                figures::count(equation.sum)
            ),
        };
        page.line(
            "balance",
            &format!(
                "{} = {}: {verdict}",
                label(plan, &equation.total),
                parts.join(" + ")
            ),
        );
    }
    if content.retries > 0 {
        let again = figures::counted(content.retries, "attempt");
        let last = match &content.failure {
            None => String::new(),
            Some(failure) => {
                let status = failure
                    .http_status
                    .map_or_else(String::new, |status| format!(", HTTP {status}"));
                format!(
                    "; the last failure: {} (code {}{status})",
                    printable(&failure.message),
                    printable(&failure.code)
                )
            }
        };
        page.line("repeated", &format!("{again}{last}"));
    }
    page.list("set aside", &content.set_aside, |entry| {
        format!("{} ({}): {}", entry.object, entry.code, entry.message)
    });
    let unknown: Vec<_> = content.unknown_elements.iter().collect();
    page.list("unknown", &unknown, |(name, times)| {
        format!(
            "{name}, {}, kept as it came",
            figures::counted(**times, "time")
        )
    });
    for same in content.faults.chunk_by(|one, next| one == next) {
        page.fault(&same[0], same.len());
    }
    page.list("notice", &content.notices, |notice| notice.message.clone());
}

/// The counters that have counted something: the manifest's in its order, then the others.
fn counters(content: &Content, plan: &LedgerPlan) -> Vec<String> {
    let known = plan.counters.iter().map(|counter| &counter.id);
    let others = content
        .counters
        .keys()
        .filter(|id| plan.counters.iter().all(|counter| counter.id != **id));
    known
        .chain(others)
        .filter_map(|id| Some((id, *content.counters.get(id)?)))
        .filter(|(_, value)| *value > 0)
        .map(|(id, value)| format!("{} {}", label(plan, id), figures::count(value)))
        .collect()
}

fn label(plan: &LedgerPlan, id: &str) -> String {
    let known = plan.counters.iter().find(|counter| counter.id == id);
    printable(&known.map_or_else(|| id.replace('_', " "), |counter| counter.label.clone()))
}

/// `walk full, started 2026-...`, from what the plugin says it asked for.
fn window(window: &Value) -> Option<String> {
    let members: BTreeMap<_, _> = window.as_object()?.iter().collect();
    let parts: Vec<_> = members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            printable(&format!("{} {value}", name.replace('_', " ")))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A text of titles and lines with a word before each.
struct Page(String);

impl Page {
    fn title(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "\n{text}");
    }

    fn line(&mut self, word: &str, text: &str) {
        let _ = write!(self.0, "\n  {word:<10}{text}");
    }

    /// A fault's whole story, which happened so many times in a row.
    fn fault(&mut self, fault: &FaultSeen, times: usize) {
        let times = match times {
            1 => String::new(),
            times => format!("{times} times, "),
        };
        let FaultSeen { kind, call, .. } = fault;
        let message = printable(&fault.message);
        self.line("fault", &format!("{times}{kind} in {call}: {message}"));
        for line in fault.panic.iter().flat_map(|text| text.lines()) {
            self.line("  said", &printable(line));
        }
        // A recursion without end is told once.
        for same in fault.backtrace.chunk_by(|one, next| one == next) {
            let frame = printable(&same[0]);
            match same.len() {
                1 => self.line("  at", &frame),
                times => self.line("  at", &format!("{frame} ({times} times)")),
            }
        }
        if !fault.advice.is_empty() {
            self.line("  do", &printable(&fault.advice));
        }
    }

    fn list<T>(&mut self, word: &str, entries: &[T], describe: impl Fn(&T) -> String) {
        for entry in entries.iter().take(SHOWN) {
            self.line(word, &printable(&describe(entry)));
        }
        if entries.len() > SHOWN {
            let rest = figures::count((entries.len() - SHOWN) as u64);
            self.line(word, &format!("and {rest} more (`--json` has them)"));
        }
    }
}

#[cfg(test)]
mod tests;
