//! `plugins list`, `plugins inspect` and `plugins accept`: what is there, what it asks for, why a file is not used, and the
//! owner's word that a plugin may have what it asks for.

mod accept;
mod list;
mod reload;

pub(crate) use accept::{Accepted, accept, accept_in};
pub(crate) use list::list;
pub(crate) use reload::reload;

use crate::answer::Answer;
use crate::arguments::Global;
use crate::definition;
use crate::failure::Failure;
use crate::figures;
use crate::host::Host;
use crate::report::printable;
use connector_runtime::manifest::Manifest;
use connector_runtime::plugins::imports::OFFERED;
use connector_runtime::plugins::{Plugin, grant};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// The JSON result of `plugins inspect`.
#[derive(Serialize)]
struct InspectDocument<'a> {
    path: &'a Path,
    /// 64 hexadecimal digits.
    sha256: &'a str,
    /// Bytes.
    size: u64,
    imports: Vec<Import<'a>>,
    /// SHA-256 of what it asks to be granted, in canonical form.
    grant_sha256: String,
    manifest: &'a Manifest,
}

/// An import, as the component spells it, and what this host puts behind it.
#[derive(Serialize)]
struct Import<'a> {
    name: &'a str,
    linked: &'static str,
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
    let text = describe_plugin(&plugin, &imports, host.limits().uncovered_calls);
    let document = InspectDocument {
        path: &plugin.path,
        sha256: &plugin.sha256,
        size: plugin.size,
        imports,
        grant_sha256: plugin.grant.digest(),
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

fn describe_plugin(plugin: &Plugin, imports: &[Import<'_>], uncovered: u32) -> String {
    let mut text = describe_manifest(&plugin.manifest, uncovered);
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

fn describe_manifest(manifest: &Manifest, uncovered: u32) -> String {
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
    let (requests, buckets) = (&manifest.network.requests, &manifest.quota.buckets);
    if let Some(uncovered) = grant::uncovered_calls(requests, buckets, uncovered) {
        lines.push(uncovered);
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
mod tests;
