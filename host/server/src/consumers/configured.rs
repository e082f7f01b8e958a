//! Which consumers a host has.

use super::Registration;
use crate::assets::AssetConsumer;
use crate::failure::Failure;
use crate::host::Host;
use connector_runtime::journal::{Start, WhenBehind};
use connector_runtime::runs::Stop;

/// The consumers of a host, in the order in which they are shown.
///
/// # Errors
/// Mistakes in their configuration.
pub(crate) fn configured(host: &Host, _stop: &Stop) -> Result<Vec<Registration>, Failure> {
    Ok(vec![Registration {
        consumer: Box::new(AssetConsumer::new(host.data_directory())),
        start: Start::Oldest,
        // What assets have lost, no later record tells again.
        when_behind: WhenBehind::Wait,
    }])
}
