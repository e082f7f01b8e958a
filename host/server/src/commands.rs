//! The commands: each turns checked arguments into work and the work into an answer.

pub(crate) mod alerts;
pub(crate) mod assets;
pub(crate) mod backup;
pub(crate) mod collect;
pub(crate) mod completions;
pub(crate) mod connectors;
pub(crate) mod consumers;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod filters;
pub(crate) mod forwarders;
#[cfg(feature = "search")]
pub(crate) mod index;
pub(crate) mod plugins;
pub(crate) mod profiles;
mod question;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod tenants;
pub(crate) mod test;
pub(crate) mod tokens;
pub(crate) mod users;
