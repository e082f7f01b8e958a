//! Hosts: the head of a HOST element becomes the host part of a record.
//!
//! It is written once for a host and copied in front of each of its detections.
//!
//! Never here: envelope fields; the surrounding host sets those.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_128;

use crate::object::Selection;
use crate::text;
use crate::timestamp;
use crate::view::{Element, View};

/// Where the vendor object stands in a record.
pub(crate) const LABEL: &str = "qualys_cloud_platform";

/// Names of tags beside the vendor object, which has them all.
const MOST_TAGS: usize = 1_000;

/// A host, ready to be put into records.
#[derive(Debug, Default)]
pub(crate) struct HostRecord {
    pub(crate) id: u64,
    /// `"srcip":...,"host":{...},"cloud":{...},"asset":{...}`, without braces around.
    pub(crate) common: String,
    /// The members of the vendor object, as delivered.
    pub(crate) vendor: String,
    /// Hash of the vendor object in full form.
    pub(crate) hash: u128,
    pub(crate) time_ms: u64,
    /// The vendor's time was implausible.
    pub(crate) time_repaired: bool,
    /// Texts that had to be repaired.
    pub(crate) repaired: u64,
    /// Texts that were cut.
    pub(crate) cut: u64,
}

/// Why a host cannot become a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostProblem {
    MissingId,
    BadId,
}

/// When a record happened if it does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) walk_start_ms: u64,
    pub(crate) now_ms: u64,
}

/// Maps a host's head. `scratch` is memory that is used again.
pub(crate) fn map(
    view: View<'_>,
    selection: &Selection,
    times: Times,
    scratch: &mut String,
) -> Result<HostRecord, HostProblem> {
    let root = view.root();
    let field = |name: &[u8]| {
        view.child(root, name)
            .and_then(|element| view.text(element))
    };
    let id = field(b"ID").ok_or(HostProblem::MissingId)?;
    let id: u64 = id.trim().parse().map_err(|_| HostProblem::BadId)?;
    let mut host = HostRecord {
        id,
        ..HostRecord::default()
    };

    scratch.clear();
    host.repaired = view.write_full(scratch);
    host.hash = xxh3_128(scratch.as_bytes());
    if view.differs(selection) {
        host.cut = view.write_selected(&mut host.vendor, selection, &[]);
    } else {
        host.vendor.push_str(scratch);
    }

    let when = [
        &b"LAST_VULN_SCAN_DATETIME"[..],
        b"LAST_SCAN_DATETIME",
        b"LAST_VM_SCANNED_DATE",
        b"LAST_ACTIVITY",
        b"FIRST_FOUND_DATE",
    ]
    .into_iter()
    .find_map(field);
    (host.time_ms, host.time_repaired) =
        timestamp::event_time(when.as_deref(), times.walk_start_ms, times.now_ms);

    write_common(view, root, id, &mut host.common);
    Ok(host)
}

/// Appends `"key":"text"` with a comma where one is needed.
pub(crate) fn write_text(out: &mut String, key: &str, text: &str) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":\"");
    text::escape_into(out, text);
    out.push('"');
}

/// Appends `"key":value`, the value being JSON already.
pub(crate) fn write_value(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
    out.push_str(value);
}

fn write_array(out: &mut String, key: &str, values: &[String]) {
    if values.is_empty() {
        return;
    }
    write_value(out, key, "[");
    for (index, value) in values.iter().enumerate() {
        out.push_str(if index == 0 { "\"" } else { ",\"" });
        text::escape_into(out, value);
        out.push('"');
    }
    out.push(']');
}

fn write_common(view: View<'_>, root: Element, id: u64, out: &mut String) {
    let field = |name: &[u8]| {
        view.child(root, name)
            .and_then(|element| view.text(element))
    };
    let dns_data = view.child(root, b"DNS_DATA");
    let dns = |name: &[u8]| {
        view.child(dns_data?, name)
            .and_then(|element| view.text(element))
    };
    let address = |name: &[u8]| {
        field(name)
            .map(|ip| ip.trim().to_owned())
            .filter(|ip| ip.parse::<IpAddr>().is_ok())
    };

    let ips: Vec<String> = [address(b"IP"), address(b"IPV6")]
        .into_iter()
        .flatten()
        .collect();
    let hostname = dns(b"HOSTNAME");
    let name = dns(b"FQDN")
        .or_else(|| field(b"DNS"))
        .or_else(|| hostname.clone())
        .or_else(|| field(b"NETBIOS"))
        .or_else(|| ips.first().map(|ip| ip.clone().into()));

    if let Some(ip) = ips.first() {
        write_text(out, "srcip", ip);
    }
    if let Some(name) = &name {
        write_text(out, "srcip_host", name);
    }
    write_value(out, "host", "{");
    write_text(out, "id", &id.to_string());
    write_array(out, "ip", &ips);
    if let Some(name) = &name {
        write_text(out, "name", name);
    }
    if let Some(hostname) = &hostname {
        write_text(out, "hostname", hostname);
    }
    if let Some(domain) = dns(b"DOMAIN") {
        write_text(out, "domain", &domain);
    }
    write_array(out, "mac", &macs(view));
    if let Some(os) = field(b"OS") {
        write_value(out, "os", "{");
        write_text(out, "full", &os);
        if let Some(kind) = os_type(&os) {
            write_text(out, "type", kind);
        }
        out.push('}');
    }
    out.push('}');

    let provider = field(b"CLOUD_PROVIDER");
    let service = field(b"CLOUD_SERVICE");
    let instance = field(b"CLOUD_RESOURCE_ID").or_else(|| field(b"EC2_INSTANCE_ID"));
    if provider.is_some() || service.is_some() || instance.is_some() {
        write_value(out, "cloud", "{");
        if let Some(provider) = provider {
            write_text(out, "provider", &provider.to_lowercase());
        }
        for (key, text) in [("service", service), ("instance", instance)] {
            if let Some(text) = text {
                write_value(out, key, "{");
                write_text(out, if key == "service" { "name" } else { "id" }, &text);
                out.push('}');
            }
        }
        out.push('}');
    }
    write_asset(view, root, out);
}

/// What says which machine the host is, in words that the surrounding host knows: `id` is what the agent or an authenticated
/// scan has left on it, `network` keeps equal addresses apart, `tracking` is what the vendor recognises the host by.
fn write_asset(view: View<'_>, root: Element, out: &mut String) {
    let field = |name: &[u8]| {
        view.child(root, name)
            .and_then(|element| view.text(element))
    };
    let id = field(b"QG_HOSTID").map(|text| text.trim().to_lowercase());
    let network = field(b"NETWORK_ID").map(|text| text.trim().to_owned());
    let tracking = field(b"TRACKING_METHOD").map(|text| text.trim().to_lowercase());
    let mut tags = Vec::new();
    for tag in view.descendants(b"TAG") {
        let name = view
            .child(tag, b"NAME")
            .and_then(|element| view.text(element));
        let Some(name) = name.map(|text| text.trim().to_owned()) else {
            continue;
        };
        if !tags.contains(&name) && tags.len() < MOST_TAGS {
            tags.push(name);
        }
    }
    if id.is_none() && network.is_none() && tracking.is_none() && tags.is_empty() {
        return;
    }
    write_value(out, "asset", "{");
    for (key, text) in [("id", id), ("network", network), ("tracking", tracking)] {
        if let Some(text) = text {
            write_text(out, key, &text);
        }
    }
    write_array(out, "tags", &tags);
    out.push('}');
}

/// Hardware addresses, which only cloud metadata have, in the form `00-00-5E-00-53-23`.
fn macs(view: View<'_>) -> Vec<String> {
    let mut macs = Vec::new();
    for attribute in view.descendants(b"ATTRIBUTE") {
        let part = |name: &[u8]| {
            view.child(attribute, name)
                .and_then(|element| view.text(element))
        };
        let Some(name) = part(b"NAME") else { continue };
        let last = name.rsplit('/').next().unwrap_or_default();
        if !last.eq_ignore_ascii_case("mac") && !last.eq_ignore_ascii_case("macAddress") {
            continue;
        }
        let Some(value) = part(b"VALUE") else {
            continue;
        };
        let digits: String = value
            .chars()
            .filter(|c| !matches!(c, ':' | '-' | '.'))
            .collect();
        if digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            let digits = digits.to_ascii_uppercase();
            let mac: Vec<&str> = (0..6).map(|pair| &digits[pair * 2..pair * 2 + 2]).collect();
            let mac = mac.join("-");
            if !macs.contains(&mac) {
                macs.push(mac);
            }
        }
    }
    macs
}

/// The family of an operating system, in the words of the Elastic Common Schema.
fn os_type(os: &str) -> Option<&'static str> {
    const FAMILIES: [(&str, &[&str]); 6] = [
        ("windows", &["windows"]),
        ("macos", &["macos", "mac os", "os x"]),
        ("android", &["android"]),
        ("ios", &["iphone", "ipad", "apple ios"]),
        (
            "linux",
            &[
                "linux",
                "ubuntu",
                "debian",
                "red hat",
                "rhel",
                "centos",
                "fedora",
                "suse",
                "rocky",
                "almalinux",
                "alpine",
                "photon os",
                "amazon linux",
            ],
        ),
        ("unix", &["unix", "aix", "solaris", "sunos", "hp-ux", "bsd"]),
    ];
    let os = os.to_lowercase();
    FAMILIES
        .iter()
        .find(|(_, words)| words.iter().any(|word| os.contains(word)))
        .map(|(family, _)| *family)
}

/// Appends the record of a host.
pub(crate) fn write_record(host: &HostRecord, out: &mut String) {
    out.push('{');
    out.push_str(&host.common);
    out.push_str(",\"event\":{\"category\":\"host\",\"type\":\"info\"},\"");
    out.push_str(LABEL);
    out.push_str("\":{");
    out.push_str(&host.vendor);
    out.push_str("}}");
}
