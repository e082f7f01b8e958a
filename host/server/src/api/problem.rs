//! Problems: what every request that was refused is answered (RFC 9457).

use crate::access::AccessError;
use crate::failure::Failure;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// What a request that was refused is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says what kind it is, and `code` which.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The status in words.
    pub(crate) title: String,
    pub(crate) status: u16,
    /// What happened, to which thing, and what to do.
    pub(crate) detail: String,
    /// Stable and searchable.
    pub(crate) code: String,
    /// What is wrong in the request, one by one.
    pub(crate) errors: Vec<ProblemError>,
}

/// One mistake in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemError {
    /// A JSON pointer into the request's body.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

impl Problem {
    /// A problem without single mistakes.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            errors: Vec::new(),
        }
    }

    /// With a mistake at a JSON pointer of the request.
    pub(crate) fn with_error(mut self, pointer: &str, detail: impl Into<String>) -> Self {
        self.errors.push(ProblemError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        });
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.code() {
            "usage" | "configuration" => StatusCode::UNPROCESSABLE_ENTITY,
            "not-found" => StatusCode::NOT_FOUND,
            "conflict" => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failure.code(), failure.to_string())
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let status = match &error {
            AccessError::Unauthenticated | AccessError::SignIn => StatusCode::UNAUTHORIZED,
            AccessError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            AccessError::Forbidden(_) | AccessError::CrossSite(_) => StatusCode::FORBIDDEN,
            AccessError::Unknown { .. } => StatusCode::NOT_FOUND,
            AccessError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            AccessError::Resources(_) => StatusCode::SERVICE_UNAVAILABLE,
            AccessError::Catalogue(_) => return Failure::from(error).into(),
        };
        let problem = Self::new(status, error.code(), error.to_string());
        match &error {
            AccessError::Invalid { key, message } => {
                problem.with_error(&format!("/{key}"), message.clone())
            }
            _ => problem,
        }
    }
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        let header = match &self {
            Self::Unauthenticated => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::TooMany { after } => {
                // Rounded up: earlier would be refused again.
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                Some((RETRY_AFTER, HeaderValue::from(seconds.max(1))))
            }
            _ => None,
        };
        let mut response = Problem::from(self).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
