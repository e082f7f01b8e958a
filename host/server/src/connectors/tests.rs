use super::definition::Entry;
use super::error::CatalogueError;
use super::key::{FILE_NAME as KEY_FILE, Keys};
use super::secret::Plain;
use super::*;
use crate::status::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Block, Commit, FILE_NAME, Position};
use rusqlite_migration::Migrations;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs;
use tempfile::TempDir;
use zeroize::Zeroizing;

const SECRET: &str = "s3cret-token";

fn open(directory: &Path) -> Catalogue {
    let catalogue = Catalogue::open_with(directory, Keys::new(directory, None, None)).unwrap();
    catalogue.journal().set_disk_floor(0);
    catalogue
}

fn empty() -> (TempDir, Catalogue) {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = open(directory.path());
    (directory, catalogue)
}

fn entry(tenant: &str, name: &str) -> Entry {
    Entry {
        tenant: tenant.into(),
        name: name.into(),
        kind: "acme-scanner".into(),
        run_on: "dp".into(),
        active: true,
        settings: json!({"url": "https://scanner.example.test", "token_name": "reader"}),
        content_types: vec!["assets".into()],
        interval_minutes: 5,
        version: "0.1.0".into(),
        secrets: vec![Plain::new("/token", &json!(SECRET))],
    }
}

async fn with_one() -> (TempDir, Catalogue, String) {
    let (directory, catalogue) = empty();
    let id = catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    (directory, catalogue, id)
}

fn token(catalogue: &Catalogue, reference: &str) -> Result<String, CatalogueError> {
    let connector = catalogue.connector(reference)?;
    let settings = catalogue.unsealed(&connector, &[])?;
    Ok(settings["token"].as_str().unwrap().to_owned())
}

fn encoded(byte: u8) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode([byte; 32]))
}

/// Everything that lies in the data directory.
fn contains(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

fn commit(connector: &str, position: &Position) -> Commit {
    Commit {
        connector: connector.to_owned(),
        content_type: "assets".into(),
        part: String::new(),
        expected_generation: position.generation,
        cursor: "cursor-of-the-walk".into(),
        written_ms: 7,
        cache_puts: vec![("key".into(), b"what the plugin remembers".to_vec())],
        cache_removes: Vec::new(),
        block: Some(Block::press(&[Index::Syslog], 1, Some((1, 1)), b"{\"a\":1}\n", b"").unwrap()),
    }
}

// The schema.

#[test]
fn a_file_of_every_released_schema_is_brought_up_to_date_and_keeps_its_ids() {
    for released in 1..=schema::migrations().len() {
        let directory = tempfile::tempdir().unwrap();
        let mut old = Connection::open(directory.path().join(FILE_NAME)).unwrap();
        let steps = schema::migrations().into_iter().take(released).collect();
        Migrations::new(steps).to_latest(&mut old).unwrap();
        old.execute_batch(
            "INSERT INTO tenants VALUES ('t', 'acme', 1);
             INSERT INTO connectors (id, tenant, name, kind, created) VALUES ('c', 't', 'scanner', 'acme-scanner', 1);
             INSERT INTO runs (id, connector, started, ended, outcome) VALUES ('r', 'c', 1, 2, 'done');",
        )
        .unwrap();
        drop(old);
        let catalogue = Catalogue::read(directory.path()).unwrap();
        let row = catalogue.journal().find_connector("acme", "scanner");
        assert_eq!(row.unwrap().unwrap().id, "c", "of schema {released}");
        assert_eq!(
            catalogue.runs(None, 9).unwrap()[0].connector,
            "acme/scanner"
        );
        assert_eq!(catalogue.devices().unwrap()[0].name, "dp");
        assert_eq!(catalogue.profiles().unwrap()[0].name, "Default");
    }
}

#[test]
fn statuses_begin_with_what_the_last_run_of_each_connector_came_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    let steps = |count| schema::migrations().into_iter().take(count).collect();
    let has_statuses = |count: &usize| {
        let mut database = Connection::open_in_memory().unwrap();
        Migrations::new(steps(*count))
            .to_latest(&mut database)
            .unwrap();
        database.table_exists(None, "statuses").unwrap()
    };
    let with = (1..).find(has_statuses).unwrap();
    Migrations::new(steps(with - 1))
        .to_latest(&mut old)
        .unwrap();
    old.execute_batch("INSERT INTO tenants VALUES ('t', 'acme', 1); INSERT INTO devices VALUES ('branch', 'sensor', 1);")
        .unwrap();
    let refused =
        r#"{"reason":"no","contents":[{"outcome":"failed","failure":{"kind":"unauthenticated"}}]}"#;
    let broken =
        r#"{"reason":"no","contents":[{"outcome":"failed","failure":{"kind":"unavailable"}}]}"#;
    let rows = [
        ("a", "done", Some("{}")),
        ("b", "failed", Some(refused)),
        ("c", "failed", Some(broken)),
        (
            "d",
            "postponed",
            Some(r#"{"reason":"later","resume_at":99}"#),
        ),
        ("e", "interrupted", None),
        ("f", "incomplete", Some("{}")),
    ];
    for (id, outcome, ledger) in rows {
        old.execute(
            "INSERT INTO connectors (id, tenant, name, kind, created) VALUES (?1, 't', ?1, 'acme-scanner', 1)",
            [id],
        )
        .unwrap();
        let run_on = if id == "f" { "branch" } else { "dp" };
        old.execute(
            "INSERT INTO definitions (connector, settings, content_types, interval_minutes, active, run_on, version,
                 created, modified) VALUES (?1, '{}', '[]', 5, 1, ?2, '1', 7, 7)",
            [id, run_on],
        )
        .unwrap();
        for (run, started, outcome, ledger) in
            [("1", 1, "done", Some("{}")), ("2", 2, outcome, ledger)]
        {
            old.execute(
                "INSERT INTO runs (id, connector, started, ended, outcome, ledger) VALUES (?2 || ?1, ?1, ?3, 3, ?4, ?5)",
                rusqlite::params![id, run, started, outcome, ledger],
            )
            .unwrap();
        }
    }
    drop(old);
    let catalogue = Catalogue::read(directory.path()).unwrap();
    let mut facts = catalogue.facts(None).unwrap();
    facts.sort_by(|a, b| a.id.cmp(&b.id));
    let judged: Vec<_> = facts
        .iter()
        .map(|facts| facts.judged().map(State::as_str))
        .collect();
    let [healthy, refused, failing, waiting, incomplete] = [
        "healthy",
        "stopped-after-refused-login",
        "failing",
        "waiting-for-quota",
        "incomplete",
    ]
    .map(Some);
    assert_eq!(
        judged,
        [healthy, refused, failing, waiting, None, incomplete]
    );
    assert_eq!((facts[3].not_before, facts[3].started), (Some(99), Some(2)));
    // A sensor's connector needs no profile, so it is due.
    assert_eq!((facts[0].due, facts[5].due), (None, Some(7)));
}

#[test]
fn what_was_released_never_changes() {
    // Of the journal's first two steps, which are in files that people have.
    let digests = ["1", "2"].map(|steps| {
        let mut database = Connection::open_in_memory().unwrap();
        let steps = schema::migrations()
            .into_iter()
            .take(steps.parse().unwrap())
            .collect();
        Migrations::new(steps).to_latest(&mut database).unwrap();
        let schema: String = database
            .query_row(
                "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        let digest = Sha256::digest(schema.as_bytes());
        digest[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    assert_eq!(digests, ["5f07ef3dfb37", "1e9f473905fc"]);
}

#[tokio::test]
async fn a_connector_that_has_collected_before_keeps_its_id() {
    let (_directory, catalogue) = empty();
    let row = catalogue
        .journal()
        .connector("acme", "scanner-1", "acme-scanner");
    let id = row.unwrap().id;
    assert!(catalogue.connectors().unwrap().is_empty());
    let created = catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    assert_eq!(created, id);
    let mut other = entry("acme", "scanner-2");
    catalogue
        .journal()
        .connector("acme", "scanner-2", "acme-other")
        .unwrap();
    other.secrets.clear();
    let refused = catalogue.create(other).await.unwrap_err();
    assert!(refused.to_string().contains("acme-other"), "{refused}");
    assert_eq!(catalogue.connectors().unwrap().len(), 1);
}

// Names.

#[tokio::test]
async fn a_name_that_several_tenants_use_must_say_which() {
    let (_directory, catalogue, id) = with_one().await;
    assert_eq!(catalogue.connector("scanner-1").unwrap().id, id);
    catalogue
        .create(entry("globex", "scanner-1"))
        .await
        .unwrap();
    let refused = catalogue.connector("scanner-1").unwrap_err().to_string();
    assert!(
        refused.contains("acme/scanner-1, globex/scanner-1"),
        "{refused}"
    );
    assert_eq!(catalogue.connector("acme/scanner-1").unwrap().id, id);
    let refused = catalogue.connector("acme/nobody").unwrap_err().to_string();
    assert!(
        refused.contains("there is acme/scanner-1, globex/scanner-1"),
        "{refused}"
    );
}

#[tokio::test]
async fn the_same_name_twice_is_refused_and_changes_nothing() {
    let (_directory, catalogue, id) = with_one().await;
    let mut second = entry("acme", "scanner-1");
    second.settings = json!({"url": "https://elsewhere.example.test"});
    second.secrets = vec![Plain::new("/token", &json!("other"))];
    let refused = catalogue.create(second).await.unwrap_err();
    assert!(
        matches!(refused, CatalogueError::Exists { .. }),
        "{refused}"
    );
    let connector = catalogue.connector("scanner-1").unwrap();
    assert_eq!(
        (connector.id, connector.settings),
        (id, entry("", "").settings)
    );
    assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
}

// Secrets.

#[tokio::test]
async fn a_secret_lies_nowhere_in_clear_and_comes_back_for_a_run() {
    let (directory, catalogue, _) = with_one().await;
    assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
    let listed = serde_json::to_string(&catalogue.connectors().unwrap()).unwrap();
    assert!(
        listed.contains("\"/token\"") && !listed.contains(SECRET),
        "{listed}"
    );
    assert!(!contains(directory.path(), SECRET.as_bytes()));
    drop(catalogue);
    assert!(!contains(directory.path(), SECRET.as_bytes()));
    assert!(contains(directory.path(), b"scanner.example.test"));
    assert_eq!(token(&open(directory.path()), "scanner-1").unwrap(), SECRET);
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_is_made_at_the_first_secret_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, catalogue) = empty();
    let file = directory.path().join(KEY_FILE);
    let mut without = entry("acme", "without");
    without.secrets.clear();
    catalogue.create(without).await.unwrap();
    assert!(!file.exists());
    catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = token(&catalogue, "scanner-1").unwrap_err().to_string();
    assert!(
        refused.contains("chmod 600") && refused.contains(KEY_FILE),
        "{refused}"
    );
    let refused = catalogue.create(entry("acme", "scanner-2")).await;
    assert!(matches!(refused, Err(CatalogueError::Key(_))));
}

#[tokio::test]
async fn a_lost_or_wrong_key_names_the_connector_and_what_to_type() {
    let (directory, catalogue, _) = with_one().await;
    let file = directory.path().join(KEY_FILE);
    fs::rename(&file, directory.path().join("elsewhere")).unwrap();
    let advice = "connectors edit acme/scanner-1 --set token=...";
    let lost = token(&catalogue, "scanner-1").unwrap_err().to_string();
    assert!(
        lost.contains("connector acme/scanner-1") && lost.contains(advice),
        "{lost}"
    );
    // Another secret makes another key, which does not open the first.
    catalogue.create(entry("acme", "scanner-2")).await.unwrap();
    assert!(token(&catalogue, "scanner-2").is_ok());
    let wrong = token(&catalogue, "scanner-1").unwrap_err().to_string();
    assert!(wrong.contains(advice), "{wrong}");
    // And typing it again needs no old key.
    let connector = catalogue.connector("scanner-1").unwrap();
    let touched = vec!["/token".to_owned()];
    assert!(catalogue.unsealed(&connector, &touched).is_ok());
    catalogue
        .replace(&connector.id, entry("acme", "scanner-1"), touched, &[])
        .await
        .unwrap();
    assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
}

#[tokio::test]
async fn a_sealed_secret_opens_for_its_own_connector_and_setting_only() {
    let (_directory, catalogue, id) = with_one().await;
    let other = catalogue.create(entry("globex", "thief")).await.unwrap();
    for change in [
        format!(
            "UPDATE secrets SET (key, nonce, ciphertext) = (SELECT key, nonce, ciphertext FROM secrets WHERE connector = '{id}')
             WHERE connector = '{other}'"
        ),
        format!("UPDATE secrets SET pointer = '/url' WHERE connector = '{other}'"),
    ] {
        let connector = catalogue.connector("thief").unwrap();
        assert!(catalogue.unsealed(&connector, &[]).is_ok());
        let reset = entry("globex", "thief");
        catalogue
            .change(move |database| Ok(database.execute(&change, [])?))
            .await
            .unwrap();
        let refused = catalogue.unsealed(&connector, &[]).unwrap_err().to_string();
        assert!(refused.contains("changed in the file"), "{refused}");
        let forget = vec!["/url".to_owned()];
        catalogue
            .replace(&other, reset, forget, &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_key_in_the_environment_seals_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keyed = |key| Catalogue::open_with(path, Keys::new(path, key, None)).unwrap();
    let catalogue = keyed(Some(encoded(1)));
    catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
    assert!(!path.join(KEY_FILE).exists());
    drop(catalogue);
    let catalogue = keyed(Some(encoded(2)));
    let refused = token(&catalogue, "scanner-1").unwrap_err().to_string();
    assert!(refused.contains("CONNECTOR_HOST_KEY"), "{refused}");
    drop(catalogue);
    for bad in ["", "short", "c2hvcnQ="] {
        let catalogue = keyed(Some(Zeroizing::new(bad.into())));
        let refused = token(&catalogue, "scanner-1").unwrap_err().to_string();
        assert!(
            refused.contains("CONNECTOR_HOST_KEY is not a key"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_the_old_key_opens_nothing() {
    let (directory, catalogue, _) = with_one().await;
    catalogue
        .create(entry("globex", "scanner-2"))
        .await
        .unwrap();
    let file = directory.path().join(KEY_FILE);
    let old = fs::read(&file).unwrap();
    assert_eq!(catalogue.rotate_key().await.unwrap(), 2);
    assert_ne!(fs::read(&file).unwrap(), old);
    assert!(!directory.path().join("secret.key.new").exists());
    for name in ["scanner-1", "scanner-2"] {
        assert_eq!(token(&catalogue, name).unwrap(), SECRET);
    }
    fs::write(&file, old).unwrap();
    assert!(token(&catalogue, "scanner-1").is_err());
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_anywhere_loses_no_secret() {
    // Before the transaction, and after it: the new key lies beside the old one.
    for committed in [false, true] {
        let (directory, catalogue, _) = with_one().await;
        let keyring = catalogue.keys.load().unwrap();
        let new = catalogue.keys.begin_rotation().unwrap();
        if committed {
            catalogue.reseal(keyring, new.clone()).await.unwrap();
        }
        assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
        drop(catalogue);
        let heir = open(directory.path());
        assert!(!directory.path().join("secret.key.new").exists());
        assert_eq!(token(&heir, "scanner-1").unwrap(), SECRET);
        let sealing = heir.keys.load().unwrap().sealing().unwrap().id.clone();
        assert_eq!(sealing == new.id, committed);
    }
}

#[tokio::test]
async fn a_rotation_with_a_locked_secret_is_refused_and_changes_nothing() {
    let (directory, catalogue, _) = with_one().await;
    let file = directory.path().join(KEY_FILE);
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    catalogue.create(entry("acme", "scanner-2")).await.unwrap();
    let second = fs::read(&file).unwrap();
    let refused = catalogue.rotate_key().await.unwrap_err().to_string();
    assert!(refused.contains("acme/scanner-1"), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), second);
    assert_eq!(token(&catalogue, "scanner-2").unwrap(), SECRET);
    fs::write(&file, kept).unwrap();
    assert_eq!(token(&catalogue, "scanner-1").unwrap(), SECRET);
}

#[tokio::test]
async fn a_key_of_the_environment_is_rotated_to_another_one_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keyed = |key, new| Catalogue::open_with(path, Keys::new(path, key, new)).unwrap();
    let catalogue = keyed(Some(encoded(1)), None);
    catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    let refused = catalogue.rotate_key().await.unwrap_err().to_string();
    assert!(refused.contains("CONNECTOR_HOST_NEW_KEY"), "{refused}");
    drop(catalogue);
    let catalogue = keyed(Some(encoded(1)), Some(encoded(2)));
    assert_eq!(catalogue.rotate_key().await.unwrap(), 1);
    drop(catalogue);
    assert_eq!(
        token(&keyed(Some(encoded(2)), None), "scanner-1").unwrap(),
        SECRET
    );
    assert!(token(&keyed(Some(encoded(1)), None), "scanner-1").is_err());
}

// Deleting.

#[tokio::test]
async fn a_deleted_connector_frees_its_name_and_keeps_its_records() {
    let (directory, catalogue, id) = with_one().await;
    let journal = catalogue.journal().clone();
    let run = journal.begin_run(&id, 1).await.unwrap();
    let position = journal.cursor(&id, "assets", "").unwrap();
    journal.commit(commit(&id, &position)).await.unwrap();
    journal.reset(&id, Some("assets")).await.unwrap();
    let position = journal.cursor(&id, "assets", "").unwrap();
    journal.commit(commit(&id, &position)).await.unwrap();
    journal
        .end_run(&run, 2, "done", "{\"records\":2}")
        .await
        .unwrap();
    catalogue
        .add_to_profile("Default", "scanner-1")
        .await
        .unwrap();
    let (nonce, sealed): (Vec<u8>, Vec<u8>) = journal
        .read(|database| {
            let row = "SELECT nonce, ciphertext FROM secrets";
            Ok(database.query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .unwrap();

    catalogue.delete("acme/scanner-1").await.unwrap();
    assert!(catalogue.connectors().unwrap().is_empty());
    assert!(catalogue.profiles().unwrap()[0].connectors.is_empty());
    // A batch that was under way cannot come back.
    let late = journal.commit(commit(&id, &position)).await;
    assert!(late.is_err());
    assert_eq!(journal.blocks(None, 0).count(), 2);
    let runs = catalogue.runs(None, 9).unwrap();
    assert_eq!(
        (runs[0].connector.as_str(), runs[0].deleted),
        ("acme/scanner-1", true)
    );
    assert_eq!(runs[0].records, Some(2));

    let again = catalogue.create(entry("acme", "scanner-1")).await.unwrap();
    assert_ne!(again, id);
    assert_eq!(journal.cursor(&again, "assets", "").unwrap().cursor, None);
    catalogue.delete("acme/scanner-1").await.unwrap();
    drop((journal, catalogue));
    for shredded in [&nonce[..], &sealed[..], b"what the plugin remembers"] {
        assert!(!contains(directory.path(), shredded));
    }
}

// Where and when.

#[tokio::test]
async fn the_first_profile_makes_a_connector_due_and_a_later_one_keeps_its_time() {
    let (_directory, catalogue, id) = with_one().await;
    assert_eq!(catalogue.connector("scanner-1").unwrap().due, None);
    assert!(
        catalogue
            .add_to_profile("Default", "scanner-1")
            .await
            .unwrap()
    );
    assert!(
        !catalogue
            .add_to_profile("Default", "scanner-1")
            .await
            .unwrap()
    );
    assert!(catalogue.connector("scanner-1").unwrap().due.is_some());
    catalogue
        .change(move |database| {
            let later = "UPDATE definitions SET due = 4102444800000 WHERE connector = ?1";
            Ok(database.execute(later, [&id])?)
        })
        .await
        .unwrap();
    assert!(
        catalogue
            .remove_from_profile("Default", "scanner-1")
            .await
            .unwrap()
    );
    assert!(
        !catalogue
            .remove_from_profile("Default", "scanner-1")
            .await
            .unwrap()
    );
    catalogue.add_profile("Night").await.unwrap();
    assert!(
        catalogue
            .add_to_profile("Night", "scanner-1")
            .await
            .unwrap()
    );
    let connector = catalogue.connector("scanner-1").unwrap();
    assert_eq!(connector.due, Some(4_102_444_800_000));
    assert_eq!(connector.profiles, ["Night"]);
    let refused = catalogue.delete_profile("Night").await.unwrap_err();
    assert!(
        refused.to_string().contains("remove-connector"),
        "{refused}"
    );
    assert!(catalogue.delete_profile("Default").await.is_err());
    assert!(catalogue.add_profile("Night").await.is_err());
    let refused = catalogue
        .add_to_profile("Nacht", "scanner-1")
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("there is Default, Night"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_sensor_needs_no_profile_and_stays_while_it_has_connectors() {
    let (_directory, catalogue) = empty();
    let mut placed = entry("acme", "scanner-1");
    placed.run_on = "sensor-7".into();
    let refused = catalogue.create(placed).await.unwrap_err().to_string();
    assert!(
        refused.contains("there is no device `sensor-7`; there is dp"),
        "{refused}"
    );
    // Nothing of it was made.
    assert!(catalogue.tenants().unwrap().is_empty());
    catalogue.add_sensor("sensor-7").await.unwrap();
    let mut placed = entry("acme", "scanner-1");
    placed.run_on = "sensor-7".into();
    catalogue.create(placed).await.unwrap();
    let refused = catalogue
        .add_to_profile("Default", "scanner-1")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("sensor-7"), "{refused}");
    let refused = catalogue.delete_device("sensor-7").await.unwrap_err();
    assert!(refused.to_string().contains("acme/scanner-1"), "{refused}");
    assert!(catalogue.delete_device("dp").await.is_err());
    catalogue.delete("scanner-1").await.unwrap();
    catalogue.delete_device("sensor-7").await.unwrap();
    assert_eq!(catalogue.devices().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tenant_keeps_its_id_and_stays_while_anything_is_its() {
    let (_directory, catalogue, _) = with_one().await;
    let before = catalogue.tenants().unwrap();
    catalogue.rename_tenant("acme", "acme-corp").await.unwrap();
    let after = catalogue.tenants().unwrap();
    assert_eq!(
        (&after[0].id, after[0].name.as_str()),
        (&before[0].id, "acme-corp")
    );
    assert_eq!(
        catalogue.connector("acme-corp/scanner-1").unwrap().tenant,
        "acme-corp"
    );
    catalogue.add_tenant("globex").await.unwrap();
    assert!(
        catalogue
            .rename_tenant("globex", "acme-corp")
            .await
            .is_err()
    );
    assert!(catalogue.add_tenant("globex").await.is_err());
    assert!(catalogue.add_tenant("a/b").await.is_err());
    let refused = catalogue.delete_tenant("acme-corp").await.unwrap_err();
    assert!(
        refused.to_string().contains("delete them first"),
        "{refused}"
    );
    catalogue.delete("scanner-1").await.unwrap();
    let refused = catalogue.delete_tenant("acme-corp").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("records of deleted connectors"),
        "{refused}"
    );
    catalogue.delete_tenant("globex").await.unwrap();
    assert_eq!(catalogue.tenants().unwrap().len(), 1);
}

#[tokio::test]
async fn every_change_leaves_an_event_and_a_reader_sees_it() {
    let (directory, catalogue, id) = with_one().await;
    assert!(catalogue.set_active("scanner-1", false).await.unwrap());
    assert!(!catalogue.set_active("scanner-1", false).await.unwrap());
    let changed = ["settings.token".to_owned()];
    catalogue
        .replace(&id, entry("acme", "scanner-1"), Vec::new(), &changed)
        .await
        .unwrap();
    let reader = Catalogue::read(directory.path()).unwrap();
    let events = reader.events(&id, 9).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["edited", "deactivated", "created"]);
    assert!(events[0].text.contains("settings.token"));
    assert!(!contains(directory.path(), SECRET.as_bytes()));
    assert!(reader.set_active("scanner-1", true).await.is_err());
}

#[tokio::test]
async fn a_run_is_found_by_the_first_digits_of_its_id() {
    let (_directory, catalogue, id) = with_one().await;
    let run = catalogue.journal().begin_run(&id, 1).await.unwrap();
    assert_eq!(catalogue.run(&run[..8]).unwrap().id, run);
    assert_eq!(catalogue.run(&run).unwrap().outcome, None);
    for unknown in ["", "%", "zz", "0123456789abcdef0123456789abcdef0"] {
        assert!(catalogue.run(unknown).is_err(), "{unknown}");
    }
    assert_eq!(catalogue.runs(Some("scanner-1"), 1).unwrap().len(), 1);
    assert!(catalogue.runs(Some("nobody"), 1).is_err());
}

// Filters.

fn conditions(value: &str) -> Vec<connector_runtime::interflow::Condition> {
    let text = json!([{"field": "a", "operator": "is", "values": [value]}]);
    serde_json::from_value(text).unwrap()
}

#[tokio::test]
async fn a_filter_is_attached_within_its_tenant_and_counts_its_revisions() {
    let (_directory, catalogue, id) = with_one().await;
    catalogue
        .create(entry("globex", "scanner-2"))
        .await
        .unwrap();
    catalogue
        .add_filter("own", Some("globex"), &conditions("1"))
        .await
        .unwrap();
    catalogue
        .add_filter("all", None, &conditions("1"))
        .await
        .unwrap();
    assert!(
        catalogue
            .add_filter("all", None, &conditions("1"))
            .await
            .is_err()
    );
    assert!(
        catalogue
            .add_filter("lost", Some("nobody"), &conditions("1"))
            .await
            .is_err()
    );
    let refused = catalogue
        .attach_filter("own", "scanner-1")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("globex"), "{refused}");
    assert!(catalogue.attach_filter("own", "scanner-2").await.unwrap());
    assert!(catalogue.attach_filter("all", "scanner-1").await.unwrap());
    assert!(!catalogue.attach_filter("all", "scanner-1").await.unwrap());
    catalogue
        .edit_filter("all", &conditions("2"))
        .await
        .unwrap();
    let attached = catalogue.filters_of(&id).unwrap();
    assert_eq!(attached.len(), 1);
    assert_eq!(
        (attached[0].name.as_str(), attached[0].revision),
        ("all", 2)
    );
    assert_eq!(attached[0].conditions, conditions("2"));
    assert_eq!(
        catalogue.filter("all").unwrap().connectors,
        ["acme/scanner-1"]
    );
    let refused = catalogue.delete_filter("all").await.unwrap_err();
    assert!(refused.to_string().contains("acme/scanner-1"), "{refused}");
    assert!(catalogue.detach_filter("all", "scanner-1").await.unwrap());
    assert!(catalogue.filters_of(&id).unwrap().is_empty());
    catalogue.delete_filter("all").await.unwrap();
    catalogue.delete("globex/scanner-2").await.unwrap();
    catalogue.delete_filter("own").await.unwrap();
}

#[tokio::test]
async fn the_last_records_are_found_by_their_blocks() {
    let (_directory, catalogue, id) = with_one().await;
    let other = catalogue.create(entry("acme", "scanner-2")).await.unwrap();
    for connector in [&id, &other, &id, &id] {
        let position = catalogue.journal().cursor(connector, "assets", "").unwrap();
        let batch = commit(connector, &position);
        catalogue.journal().commit(batch).await.unwrap();
    }
    let offsets = |connector: Option<&str>, records| {
        let mut offsets = Vec::new();
        catalogue
            .last_blocks(connector, records, |block| {
                offsets.push(block.offset);
                Ok(())
            })
            .unwrap();
        offsets
    };
    assert_eq!(offsets(None, 2), [3, 4]);
    assert_eq!(offsets(Some(&id), 3), [1, 3, 4]);
    assert_eq!(offsets(Some(&other), 9), [2]);
    assert!(offsets(None, 0).is_empty());
}
