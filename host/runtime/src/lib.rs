//! The small host: everything that a record passes on its way from a connector plugin to the journal.
//!
//! ```text
//! vendor's API ──▶ egress ──▶ plugin (wasm) ──▶ sink ──▶ journal
//! ```
//!
//! A plugin is a WebAssembly component of the world `interflow:connector/plugin`. [`plugins`] finds and checks it,
//! [`sandbox`] runs it within [`Limits`], [`egress`] is its only way out, [`interflow`] checks what it emits and seals it
//! into records, [`journal`] commits records, cursor and cache writes together, and [`runs`] drives one run with its
//! retries and writes its ledger. [`testing`] is the same machinery for authors of plugins: scripted answers, no sockets,
//! simulated time.
//!
//! No web server, no search, no schedule here, and no vendor: whatever is particular to one stands in the plugin's
//! manifest.
#![forbid(unsafe_code)]

pub mod clock;
mod digest;
pub mod egress;
pub mod interflow;
pub mod journal;
pub mod limits;
pub mod manifest;
pub mod plugins;
pub mod redaction;
pub mod runs;
pub mod sandbox;
pub mod settings;
pub mod testing;

pub use clock::Clock;
pub use limits::Limits;
pub use manifest::Manifest;
