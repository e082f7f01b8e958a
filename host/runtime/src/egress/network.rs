//! The network behind egress: one HTTP client per connector, which connects only to addresses that were checked.
//!
//! HTTP/1.1; no redirects, no retries, and no proxy but the one that an operator named: the environment's variables are not
//! read. With a proxy it is the proxy that is looked up, checked and connected to; where the origin's name leads is then
//! the proxy's to decide. `http://` is for loopback and never goes through a proxy, which would read the credential.
//! A client certificate is shown to whoever asks for one in a handshake: the origin, and a proxy that is `https://`.

use super::Origin;
use super::address::AddressPolicy;
use super::credential::Credential;
use super::resolver::{Lookup, Resolver};
use super::upstream::{Answer, Resolution, Upstream, UpstreamError};
use bytes::Bytes;
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// How an operator allows an address, unless the options say it better.
const REMEDY: &str = "list its network among those that this connector may reach";

/// What an operator can set about the network.
#[derive(Clone, Default)]
pub struct NetworkOptions {
    /// Addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// How to allow another address, for the end of a sentence like "to allow it, list its network in ...".
    pub remedy: Option<String>,
    /// Certificate authorities besides the built-in ones, PEM.
    pub ca_pem: Vec<Vec<u8>>,
    /// What the client shows to servers that ask for a certificate.
    pub identity: Option<ClientIdentity>,
    /// The proxy for `https://` origins.
    pub proxy: Option<Proxy>,
    /// Another way to look names up than the system's.
    pub lookup: Option<Lookup>,
    /// For the look-up, and again for connect and TLS handshake together.
    pub connect_timeout: Option<Duration>,
    /// Connections that are kept open for the next request.
    pub idle_connections: Option<usize>,
}

/// A client certificate with its key. No `Debug`, like every secret.
#[derive(Clone)]
pub struct ClientIdentity {
    certificate_pem: Vec<u8>,
    key_pem: Zeroizing<Vec<u8>>,
}

impl ClientIdentity {
    /// Takes a certificate (with the chain up to its authority) and its private key, both PEM; the key not encrypted.
    pub fn new(certificate_pem: Vec<u8>, key_pem: Vec<u8>) -> Self {
        Self {
            certificate_pem,
            key_pem: Zeroizing::new(key_pem),
        }
    }
}

/// An HTTP proxy. No `Debug`: it may hold a secret.
#[derive(Clone)]
pub struct Proxy {
    url: Url,
    credential: Option<Credential>,
}

impl Proxy {
    /// A proxy at `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// If that is no such address; the message continues a sentence that begins with the setting's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be like http://proxy.example.com:3128, or https://";
        let url = Url::parse(text.trim()).map_err(|_| SHAPE)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(SHAPE);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or password; they have settings of their own");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("must be scheme, host and port only");
        }
        Ok(Self {
            url,
            credential: None,
        })
    }

    /// The same proxy, with what it asks its callers for (HTTP Basic).
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A CA file that holds no usable certificate.
    #[error("the certificate authority file holds no usable certificate ({0}); it must be PEM")]
    Ca(String),
    /// A client certificate that cannot be used.
    #[error(
        "client certificate and key cannot be used ({0}); both must be PEM, the key that of the certificate and not encrypted"
    )]
    Identity(String),
    /// The client library refused.
    #[error("the HTTP client cannot start: {0}")]
    Client(String),
}

/// The network, through one client.
pub struct NetworkUpstream {
    client: reqwest::Client,
    resolver: Resolver,
    proxy: Option<Proxy>,
    lookup_timeout: Option<Duration>,
}

impl NetworkUpstream {
    /// Makes a client.
    ///
    /// # Errors
    /// If a certificate cannot be read.
    pub fn new(options: NetworkOptions) -> Result<Self, NetworkError> {
        let remedy = options.remedy.as_deref().unwrap_or(REMEDY);
        let resolver = Resolver::new(options.lookup, options.addresses, remedy);
        let tls = tls(&options.ca_pem, options.identity.as_ref())?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(60))
            .dns_resolver(resolver.clone());
        if let Some(limit) = options.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        if let Some(connections) = options.idle_connections {
            builder = builder.pool_max_idle_per_host(connections);
        }
        if let Some(proxy) = &options.proxy {
            let mut https = reqwest::Proxy::https(proxy.url.as_str())
                .map_err(|error| NetworkError::Client(error.to_string()))?;
            if let Some(credential) = &proxy.credential {
                https = https.custom_http_auth(credential.header());
            }
            builder = builder.proxy(https);
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| NetworkError::Client(error.to_string()))?,
            resolver,
            proxy: options.proxy,
            lookup_timeout: options.connect_timeout,
        })
    }

    /// The proxy that a request goes through.
    fn proxy(&self, is_secure: bool) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| is_secure)
    }
}

impl Upstream for NetworkUpstream {
    fn resolve(&self, origin: &Origin) -> Resolution {
        let host = self
            .proxy(origin.is_secure())
            .map_or(origin.host(), Proxy::host)
            .to_owned();
        let (resolver, limit) = (self.resolver.clone(), self.lookup_timeout);
        Box::pin(async move {
            let pinned = resolver.pin(&host);
            match limit {
                None => pinned.await,
                Some(limit) => match tokio::time::timeout(limit, pinned).await {
                    Ok(pinned) => pinned,
                    Err(_) => Err(UpstreamError::ConnectTimeout(host.clone())),
                },
            }
        })
    }

    fn send(&self, request: http::Request<Bytes>) -> Answer {
        let client = self.client.clone();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let is_secure = request.uri().scheme_str() == Some("https");
        let proxy = self
            .proxy(is_secure)
            .map(|proxy| (proxy.host().to_owned(), proxy.url.origin()));
        // The client asks the resolver only for names, so an address literal must be looked for here.
        let checked = match &proxy {
            Some((proxy, _)) => self.resolver.pinned(proxy),
            None => self.resolver.pinned(&host),
        };
        let proxy = proxy.map(|(_, origin)| origin.ascii_serialization());
        Box::pin(async move {
            checked?;
            let explain = |error: &reqwest::Error| explain(error, &host, proxy.as_deref());
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

fn tls(
    authorities: &[Vec<u8>],
    identity: Option<&ClientIdentity>,
) -> Result<rustls::ClientConfig, NetworkError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for pem in authorities {
        let certificates =
            certificates(pem).map_err(|error| NetworkError::Ca(error.to_string()))?;
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| NetworkError::Ca(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NetworkError::Client(error.to_string()))?
        .with_root_certificates(roots);
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&identity.certificate_pem).map_err(NetworkError::Identity)?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|_| NetworkError::Identity("no private key".into()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| NetworkError::Identity(error.to_string()))
}

/// The certificates of a PEM text; at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate".into()),
        Ok(all) => Ok(all),
        Err(error) => Err(error.to_string()),
    }
}

fn explain(error: &reqwest::Error, host: &str, proxy: Option<&str>) -> UpstreamError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<UpstreamError>() {
            return ours.clone();
        }
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return tls_failure(error, host, tls);
        }
        // rustls hides inside an I/O error that does not name it as its source.
        if let Some(io) = current.downcast_ref::<std::io::Error>()
            && let Some(tls) = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return tls_failure(error, host, tls);
        }
        cause = current.source();
    }
    if error.is_connect() && error.is_timeout() {
        UpstreamError::ConnectTimeout(proxy.unwrap_or(host).into())
    } else if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
        UpstreamError::Proxy(proxy.into(), innermost(error))
    } else if error.is_connect() {
        UpstreamError::Connect(host.into(), innermost(error))
    } else {
        UpstreamError::Closed(innermost(error))
    }
}

fn tls_failure(error: &reqwest::Error, host: &str, tls: &rustls::Error) -> UpstreamError {
    // With TLS 1.3 a server refuses a client's certificate after the handshake, when a request may already be under way.
    if error.is_connect() || matches!(tls, rustls::Error::AlertReceived(_)) {
        UpstreamError::Tls(host.into(), tls.to_string())
    } else {
        UpstreamError::Closed(tls.to_string())
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

#[cfg(test)]
mod tests;
