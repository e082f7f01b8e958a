//! Address: the API server that an operator typed.
//!
//! What people type is taken (no scheme, blanks, closing slashes); what could leak the login is refused.

use std::net::IpAddr;

use crate::settings::{Reader, remark};

/// Scheme and authority. The host has normalised the address already; doing it again is harmless and lets the rule stand alone.
pub(crate) fn origin(reader: &mut Reader<'_>) -> String {
    const KEY: &str = "qualys_url";
    let had = reader.problems.len();
    let typed = reader.text(KEY);
    if reader.problems.len() > had {
        return String::new();
    }
    let trimmed = typed.trim().trim_end_matches('/');
    let (scheme, rest) = match trimmed.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (
            "https".to_owned(),
            trimmed.strip_suffix(':').map_or(trimmed, |_| ""),
        ),
    };
    if rest.is_empty()
        || trimmed.eq_ignore_ascii_case("https:")
        || trimmed.eq_ignore_ascii_case("http:")
    {
        reader.problem(
            KEY,
            "qualys_url is blank. Take the API server's address from the Qualys console, Help > About: the one with API in it.",
        );
        return String::new();
    }
    if scheme != "https" && scheme != "http" {
        reader.problem(KEY, "qualys_url must begin with https://.");
        return String::new();
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        reader.problem(
            KEY,
            "qualys_url must not hold a user name or password; they have settings of their own.",
        );
    }
    if tail.contains(['?', '#']) {
        reader.problem(
            KEY,
            "qualys_url must not have a query or a fragment; give the server's address alone.",
        );
    } else if !tail.is_empty() {
        reader.problem(
            KEY,
            "qualys_url must not have a path; give the server's address alone.",
        );
    }
    let authority = authority
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority.as_str(), None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        reader.problem(
            KEY,
            "qualys_url has a port that is not a number from 0 to 65535.",
        );
    }
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .parse::<IpAddr>();
    let bad_name = host.is_empty()
        || (literal.is_err()
            && !host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_'));
    if bad_name {
        reader.problem(
            KEY,
            "qualys_url has no valid host name; it looks like https://qualysapi.qualys.com.",
        );
    }
    if scheme == "http" && !literal.is_ok_and(|ip| ip.is_loopback()) {
        reader.problem(
            KEY,
            "qualys_url must begin with https://: http would send the password in the clear, and is only for a simulator \
             on a loopback address such as http://127.0.0.1:8080.",
        );
    }
    if is_console(host) {
        reader.warnings.push(remark(
            KEY,
            format!(
                "{host} looks like the address of the console, not of the API. Take the API server's address from \
                 the console's Help > About: the one with API in it."
            ),
        ));
    }
    format!("{scheme}://{authority}")
}

/// True for the names that people see in their browser.
fn is_console(host: &str) -> bool {
    if host.starts_with("qualysapi.") {
        return false;
    }
    host.starts_with("qualysguard.")
        || (host.contains(".apps.qualys") && !host.starts_with("qualysapi"))
}
