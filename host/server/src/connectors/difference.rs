//! What a change of settings means: which keys change, whether another origin or account is meant, and whether what was
//! collected has to be read again.

use connector_runtime::Manifest;
use connector_runtime::settings::without_secrets;
use serde_json::Value;
use std::collections::BTreeSet;

/// Between two sets of settings. Keys are those of the settings' top level, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Every setting that differs; secrets are not compared.
    pub(crate) keys: Vec<String>,
    /// Those of `keys` that select or shape what is collected: all but the interval and the content types, of which a new
    /// one begins at its own beginning. The plugin's position carries a fingerprint of what matters to it, and the next run
    /// reads everything again where that no longer fits.
    pub(crate) shaping: Vec<String>,
    /// The origin or the account differs, so no stored secret may be used.
    pub(crate) is_elsewhere: bool,
}

impl Difference {
    /// Compares settings as they were typed; the same origin in another spelling is no difference.
    pub(crate) fn of(
        manifest: &Manifest,
        before: &Value,
        after: &Value,
        insecure_loopback: bool,
    ) -> Self {
        let before = without_secrets(manifest, before, insecure_loopback);
        let after = without_secrets(manifest, after, insecure_loopback);
        let names = [&before, &after]
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|settings| settings.keys())
            .collect::<BTreeSet<_>>();
        let keys: Vec<String> = names
            .into_iter()
            .filter(|name| before.get(name) != after.get(name))
            .cloned()
            .collect();
        let roles = &manifest.roles;
        let plain: Vec<_> = [&roles.interval, &roles.content_types]
            .into_iter()
            .flatten()
            .map(|pointer| top(pointer))
            .collect();
        let shaping = keys
            .iter()
            .filter(|key| !plain.contains(key))
            .cloned()
            .collect();
        let credential = manifest.network.credential.as_ref();
        let is_elsewhere = [
            Some(&roles.origin),
            roles.username.as_ref(),
            credential.map(|plan| &plan.username),
        ]
        .into_iter()
        .flatten()
        .any(|pointer| before.pointer(pointer) != after.pointer(pointer));
        Self {
            keys,
            shaping,
            is_elsewhere,
        }
    }
}

/// The name of the top-level setting that a pointer leads into.
fn top(pointer: &str) -> String {
    let name = pointer.split('/').nth(1).unwrap_or_default();
    name.replace("~1", "/").replace("~0", "~")
}
