//! `plugins list` and `plugins inspect`: what is there, what it asks for, and why a file is not used.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::definition;
use crate::failure::Failure;
use crate::figures;
use crate::host::Host;
use crate::report::printable;
use connector_runtime::manifest::Manifest;
use connector_runtime::plugins::imports::OFFERED;
use connector_runtime::plugins::{Listing, Plugin};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// The JSON result of `plugins list`.
#[derive(Serialize)]
struct ListDocument<'a> {
    /// The plugin directory.
    directory: &'a Path,
    /// One entry per `*.wasm` file: `{"path", "id", "version", "sha256", "size", "refused"}`; `refused` is null, or the
    /// reason in a sentence.
    plugins: &'a [Listing],
}

/// The JSON result of `plugins inspect`.
#[derive(Serialize)]
struct InspectDocument<'a> {
    path: &'a Path,
    /// 64 hexadecimal digits.
    sha256: &'a str,
    /// Bytes.
    size: u64,
    imports: Vec<Import<'a>>,
    manifest: &'a Manifest,
}

/// An import, as the component spells it, and what this host puts behind it.
#[derive(Serialize)]
struct Import<'a> {
    name: &'a str,
    linked: &'static str,
}

/// Lists the plugin directory.
///
/// # Errors
/// If the host cannot be put together or the directory cannot be read; refused files are part of the list.
pub(crate) async fn list(global: &Global) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let directory = host.plugins().await?;
    let place = host.plugin_directory();
    let text = describe_list(place, directory.listings());
    let document = ListDocument {
        directory: place,
        plugins: directory.listings(),
    };
    Ok(Answer::new(text, &document, 0))
}

/// Shows one file.
///
/// # Errors
/// If it cannot be used; with the reason.
pub(crate) async fn inspect(global: &Global, file: &Path) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let plugin = Plugin::load(host.engine(), file)
        .await
        .map_err(Failure::Refused)?;
    let imports: Vec<_> = plugin.imports.iter().map(|name| import(name)).collect();
    let text = describe_plugin(&plugin, &imports);
    let document = InspectDocument {
        path: &plugin.path,
        sha256: &plugin.sha256,
        size: plugin.size,
        imports,
        manifest: &plugin.manifest,
    };
    Ok(Answer::new(text, &document, 0))
}

fn import(name: &str) -> Import<'_> {
    let interface = name
        .split_once('@')
        .map_or(name, |(interface, _)| interface);
    let offered = OFFERED.iter().find(|(offered, _)| *offered == interface);
    Import {
        name,
        linked: offered.map_or("", |(_, linked)| linked),
    }
}

fn describe_list(place: &Path, listings: &[Listing]) -> String {
    if listings.is_empty() {
        return format!(
            "There are no plugins in {}. Put a connector's .wasm file there, or name another directory with --plugins.",
            place.display()
        );
    }
    let mut rows =
        vec![["FILE", "TYPE", "VERSION", "SHA-256", "SIZE", "VERDICT"].map(String::from)];
    for listing in listings {
        let file = listing.path.file_name().unwrap_or(listing.path.as_os_str());
        let short = |text: &Option<String>, length: usize| {
            let text = text.as_deref().unwrap_or("-");
            printable(text.get(..length).unwrap_or(text))
        };
        rows.push([
            printable(&file.to_string_lossy()),
            short(&listing.id, 64),
            short(&listing.version, 32),
            short(&listing.sha256, 12),
            figures::bytes(listing.size),
            match &listing.refused {
                None => "ok".into(),
                Some(reason) => {
                    let own = format!("{}: ", listing.path.display());
                    let reason = reason.strip_prefix(&own).unwrap_or(reason);
                    format!("refused: {}", printable(reason))
                }
            },
        ]);
    }
    table(&rows)
}

/// Columns as wide as their widest cell; the last is as long as it likes.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn describe_plugin(plugin: &Plugin, imports: &[Import<'_>]) -> String {
    let mut text = describe_manifest(&plugin.manifest);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\nfile\n  {}\n  {}, SHA-256 {}\nimports, and what this host puts behind each",
        plugin.path.display(),
        figures::bytes(plugin.size),
        plugin.sha256
    );
    for import in imports {
        let _ = write!(text, "\n  {}: {}", printable(import.name), import.linked);
    }
    text
}

fn describe_manifest(manifest: &Manifest) -> String {
    let mut lines = vec![format!(
        "{} {} ({}): {} of {}",
        manifest.id, manifest.version, manifest.name, manifest.category, manifest.vendor
    )];
    lines.push("content types".into());
    for content in &manifest.content_types {
        lines.push(format!(
            "  {} ({}): class {}, indices {}",
            content.id,
            content.label,
            content.msg_class,
            content.indices.join(", ")
        ));
    }
    lines.push(format!(
        "asks to reach, at the address in {}",
        definition::key_of(&manifest.network.origin)
    ));
    for rule in &manifest.network.requests {
        let fields: String = rule
            .form
            .iter()
            .map(|(field, values)| format!(", with {field}={}", values.join("|")))
            .collect();
        lines.push(format!(
            "  {}: {} {}{fields}",
            rule.id,
            rule.methods.join("|"),
            rule.path
        ));
    }
    if let Some(plan) = &manifest.network.credential {
        lines.push(format!(
            "  the host adds HTTP Basic from {} and {}; the plugin never sees the latter",
            definition::key_of(&plan.username),
            definition::key_of(&plan.password)
        ));
    }
    lines.push("settings".into());
    let required: Vec<&str> = manifest
        .settings
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, schema) in definition::properties(manifest) {
        lines.push(describe_setting(name, schema, required.contains(&name)));
    }
    if !manifest.quota.buckets.is_empty() {
        lines.push("quota, until the vendor's headers say otherwise".into());
    }
    for bucket in &manifest.quota.buckets {
        lines.push(format!(
            "  {} ({}): {} in {}, {} at a time",
            bucket.id,
            bucket.path,
            figures::counted(bucket.calls.into(), "call"),
            figures::milliseconds(bucket.window_seconds.saturating_mul(1000)),
            bucket.concurrency
        ));
    }
    if !manifest.ledger.counters.is_empty() {
        lines.push("ledger".into());
    }
    for counter in &manifest.ledger.counters {
        lines.push(format!("  {}: {}", counter.id, counter.label));
    }
    for equation in &manifest.ledger.equations {
        lines.push(format!(
            "  {} = {} must hold",
            equation.total,
            equation.parts.join(" + ")
        ));
    }
    lines
        .iter()
        .map(|line| printable(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn describe_setting(name: &str, schema: &Value, is_required: bool) -> String {
    let flag = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let mut traits = Vec::new();
    if is_required {
        traits.push("required".to_owned());
    }
    if flag("writeOnly") {
        traits.push("secret".into());
    }
    if flag("x-advanced") {
        traits.push("advanced".into());
    }
    if let Some(default) = schema.get("default") {
        traits.push(format!("default {default}"));
    }
    let title = schema.get("title").and_then(Value::as_str).unwrap_or(name);
    let mut line = format!("  {name}: {title}");
    if !traits.is_empty() {
        line.push_str(&format!(" [{}]", traits.join(", ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_file_is_listed_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(plugins.join("broken.wasm"), "not a component").unwrap();
        std::fs::write(plugins.join("notes.txt"), "not a plugin").unwrap();
        let answer = list(&Global::of_data(directory.path())).await.unwrap();
        assert_eq!(answer.exit, 0);
        let lines: Vec<_> = answer.text.lines().collect();
        assert_eq!(lines.len(), 2, "{}", answer.text);
        let start =
            "broken.wasm  -     -        -        15 B  refused: is not a WebAssembly component";
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
        let answer = list(&Global::of_data(directory.path())).await.unwrap();
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
                    "counters": [{"id": "listed", "label": "Assets listed"}, {"id": "collected", "label": "Assets\u{7} collected"}],
                    "equations": [{"total": "listed", "parts": ["collected"]}],
                },
            })
            .to_string(),
        )
        .unwrap();
        assert_eq!(
            describe_manifest(&manifest),
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
  collected: Assets  collected
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
}
