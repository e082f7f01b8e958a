//! What a plugin says about settings that are not in use yet.
//!
//! Never here: a request. The instance has no way out, no cache and no secret, and is dropped after the one call.

use crate::Clock;
use crate::plugins::Plugin;
use crate::sandbox::{Fault, Remark, Session};
use serde_json::Value;

/// Asks `plugin` about `settings` (without secrets, see [`crate::settings::without_secrets`]), also about some that the
/// host's own checks refuse, so that a person hears of all mistakes at once. `Ok(Ok(..))` are its warnings, `Ok(Err(..))` the
/// mistakes that it found.
///
/// # Errors
/// A fault of the plugin.
pub async fn configure(
    plugin: &Plugin,
    settings: &Value,
    clock: &Clock,
) -> Result<Result<Vec<Remark>, Vec<Remark>>, Fault> {
    let mut instance = plugin.prepared.open(Session::closed(clock)).await?;
    instance.configure(settings).await
}
