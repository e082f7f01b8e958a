//! Loopback: servers for what only sockets show, like a TLS server that asks for a client certificate, and an HTTP proxy
//! that counts. Each has a port of its own and ends with the runtime that it was started on.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, copy_bidirectional,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What can go wrong while a server is put together.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A certificate authority.
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// If the certificate cannot be made.
    pub fn new() -> Result<Self, Failure> {
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        own.distinguished_name
            .push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate()?;
        Ok(Self {
            pem: own.self_signed(&key)?.pem(),
            issuer: Issuer::new(own, key),
        })
    }

    /// A certificate for these names, good for servers and clients, and its key; both PEM.
    ///
    /// # Errors
    /// If a name is none.
    pub fn sign(&self, names: &[&str]) -> Result<(String, String), Failure> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut leaf = CertificateParams::new(names)?;
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        Ok((
            leaf.signed_by(&key, &self.issuer)?.pem(),
            key.serialize_pem(),
        ))
    }
}

/// What a server has seen: the head of every request, in order.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, head: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(head);
    }

    /// All heads so far.
    pub fn heads(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Starts an HTTPS server for `names` that answers every request with `body`, as JSON. With `clients`, only callers with a
/// certificate of that authority get an answer. Returns its port.
///
/// # Errors
/// If it cannot listen, or a certificate cannot be made.
pub async fn serve_tls(
    authority: &Authority,
    names: &[&str],
    clients: Option<&Authority>,
    body: &str,
) -> Result<(u16, Seen), Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(clients.pem.as_bytes())?)?;
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let (certificate, key) = authority.sign(names)?;
    let config = builder.with_single_cert(
        vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
        PrivateKeyDer::from_pem_slice(key.as_bytes())?,
    )?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let seen = Seen::default();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let noting = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen, answer) = (acceptor.clone(), noting.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut stream = BufReader::new(stream);
                while let Some(head) = head(&mut stream).await {
                    seen.note(head);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((port, seen))
}

/// Starts an HTTP proxy that connects every caller to `target` on loopback, whatever it asks for. With `authorization`, only
/// callers that send it. Returns its port.
///
/// # Errors
/// If it cannot listen.
pub async fn proxy_to(target: u16, authorization: Option<&str>) -> Result<(u16, Seen), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let seen = Seen::default();
    let noting = seen.clone();
    let wanted = authorization.map(|value| format!("proxy-authorization: {value}").to_lowercase());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, wanted) = (noting.clone(), wanted.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let Some(head) = head(&mut stream).await else {
                    return;
                };
                let lines = head.to_lowercase();
                seen.note(head);
                let is_welcome =
                    wanted.is_none_or(|wanted| lines.lines().any(|line| line == wanted));
                if !is_welcome {
                    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
                    // The caller may be gone.
                    let _ = stream.write_all(refusal.as_bytes()).await;
                    return;
                }
                let Ok(mut onward) = TcpStream::connect(("127.0.0.1", target)).await else {
                    return;
                };
                if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
                    let _ = copy_bidirectional(&mut stream, &mut onward).await;
                }
            });
        }
    });
    Ok((port, seen))
}

/// The next request's head; `None` when there is none.
async fn head(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match stream.read_line(&mut head).await {
            Ok(bytes) if bytes > 0 => {}
            _ => return None,
        }
    }
    Some(head)
}
