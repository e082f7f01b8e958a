//! The log: one subscriber, on standard error, kept apart from the progress display. No secret leaves through it.
//!
//! Lines are for people, or one JSON object each. Beside it, spans go to a collector if there is one (see
//! [`crate::telemetry`]); each has a filter of its own.

use crate::arguments::{Arguments, Command, LOG_VARIABLE, LogFormat, PluginsCommand};
use crate::failure::Failure;
use crate::secrets;
use crate::telemetry::Telemetry;
use indicatif::MultiProgress;
use std::borrow::Cow;
use std::io::{IsTerminal as _, Write};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Starts the log, and the traces if there are any. Does nothing if the process has a log already.
///
/// # Errors
/// If the level that was asked for is none.
pub(crate) fn start(
    arguments: &Arguments,
    screen: &MultiProgress,
    telemetry: Option<&Telemetry>,
) -> Result<(), Failure> {
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
    let format = arguments.global.log_format;
    let is_terminal = std::io::stderr().is_terminal();
    let lines = lines(format, is_terminal, move || Beside {
        screen: screen.clone(),
        format,
    });
    // A second command in one process goes on with the first one's log.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(telemetry.map(Telemetry::layer))
        .try_init();
    Ok(())
}

/// What writes a line for each event.
fn lines<S, W>(format: LogFormat, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => layer.with_ansi(is_terminal).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// A line on its way out: without secrets, and JSON still if it was.
fn fenced(format: LogFormat, line: &str) -> Cow<'_, str> {
    match format {
        LogFormat::Text => secrets::page(line),
        LogFormat::Json => secrets::json(line),
    }
}

/// Writes above the progress display instead of through it.
struct Beside {
    screen: MultiProgress,
    format: LogFormat,
}

impl Write for Beside {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        // A whole event comes at once.
        let line = String::from_utf8_lossy(text);
        let line = fenced(self.format, &line);
        self.screen
            .suspend(|| std::io::stderr().write_all(line.as_bytes()))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<String>>);

    impl Write for Kept {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            let line = String::from_utf8_lossy(text);
            let line = fenced(LogFormat::Json, &line);
            self.0.lock().unwrap().push_str(&line);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_of_a_json_log_is_one_object_whatever_was_redacted_in_it() {
        let secret = "pass\"word\\of the\tlog\u{1b}'s test";
        secrets::tests::keep_one(secret);
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = lines(LogFormat::Json, false, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("run", connector = "acme/scanner-1");
            let _run = span.enter();
            tracing::warn!(code = 7, "it said: {secret}, and went on\nin a second line");
            tracing::warn!(quoted = secret, "again");
        });
        let text = kept.0.lock().unwrap().clone();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            lines[0]["message"],
            "it said: [redacted], and went on\nin a second line"
        );
        assert_eq!(
            (&lines[0]["level"], &lines[0]["code"]),
            (&"WARN".into(), &7.into())
        );
        assert_eq!(lines[0]["span"]["connector"], "acme/scanner-1");
        assert_eq!(lines[1]["quoted"], "[redacted]");
    }
}
