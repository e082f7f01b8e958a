//! Which consumers a host has.

use super::Registration;
use crate::failure::Failure;
use crate::forwarders::{self, Surroundings};
use crate::host::Host;
use connector_runtime::runs::Stop;
use tokio::runtime::Handle;

/// The consumers of a host, in the order in which they are shown.
///
/// # Errors
/// Mistakes in their configuration.
pub(crate) fn configured(host: &Host, stop: &Stop) -> Result<Vec<Registration>, Failure> {
    let surroundings = Surroundings {
        data: host.data_directory().to_owned(),
        clock: host.clock().clone(),
        stop: stop.clone(),
        runtime: Handle::current(),
        insecure_loopback: host.insecure_loopback(),
    };
    let forwarders = forwarders::registrations(host.forwarders(), &surroundings)?;
    Ok(forwarders)
}
