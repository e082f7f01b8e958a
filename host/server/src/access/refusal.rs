//! A refused access as it is answered over HTTP.

use super::error::AccessError;
use crate::api::problem::{FieldError, Problem};
use crate::connectors::error::CatalogueError;
use crate::failure::Failure;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

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
        let mut problem = Self::new(status, error.code(), error.to_string());
        if let AccessError::Invalid { key, message } = error {
            problem.errors.push(FieldError {
                key: Some(key.to_owned()),
                detail: message,
            });
        }
        problem
    }
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        let header = match &self {
            Self::Unauthenticated | Self::SignIn => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
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

/// A refused request with its headers, for routes that meet with errors of several layers.
#[derive(Debug)]
pub(crate) struct Refused(Box<Response>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem.into_response()))
    }
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        Self(Box::new(error.into_response()))
    }
}

impl From<CatalogueError> for Refused {
    fn from(error: CatalogueError) -> Self {
        AccessError::from(error).into()
    }
}
