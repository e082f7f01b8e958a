//! The sandbox: runs a plugin so that it can do what was granted, spends bounded resources, and harms nobody.
//!
//! Promises: a fresh store per [`Instance`], dropped after any trap, time-out or host error; only the interfaces of
//! [`crate::plugins::imports::OFFERED`] are linked; every number of [`crate::Limits`] that names this module is enforced;
//! calls into one instance are serial by construction (`&mut self`).
//!
//! Never here: a decision what to do after a failure (`runs`), or a secret (`egress`).

mod bindings;
mod cache;
mod calls;
mod clocks;
mod compiler;
mod cpu;
mod dump;
mod engine;
mod errors;
mod failure;
mod fault;
mod gate;
mod instance;
mod limiter;
mod log;
mod meter;
mod sink;
mod state;
mod stderr;

pub use bindings::interflow::connector::log::Level;
pub use bindings::interflow::connector::types::ErrorKind;
pub use cache::{CacheStore, CacheWrites};
pub use calls::{
    BatchRequest, Check, Collected, Notice, Outcome, Remark, Report, SeenObject, SetAside, Split,
};
pub(crate) use compiler::CompileError;
pub use compiler::{Compilation, Compiler};
pub use dump::CoreDump;
pub(crate) use dump::CoreDumps;
pub(crate) use engine::Prepared;
pub use engine::{Engine, EngineError};
pub use failure::{CallFailure, PluginFailure};
pub use fault::{Fault, FaultKind};
pub use gate::Gate;
pub use instance::{Instance, NoCache, Session};
pub use limiter::Usage;
pub use log::LogLine;
pub(crate) use meter::{Meter, Wait as MeterWait};
pub use sink::SinkItem;
