//! What went wrong inside a plugin, as a report that a person can use: kind, panic message, backtrace.

use crate::redaction::Redactor;
use serde::Serialize;
use std::fmt;

/// What kind of fault ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The guest trapped: a panic, an unreachable instruction, a bad access.
    Trap,
    /// A limit was broken.
    Limit,
    /// The guest broke the contract.
    Contract,
    /// The host failed while serving the guest.
    Host,
}

/// A call that did not return. The instance is gone; strikes are counted by whoever made the call.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// What kind it was.
    pub kind: FaultKind,
    /// The function of the contract that was called, or `start`.
    pub call: &'static str,
    /// One sentence.
    pub message: String,
    /// The end of what the guest wrote to its standard error: the panic's message.
    pub panic: Option<String>,
    /// Function names, innermost first.
    pub backtrace: Vec<String>,
    /// What to do about it, in a sentence.
    pub advice: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        if let Some(panic) = self
            .panic
            .as_deref()
            .and_then(|text| text.lines().next_back())
        {
            write!(formatter, " ({panic})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl FaultKind {
    /// As in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Limit => "limit",
            Self::Contract => "contract",
            Self::Host => "host",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Trap => {
                "This is a mistake in the plugin: send this report to its author, or put its former version back. Nothing of the batch was kept; a run goes on from the last one that was."
            }
            Self::Limit => {
                "If the plugin is meant to need that much, raise the limit in `[limits]` of host.toml; else send this report to its author. Nothing of the batch was kept; a run goes on from the last one that was."
            }
            Self::Contract => {
                "The plugin does not keep the contract (wit/connector.wit): send this report to its author. Nothing of the batch was kept; a run goes on from the last one that was."
            }
            Self::Host => {
                "The host could not do its part: look at its log, its disk and its memory, then run again."
            }
        }
    }
}

/// Raised inside host functions; carried through the guest's trap so that the report can name the cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// A limit was broken.
    #[error("{0}")]
    Limit(String),
    /// The host could not serve the call.
    #[error("the host could not serve the call: {0}")]
    Host(String),
}

const FRAMES: usize = 30;
const MESSAGE_BYTES: usize = 2000;
/// Longer names are shown as they stand.
const NAME_BYTES: usize = 4096;

/// Limits that wasmtime itself enforces inside a host call, by the key under which each can be set.
fn broken_limit(error: &wasmtime::Error) -> Option<&'static str> {
    use wasmtime::component::ResourceTableError;
    use wasmtime_wasi_http::FieldMapError;
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Some("more handles are open than allowed (`handles`)");
    }
    if let Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig) =
        error.downcast_ref()
    {
        return Some("a request has larger headers than allowed (`headers_kib`)");
    }
    // wasmtime keeps the types of these to itself.
    let said = error.root_cause().to_string();
    if said.starts_with("resource limit exceeded: ") {
        return Some("it has more memories, tables or instances than allowed (`core_instances`)");
    }
    said.ends_with("fuel allocated for hostcalls has been exhausted").then_some(
        "one call of a host function may not carry that much out of the plugin (`hostcall_mib`)",
    )
}

/// A frame by its function's name. The names are the plugin's: wasmtime would take those that look like C++ for it, and
/// they can be made to unfold to more than there is memory.
fn frame(frame: &wasmtime::FrameInfo, redactor: &Redactor) -> String {
    let name = match frame.func_name() {
        None => format!("function {}", frame.func_index()),
        Some(name) if name.len() > NAME_BYTES => name.to_owned(),
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
    };
    redactor.line(&name, 512)
}

impl Fault {
    /// Turns what a call returned into a report.
    ///
    /// `stderr` is redacted already, since it has been cut.
    /// `refused` is a growth of memory or table that was refused during the call: an allocation that fails then looks like
    /// any other trap.
    pub(crate) fn of_call(
        call: &'static str,
        error: &wasmtime::Error,
        stderr: &str,
        refused: Option<String>,
        redactor: &Redactor,
    ) -> Self {
        let (kind, message) = if let Some(broken) = error.downcast_ref::<Broken>() {
            let kind = match broken {
                Broken::Limit(_) => FaultKind::Limit,
                Broken::Host(_) => FaultKind::Host,
            };
            (kind, format!("The plugin was stopped: {broken}."))
        } else if let Some(refused) = refused {
            (
                FaultKind::Limit,
                format!("The plugin ran out of room ({refused})."),
            )
        } else if let Some(broken) = broken_limit(error) {
            (
                FaultKind::Limit,
                format!("The plugin was stopped: {broken}."),
            )
        } else if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
            let kind = match trap {
                wasmtime::Trap::StackOverflow => FaultKind::Limit,
                _ => FaultKind::Trap,
            };
            (kind, format!("The plugin trapped: {trap}."))
        } else {
            (
                FaultKind::Trap,
                format!("The plugin trapped: {}.", error.root_cause()),
            )
        };
        let said: Vec<String> = stderr
            .trim()
            .lines()
            // Advice of Rust's that nobody can follow here: a guest has no environment.
            .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"))
            .map(|line| redactor.line(line, 1024))
            .collect();
        let panic = (!said.is_empty()).then(|| said.join("\n"));
        let backtrace = error
            .downcast_ref::<wasmtime::WasmBacktrace>()
            .map(|backtrace| {
                let frames = backtrace.frames().iter().take(FRAMES);
                frames.map(|one| frame(one, redactor)).collect()
            })
            .unwrap_or_default();
        Self {
            kind,
            call,
            message: redactor.line(&message, MESSAGE_BYTES),
            panic,
            backtrace,
            advice: kind.advice(),
        }
    }

    /// A breach of the contract; its sentence may quote the guest.
    pub(crate) fn contract(call: &'static str, message: &str, redactor: &Redactor) -> Self {
        let message = redactor.line(message, MESSAGE_BYTES);
        Self::new(FaultKind::Contract, call, message)
    }

    pub(crate) fn new(kind: FaultKind, call: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            call,
            message: message.into(),
            panic: None,
            backtrace: Vec::new(),
            advice: kind.advice(),
        }
    }
}
