//! The commands of the catalogue. `NAME` of a connector is `tenant/name`, or `name` if only one tenant has one of that name.

use super::CollectOptions;
use crate::figures::{self, Since};
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
    #[command(
        after_help = "Examples:\n  connector-host connectors list\n  connector-host connectors list --tenant acme --json"
    )]
    List {
        /// Only those of one tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
    /// Show a connector's settings, its last run and its events; never a secret
    #[command(after_help = "Example:\n  connector-host connectors show acme/scanner-1")]
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
    #[command(after_help = "Example:\n  connector-host connectors activate acme/scanner-1")]
    Activate {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Let a connector collect no longer
    #[command(after_help = "Example:\n  connector-host connectors deactivate acme/scanner-1")]
    Deactivate {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Check a kept connector's credentials and connectivity
    #[command(after_help = "Example:\n  connector-host connectors test acme/scanner-1")]
    Test {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Collect every chosen content type of a kept connector once
    #[command(
        after_help = "Examples:\n  connector-host connectors run acme/scanner-1\n  connector-host connectors run scanner-1 --max-wait 90s --json"
    )]
    Run(RunNamed),
    /// Delete a connector with its secrets, positions and cache; its records stay
    #[command(after_help = "Example:\n  connector-host connectors delete acme/scanner-1 --yes")]
    Delete {
        /// `tenant/name`, or `name`
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print a connector's definition as TOML, without its secrets
    #[command(
        after_help = "Example:\n  connector-host connectors export acme/scanner-1 > scanner.toml"
    )]
    Export {
        /// `tenant/name`, or `name`
        name: String,
    },
    /// Keep a connector from an exported definition; secrets can be typed later with `connectors edit`
    #[command(after_help = "Example:\n  connector-host connectors import scanner.toml")]
    Import {
        /// The connector's definition
        #[arg(value_name = "FILE.toml")]
        definition: PathBuf,
    },
    /// Let the next run read again what was read before, after a filter was detached, say
    #[command(
        after_help = "Examples:\n  connector-host connectors recollect acme/scanner-1\n  connector-host connectors recollect acme/scanner-1 --since 7d\n  connector-host connectors recollect scanner-1 --since 2026-03-01 --content assets\n\nRecords keep their ids, so what is kept already counts once."
    )]
    Recollect(Recollect),
}

/// What to read again.
#[derive(Debug, Args)]
pub(crate) struct Recollect {
    /// `tenant/name`, or `name`
    pub(crate) name: String,
    /// Only what was processed since: a day like 2026-03-01 (UTC), a moment like 2026-03-01T06:30:00Z, or a time ago like 7d
    /// or 12h [default: everything]
    #[arg(long, value_name = "DATE|TIME", value_parser = figures::parse_since)]
    pub(crate) since: Option<Since>,
    /// Only this content type; may be given several times [default: all that are chosen]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content: Vec<String>,
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
    #[command(after_help = "Example:\n  connector-host tenants list")]
    List,
    /// Make a tenant
    #[command(after_help = "Example:\n  connector-host tenants add acme")]
    Add {
        /// Its name
        name: String,
    },
    /// Give a tenant another name; its id, and what was collected for it, stay
    #[command(after_help = "Example:\n  connector-host tenants rename acme acme-europe")]
    Rename {
        /// Its name
        name: String,
        /// Its new name
        to: String,
    },
    /// Delete a tenant that never had a connector
    #[command(after_help = "Example:\n  connector-host tenants delete acme")]
    Delete {
        /// Its name
        name: String,
    },
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// List the profiles with their connectors
    #[command(after_help = "Example:\n  connector-host profiles list")]
    List,
    /// Make a profile
    #[command(after_help = "Example:\n  connector-host profiles add night")]
    Add {
        /// Its name
        name: String,
    },
    /// Delete an empty profile
    #[command(after_help = "Example:\n  connector-host profiles delete night")]
    Delete {
        /// Its name
        name: String,
    },
    /// Put a connector into a profile
    #[command(
        after_help = "Example:\n  connector-host profiles add-connector Default acme/scanner-1"
    )]
    AddConnector {
        /// The profile's name
        profile: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Take a connector out of a profile
    #[command(
        after_help = "Example:\n  connector-host profiles remove-connector Default acme/scanner-1"
    )]
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
    #[command(after_help = "Example:\n  connector-host devices list")]
    List,
    /// Add a sensor
    #[command(after_help = "Example:\n  connector-host devices add branch-1")]
    Add {
        /// Its name
        name: String,
    },
    /// Delete a sensor that has no connectors
    #[command(after_help = "Example:\n  connector-host devices delete branch-1")]
    Delete {
        /// Its name
        name: String,
    },
}

/// What to show of runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the last runs, the newest first
    #[command(
        after_help = "Examples:\n  connector-host runs list\n  connector-host runs list acme/scanner-1 --last 5"
    )]
    List {
        /// Only those of one connector: `tenant/name`, or `name`
        name: Option<String>,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
    },
    /// Show a run's ledger
    #[command(after_help = "Example:\n  connector-host runs show 4f2a")]
    Show {
        /// The first digits of its id
        id: String,
    },
}

/// What to do with the key of the secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a new key (or take the one in CONNECTOR_HOST_NEW_KEY) and seal every secret anew
    #[command(after_help = "Example:\n  connector-host secrets rotate")]
    Rotate,
}

/// What to do with log filters.
#[derive(Debug, Subcommand)]
pub(crate) enum FiltersCommand {
    /// List the filters
    #[command(after_help = "Example:\n  connector-host filters list")]
    List,
    /// Show a filter's conditions, and which connectors have it
    #[command(after_help = "Example:\n  connector-host filters show \"fixed findings\"")]
    Show {
        /// Its name
        name: String,
    },
    /// Keep a new filter; it drops nothing before it is attached
    #[command(after_help = "Example:\n  connector-host filters add fixed.toml")]
    Add {
        /// The filter: name, tenant, [[conditions]]
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
    /// Give a filter other conditions
    #[command(
        after_help = "Example:\n  connector-host filters edit \"fixed findings\" --from fixed.toml"
    )]
    Edit {
        /// Its name
        name: String,
        /// The filter with its new conditions
        #[arg(long, value_name = "FILE.toml")]
        from: PathBuf,
    },
    /// Delete a filter that is attached to nothing
    #[command(after_help = "Example:\n  connector-host filters delete \"fixed findings\"")]
    Delete {
        /// Its name
        name: String,
    },
    /// Let a connector drop what a filter matches
    #[command(
        after_help = "Example:\n  connector-host filters attach \"fixed findings\" acme/scanner-1"
    )]
    Attach {
        /// The filter's name
        name: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Let a connector drop it no longer
    #[command(
        after_help = "Example:\n  connector-host filters detach \"fixed findings\" acme/scanner-1"
    )]
    Detach {
        /// The filter's name
        name: String,
        /// `tenant/name`, or `name`
        connector: String,
    },
    /// Show what a filter would have dropped of the last records; nothing is changed
    #[command(
        after_help = "Examples:\n  connector-host filters try fixed.toml --connector acme/scanner-1\n  connector-host filters try \"fixed findings\" --last 50000"
    )]
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
    #[command(after_help = "Example:\n  connector-host alerts list --open --tenant acme")]
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

/// What to do with consumers.
#[derive(Debug, Subcommand)]
pub(crate) enum ConsumersCommand {
    /// List consumers, and how far behind each is
    #[command(
        after_help = "Examples:\n  connector-host consumers list\n  connector-host consumers list --json"
    )]
    List,
    /// Keep nothing for a consumer any more
    #[command(
        after_help = "Example:\n  connector-host consumers remove forwarder:siem\n\nOnly while nothing serves the data directory."
    )]
    Remove {
        /// Its name, as `consumers list` shows it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What to do with the search index.
#[cfg(feature = "search")]
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Show how many records it holds, and how far it has come
    #[command(
        after_help = "Examples:\n  connector-host index status\n  connector-host index status --json"
    )]
    Status,
    /// Delete it, and build it anew from the journal
    #[command(
        after_help = "Example:\n  connector-host index rebuild\n\nOnly while nothing serves the data directory. It says from which date on there are records in the journal."
    )]
    Rebuild,
}
