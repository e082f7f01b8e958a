//! The commands of users and tokens.

use crate::access::Role;
use crate::figures;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// List the users
    #[command(after_help = "Example:\n  connector-host users list")]
    List,
    /// Make a user who may sign in
    #[command(
        after_help = "Examples:\n  connector-host users add alice --role root\n  connector-host users add bob --role tenant-admin --tenant acme --password-file bob.txt"
    )]
    Add(AddUser),
    /// Change a user's role or tenant, or let one sign in no longer
    #[command(
        after_help = "Examples:\n  connector-host users edit bob --role read-only --all-tenants\n  connector-host users edit bob --active false"
    )]
    Edit(EditUser),
    /// Give a user another password; the user's sessions end
    #[command(
        after_help = "Example:\n  connector-host users password alice --password-file alice.txt"
    )]
    Password {
        /// The user's name
        name: String,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Delete a user; the user's sessions end
    #[command(after_help = "Example:\n  connector-host users delete alice")]
    Delete {
        /// The user's name
        name: String,
    },
}

/// A user that is to be made.
#[derive(Debug, Args)]
pub(crate) struct AddUser {
    /// The user's name
    pub(crate) name: String,
    /// How much the user may do
    #[arg(long)]
    pub(crate) role: Role,
    /// For which tenant; tenant-admin needs one, root has none, read-only without one reads all tenants
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) source: PasswordSource,
}

/// Where a password comes from: a file, the environment, or else whoever is asked on a terminal or writes a line to
/// standard input.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordSource {
    /// Read the password from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Read the password from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) password_env: Option<String>,
}

/// What of a user is to be another.
#[derive(Debug, Args)]
pub(crate) struct EditUser {
    /// The user's name
    pub(crate) name: String,
    /// How much the user may do
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// For which tenant
    #[arg(long, value_name = "TENANT", conflicts_with = "all_tenants")]
    pub(crate) tenant: Option<String>,
    /// For all tenants
    #[arg(long)]
    pub(crate) all_tenants: bool,
    /// Whether the user may sign in
    #[arg(long, value_name = "true|false")]
    pub(crate) active: Option<bool>,
}

impl EditUser {
    /// Whether everything is to stay.
    pub(crate) fn is_empty(&self) -> bool {
        self.role.is_none() && self.tenant.is_none() && !self.all_tenants && self.active.is_none()
    }
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// List the tokens; a token itself is shown only when it is made
    #[command(after_help = "Example:\n  connector-host tokens list")]
    List,
    /// Make a token and print it, this once
    #[command(
        after_help = "Example:\n  connector-host tokens add monitoring --role read-only --tenant acme --expires 90d"
    )]
    Add(AddToken),
    /// Delete a token; it is refused from now on
    #[command(after_help = "Example:\n  connector-host tokens delete monitoring")]
    Delete {
        /// The token's name, or its id
        #[arg(value_name = "NAME|ID")]
        name: String,
    },
}

/// A token that is to be made.
#[derive(Debug, Args)]
pub(crate) struct AddToken {
    /// The token's name
    pub(crate) name: String,
    /// How much may be done with it
    #[arg(long)]
    pub(crate) role: Role,
    /// For which tenant; tenant-admin needs one, root has none, read-only without one reads all tenants
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Refuse it after this time, like 90d or 12h [default: never]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) expires: Option<Duration>,
}

/// A duration; days may be written, too.
fn lifetime(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 3600;
    match text.trim().strip_suffix('d') {
        Some(days) => days
            .parse()
            .ok()
            .and_then(|days: u64| days.checked_mul(DAY))
            .map(Duration::from_secs)
            .ok_or_else(|| "not a number of days; write it like 90d".into()),
        None => figures::parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::lifetime;

    #[test]
    fn a_token_lives_for_days_or_hours() {
        let seconds = |text| lifetime(text).map(|lifetime| lifetime.as_secs());
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("12h"), Ok(12 * 3600));
        for refused in [
            "d",
            "-1d",
            "1.5d",
            "99999999999999999999d",
            "999999999999999999d",
            "90",
        ] {
            assert!(seconds(refused).is_err(), "{refused}");
        }
    }
}
