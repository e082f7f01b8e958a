//! The seam behind egress: whatever answers requests that have passed every check.
//!
//! `network` is the real one. Tests and the harness for plugin authors put a function here and need no sockets.

use super::Origin;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::pin::Pin;
use wasmtime_wasi_http::Error;

/// A response's body.
pub type UpstreamBody = UnsyncBoxBody<Bytes, UpstreamError>;

/// What [`Upstream::send`] returns.
pub type Answer =
    Pin<Box<dyn Future<Output = Result<http::Response<UpstreamBody>, UpstreamError>> + Send>>;

/// What [`Upstream::resolve`] returns.
pub type Resolution = Pin<Box<dyn Future<Output = Result<(), UpstreamError>> + Send>>;

/// Whatever answers requests that have passed every check.
pub trait Upstream: Send + Sync {
    /// Looks up where a request to `origin` would be connected to, and checks every address. A request may be sent only
    /// after this, and is connected to nothing but what has passed here. An upstream without a network has nothing to
    /// look up.
    fn resolve(&self, _origin: &Origin) -> Resolution {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sends one request. Dropping the future or the body gives the request up.
    fn send(&self, request: http::Request<Bytes>) -> Answer;
}

impl<F, A> Upstream for F
where
    F: Fn(http::Request<Bytes>) -> A + Send + Sync,
    A: Future<Output = Result<http::Response<UpstreamBody>, UpstreamError>> + Send + 'static,
{
    fn send(&self, request: http::Request<Bytes>) -> Answer {
        Box::pin(self(request))
    }
}

/// Turns any body into an [`UpstreamBody`]; its errors count as a lost connection.
pub fn body_of<B>(body: B) -> UpstreamBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    body.map_err(|error| UpstreamError::Closed(error.to_string()))
        .boxed_unsync()
}

/// How a request failed on the network. Sentences without header values or bodies.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The address policy refused.
    #[error("{0}")]
    Denied(String),
    /// The name has no address.
    #[error(
        "the name {0} could not be resolved; check the address and this machine's name service"
    )]
    Name(String),
    /// Nobody answers there.
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    /// The connection was not made in time.
    #[error(
        "no connection to {0} within the time-out; check the address, and firewalls on the way"
    )]
    ConnectTimeout(String),
    /// The proxy made no connection.
    #[error(
        "no connection through the proxy {0}: {1}; check the proxy, its user name and password, and what it lets through"
    )]
    Proxy(String, String),
    /// The certificate or handshake was refused.
    #[error("no secure connection to {0}: {1}")]
    Tls(String, String),
    /// The connection ended too early.
    #[error("the connection was lost: {0}")]
    Closed(String),
}

impl UpstreamError {
    /// Whether it is certain that the vendor has seen nothing of the request.
    pub(crate) fn is_unsent(&self) -> bool {
        !matches!(self, Self::Closed(_))
    }
}

impl From<UpstreamError> for Error {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Denied(_) => Self::DestinationIpProhibited,
            UpstreamError::Name(_) => Self::DnsError {
                rcode: None,
                info_code: None,
            },
            UpstreamError::Connect(..) | UpstreamError::Proxy(..) => Self::ConnectionRefused,
            UpstreamError::ConnectTimeout(_) => Self::ConnectionTimeout,
            UpstreamError::Tls(..) => Self::TlsCertificateError,
            UpstreamError::Closed(_) => Self::HttpResponseIncomplete,
        }
    }
}
