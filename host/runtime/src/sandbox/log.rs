//! A plugin's log lines: bounded in number and length, without secrets and control characters, handed to whoever listens.

use super::bindings::interflow::connector::log::{Host, Level};
use super::state::State;
use crate::Limits;
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
    line_bytes: usize,
    lines_per_call: u32,
    pub(crate) dropped: u64,
}

impl Log {
    pub(crate) fn new(listener: Listener, limits: &Limits) -> Self {
        Self {
            listener,
            lines_left: limits.log_lines,
            lines_per_call: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            dropped: 0,
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.lines_left = self.lines_per_call;
    }
}

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let log = &mut self.log;
        if log.lines_left == 0 {
            log.dropped += 1;
            return Ok(());
        }
        log.lines_left -= 1;
        let message = self.redactor.line(&message, log.line_bytes);
        (log.listener)(LogLine { level, message });
        Ok(())
    }
}
