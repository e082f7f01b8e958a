//! `connectors add` and `connectors import`: a new connector from a file; an imported one may come without its secrets.

use super::{Changed, describe_warnings};
use crate::answer::Answer;
use crate::arguments::Global;
use crate::commands::question;
use crate::connectors::device::DATA_PROCESSOR;
use crate::connectors::profile;
use crate::connectors::validation::{Secrets, validate};
use crate::definition::Definition;
use crate::failure::{Failure, Mistake};
use crate::host::Host;
use crate::keeper::Keeper;
use std::path::Path;

pub(super) async fn run(
    global: &Global,
    file: &Path,
    into: Option<&str>,
    secrets: Secrets,
) -> Result<Answer, Failure> {
    let definition = Definition::load(file)?;
    let host = Host::assemble(global)?;
    let plugin = host.plugin(&definition, &host.accepted_so_far()?).await?;
    let mut validated = validate(&host, &definition, &plugin, secrets, Vec::new())
        .await?
        .without_fault()?;
    let full = format!("{}/{}", definition.tenant, definition.name);
    // It cannot collect before its secrets are typed.
    validated.entry.active &= validated.missing.is_empty();
    let mut into = into.map(str::to_owned);
    if into.is_none()
        && secrets == Secrets::Required
        && validated.entry.run_on == DATA_PROCESSOR
        && question::can_ask(global)
        && question::ask(&format!(
            "Put {full} into the profile {}, so that it pulls?",
            profile::DEFAULT
        ))
    {
        into = Some(profile::DEFAULT.to_owned());
    }
    let keeper = Keeper::open(global)?;
    let later = secrets == Secrets::MayBeMissing;
    keeper
        .create(&definition, validated.entry, into.as_deref(), later)
        .await
        .map_err(|failure| explain(failure, file))?;
    let connector = keeper.catalogue().connector(&full)?;
    let mut text = format!("connector {full} ({}) is kept", connector.kind);
    if !validated.missing.is_empty() {
        text.push_str(&format!(
            ", inactive until {} is typed: `connector-host connectors edit {full} --set {}`, then `connector-host connectors activate {full}`",
            validated.missing.join(", "),
            validated
                .missing
                .iter()
                .map(|key| format!("{}=...", key.trim_start_matches("settings.")))
                .collect::<Vec<_>>()
                .join(" --set ")
        ));
    }
    match connector.profiles.as_slice() {
        [] if connector.run_on == DATA_PROCESSOR => text.push_str(&format!(
            "\n  It is in no profile, so it does not pull by itself: `connector-host profiles add-connector {} {full}`.",
            profile::DEFAULT
        )),
        [] => text.push_str(&format!("\n  It runs on the sensor {}.", connector.run_on)),
        profiles => text.push_str(&format!("\n  It is in the profile {}.", profiles.join(", "))),
    }
    describe_warnings(&mut text, &validated.warnings);
    let document = Changed {
        connector: &connector,
        changed: &[],
        full_walk: false,
        missing: &validated.missing,
        warnings: &validated.warnings,
    };
    Ok(Answer::new(text, &document, 0))
}

fn explain(failure: Failure, file: &Path) -> Failure {
    let Failure::Catalogue(error) = failure else {
        return failure.in_file(file);
    };
    let Some(key) = error.key_of_definition() else {
        return error.into();
    };
    Failure::Mistakes(vec![Mistake::new(file, key, error.to_string())])
}
