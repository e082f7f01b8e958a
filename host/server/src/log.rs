//! The log: one subscriber, on standard error, kept apart from the progress display. No secret leaves through it.

use crate::arguments::{Arguments, Command, LOG_VARIABLE, PluginsCommand};
use crate::failure::Failure;
use crate::secrets;
use indicatif::MultiProgress;
use std::io::{IsTerminal as _, Write};
use tracing_subscriber::EnvFilter;

/// Starts the log. Does nothing if the process has one already.
///
/// # Errors
/// If the level that was asked for is none.
pub(crate) fn start(arguments: &Arguments, screen: &MultiProgress) -> Result<(), Failure> {
    let level = arguments
        .global
        .log
        .as_deref()
        .unwrap_or(match arguments.command {
            // The list itself says which files were refused, and why.
            Command::Plugins(PluginsCommand::List { .. }) => {
                "warn,connector_runtime::plugins=error"
            }
            _ => "warn",
        });
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failure::Usage(format!(
            "--log (or {LOG_VARIABLE}): `{level}` is neither a level nor a filter ({error}). Use error, warn, info, debug or trace."
        ))
    })?;
    let screen = screen.clone();
    // A second command in one process goes on with the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(move || Beside(screen.clone()))
        .try_init();
    Ok(())
}

/// Writes above the progress display instead of through it.
struct Beside(MultiProgress);

impl Write for Beside {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        // A whole event comes at once.
        let line = String::from_utf8_lossy(text);
        let line = secrets::page(&line);
        self.0
            .suspend(|| std::io::stderr().write_all(line.as_bytes()))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
