use super::*;

#[tokio::test]
async fn a_bad_file_is_listed_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let plugins = directory.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::write(plugins.join("broken.wasm"), "not a component").unwrap();
    std::fs::write(plugins.join("notes.txt"), "not a plugin").unwrap();
    let answer = list(&Global::of_data(directory.path()), false)
        .await
        .unwrap();
    assert_eq!(answer.exit, 0);
    let lines: Vec<_> = answer.text.lines().collect();
    assert_eq!(lines.len(), 2, "{}", answer.text);
    let start = "broken.wasm  -     -        a8a79aba8d88  15 B  -        refused: is not a WebAssembly component";
    assert!(lines[1].starts_with(start), "{}", lines[1]);
    let document: Value = serde_json::from_str(&answer.json).unwrap();
    assert!(
        document["plugins"][0]["refused"]
            .as_str()
            .unwrap()
            .contains("broken.wasm")
    );
}

#[tokio::test]
async fn an_empty_directory_says_where_to_put_a_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let answer = list(&Global::of_data(directory.path()), false)
        .await
        .unwrap();
    let place = directory.path().join("plugins");
    assert!(
        answer.text.contains(&place.display().to_string()),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_file_that_is_refused_is_a_failure_and_one_that_is_missing_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broken.wasm");
    let missing = inspect(&Global::of_data(directory.path()), &file)
        .await
        .unwrap_err();
    assert_eq!((missing.exit(), missing.code()), (2, "configuration"));
    std::fs::write(&file, "not a component").unwrap();
    let refused = inspect(&Global::of_data(directory.path()), &file)
        .await
        .unwrap_err();
    assert_eq!((refused.exit(), refused.code()), (1, "plugin-refused"));
}

#[test]
fn a_manifest_is_described_by_what_it_asks_for() {
    let manifest = Manifest::parse(
        &serde_json::json!({
            "manifest_version": 1, "id": "acme-scanner", "name": "Acme Scanner", "vendor": "acme", "version": "0.1.0",
            "category": "Vulnerability Scanner", "category_id": "scan", "functions": {"collect": true},
            "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog", "assets"]}],
            "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
            "settings": {"type": "object", "required": ["url", "token"], "properties": {
                "token": {"title": "Token", "type": "string", "writeOnly": true, "x-order": 3},
                "url": {"title": "Scanner URL", "type": "string", "x-order": 1},
                "user": {"type": "string", "x-order": 2},
                "page": {"title": "Page size", "type": "integer", "default": 50, "x-advanced": true, "x-order": 4},
            }},
            "roles": {"origin": "/url", "username": "/user", "password": "/token"},
            "network": {
                "origin": "/url",
                "requests": [{"id": "assets", "methods": ["GET", "POST"], "path": "/api/*/assets", "form": {"action": ["list"]}}],
                "credential": {"scheme": "basic", "username": "/user", "password": "/token"},
            },
            "quota": {"buckets": [{"id": "assets", "path": "/api/*/assets", "calls": 300, "window_seconds": 3600, "concurrency": 2}]},
            "ledger": {
                "counters": [{"id": "listed", "label": "Assets listed"}, {"id": "collected", "label": "Assets collected"}],
                "equations": [{"total": "listed", "parts": ["collected"]}],
            },
        })
        .to_string(),
    )
    .unwrap();
    assert_eq!(
        describe_manifest(&manifest, 1000),
        "\
acme-scanner 0.1.0 (Acme Scanner): Vulnerability Scanner of acme
content types
  assets (Assets): class acme_assets, indices syslog, assets
asks to reach, at the address in settings.url
  assets: GET|POST /api/*/assets, with action=list
  the host adds HTTP Basic from settings.user and settings.token; the plugin never sees the latter
settings
  url: Scanner URL [required]
  user: user
  token: Token [required, secret]
  page: Page size [advanced, default 50]
quota, until the vendor's headers say otherwise
  assets (/api/*/assets): 300 calls in 1 h 0 min, 2 at a time
ledger
  listed: Assets listed
  collected: Assets collected
  listed = collected must hold"
    );
}

#[test]
fn every_offered_import_says_what_stands_behind_it() {
    assert_eq!(
        import("wasi:http/outgoing-handler@0.2.12").linked,
        "requests that the grant covers"
    );
    assert_eq!(import("wasi:sockets/tcp@0.2.12").linked, "");
}
