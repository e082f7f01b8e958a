//! What a run tells while it is under way: a line per content type on a terminal, and the plugin's log lines in the log.
//!
//! Nothing is drawn when standard error is not a terminal.

use crate::figures;
use crate::report::printable;
use connector_runtime::manifest::LedgerPlan;
use connector_runtime::runs::{ContentLedger, Event, Observer};
use connector_runtime::sandbox::{Level, LogLine};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counters that a line has room for; the ledger has them all.
const SHOWN: usize = 4;
const REDRAW: Duration = Duration::from_millis(120);

/// A progress display.
pub(crate) struct Progress {
    screen: MultiProgress,
    plan: LedgerPlan,
    lines: Mutex<Vec<Line>>,
    records: AtomicU64,
}

struct Line {
    content_type: String,
    bar: ProgressBar,
    begun: Instant,
    waited: Duration,
    records: u64,
}

impl Progress {
    /// A display with a line per content type; `visible` is whether a person wants to see one.
    pub(crate) fn new(
        screen: &MultiProgress,
        content_types: &[String],
        plan: &LedgerPlan,
        visible: bool,
    ) -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}");
        let width = content_types.iter().map(String::len).max().unwrap_or(0);
        let lines = content_types.iter().map(|content_type| {
            let bar = if visible {
                screen.add(ProgressBar::new_spinner())
            } else {
                ProgressBar::hidden()
            };
            if let Ok(style) = &style {
                bar.set_style(style.clone());
            }
            bar.set_prefix(format!("{content_type:width$}"));
            bar.set_message("waiting for its turn");
            Line {
                content_type: content_type.clone(),
                bar,
                begun: Instant::now(),
                waited: Duration::ZERO,
                records: 0,
            }
        });
        let lines: Vec<_> = lines.collect();
        if let Some(first) = lines.first() {
            first.begin();
        }
        Self {
            screen: screen.clone(),
            plan: plan.clone(),
            lines: Mutex::new(lines),
            records: AtomicU64::new(0),
        }
    }

    /// Records that have become durable so far.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Takes the display away: the ledger follows.
    pub(crate) fn clear(&self) {
        for line in self.lines().iter() {
            line.bar.finish_and_clear();
        }
        // The terminal may be gone, and with it the need.
        let _ = self.screen.clear();
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn committed(&self, ledger: &ContentLedger) {
        let mut lines = self.lines();
        let Some(line) = lines
            .iter_mut()
            .find(|line| line.content_type == ledger.content_type)
        else {
            return;
        };
        self.records
            .fetch_add(ledger.records - line.records, Ordering::Relaxed);
        line.records = ledger.records;
        let busy = line.begun.elapsed().saturating_sub(line.waited);
        line.bar.set_message(describe(
            &self.plan,
            |id| ledger.counter(id),
            ledger.records,
            busy,
        ));
    }

    fn waiting(&self, content_type: &str, time: Duration, reason: &str) {
        let mut lines = self.lines();
        if let Some(line) = lines
            .iter_mut()
            .find(|line| line.content_type == content_type)
        {
            line.waited += time;
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let time = match time {
                0 => String::new(),
                time => format!(" {}", figures::milliseconds(time)),
            };
            line.bar
                .set_message(format!("waiting{time}: {}", printable(reason)));
        }
    }

    fn ended(&self, ledger: &ContentLedger) {
        let mut lines = self.lines();
        let Some(place) = lines
            .iter()
            .position(|line| line.content_type == ledger.content_type)
        else {
            return;
        };
        lines[place].bar.finish_with_message(format!(
            "{}: {}",
            ledger.outcome.as_str(),
            figures::counted(ledger.records, "record")
        ));
        if let Some(next) = lines.get_mut(place + 1) {
            next.begun = Instant::now();
            next.begin();
        }
    }
}

impl Line {
    fn begin(&self) {
        self.bar.set_message("asking");
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(REDRAW);
        }
    }
}

/// The first of the plugin's counters that have counted something, the records, and their rate.
fn describe(
    plan: &LedgerPlan,
    counter: impl Fn(&str) -> u64,
    records: u64,
    busy: Duration,
) -> String {
    let mut parts: Vec<String> = plan
        .counters
        .iter()
        .map(|known| (known, counter(&known.id)))
        .filter(|(_, value)| *value > 0)
        .take(SHOWN)
        .map(|(known, value)| format!("{} {}", printable(&known.label), figures::count(value)))
        .collect();
    parts.push(figures::counted(records, "record"));
    let milliseconds = busy.as_millis().max(1);
    let rate = u128::from(records) * 1000 / milliseconds;
    parts.push(format!(
        "{}/s",
        figures::count(u64::try_from(rate).unwrap_or(u64::MAX))
    ));
    parts.join(" · ")
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started { .. } => {}
            Event::Committed { ledger } => self.committed(ledger),
            Event::Waiting {
                content_type,
                time,
                reason,
            } => {
                tracing::info!(content_type, seconds = time.as_secs(), "waiting: {reason}");
                self.waiting(content_type, *time, reason);
            }
            Event::Log(line) => log(line),
            Event::Ended { ledger } => self.ended(ledger),
        }
    }
}

/// Listens for the plugin's log lines and for nothing else.
pub(crate) struct LogOnly;

impl Observer for LogOnly {
    fn event(&self, event: &Event<'_>) {
        if let Event::Log(line) = event {
            log(line);
        }
    }
}

fn log(line: &LogLine) {
    let message = &line.message;
    match line.level {
        Level::Trace => tracing::trace!(target: "plugin", "{message}"),
        Level::Debug => tracing::debug!(target: "plugin", "{message}"),
        Level::Info => tracing::info!(target: "plugin", "{message}"),
        Level::Warn => tracing::warn!(target: "plugin", "{message}"),
        Level::Error => tracing::error!(target: "plugin", "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector_runtime::manifest::Counter;

    #[test]
    fn a_line_speaks_in_the_plugins_own_words() {
        let counter = |id: &str, label: &str| Counter {
            id: id.into(),
            label: label.into(),
        };
        let plan = LedgerPlan {
            counters: vec![
                counter("pages", "Pages read"),
                counter("listed", "Assets listed"),
                counter("set_aside", "Assets set aside"),
            ],
            equations: Vec::new(),
        };
        let value = |id: &str| match id {
            "pages" => 3,
            "listed" => 1_500,
            _ => 0,
        };
        assert_eq!(
            describe(&plan, value, 60_000, Duration::from_millis(1_500)),
            "Pages read 3 · Assets listed 1,500 · 60,000 records · 40,000/s"
        );
        assert_eq!(describe(&plan, |_| 0, 0, Duration::ZERO), "0 records · 0/s");
    }
}
