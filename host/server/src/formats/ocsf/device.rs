//! The machine: `device`, and the same as an affected resource.

use super::observable;
use crate::formats::ecs::hexadecimal;
use crate::formats::outline::Outline;
use crate::formats::record::{Host, Record};
use serde_json::Value;

/// The operating systems that the schema numbers, by the word of `host.os.type`.
const OS_TYPES: [(&str, u64, &str); 10] = [
    ("windows", 100, "Windows"),
    ("linux", 200, "Linux"),
    ("android", 201, "Android"),
    ("macos", 300, "macOS"),
    ("ios", 301, "iOS"),
    ("ipados", 302, "iPadOS"),
    ("solaris", 400, "Solaris"),
    ("aix", 401, "AIX"),
    ("hp-ux", 402, "HP-UX"),
    ("hpux", 402, "HP-UX"),
];

/// What about the machine an analyst searches for.
pub(super) fn observables(record: &Record<'_>) -> Vec<Value> {
    if record.host.is_nameless() {
        return Vec::new();
    }
    let host = &record.host;
    let mut found = Vec::new();
    if let Some(name) = name_of(host) {
        found.push(observable("device.hostname", 1, "Hostname", &name));
    }
    for (index, address) in host.addresses.iter().enumerate() {
        let name = match index {
            0 => "device.ip",
            _ => "device.network_interfaces.ip",
        };
        found.push(observable(name, 2, "IP Address", &address.to_string()));
    }
    for (index, mac) in macs(host).iter().enumerate() {
        let name = match index {
            0 => "device.mac",
            _ => "device.network_interfaces.mac",
        };
        found.push(observable(name, 3, "MAC Address", mac));
    }
    found
}

/// The affected resource of a finding; nothing if the record names no machine.
pub(super) fn resource(record: &Record<'_>) -> Value {
    let host = &record.host;
    let mut resource = Outline::default();
    let address = host.addresses.first().map(ToString::to_string);
    let name = host.name.clone().or_else(|| host.hostname.clone());
    let name = name.or_else(|| address.clone());
    if name.is_none() && host.id.is_none() {
        return Value::Null;
    }
    resource.put("name", name);
    resource.put("uid", host.id.clone());
    resource.put("uid_alt", record.cloud.instance.clone());
    resource.put("hostname", name_of(host));
    resource.put("ip", address);
    resource.put("type", "Device");
    resource.put("role_id", 3);
    resource.into()
}

/// Takes the machine; nothing if the record names none. What the schema has no attribute for is kept in the rest.
pub(super) fn take(record: &mut Record<'_>) -> Value {
    let host = std::mem::take(&mut record.host);
    let macs = macs(&host);
    let long: Vec<String> = host
        .macs
        .iter()
        .filter(|mac| mac.len() != 6)
        .map(|mac| hexadecimal(mac, "-"))
        .collect();
    let mut device = Outline::default();
    if host.is_nameless() {
        // Nothing to tie these to.
        record.rest.keep("host.domain", host.domain);
        let all: Vec<String> = macs.into_iter().chain(long).collect();
        record.rest.keep("host.mac", all);
        record.rest.keep("host.os.full", host.os);
        record.rest.keep("host.os.type", host.os_type);
        return Value::Null;
    }
    record.rest.keep("host.mac", long);
    device.put("type_id", 0);
    device.put("type", "Unknown");
    let name = host.name.clone().or_else(|| host.hostname.clone());
    if host.hostname != name {
        // The schema has one name beside the host name, which the full one is.
        record.rest.keep("host.hostname", host.hostname.clone());
    }
    device.put("hostname", name_of(&host));
    device.put("uid", host.id);
    device.put("name", name);
    device.put("domain", host.domain);
    device.put("instance_uid", record.cloud.instance.take());
    put_os(host.os, host.os_type, &mut device);
    let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
    device.put("ip", addresses.first().cloned());
    device.put("mac", macs.first().cloned());
    // Which address belongs to which interface is not known, so each stands alone, and the first ones are not repeated.
    let mut interfaces: Vec<Value> = Vec::new();
    for (key, values) in [("ip", addresses), ("mac", macs)] {
        for value in values.into_iter().skip(1) {
            let mut interface = Outline::default();
            interface.put(key, value);
            interfaces.push(interface.into());
        }
    }
    device.put("network_interfaces", interfaces);
    device.into()
}

fn put_os(name: Option<String>, kind: Option<String>, device: &mut Outline) {
    let Some(name) = name.or_else(|| kind.clone()) else {
        return;
    };
    device.put("os.name", name);
    let Some(kind) = kind else {
        device.put("os.type_id", 0);
        device.put("os.type", "Unknown");
        return;
    };
    let known = OS_TYPES
        .iter()
        .find(|(word, ..)| word.eq_ignore_ascii_case(&kind));
    match known {
        Some((_, id, caption)) => {
            device.put("os.type_id", *id);
            device.put("os.type", *caption);
        }
        None => {
            device.put("os.type_id", 99);
            device.put("os.type", kind);
        }
    }
}

/// The host's name in the network: the full name if it is one, else the short one. An address is none, nor is free text.
fn name_of(host: &Host) -> Option<String> {
    let is_name = |name: &&String| {
        let bytes = name.bytes();
        name.len() <= 253
            && name.parse::<std::net::IpAddr>().is_err()
            && bytes
                .clone()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    [&host.name, &host.hostname]
        .into_iter()
        .flatten()
        .find(is_name)
        .cloned()
}

/// Those of six bytes: the schema knows no other.
fn macs(host: &Host) -> Vec<String> {
    let six = host.macs.iter().filter(|mac| mac.len() == 6);
    six.map(|mac| hexadecimal(mac, ":")).collect()
}
