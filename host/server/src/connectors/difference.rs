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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let text = json!({
            "manifest_version": 1, "id": "acme-scanner", "name": "Acme", "vendor": "acme", "version": "0.1.0",
            "category": "Vulnerability Scanner", "category_id": "scan", "functions": {"collect": true},
            "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog"]}],
            "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
            "settings": {"type": "object", "properties": {"token": {"type": "string", "writeOnly": true}}},
            "roles": {"origin": "/url", "username": "/user", "password": "/token", "interval": "/every", "content_types": "/types"},
            "network": {"origin": "/url", "requests": [],
                "credential": {"scheme": "basic", "username": "/user", "password": "/token"}},
        });
        Manifest::parse(&text.to_string()).unwrap()
    }

    fn between(before: &Value, after: &Value) -> (Vec<String>, Vec<String>, bool) {
        let difference = Difference::of(&manifest(), before, after, false);
        (difference.keys, difference.shaping, difference.is_elsewhere)
    }

    #[test]
    fn what_selects_data_leads_to_a_full_walk_and_the_rest_does_not() {
        let before = json!({"url": "https://a.example.test", "user": "u", "every": 5, "types": ["x"], "tags": ["t"]});
        let with = |name: &str, value: Value| {
            let mut after = before.clone();
            after[name] = value;
            between(&before, &after)
        };
        let own = |name: &str| vec![name.to_owned()];
        assert_eq!(between(&before, &before), (vec![], vec![], false));
        assert_eq!(with("every", json!(15)), (own("every"), vec![], false));
        assert_eq!(with("types", json!(["y"])), (own("types"), vec![], false));
        assert_eq!(with("tags", json!([])), (own("tags"), own("tags"), false));
        assert_eq!(with("new", json!(1)), (own("new"), own("new"), false));
        assert_eq!(with("user", json!("v")), (own("user"), own("user"), true));
        let url = "https://b.example.test";
        assert_eq!(with("url", json!(url)), (own("url"), own("url"), true));
    }

    #[test]
    fn the_same_address_in_another_spelling_and_a_secret_are_no_difference() {
        let before = json!({"url": "https://a.example.test", "token": "one"});
        let after = json!({"url": " a.example.test/ ", "token": "two"});
        assert_eq!(between(&before, &after), (vec![], vec![], false));
    }
}
