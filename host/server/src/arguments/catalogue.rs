//! The commands of the catalogue. `NAME` of a connector is `tenant/name`, or `name` if only one tenant has one of that name.

use super::CollectOptions;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorsCommand {
    /// Keep a new connector; its secrets are sealed
    #[command(
        after_help = "Example:\n  connector-host connectors add scanner.toml --profile Default"
    )]
    Add {
        /// The connector's definition
        #[arg(value_name = "FILE.toml")]
        definition: PathBuf,
        /// Put it into this profile, so that it pulls
        #[arg(long, value_name = "PROFILE")]
        profile: Option<String>,
    },
    /// List the connectors
    List {
        /// Only those of one tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
    /// Show a connector's settings, its last run and its events; never a secret
    Show {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Change settings; name, type, tenant and device cannot change
    #[command(
        after_help = "Examples:\n  connector-host connectors edit acme/scanner-1 --set interval=15\n  connector-host connectors edit scanner-1 --set url=https://scanner.example.test --set 'token={ env = \"SCANNER_TOKEN\" }'"
    )]
    Edit(Edit),
    /// Let a connector collect
    Activate {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Let a connector collect no longer
    Deactivate {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Check a kept connector's credentials and connectivity
    Test {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Collect every chosen content type of a kept connector once
    Run(RunNamed),
    /// Delete a connector with its secrets, positions and cache; its records stay
    Delete {
        /// `tenant/name`, or `name`
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print a connector's definition as TOML, without its secrets
    Export {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Keep a connector from an exported definition; secrets can be typed later with `connectors edit`
    Import {
        /// The connector's definition
        #[arg(value_name = "FILE.toml")]
        definition: PathBuf,
    },
}

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// `tenant/name`, or `name`
    pub(crate) name: String,
    /// Take the settings of this definition; secrets that it does not have stay
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) from: Option<PathBuf>,
    /// Change a setting. A list may be written a,b; a secret is better referred to, like token='{ env = "NAME" }' or
    /// token='{ file = "PATH" }'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Take a setting out, so that it has its default
    #[arg(long = "unset", value_name = "KEY")]
    pub(crate) unset: Vec<String>,
}

/// Which connector to run, and how.
#[derive(Debug, Args)]
pub(crate) struct RunNamed {
    /// `tenant/name`, or `name`
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) options: CollectOptions,
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// List the tenants
    List,
    /// Make a tenant
    Add {
        /// Its name
        name: String,
    },
    /// Give a tenant another name; its id, and what was collected for it, stay
    Rename {
        /// Its name
        name: String,
        /// Its new name
        to: String,
    },
    /// Delete a tenant that never had a connector
    Delete {
        /// Its name
        name: String,
    },
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// List the profiles with their connectors
    List,
    /// Make a profile
    Add {
        /// Its name
        name: String,
    },
    /// Delete an empty profile
    Delete {
        /// Its name
        name: String,
    },
    /// Put a connector into a profile
    AddConnector {
        /// The profile's name
        profile: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Take a connector out of a profile
    RemoveConnector {
        /// The profile's name
        profile: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
}

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DevicesCommand {
    /// List the devices
    List,
    /// Add a sensor
    Add {
        /// Its name
        name: String,
    },
    /// Delete a sensor that has no connectors
    Delete {
        /// Its name
        name: String,
    },
}

/// What to show of runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the last runs, the newest first
    List {
        /// Only those of one connector: `tenant/name`, or `name`
        name: Option<String>,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
    },
    /// Show a run's ledger
    Show {
        /// The first digits of its id
        id: String,
    },
}

/// What to do with the key of the secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a new key (or take the one in CONNECTOR_HOST_NEW_KEY) and seal every secret anew
    Rotate,
}

/// What to do with log filters.
#[derive(Debug, Subcommand)]
pub(crate) enum FiltersCommand {
    /// List the filters
    List,
    /// Show a filter's conditions, and which connectors have it
    Show {
        /// Its name
        name: String,
    },
    /// Keep a new filter; it drops nothing before it is attached
    Add {
        /// The filter: name, tenant, [[conditions]]
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
    /// Give a filter other conditions
    Edit {
        /// Its name
        name: String,
        /// The filter with its new conditions
        #[arg(long, value_name = "FILE.toml")]
        from: PathBuf,
    },
    /// Delete a filter that is attached to nothing
    Delete {
        /// Its name
        name: String,
    },
    /// Let a connector drop what a filter matches
    Attach {
        /// The filter's name
        name: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Let a connector drop it no longer
    Detach {
        /// The filter's name
        name: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Show what a filter would have dropped of the last records; nothing is changed
    Try(TryFilter),
}

/// What to try a filter on.
#[derive(Debug, Args)]
pub(crate) struct TryFilter {
    /// A kept filter's name, or a file
    #[arg(value_name = "NAME|FILE.toml")]
    pub(crate) filter: String,
    /// Only records of this connector: `tenant/name`, or `name`
    #[arg(long, value_name = "NAME")]
    pub(crate) connector: Option<String>,
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) last: u64,
}

/// What to show of alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, the newest first
    List {
        /// Only those that are not over
        #[arg(long)]
        open: bool,
        /// Only those of one tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 100)]
        last: u64,
    },
}
