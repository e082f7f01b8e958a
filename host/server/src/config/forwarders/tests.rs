use super::*;
use std::path::Path;

fn read(directory: &Path, text: &str) -> Result<Vec<Forwarder>, Vec<String>> {
    let file = directory.join("host.toml");
    let table = document::parse(&file, text).unwrap();
    let mut mistakes = Vec::new();
    let all = check(&Section::top(&file, &table), &mut mistakes);
    match mistakes.is_empty() {
        true => Ok(all),
        false => Err(mistakes
            .iter()
            .map(|mistake| mistake.to_string().split_once(": ").unwrap().1.to_owned())
            .collect()),
    }
}

#[cfg(unix)]
fn secret_in(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join("secret");
    std::fs::write(&path, "hunter2-hunter2-hunter2-hunter2\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(unix)]
#[test]
fn every_kind_is_read_with_its_defaults() {
    let directory = tempfile::tempdir().unwrap();
    secret_in(directory.path());
    let all = read(
        directory.path(),
        r#"
[[forwarders]]
name = "lake"
kind = "files"
path = "out/./records"
[[forwarders]]
name = "siem"
kind = "elasticsearch"
url = "https://search.example.test:9200/es"
username = "forwarder"
password = { file = "secret" }
tenants = ["acme"]
indices = ["scans"]
start = "now"
when_behind = "skip"
[[forwarders]]
name = "keyed"
kind = "elasticsearch"
url = "https://search.example.test"
api_key = { file = "secret" }
action = "create"
index = "logs-acme-default"
compression = "none"
[[forwarders]]
name = "queue"
kind = "webhook"
url = "https://ingest.example.test/in?token=t0ken"
secret = { file = "secret" }
batch_kib = 8
"#,
    )
    .unwrap();
    let lake = &all[0];
    assert_eq!(
        (lake.start, lake.when_behind),
        (Start::Oldest, WhenBehind::Wait)
    );
    assert_eq!((&lake.tenants, &lake.indices), (&None, &None));
    let Kind::Files(options) = &lake.kind else {
        panic!("{lake:?}");
    };
    assert_eq!(options.path, directory.path().join("out/records"));
    assert_eq!(options.packing, Packing::Zstd);
    assert_eq!(
        (options.rotate_bytes, options.rotate_after.as_secs()),
        (128 << 20, 900)
    );

    let siem = &all[1];
    assert_eq!(
        (siem.start, siem.when_behind),
        (Start::Now, WhenBehind::Skip)
    );
    assert_eq!(siem.indices, Some(vec![Index::Scans]));
    let Kind::Elasticsearch(options, way) = &siem.kind else {
        panic!("{siem:?}");
    };
    let expected = STANDARD.encode("forwarder:hunter2-hunter2-hunter2-hunter2");
    assert_eq!(
        options.authorization.as_ref().unwrap(),
        &format!("Basic {expected}")
    );
    assert_eq!(way.redactor.page(&format!("a {expected}")), "a [redacted]");
    assert!(options.gzip);
    let Kind::Elasticsearch(options, way) = &all[2].kind else {
        panic!("{:?}", all[2]);
    };
    let sent = options.authorization.as_ref().unwrap();
    assert_eq!(sent, "ApiKey hunter2-hunter2-hunter2-hunter2");
    assert_eq!((options.gzip, options.action), (false, Action::Create));
    assert_eq!(
        way.redactor.page("hunter2-hunter2-hunter2-hunter2"),
        "[redacted]"
    );
    let Kind::Webhook(options, _) = &all[3].kind else {
        panic!("{:?}", all[3]);
    };
    assert_eq!(
        (options.bytes, options.records, options.gzip),
        (8 << 10, 1_000, false)
    );
    assert_eq!(all[3].destination(), "ingest.example.test");
    let shown = format!("{all:?}");
    for kept_back in ["t0ken", "hunter2", &expected] {
        assert!(!shown.contains(kept_back), "{shown}");
    }
}

#[cfg(unix)]
#[test]
fn every_mistake_is_named_at_once_and_no_secret_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    secret_in(directory.path());
    let mistakes = read(
        directory.path(),
        r#"
[[forwarders]]
name = " lake"
kind = "files"
compression = "lz4"
rotate_mib = 0
url = "https://a.example.test"
[[forwarders]]
name = "siem"
kind = "elasticsearch"
url = "http://192.0.2.1:9200"
username = "a"
index = "A-{tenant}"
indices = ["assets", "logs"]
start = "newest"
when_behind = 1
format = "csv"
[[forwarders]]
name = "keyed"
kind = "elasticsearch"
url = "https://u:hunter2@search.example.test"
api_key = { file = "secret" }
password = { file = "secret" }
tenants = []
[[forwarders]]
name = "queue"
kind = "webhook"
url = "https://ingest.example.test/in#x"
secret = "hunter2-hunter2-hunter2-hunter2"
[[forwarders]]
name = "other"
kind = "kafka"
[[forwarders]]
kind = "files"
path = "out"
"#,
    )
    .unwrap_err();
    let all = mistakes.join("\n");
    for expected in [
        "forwarders[1].name: must have 1 to 64 characters",
        "forwarders[1].compression: must be \"zstd\" or \"gzip\" or \"none\"",
        "forwarders[1].rotate_mib: must be a whole number from 1 to 65536",
        "forwarders[1].url: there is no such key; in [forwarders[1]] may stand name, kind,",
        "forwarders[1].path: is required",
        "forwarders[2].password: is required beside username",
        "forwarders[2].index: has {tenant}, which stands for nothing",
        "forwarders[2].indices: `assets` is a table made of records",
        "forwarders[2].indices: there is no index `logs`",
        "forwarders[2].start: must be \"oldest\" or \"now\"",
        "forwarders[2].when_behind: must be a text",
        "forwarders[2].format: ",
        "forwarders[3].tenants: names nobody",
        "forwarders[3].api_key: is one way to sign in",
        "forwarders[4].url: must not have a fragment",
        "forwarders[4].secret: must be { env",
        "forwarders[5].kind: there is no such kind; there is files, elasticsearch, webhook",
        "forwarders[6].name: is required",
    ] {
        assert!(all.contains(expected), "{expected}\nin\n{all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn two_forwarders_of_one_name_or_path_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[forwarders]]\nname = \"a\"\nkind = \"files\"\npath = \"out\"\n".repeat(2);
    let mistakes = read(directory.path(), &text).unwrap_err();
    assert_eq!(
        mistakes,
        [
            "forwarders[2].name: is the name of another forwarder, too; each needs its own",
            "forwarders[2].path: is the path of another forwarder, too; each needs its own"
        ]
    );
    let mistakes = read(directory.path(), "forwarders = 1\n").unwrap_err();
    assert!(mistakes[0].contains("must be written as [[forwarders]]"));
}

#[test]
fn clear_text_is_for_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let forwarder = |url: &str| {
        let text =
            format!("[[forwarders]]\nname = \"a\"\nkind = \"elasticsearch\"\nurl = \"{url}\"\n");
        read(directory.path(), &text).map(|all| all.len())
    };
    assert_eq!(forwarder("http://127.0.0.1:9200"), Ok(1));
    let mistakes = forwarder("http://192.0.2.1:9200").unwrap_err();
    assert!(
        mistakes[0].contains("would send it in clear text"),
        "{mistakes:?}"
    );
}
