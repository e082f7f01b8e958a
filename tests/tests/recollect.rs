//! Reading again: what a filter dropped comes back when it is gone, under the ids that it would have had.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::collections::BTreeSet;
use tests::process::{SimProcess, Site};

const HOST: &str = env!("CARGO_BIN_EXE_host-under-test");
const SIM: &str = env!("CARGO_BIN_EXE_sim-under-test");
const NAME: &str = "acme/qualys-test";

fn done(site: &Site, arguments: &[&str]) -> Value {
    let (code, document) = site.answer(arguments).unwrap();
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

fn ids(records: &[Value]) -> BTreeSet<String> {
    let id = |record: &Value| record["stellar_uuid"].as_str().map(str::to_owned);
    records.iter().map(|record| id(record).unwrap()).collect()
}

fn fixed(records: &[Value]) -> Vec<Value> {
    let is_fixed = |record: &&Value| record["vulnerability"]["status"] == "Fixed";
    records.iter().filter(is_fixed).cloned().collect()
}

fn filtered_site(sim: &SimProcess) -> Site {
    let site = Site::new(HOST, &sim.address, "").unwrap();
    std::fs::write(
        site.path().join("fixed.toml"),
        "name = \"mended\"\n[[conditions]]\nfield = \"vulnerability.status\"\noperator = \"is\"\nvalues = [\"Fixed\"]\n",
    )
    .unwrap();
    done(&site, &["connectors", "add", "qualys.toml"]);
    done(&site, &["filters", "add", "fixed.toml"]);
    let attached = done(&site, &["filters", "attach", "mended", NAME]);
    let warning = attached["warnings"][0].as_str().unwrap();
    assert!(warning.contains("status Fixed"), "{warning}");
    site
}

#[test]
fn what_a_filter_dropped_comes_back_when_it_is_detached_and_recollected() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = filtered_site(&sim);
    let first = done(&site, &["connectors", "run", NAME]);
    let kept = site.export("syslog").unwrap();
    let dropped = 80 - kept.len();
    assert!(dropped > 0 && fixed(&kept).is_empty());
    assert_eq!(first["records"], kept.len());

    // It is still attached, which is said, since it would drop the same again.
    let early = done(&site, &["connectors", "recollect", NAME]);
    let warning = early["warnings"][0].as_str().unwrap();
    assert!(warning.contains("filters detach \"mended\""), "{warning}");

    done(&site, &["filters", "detach", "mended", NAME]);
    let announced = done(&site, &["connectors", "recollect", NAME]);
    assert_eq!(announced["full_walk"], true);
    assert_eq!(announced["since"], Value::Null);
    assert_eq!(announced["content_types"].as_array().unwrap().len(), 2);
    assert!(announced["warnings"].as_array().unwrap().is_empty());
    let again = done(&site, &["connectors", "run", NAME]);
    assert_eq!(again["records"], 80);
    let all = site.export("syslog").unwrap();
    assert_eq!((all.len(), ids(&all).len()), (kept.len() + 80, 80));
    assert_eq!(fixed(&all).len(), dropped);
    // And then it is over.
    let after = done(&site, &["connectors", "run", NAME]);
    assert_eq!(after["records"], 0);
}

#[test]
fn without_a_recollection_what_was_dropped_stays_away() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = filtered_site(&sim);
    done(&site, &["connectors", "run", NAME]);
    done(&site, &["filters", "detach", "mended", NAME]);
    let full = done(&site, &["connectors", "run", NAME, "--full"]);
    assert_eq!(full["records"], 0, "it counts as repeated");
}

#[test]
fn one_content_type_is_read_again_since_a_moment_and_says_what_it_asked() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = filtered_site(&sim);
    done(&site, &["connectors", "run", NAME]);
    done(&site, &["filters", "detach", "mended", NAME]);
    let again = [
        "connectors",
        "recollect",
        NAME,
        "--since",
        "2020-01-01",
        "--content",
        "vulnerabilities",
    ];
    let announced = done(&site, &again);
    assert_eq!(announced["since"], 1_577_836_800_000_u64);
    assert_eq!(announced["full_walk"], false);
    assert_eq!(
        announced["content_types"],
        serde_json::json!(["vulnerabilities"])
    );
    sim.logged();
    let run = done(&site, &["connectors", "run", NAME]);
    let contents = run["contents"].as_array().unwrap();
    let of = |name: &str| {
        contents
            .iter()
            .find(|content| content["content_type"] == name)
    };
    let found = of("vulnerabilities").unwrap();
    assert_eq!(
        (&found["records"], &of("hosts").unwrap()["records"]),
        (&60.into(), &0.into())
    );
    assert!(
        found.to_string().contains("2020-01-01T00:00:00Z"),
        "{found}"
    );
    assert!(!fixed(&site.export("syslog").unwrap()).is_empty());
    let after = done(&site, &["connectors", "run", NAME]);
    assert_eq!(after["records"], 0);
}

#[test]
fn what_cannot_be_read_again_is_refused_and_nothing_is_forgotten() {
    let sim = SimProcess::small(SIM, &[]).unwrap();
    let site = filtered_site(&sim);
    done(&site, &["connectors", "run", NAME]);
    for (arguments, word) in [
        (
            vec!["connectors", "recollect", NAME, "--content", "nonsense"],
            "nonsense",
        ),
        (
            vec!["connectors", "recollect", NAME, "--since", "2999-01-01"],
            "lies ahead",
        ),
        (vec!["connectors", "recollect", "nobody"], "nobody"),
    ] {
        let (code, document) = site.answer(&arguments).unwrap();
        let message = document["error"]["message"].as_str().unwrap();
        assert!(code == 2 && message.contains(word), "{message}");
    }
    assert_eq!(done(&site, &["connectors", "run", NAME])["records"], 0);
}
