//! The network behind egress: resolve, check every address, connect to exactly those, send.
//!
//! [`Upstream`] is the seam: tests and the harness for plugin authors put a function behind it and need no sockets.

use super::address::AddressPolicy;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi_http::Error;

/// A response's body.
pub type UpstreamBody = UnsyncBoxBody<Bytes, UpstreamError>;

/// What [`Upstream::send`] returns.
pub type Answer =
    Pin<Box<dyn Future<Output = Result<http::Response<UpstreamBody>, UpstreamError>> + Send>>;

/// Whatever answers requests that have passed every check.
pub trait Upstream: Send + Sync {
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
    /// The certificate or handshake was refused.
    #[error("no secure connection to {0}: {1}")]
    Tls(String, String),
    /// The connection ended too early.
    #[error("the connection was lost: {0}")]
    Closed(String),
}

impl From<UpstreamError> for Error {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Denied(_) => Self::DestinationIpProhibited,
            UpstreamError::Name(_) => Self::DnsError {
                rcode: None,
                info_code: None,
            },
            UpstreamError::Connect(..) => Self::ConnectionRefused,
            UpstreamError::ConnectTimeout(_) => Self::ConnectionTimeout,
            UpstreamError::Tls(..) => Self::TlsCertificateError,
            UpstreamError::Closed(_) => Self::HttpResponseIncomplete,
        }
    }
}

/// Looks a name up.
pub type Lookup = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>
        + Send
        + Sync,
>;

/// What an operator can set about the network.
#[derive(Clone, Default)]
pub struct NetworkOptions {
    /// Addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// Certificate authorities besides the built-in ones, PEM.
    pub ca_pem: Vec<Vec<u8>>,
    /// Another way to look names up than the system's.
    pub lookup: Option<Lookup>,
    /// Resolve, connect and TLS handshake together.
    pub connect_timeout: Option<Duration>,
}

/// The network, through one client.
pub struct NetworkUpstream {
    client: reqwest::Client,
    addresses: AddressPolicy,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A CA file that holds no usable certificate.
    #[error("the certificate authority file holds no usable certificate ({0}); it must be PEM")]
    Ca(String),
    /// The client library refused.
    #[error("the HTTP client cannot start: {0}")]
    Client(String),
}

impl NetworkUpstream {
    /// Makes a client: HTTP/1.1, no redirects, no proxies, no retries.
    ///
    /// # Errors
    /// If a CA certificate cannot be read.
    pub fn new(options: NetworkOptions) -> Result<Self, NetworkError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for pem in &options.ca_pem {
            use rustls::pki_types::pem::PemObject;
            let mut found = false;
            for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| NetworkError::Ca(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| NetworkError::Ca(error.to_string()))?;
                found = true;
            }
            if !found {
                return Err(NetworkError::Ca("no certificate".into()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| NetworkError::Client(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let lookup = options.lookup.unwrap_or_else(|| Arc::new(system_lookup));
        let resolver = CheckedResolver {
            lookup,
            addresses: options.addresses.clone(),
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(60))
            .dns_resolver(resolver);
        if let Some(limit) = options.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| NetworkError::Client(error.to_string()))?,
            addresses: options.addresses,
        })
    }
}

impl Upstream for NetworkUpstream {
    fn send(&self, request: http::Request<Bytes>) -> Answer {
        let client = self.client.clone();
        let host = request.uri().host().unwrap_or_default().to_owned();
        // A literal is never resolved, so the resolver's check does not see it.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        let refused = literal
            .ok()
            .and_then(|address| refuse(&host, address, &self.addresses).err());
        Box::pin(async move {
            if let Some(refused) = refused {
                return Err(refused);
            }
            let explain = |error: &reqwest::Error| explain(error, &host);
            let request = reqwest::Request::try_from(request).map_err(|error| explain(&error))?;
            let response = client
                .execute(request)
                .await
                .map_err(|error| explain(&error))?;
            let response: http::Response<reqwest::Body> = response.into();
            Ok(response.map(|body| {
                body.map_err(|error| UpstreamError::Closed(innermost(&error)))
                    .boxed_unsync()
            }))
        })
    }
}

fn refuse(host: &str, address: IpAddr, addresses: &AddressPolicy) -> Result<(), UpstreamError> {
    addresses.check(address).map_err(|class| {
        UpstreamError::Denied(format!(
            "a request to {host} was refused: {address} is {class}; an operator can allow its network for this connector (`allow_networks` in the host's configuration)"
        ))
    })
}

struct CheckedResolver {
    lookup: Lookup,
    addresses: AddressPolicy,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = (self.lookup)(host.clone());
        let addresses = self.addresses.clone();
        Box::pin(async move {
            let found = found.await.unwrap_or_default();
            if found.is_empty() {
                return Err(UpstreamError::Name(host).into());
            }
            // One bad address among good ones is refused as a whole: which of them gets used is not ours to choose.
            for &address in &found {
                refuse(&host, address, &addresses)?;
            }
            let found: Addrs =
                Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(found)
        })
    }
}

fn system_lookup(
    host: String,
) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

fn explain(error: &reqwest::Error, host: &str) -> UpstreamError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<UpstreamError>() {
            return ours.clone();
        }
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return UpstreamError::Tls(host.into(), tls.to_string());
        }
        // rustls hides inside an I/O error that does not name it as its source.
        if let Some(io) = current.downcast_ref::<std::io::Error>()
            && let Some(tls) = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return UpstreamError::Tls(host.into(), tls.to_string());
        }
        cause = current.source();
    }
    if error.is_connect() && error.is_timeout() {
        UpstreamError::ConnectTimeout(host.into())
    } else if error.is_connect() {
        UpstreamError::Connect(host.into(), innermost(error))
    } else {
        UpstreamError::Closed(innermost(error))
    }
}

fn innermost(error: &dyn StdError) -> String {
    let mut innermost = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        innermost = current.to_string();
        cause = current.source();
    }
    innermost
}
