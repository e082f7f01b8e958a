//! `users ...`: who may sign in.

use crate::access::{Password, Principal, users};
use crate::answer::Answer;
use crate::arguments::{AddUser, EditUser, Global, PasswordSource, UsersCommand};
use crate::commands::question;
use crate::connectors::Catalogue;
use crate::connectors::user::{User, UserChange};
use crate::definition;
use crate::failure::{Failure, Mistake};
use crate::keeper::Keeper;
use crate::{figures, host, table};
use serde::Serialize;

/// The JSON result: the users as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"name","role","tenant","tenant_id","active","created","last_login"}`.
    users: &'a [User],
}

/// Runs one of the commands, as the owner of the data directory.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &UsersCommand) -> Result<Answer, Failure> {
    let (directory, owner) = (host::data_directory(global)?, Principal::owner());
    if let UsersCommand::List = command {
        let users = match Catalogue::read_if_any(&directory)? {
            Some(catalogue) => users::list(&catalogue, &owner)?,
            None => Vec::new(),
        };
        return Ok(answer(describe(&users), &users));
    }
    if let UsersCommand::Edit(edit) = command
        && edit.is_empty()
    {
        return Err(Failure::Usage(
            "nothing was said that is to be another: name --role, --tenant, --all-tenants or --active".into(),
        ));
    }
    // Asked for before the directory is owned: nobody else has to wait for somebody who types.
    let password = match command {
        UsersCommand::Add(AddUser { name, source, .. })
        | UsersCommand::Password { name, source } => Some(password(global, name, source)?),
        _ => None,
    };
    let keeper = Keeper::open(global)?;
    let text = match (command, password) {
        (UsersCommand::Add(add), Some(password)) => {
            let new = users::New {
                name: &add.name,
                password: &password,
                role: add.role,
                tenant: add.tenant.as_deref(),
            };
            let user = keeper.add_user(new).await?;
            format!("user {} was made, and is {}", user.name, role(&user))
        }
        (UsersCommand::Password { name, .. }, Some(password)) => {
            keeper.set_password(name, &password).await?;
            format!("user {name} has another password; sessions of {name} have ended")
        }
        (UsersCommand::Edit(edit), _) => {
            let user = keeper.edit_user(&edit.name, change(edit)).await?;
            let active = if user.active {
                ""
            } else {
                ", and may not sign in"
            };
            format!("user {} is {}{active}", user.name, role(&user))
        }
        (UsersCommand::Delete { name }, _) => {
            keeper.delete_user(name).await?;
            format!("user {name} was deleted")
        }
        (UsersCommand::List | UsersCommand::Add(_) | UsersCommand::Password { .. }, _) => {
            String::new()
        }
    };
    Ok(answer(text, &users::list(keeper.catalogue(), &owner)?))
}

fn change(edit: &EditUser) -> UserChange {
    UserChange {
        role: edit.role,
        tenant: match edit.all_tenants {
            true => Some(None),
            false => edit.tenant.clone().map(Some),
        },
        active: edit.active,
    }
}

fn password(global: &Global, name: &str, source: &PasswordSource) -> Result<Password, Failure> {
    let text = match (&source.password_file, &source.password_env) {
        (Some(file), _) => definition::from_file(file).map_err(|message| {
            Failure::Mistakes(vec![Mistake::of_file(file, format!("the password: {message}"))])
        })?,
        (None, Some(variable)) => std::env::var(variable).map_err(|_| {
            Failure::Usage(format!(
                "the environment variable {variable} is not set, or is not valid UTF-8; set it to the password"
            ))
        })?,
        (None, None) => question::secret(global, &format!("Password of {name}"))?,
    };
    Ok(text.into())
}

fn role(user: &User) -> String {
    match &user.tenant {
        Some(tenant) => format!("{} of tenant {tenant}", user.role),
        None => format!("{} of all tenants", user.role),
    }
}

fn answer(text: String, users: &[User]) -> Answer {
    let document = Document {
        total: users.len(),
        users,
    };
    Answer::new(text, &document, 0)
}

fn describe(users: &[User]) -> String {
    if users.is_empty() {
        return "There are no users. `connector-host users add NAME --role root` makes one.".into();
    }
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            [
                user.name.clone(),
                user.role.to_string(),
                user.tenant.clone().unwrap_or_else(|| "all".into()),
                if user.active { "yes" } else { "no" }.to_owned(),
                figures::moment(user.created),
                user.last_login
                    .map_or_else(|| "never".into(), figures::moment),
            ]
        })
        .collect();
    table::of(
        ["NAME", "ROLE", "TENANT", "ACTIVE", "CREATED", "LAST LOGIN"],
        &rows,
    )
}

#[cfg(test)]
mod tests;
