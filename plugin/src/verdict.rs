//! Verdict: what an answer that is no page means.
//!
//! Qualys' CODE comes first, whatever the HTTP status: errors arrive with 200, and 409 means several things. Only where no CODE can be read does
//! the status decide.

use crate::document::{self, Document, Element};
use crate::environment::TransportError;
use crate::fault::{Fault, FaultKind, shorten};
use crate::page::PageError;

/// What a return document says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Return {
    pub(crate) code: String,
    pub(crate) text: String,
    pub(crate) wait_seconds: Option<u64>,
}

impl Return {
    /// `SIMPLE_RETURN`, or the older `GENERIC_RETURN`; `None` for anything else.
    pub(crate) fn read(excerpt: &[u8]) -> Option<Self> {
        let document = Document::read(excerpt)?;
        let text = |name| document.text(name).unwrap_or_default();
        match document.root() {
            "SIMPLE_RETURN" => {
                let said = text("TEXT");
                let wait = document.children_of("ITEM").find_map(wait_of_item);
                Some(Self {
                    code: text("CODE").to_owned(),
                    wait_seconds: wait.or_else(|| wait_in(said)),
                    text: shorten(said),
                })
            }
            "GENERIC_RETURN" => {
                let number = document
                    .all("RETURN")
                    .find_map(|element| element.attribute("number"));
                let said = document.text("TEXT").unwrap_or_else(|| text("RETURN"));
                Some(Self {
                    code: document.text("CODE").or(number).unwrap_or("999").to_owned(),
                    text: shorten(said),
                    wait_seconds: None,
                })
            }
            _ => None,
        }
    }
}

/// The value of an item whose key says that it is a wait.
fn wait_of_item<'a>(parts: impl Iterator<Item = &'a Element>) -> Option<u64> {
    let (mut key, mut value) = (None, None);
    for part in parts {
        match part.name() {
            "KEY" => key = key.or(part.text()),
            "VALUE" => value = value.or(part.text()),
            _ => {}
        }
    }
    value
        .filter(|_| key == Some("SECONDS_TO_WAIT"))?
        .parse()
        .ok()
}

/// `another 12 minutes and 5 seconds`, in seconds.
pub(crate) fn wait_in(text: &str) -> Option<u64> {
    let (_, after) = text.split_once("another ")?;
    let mut total: Option<u64> = None;
    let mut words = after.split_whitespace();
    while let Some(word) = words.next() {
        if word == "and" {
            continue;
        }
        let Ok(count) = word.parse::<u64>() else {
            break;
        };
        let unit = match words.next()?.trim_end_matches(['.', ',', 's']) {
            "second" => 1,
            "minute" => 60,
            "hour" => 3600,
            "day" => 86_400,
            _ => break,
        };
        total = Some(
            total
                .unwrap_or(0)
                .saturating_add(count.saturating_mul(unit)),
        );
    }
    total
}

/// Milliseconds to wait, out of the headers.
pub(crate) fn header_wait(headers: &[(String, String)]) -> Option<u64> {
    ["x-ratelimit-towait-sec", "retry-after"]
        .into_iter()
        .find_map(|name| {
            let (_, value) = headers
                .iter()
                .find(|(header, _)| header.eq_ignore_ascii_case(name))?;
            value
                .trim()
                .parse::<u64>()
                .ok()
                .filter(|seconds| *seconds > 0)?
                .checked_mul(1000)
        })
}

pub(crate) const LOGIN_ADVICE: &str = "Check user name and password, and that qualys_url is the API server of your platform: \
    another platform's server answers the same way. In the Qualys console, Help > About shows its address, and the user's profile \
    (User Roles) must allow access to the API.";
pub(crate) const RIGHTS_ADVICE: &str =
    "Check that the user's role and the subscription's licence allow this API.";
pub(crate) const SETTINGS_ADVICE: &str =
    "Check the API versions and the extra parameters in the advanced settings.";
pub(crate) const LATER_ADVICE: &str =
    "It usually passes by itself; collection goes on from where it stands.";
const DENIED_ADVICE: &str = "The run's ledger says why (`refused`): the request is outside of the connector's grant, the address is not allowed, or a limit \
    of the host was reached.";
pub(crate) const LIMIT_ADVICE: &str = "It passes by itself. If it happens often, look at the subscription's API limits and what else uses them.";

pub(crate) fn by_code(answer: &Return, status: u16) -> Fault {
    use FaultKind::{
        Forbidden, InvalidSettings, Malformed, RateLimited, Unauthenticated, Unavailable,
    };
    let (kind, what, advice) = match answer.code.as_str() {
        "2000" => (Unauthenticated, "The login was refused", LOGIN_ADVICE),
        "2001" => (
            Unauthenticated,
            "The account has expired",
            "Ask the Qualys administrator to renew the account.",
        ),
        "2002" => (
            Unauthenticated,
            "The account is inactive",
            "Ask the Qualys administrator to activate the account.",
        ),
        "2003" => (
            Unauthenticated,
            "The account's registration is not complete",
            "Sign in to the Qualys console once with this user and complete the registration.",
        ),
        "2011" => (
            Unauthenticated,
            "The account needs a second factor, which the API does not take",
            "Use a user without SecurID for collection.",
        ),
        "2012" => (
            Forbidden,
            "The licence does not cover this API",
            RIGHTS_ADVICE,
        ),
        "1960" => (
            RateLimited,
            "All calls that may run at the same time are running",
            LIMIT_ADVICE,
        ),
        "1965" => (
            RateLimited,
            "The calls of this period are used up",
            LIMIT_ADVICE,
        ),
        "1901" | "1903" | "1904" | "1905" | "1907" | "1908" | "1922" => (
            InvalidSettings,
            "Qualys did not accept a parameter",
            SETTINGS_ADVICE,
        ),
        "1920" | "1981" | "999" | "1999" => (Unavailable, "Qualys cannot answer now", LATER_ADVICE),
        _ => match by_status(status).kind {
            Malformed => (
                Malformed,
                "Qualys answered with an error",
                "See the vendor's list of API error codes.",
            ),
            kind => (
                kind,
                "Qualys answered with an error",
                "See the vendor's list of API error codes.",
            ),
        },
    };
    let said = if answer.text.is_empty() {
        String::new()
    } else {
        format!(": \"{}\"", answer.text)
    };
    let code = if answer.code.is_empty() {
        format!("http-{status}")
    } else {
        shorten(&answer.code)
    };
    let mut fault = Fault::new(
        kind,
        &code,
        format!("{what} (HTTP {status}, Qualys {code}{said})."),
        advice,
    );
    if kind == RateLimited {
        fault.retry_after_ms = answer
            .wait_seconds
            .map(|seconds| seconds.saturating_mul(1000));
    }
    fault
}

pub(crate) fn by_status(status: u16) -> Fault {
    use FaultKind::{
        Forbidden, InvalidSettings, Malformed, NotFound, RateLimited, Unauthenticated, Unavailable,
    };
    let (kind, what, advice) = match status {
        400 => (
            InvalidSettings,
            "The request was not understood",
            SETTINGS_ADVICE,
        ),
        401 => (Unauthenticated, "The login was refused", LOGIN_ADVICE),
        403 => (Forbidden, "The request is not allowed", RIGHTS_ADVICE),
        404 => (
            NotFound,
            "There is no such address on this server",
            "Check that qualys_url is the API server of your platform, and the API versions in the advanced settings.",
        ),
        // Without a body nobody can tell which limit it was; both pass.
        409 | 429 => (RateLimited, "Too many calls", LIMIT_ADVICE),
        413 | 414 => (
            InvalidSettings,
            "The request is too large",
            "Make tag filters and extra parameters shorter.",
        ),
        408 | 500..=599 => (Unavailable, "The server cannot answer now", LATER_ADVICE),
        300..=399 => (
            Malformed,
            "The server points to another address, which is not followed",
            "Check that qualys_url is the API server of your platform.",
        ),
        200 => (
            Malformed,
            "The answer carries an error",
            "See the vendor's list of API error codes.",
        ),
        _ => (
            Unavailable,
            "The server answered with an unexpected status",
            LATER_ADVICE,
        ),
    };
    Fault::new(
        kind,
        &format!("http-{status}"),
        format!("{what} (HTTP {status})."),
        advice,
    )
    .with_status(status)
}

pub(crate) fn secure_ips() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "secure-ips",
        "Qualys does not accept calls from this address: it is not in the subscription's list of secure IPs.",
        "Ask the Qualys administrator to add the address from which this host reaches the internet to the secure IPs.",
    )
}

/// The fault of a request that did not get through.
pub(crate) fn transport_fault(error: &TransportError) -> Fault {
    match error {
        TransportError::Denied(_) => Fault::new(
            FaultKind::Forbidden,
            "egress-denied",
            shorten(&error.to_string()),
            DENIED_ADVICE,
        ),
        TransportError::Timeout(_) => Fault::new(
            FaultKind::Unavailable,
            "timeout",
            shorten(&error.to_string()),
            "Qualys can take minutes for a large page; it is asked for a smaller one next time.",
        ),
        TransportError::Connection(_) => Fault::new(
            FaultKind::Unavailable,
            "connection",
            shorten(&error.to_string()),
            "Check that this host reaches the address in qualys_url, and firewalls and certificates on the way.",
        ),
    }
}

/// The fault of a page that cannot be read on.
pub(crate) fn page_fault(error: &PageError) -> Fault {
    let (code, advice) = match error {
        PageError::Transport(TransportError::Connection(_)) => {
            let mut fault = transport_fault(&TransportError::Connection(
                "the answer broke off".to_owned(),
            ));
            fault.code = "truncated-body".to_owned();
            return fault;
        }
        PageError::Transport(error) => return transport_fault(error),
        PageError::Truncated => (
            "truncated-body",
            "The page is asked for again from behind the last complete host, and made smaller if that does not help.",
        ),
        PageError::Malformed(_) => (
            "malformed-xml",
            "Smaller pages are asked for until the host with the fault is found; it is then set aside.",
        ),
        PageError::NotXml => (
            "not-xml",
            "A proxy or a login page answered, or qualys_url is not the API server of your platform.",
        ),
        PageError::Entities => (
            "entity-refused",
            "Qualys does not do this; find out who answers at qualys_url.",
        ),
        PageError::TooDeep => (
            "too-deep",
            "Qualys does not do this; find out who answers at qualys_url.",
        ),
    };
    let message = shorten(&format!("{error}."));
    let mut chars = message.chars();
    let message = chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or(message);
    Fault::new(FaultKind::Malformed, code, message, advice)
}

/// The fault of an answer that does not begin like a page; a page of HTML is known by its title.
pub(crate) fn no_page(error: &PageError, excerpt: &[u8]) -> Fault {
    let mut fault = page_fault(error);
    if *error == PageError::NotXml
        && let Some(title) = document::title(excerpt)
    {
        fault.message = shorten(&format!("{} It is titled \"{title}\".", fault.message));
    }
    fault
}

/// What `/msp/about.php` says about the version of the platform.
pub(crate) fn version(about: &[u8]) -> Result<String, Fault> {
    let document = Document::read(about).filter(|document| document.root() == "ABOUT");
    let document = document.ok_or_else(|| page_fault(&PageError::NotXml))?;
    Ok(shorten(
        document.text("WEB-VERSION").unwrap_or("without a number"),
    ))
}
