//! A destination in the network: one request after the other, by the way of egress.
//!
//! Every address is looked up and checked before a connection is made to exactly that one, private ones only if the operator
//! has listed them for this destination; no redirect is followed. Whoever waits for an answer, or for the next attempt, is
//! told at once when the host is asked to stop. Its name and host are shown, its path and credential never.

use super::{Surroundings, Way};
use crate::consumers::ConsumerError;
use bytes::Bytes;
use connector_runtime::Clock;
use connector_runtime::egress::{Origin, Upstream, UpstreamError};
use connector_runtime::redaction::Redactor;
use connector_runtime::runs::Stop;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request};
use http_body_util::{BodyExt as _, Limited};
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// For connecting, sending, and the whole answer, together.
const PATIENCE: Duration = Duration::from_secs(60);
/// A destination that wants to be left alone for longer is asked again all the same.
const LONGEST_REST: Duration = Duration::from_secs(3600);
const USER_AGENT: &str = concat!("connector-host/", env!("CARGO_PKG_VERSION"));

/// See the module. No `Debug`: its address may hold a token.
pub(crate) struct Destination {
    forwarder: String,
    url: Url,
    origin: Origin,
    upstream: Arc<dyn Upstream>,
    clock: Clock,
    stop: Stop,
    runtime: Handle,
    /// Held, so that it stays known to whoever redacts.
    _redactor: Arc<Redactor>,
}

/// An answer.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty if it was not to be read.
    pub(crate) body: Bytes,
}

impl Destination {
    /// The destination of a forwarder, reached through `upstream`.
    pub(crate) fn new(
        forwarder: &str,
        way: &Way,
        upstream: Arc<dyn Upstream>,
        surroundings: &Surroundings,
    ) -> Self {
        Self {
            forwarder: forwarder.to_owned(),
            url: way.url.clone(),
            origin: way.origin.clone(),
            upstream,
            clock: surroundings.clock.clone(),
            stop: surroundings.stop.clone(),
            runtime: surroundings.runtime.clone(),
            _redactor: Arc::clone(&way.redactor),
        }
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        self.origin.host()
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.clock.since_epoch().as_secs()
    }

    /// Begins a request to the address itself.
    pub(crate) fn request(&self, method: Method) -> request::Builder {
        self.request_to(method, &self.url)
    }

    /// Begins a request to a path below the address.
    pub(crate) fn request_below(
        &self,
        method: Method,
        path: &str,
        query: &str,
    ) -> request::Builder {
        let mut url = self.url.clone();
        let whole = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        self.request_to(method, &url)
    }

    fn request_to(&self, method: Method, url: &Url) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::USER_AGENT, USER_AGENT)
    }

    /// Makes one request, and reads up to `most` bytes of its answer; 0 reads nothing.
    ///
    /// # Errors
    /// If no answer comes, or it is longer; or if the host is to stop.
    pub(crate) fn exchange(
        &self,
        request: http::Result<Request<Bytes>>,
        most: usize,
    ) -> Result<Answered, ConsumerError> {
        self.runtime.block_on(self.exchanged(request, most))
    }

    /// As [`Destination::exchange`], for those who are asynchronous.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn exchanged(
        &self,
        request: http::Result<Request<Bytes>>,
        most: usize,
    ) -> Result<Answered, ConsumerError> {
        let request = request.map_err(|error| {
            self.failed(&format!("no request can be made of it: {error}"), None)
        })?;
        let exchange = async {
            self.upstream.resolve(&self.origin).await?;
            let (parts, body) = self.upstream.send(request).await?.into_parts();
            let body = match most {
                0 => Bytes::new(),
                most => Limited::new(body, most)
                    .collect()
                    .await
                    .map_err(|error| UpstreamError::Closed(error.to_string()))?
                    .to_bytes(),
            };
            Ok::<_, UpstreamError>(Answered {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        let answered = self.clock.timeout(PATIENCE, exchange);
        match self.unless_stopped(answered).await? {
            None => {
                let text = format!("it did not answer within {} s", PATIENCE.as_secs());
                Err(self.failed(&text, None))
            }
            Some(Err(error)) => Err(self.failed(&error.to_string(), None)),
            Some(Ok(answered)) => Ok(answered),
        }
    }

    /// Looks its name up, and checks its addresses. Nothing is sent.
    ///
    /// # Errors
    /// If that does not succeed.
    pub(crate) async fn resolve(&self) -> Result<(), ConsumerError> {
        let resolved = self.upstream.resolve(&self.origin).await;
        resolved.map_err(|error| self.failed(&error.to_string(), None))
    }

    /// Waits before another attempt.
    ///
    /// # Errors
    /// If the host is to stop.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), ConsumerError> {
        let sleep = self.clock.sleep(pause);
        self.runtime.block_on(self.unless_stopped(sleep))
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, ConsumerError> {
        tokio::select! {
            biased;
            () = self.stop.requested() => Err(ConsumerError::Stopped),
            done = work => Ok(done),
        }
    }

    /// An error that names forwarder and host.
    pub(crate) fn failed(&self, what: &str, retry_after: Option<Duration>) -> ConsumerError {
        ConsumerError::Destination {
            message: format!("forwarder {} ({}): {what}", self.forwarder, self.host()),
            retry_after,
        }
    }

    /// What an answer means that took nothing.
    pub(crate) fn refused(&self, answered: &Answered) -> ConsumerError {
        let status = answered.status.as_u16();
        let text = match answered.status {
            StatusCode::UNAUTHORIZED => {
                "it refused the login (HTTP 401); check the credential of this forwarder in host.toml, and whether it has expired".into()
            }
            StatusCode::FORBIDDEN => {
                "the credential may not do this (HTTP 403); give its account the right to write there".into()
            }
            StatusCode::NOT_FOUND => {
                "there is nothing at this address (HTTP 404); check `url`".into()
            }
            StatusCode::TOO_MANY_REQUESTS => {
                "it takes no more at present (HTTP 429); it is asked again by itself".into()
            }
            status if status.is_redirection() => format!(
                "it answered {}; redirects are not followed, so name the address that it leads to",
                status.as_u16()
            ),
            _ => format!("it answered {status}"),
        };
        self.failed(&text, self.rest_of(&answered.headers))
    }

    /// How long an answer asks to be left alone.
    fn rest_of(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let seconds = text.parse().ok().or_else(|| {
            let moment = jiff::fmt::rfc2822::parse(text).ok()?;
            let moment = u64::try_from(moment.timestamp().as_second()).ok()?;
            Some(moment.saturating_sub(self.seconds()))
        })?;
        Some(Duration::from_secs(seconds).min(LONGEST_REST))
    }
}

/// A body, compressed if that is wanted, and what to say of it.
pub(crate) fn packed(text: Vec<u8>, gzip: bool) -> (Bytes, Option<HeaderValue>) {
    if gzip {
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 6), Compression::fast());
        // Into memory, which takes everything; if it should not, the text goes as it is.
        if let Ok(packed) = encoder.write_all(&text).and_then(|()| encoder.finish()) {
            return (packed.into(), Some(HeaderValue::from_static("gzip")));
        }
    }
    (text.into(), None)
}
