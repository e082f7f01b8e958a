//! Client: sends a request, and tells a page from everything else that may answer.
//!
//! Qualys' CODE comes first, whatever the HTTP status: errors arrive with 200, and 409 means several things. Only where no CODE can be read does
//! the status decide.
//!
//! Never here: waiting, trying again, following an address that an answer names.

use crate::elements::Class;
use crate::environment::{Body, Request, Response, Transport, TransportError};
use crate::fault::{Fault, FaultKind, shorten};
use crate::page::{PageError, PageReader};
use crate::request::Endpoint;
use crate::tree::{Tree, Unknown, View};

/// As much of an answer that is no page as is looked at.
const EXCERPT: usize = 64 << 10;

/// What everybody sees who comes from an address that is not on the subscription's list.
const SECURE_IPS: &str = "is not in the list of secure IPs";

/// A page that has begun, and when its server says it is.
pub(crate) struct Opened<B> {
    pub(crate) page: PageReader<B>,
}

/// Asks for a page.
pub(crate) fn open<T: Transport>(
    transport: &mut T,
    request: &Request,
    endpoint: Endpoint,
    keep_text: usize,
) -> Result<Opened<T::Body>, Fault> {
    let response = transport
        .send(request)
        .map_err(|error| transport_fault(&error))?;
    let (mut page, head) = accept(response, keep_text)?;
    let root = match head {
        Ok(root) => root,
        Err(error) => return Err(no_page(&mut page, &error, 200)),
    };
    if root == endpoint.root() {
        return Ok(Opened { page });
    }
    Err(other_root(&mut page, &root, 200, endpoint.label()))
}

/// Makes a small call whose answer must have one of the roots.
pub(crate) fn small<T: Transport>(
    transport: &mut T,
    request: &Request,
    root: &str,
    label: &str,
) -> Result<Vec<u8>, Fault> {
    let response = transport
        .send(request)
        .map_err(|error| transport_fault(&error))?;
    let (mut page, head) = accept(response, 0)?;
    match head {
        Ok(found) if found == root => Ok(page.excerpt(EXCERPT).to_vec()),
        Ok(found) => Err(other_root(&mut page, &found, 200, label)),
        Err(error) => Err(no_page(&mut page, &error, 200)),
    }
}

/// A page reader over an answer with status 200; any other status is a fault.
fn accept<B: Body>(
    response: Response<B>,
    keep_text: usize,
) -> Result<(PageReader<B>, Result<String, PageError>), Fault> {
    let Response {
        status,
        headers,
        body,
    } = response;
    let (mut page, head) = PageReader::open(body, keep_text);
    if status == 200 {
        return Ok((page, head));
    }
    let excerpt = page.excerpt(EXCERPT).to_vec();
    let mut fault = match head.is_ok().then(|| Return::read(&excerpt)).flatten() {
        Some(answer) => by_code(&answer, status),
        None if contains(&excerpt, SECURE_IPS) => secure_ips(),
        None => by_status(status),
    };
    if matches!(fault.kind, FaultKind::RateLimited | FaultKind::Unavailable)
        && fault.retry_after_ms.is_none()
    {
        fault.retry_after_ms = header_wait(&headers);
    }
    Err(fault.with_status(status))
}

fn contains(excerpt: &[u8], phrase: &str) -> bool {
    memchr::memmem::find(excerpt, phrase.as_bytes()).is_some()
}

/// The fault of an answer with a root that is not the one asked for.
fn other_root<B: Body>(page: &mut PageReader<B>, root: &str, status: u16, label: &str) -> Fault {
    let excerpt = page.excerpt(EXCERPT).to_vec();
    match Return::read(&excerpt) {
        Some(answer) => by_code(&answer, status).with_status(status),
        None if contains(&excerpt, SECURE_IPS) => secure_ips().with_status(status),
        None => Fault::new(
            FaultKind::Malformed,
            "not-xml",
            format!(
                "{label} answered with an unexpected document: <{}>.",
                shorten(root)
            ),
            "Check that qualys_url is the API server of your platform.",
        )
        .with_status(status),
    }
}

/// The fault of an answer that does not begin like XML.
fn no_page<B: Body>(page: &mut PageReader<B>, error: &PageError, status: u16) -> Fault {
    let excerpt = page.excerpt(EXCERPT);
    let fault = if contains(excerpt, SECURE_IPS) {
        secure_ips()
    } else {
        page_fault(error)
    };
    fault.with_status(status)
}

/// What a return document says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Return {
    code: String,
    text: String,
    wait_seconds: Option<u64>,
}

impl Return {
    /// `SIMPLE_RETURN`, or the older `GENERIC_RETURN`; `None` for anything else.
    fn read(excerpt: &[u8]) -> Option<Self> {
        let mut tree = Tree::default();
        let piece = excerpt.iter().position(|b| *b == b'<')?..excerpt.len();
        tree.parse(
            excerpt,
            std::slice::from_ref(&piece),
            &[],
            (Class::Open, false),
            &mut Unknown::new(),
        )
        .ok()?;
        let view = View::new(&tree, excerpt, &[], &[]);
        let text = |name: &'static [u8]| {
            view.descendants(name)
                .find_map(|element| view.text(element))
        };
        match view.name(view.root()) {
            b"SIMPLE_RETURN" => {}
            b"GENERIC_RETURN" => {
                let number = view
                    .descendants(b"RETURN")
                    .find_map(|element| view.attribute(element, b"number"));
                let code = text(b"CODE").or(number).unwrap_or_else(|| "999".into());
                let said = text(b"TEXT")
                    .or_else(|| text(b"RETURN"))
                    .unwrap_or_default();
                return Some(Self {
                    code: code.trim().to_owned(),
                    text: shorten(&said),
                    wait_seconds: None,
                });
            }
            _ => return None,
        }
        let wait = view.descendants(b"ITEM").find_map(|item| {
            let part = |name: &[u8]| {
                view.child(item, name)
                    .and_then(|element| view.text(element))
            };
            (part(b"KEY")?.trim() == "SECONDS_TO_WAIT")
                .then(|| part(b"VALUE")?.trim().parse().ok())?
        });
        let said = text(b"TEXT").unwrap_or_default();
        Some(Self {
            code: text(b"CODE").unwrap_or_default().trim().to_owned(),
            wait_seconds: wait.or_else(|| wait_in(&said)),
            text: shorten(&said),
        })
    }
}

/// `another 12 minutes and 5 seconds`, in seconds.
fn wait_in(text: &str) -> Option<u64> {
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
fn header_wait(headers: &[(String, String)]) -> Option<u64> {
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

const LOGIN_ADVICE: &str = "Check user name and password, and that qualys_url is the API server of your platform: \
    another platform's server answers the same way. In the Qualys console, Help > About shows its address, and the user's profile \
    (User Roles) must allow access to the API.";
const RIGHTS_ADVICE: &str =
    "Check that the user's role and the subscription's licence allow this API.";
const SETTINGS_ADVICE: &str =
    "Check the API versions and the extra parameters in the advanced settings.";
const LATER_ADVICE: &str = "It usually passes by itself; collection goes on from where it stands.";
const LIMIT_ADVICE: &str = "It passes by itself. If it happens often, look at the subscription's API limits and what else uses them.";

fn by_code(answer: &Return, status: u16) -> Fault {
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

fn by_status(status: u16) -> Fault {
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

fn secure_ips() -> Fault {
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
            "Compare the connector's grant with the address in qualys_url.",
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
            "Check that this host reaches the address in qualys_url, and proxy and certificate settings.",
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Whole(Option<Vec<u8>>);
    impl Body for Whole {
        fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, TransportError> {
            let bytes = self.0.take().unwrap_or_default();
            into.extend_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    struct Server(u16, &'static str, Vec<(String, String)>);
    impl Transport for Server {
        type Body = Whole;
        fn send(&mut self, _: &Request) -> Result<Response<Whole>, TransportError> {
            let body = Whole(Some(self.1.as_bytes().to_vec()));
            Ok(Response {
                status: self.0,
                headers: self.2.clone(),
                body,
            })
        }
    }

    fn fault(status: u16, body: &'static str, headers: &[(&str, &str)]) -> Fault {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            post: true,
            origin: String::new(),
            path: String::new(),
            form: Vec::new(),
        };
        open(
            &mut Server(status, body, headers),
            &request,
            Endpoint::Hosts,
            0,
        )
        .err()
        .expect("a fault")
    }

    fn simple(code: &str) -> &'static str {
        format!("<SIMPLE_RETURN><RESPONSE><DATETIME>2026-03-02T10:02:00Z</DATETIME><CODE>{code}</CODE><TEXT>said</TEXT>\
                 </RESPONSE></SIMPLE_RETURN>").leak()
    }

    #[test]
    fn the_code_decides_whatever_the_status() {
        use FaultKind::{Forbidden, InvalidSettings, RateLimited, Unauthenticated, Unavailable};
        for (code, kind) in [
            ("2000", Unauthenticated),
            ("2001", Unauthenticated),
            ("2002", Unauthenticated),
            ("2003", Unauthenticated),
            ("2011", Unauthenticated),
            ("2012", Forbidden),
            ("1960", RateLimited),
            ("1965", RateLimited),
            ("1901", InvalidSettings),
            ("1903", InvalidSettings),
            ("1904", InvalidSettings),
            ("1905", InvalidSettings),
            ("1907", InvalidSettings),
            ("1908", InvalidSettings),
            ("1922", InvalidSettings),
            ("1920", Unavailable),
            ("1981", Unavailable),
            ("999", Unavailable),
            ("1999", Unavailable),
        ] {
            for status in [200, 400, 401, 409, 503] {
                let fault = fault(status, simple(code), &[]);
                assert_eq!(
                    (fault.kind, fault.code.as_str(), fault.http_status),
                    (kind, code, Some(status))
                );
                assert!(fault.message.contains("\"said\""), "{}", fault.message);
            }
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        use FaultKind::{
            Forbidden, InvalidSettings, Malformed, NotFound, RateLimited, Unauthenticated,
            Unavailable,
        };
        const HTML: &str = "<html><body><h1>Sorry</h1><p>secret-of-the-page</p></body></html>";
        for (status, kind) in [
            (400, InvalidSettings),
            (401, Unauthenticated),
            (403, Forbidden),
            (404, NotFound),
            (409, RateLimited),
            (429, RateLimited),
            (500, Unavailable),
            (502, Unavailable),
            (503, Unavailable),
            (504, Unavailable),
            (302, Malformed),
            (418, Unavailable),
        ] {
            for body in ["", HTML, "text"] {
                let fault = fault(status, body, &[]);
                assert_eq!((fault.kind, fault.code), (kind, format!("http-{status}")));
                assert!(!fault.message.contains("secret-of-the-page"));
            }
        }
    }

    #[test]
    fn quirk_05_an_error_without_an_xml_declaration_is_read() {
        let body = "<!DOCTYPE SIMPLE_RETURN SYSTEM \"https://qualysapi.example.test/api/2.0/simple_return.dtd\">\n<SIMPLE_RETURN><RESPONSE>\
                    <DATETIME>2026-03-02T10:02:00Z</DATETIME> <CODE>1905</CODE>\n<TEXT>parameter ids has invalid value: xyz</TEXT></RESPONSE></SIMPLE_RETURN>";
        let fault = fault(400, body, &[]);
        assert_eq!(
            (fault.kind, fault.code.as_str()),
            (FaultKind::InvalidSettings, "1905")
        );
        assert!(fault.message.contains("ids has invalid value"));
    }

    #[test]
    fn quirk_36_a_page_of_html_with_status_200_is_no_empty_result() {
        for body in [
            "<!DOCTYPE html><html><body>Login</body></html>",
            "<HTML>",
            "Login please",
            "{}",
            " ",
            "<a></b>",
        ] {
            let fault = fault(200, body, &[]);
            assert_eq!(
                (fault.kind, fault.code.as_str()),
                (FaultKind::Malformed, "not-xml"),
                "{body}"
            );
        }
    }

    #[test]
    fn quirk_42_a_409_without_a_body_is_a_limit_and_its_header_tells_the_wait() {
        let fault = fault(409, "", &[("X-RateLimit-ToWait-Sec", "17")]);
        assert_eq!(
            (fault.kind, fault.retry_after_ms),
            (FaultKind::RateLimited, Some(17_000))
        );
    }

    #[test]
    fn the_wait_is_taken_from_the_item_the_header_or_the_sentence() {
        let item = "<SIMPLE_RETURN><RESPONSE><CODE>1965</CODE><TEXT>This API cannot be run again for another 12 minutes and 5 seconds.</TEXT>\
                    <ITEM_LIST><ITEM><KEY>SECONDS_TO_WAIT</KEY><VALUE>700</VALUE></ITEM></ITEM_LIST></RESPONSE></SIMPLE_RETURN>";
        assert_eq!(fault(409, item, &[]).retry_after_ms, Some(700_000));
        let sentence = "<SIMPLE_RETURN><RESPONSE><CODE>1965</CODE><TEXT>This API cannot be run again for another 12 minutes and 5 seconds.</TEXT>\
                        </RESPONSE></SIMPLE_RETURN>";
        assert_eq!(fault(409, sentence, &[]).retry_after_ms, Some(725_000));
        assert_eq!(wait_in("for another 9 seconds."), Some(9));
        assert_eq!(
            fault(429, "", &[("retry-after", "3")]).retry_after_ms,
            Some(3_000)
        );
        assert_eq!(fault(409, simple("1960"), &[]).retry_after_ms, None);
        assert_eq!(
            fault(409, "", &[("x-ratelimit-towait-sec", "0")]).retry_after_ms,
            None
        );
    }

    #[test]
    fn an_address_that_is_not_listed_is_told_so() {
        for status in [200, 401, 403] {
            let fault = fault(status, "192.0.2.9 is not in the list of secure IPs", &[]);
            assert_eq!(
                (fault.kind, fault.code.as_str()),
                (FaultKind::Forbidden, "secure-ips")
            );
        }
    }

    #[test]
    fn an_internal_error_in_the_old_form_is_temporary() {
        let fault = fault(
            200,
            "<GENERIC_RETURN><API name=\"x\"/><RETURN status=\"FAILED\" number=\"999\">Internal error</RETURN></GENERIC_RETURN>",
            &[],
        );
        assert_eq!(
            (fault.kind, fault.code.as_str()),
            (FaultKind::Unavailable, "999")
        );
        assert!(fault.message.contains("Internal error"));
    }
}
