//! What a request gets that could not be answered: one shape for all of them (RFC 9457, `application/problem+json`).

use crate::failure::{Failure, Mistake};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A problem (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: `title` is the status's, and `code` says which problem it is.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "about:blank")]
    pub(crate) kind: Box<str>,
    /// The status in words.
    #[schema(value_type = String)]
    pub(crate) title: Box<str>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened, to which thing, and what to do.
    pub(crate) detail: String,
    /// Stable and searchable, like the `code` of the command line's errors.
    pub(crate) code: String,
    /// Mistakes field by field, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
}

/// One mistake in one field.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field's dotted key as in a definition (`settings.url`); null if the request as a whole is meant.
    pub(crate) key: Option<String>,
    /// What is wrong and what to do.
    pub(crate) detail: String,
}

impl Problem {
    /// A problem without fields.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Problem").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            errors: Vec::new(),
        }
    }

    /// 404, in the words for things that do not exist and for those that are somebody else's.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 400, for a request that cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// Its mistakes as those of a file that a person has written.
    pub(crate) fn mistakes(&self, file: &std::path::Path) -> Vec<Mistake> {
        let errors = self.errors.iter();
        errors
            .map(|error| Mistake {
                file: file.to_owned(),
                key: error.key.clone(),
                message: error.detail.clone(),
            })
            .collect()
    }
}

/// The status for a failure's code. What a caller cannot help is 5xx.
fn status_of(code: &str) -> StatusCode {
    match code {
        "configuration" | "usage" => StatusCode::UNPROCESSABLE_ENTITY,
        "not-found" => StatusCode::NOT_FOUND,
        "conflict" | "inactive" | "suspended" | "held-back" | "set-aside" | "secret" | "busy" => {
            StatusCode::CONFLICT
        }
        "plugin-refused" | "plugin-fault" => StatusCode::UNPROCESSABLE_ENTITY,
        "not-owner" => StatusCode::FORBIDDEN,
        "interrupted" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let failure = match failure {
            Failure::Answered(problem) => return *problem,
            failure => failure,
        };
        let mistakes = failure.mistakes();
        let errors: Vec<FieldError> = mistakes
            .iter()
            .map(|mistake| FieldError {
                key: mistake.key.clone(),
                detail: mistake.message.clone(),
            })
            .collect();
        let detail = match errors.as_slice() {
            [] => failure.to_string(),
            [only] => match &only.key {
                Some(key) => format!("{key}: {}", only.detail),
                None => only.detail.clone(),
            },
            several => format!("{} mistakes; `errors` names each", several.len()),
        };
        let mut problem = Self::new(status_of(failure.code()), failure.code(), detail);
        problem.errors = errors;
        problem
    }
}

impl From<crate::connectors::error::CatalogueError> for Problem {
    fn from(error: crate::connectors::error::CatalogueError) -> Self {
        Failure::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(code = self.code, "{}", self.detail);
        }
        // Plain data with text keys: serialising it cannot fail.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let body = crate::secrets::json(&body).into_owned();
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}
