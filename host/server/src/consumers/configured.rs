//! Which consumers a host has.

use super::Registration;
use crate::failure::Failure;
use crate::host::Host;
use connector_runtime::runs::Stop;

/// The consumers of a host, in the order in which they are shown.
///
/// # Errors
/// Mistakes in their configuration.
pub(crate) fn configured(_host: &Host, _stop: &Stop) -> Result<Vec<Registration>, Failure> {
    Ok(Vec::new())
}
