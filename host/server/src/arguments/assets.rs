//! Arguments of the commands about assets.

use clap::{Args, Subcommand};

/// What to show of assets.
#[derive(Debug, Subcommand)]
pub(crate) enum AssetsCommand {
    /// List machines, with what is open on them
    #[command(
        after_help = "Examples:\n  connector-host assets list --filter severity=critical --sort=-worst_qds\n  connector-host assets list --filter ip=192.0.2. --filter os=linux --filter 'open=>=10' --tenant acme\n\nEvery column of the JSON result is one to filter and sort by; severity and vulnerability (a CVE, or what the vendor calls it) are to filter by."
    )]
    List(ListAssets),
    /// Show one machine, the addresses that it had, and what is open on it
    #[command(
        after_help = "Examples:\n  connector-host assets show build-07.corp.example\n  connector-host assets show 7d1c5a52-3c0e-5d1b-9a4e-0f2b7c6d8e90 --json"
    )]
    Show {
        /// Its id, an id that it had before it was merged, or its name
        #[arg(value_name = "ASSET")]
        asset: String,
        /// Only if it is this tenant's
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
}

/// Which assets.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ListAssets {
    /// Only where a column is like this: a text has it, a list has an entry with it, a number or time is it, or lies as
    /// `>`, `>=`, `<`, `<=` before it say; all of them, if it is given several times
    #[arg(long = "filter", value_name = "COLUMN=VALUE", value_parser = condition)]
    pub(crate) filters: Vec<(String, String)>,
    /// Only those of one tenant, by name or id
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// The column to sort by; `-column` sorts downwards [default: name]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// How many are shown
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// How many are left out first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: usize,
}

fn condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.trim().is_empty() => {
            Ok((column.trim().to_owned(), value.to_owned()))
        }
        _ => Err("not a condition; write it like os=linux or 'open=>=10'".into()),
    }
}
