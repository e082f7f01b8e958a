//! Which consumers a host has.

use super::Registration;
use crate::assets::AssetConsumer;
use crate::failure::Failure;
use crate::forwarders::{self, Surroundings};
use crate::host::Host;
use connector_runtime::journal::{Start, WhenBehind};
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
    let mut registrations = vec![Registration {
        consumer: Box::new(AssetConsumer::new(host.data_directory())),
        start: Start::Oldest,
        // What assets have lost, no later record tells again.
        when_behind: WhenBehind::Wait,
    }];
    registrations.extend(forwarders::registrations(host.forwarders(), &surroundings)?);
    Ok(registrations)
}
