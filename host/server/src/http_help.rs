//! The HTTP status help: what a status that a vendor answers usually means, and what to ask whoever set the connector up.

use connector_runtime::sandbox::{ErrorKind, PluginFailure};
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

const BUSY: HttpHelp = HttpHelp {
    status: 429,
    name: "Too Many Requests",
    explanation: "too much traffic, or a licence or quota was exceeded",
    ask: "It recovers by itself and is retried. If it happens too often, look at the server's limits, licences and quotas.",
};

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
    BUSY,
];

/// The row that fits a failure. A vendor may say "busy" with a status of its own, so the kind comes first.
pub(crate) fn of(failure: &PluginFailure) -> Option<HttpHelp> {
    if failure.kind == ErrorKind::RateLimited {
        return Some(BUSY);
    }
    let status = failure.http_status?;
    ROWS.into_iter().find(|row| row.status == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, http_status: Option<u16>) -> PluginFailure {
        PluginFailure {
            kind,
            code: "c".into(),
            message: "m".into(),
            advice: String::new(),
            http_status,
            retry_after_ms: None,
        }
    }

    #[test]
    fn a_vendor_that_is_busy_gets_the_row_of_429_whatever_its_status() {
        let row = of(&failure(ErrorKind::RateLimited, Some(409))).unwrap();
        assert_eq!(row.status, 429);
        assert_eq!(
            of(&failure(ErrorKind::Unauthenticated, Some(401)))
                .unwrap()
                .status,
            401
        );
        assert_eq!(of(&failure(ErrorKind::Malformed, Some(200))), None);
        assert_eq!(of(&failure(ErrorKind::Unavailable, None)), None);
    }
}
