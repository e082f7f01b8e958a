use super::*;
use serde_json::{Value, json};

fn manifest() -> Value {
    json!({
        "manifest_version": 1, "id": "acme-scanner", "name": "Acme Scanner", "vendor": "acme", "version": "0.1.0",
        "category": "Scanner", "category_id": "scan", "functions": {"collect": true},
        "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog"]}],
        "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
        "settings": {"type": "object", "properties": {
            "url": {"type": "string"}, "user": {"type": "string"}, "token": {"type": "string", "writeOnly": true},
            "key": {"type": "string", "writeOnly": true},
        }},
        "roles": {"origin": "/url", "username": "/user", "password": "/token"},
        "network": {
            "origin": "/url",
            "requests": [
                {"id": "assets", "methods": ["GET", "POST"], "path": "/api/*/assets", "form": {"action": ["list", "count"]}},
                {"id": "about", "methods": ["GET"], "path": "/about"},
            ],
            "credential": {"scheme": "basic", "username": "/user", "password": "/token"},
        },
        "quota": {
            "buckets": [{"id": "assets", "path": "/api/*/assets", "calls": 300, "window_seconds": 3600, "concurrency": 2}],
            "headers": {"limit": ["x-limit"]},
        },
    })
}

fn imports() -> Vec<String> {
    ["wasi:http/types@0.2.6", "interflow:connector/sink@0.1.0"]
        .map(String::from)
        .to_vec()
}

fn request(manifest: &Value) -> GrantRequest {
    GrantRequest::of(&Manifest::parse(&manifest.to_string()).unwrap(), &imports())
}

/// What a changed manifest asks for beyond the one above.
fn beyond(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut changed = manifest();
    change(&mut changed);
    request(&changed).beyond(&request(&manifest()))
}

#[test]
fn the_order_in_which_a_plugin_asks_changes_neither_form_nor_digest() {
    let mut turned = manifest();
    turned["network"]["requests"] = json!([
        {"id": "about", "methods": ["GET"], "path": "/about"},
        {"id": "assets", "methods": ["POST", "GET", "GET"], "path": "/api/*/assets", "form": {"action": ["count", "list"]}},
    ]);
    assert_eq!(
        request(&turned).canonical(),
        request(&manifest()).canonical()
    );
    assert_eq!(request(&turned).digest(), request(&manifest()).digest());
    let read: GrantRequest = serde_json::from_str(&request(&manifest()).canonical()).unwrap();
    assert_eq!(read, request(&manifest()));
    turned["network"]["requests"][0]["path"] = json!("/users");
    assert_ne!(request(&turned).digest(), request(&manifest()).digest());
}

#[test]
fn less_or_the_same_is_covered() {
    assert!(beyond(|_| {}).is_empty());
    let less = beyond(|manifest| {
        manifest["network"]["requests"] = json!([
            {"id": "other-name", "methods": ["GET"], "path": "/api/2.0/assets", "form": {"action": ["list"], "page": ["1"]}},
        ]);
        manifest["network"]["credential"] = Value::Null;
        manifest["quota"]["buckets"] = json!([
            {"id": "renamed", "path": "/api/*/assets", "calls": 150, "window_seconds": 1800, "concurrency": 1},
        ]);
        manifest["version"] = json!("9.9.9");
    });
    assert_eq!(less, [""; 0]);
}

#[test]
fn a_rule_method_path_field_or_value_that_was_not_accepted_is_named() {
    let rule = |rule: Value| {
        beyond(|manifest| {
            manifest["network"]["requests"]
                .as_array_mut()
                .unwrap()
                .push(rule);
        })
    };
    assert_eq!(
        rule(json!({"id": "users", "methods": ["GET"], "path": "/users"})),
        ["requests users: GET /users"]
    );
    assert_eq!(
        rule(json!({"id": "about", "methods": ["GET", "DELETE"], "path": "/about"})),
        ["requests about: DELETE /about"]
    );
    assert_eq!(
        rule(json!({"id": "any", "methods": ["GET"], "path": "/*"})),
        ["requests any: GET /*"]
    );
    let form = |form: Value| {
        rule(json!({"id": "a", "methods": ["GET"], "path": "/api/1/assets", "form": form}))
    };
    assert_eq!(
        form(json!({"action": ["list", "purge"]})),
        ["requests a: GET /api/1/assets, with action=list|purge"]
    );
    // Without the field every value is allowed.
    assert_eq!(form(json!({})), ["requests a: GET /api/1/assets"]);
    assert!(form(json!({"action": ["count"]})).is_empty());
}

#[test]
fn another_credential_address_or_a_secret_that_is_none_any_more_is_named() {
    let credential = beyond(|manifest| {
        manifest["network"]["credential"]["password"] = json!("/key");
    });
    assert_eq!(
        credential,
        ["requests that carry a credential from the settings /user and /key"]
    );
    let address = beyond(|manifest| {
        manifest["network"]["origin"] = json!("/other");
        manifest["roles"]["origin"] = json!("/other");
    });
    assert_eq!(
        address,
        ["the vendor's address from the setting /other instead of /url"]
    );
    let secret = beyond(|manifest| {
        manifest["settings"]["properties"]["key"] = json!({"type": "string"});
    });
    assert_eq!(
        secret,
        ["to see the setting /key, which was a secret before"]
    );
}

#[test]
fn a_quota_that_holds_it_back_less_is_named() {
    let bucket = |bucket: Value| {
        beyond(|manifest| {
            manifest["quota"]["buckets"][0] = bucket;
        })
    };
    let named = ["more than 300 calls in 3600 s, 2 at a time, to /api/*/assets"];
    for (calls, window, concurrency, path) in [
        (301, 3600, 2, "/api/*/assets"),
        (300, 3599, 2, "/api/*/assets"),
        (300, 3600, 3, "/api/*/assets"),
        (600, 7200, 2, "/api/*/assets"),
    ] {
        let changed = json!({"id": "assets", "path": path, "calls": calls, "window_seconds": window, "concurrency": concurrency});
        assert_eq!(bucket(changed.clone()), named, "{changed}");
    }
    let headers = beyond(|manifest| manifest["quota"]["headers"] = json!({"limit": ["age"]}));
    assert_eq!(
        headers,
        ["to have the vendor's limits read from other headers"]
    );
}

#[test]
fn a_quota_is_not_multiplied_by_splitting_moving_adding_or_dropping_buckets() {
    let bucket = |path: &str, calls: u32| json!({"id": path, "path": path, "calls": calls, "window_seconds": 3600, "concurrency": 2});
    let accepted = "300 calls in 3600 s, 2 at a time, to /api/*/assets";
    for (buckets, named) in [
        (
            vec![bucket("/api/1/assets", 300), bucket("/api/*/assets", 300)],
            "300 calls in 3600 s, 2 at a time, to /api/1/assets and 300 calls in 3600 s, 2 at a time, to /api/*/assets",
        ),
        (
            vec![bucket("/api/*/*", 100)],
            "100 calls in 3600 s, 2 at a time, to /api/*/*",
        ),
        (
            vec![bucket("/api/*/assets", 300), bucket("/about", 9)],
            "300 calls in 3600 s, 2 at a time, to /api/*/assets and 9 calls in 3600 s, 2 at a time, to /about",
        ),
        (Vec::new(), "none of its own"),
    ] {
        assert_eq!(
            beyond(|manifest| manifest["quota"]["buckets"] = json!(buckets)),
            [format!(
                "other limits on its calls: {named} instead of {accepted}"
            )]
        );
    }
}

#[test]
fn what_it_asks_for_names_secrets_limits_and_the_headers_that_may_change_them() {
    assert_eq!(
        request(&manifest()).phrases(1000),
        [
            "GET /about",
            "GET|POST /api/*/assets, with action=count|list",
            "a credential from /user and /token",
            "settings that stay secret from it: /key, /token",
            "300 calls in 3600 s, 2 at a time, to /api/*/assets",
            "no limit of its own on calls to /about: 1000 per hour",
            "the vendor's limits read from x-limit",
        ]
    );
    let mut none = manifest();
    none["quota"] = json!({});
    assert_eq!(
        request(&none).phrases(7).last().unwrap(),
        "no limit of its own on calls: 7 per hour"
    );
}

#[test]
fn another_interface_is_named_and_another_patch_of_the_same_is_none() {
    let manifest = Manifest::parse(&manifest().to_string()).unwrap();
    let accepted = GrantRequest::of(&manifest, &imports());
    let patched = ["wasi:http/types@0.2.12", "interflow:connector/sink@0.1.0"].map(String::from);
    assert!(
        GrantRequest::of(&manifest, &patched)
            .beyond(&accepted)
            .is_empty()
    );
    let more = ["wasi:http/types@0.2.6", "wasi:filesystem/types@0.2.6"].map(String::from);
    assert_eq!(
        GrantRequest::of(&manifest, &more).beyond(&accepted),
        ["the interface wasi:filesystem/types"]
    );
}
