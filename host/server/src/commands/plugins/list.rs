//! `plugins list`: every file of the plugin directory, with its verdict.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::figures;
use crate::host::Host;
use crate::report::printable;
use connector_runtime::plugins::Listing;
use serde::Serialize;
use std::path::Path;

/// The JSON result.
#[derive(Serialize)]
struct ListDocument<'a> {
    /// The plugin directory.
    directory: &'a Path,
    /// One entry per `*.wasm` file: `{"path", "id", "version", "sha256", "size", "imports", "grant", "refused",
    /// "suspended", "kept"}`. `refused` and `suspended` are null, or the reason in a sentence.
    plugins: &'a [Listing],
}

/// Lists the plugin directory; with `recheck`, files that were refused before are looked at again.
///
/// # Errors
/// If the host cannot be put together, or the directory or the journal cannot be read; refused files are part of the list.
pub(crate) async fn list(global: &Global, recheck: bool) -> Result<Answer, Failure> {
    let host = Host::assemble(global)?;
    let accepted = host.accepted_so_far()?;
    let directory = if recheck {
        host.plugins_rechecked(&accepted).await?
    } else {
        host.plugins(&accepted).await?
    };
    let place = host.plugin_directory();
    let text = describe(place, directory.listings(), host.limits().uncovered_calls);
    let document = ListDocument {
        directory: place,
        plugins: directory.listings(),
    };
    Ok(Answer::new(text, &document, 0))
}

fn describe(place: &Path, listings: &[Listing], uncovered: u32) -> String {
    if listings.is_empty() {
        return format!(
            "There are no plugins in {}. Put a connector's .wasm file there, or name another directory with --plugins.",
            place.display()
        );
    }
    let head = [
        "FILE", "TYPE", "VERSION", "SHA-256", "SIZE", "IMPORTS", "VERDICT",
    ];
    let mut rows = vec![head.map(String::from)];
    rows.extend(listings.iter().map(row));
    let mut lines = table(&rows);
    // From the last to the first, so that the places of those to come stay as they are.
    for (place, listing) in listings.iter().enumerate().rev() {
        if let Some(grant) = &listing.grant {
            let line = format!("  asks for {}", grant.phrases(uncovered).join("; "));
            lines.insert(place + 2, printable(&line));
        }
    }
    lines.join("\n")
}

fn row(listing: &Listing) -> [String; 7] {
    let file = listing.path.file_name().unwrap_or(listing.path.as_os_str());
    let short = |text: &Option<String>, length: usize| {
        let text = text.as_deref().unwrap_or("-");
        printable(text.get(..length).unwrap_or(text))
    };
    let imports = match listing.imports.len() {
        0 => "-".into(),
        imports => imports.to_string(),
    };
    [
        printable(&file.to_string_lossy()),
        short(&listing.id, 64),
        short(&listing.version, 32),
        short(&listing.sha256, 12),
        figures::bytes(listing.size),
        imports,
        verdict(listing),
    ]
}

fn verdict(listing: &Listing) -> String {
    let own = format!("{}: ", listing.path.display());
    let without = |reason: &str| printable(reason.strip_prefix(&own).unwrap_or(reason));
    match (&listing.refused, &listing.suspended, &listing.kept) {
        (Some(reason), _, None) => format!("refused: {}", without(reason)),
        (Some(reason), _, Some(kept)) => format!(
            "refused: {} What it held before stays in use (SHA-256 {}).",
            without(reason),
            kept.get(..12).unwrap_or(kept)
        ),
        (None, Some(reason), _) => format!("suspended: {}", without(reason)),
        (None, None, _) => "ok".into(),
    }
}

/// Lines with columns as wide as their widest cell; the last is as long as it likes.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
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
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(refused: Option<&str>, suspended: Option<&str>, kept: Option<&str>) -> Listing {
        Listing {
            path: "/opt/connectors/acme.wasm".into(),
            id: None,
            version: None,
            sha256: None,
            size: 15,
            imports: Vec::new(),
            grant: None,
            refused: refused.map(str::to_owned),
            suspended: suspended.map(str::to_owned),
            kept: kept.map(str::to_owned),
        }
    }

    #[test]
    fn a_verdict_says_whether_a_file_is_used_and_what_is_used_in_its_place() {
        let reason = Some("/opt/connectors/acme.wasm: is\u{1b} no component.");
        assert_eq!(verdict(&listing(None, None, None)), "ok");
        assert_eq!(
            verdict(&listing(reason, None, None)),
            "refused: is  no component."
        );
        let digest = "ab".repeat(32);
        assert_eq!(
            verdict(&listing(reason, None, Some(&digest))),
            "refused: is  no component. What it held before stays in use (SHA-256 abababababab)."
        );
        assert_eq!(
            verdict(&listing(None, Some("asks for more."), None)),
            "suspended: asks for more."
        );
    }
}
