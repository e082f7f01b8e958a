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

/// Connectors whose secrets are remembered: of thousands that have run, those that have run last. Every text that leaves is
/// searched for the secrets of each.
const CONNECTORS: usize = 512;

/// The secrets of a connector.
#[derive(Default)]
struct Own {
    /// The latest is the last.
    redactors: Vec<Arc<Redactor>>,
    /// Which call of [`keep`] was the last for it.
    kept: u64,
}

/// All that are remembered.
#[derive(Default)]
struct Known {
    connectors: BTreeMap<String, Own>,
    /// Calls of [`keep`] so far.
    calls: u64,
}

/// One for the whole process, like the log that it guards; by connector, so that a process of weeks does not gather the same
/// secrets again and again. Kept beyond the run: an answer is printed after its connector is gone.
static KNOWN: RwLock<Known> = RwLock::new(Known {
    connectors: BTreeMap::new(),
    calls: 0,
});

/// From now on, these secrets of `connector` (`tenant/name`) do not leave.
pub(crate) fn keep(connector: &str, redactor: Arc<Redactor>) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.keep(connector, redactor);
}

/// The secrets of a connector that are known now: as long as they are held, they are not forgotten for others.
#[must_use]
pub(crate) fn hold(connector: &str) -> Vec<Arc<Redactor>> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let own = known.connectors.get(connector);
    own.map(|own| own.redactors.clone()).unwrap_or_default()
}

impl Known {
    fn keep(&mut self, connector: &str, redactor: Arc<Redactor>) {
        self.calls += 1;
        let own = self.connectors.entry(connector.to_owned()).or_default();
        own.kept = self.calls;
        // One that was known is the latest again.
        own.redactors.retain(|known| !known.is_same(&redactor));
        own.redactors.push(redactor);
        if own.redactors.len() > FORMER {
            own.redactors.remove(0);
        }
        if self.connectors.len() <= CONNECTORS {
            return;
        }
        let is_held = |own: &Own| {
            own.redactors
                .iter()
                .any(|known| Arc::strong_count(known) > 1)
        };
        let idle = self.connectors.iter().filter(|(_, own)| !is_held(own));
        let longest = idle.min_by_key(|(_, own)| own.kept);
        if let Some(longest) = longest.map(|(connector, _)| connector.clone()) {
            self.connectors.remove(&longest);
        }
    }
}

/// A connector is deleted, and its secrets with it.
pub(crate) fn forget(connector: &str) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .connectors
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
    let redactors = known.connectors.values().flat_map(|own| &own.redactors);
    for redactor in redactors {
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
        keep(connector, redactor_of(secret));
    }

    fn redactor_of(secret: &str) -> Arc<Redactor> {
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
        Arc::new(settings.redactor())
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
                assert_eq!(hold("acme/secrets-2").len(), 1);
            }
        }
        assert_eq!(hold("acme/secrets-2").len(), FORMER);
        assert_eq!(page("another key 8"), "[redacted]");
    }

    #[test]
    fn of_thousands_of_connectors_the_last_and_those_that_run_are_known() {
        let mut known = Known::default();
        let running = redactor_of("held by a run");
        known.keep("acme/running", Arc::clone(&running));
        for number in 0..2 * CONNECTORS {
            known.keep(&format!("acme/{number}"), redactor_of("any"));
        }
        assert_eq!(known.connectors.len(), CONNECTORS);
        assert!(known.connectors.contains_key("acme/running"));
        assert!(
            known
                .connectors
                .contains_key(&format!("acme/{}", 2 * CONNECTORS - 1))
        );
        assert!(!known.connectors.contains_key("acme/0"));
        drop(running);
        known.keep("acme/one more", redactor_of("any"));
        assert!(!known.connectors.contains_key("acme/running"));
    }
}
