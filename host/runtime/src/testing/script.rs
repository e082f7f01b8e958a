//! Answers in a row, and what was asked for them.

use super::lock;
use crate::egress::{Answer, Upstream, UpstreamError, body_of};
use bytes::Bytes;
use http_body_util::Full;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A request that reached the vendor's side.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers as they would go over the wire; `authorization` among them.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl RecordedRequest {
    /// A form field of query or body.
    pub fn field(&self, name: &str) -> Option<String> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .chain(form_urlencoded::parse(&self.body))
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// An upstream that answers from a list, one request after the other. Clones share the list.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Result<http::Response<Bytes>, UpstreamError>>,
    requests: Vec<RecordedRequest>,
}

impl Script {
    /// An empty script: every request fails as a lost connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer. Headers that are not valid are left out.
    #[must_use]
    pub fn answer(self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let mut response = http::Response::new(body.into());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::try_from(*name),
                http::HeaderValue::try_from(*value),
            ) {
                response.headers_mut().append(name, value);
            }
        }
        lock(&self.0).answers.push_back(Ok(response));
        self
    }

    /// Adds a failure of the network.
    #[must_use]
    pub fn fail(self, error: UpstreamError) -> Self {
        lock(&self.0).answers.push_back(Err(error));
        self
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.0).requests.clone()
    }
}

impl Upstream for Script {
    fn send(&self, request: http::Request<Bytes>) -> Answer {
        let mut state = lock(&self.0);
        let (parts, body) = request.into_parts();
        state.requests.push(RecordedRequest {
            method: parts.method.to_string(),
            url: parts.uri.to_string(),
            headers: parts.headers,
            body,
        });
        let answer = state.answers.pop_front().unwrap_or_else(|| {
            Err(UpstreamError::Closed(
                "the script has no further answer".into(),
            ))
        });
        Box::pin(std::future::ready(
            answer.map(|response| response.map(|body| body_of(Full::new(body)))),
        ))
    }
}
