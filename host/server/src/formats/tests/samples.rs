//! Records of an imaginary scanner, sealed as the host seals them.

use connector_runtime::interflow::{Envelope, ItemLimits, Labels, Origin, check};
use serde_json::{Value, json};

const TIME: u64 = 1_772_440_877_000;
const WRITTEN: u64 = 1_772_442_031_123;

fn seal(class: &str, key: &str, body: &Value) -> String {
    let origin = Origin {
        source: "acme_scanner".to_owned(),
        vendor: "acme".to_owned(),
        category: "security_scan".to_owned(),
    };
    let envelope = Envelope::new(&Labels {
        tenant_id: "00000000000000000000000000000001",
        tenant_name: "acme",
        connector_id: "659f34c1ba3f87505be3c33d",
        connector_name: "scanner-1",
        msg_class: class,
        origin: &origin,
        domain: "https://scanner.example.test",
    });
    let body = body.to_string();
    let facts = check(&body, &ItemLimits::default()).expect("the host takes it");
    let mut out = Vec::new();
    envelope.seal(key, TIME, WRITTEN, &body, &facts, &mut out);
    String::from_utf8(out).expect("text")
}

fn host() -> Value {
    json!({
        "id": "70010001", "ip": ["192.0.2.15", "2001:db8::15"], "name": "build-07.corp.example.test",
        "hostname": "build-07", "domain": "corp.example.test",
        "mac": ["00:00:5e:00:53:15", "0000.5e00.5316"],
        "os": { "full": "Ubuntu Linux 22.04.4", "type": "linux" },
    })
}

fn cloud() -> Value {
    json!({ "provider": "aws", "service": { "name": "EC2" }, "instance": { "id": "i-00000000000000001" } })
}

/// Each with its name.
pub(super) fn all() -> Vec<(&'static str, String)> {
    let host_full = json!({
        "srcip": "192.0.2.15", "srcip_host": "build-07.corp.example.test", "host": host(), "cloud": cloud(),
        "event": { "category": "host", "type": "info" },
        "acme_scanner": { "ID": "70010001", "TAGS": [{ "NAME": "build" }] },
    });
    let host_sparse = json!({ "host": { "id": "70010002" }, "acme_scanner": { "seen": 1 } });
    let host_ipv6 = json!({
        "srcip": "2001:db8::2a", "srcip_host": "2001:db8::2a",
        "host": { "id": "70010003", "ip": ["2001:db8::2a"], "name": "2001:db8::2a",
                  "mac": ["00-00-5E-00-53-01-02-03"], "os": { "full": "Acme OS 3", "type": "acmeos" } },
        "event": { "category": "host", "type": "info" },
        "acme_scanner": { "ID": "70010003" },
    });
    let vulnerability_full = json!({
        "srcip": "192.0.2.15", "srcip_host": "build-07.corp.example.test", "host": host(), "cloud": cloud(),
        "event": { "id": "9100000001", "category": "vulnerability", "type": "info", "severity": 4, "severity_str": "high" },
        "vulnerability": {
            "id": "991001", "enumeration": "ACME", "severity": "high", "status": "Active", "qds": 78, "epss": 0.01234,
            "score": { "base": 8.1, "version": "3.1", "vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H" },
            "scanner": { "vendor": "Acme" }, "cve": ["CVE-2026-10001"], "title": "libdemo: memory is used after it was freed",
            "category": ["Libraries"], "description": "A crafted message makes libdemo read freed memory.",
            "solution": "Update libdemo to 1.2.9.", "reference": ["https://advisories.example.test/991001"],
            "patchable": true, "threat": ["Exploit_Public"],
        },
        "acme_scanner": { "ID": "70010001", "DETECTION": { "RESULTS": "Package\tInstalled\nlibdemo\t1.2.0" } },
    });
    let vulnerability_sparse = json!({
        "vulnerability": { "id": "991002" }, "acme_scanner": { "ID": "70010002" },
    });
    let vulnerability_nothing = json!({ "vulnerability": {}, "acme_scanner": {} });
    let vulnerability_cves = json!({
        "srcip": "198.51.100.7", "host": { "id": "70010004", "ip": ["198.51.100.7"], "hostname": "db-1",
                                           "os": { "type": "windows" } },
        "event": { "id": "9100000002", "category": "vulnerability", "type": "info", "severity": 5, "severity_str": "critical" },
        "vulnerability": {
            "id": "991003", "enumeration": "ACME", "severity": "critical", "status": "New", "epss": 0.42,
            "score": { "base": 9.8, "version": "3.x" }, "scanner": { "vendor": "Acme" },
            "cve": ["CVE-2026-10002", "CVE-2026-10003", "CVE-2026-10004"], "category": ["Databases", "Remote"],
        },
        "acme_scanner": { "ID": "70010004" },
    });
    let vulnerability_fixed = json!({
        "srcip": "203.0.113.9", "srcip_host": "web-9", "host": { "id": "70010005", "ip": ["203.0.113.9"], "name": "web-9" },
        "event": { "id": "9100000003", "category": "vulnerability", "type": "info", "severity": 1,
                   "severity_str": "informational" },
        "vulnerability": { "id": "991004", "enumeration": "ACME", "severity": "informational", "status": "Fixed",
                           "scanner": { "vendor": "Acme" }, "patchable": false },
        "acme_scanner": { "ID": "70010005" },
    });
    let other = json!({
        "event": { "id": "8100000001", "category": "configuration", "type": "change" }, "srcip": "192.0.2.99",
        "acme_scanner": { "POLICY": "passwords" }, "more": { "kept": true },
    });
    vec![
        ("host_full", seal("acme_hosts", "a", &host_full)),
        ("host_sparse", seal("acme_hosts", "b", &host_sparse)),
        ("host_ipv6", seal("acme_hosts", "c", &host_ipv6)),
        (
            "vulnerability_full",
            seal("acme_vulnerabilities", "d", &vulnerability_full),
        ),
        (
            "vulnerability_sparse",
            seal("acme_vulnerabilities", "e", &vulnerability_sparse),
        ),
        (
            "vulnerability_nothing",
            seal("acme_vulnerabilities", "f", &vulnerability_nothing),
        ),
        (
            "vulnerability_cves",
            seal("acme_vulnerabilities", "g", &vulnerability_cves),
        ),
        (
            "vulnerability_fixed",
            seal("acme_vulnerabilities", "h", &vulnerability_fixed),
        ),
        ("other", seal("acme_policies", "i", &other)),
    ]
}
