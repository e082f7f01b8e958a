//! The REST API's routes, by what they are about.

pub(crate) mod alerts;
pub(crate) mod metrics;
