//! Where `serve` listens, and whether it may.

use super::SOCKET;
use super::listener::Bound;
use crate::arguments::Serve;
use crate::failure::Failure;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An address that may be listened on, with what stands before it.
pub(crate) struct Listening {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    behind_proxy: bool,
}

impl Listening {
    /// Checks what was asked for: an address that others can reach needs TLS, or a proxy that has it.
    ///
    /// # Errors
    /// With what would be needed, or what is wrong with the certificate.
    pub(crate) fn check(serve: &Serve) -> Result<Self, Failure> {
        let tls = match (&serve.tls_certificate, &serve.tls_key) {
            (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
            _ => None,
        };
        let address = serve.listen;
        if !address.ip().is_loopback() && tls.is_none() && !serve.behind_proxy {
            return Err(Failure::Usage(format!(
                "--listen {address}: others can reach this address, so it needs TLS (--tls-certificate and --tls-key), or --behind-proxy if a proxy in front of it has that"
            )));
        }
        Ok(Self {
            address,
            tls,
            behind_proxy: serve.behind_proxy,
        })
    }

    /// Whether a proxy stands before it.
    pub(crate) fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Whether browsers reach it over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some() || self.behind_proxy
    }

    /// Begins to listen, also on the socket in the data directory.
    ///
    /// # Errors
    /// If either cannot be listened on.
    pub(super) async fn bind(self, data: &Path) -> Result<Bound, Failure> {
        let tcp = TcpListener::bind(self.address).await.map_err(|error| {
            Failure::Serving(format!(
                "--listen {}: cannot be listened on ({error}); choose another address, or port 0 for any that is free",
                self.address
            ))
        })?;
        let address = tcp.local_addr().unwrap_or(self.address);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(Bound {
            tcp,
            tls: self.tls,
            behind_proxy: self.behind_proxy,
            socket: super::listener::Socket::bind(&data.join(SOCKET))?,
            url: format!("{scheme}://{address}"),
        })
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let wrong = |file: &Path, error: &dyn std::fmt::Display| {
        Failure::Usage(format!(
            "{}: {error}. It must be a PEM file",
            file.display()
        ))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, secret)
        })
        .map_err(|error| wrong(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(listen: &str) -> Serve {
        Serve {
            listen: listen.parse().unwrap(),
            tls_certificate: None,
            tls_key: None,
            behind_proxy: false,
        }
    }

    #[test]
    fn an_address_that_others_can_reach_needs_tls_or_a_declared_proxy() {
        for local in ["127.0.0.1:0", "[::1]:0", "127.9.9.9:1"] {
            assert!(Listening::check(&serve(local)).is_ok(), "{local}");
        }
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:1"] {
            let refused = Listening::check(&serve(open)).err().unwrap().to_string();
            assert!(refused.contains("--tls-certificate"), "{refused}");
            let mut declared = serve(open);
            declared.behind_proxy = true;
            assert!(Listening::check(&declared).unwrap().is_secure());
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["host.example.test".into()]).unwrap();
        let (certificate, key) = (
            directory.path().join("c.pem"),
            directory.path().join("k.pem"),
        );
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut asked = serve("0.0.0.0:0");
        asked.tls_certificate = Some(certificate.clone());
        asked.tls_key = Some(key);
        assert!(Listening::check(&asked).unwrap().is_secure());
        asked.tls_key = Some(certificate);
        let refused = Listening::check(&asked).err().unwrap().to_string();
        assert!(refused.contains("c.pem"), "{refused}");
    }
}
