//! The command line, checked: what was asked for, as types.
//!
//! Global flags may stand before or after the command. A mistake ends with exit code 2 and the parser's own sentence.

mod access;
mod assets;
mod catalogue;
mod forwarders;
mod search;

pub(crate) use access::{AddUser, EditUser, PasswordSource, TokensCommand, UsersCommand};
pub(crate) use assets::{AssetsCommand, ListAssets};
pub(crate) use catalogue::{
    AlertsCommand, ConnectorsCommand, ConsumersCommand, DevicesCommand, Edit, FiltersCommand,
    ProfilesCommand, Recollect, RunNamed, RunsCommand, SecretsCommand, TenantsCommand, TryFilter,
};
pub(crate) use forwarders::ForwardersCommand;
pub(crate) use search::{DefaultOperator, Search, Size, TimeField};

#[cfg(feature = "search")]
pub(crate) use catalogue::IndexCommand;

use crate::figures;
use clap::{Args, Parser, Subcommand, ValueEnum};
use connector_runtime::interflow::Index;
use connector_runtime::sandbox::Compiler;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The variable that sets the log's level.
pub(crate) const LOG_VARIABLE: &str = "CONNECTOR_HOST_LOG";
/// The variable that sets the log's format.
const LOG_FORMAT_VARIABLE: &str = "CONNECTOR_HOST_LOG_FORMAT";
/// So many digits of a SHA-256 `plugins list` shows; with fewer, another file could be made to fit.
const SHORTEST_DIGEST: usize = 12;
/// Longer than anybody means.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Runs connector plugins (WebAssembly components) in a sandbox and keeps what they collect.
#[derive(Debug, Parser)]
#[command(name = "connector-host", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Where the journal and compiled plugins are kept [default: $XDG_DATA_HOME/connector-host or
    /// ~/.local/share/connector-host]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where the plugins (*.wasm) lie [default: `plugins` in the data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) plugins: Option<PathBuf>,
    /// The host's configuration [default: `host.toml` in the data directory, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one machine-readable JSON result on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Allow connections to loopback addresses, and http:// to them
    #[arg(long, global = true)]
    pub(crate) insecure_loopback: bool,
    /// What is logged on standard error: error, warn, info, debug, trace, or a filter like
    /// `info,connector_runtime=debug` [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", env = LOG_VARIABLE)]
    pub(crate) log: Option<String>,
    /// How it is logged: lines for people, or one JSON object a line
    #[arg(long, global = true, value_name = "FORMAT", env = LOG_FORMAT_VARIABLE, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// How this very program is started to compile plugins; without it they are compiled in this process.
    #[arg(skip)]
    pub(crate) compiler: Option<Compiler>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

impl Global {
    /// The flags of a command that names its data directory and nothing else.
    pub(crate) fn of_data(data: &std::path::Path) -> Self {
        Self {
            data_dir: Some(data.to_owned()),
            plugins: None,
            config: None,
            json: false,
            insecure_loopback: false,
            log: None,
            log_format: LogFormat::Text,
            compiler: None,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show which plugins are there
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Check a connector's credentials and connectivity; nothing is stored
    #[command(after_help = "Example:\n  connector-host test scanner.toml")]
    Test {
        /// The connector's definition
        #[arg(value_name = "CONNECTOR.toml")]
        definition: PathBuf,
    },
    /// Keep a definition in the catalogue, and collect every chosen content type of it once
    #[command(
        after_help = "Examples:\n  connector-host collect scanner.toml\n  connector-host collect scanner.toml --full --max-wait 1h"
    )]
    Collect(Collect),
    /// Write the records of one index, or all assets, to standard output, one JSON object a line
    #[command(
        after_help = "Examples:\n  connector-host export --index scans\n  connector-host export --index assets"
    )]
    Export {
        /// The index
        #[arg(long)]
        index: ExportIndex,
    },
    /// Keep connectors: add, change, test, run, delete them
    #[command(subcommand)]
    Connectors(ConnectorsCommand),
    /// Which records are dropped instead of kept
    #[command(subcommand)]
    Filters(FiltersCommand),
    /// Whose connectors and records they are
    #[command(subcommand)]
    Tenants(TenantsCommand),
    /// Which connectors of the data processor pull
    #[command(subcommand)]
    Profiles(ProfilesCommand),
    /// Where connectors run
    #[command(subcommand)]
    Devices(DevicesCommand),
    /// What was collected, when, and how it went
    #[command(subcommand)]
    Runs(RunsCommand),
    /// The key that seals the stored secrets
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Collect on schedule, and answer the REST API
    #[command(
        after_help = "Examples:\n  connector-host serve\n  connector-host serve --listen 0.0.0.0:8443 --tls-certificate host.pem --tls-key host.key\n\nSIGTERM ends it gracefully; SIGHUP takes up plugins that have come, changed or gone."
    )]
    Serve(Serve),
    /// Who may sign in, and with which role
    #[command(subcommand)]
    Users(UsersCommand),
    /// What programs come in with
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// What is wrong with connectors, and what was
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// Copy what must not be lost to a new folder, also while connectors collect
    #[command(
        after_help = "Examples:\n  connector-host backup /var/backups/connector-host-monday\n  connector-host backup /media/safe/everything --with-key"
    )]
    Backup(Backup),
    /// Make a data directory of a backup
    #[command(
        after_help = "Examples:\n  connector-host restore /var/backups/connector-host-monday --data-dir /var/lib/connector-host\n  connector-host restore /var/backups/connector-host-monday --replace"
    )]
    Restore(Restore),
    /// Check the data directory, clock, disk, plugins, key and certificates; nothing is sent or changed
    #[command(
        after_help = "Examples:\n  connector-host doctor\n  connector-host doctor --json\n\nIt ends with 1 if there is a problem."
    )]
    Doctor,
    /// Print what a shell needs to complete commands
    #[command(
        after_help = "Examples:\n  connector-host completions bash > /etc/bash_completion.d/connector-host\n  connector-host completions fish > ~/.config/fish/completions/connector-host.fish"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Who takes the records to other places, and how far each has come
    #[command(subcommand)]
    Consumers(ConsumersCommand),
    /// Machines: what is known of each, and what is open on it
    #[command(subcommand)]
    Assets(AssetsCommand),
    /// Search what was collected, and count it
    #[command(
        after_help = "Examples:\n  connector-host search --index scans 'event.severity:5 AND NOT vulnerability.status:Fixed' --last 24h\n  connector-host search --index syslog 'msg_class:acme_findings' --size 0 --histogram 1h --top vulnerability.status\n  connector-host search --index assets 'open_detections.critical:>0' --size all --csv"
    )]
    Search(Box<Search>),
    /// Where records are sent on to
    #[command(subcommand)]
    Forwarders(ForwardersCommand),
    /// The search index
    #[cfg(feature = "search")]
    #[command(subcommand)]
    Index(IndexCommand),
}

impl Command {
    /// Whether it makes runs, of which there may be traces.
    pub(crate) fn collects(&self) -> bool {
        matches!(
            self,
            Self::Collect(_) | Self::Connectors(ConnectorsCommand::Run(_)) | Self::Serve(_)
        )
    }
}

/// Where to serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub(crate) listen: SocketAddr,
    /// The certificate chain for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front of this one has TLS, so that an address which others can reach may be listened on without
    #[arg(long)]
    pub(crate) behind_proxy: bool,
}

/// What to copy, and where to.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// A folder that is not there yet
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Copy the key of the secrets, too: whoever can read the backup has them then
    #[arg(long)]
    pub(crate) with_key: bool,
}

/// What to restore.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The folder that `backup` has made
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// Put aside what the data directory has; it is kept there, in before-restore-TIME
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What to show of plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List the files of the plugin directory, each with its verdict
    #[command(
        after_help = "Examples:\n  connector-host plugins list\n  connector-host plugins list --recheck --json"
    )]
    List {
        /// Look again at files that were refused before, instead of saying what was noted then
        #[arg(long)]
        recheck: bool,
    },
    /// Show what one plugin says about itself and what it asks for
    #[command(after_help = "Example:\n  connector-host plugins inspect acme_scanner.wasm")]
    Inspect {
        /// The component
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
    },
    /// Let the process that serves take up plugins that have come, changed or gone
    #[command(after_help = "Example:\n  connector-host plugins reload")]
    Reload,
    /// Accept what a plugin asks for now, so that its connectors run again
    #[command(
        after_help = "Example:\n  connector-host plugins accept acme-scanner --sha256 cc6379900c72"
    )]
    Accept {
        /// The plugin's id, as `plugins list` shows it under TYPE
        #[arg(value_name = "NAME")]
        plugin: String,
        /// Only if its file has this SHA-256, or one that begins so; 12 digits or more, as `plugins list` shows them
        #[arg(long, value_name = "HEX", value_parser = digest)]
        sha256: Option<String>,
    },
}

/// How to collect.
#[derive(Debug, Args)]
pub(crate) struct Collect {
    /// The connector's definition
    #[arg(value_name = "CONNECTOR.toml")]
    pub(crate) definition: PathBuf,
    #[command(flatten)]
    pub(crate) options: CollectOptions,
}

/// How a run is to be made.
#[derive(Clone, Debug, Args)]
pub(crate) struct CollectOptions {
    /// Read everything again, whatever was collected before
    #[arg(long)]
    pub(crate) full: bool,
    /// Run although the plugin's faults hold the connector back or have set it aside
    #[arg(long)]
    pub(crate) force: bool,
    /// The most that the run may wait, for quota and between attempts together, like 90s, 15m or 1h30m
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = wait)]
    pub(crate) max_wait: Duration,
}

/// The indices that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportIndex {
    /// Every record
    Syslog,
    /// What scanners found
    Scans,
    /// Machines, in the order in which they were first heard of
    Assets,
}

impl From<ExportIndex> for Index {
    fn from(index: ExportIndex) -> Self {
        match index {
            ExportIndex::Syslog => Self::Syslog,
            ExportIndex::Scans => Self::Scans,
            ExportIndex::Assets => Self::Assets,
        }
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = figures::parse_duration(text)?;
    if wait > LONGEST_WAIT {
        return Err(
            "more than 30 days; a run that may wait that long is better begun later".into(),
        );
    }
    Ok(wait)
}

/// A SHA-256 or its first digits, in lower case.
fn digest(text: &str) -> Result<String, String> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("a SHA-256 is written in hexadecimal digits".into());
    }
    if !(SHORTEST_DIGEST..=64).contains(&text.len()) {
        return Err(format!(
            "{SHORTEST_DIGEST} to 64 digits are needed; `plugins list` shows {SHORTEST_DIGEST}, `plugins list --json` all"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// The command line was not understood, or asked for help.
#[derive(Debug)]
pub(crate) struct Refused(clap::Error);

impl Arguments {
    /// Reads the arguments of a process, its name first.
    ///
    /// # Errors
    /// With what the parser says; help and version are among that.
    pub(crate) fn read(raw: &[OsString]) -> Result<Self, Refused> {
        Self::try_parse_from(raw).map_err(Refused)
    }
}

impl Refused {
    /// Whether help or the version was asked for, which is no mistake.
    pub(crate) fn is_help(&self) -> bool {
        !self.0.use_stderr()
    }

    /// As text, without the decoration of a terminal.
    pub(crate) fn sentence(&self) -> String {
        let text = self.0.render().to_string();
        let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Prints it where it belongs.
    pub(crate) fn show(&self) -> ExitCode {
        // Nobody is left to tell if neither stream can be written to.
        let _ = self.0.print();
        if self.is_help() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        }
    }
}

/// Whether `--json` is among the arguments: needed even when the rest cannot be understood.
pub(crate) fn asks_for_json(raw: &[OsString]) -> bool {
    raw.iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Arguments, Refused> {
        let raw: Vec<OsString> = arguments.split(' ').map(Into::into).collect();
        Arguments::read(&raw)
    }

    #[test]
    fn the_grammar_of_the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in [
            "connector-host --json --data-dir /d --plugins /p plugins list",
            "connector-host plugins list --data-dir /d --plugins /p --json",
            "connector-host plugins --json --data-dir /d list --plugins /p",
        ] {
            let global = read(line).unwrap().global;
            assert!(global.json, "{line}");
            assert_eq!(global.data_dir, Some("/d".into()), "{line}");
            assert_eq!(global.plugins, Some("/p".into()), "{line}");
        }
    }

    #[test]
    fn a_run_may_wait_for_a_quarter_of_an_hour_unless_told_otherwise() {
        let wait = |line: &str| match read(line).unwrap().command {
            Command::Collect(collect) => collect.options.max_wait.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("connector-host collect a.toml"), 900);
        assert_eq!(wait("connector-host collect a.toml --max-wait 90s"), 90);
        assert_eq!(
            wait("connector-host collect --max-wait 1h30m a.toml"),
            5_400
        );
        for refused in ["90", "-5m", "31d", "800h", "soon"] {
            let line = format!("connector-host collect a.toml --max-wait={refused}");
            assert!(read(&line).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_digest_is_named_by_twelve_digits_or_more() {
        let digits = |text: &str| {
            let line = format!("connector-host plugins accept acme-scanner --sha256 {text}");
            match read(&line).ok()?.command {
                Command::Plugins(PluginsCommand::Accept { sha256, .. }) => sha256,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(digits("CC6379900C72").as_deref(), Some("cc6379900c72"));
        assert_eq!(digits(&"a".repeat(64)), Some("a".repeat(64)));
        for refused in ["cc6379900c7", "cc6379900c7x", &"a".repeat(65)] {
            assert_eq!(digits(refused), None, "{refused}");
        }
    }

    #[test]
    fn only_the_indices_that_there_are_can_be_exported() {
        for index in ["syslog", "scans", "assets"] {
            assert!(read(&format!("connector-host export --index {index}")).is_ok());
        }
        let refused = read("connector-host export --index metrics").unwrap_err();
        assert!(!refused.is_help());
        let sentence = refused.sentence();
        assert!(
            sentence.contains("metrics") && sentence.contains("syslog"),
            "{sentence}"
        );
        assert!(read("connector-host export").is_err());
    }

    /// The words of a line as a shell would find them, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for letter in line.chars() {
            match quote {
                Some(mark) if letter == mark => quote = None,
                Some(_) => words.last_mut().unwrap().push(letter),
                None if letter == '\'' || letter == '"' => quote = Some(letter),
                None if letter == ' ' => words.push(String::new()),
                None if letter == '>' => break,
                None => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn check_examples(command: &clap::Command, path: &str, without: &mut Vec<String>) {
        let path = format!("{path}{} ", command.get_name());
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_some() {
            below.for_each(|command| check_examples(command, &path, without));
            return;
        }
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let examples = help.lines().map(str::trim);
        let examples = examples.filter(|line| line.starts_with(path.trim_end()));
        let mut count = 0;
        for example in examples {
            count += 1;
            let raw: Vec<OsString> = words(example).into_iter().map(Into::into).collect();
            if let Err(refused) = Arguments::read(&raw) {
                panic!("{example}: {}", refused.sentence());
            }
        }
        if count == 0 {
            without.push(path);
        }
    }

    #[test]
    fn every_command_has_an_example_that_it_understands() {
        let mut without = Vec::new();
        let command = <Arguments as clap::CommandFactory>::command();
        check_examples(&command, "", &mut without);
        assert!(without.is_empty(), "no example: {without:?}");
    }

    #[test]
    fn every_shell_gets_completions_that_know_the_commands() {
        for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
            let answer = crate::commands::completions::run(*shell).ok().unwrap();
            for word in ["connector-host", "connectors", "recollect", "--data-dir"] {
                // PowerShell and elvish write an option as two words.
                let word = word.trim_start_matches("--");
                assert!(answer.text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn json_is_recognised_even_if_the_rest_is_a_mistake() {
        let raw = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&raw("connector-host no-such-command --json")));
        assert!(!asks_for_json(&raw("connector-host collect -- --json")));
    }
}
