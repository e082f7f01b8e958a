//! Assets: one row for each machine, whatever saw it, and what it is vulnerable to.
//!
//! ```text
//! journal ─ blocks ─▶ consumer ┬ records ─▶ machine ─▶ identity ─▶ which asset ┐
//!                              │         └▶ finding ─────────────▶ detections  ├─▶ assets.sqlite ─▶ store
//!                              └ notes ──▶ what a host still has ─────────────▶ closed            ┘
//! ```
//!
//! Promises: an asset is never deleted, and keeps its id; when two turn out to be one, the older one's id stays and the other
//! becomes an alias. The event time decides: an older record never overwrites a newer one. The table depends on the blocks
//! and their order only, not on how they were cut into commits or how often the process ended: made again, it is the same,
//! ids included. The place in the journal is written in the same transaction.
//!
//! Two machines are never merged if something stronger than what they have in common tells them apart. Strongest first: what
//! an agent left on the machine (`asset.id`), the cloud's instance (`cloud.instance.id`), the vendor's host id within one
//! connector (`host.id`), the MAC address (`host.mac`), the address within one connector and network.
//!
//! Never here: a vendor's own field. A plugin says these things in the words above.

pub(crate) mod column;
mod consumer;
pub(crate) mod document;
mod error;
mod finding;
mod identity;
mod machine;
mod merge;
mod notes;
mod presence;
mod record;
mod schema;
pub(crate) mod store;
mod summary;

#[cfg(test)]
mod tests;

pub(crate) use crate::backup::ASSETS as FILE_NAME;
pub(crate) use consumer::{AssetConsumer, NAME};
pub(crate) use error::AssetError;
pub(crate) use store::AssetStore;
