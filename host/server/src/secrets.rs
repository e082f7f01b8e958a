//! The secrets that this process has read, so that none of them leaves with a log line or an answer.
//!
//! The last fence: what a plugin, a server or the network said was redacted where it was heard. This one stands where text
//! leaves the process, whoever wrote it, and looks for what can be recognised anywhere.
//!
//! Not for records: they are the vendor's data and leave as they were collected.

use connector_runtime::redaction::Redactor;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Different secrets of one connector that are remembered: a run that began before a change may still speak of the former one.
const FORMER: usize = 4;

/// One for the whole process, like the log that it guards; by connector, so that a process of weeks does not gather the same
/// secrets again and again. Kept beyond the run: an answer is printed after its connector is gone.
static KNOWN: RwLock<BTreeMap<String, Vec<Arc<Redactor>>>> = RwLock::new(BTreeMap::new());

/// From now on, these secrets of `connector` (`tenant/name`) do not leave.
pub(crate) fn keep(connector: &str, redactor: Arc<Redactor>) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let own = known.entry(connector.to_owned()).or_default();
    // The latest is the last; one that was known is the latest again.
    own.retain(|known| !known.is_same(&redactor));
    own.push(redactor);
    if own.len() > FORMER {
        own.remove(0);
    }
}

/// A connector is deleted, and its secrets with it.
pub(crate) fn forget(connector: &str) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(connector);
}

/// A text on its way out.
pub(crate) fn page(text: &str) -> Cow<'_, str> {
    through(text, Redactor::page)
}

/// A JSON document on its way out.
pub(crate) fn json(document: &str) -> Cow<'_, str> {
    through(document, Redactor::json)
}

fn through<'a>(
    text: &'a str,
    redact: impl for<'b> Fn(&Redactor, &'b str) -> Cow<'b, str>,
) -> Cow<'a, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for redactor in known.values().flatten() {
        if let Cow::Owned(redacted) = redact(redactor, &text) {
            text = Cow::Owned(redacted);
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use connector_runtime::manifest::Manifest;
    use connector_runtime::settings::Settings;

    /// From now on, this secret does not leave.
    pub(crate) fn keep_one(secret: &str) {
        keep_of(&format!("acme/{secret}"), secret);
    }

    fn keep_of(connector: &str, secret: &str) {
        let manifest = serde_json::json!({
            "manifest_version": 1, "id": "acme-scanner", "name": "Acme Scanner", "vendor": "acme", "version": "0.1.0",
            "category": "Vulnerability Scanner", "category_id": "scan", "functions": {"collect": true},
            "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog"]}],
            "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
            "settings": {"type": "object", "properties": {"url": {"type": "string"}, "key": {"type": "string", "writeOnly": true}}},
            "roles": {"origin": "/url"},
            "network": {"origin": "/url", "requests": []},
        });
        let manifest = Manifest::parse(&manifest.to_string()).unwrap();
        let settings = serde_json::json!({"url": "https://scanner.example.test", "key": secret});
        let settings = Settings::check(&manifest, &settings, false).unwrap();
        keep(connector, Arc::new(settings.redactor()));
    }

    #[test]
    fn what_is_kept_leaves_in_no_text_and_no_document() {
        let text = "key \"of-no-other-test\"";
        assert_eq!(page(text), text);
        keep_one(text);
        assert_eq!(page(&format!("a {text} b")), "a [redacted] b");
        let document = serde_json::json!({"a": text, "b": [1]});
        assert_eq!(json(&document.to_string()), r#"{"a":"[redacted]","b":[1]}"#);
    }

    #[test]
    fn a_connectors_last_secrets_are_kept_and_each_once() {
        for number in [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8] {
            keep_of("acme/secrets-2", &format!("another key {number}"));
            if number == 0 {
                assert_eq!(KNOWN.read().unwrap()["acme/secrets-2"].len(), 1);
            }
        }
        assert_eq!(KNOWN.read().unwrap()["acme/secrets-2"].len(), FORMER);
        assert_eq!(page("another key 8"), "[redacted]");
    }
}
