//! Client: sends a request, and tells a page from everything else that may answer.
//!
//! A page begins with the list's own root element and status 200; the root is looked at before the status is believed.
//!
//! Never here: waiting, trying again, following an address that an answer names.

use crate::environment::{Body, Request, Response, Transport};
use crate::fault::{Fault, FaultKind, shorten};
use crate::page::{PageError, PageReader};
use crate::request::Endpoint;
use crate::verdict::{self, Return, by_code, by_status, header_wait, secure_ips, transport_fault};

/// As much of an answer that is no page as is looked at.
const EXCERPT: usize = 64 << 10;

/// What everybody sees who comes from an address that is not on the subscription's list.
const SECURE_IPS: &str = "is not in the list of secure IPs";

/// Asks for a page.
pub(crate) fn open<T: Transport>(
    transport: &mut T,
    request: &Request,
    endpoint: Endpoint,
    keep_text: usize,
) -> Result<PageReader<T::Body>, Fault> {
    let response = transport
        .send(request)
        .map_err(|error| transport_fault(&error))?;
    let (mut page, head) = accept(response, keep_text)?;
    let root = match head {
        Ok(root) => root,
        Err(error) => return Err(no_page(&mut page, &error, 200)),
    };
    if root == endpoint.root() {
        return Ok(page);
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
        verdict::no_page(error, excerpt)
    };
    fault.with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::TransportError;
    use crate::verdict::wait_in;

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
    fn a_page_of_html_is_known_by_its_title_and_by_nothing_else_of_it() {
        let page = "<!DOCTYPE html>\n<html><head><meta charset=utf-8><title>Sign in\nto the network</title></head><body><p>secret</body></html>";
        let fault = fault(200, page, &[]);
        assert_eq!(
            fault.message,
            "The answer is not the XML of a Qualys API. It is titled \"Sign in to the network\"."
        );
    }

    #[test]
    fn an_error_with_bytes_that_are_not_utf_8_is_repaired_and_read() {
        let bytes = b"<SIMPLE_RETURN><RESPONSE><CODE>1905</CODE><TEXT>caf\xE9 & bar</TEXT></RESPONSE></SIMPLE_RETURN>";
        let answer = Return::read(bytes).expect("an error");
        assert_eq!(
            (answer.code.as_str(), answer.text.as_str()),
            ("1905", "caf\u{e9} & bar")
        );
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
