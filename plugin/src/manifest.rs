//! Manifest: what the connector is and what it asks for, as one JSON document.
//!
//! A surrounding host that knows nothing of Qualys draws its form, its grant, its quota and its ledger from this.

use serde_json::{Value, json};

use crate::settings::{PAGE, RESULTS_LIMIT};

/// The manifest.
#[must_use]
pub fn manifest() -> Value {
    json!({
        "manifest_version": 1,
        "id": "qualys", "name": "Qualys", "vendor": "qualys", "version": env!("CARGO_PKG_VERSION"),
        "category": "Vulnerability Scanner", "category_id": "scan",
        "functions": {"collect": true, "respond": false, "native_alerts_mapped": false},
        "content_types": [
            {"id": "hosts", "label": "Hosts", "msg_class": "qualys_hosts", "indices": ["syslog", "assets"]},
            {"id": "vulnerabilities", "label": "Vulnerabilities", "msg_class": "qualys_vulnerabilities",
             "indices": ["syslog", "scans"]}],
        "origin": {"source": "qualys_cloud_platform", "vendor": "qualys", "category": "security_scan"},
        "settings": settings_schema(),
        "roles": {"origin": "/qualys_url", "username": "/username", "password": "/password", "interval": "/interval",
                  "content_types": "/content_type"},
        "network": {
            "origin": "/qualys_url",
            "requests": [
                {"id": "host-list", "methods": ["POST"], "path": "/api/*/fo/asset/host/", "form": {"action": ["list"]}},
                {"id": "detection-list", "methods": ["POST"], "path": "/api/*/fo/asset/host/vm/detection/",
                 "form": {"action": ["list"]}},
                {"id": "about", "methods": ["GET"], "path": "/msp/about.php"}],
            "credential": {"scheme": "basic", "username": "/username", "password": "/password"}},
        "quota": {
            "buckets": [
                {"id": "host-list", "path": "/api/*/fo/asset/host/", "calls": 300, "window_seconds": 3600, "concurrency": 2},
                {"id": "detection-list", "path": "/api/*/fo/asset/host/vm/detection/", "calls": 300, "window_seconds": 3600,
                 "concurrency": 2}],
            "headers": {
                "limit": ["x-ratelimit-limit"], "window_seconds": ["x-ratelimit-window-sec"],
                "remaining": ["x-ratelimit-remaining"], "wait_seconds": ["x-ratelimit-towait-sec"],
                "concurrency_limit": ["x-concurrency-limit-limit", "x-concurrencylimit-limit"],
                "concurrency_running": ["x-concurrency-limit-running", "x-concurrencylimit-running"]}},
        "ledger": {
            "counters": [
                {"id": "pages", "label": "Pages read"},
                {"id": "listed", "label": "Hosts listed"},
                {"id": "collected", "label": "Hosts collected"},
                {"id": "clean", "label": "Hosts without detections"},
                {"id": "set_aside", "label": "Hosts set aside"},
                {"id": "vanished", "label": "Hosts vanished during the walk"},
                {"id": "repeated", "label": "Records read again, unchanged"},
                {"id": "repaired", "label": "Texts repaired"},
                {"id": "time_repaired", "label": "Times repaired"},
                {"id": "truncated", "label": "Values cut"}],
            "equations": [{"total": "listed", "parts": ["collected", "clean", "set_aside", "vanished"]}]},
    })
}

/// One setting: its schema, its place in the form, and whether it is for experts.
fn setting(order: u64, advanced: bool, schema: Value) -> Value {
    let mut schema = schema;
    schema["x-order"] = order.into();
    if advanced {
        schema["x-advanced"] = true.into();
    }
    schema
}

fn version(title: &str) -> Value {
    json!({"type": "string", "title": title, "default": "5.0", "pattern": "^[2-9]\\.[0-9]$",
           "description": "Version of the Qualys API, such as 5.0."})
}

fn texts(title: &str, description: &str) -> Value {
    json!({"type": "array", "title": title, "description": description, "default": [],
           "items": {"type": "string", "minLength": 1}})
}

fn flag(title: &str, description: &str, default: bool) -> Value {
    json!({"type": "boolean", "title": title, "description": description, "default": default})
}

/// The settings, as JSON Schema.
fn settings_schema() -> Value {
    let basic = [
        (
            "qualys_url",
            json!({"type": "string", "title": "Qualys API URL", "default": "https://", "minLength": 1,
            "description": "In the Qualys console, Help > About shows the addresses of your Security Operations Center; \
                            the one with API in it is the API URL."}),
        ),
        (
            "username",
            json!({"type": "string", "title": "User name", "minLength": 1, "pattern": "^[^:]+$",
            "description": "A Qualys user whose profile (User Roles) allows access to the API."}),
        ),
        (
            "password",
            json!({"type": "string", "title": "Password", "minLength": 1, "writeOnly": true,
            "pattern": "^[\\u0020-\\u007E]+$", "description": "ASCII characters only."}),
        ),
        (
            "interval",
            json!({"type": "integer", "title": "Interval (min)", "default": 5, "minimum": 1,
            "description": "Minutes between the starts of two runs."}),
        ),
        (
            "content_type",
            json!({"type": "array", "title": "Content Type", "minItems": 1, "uniqueItems": true,
            "default": ["hosts", "vulnerabilities"], "description": "What is collected.",
            "items": {"type": "string", "oneOf": [{"const": "hosts", "title": "Hosts"},
                                                  {"const": "vulnerabilities", "title": "Vulnerabilities"}]}}),
        ),
    ];
    let advanced = [
        ("host_list_version", version("API version of Host List")),
        (
            "detection_version",
            version("API version of Host List VM Detection"),
        ),
        (
            "hosts_per_page",
            json!({"type": "integer", "title": "Hosts per page", "default": 500, "minimum": PAGE.start(),
            "maximum": PAGE.end(), "description": "Larger pages need fewer calls, smaller ones arrive sooner."}),
        ),
        (
            "lookback_days",
            json!({"type": "integer", "title": "Look-back of a full walk (days)", "default": 0, "minimum": 0,
            "maximum": 36_500,
            "description": "How far back hosts must have been processed to be collected in a full walk; 0: everything."}),
        ),
        (
            "overlap_minutes",
            json!({"type": "integer", "title": "Overlap (min)", "default": 15, "minimum": 0,
            "maximum": 10_080, "description": "How much of the time before is read again; what is unchanged makes no record."}),
        ),
        (
            "information_gathered",
            flag(
                "Information Gathered",
                "Also collect findings of type Information Gathered.",
                false,
            ),
        ),
        (
            "ignored",
            flag(
                "Ignored detections",
                "Also collect detections that are ignored in Qualys.",
                true,
            ),
        ),
        (
            "disabled",
            flag(
                "Disabled detections",
                "Also collect detections whose QID is disabled in Qualys.",
                true,
            ),
        ),
        (
            "results",
            flag(
                "Results",
                "Collect the scan results of each detection, by far the largest part.",
                true,
            ),
        ),
        (
            "results_limit",
            json!({"type": "integer", "title": "Longest text (bytes)", "default": 262_144,
            "minimum": RESULTS_LIMIT.start(), "maximum": RESULTS_LIMIT.end(),
            "description": "A longer text is cut and marked with its full length and SHA-256."}),
        ),
        (
            "leave_out",
            texts(
                "Fields to leave out",
                "Names or dotted paths in the vendor's object, such as RESULTS, DETECTION.QDS_FACTORS or TAGS.COLOR.",
            ),
        ),
        (
            "tag_include",
            texts(
                "Only hosts with a tag",
                "Names of asset tags; any of them is enough.",
            ),
        ),
        (
            "tag_exclude",
            texts("No hosts with a tag", "Names of asset tags."),
        ),
        (
            "extra_parameters",
            json!({"type": "object", "title": "Extra parameters", "default": {},
            "description": "Further parameters of the Qualys API, by name; those that the connector sets itself are refused.",
            "propertyNames": {"pattern": "^[a-z0-9_]+$"}, "additionalProperties": {"type": ["string", "integer", "boolean"]}}),
        ),
    ];
    let all = basic
        .into_iter()
        .map(|one| (one, false))
        .chain(advanced.into_iter().map(|one| (one, true)));
    let properties: serde_json::Map<String, Value> = (1..)
        .zip(all)
        .map(|(order, ((name, schema), advanced))| {
            (name.to_owned(), setting(order, advanced, schema))
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Qualys",
        "type": "object",
        "additionalProperties": false,
        "required": ["qualys_url", "username", "password", "content_type"],
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pointer_of_the_manifest_names_a_setting() {
        let manifest = manifest();
        let settings = manifest["settings"]["properties"]
            .as_object()
            .expect("settings");
        let mut pointers: Vec<&Value> = manifest["roles"]
            .as_object()
            .expect("roles")
            .values()
            .collect();
        pointers.push(&manifest["network"]["origin"]);
        pointers.push(&manifest["network"]["credential"]["password"]);
        for pointer in pointers {
            let name = pointer
                .as_str()
                .and_then(|pointer| pointer.strip_prefix('/'))
                .expect("a pointer");
            assert!(settings.contains_key(name), "{name}");
        }
        assert_eq!(settings["password"]["writeOnly"], true);
        let basic = settings
            .values()
            .filter(|setting| setting.get("x-advanced").is_none())
            .count();
        assert_eq!(basic, 5);
    }

    #[test]
    fn the_defaults_of_the_form_are_the_defaults_of_the_connector() {
        let mut filled = serde_json::Map::new();
        let manifest = manifest();
        for (name, schema) in manifest["settings"]["properties"]
            .as_object()
            .expect("settings")
        {
            if let Some(default) = schema.get("default") {
                filled.insert(name.clone(), default.clone());
            }
        }
        let plain = json!({"qualys_url": "https://q.example.test", "username": "u", "content_type": ["hosts"]});
        filled.insert("qualys_url".into(), plain["qualys_url"].clone());
        filled.insert("username".into(), plain["username"].clone());
        filled.insert("content_type".into(), plain["content_type"].clone());
        let (full, _) =
            crate::settings::parse(&Value::Object(filled).to_string()).expect("defaults are good");
        let (plain, _) = crate::settings::parse(&plain.to_string()).expect("good settings");
        assert_eq!(full.fingerprint, plain.fingerprint);
        assert_eq!(
            (full.hosts_per_page, full.overlap_minutes),
            (plain.hosts_per_page, plain.overlap_minutes)
        );
    }

    #[test]
    fn the_equations_are_made_of_counters() {
        let manifest = manifest();
        let counters: Vec<&Value> = manifest["ledger"]["counters"]
            .as_array()
            .expect("counters")
            .iter()
            .map(|counter| &counter["id"])
            .collect();
        let report = serde_json::to_value(crate::report::Counters::default()).expect("JSON");
        for counter in &counters {
            assert!(report.get(counter.as_str().expect("a name")).is_some());
        }
        for equation in manifest["ledger"]["equations"]
            .as_array()
            .expect("equations")
        {
            for part in equation["parts"]
                .as_array()
                .expect("parts")
                .iter()
                .chain([&equation["total"]])
            {
                assert!(counters.contains(&part));
            }
        }
    }
}
