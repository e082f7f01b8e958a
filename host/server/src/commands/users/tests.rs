use super::*;
use crate::arguments::{Arguments, Command};
use crate::commands::tokens;
use serde_json::Value;
use std::path::Path;

async fn command(directory: &Path, line: &str) -> Result<Value, Failure> {
    let raw: Vec<_> = format!("connector-host {line}")
        .split(' ')
        .map(Into::into)
        .collect();
    let global = Global::of_data(directory);
    let answer = match Arguments::read(&raw).ok().unwrap().command {
        Command::Users(command) => run(&global, &command).await,
        Command::Tokens(command) => tokens::run(&global, &command).await,
        other => panic!("{other:?}"),
    };
    answer.map(|answer| {
        assert!(!answer.text.is_empty());
        serde_json::from_str(&answer.json).unwrap()
    })
}

fn with_password() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password.txt");
    std::fs::write(&file, "correct horse battery\n").unwrap();
    let file = file.display().to_string();
    (directory, file)
}

#[tokio::test]
async fn a_user_is_made_edited_and_deleted() {
    let (directory, file) = with_password();
    let data = directory.path().join("data");
    assert_eq!(command(&data, "users list").await.unwrap()["total"], 0);
    for name in ["alice", "bob"] {
        let line = format!("users add {name} --role root --password-file {file}");
        command(&data, &line).await.unwrap();
    }
    let catalogue = Catalogue::open(&data).unwrap();
    catalogue.add_tenant("acme").await.unwrap();
    let before = catalogue.stored_password("bob").unwrap().unwrap().hash;
    drop(catalogue);
    let edited = command(&data, "users edit bob --role tenant-admin --tenant acme").await;
    assert_eq!(edited.unwrap()["users"][1]["tenant"], "acme");
    let edited = command(
        &data,
        "users edit bob --role read-only --all-tenants --active false",
    )
    .await;
    let bob = &edited.unwrap()["users"][1];
    assert_eq!(
        (&bob["tenant"], &bob["active"]),
        (&Value::Null, &Value::from(false))
    );
    let line = format!("users password bob --password-file {file}");
    command(&data, &line).await.unwrap();
    let catalogue = Catalogue::read(&data).unwrap();
    assert_ne!(
        catalogue.stored_password("bob").unwrap().unwrap().hash,
        before
    );
    assert_eq!(
        command(&data, "users delete bob").await.unwrap()["total"],
        1
    );
    let last = command(&data, "users delete alice").await.unwrap_err();
    assert_eq!((last.exit(), last.code()), (2, "conflict"));
    let nothing = command(&data, "users edit alice").await.unwrap_err();
    assert_eq!(nothing.code(), "usage");
    let nobody = command(&data, "users edit bob --active true")
        .await
        .unwrap_err();
    assert_eq!(nobody.to_string(), "there is no user `bob`");
}

#[tokio::test]
async fn a_password_that_is_too_short_or_not_there_makes_no_user() {
    let (directory, file) = with_password();
    let data = directory.path().join("data");
    std::fs::write(&file, "short\n").unwrap();
    let line = format!("users add alice --role root --password-file {file}");
    let refused = command(&data, &line).await.unwrap_err();
    assert_eq!((refused.exit(), refused.code()), (2, "usage"));
    assert!(
        refused.to_string().contains("12 to 1024 characters"),
        "{refused}"
    );
    let line = "users add alice --role root --password-env CONNECTOR_HOST_NO_SUCH_VARIABLE";
    let refused = command(&data, line).await.unwrap_err();
    assert!(refused.to_string().contains("is not set"), "{refused}");
    assert_eq!(command(&data, "users list").await.unwrap()["total"], 0);
}

#[tokio::test]
async fn a_token_is_printed_once_and_deleted_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let made = command(data, "tokens add monitoring --role read-only --expires 90d")
        .await
        .unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("cht_"));
    let token = &made["tokens"][0];
    let lifetime = token["expires"].as_u64().unwrap() - token["created"].as_u64().unwrap();
    assert_eq!(lifetime, 90 * 86_400_000);
    let listed = command(data, "tokens list").await.unwrap();
    assert_eq!(
        (&listed["total"], listed.get("token")),
        (&Value::from(1), None)
    );
    let deleted = command(data, "tokens delete monitoring").await.unwrap();
    assert_eq!(deleted["total"], 0);
    assert!(command(data, "tokens delete monitoring").await.is_err());
}
