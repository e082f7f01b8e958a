//! `tokens ...`: what programs come in with.

use crate::access::{Principal, tokens};
use crate::answer::Answer;
use crate::arguments::{Global, TokensCommand};
use crate::connectors::Catalogue;
use crate::connectors::token::Token;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{figures, host, table};
use serde::Serialize;

/// The JSON result: the tokens as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"id","name","prefix","role","tenant","tenant_id","created","created_by","expires","last_used"}`.
    tokens: &'a [Token],
    /// The token that was just made; this is the only time that it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// Runs one of the commands, as the owner of the data directory.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &TokensCommand) -> Result<Answer, Failure> {
    let (directory, owner) = (host::data_directory(global)?, Principal::owner());
    if let TokensCommand::List = command {
        let tokens = match Catalogue::read_if_any(&directory)? {
            Some(catalogue) => tokens::list(&catalogue, &owner)?,
            None => Vec::new(),
        };
        return Ok(answer(describe(&tokens), &tokens, None));
    }
    let keeper = Keeper::open(global)?;
    let (text, secret) = match command {
        TokensCommand::List => (String::new(), None),
        TokensCommand::Add(add) => {
            let wanted = tokens::Wanted {
                name: add.name.clone(),
                role: add.role,
                tenant: add.tenant.clone(),
                lifetime: add.expires,
            };
            let made = keeper.add_token(wanted).await?;
            let text = format!(
                "{}\nThis is token {}; keep it safe, it is not shown again. Programs send it as `authorization: Bearer TOKEN`.",
                *made.secret, made.token.name
            );
            (text, Some(made.secret))
        }
        TokensCommand::Delete { name } => {
            let token = keeper.delete_token(name).await?;
            let text = format!(
                "token {} ({}) was deleted; it is refused from now on",
                token.name, token.id
            );
            (text, None)
        }
    };
    let secret = secret.as_ref().map(|secret| secret.as_str());
    Ok(answer(
        text,
        &tokens::list(keeper.catalogue(), &owner)?,
        secret,
    ))
}

fn answer(text: String, tokens: &[Token], token: Option<&str>) -> Answer {
    let document = Document {
        total: tokens.len(),
        tokens,
        token,
    };
    Answer::new(text, &document, 0)
}

fn describe(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return "There are no tokens. `connector-host tokens add NAME --role read-only` makes one."
            .into();
    }
    let moment = |time: Option<u64>| time.map_or_else(|| "never".into(), figures::moment);
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            [
                token.name.clone(),
                token.id.clone(),
                format!("{}...", token.prefix),
                token.role.to_string(),
                token.tenant.clone().unwrap_or_else(|| "all".into()),
                moment(token.expires),
                moment(token.last_used),
                token.created_by.clone(),
            ]
        })
        .collect();
    let heading = [
        "NAME",
        "ID",
        "TOKEN",
        "ROLE",
        "TENANT",
        "EXPIRES",
        "LAST USED",
        "CREATED BY",
    ];
    table::of(heading, &rows)
}
