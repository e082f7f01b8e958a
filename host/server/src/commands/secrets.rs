//! `secrets rotate`: a new key for the stored secrets.

use crate::answer::Answer;
use crate::arguments::{Global, SecretsCommand};
use crate::connectors::key;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{figures, host};
use serde::Serialize;

/// The JSON result.
#[derive(Serialize)]
struct Rotated {
    /// How many secrets are sealed with the new key.
    secrets: u64,
    /// `file` or `environment`.
    key: &'static str,
}

/// Runs one of the commands.
///
/// # Errors
/// If a secret does not open, or the key cannot be replaced; everything is as it was then.
pub(crate) async fn run(global: &Global, command: &SecretsCommand) -> Result<Answer, Failure> {
    let SecretsCommand::Rotate = command;
    let directory = host::data_directory(global)?;
    let keeper = Keeper::open(global)?;
    let secrets = keeper.rotate_key().await?;
    let sealed = figures::counted(secrets, "secret");
    let (text, key) = match keeper.catalogue().rotates_to_variable() {
        true => (
            format!(
                "{sealed} sealed with the key in {}; let {} have it from now on",
                key::NEW_VARIABLE,
                key::VARIABLE
            ),
            "environment",
        ),
        false => (
            format!(
                "{sealed} sealed with a new key, in {}; copies of the old one open nothing any more",
                directory.join(key::FILE_NAME).display()
            ),
            "file",
        ),
    };
    Ok(Answer::new(text, &Rotated { secrets, key }, 0))
}
