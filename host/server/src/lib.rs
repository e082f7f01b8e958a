//! The connector host's command line: reads definitions and configuration, puts the runtime together, and runs one command.
//!
//! ```text
//! raw arguments ──▶ checked arguments ──▶ configuration, definition ──▶ host (assembled) ──▶ command ──▶ answer
//! ```
//!
//! Promises: every mistake in configuration or usage is found before anything is sent, named with its file, key and remedy,
//! all at once, and ends with exit code 2; a run that failed or is incomplete ends with 1; with `--json`, standard output
//! carries exactly one JSON object (`export` carries its records instead). The value of a secret is never printed.
//!
//! No vendor here: whatever is particular to one stands in its plugin's manifest.
#![forbid(unsafe_code)]

mod access;
mod alerts;
mod answer;
mod api;
mod arguments;
mod assets;
mod backup;
mod client;
mod commands;
mod config;
mod connectors;
mod consumers;
mod definition;
mod doctor;
mod document;
mod failure;
mod figures;
mod formats;
mod forwarders;
mod host;
mod http_help;
mod keeper;
mod log;
mod metrics;
mod plugins;
mod progress;
#[doc(hidden)]
pub mod rehearsal;
mod report;
mod schedule;
mod search;
mod secrets;
mod serve;
mod service;
mod status;
mod table;
mod telemetry;

use answer::Answer;
use arguments::{Arguments, Command, PluginsCommand};
use connector_runtime::sandbox::{Compilation, Compiler};
use failure::Failure;
use indicatif::MultiProgress;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;
use telemetry::Telemetry;

/// How long threads that are still busy (a name being looked up, a block being compressed) may hold up the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The first word of the command line of a process that this program starts to compile plugins: no command for people.
const COMPILE: &str = "compile-plugin";

/// Runs one command. `arguments` are those of a process, its name first.
///
/// Exit codes: 0 done; 1 the run failed, is incomplete or was put off; 2 a mistake in configuration or usage that was found
/// before anything was sent.
///
/// ```no_run
/// # fn main() -> std::process::ExitCode {
/// connector_host::run(["connector-host", "plugins", "list", "--json"].map(Into::into))
/// # }
/// ```
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_behind(&[], arguments)
}

/// Like [`run`], for a program that gets here only if its own arguments begin with `words`: it starts itself again, to
/// compile plugins in processes of their own, and has to be told how.
pub fn run_behind(words: &[&str], arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let raw: Vec<OsString> = arguments.into_iter().collect();
    if raw.get(1).is_some_and(|word| word == COMPILE) {
        return compile(&raw[2..]);
    }
    let json = arguments::asks_for_json(&raw);
    let answer = match Arguments::read(&raw) {
        Ok(mut arguments) => {
            let again = words.iter().copied().chain([COMPILE]).map(Into::into);
            arguments.global.compiler = Compiler::of_this_program(again);
            execute(&arguments)
        }
        Err(refused) if refused.is_help() => return refused.show(),
        Err(refused) if json => Err(Failure::Usage(refused.sentence())),
        Err(refused) => return refused.show(),
    };
    answer
        .unwrap_or_else(|failure| Answer::of_failure(&failure))
        .print(json)
}

/// The whole life of a process that compiles a plugin.
fn compile(arguments: &[OsString]) -> ExitCode {
    match Compilation::from_arguments(arguments) {
        Ok(task) => task
            .run(std::io::stdin().lock(), std::io::stdout().lock())
            .into(),
        Err(sentence) => {
            Answer::of_failure(&Failure::Usage(format!("{COMPILE} {sentence}"))).print(false)
        }
    }
}

fn execute(arguments: &Arguments) -> Result<Answer, Failure> {
    let screen = MultiProgress::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
        .enable_all()
        .build()
        .map_err(Failure::Threads)?;
    let telemetry = match arguments.command.collects() {
        true => match host::configuration(&arguments.global)?.telemetry.endpoint() {
            Some(endpoint) => Some(Telemetry::start(endpoint, runtime.handle().clone())?),
            None => None,
        },
        false => None,
    };
    log::start(arguments, &screen, telemetry.as_ref())?;
    let answer = runtime.block_on(dispatch(arguments, &screen));
    if let Some(telemetry) = telemetry {
        telemetry.finish();
    }
    runtime.shutdown_timeout(LAST_WORDS);
    answer
}

async fn dispatch(arguments: &Arguments, screen: &MultiProgress) -> Result<Answer, Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Plugins(PluginsCommand::List { recheck }) => {
            commands::plugins::list(global, *recheck).await
        }
        Command::Plugins(PluginsCommand::Inspect { file }) => {
            commands::plugins::inspect(global, file).await
        }
        Command::Plugins(PluginsCommand::Reload) => commands::plugins::reload(global).await,
        Command::Plugins(PluginsCommand::Accept { plugin, sha256 }) => {
            commands::plugins::accept(global, plugin, sha256.as_deref()).await
        }
        Command::Test { definition } => commands::test::run(global, definition).await,
        Command::Collect(collect) => commands::collect::run(global, collect, screen).await,
        Command::Export { index } => commands::export::run(global, *index, screen).await,
        Command::Connectors(command) => commands::connectors::run(global, command, screen).await,
        Command::Filters(command) => commands::filters::run(global, command).await,
        Command::Tenants(command) => commands::tenants::run(global, command).await,
        Command::Profiles(command) => commands::profiles::run(global, command).await,
        Command::Devices(command) => commands::devices::run(global, command).await,
        Command::Runs(command) => commands::runs::run(global, command).await,
        Command::Secrets(command) => commands::secrets::run(global, command).await,
        Command::Alerts(command) => commands::alerts::run(global, command),
        Command::Serve(serve) => serve::run(global, serve).await,
        Command::Users(command) => commands::users::run(global, command).await,
        Command::Tokens(command) => commands::tokens::run(global, command).await,
        Command::Backup(arguments) => commands::backup::take(global, arguments),
        Command::Restore(arguments) => commands::backup::restore(global, arguments),
        Command::Doctor => commands::doctor::run(global).await,
        Command::Consumers(command) => commands::consumers::run(global, command).await,
        Command::Forwarders(command) => commands::forwarders::run(global, command).await,
        #[cfg(feature = "search")]
        Command::Index(command) => commands::index::run(global, command, screen),
        Command::Completions { shell } => commands::completions::run(*shell),
        Command::Search(search) => commands::search::run(global, search, screen).await,
        Command::Assets(command) => commands::assets::run(global, command, screen).await,
    }
}
