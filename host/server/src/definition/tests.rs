use super::*;

const FILE: &str = "conf/scanner.toml";
const WHOLE: &str = r#"
name = "scanner-1"
type = "acme-scanner"
tenant = "acme"
[settings]
url = "https://scanner.example.test"
user = "reader"
token = { env = "SCANNER_TOKEN" }
interval = 5
content_type = ["assets"]
"#;

fn manifest() -> Manifest {
    Manifest::parse(
        &serde_json::json!({
            "manifest_version": 1, "id": "acme-scanner", "name": "Acme Scanner", "vendor": "acme", "version": "0.1.0",
            "category": "Vulnerability Scanner", "category_id": "scan", "functions": {"collect": true},
            "content_types": [{"id": "assets", "label": "Assets", "msg_class": "acme_assets", "indices": ["syslog"]}],
            "origin": {"source": "acme_scanner", "vendor": "acme", "category": "security_scan"},
            "settings": {
                "type": "object", "additionalProperties": false, "required": ["url", "user", "token"],
                "properties": {
                    "token": {"type": "string", "minLength": 4, "writeOnly": true, "x-order": 3},
                    "url": {"type": "string", "x-order": 1},
                    "user": {"type": "string", "x-order": 2},
                    "interval": {"type": "integer", "minimum": 1, "x-order": 4},
                    "content_type": {"type": "array", "items": {"enum": ["assets"]}, "x-order": 5},
                },
            },
            "roles": {"origin": "/url", "username": "/user", "password": "/token", "interval": "/interval", "content_types": "/content_type"},
            "network": {"origin": "/url", "requests": [], "credential": {"scheme": "basic", "username": "/user", "password": "/token"}},
        })
        .to_string(),
    )
    .unwrap()
}

fn environment(name: &str) -> Option<OsString> {
    match name {
        "SCANNER_TOKEN" => Some("s3cret-token".into()),
        "EMPTY" => Some("".into()),
        _ => None,
    }
}

fn read_at(file: &Path, text: &str) -> Result<Definition, Vec<String>> {
    let table = document::parse(file, text).unwrap();
    Definition::check(file, &table, &environment).map_err(|mistakes| sentences(&mistakes))
}

fn read(text: &str) -> Result<Definition, Vec<String>> {
    read_at(Path::new(FILE), text)
}

fn sentences(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(ToString::to_string).collect()
}

fn refused(text: &str) -> Vec<String> {
    read(text).err().expect("this definition is a mistake")
}

fn checked(text: &str) -> Result<Settings, Vec<String>> {
    let definition = read(text)?;
    definition
        .settings(&manifest(), false)
        .map_err(|failure| match failure {
            Failure::Mistakes(mistakes) => sentences(&mistakes),
            other => panic!("{other}"),
        })
}

#[test]
fn a_definition_becomes_checked_settings() {
    let definition = read(WHOLE).ok().unwrap();
    assert_eq!(definition.name, "scanner-1");
    assert_eq!(definition.kind, "acme-scanner");
    assert_eq!(definition.tenant, "acme");
    let settings = checked(WHOLE).ok().unwrap();
    assert_eq!(settings.origin.as_str(), "https://scanner.example.test");
    assert_eq!(settings.interval_minutes, 5);
    assert_eq!(settings.content_types, ["assets"]);
    assert_eq!(settings.credential.unwrap().username(), "reader");
}

#[test]
fn every_mistake_is_reported_at_once_with_file_key_and_remedy() {
    let mistakes = refused("name = 7\ntype = \"a/b\"\ninterval = 5\n[setting]\nurl = \"x\"\n");
    let starts = [
        "conf/scanner.toml: interval: there is no such key; here may stand name, type, tenant, run_on, active, settings",
        "conf/scanner.toml: setting: there is no such key",
        "conf/scanner.toml: tenant: is required",
        "conf/scanner.toml: settings: is required",
        "conf/scanner.toml: name: must be a text in quotes, and is a whole number",
        "conf/scanner.toml: type: must have 1 to 64 characters",
    ];
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{mistake}");
    }
}

#[test]
fn names_and_tenants_follow_the_same_rule() {
    let mistakes = refused(
        &WHOLE
            .replace("scanner-1", "skänner")
            .replace("\"acme\"", "\" acme\""),
    );
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    assert!(mistakes[0].starts_with("conf/scanner.toml: name: "));
    assert!(mistakes[1].starts_with("conf/scanner.toml: tenant: "));
}

#[test]
fn a_missing_variable_or_file_is_named() {
    let mistakes = refused(&WHOLE.replace("SCANNER_TOKEN", "NO_SUCH_VARIABLE"));
    assert_eq!(
        mistakes,
        [
            "conf/scanner.toml: settings.token: the environment variable NO_SUCH_VARIABLE is not set; set it, or write { file = \"PATH\" }"
        ]
    );
    let mistakes = refused(&WHOLE.replace("env = \"SCANNER_TOKEN\"", "file = \"no-such-file\""));
    assert!(
        mistakes[0]
            .starts_with("conf/scanner.toml: settings.token: conf/no-such-file cannot be read"),
        "{mistakes:#?}"
    );
    let mistakes = refused(&WHOLE.replace("SCANNER_TOKEN", "EMPTY"));
    assert!(
        mistakes[0].contains("settings.token: what it refers to is empty"),
        "{mistakes:#?}"
    );
}

#[test]
fn a_reference_is_one_of_two_forms() {
    for wrong in [
        "{ env = 5 }",
        "{ env = \"A\", file = \"b\" }",
        "{ file = [\"b\"] }",
    ] {
        let mistakes = refused(&WHOLE.replace("{ env = \"SCANNER_TOKEN\" }", wrong));
        assert!(
            mistakes[0].contains("settings.token: must be a value, or { env = "),
            "{mistakes:#?}"
        );
    }
}

#[test]
fn a_secret_file_lies_beside_the_definition_and_loses_its_last_newline() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token.txt"), "from a file \r\n").unwrap();
    let text = WHOLE.replace("env = \"SCANNER_TOKEN\"", "file = \"token.txt\"");
    let definition = read_at(&directory.path().join("scanner.toml"), &text)
        .ok()
        .unwrap();
    assert_eq!(definition.settings.0["token"], "from a file ");
}

#[cfg(unix)]
#[test]
fn a_secret_that_every_user_can_read_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (file, token) = (
        directory.path().join("scanner.toml"),
        directory.path().join("token.txt"),
    );
    std::fs::write(&token, "s3cret-token").unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let reference = "{ env = \"SCANNER_TOKEN\" }";
    for (source, modes, exposed) in [
        (reference, [0o644, 0o644], None),
        ("{ file = \"token.txt\" }", [0o644, 0o600], None),
        ("{ file = \"token.txt\" }", [0o600, 0o640], None),
        ("{ file = \"token.txt\" }", [0o600, 0o644], Some(&token)),
        ("{ file = \"token.txt\" }", [0o600, 0o602], Some(&token)),
        ("\"s3cret-token\"", [0o600, 0o644], None),
        ("\"s3cret-token\"", [0o604, 0o600], Some(&file)),
    ] {
        let text = WHOLE.replace(reference, source);
        std::fs::write(&file, &text).unwrap();
        mode(&file, modes[0]);
        mode(&token, modes[1]);
        let definition = read_at(&file, &text).ok().unwrap();
        let warnings = definition.exposed_secrets(&manifest());
        let expected = exposed.map(|exposed| {
            format!(
                "{}: settings.token: {} holds this secret, and every user of this machine can read it; `chmod 600` it",
                file.display(),
                exposed.display()
            )
        });
        assert_eq!(warnings, Vec::from_iter(expected), "{source} {modes:?}");
    }
}

#[test]
fn settings_are_wiped_when_they_are_dropped() {
    let definition = read(WHOLE).ok().unwrap();
    let mut settings = definition.settings.0.clone();
    assert_eq!(settings["token"], "s3cret-token");
    settings::wipe(&mut settings);
    assert_eq!(settings["token"], "");
    assert_eq!(settings["content_type"][0], "");
}

#[test]
fn any_setting_may_be_a_reference() {
    let text = WHOLE.replace("\"reader\"", "{ env = \"SCANNER_TOKEN\" }");
    assert_eq!(read(&text).ok().unwrap().settings.0["user"], "s3cret-token");
}

#[test]
fn mistakes_in_settings_name_the_key_that_was_typed() {
    let text = WHOLE
        .replace("interval = 5", "interval = 0")
        .replace("[\"assets\"]", "[\"assets\", \"nothing\"]")
        .replace("user = \"reader\"", "usr = \"reader\"");
    let mistakes = checked(&text).err().unwrap();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert_eq!(
        mistakes[0],
        "conf/scanner.toml: settings.usr: type acme-scanner has no such setting; it has url, user, token, interval, content_type"
    );
    assert!(mistakes[1].starts_with("conf/scanner.toml: settings.content_type[1]: "));
    assert!(mistakes[2].starts_with("conf/scanner.toml: settings.interval: "));
    assert_eq!(mistakes[3], "conf/scanner.toml: settings.user: is required");
}

#[test]
fn the_value_of_a_secret_is_in_no_sentence() {
    for secret in ["abc", "sécret-sécret"] {
        let text = WHOLE.replace("{ env = \"SCANNER_TOKEN\" }", &format!("{secret:?}"));
        let mistakes = checked(&text).err().unwrap();
        assert!(!mistakes.is_empty());
        for mistake in &mistakes {
            assert!(
                mistake.starts_with("conf/scanner.toml: settings.token: "),
                "{mistake}"
            );
            assert!(!mistake.contains(secret), "{mistake}");
        }
    }
    let text = WHOLE.replace("{ env = \"SCANNER_TOKEN\" }", "[\"s3cret-token\"]");
    for mistake in checked(&text).err().unwrap() {
        assert!(!mistake.contains("s3cret"), "{mistake}");
    }
}

#[test]
fn pointers_become_toml_keys() {
    for (pointer, key) in [
        ("", "settings"),
        ("/token", "settings.token"),
        ("/content_type/1", "settings.content_type[1]"),
        ("/a~1b/c~0d", "settings.\"a/b\".\"c~d\""),
    ] {
        assert_eq!(key_of(pointer), key);
    }
}
