//! The HTTP status help: what a status that a vendor answers usually means, and what to ask whoever set the connector up.

use connector_runtime::sandbox::ErrorKind;
use serde::Serialize;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HttpHelp {
    /// The status.
    pub(crate) status: u16,
    /// Its name.
    pub(crate) name: &'static str,
    /// What it means here.
    pub(crate) explanation: &'static str,
    /// What to ask, or to do.
    pub(crate) ask: &'static str,
}

const ROWS: [HttpHelp; 5] = [
    HttpHelp {
        status: 400,
        name: "Bad Request",
        explanation: "an error in the connector's configuration",
        ask: "Did you configure the connector correctly?",
    },
    HttpHelp {
        status: 401,
        name: "Unauthorized",
        explanation: "a credential is invalid, or the user lacks the privileges for this API",
        ask: "Are the credentials correct? Have they expired? Is the user entitled and licensed for the resource?",
    },
    HttpHelp {
        status: 403,
        name: "Forbidden",
        explanation: "the credential is valid, but its permission or scope is not the right one",
        ask: "Are the credentials correct? Does the user have the required role or permissions?",
    },
    HttpHelp {
        status: 404,
        name: "Not Found",
        explanation: "the URL's path does not resolve",
        ask: "Is the API URL correct?",
    },
    HttpHelp {
        status: 429,
        name: "Too Many Requests",
        explanation: "too much traffic, or a licence or quota was exceeded",
        ask: "It recovers by itself and is retried. If it happens too often, look at the server's limits, licences and quotas.",
    },
];

/// The row that fits a failure, given as the contract's name of its kind and the vendor's status, if there was one. A vendor
/// may say "busy" with a status of its own, so that kind comes first; the others stand in for a status that is not known.
pub(crate) fn of(kind: &str, http_status: Option<u16>) -> Option<HttpHelp> {
    let by_kind = [
        (ErrorKind::RateLimited, 429),
        (ErrorKind::Unauthenticated, 401),
        (ErrorKind::Forbidden, 403),
        (ErrorKind::NotFound, 404),
    ]
    .into_iter()
    .find_map(|(known, status)| (known.as_str() == kind).then_some(status));
    let status = match (by_kind, http_status) {
        (Some(429), _) => 429,
        (_, Some(status)) => status,
        (by_kind, None) => by_kind?,
    };
    ROWS.into_iter().find(|row| row.status == status)
}

impl std::fmt::Display for HttpHelp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            name,
            explanation,
            ask,
        } = self;
        write!(f, "{status} {name}: {explanation}. {ask}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(kind: &str, http_status: Option<u16>) -> Option<u16> {
        of(kind, http_status).map(|row| row.status)
    }

    #[test]
    fn a_vendor_that_is_busy_gets_the_row_of_429_whatever_its_status() {
        assert_eq!(status("rate-limited", Some(409)), Some(429));
        assert_eq!(status("unauthenticated", Some(401)), Some(401));
        assert_eq!(status("unauthenticated", Some(403)), Some(403));
        assert_eq!(status("malformed", Some(200)), None);
    }

    #[test]
    fn the_kind_stands_in_for_a_status_that_is_not_known() {
        assert_eq!(status("unauthenticated", None), Some(401));
        assert_eq!(status("not-found", None), Some(404));
        assert_eq!(status("unavailable", None), None);
    }
}
