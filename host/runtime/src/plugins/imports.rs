//! What a plugin may import: the one list that the loader checks and that the README shows.

/// The version of the contract that this host speaks.
pub const VERSION: &str = "0.1.0";

/// The interface that a plugin must export.
pub const EXPORT: &str = "interflow:connector/connector@0.1.0";

/// Whether `name` (as written in a component, with its version) is an interface of the contract, but not of [`VERSION`].
pub fn is_of_another_version(name: &str) -> bool {
    name.starts_with("interflow:connector/")
        && name.split_once('@').map_or("", |(_, version)| version) != VERSION
}

/// Interfaces that are linked, without their versions, and what stands behind each.
///
/// `interflow:connector` must be of this very version; `wasi` interfaces of any 0.2.x.
pub const OFFERED: &[(&str, &str)] = &[
    ("interflow:connector/types", "shared types"),
    ("interflow:connector/sink", "emit records"),
    ("interflow:connector/log", "log lines, bounded and counted"),
    (
        "interflow:connector/cache",
        "a private store, committed with the batch",
    ),
    ("wasi:http/types", "requests and responses"),
    (
        "wasi:http/outgoing-handler",
        "requests that the grant covers",
    ),
    ("wasi:clocks/wall-clock", "the host's clock"),
    ("wasi:clocks/monotonic-clock", "the host's clock"),
    ("wasi:io/error", "streams"),
    ("wasi:io/poll", "streams"),
    ("wasi:io/streams", "streams"),
    ("wasi:random/random", "random numbers"),
    ("wasi:random/insecure", "random numbers"),
    ("wasi:random/insecure-seed", "random numbers"),
    ("wasi:cli/environment", "empty: no variables, no arguments"),
    ("wasi:cli/exit", "ends the call as a trap"),
    ("wasi:cli/stdin", "empty"),
    ("wasi:cli/stdout", "discarded"),
    (
        "wasi:cli/stderr",
        "the last 8 KiB are kept for trap reports",
    ),
    ("wasi:cli/terminal-input", "none"),
    ("wasi:cli/terminal-output", "none"),
    ("wasi:cli/terminal-stdin", "none"),
    ("wasi:cli/terminal-stdout", "none"),
    ("wasi:cli/terminal-stderr", "none"),
    ("wasi:filesystem/types", "nothing can be opened"),
    ("wasi:filesystem/preopens", "empty"),
];

/// Whether `import` (as written in a component, with its version) is linked.
pub fn is_offered(import: &str) -> bool {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if !OFFERED.iter().any(|(offered, _)| *offered == name) {
        return false;
    }
    if name.starts_with("interflow:") {
        version == VERSION
    } else {
        version.strip_prefix("0.2.").is_some_and(|patch| {
            !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_is_matched_by_name_and_any_patch_of_0_2() {
        assert!(is_offered("wasi:http/types@0.2.0"));
        assert!(is_offered("wasi:http/types@0.2.12"));
        assert!(!is_offered("wasi:http/types@0.3.0"));
        assert!(!is_offered("wasi:http/types@0.2.1-rc"));
        assert!(!is_offered("wasi:http/types"));
    }

    #[test]
    fn another_version_of_the_contract_is_recognised_and_no_other_package() {
        assert!(is_of_another_version("interflow:connector/sink@0.2.0"));
        assert!(is_of_another_version("interflow:connector/sink"));
        assert!(!is_of_another_version(EXPORT));
        assert!(!is_of_another_version("wasi:http/types@0.3.0"));
    }

    #[test]
    fn sockets_and_unknown_interfaces_are_not_offered() {
        assert!(!is_offered("wasi:sockets/tcp@0.2.12"));
        assert!(!is_offered("wasi:http/incoming-handler@0.2.12"));
        assert!(!is_offered("acme:scanner/secrets@0.1.0"));
        assert!(!is_offered("interflow:connector/sink@0.2.0"));
        assert!(is_offered("interflow:connector/sink@0.1.0"));
    }
}
