//! What the tests of the whole share: the built components, and a folder for compiled code.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The Qualys connector, freshly built, once per process.
pub fn qualys_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("qualys-connector"))
}

/// The example connector.
pub fn acme_component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("acme-scanner-connector"))
}

#[expect(clippy::panic, reason = "without a component there is nothing to test")]
fn built(package: &str) -> PathBuf {
    demo::component::build(package).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Compiled code, kept between tests so that each starts at once.
pub fn compiled() -> PathBuf {
    qualys_component_folder().join("compiled-for-tests")
}

fn qualys_component_folder() -> &'static Path {
    acme_component().parent().unwrap_or(Path::new("."))
}
