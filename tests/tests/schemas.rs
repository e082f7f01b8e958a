//! Data directories of earlier versions: each is brought up to date by the present program, and keeps everything.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
/// How many steps of the schema have been released: for each there is a fixture.
const RELEASED: u64 = 9;

fn fixture(schema: u64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/schemas/{schema}"))
}

/// A data directory as the program of that schema left it.
fn directory(schema: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let packed = fs::File::open(fixture(schema).join("journal.sqlite.zst")).unwrap();
    let journal = zstd::decode_all(packed).unwrap();
    fs::write(folder.path().join("journal.sqlite"), journal).unwrap();
    let key = fixture(schema).join("secret.key");
    if key.exists() {
        let to = folder.path().join("secret.key");
        fs::copy(key, &to).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(HOST)
        .arg("--data-dir")
        .arg(folder)
        .arg("--insecure-loopback")
        .args(arguments)
        .env_remove("CONNECTOR_HOST_KEY")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

type Table = (String, Vec<String>, Vec<Vec<Cell>>);

/// Every row of every table, in the columns that `like` has.
fn rows(folder: &Path, like: Option<&[Table]>) -> Vec<Table> {
    let path = folder.join("journal.sqlite");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let tables: Vec<(String, Vec<String>)> = match like {
        Some(tables) => tables
            .iter()
            .map(|(table, columns, _)| (table.clone(), columns.clone()))
            .collect(),
        None => {
            let mut names = database
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
                .unwrap();
            let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
            let columns = |table: &str| {
                let mut columns = database
                    .prepare("SELECT name FROM pragma_table_info(?1)")
                    .unwrap();
                let columns = columns.query_map([table], |row| row.get(0)).unwrap();
                columns.collect::<Result<Vec<_>, _>>().unwrap()
            };
            names
                .map(|name| name.unwrap())
                .map(|name| (name.clone(), columns(&name)))
                .collect()
        }
    };
    let read = |(table, columns): (String, Vec<String>)| {
        let sql = format!("SELECT {0} FROM {table} ORDER BY {0}", columns.join(", "));
        let mut statement = database.prepare(&sql).unwrap();
        let rows = statement
            .query_map([], |row| (0..columns.len()).map(|n| row.get(n)).collect())
            .unwrap();
        let rows = rows.collect::<Result<Vec<_>, _>>().unwrap();
        (table, columns, rows)
    };
    tables.into_iter().map(read).collect()
}

/// The text of the whole schema.
fn schema_of(folder: &Path) -> Vec<String> {
    let database = Connection::open(folder.join("journal.sqlite")).unwrap();
    let mut texts = database
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        .unwrap();
    let texts = texts.query_map([], |row| row.get(0)).unwrap();
    texts.collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_released_schema_has_its_fixture_and_every_step_becomes_a_released_one() {
    let folder = tempfile::tempdir().unwrap();
    let known = document(&run(folder.path(), &["doctor", "--json"]))["known_schema"]
        .as_u64()
        .unwrap();
    for schema in 1..=RELEASED {
        assert!(fixture(schema).is_dir(), "no fixture of schema {schema}");
    }
    assert!(RELEASED <= known);
    // One release brings a few steps; with more, a release has gone by without its fixture.
    assert!(
        known - RELEASED <= 3,
        "schema {known}: keep fixtures of what was released since {RELEASED} (see fixtures/schemas/README.md)"
    );
}

#[test]
fn a_data_directory_of_every_released_schema_is_brought_up_to_date_and_keeps_every_row() {
    let fresh = tempfile::tempdir().unwrap();
    assert!(
        run(fresh.path(), &["tenants", "add", "acme"])
            .status
            .success()
    );
    for schema in 1..=RELEASED {
        let folder = directory(schema);
        let folder = folder.path();
        let before = rows(folder, None);
        let total: usize = before.iter().map(|(_, _, rows)| rows.len()).sum();
        assert!(total > 40, "schema {schema} has {total} rows only");

        let listed = document(&run(folder, &["connectors", "list", "--json"]));
        let defined: u64 = if schema < 5 { 0 } else { 2 };
        assert_eq!(listed["total"], defined, "schema {schema}: {listed}");
        assert_eq!(
            rows(folder, Some(&before)),
            before,
            "schema {schema} lost something"
        );
        // Also an older step must not have changed since its release.
        assert_eq!(
            schema_of(folder),
            schema_of(fresh.path()),
            "schema {schema}"
        );

        let exported = run(folder, &["export", "--index", "syslog"]);
        assert!(exported.status.success());
        let lines = exported.stdout.split(|byte| *byte == b'\n');
        let records: Vec<Value> = lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(records.len(), 67, "schema {schema}");
        let runs = document(&run(folder, &["runs", "list", "--json"]));
        assert_eq!(runs["total"], 3, "schema {schema}: {runs}");
    }
}

#[test]
fn the_catalogue_of_a_released_schema_still_opens_its_secrets() {
    let folder = directory(5);
    let folder = folder.path();
    run(folder, &["tenants", "add", "gamma"]);
    let examined = document(&run(folder, &["doctor", "--json"]));
    let key = examined["checks"].as_array().unwrap().iter();
    let key: Vec<_> = key.filter(|finding| finding["check"] == "key").collect();
    assert_eq!(key.len(), 1);
    assert_eq!(key[0]["verdict"], "ok", "{}", key[0]);
    assert_eq!(key[0]["message"], "it opens 2 secrets");
    let shown = document(&run(
        folder,
        &["connectors", "show", "qualys-prod", "--json"],
    ));
    assert_eq!(shown["connector"]["profiles"][0], "Default");
    let filters = document(&run(folder, &["filters", "list", "--json"]));
    assert_eq!(filters["filters"][0]["connectors"][0], "acme/qualys-prod");
    let devices = document(&run(folder, &["devices", "list", "--json"]));
    assert_eq!(devices["total"], 2);
}
