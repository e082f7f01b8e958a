//! Connections: taken from the TCP address and from the socket in the data directory, and answered by one router.

use crate::access::{Local, Peer};
use crate::failure::Failure;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use connector_runtime::runs::Stop;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::IpAddr;
#[cfg(not(unix))]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 1_024;
/// For a TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(15);
/// After a connection could not be taken: the process has no room for another.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket in the data directory; its file is removed with it.
pub(super) struct Socket {
    #[cfg(unix)]
    listener: tokio::net::UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes it, for its owner alone. What lies there is what a process left that owned the directory before.
    #[cfg(unix)]
    pub(super) fn bind(path: &Path) -> Result<Self, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let wrong = |error: std::io::Error| {
            Failure::Serving(format!(
                "{}: commands cannot be taken there ({error}); a shorter --data-dir may help",
                path.display()
            ))
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
            _ => {}
        }
        // The directory is its owner's alone, so nobody can come in between.
        let listener = tokio::net::UnixListener::bind(path).map_err(wrong)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(wrong)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn bind(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What is listened on.
pub(super) struct Bound {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) socket: Socket,
    pub(super) behind_proxy: bool,
    /// Like `https://127.0.0.1:8443`.
    pub(super) url: String,
}

impl Bound {
    /// Answers until `stop` is asked for, and then what is being answered.
    pub(super) async fn serve(self, router: Router, stop: Stop) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = hyper_util::server::graceful::GracefulShutdown::new();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                break;
            };
            #[cfg(unix)]
            let local = self.socket.listener.accept();
            #[cfg(not(unix))]
            let local =
                std::future::pending::<std::io::Result<(tokio::net::TcpStream, SocketAddr)>>();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                taken = local => match taken {
                    Ok((stream, _)) => {
                        let router = router.clone();
                        let connection = answer(stream, router, |request| {
                            request.extensions_mut().insert(Local);
                        });
                        let connection = connections.watch(connection);
                        tokio::spawn(async move {
                            // A connection that breaks is its owner's business.
                            let _ = connection.await;
                            drop(permit);
                        });
                    }
                    Err(error) => lost(&error).await,
                },
                taken = self.tcp.accept() => match taken {
                    Ok((stream, peer)) => {
                        let behind_proxy = self.behind_proxy;
                        let mark = move |request: &mut Request<Incoming>| {
                            let named = behind_proxy.then(|| forwarded_for(request)).flatten();
                            let peer = named.unwrap_or(peer.ip());
                            request.extensions_mut().insert(Peer(peer));
                        };
                        let (router, watcher) = (router.clone(), connections.watcher());
                        let tls = self.tls.clone();
                        tokio::spawn(async move {
                            match tls {
                                None => {
                                    let _ = watcher.watch(answer(stream, router, mark)).await;
                                }
                                Some(tls) => {
                                    let handshake = tls.accept(stream);
                                    if let Ok(Ok(stream)) =
                                        tokio::time::timeout(PATIENCE, handshake).await
                                    {
                                        let _ = watcher.watch(answer(stream, router, mark)).await;
                                    }
                                }
                            }
                            drop(permit);
                        });
                    }
                    Err(error) => lost(&error).await,
                },
            }
        }
        connections.shutdown().await;
    }
}

/// The address that the proxy in front of this host names: the last one, since whoever asks can write what stands before it.
fn forwarded_for(request: &Request<Incoming>) -> Option<IpAddr> {
    let named = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .next_back()?;
    named.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

async fn lost(error: &std::io::Error) {
    tracing::warn!("a connection could not be taken: {error}");
    tokio::time::sleep(PAUSE).await;
}

/// One connection, request by request.
fn answer<S>(
    stream: S,
    router: Router,
    mark: impl Fn(&mut Request<Incoming>) + Send + Sync + 'static,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        mark(&mut request);
        router.clone().oneshot(request.map(Body::new))
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
}
