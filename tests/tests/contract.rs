//! The contract: what was released stays usable, and the JSON documents keep to their schemas.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use connector_runtime::Limits;
use connector_runtime::limits::{self, Unit};
use connector_runtime::plugins::imports;
use connector_runtime::testing::{Bench, Script};
use serde_json::{Value, json};
use std::path::Path;
use wit_parser::Resolve;

const CURRENT: &str = include_str!("../../wit/connector.wit");

/// Checks that `new` can replace `frozen`: it may import more and export less, and changes no type.
fn compatible(frozen: &str, new: &str) -> anyhow::Result<()> {
    // Two packages of one name and version would fold into one.
    let frozen = frozen.replace("0.1.0", "0.1.0-frozen");
    let mut resolve = Resolve::default();
    let old = resolve.push_str("frozen.wit", &frozen)?;
    let new = resolve.push_str("current.wit", new)?;
    let old = resolve.select_world(&[old], Some("plugin"))?;
    let new = resolve.select_world(&[new], Some("plugin"))?;
    wit_component::semver_check(resolve, old, new)
}

#[test]
fn every_released_contract_is_still_served() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/released");
    let mut versions = 0;
    for entry in std::fs::read_dir(released).unwrap() {
        let frozen = std::fs::read_to_string(entry.unwrap().path().join("connector.wit")).unwrap();
        compatible(&frozen, CURRENT).unwrap();
        versions += 1;
    }
    assert!(versions > 0);
}

#[test]
fn a_new_enum_case_or_export_would_be_refused() {
    let case = CURRENT.replace("malformed, internal }", "malformed, internal, haunted }");
    assert_ne!(case, CURRENT);
    compatible(CURRENT, &case).unwrap_err();

    let export = CURRENT.replace(
        "  /// The manifest, one",
        "  haunt: func();\n  /// The manifest, one",
    );
    assert_ne!(export, CURRENT);
    compatible(CURRENT, &export).unwrap_err();
}

#[test]
fn a_new_import_function_would_be_accepted() {
    let import = CURRENT.replace(
        "  remove: func(keys: list<string>);",
        "  remove: func(keys: list<string>);\n  clear: func();",
    );
    assert_ne!(import, CURRENT);
    compatible(CURRENT, &import).unwrap();
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../wit")
        .join(name);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn assert_valid(schema: &jsonschema::Validator, document: &Value) {
    let problems: Vec<_> = schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

async fn bench(component: &Path, settings: Value) -> Bench {
    Bench::of(component)
        .compiled(tests::compiled())
        .settings(settings)
        .upstream(Script::new())
        .open()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_manifests_keep_to_their_schema() {
    let schema = schema("manifest.schema.json");
    let acme = json!({"url": "acme.example.test", "token_name": "a", "token": "b"});
    let qualys = json!({"qualys_url": "qualysapi.example.test", "username": "a", "password": "b",
        "content_type": ["hosts", "vulnerabilities"]});
    for (component, settings) in [
        (tests::acme_component(), acme),
        (tests::qualys_component(), qualys),
    ] {
        let bench = bench(component, settings).await;
        let manifest = serde_json::to_value(&bench.plugin().manifest).unwrap();
        assert_valid(&schema, &manifest);
        for import in &bench.plugin().imports {
            assert!(imports::is_offered(import), "{import}");
        }
    }
}

#[test]
fn a_manifest_that_asks_for_an_address_of_its_own_is_refused() {
    let schema = schema("manifest.schema.json");
    let mut manifest: Value = serde_json::from_str(include_str!(
        "../../fixtures/acme-scanner/src/manifest.json"
    ))
    .unwrap();
    assert_valid(&schema, &manifest);
    manifest["network"]["origin"] = json!("https://collector.example.test");
    assert!(!schema.is_valid(&manifest));
    let error = connector_runtime::Manifest::parse(&manifest.to_string()).unwrap_err();
    assert!(error.to_string().contains("network.origin"), "{error}");
}

#[test]
fn the_documents_of_a_batch_have_schemas_that_say_no() {
    let report = schema("report.schema.json");
    assert_valid(
        &report,
        &json!({"counters": {"listed": 2}, "seen": [{"object": "a1", "time_ms": 1, "repeated": ["x"]}]}),
    );
    assert!(!report.is_valid(&json!({"counters": {"listed": -1}})));
    let options = schema("options.schema.json");
    assert_valid(&options, &json!({"full": true}));
    assert!(!options.is_valid(&json!({"full": "yes"})));
}

#[test]
fn the_readme_shows_exactly_the_imports_that_are_linked() {
    let readme = include_str!("../../README.md");
    let shown: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `wasi:") || line.starts_with("| `interflow:"))
        .collect();
    let linked: Vec<String> = imports::OFFERED
        .iter()
        .map(|(name, behind)| format!("| `{name}` | {behind} |"))
        .collect();
    assert_eq!(shown, linked);
}

/// `1,048,576`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A row of the README's table, up to the name of the test that breaks the limit.
fn described(row: &limits::Row) -> String {
    let unit = match row.unit {
        Unit::Mebibytes => " MiB",
        Unit::Kibibytes => " KiB",
        Unit::Seconds => " s",
        Unit::Count => "",
    };
    format!(
        "| `{}` | {} | {}{unit} | {} to {} | `{}` | `",
        row.key,
        row.meaning,
        grouped(row.get(&Limits::default()) / row.unit.scale()),
        grouped(row.least),
        grouped(row.most),
        row.room
    )
}

#[test]
fn the_readme_shows_exactly_the_limits_that_are_enforced_each_with_a_test_that_breaks_it() {
    let readme = include_str!("../../README.md");
    let shown: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| key in `[limits]`"))
        .skip(2)
        .take_while(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = limits::TABLE.iter().map(described).collect();
    let tests = every_test();
    for (row, start) in shown.iter().zip(&expected) {
        let breaker = row
            .strip_prefix(start.as_str())
            .and_then(|rest| rest.strip_suffix("` |"));
        let Some(breaker) = breaker else {
            panic!("{row}\nshould begin with\n{start}");
        };
        assert!(tests.contains(&format!("fn {breaker}(")), "{breaker}");
    }
    assert_eq!(shown.len(), expected.len(), "{}", expected.join("\n"));
}

#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = include_str!("../../README.md");
    let tests = every_test();
    let named: Vec<&str> = readme
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() >= 5 && !name.contains([' ', '/', '.', '{']))
        // The metrics have a table and a test of their own.
        .filter(|name| !name.starts_with("connector_host_"))
        .collect();
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "{name}");
    }
}

/// The text of every file that holds tests of limits.
fn every_test() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.join("tests"), root.join("host"), root.join("plugin")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}
