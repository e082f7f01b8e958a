//! Qualys connector: hosts and vulnerability detections of a Qualys subscription, as records.
//!
//! The way of the data is the order of the modules: `settings` and `manifest` (what an operator can say), `request` (the parameters of each
//! call), `client` (answers, and what is none), `page` over `xml` and `text` (a page read as a stream, host by host), `tree` over `elements`
//! (elements as JSON), `hosts` and `detections` (records), `memory` (what was emitted before), `cursor` and `collect` (the walk),
//! `connector` (the five calls of the contract).
//!
//! Everything is plain Rust over the traits of `environment` and runs natively, which is how it is tested. Only `glue` knows WebAssembly.

mod client;
mod collect;
mod connector;
mod cursor;
mod detections;
mod elements;
pub mod environment;
mod fault;
#[cfg(target_arch = "wasm32")]
mod glue;
mod hosts;
mod manifest;
mod memory;
mod outbox;
mod page;
mod probe;
mod report;
mod request;
mod settings;
mod text;
mod timestamp;
mod tree;
mod xml;

pub use collect::{Batch, BatchRequest};
pub use connector::Connector;
pub use fault::{Fault, FaultKind};
pub use manifest::manifest;
pub use probe::{Check, Outcome};
pub use settings::Remark;
