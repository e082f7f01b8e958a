//! The life of a connector on the command line: kept, changed, tested, run, exported, deleted.

use serde_json::Value;
use tests::desk::{Desk, SECRET, Scanner};
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");

#[test]
fn a_connector_lives_on_the_command_line_and_its_secret_stays_inside() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    assert_eq!(desk.done(&["connectors", "list"])["total"], 0);

    let added = desk.done(&["connectors", "add", "scanner.toml", "--profile", "Default"]);
    let id = added["connector"]["id"].as_str().unwrap().to_owned();
    assert_eq!(added["connector"]["profiles"][0], "Default");
    assert_eq!(added["connector"]["secrets"][0], "/token");
    assert_eq!(scanner.asked(), 0, "keeping sends nothing");
    let again = desk.json(&["connectors", "add", "scanner.toml"]);
    assert_eq!((again.code, again.keys()), (2, vec!["name".to_owned()]));

    let tested = desk.done(&["connectors", "test", "scanner-1"]);
    assert_eq!(
        (&tested["passed"], scanner.asked()),
        (&Value::Bool(true), 1)
    );
    let ledger = desk.done(&["connectors", "run", "acme/scanner-1"]);
    assert_eq!((&ledger["records"], scanner.asked()), (&Value::from(1), 1));
    assert_eq!(ledger["connector"]["connector_id"], *id);

    let runs = desk.done(&["runs", "list", "scanner-1"]);
    assert_eq!(runs["runs"][0]["outcome"], "done");
    let run = runs["runs"][0]["id"].as_str().unwrap();
    assert_eq!(desk.done(&["runs", "show", run]), ledger);
    let shown = desk.run(&["runs", "show", &run[..8]]).out;
    assert!(shown.contains("Assets listed 1"), "{shown}");
    let listed = desk.run(&["connectors", "list"]).out;
    assert!(
        listed.contains("acme/scanner-1") && listed.contains("active   healthy  done"),
        "{listed}"
    );
    let listed = desk.done(&["connectors", "list"]);
    let status = &listed["connectors"][0]["status"];
    assert_eq!(
        (&status["state"], &status["code"]),
        (&"healthy".into(), &0.into())
    );
    let shown = desk.run(&["connectors", "show", "scanner-1"]).out;
    assert!(shown.contains("settings.token is kept, sealed"), "{shown}");

    let off = desk.done(&["connectors", "deactivate", "scanner-1"]);
    assert_eq!(off["connector"]["active"], false);
    let shown = desk.run(&["connectors", "show", "scanner-1"]).out;
    assert!(shown.contains("inactive (code 11), since "), "{shown}");
    let refused = desk.json(&["connectors", "run", "scanner-1"]);
    assert_eq!(
        (refused.code, refused.refusal().0.as_str()),
        (2, "inactive")
    );
    assert_eq!(scanner.asked(), 0);
    desk.done(&["connectors", "activate", "scanner-1"]);
    desk.done(&["secrets", "rotate"]);
    assert_eq!(
        desk.done(&["connectors", "run", "scanner-1"])["outcome"],
        "done"
    );

    let refused = desk.json(&["connectors", "delete", "scanner-1"]);
    assert_eq!((refused.code, refused.refusal().0.as_str()), (2, "usage"));
    let deleted = desk.done(&["connectors", "delete", "scanner-1", "--yes"]);
    assert_eq!(deleted["id"], *id);
    let records = desk.run(&["export", "--index", "syslog"]).out;
    assert_eq!(records.lines().count(), 2, "the records stay");
    assert_eq!(desk.done(&["runs", "list"])["runs"][0]["deleted"], true);
    let again = desk.done(&["connectors", "add", "scanner.toml"]);
    assert_ne!(again["connector"]["id"], *id);
    desk.assert_no_secret();
}

#[test]
fn another_address_or_account_wants_the_secret_again_and_nothing_leaves_before() {
    let (scanner, elsewhere) = (Scanner::start(), Scanner::start());
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    desk.done(&["connectors", "add", "scanner.toml"]);
    let moved = format!("url={}", elsewhere.address);
    for change in [moved.as_str(), "token_name=other"] {
        let refused = desk.json(&["connectors", "edit", "scanner-1", "--set", change]);
        assert_eq!(
            (refused.code, refused.keys()),
            (2, vec!["settings.token".to_owned()])
        );
        assert!(refused.refusal().1.contains("typed again"));
    }
    let kept = desk.done(&["connectors", "show", "scanner-1"]);
    assert_eq!(kept["connector"]["settings"]["url"], *scanner.address);
    assert_eq!(kept["connector"]["settings"]["token_name"], "reader");
    assert_eq!((scanner.asked(), elsewhere.asked()), (0, 0));

    let token = "token={ env = \"SCANNER_TOKEN\" }";
    let edit = [
        "connectors",
        "edit",
        "scanner-1",
        "--set",
        &moved,
        "--set",
        token,
    ];
    let edited = desk.done(&edit);
    assert_eq!(edited["full_walk"], true);
    assert_eq!(
        edited["changed"],
        serde_json::json!(["settings.url", "settings.token"])
    );
    assert_eq!((scanner.asked(), elsewhere.asked()), (0, 0));
    let ledger = desk.done(&["connectors", "run", "scanner-1"]);
    assert_eq!(
        (&ledger["records"], elsewhere.asked()),
        (&Value::from(1), 1)
    );
    assert_eq!(scanner.asked(), 0);
    // The same address in other words is no other address, and a new secret alone is no full walk.
    let same = format!("url= {}/ ", elsewhere.address);
    let edited = desk.done(&["connectors", "edit", "scanner-1", "--set", &same]);
    assert_eq!(edited["full_walk"], false);
    let edited = desk.done(&["connectors", "edit", "scanner-1", "--set", token]);
    assert_eq!(
        (&edited["full_walk"], &edited["changed"][0]),
        (&Value::Bool(false), &"settings.token".into())
    );
    desk.assert_no_secret();
}

#[test]
fn general_fields_refuse_to_change_and_every_mistake_is_told() {
    let desk = Desk::new(HOST);
    desk.define("https://scanner.example.test");
    desk.done(&["connectors", "add", "scanner.toml"]);
    let refused = desk.json(&[
        "connectors",
        "edit",
        "scanner-1",
        "--set",
        "name=other",
        "--set",
        "run_on=dp",
        "--set",
        "token_name=",
        "--set",
        "tokn=x",
        "--unset",
        "token",
        "--set",
        "hunter2",
    ]);
    assert_eq!(refused.code, 2);
    let keys = refused.keys();
    for key in [
        "name",
        "run_on",
        "settings.token_name",
        "settings.tokn",
        "settings.token",
        "--set",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key} of {keys:?}");
    }
    assert_eq!(keys.len(), 6, "{keys:?}");
    let sentence = refused.refusal().1;
    assert!(
        sentence.contains("cannot change after creation"),
        "{sentence}"
    );
    assert!(!sentence.contains("hunter2"), "{sentence}");

    let text = std::fs::read_to_string(desk.path().join("scanner.toml")).unwrap();
    desk.write("moved.toml", &text.replace("\"acme\"", "\"globex\""));
    let refused = desk.json(&["connectors", "edit", "scanner-1", "--from", "moved.toml"]);
    assert_eq!(
        (refused.code, refused.keys()),
        (2, vec!["tenant".to_owned()])
    );
    assert_eq!(desk.done(&["tenants", "list"])["total"], 1);
    let nothing = desk.json(&["connectors", "edit", "scanner-1"]);
    assert_eq!((nothing.code, nothing.refusal().0.as_str()), (2, "usage"));
}

#[test]
fn schema_and_plugin_report_their_findings_together_and_nothing_is_sent() {
    let sim = SimProcess::start(SIM, &["--hosts", "2", "--detections", "1"]).unwrap();
    let settings = "hosts_per_page = 0\nextra_parameters = { action = \"fetch\" }\n";
    let site = Site::new(HOST, &sim.address, settings).unwrap();
    let add = ["connectors", "add", "qualys.toml", "--json"];
    let refused = site.run(&add).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&refused.stdout).unwrap();
    let problems = document["error"]["problems"].as_array().unwrap();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "settings.hosts_per_page",
            "settings.extra_parameters.action"
        ]
    );
    let list = site.run(&["connectors", "list", "--json"]).unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list["total"], 0);

    // Once it is right, a list may be written as a, b, and what is chosen is what a run collects.
    let text = std::fs::read_to_string(site.path().join("qualys.toml")).unwrap();
    std::fs::write(site.path().join("qualys.toml"), text.replace(settings, "")).unwrap();
    assert!(site.run(&add).unwrap().status.success());
    let edit = [
        "connectors",
        "edit",
        "qualys-test",
        "--json",
        "--set",
        "content_type=hosts",
        "--set",
        "interval=15",
    ];
    let edited: Value = serde_json::from_slice(&site.run(&edit).unwrap().stdout).unwrap();
    assert_eq!(edited["full_walk"], false);
    assert_eq!(
        edited["connector"]["content_types"],
        serde_json::json!(["hosts"])
    );
    assert_eq!(edited["connector"]["interval_minutes"], 15);
    assert!(sim.logged().is_empty());
    let run = site
        .run(&["connectors", "run", "qualys-test", "--json"])
        .unwrap();
    let ledger: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&ledger["outcome"], &ledger["records"]),
        (&"done".into(), &2.into())
    );
}

#[test]
fn collecting_by_file_keeps_the_connector_in_the_catalogue() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    let first = desk.done(&["collect", "scanner.toml"]);
    let id = first["connector"]["connector_id"].clone();
    let listed = desk.done(&["connectors", "list"]);
    assert_eq!(listed["connectors"][0]["id"], id);
    assert_eq!(
        desk.done(&["connectors", "run", "scanner-1"])["connector"]["connector_id"],
        id
    );

    // The file is the last word on the settings, and a connector that was switched off stays so.
    let text = std::fs::read_to_string(desk.path().join("scanner.toml")).unwrap();
    desk.write("scanner.toml", &text.replace("127.0.0.1", "localhost"));
    let second = desk.done(&["collect", "scanner.toml"]);
    assert_eq!(second["connector"]["connector_id"], id);
    let kept = desk.done(&["connectors", "show", "scanner-1"]);
    let url = kept["connector"]["settings"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(url.contains("localhost"), "{url}");
    assert_eq!(kept["events"][0]["text"], "changed url");
    desk.done(&["connectors", "deactivate", "scanner-1"]);
    let refused = desk.json(&["collect", "scanner.toml"]);
    assert_eq!(
        (refused.code, refused.refusal().0.as_str()),
        (2, "inactive")
    );

    for (change, key) in [
        ("type = \"acme-scanner\"\nrun_on = \"sensor-1\"", "run_on"),
        ("type = \"acme-scanner\"\nactive = 1", "active"),
    ] {
        desk.write(
            "scanner.toml",
            &text.replace("type = \"acme-scanner\"", change),
        );
        let refused = desk.json(&["collect", "scanner.toml"]);
        assert_eq!((refused.code, refused.keys()), (2, vec![key.to_owned()]));
    }
    desk.assert_no_secret();
}

#[test]
fn an_exported_connector_is_imported_without_its_secret_and_waits_for_it() {
    let scanner = Scanner::start();
    let (here, there) = (Desk::new(HOST), Desk::new(HOST));
    here.define(&scanner.address);
    here.done(&["connectors", "add", "scanner.toml"]);
    let exported = here.run(&["connectors", "export", "scanner-1"]);
    assert!(
        exported.out.contains("# Not exported: settings.token."),
        "{}",
        exported.out
    );
    there.write("scanner.toml", &exported.out);

    let refused = there.json(&["connectors", "add", "scanner.toml"]);
    assert_eq!(
        (refused.code, refused.keys()),
        (2, vec!["settings.token".to_owned()])
    );
    let imported = there.done(&["connectors", "import", "scanner.toml"]);
    assert_eq!(imported["connector"]["active"], false);
    assert_eq!(imported["missing"], serde_json::json!(["settings.token"]));
    let refused = there.json(&["connectors", "activate", "scanner-1"]);
    assert_eq!(
        (refused.code, refused.keys()),
        (2, vec!["settings.token".to_owned()])
    );
    let token = "token={ env = \"SCANNER_TOKEN\" }";
    there.done(&["connectors", "edit", "scanner-1", "--set", token]);
    there.done(&["connectors", "activate", "scanner-1"]);
    assert_eq!(
        there.done(&["connectors", "run", "scanner-1"])["records"],
        1
    );
    let again = there.run(&["connectors", "export", "scanner-1"]);
    assert_eq!(again.out, exported.out);
    here.assert_no_secret();
    there.assert_no_secret();
}

#[test]
fn a_lost_key_is_told_and_typing_the_secret_again_mends_it() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    desk.done(&["connectors", "add", "scanner.toml"]);
    std::fs::remove_file(desk.path().join("data/secret.key")).unwrap();
    for command in ["test", "run", "activate"] {
        let refused = desk.json(&["connectors", command, "scanner-1"]);
        let (code, message) = refused.refusal();
        assert_eq!((refused.code, code.as_str()), (2, "secret"));
        assert!(
            message.contains("connectors edit acme/scanner-1 --set token=..."),
            "{message}"
        );
    }
    assert_eq!(scanner.asked(), 0);
    desk.write("token.txt", &format!("{SECRET}\n"));
    desk.done(&[
        "connectors",
        "edit",
        "scanner-1",
        "--set",
        "token={ file = \"token.txt\" }",
    ]);
    assert_eq!(desk.done(&["connectors", "run", "scanner-1"])["records"], 1);
    desk.assert_no_secret();
}

#[test]
fn while_somebody_owns_the_data_directory_it_can_be_read_and_not_changed() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    desk.done(&["connectors", "add", "scanner.toml"]);
    let lock = std::fs::File::open(desk.path().join("data/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(desk.done(&["connectors", "list"])["total"], 1);
    assert_eq!(
        desk.done(&["connectors", "test", "scanner-1"])["passed"],
        true
    );
    assert_eq!(desk.done(&["runs", "list"])["total"], 0);
    let refused = desk.json(&["connectors", "deactivate", "scanner-1"]);
    let (code, message) = refused.refusal();
    assert_eq!((refused.code, code.as_str()), (2, "journal"));
    assert!(message.contains("is in use by"), "{message}");
}

#[test]
fn tenants_profiles_and_devices_are_listed_and_changed() {
    let desk = Desk::new(HOST);
    desk.define("https://scanner.example.test");
    let tenants = desk.done(&["tenants", "add", "globex"]);
    assert_eq!(tenants["tenants"][0]["name"], "globex");
    let devices = desk.done(&["devices", "add", "sensor-7"]);
    assert_eq!(devices["devices"][1]["kind"], "sensor");
    let text = std::fs::read_to_string(desk.path().join("scanner.toml")).unwrap();
    desk.write(
        "there.toml",
        &text.replace("tenant =", "run_on = \"sensor-7\"\ntenant ="),
    );
    let refused = desk.json(&["connectors", "add", "there.toml", "--profile", "Default"]);
    assert_eq!(
        (refused.code, refused.refusal().0.as_str()),
        (2, "conflict")
    );
    assert_eq!(desk.done(&["connectors", "list"])["total"], 0);
    desk.done(&["connectors", "add", "scanner.toml"]);
    let put = ["profiles", "add-connector", "Default", "acme/scanner-1"];
    let profiles = desk.done(&put);
    assert_eq!(profiles["profiles"][0]["connectors"][0], "acme/scanner-1");
    let listed = desk.run(&["profiles", "list"]).out;
    assert!(listed.contains("Default  acme/scanner-1"), "{listed}");
    let taken = desk.done(&["profiles", "remove-connector", "Default", "scanner-1"]);
    assert_eq!(taken["profiles"][0]["connectors"], serde_json::json!([]));
    let listed = desk.run(&["connectors", "list"]).out;
    assert!(listed.contains("not in a profile"), "{listed}");
    desk.done(&["tenants", "rename", "acme", "acme-corp"]);
    assert_eq!(
        desk.done(&["connectors", "list", "--tenant", "acme-corp"])["total"],
        1
    );
    assert_eq!(
        desk.done(&["connectors", "list", "--tenant", "globex"])["total"],
        0
    );
    let unknown = desk.json(&["connectors", "show", "acme/scanner-1"]);
    assert_eq!(
        (unknown.code, unknown.refusal().0.as_str()),
        (2, "not-found")
    );
    desk.done(&["tenants", "delete", "globex"]);
    desk.done(&["devices", "delete", "sensor-7"]);
}

#[test]
fn a_log_filter_is_tried_attached_counted_and_detached() {
    let scanner = Scanner::start();
    let desk = Desk::new(HOST);
    desk.define(&scanner.address);
    desk.done(&["connectors", "add", "scanner.toml"]);
    desk.done(&["connectors", "run", "scanner-1"]);
    let filter = |value: &str| {
        format!(
            "name = \"known assets\"\n[[conditions]]\nfield = \"acme_scanner.id\"\noperator = \"is\"\nvalues = [\"{value}\"]\n"
        )
    };
    desk.write("filter.toml", &filter("a1"));
    let tried = desk.done(&["filters", "try", "filter.toml", "--connector", "scanner-1"]);
    assert_eq!(
        [
            &tried["records"],
            &tried["dropped"],
            &tried["hosts"],
            &tried["fixed"]
        ],
        [1, 1, 1, 0].map(Value::from).each_ref()
    );
    assert_eq!(tried["samples"][0]["host.id"], "a1");
    assert!(
        tried["warnings"][0]
            .as_str()
            .unwrap()
            .contains("1 host record")
    );
    assert_eq!(
        desk.done(&["filters", "list"])["total"],
        0,
        "trying keeps nothing"
    );

    desk.done(&["filters", "add", "filter.toml"]);
    desk.done(&["filters", "attach", "known assets", "scanner-1"]);
    let ledger = desk.done(&["connectors", "run", "scanner-1"]);
    let content = &ledger["contents"][0];
    assert_eq!(
        (&ledger["outcome"], &ledger["records"]),
        (&"done".into(), &0.into())
    );
    let counted = serde_json::json!([{"filter": "known assets", "revision": 1, "dropped": 1}]);
    assert_eq!(content["filtered"], counted);
    assert_eq!(
        content["equations"][0]["holds"], true,
        "it counts for completeness"
    );
    let shown = desk.run(&[
        "runs",
        "show",
        desk.done(&["runs", "list"])["runs"][0]["id"]
            .as_str()
            .unwrap(),
    ]);
    assert!(
        shown
            .out
            .contains("1 record by the filter known assets (revision 1)"),
        "{}",
        shown.out
    );

    desk.write("filter.toml", &filter("other"));
    desk.done(&["filters", "edit", "known assets", "--from", "filter.toml"]);
    let ledger = desk.done(&["connectors", "run", "scanner-1"]);
    let counted = serde_json::json!([{"filter": "known assets", "revision": 2, "dropped": 0}]);
    assert_eq!(ledger["contents"][0]["filtered"], counted);
    assert_eq!(ledger["records"], 1);
    let refused = desk.json(&["filters", "delete", "known assets"]);
    assert_eq!(
        (refused.code, refused.refusal().0.as_str()),
        (2, "conflict")
    );
    desk.done(&["filters", "detach", "known assets", "scanner-1"]);
    let ledger = desk.done(&["connectors", "run", "scanner-1"]);
    assert_eq!(ledger["contents"][0]["filtered"], serde_json::json!([]));
    desk.done(&["filters", "delete", "known assets"]);
}
