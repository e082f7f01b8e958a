//! What routes read of a request: a JSON body, and which part of a list is wanted.

use super::problem::Problem;
use crate::access::AccessError;
use crate::connectors::error::CatalogueError;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// Larger than any body of these routes.
const LARGEST: usize = 64 << 10;
/// So many entries a page has unless it is told otherwise.
const PAGE: usize = 100;
/// The most that a page may have.
const LARGEST_PAGE: usize = 1000;

/// A request that was refused, as it is answered: for routes that meet with more than one layer's errors.
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

/// A JSON body; unknown keys are refused where its type says so.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let body = Limited::new(request.into_body(), LARGEST).collect().await;
        let bytes = body.map_err(|error| {
            let (status, detail) = match error.is::<http_body_util::LengthLimitError>() {
                true => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "the body has more than {LARGEST} bytes, which is the most it may have"
                    ),
                ),
                false => (
                    StatusCode::BAD_REQUEST,
                    "the body did not arrive whole; send it again".to_owned(),
                ),
            };
            Problem::new(status, "usage", detail)
        })?;
        serde_json::from_slice(&bytes.to_bytes())
            .map(Self)
            .map_err(|error| {
                let status = match error.is_data() {
                    true => StatusCode::UNPROCESSABLE_ENTITY,
                    false => StatusCode::BAD_REQUEST,
                };
                // A mistake at a value quotes it, and it may be a password.
                let detail = match error.is_data() && !error.to_string().starts_with("invalid") {
                    true => error.to_string(),
                    false => format!(
                        "at line {}, column {} stands something else than is expected there",
                        error.line(),
                        error.column()
                    ),
                };
                Problem::new(
                    status,
                    "usage",
                    format!("the body is not what is expected: {detail}"),
                )
            })
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// How many entries, at most 1000 [default: 100]
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// How many entries are left out at the beginning [default: 0]
    pub(crate) offset: Option<usize>,
    /// `name`, `created` or `last_used` (of users: the last sign-in), with `-` before it for the other way round [default: name]
    pub(crate) sort: Option<String>,
    /// Only what belongs to this tenant
    pub(crate) tenant: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let usage =
            |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "usage", detail);
        let query = axum::extract::Query::<Self>::try_from_uri(&parts.uri);
        let paging = query.map_err(|error| usage(error.body_text()))?.0;
        if !(1..=LARGEST_PAGE).contains(&paging.limit.unwrap_or(PAGE)) {
            return Err(usage(format!("limit must be between 1 and {LARGEST_PAGE}")));
        }
        Ok(paging)
    }
}

/// A part of a list.
pub(crate) struct Page<T> {
    /// How long the list is.
    pub(crate) total: usize,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) entries: Vec<T>,
}

/// What a list can be sorted by.
pub(crate) trait Listed {
    /// Its name.
    fn name(&self) -> &str;
    /// Its tenant's name.
    fn tenant(&self) -> Option<&str>;
    /// In milliseconds since 1970.
    fn created(&self) -> u64;
    /// In milliseconds since 1970.
    fn last_used(&self) -> Option<u64>;
}

impl Paging {
    /// The page of a list that is sorted by name, and how long the list is.
    ///
    /// # Errors
    /// If it cannot be sorted so.
    pub(crate) fn page<T: Listed>(&self, mut all: Vec<T>) -> Result<Page<T>, Problem> {
        if let Some(tenant) = &self.tenant {
            all.retain(|entry| entry.tenant() == Some(tenant));
        }
        let sort = self.sort.as_deref().unwrap_or("name");
        let (key, reversed) = match sort.strip_prefix('-') {
            Some(key) => (key, true),
            None => (sort, false),
        };
        match key {
            "name" => all.sort_by(|a, b| a.name().cmp(b.name())),
            "created" => all.sort_by_key(Listed::created),
            "last_used" => all.sort_by_key(Listed::last_used),
            _ => {
                return Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "usage",
                    "sort must be name, created or last_used, with - before it for the other way round",
                ));
            }
        }
        if reversed {
            all.reverse();
        }
        let (limit, offset) = (self.limit.unwrap_or(PAGE), self.offset.unwrap_or(0));
        Ok(Page {
            total: all.len(),
            limit,
            offset,
            entries: all.into_iter().skip(offset).take(limit).collect(),
        })
    }
}
