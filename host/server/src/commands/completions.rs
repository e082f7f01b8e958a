//! `completions`: what a shell needs to complete commands.

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::failure::Failure;
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

/// The JSON result.
#[derive(Serialize)]
struct Completions {
    shell: String,
    script: String,
}

/// The script for a shell.
///
/// # Errors
/// None that can be foreseen.
pub(crate) fn run(shell: Shell) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script).trim_end().to_owned();
    let document = Completions {
        shell: shell.to_string(),
        script: script.clone(),
    };
    Ok(Answer::new(script, &document, 0))
}
