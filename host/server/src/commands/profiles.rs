//! `profiles ...`: which connectors of the data processor pull.

use crate::answer::Answer;
use crate::arguments::{Global, ProfilesCommand};
use crate::connectors::Catalogue;
use crate::connectors::profile::Profile;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{host, table};
use serde::Serialize;

/// The JSON result: the profiles as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"name","created","connectors":["tenant/name"]}`.
    profiles: &'a [Profile],
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &ProfilesCommand) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    if let ProfilesCommand::List = command {
        let profiles = Catalogue::read(&directory)?.profiles()?;
        return Ok(answer(describe(&profiles), &profiles));
    }
    let keeper = Keeper::open(global)?;
    let text = match command {
        ProfilesCommand::List => String::new(),
        ProfilesCommand::Add { name } => {
            keeper.add_profile(name).await?;
            format!("profile {name} was made")
        }
        ProfilesCommand::Delete { name } => {
            keeper.delete_profile(name).await?;
            format!("profile {name} was deleted")
        }
        ProfilesCommand::AddConnector { profile, connector } => {
            match keeper.add_to_profile(profile, connector).await? {
                true => format!("connector {connector} is in the profile {profile}, and pulls"),
                false => format!("connector {connector} was in the profile {profile} already"),
            }
        }
        ProfilesCommand::RemoveConnector { profile, connector } => {
            match keeper.remove_from_profile(profile, connector).await? {
                true => format!("connector {connector} is no longer in the profile {profile}"),
                false => format!("connector {connector} was not in the profile {profile}"),
            }
        }
    };
    Ok(answer(text, &keeper.catalogue().profiles()?))
}

fn answer(text: String, profiles: &[Profile]) -> Answer {
    let document = Document {
        total: profiles.len(),
        profiles,
    };
    Answer::new(text, &document, 0)
}

fn describe(profiles: &[Profile]) -> String {
    let rows: Vec<_> = profiles
        .iter()
        .map(|profile| {
            let connectors = match profile.connectors.is_empty() {
                true => "-".into(),
                false => profile.connectors.join(", "),
            };
            [profile.name.clone(), connectors]
        })
        .collect();
    table::of(["NAME", "CONNECTORS"], &rows)
}
