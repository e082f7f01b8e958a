//! Certificates that the configuration names: whether they can be read, and how long they last.
//!
//! Of a certificate only its validity is read, from the outside in (RFC 5280, section 4.1); whether a chain is trusted is for
//! the connection to decide.

use super::Finding;
use crate::arguments::Global;
use crate::document;
use crate::figures;
use connector_runtime::Clock;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const CHECK: &str = "certificates";
/// Keys of host.toml, in any table, that name a file of certificates.
const KEYS: [&str; 4] = [
    "ca_file",
    "client_certificate",
    "certificate",
    "tls_certificate",
];
const DAY_MS: u64 = 24 * 3600 * 1000;
/// So many days before its end a certificate should be renewed.
const SOON: u64 = 30;

pub(super) fn check(global: &Global, data: &Path) -> Vec<Finding> {
    let file = match &global.config {
        Some(file) => file.clone(),
        None => data.join(crate::backup::CONFIGURATION),
    };
    if !file.is_file() {
        return Vec::new();
    }
    // What cannot be read is a finding of the configuration.
    let Ok(table) = document::read(&file) else {
        return Vec::new();
    };
    let mut named = Vec::new();
    collect(&table, "", &mut named);
    let now = Clock::system().now_ms();
    let folder = file.parent().unwrap_or(Path::new(""));
    named
        .iter()
        .map(|(key, path)| judge(key, &folder.join(path), now))
        .collect()
}

/// The dotted keys that name certificates, and the paths.
fn collect(table: &Table, prefix: &str, named: &mut Vec<(String, PathBuf)>) {
    for (key, value) in table {
        let dotted = match prefix {
            "" => key.clone(),
            prefix => document::dotted(prefix, key),
        };
        match value {
            Value::Table(table) => collect(table, &dotted, named),
            Value::String(path) if KEYS.contains(&key.as_str()) => {
                named.push((dotted, path.into()));
            }
            _ => {}
        }
    }
}

fn judge(key: &str, path: &Path, now: u64) -> Finding {
    let shown = format!("{key}: {}", path.display());
    let renew = "put a new certificate there";
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let remedy = "check the path and its permissions";
            return Finding::problem(CHECK, format!("{shown} cannot be read: {error}"), remedy);
        }
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let validities: Option<Vec<Validity>> = certificates
        .ok()
        .and_then(|all| all.iter().map(|der| Validity::of(der)).collect());
    let Some(validities) = validities.filter(|all| !all.is_empty()) else {
        let remedy = "put certificates in PEM there (-----BEGIN CERTIFICATE-----)";
        return Finding::problem(CHECK, format!("{shown} has no certificate"), remedy);
    };
    let from = validities.iter().map(|one| one.from).max().unwrap_or(0);
    let until = validities.iter().map(|one| one.until).min().unwrap_or(0);
    if until < now {
        let message = format!("{shown} ended at {}", figures::moment(until));
        return Finding::problem(CHECK, message, renew);
    }
    if from > now {
        let message = format!("{shown} begins only at {}", figures::moment(from));
        return Finding::problem(CHECK, message, "wait, or check the clock");
    }
    let message = format!("{shown} lasts until {}", figures::moment(until));
    match (until - now) / DAY_MS {
        0..SOON => Finding::warning(CHECK, message, renew),
        _ => Finding::ok(CHECK, message),
    }
}

/// When a certificate is valid, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    from: u64,
    until: u64,
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which the oldest certificates do not have.
const VERSION: u8 = 0xa0;

impl Validity {
    fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = content(der, SEQUENCE)?;
        let (inner, _) = content(certificate, SEQUENCE)?;
        let after_version = match element(inner)? {
            (VERSION, _, rest) => rest,
            _ => inner,
        };
        let (_, rest) = content(after_version, INTEGER)?;
        let (_, rest) = content(rest, SEQUENCE)?; // how it is signed
        let (_, rest) = content(rest, SEQUENCE)?; // by whom
        let (validity, _) = content(rest, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// The first element: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = bytes
                .iter()
                .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn content(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (tag, content, rest) = element(der)?;
    let text = std::str::from_utf8(content).ok()?;
    let digits = text.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if digits.len() == 12 => {
            let century = if digits < "50" { "20" } else { "19" };
            format!("{century}{digits}")
        }
        GENERALIZED_TIME if digits.len() == 14 => digits.to_owned(),
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| &digits[from..from + 2];
    let moment = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &digits[..4],
        part(4),
        part(6),
        part(8),
        part(10),
        part(12)
    );
    let moment: Timestamp = moment.parse().ok()?;
    Some((u64::try_from(moment.as_millisecond()).unwrap_or(0), rest))
}

#[cfg(test)]
mod tests;
