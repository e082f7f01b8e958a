//! The REST API.

pub(crate) mod problem;
pub(crate) mod request;
pub(crate) mod session;
pub(crate) mod tokens;
pub(crate) mod users;
