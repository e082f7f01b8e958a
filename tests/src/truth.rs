//! Truth: what the simulated estate holds, in the form that its records must have.
//!
//! Every element of every host and detection is compared, not a sample of them, and in both directions: a record that is
//! missing, one too many, and one that differs are all found. So "nothing lost, nothing twice, every text intact" is one
//! call for every test.

use crate::Vendor;
use connector_runtime::runs::{ContentLedger, Ledger, RunOutcome};
use connector_runtime::testing::Bench;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The label of the vendor's object in a record.
pub const LABEL: &str = "qualys_cloud_platform";

/// Elements of hosts that are not asked for.
const NOT_ASKED_OF_HOSTS: [&str; 1] = ["ASSET_GROUP_IDS"];

/// Elements of detections that come only with a filter which is off.
const NOT_ASKED_OF_DETECTIONS: [&str; 4] = [
    "HOST_ID",
    "AFFECT_RUNNING_KERNEL",
    "AFFECT_RUNNING_SERVICE",
    "AFFECT_EXPLOITABLE_CONFIG",
];

/// Wrappers that become arrays, and the members that they wrap.
const LISTS: [(&str, &str); 8] = [
    ("TAGS", "TAG"),
    ("TAG_LIST", "TAG"),
    ("EC2", "ATTRIBUTE"),
    ("AZURE", "ATTRIBUTE"),
    ("GOOGLE", "ATTRIBUTE"),
    ("GCP", "ATTRIBUTE"),
    ("CLOUD_PROVIDER_TAGS", "CLOUD_TAG"),
    ("QDS_FACTORS", "QDS_FACTOR"),
];

/// Hosts by ID and detections by UNIQUE_VULN_ID, as vendor objects.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Elements of HOST in the host list.
    pub hosts: BTreeMap<String, Value>,
    /// Elements of DETECTION, with the ID of their host.
    pub detections: BTreeMap<String, (String, Value)>,
}

/// How a text reads after the repair that a test expects: by element name and text.
pub type Reading<'a> = &'a dyn Fn(&str, &str) -> String;

impl Truth {
    /// What the connector has to bring of this estate with its usual settings.
    pub fn of(vendor: &Vendor) -> Self {
        Self::read(vendor, &|_, text| text.to_owned())
    }

    /// The same, with texts as they read after a repair.
    pub fn read(vendor: &Vendor, reading: Reading<'_>) -> Self {
        let mut truth = Self::default();
        for line in vendor.simulator.truth() {
            let Ok(Value::Object(mut line)) = serde_json::from_str(&line) else {
                continue;
            };
            let Some(host) = line.get("HOST_ID").cloned() else {
                remove(&mut line, &NOT_ASKED_OF_HOSTS);
                let id = line["ID"].as_str().unwrap_or_default().to_owned();
                truth.hosts.insert(id, object(&line, reading));
                continue;
            };
            // Information Gathered has no status, and is not asked for.
            if !line.contains_key("STATUS") {
                continue;
            }
            remove(&mut line, &NOT_ASKED_OF_DETECTIONS);
            let host = host.as_str().unwrap_or_default().to_owned();
            let vendor = object(&line, reading);
            truth
                .detections
                .insert(identity(&host, &vendor), (host, vendor));
        }
        truth
    }

    /// Leaves hosts out, with their detections.
    #[must_use]
    pub fn without(mut self, ids: &[String]) -> Self {
        self.hosts.retain(|id, _| !ids.contains(id));
        self.detections.retain(|_, (host, _)| !ids.contains(host));
        self
    }

    /// Checks the same, and passes over records of what the vendor has removed since.
    pub fn check_what_is_left(&self, records: &[Value]) {
        let left: Vec<Value> = records
            .iter()
            .filter(|record| {
                let host = record["host"]["id"].as_str().unwrap_or_default();
                self.hosts.contains_key(host)
            })
            .cloned()
            .collect();
        self.check(&left);
    }

    /// The host with this place in the order of IDs.
    #[expect(
        clippy::expect_used,
        reason = "a test that asks for a host knows how many there are"
    )]
    pub fn host_id(&self, place: usize) -> String {
        let mut ids: Vec<u64> = self.hosts.keys().filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable();
        ids.get(place).expect("a host").to_string()
    }

    /// Checks that the last record of everything says exactly this, and that there are records of nothing else.
    pub fn check(&self, records: &[Value]) {
        self.check_hosts(records);
        self.check_detections(records);
    }

    /// The same for the records of hosts.
    pub fn check_hosts(&self, records: &[Value]) {
        let found = last_hosts(records);
        same_keys("hosts", found.keys(), self.hosts.keys());
        for (id, expected) in &self.hosts {
            let record = found[id];
            same(id, &record[LABEL], expected);
            check_head(record, expected);
            check_time(record, &expected["LAST_VULN_SCAN_DATETIME"]);
        }
    }

    /// The same for the records of detections, with the host's part in each.
    pub fn check_detections(&self, records: &[Value]) {
        let found = last_detections(records);
        same_keys("detections", found.keys(), self.detections.keys());
        for (id, (host, expected)) in &self.detections {
            let record = found[id];
            let vendor = &record[LABEL];
            same(id, &vendor["DETECTION"], expected);
            assert_eq!(vendor["ID"], host.as_str(), "detection {id}");
            let head = &self.hosts[host];
            for (name, value) in vendor.as_object().into_iter().flatten() {
                // The two lists call two dates by different names.
                let name = match name.as_str() {
                    "DETECTION" => continue,
                    "LAST_SCAN_DATETIME" => "LAST_VULN_SCAN_DATETIME",
                    "LAST_PC_SCANNED_DATE" => "LAST_COMPLIANCE_SCAN_DATETIME",
                    other => other,
                };
                assert_eq!(value, &head[name], "{name} of host {host}");
            }
            check_head(record, head);
            check_time(record, &expected["LAST_PROCESSED_DATETIME"]);
            assert_eq!(record["vulnerability"]["id"], expected["QID"]);
            assert_eq!(record["vulnerability"]["status"], expected["STATUS"]);
            let severity = expected["SEVERITY"]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok());
            assert_eq!(
                record["event"]["severity"].as_u64(),
                severity,
                "detection {id}"
            );
            let qds = expected["QDS"]["score"]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok());
            assert_eq!(
                record["vulnerability"]["qds"].as_u64(),
                qds,
                "detection {id}"
            );
        }
    }
}

fn check_head(record: &Value, host: &Value) {
    let id = &host["ID"];
    assert_eq!(&record["host"]["id"], id);
    let address = [&host["IP"], &host["IPV6"]]
        .into_iter()
        .find(|value| !value.is_null());
    assert_eq!(record.get("srcip"), address, "host {id}");
    assert_eq!(record["host"]["os"]["full"], host["OS"], "host {id}");
}

fn check_time(record: &Value, text: &Value) {
    let expected = text
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map(jiff::Timestamp::as_millisecond);
    assert_eq!(record["timestamp"].as_i64(), expected, "{text}");
}

fn same(id: &str, found: &Value, expected: &Value) {
    if found == expected {
        return;
    }
    let names: BTreeSet<&String> = [found, expected]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys)
        .collect();
    for name in names {
        assert_eq!(found.get(name), expected.get(name), "{name} of {id}");
    }
    assert_eq!(found, expected, "{id}");
}

#[expect(clippy::panic, reason = "this is the assertion")]
fn same_keys<'a>(
    what: &str,
    found: impl Iterator<Item = &'a String>,
    expected: impl Iterator<Item = &'a String>,
) {
    let (found, expected): (BTreeSet<_>, BTreeSet<_>) = (found.collect(), expected.collect());
    if found != expected {
        panic!(
            "{what}: {} found, {} expected; missing {:?}; too many {:?}",
            found.len(),
            expected.len(),
            expected.difference(&found).take(5).collect::<Vec<_>>(),
            found.difference(&expected).take(5).collect::<Vec<_>>(),
        );
    }
}

fn remove(line: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        line.remove(*name);
    }
}

fn object(line: &Map<String, Value>, reading: Reading<'_>) -> Value {
    element("", &Value::Object(line.clone()), reading).unwrap_or_else(|| json!({}))
}

/// An element of the truth as it stands in a record; nothing if it is blank.
fn element(name: &str, value: &Value, reading: Reading<'_>) -> Option<Value> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(reading(name, text).into()),
        Value::Array(values) => {
            let values: Vec<Value> = values
                .iter()
                .filter_map(|value| element(name, value, reading))
                .collect();
            // Only what the vendor's document types call a list is one with a single member.
            match values.as_slice() {
                [] => None,
                [single] if name == "VULNERABILITY_DETECTION_SOURCE" => Some(single.clone()),
                _ => Some(Value::Array(values)),
            }
        }
        Value::Object(children) => {
            if let Some((_, member)) = LISTS.iter().find(|(list, _)| *list == name) {
                return element(member, children.get(*member)?, reading);
            }
            let text = if name == "QDS" { "score" } else { "value" };
            let children: Map<String, Value> = children
                .iter()
                .filter_map(|(key, value)| {
                    let key = match key.strip_prefix('@') {
                        Some(attribute) => attribute,
                        None if key == "#text" => text,
                        None => key,
                    };
                    Some((key.to_owned(), element(key, value, reading)?))
                })
                .collect();
            (!children.is_empty()).then_some(Value::Object(children))
        }
        other => Some(other.clone()),
    }
}

/// What tells a detection from all others.
fn identity(host: &str, detection: &Value) -> String {
    let text = |name: &str| detection[name].as_str().unwrap_or_default().to_owned();
    let unique = text("UNIQUE_VULN_ID");
    if unique.is_empty() {
        format!(
            "{host}:{}:{}:{}",
            text("QID"),
            text("PORT"),
            text("INSTANCE")
        )
    } else {
        unique
    }
}

/// The last record of each host.
pub fn last_hosts(records: &[Value]) -> BTreeMap<String, &Value> {
    let of = |record: &Value| record["host"]["id"].as_str().unwrap_or_default().to_owned();
    records
        .iter()
        .filter(|record| record["msg_class"] == "qualys_hosts")
        .map(|record| (of(record), record))
        .collect()
}

/// The last record of each detection.
pub fn last_detections(records: &[Value]) -> BTreeMap<String, &Value> {
    let of = |record: &Value| {
        let host = record["host"]["id"].as_str().unwrap_or_default();
        identity(host, &record[LABEL]["DETECTION"])
    };
    records
        .iter()
        .filter(|record| record["msg_class"] == "qualys_vulnerabilities")
        .map(|record| (of(record), record))
        .collect()
}

/// Checks that no state stands in the journal twice.
pub fn nothing_twice(records: &[Value]) {
    let ids: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| record["stellar_uuid"].as_str()?.get(..36))
        .collect();
    assert_eq!(
        ids.len(),
        records.len(),
        "a state stands in the journal twice"
    );
}

/// Checks that a run brought everything and says so.
pub fn done(ledger: &Ledger) {
    assert_eq!(ledger.outcome, RunOutcome::Done, "{}", ledger.to_json());
    for content in &ledger.contents {
        balanced(content);
        assert!(
            content.set_aside.is_empty() && content.faults.is_empty(),
            "{}",
            ledger.to_json()
        );
    }
}

/// Checks that a content type accounts for every host that was listed.
pub fn balanced(content: &ContentLedger) {
    assert!(!content.equations.is_empty());
    for equation in &content.equations {
        assert!(equation.holds, "{}: {equation:?}", content.content_type);
    }
}

/// Checks that the bench holds exactly what the vendor's estate holds now, nothing lost and nothing twice.
#[expect(
    clippy::expect_used,
    reason = "a journal that cannot be read fails the test"
)]
pub fn everything_arrived(vendor: &Vendor, bench: &Bench) {
    let records = bench.records().expect("records");
    nothing_twice(&records);
    Truth::of(vendor).check(&records);
}
