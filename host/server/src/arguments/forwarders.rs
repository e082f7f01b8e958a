//! The commands of forwarders.

use clap::Subcommand;

/// What to do with forwarders.
#[derive(Debug, Subcommand)]
pub(crate) enum ForwardersCommand {
    /// List the forwarders of host.toml, and how far each has come
    #[command(
        after_help = "Examples:\n  connector-host forwarders list\n  connector-host forwarders list --json"
    )]
    List,
    /// Check that a forwarder's destination can be reached and written to; no record is sent
    #[command(after_help = "Example:\n  connector-host forwarders test siem")]
    Test {
        /// Its name in host.toml
        name: String,
    },
}
