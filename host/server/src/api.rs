//! The REST API.

pub(crate) mod extract;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod session;
pub(crate) mod tokens;
pub(crate) mod users;
