//! The commands: each turns checked arguments into work and the work into an answer.

pub(crate) mod collect;
pub(crate) mod export;
pub(crate) mod plugins;
pub(crate) mod test;
