//! Hostile plugins: every attack ends as the design says, costs nobody else anything, and leaves a connector that works.
//!
//! [`tests::hostile::Attack::run`] makes each attack beside a connector that means well, and lets the same connector run
//! once more without it; both must succeed. What is asserted here is the attack's own end.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod bodies;
mod caches;
mod files;
mod network;
mod records;
mod resources;
mod texts;
