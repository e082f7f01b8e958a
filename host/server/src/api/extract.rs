//! What handlers take: bodies, queries and paths whose mistakes are problems like all others.

use super::problem::Problem;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body; what is wrong with it is a problem.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(rejection))) => {
                let status = rejection.status();
                Err(Problem::new(status, "bad-request", rejection.body_text()))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bad-request",
                "the body must be JSON, sent as content-type: application/json",
            )),
            // Not the value that was met: it may be a secret.
            Err(JsonRejection::JsonDataError(rejection)) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "usage",
                without_values(&rejection.body_text()),
            )),
            Err(_) => Err(Problem::bad_request("the body is not valid JSON")),
        }
    }
}

/// The sentence of a JSON reader without the value that it cites.
fn without_values(sentence: &str) -> String {
    let sentence =
        sentence.trim_start_matches("Failed to deserialize the JSON body into the target type: ");
    for (citation, words) in [
        ("invalid type: ", "a value of another type"),
        ("invalid value: ", "a value that cannot be used"),
    ] {
        if let (Some(start), Some(end)) = (sentence.find(citation), sentence.find(", expected "))
            && start < end
        {
            return format!("{}{words}{}", &sentence[..start], &sentence[end..]);
        }
    }
    sentence.to_owned()
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(body) => (
                [(axum::http::header::CONTENT_TYPE, "application/json")],
                crate::secrets::json(&body).into_owned(),
            )
                .into_response(),
            Err(error) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "output",
                format!("the answer could not be written: {error}"),
            )
            .into_response(),
        }
    }
}

/// A query string; what is wrong with it is a problem.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = AxumQuery::<T>::from_request_parts(parts, state).await;
        query
            .map(|AxumQuery(query)| Self(query))
            .map_err(|rejection: QueryRejection| {
                let text = rejection.body_text();
                let text = text.trim_start_matches("Failed to deserialize query string: ");
                Problem::bad_request(format!("the query: {text}"))
            })
    }
}

/// A path with two parameters, names or ids of things.
pub(crate) struct Names(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path((first, second))| Self(first, second))
            .map_err(|_| Problem::not_found("a part of the path is not valid UTF-8"))
    }
}

/// A path whose one parameter is the name or id of something.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(name)| Self(name))
            .map_err(|_| Problem::not_found("the path's last part is not valid UTF-8"))
    }
}
