//! Qualys connector: hosts and vulnerability detections of a Qualys subscription, as records.
//!
//! The way of the data is the order in which to read the modules: `settings` with `address`, and `manifest` (what an operator can say);
//! `request` (the parameters of each call); `client` and `verdict` over `document` (answers, and what an answer means that is no page); `page` and `window` over
//! `xml`, `text`, `long_text` and `bytes` (a page read as a stream, host by host); `tree`, `view` and `object` over `elements` (elements as JSON); `hosts` and
//! `detections` (records); `memory` (what was emitted before); `cursor`, `walk`, `reading`, `isolation` and `collect` (the walk, with `batch`,
//! `outbox` and `report`); `probe` (the test of a connection); `connector` (the five calls of the contract).
//!
//! Everything is plain Rust over the traits of `environment` and runs natively, which is how it is tested. Only `glue` knows WebAssembly.

mod address;
mod batch;
mod bytes;
mod client;
mod collect;
mod connector;
mod cursor;
mod detections;
mod document;
mod elements;
pub mod environment;
mod fault;
#[cfg(target_arch = "wasm32")]
mod glue;
mod hosts;
mod isolation;
mod long_text;
mod manifest;
mod memory;
mod object;
mod outbox;
mod page;
mod probe;
mod reading;
mod report;
mod request;
mod settings;
mod text;
mod timestamp;
mod tree;
mod verdict;
mod view;
mod walk;
mod window;
mod xml;

pub use batch::{Batch, BatchRequest};
pub use connector::Connector;
pub use fault::{Fault, FaultKind};
pub use manifest::manifest;
pub use probe::{Check, Outcome};
pub use settings::Remark;
