//! A plugin's log lines: bounded in number and length, without secrets and control characters, handed to whoever listens.

use super::bindings::interflow::connector::log::{Host, Level};
use super::state::State;
use crate::Limits;
use crate::limits::{Limit, Spending};
use std::sync::Arc;

/// One line of a plugin.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// Without secrets and control characters.
    pub message: String,
}

/// Where a plugin's lines go.
pub(crate) type Listener = Arc<dyn Fn(LogLine) + Send + Sync>;

pub(crate) struct Log {
    listener: Listener,
    lines_left: u32,
    /// Of the run, all its instances together.
    run_lines: u64,
    spending: Arc<Spending>,
    line_bytes: usize,
    lines_per_call: u32,
    dropped_in_call: u64,
    pub(crate) dropped: u64,
}

impl Log {
    pub(crate) fn new(listener: Listener, limits: &Limits, spending: Arc<Spending>) -> Self {
        Self {
            listener,
            lines_left: limits.log_lines,
            run_lines: u64::from(limits.run_log_lines),
            spending,
            lines_per_call: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            dropped_in_call: 0,
            dropped: 0,
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.lines_left = self.lines_per_call;
        self.dropped_in_call = 0;
    }

    /// Lines of this call, those that were dropped included.
    pub(crate) fn lines(&self) -> u64 {
        u64::from(self.lines_per_call - self.lines_left) + self.dropped_in_call
    }
}

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.note_copied(message.len());
        self.spending
            .note(Limit::LogLineBytes, message.len() as u64);
        let log = &mut self.log;
        let in_run = log.spending.peak(Limit::RunLogLines);
        if log.lines_left == 0 || in_run >= log.run_lines {
            log.dropped_in_call += 1;
            log.dropped += 1;
            return Ok(());
        }
        log.lines_left -= 1;
        log.spending.note(Limit::RunLogLines, in_run + 1);
        let message = self.redactor.line(&message, log.line_bytes);
        (log.listener)(LogLine { level, message });
        Ok(())
    }
}
