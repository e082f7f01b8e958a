//! `connectors delete`: asks where somebody can be asked, and otherwise wants `--yes`.

use crate::answer::Answer;
use crate::arguments::Global;
use crate::commands::question;
use crate::failure::Failure;
use crate::keeper::Keeper;
use serde::Serialize;

/// The JSON result.
#[derive(Serialize)]
struct Deleted<'a> {
    /// The connector's id; its records carry it.
    id: &'a str,
    /// `tenant/name`.
    deleted: &'a str,
}

pub(super) async fn run(global: &Global, name: &str, yes: bool) -> Result<Answer, Failure> {
    // Owning the directory means that no run is under way; whoever serves it stops one.
    let keeper = Keeper::open(global)?;
    let connector = keeper.catalogue().connector(name)?;
    let full = connector.full_name();
    if !yes && !question::can_ask(global) {
        return Err(Failure::Usage(format!(
            "nobody can be asked whether connector {full} is to be deleted with its secrets, positions and cache; say so with --yes"
        )));
    }
    if !yes
        && !question::ask(&format!(
            "Delete connector {full} with its secrets, positions and cache? Its records stay."
        ))
    {
        return Ok(Answer::with_json(
            format!("connector {full} was not deleted"),
            String::new(),
            1,
        ));
    }
    keeper.delete(&connector).await?;
    let text = format!(
        "connector {full} was deleted; its records stay, and its name is free for another connector"
    );
    let document = Deleted {
        id: &connector.id,
        deleted: &full,
    };
    Ok(Answer::new(text, &document, 0))
}
