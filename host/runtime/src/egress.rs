//! Egress: the only way out of the sandbox.
//!
//! A request leaves only if the connector's grant covers its origin, method, path and form fields, and only to addresses
//! that were checked after resolving; the connection is made to exactly those, so a name that changes its mind between the
//! check and the connect gains nothing. The credential is added after the grant and the quota; the address check of the upstream
//! stands between it and the wire.
//!
//! The order, in [`Egress::send`]: read the body to its end → grant → forbidden headers → permit of the quota bucket →
//! credential → resolve, check, connect and send (`upstream`) → count and bound bytes and time (`body`).
//!
//! Never here: redirects, retries (a run decides those), or a log line with a header value in it.

mod address;
mod body;
mod credential;
mod grant;
mod origin;
mod quota;
mod traffic;
mod upstream;

pub use address::AddressPolicy;
pub use credential::{Credential, Secret};
pub use grant::{Denial, Grant};
pub use origin::{Origin, OriginError};
pub use quota::QuotaBook;
pub use traffic::{Traffic, TrafficCounts};
pub use upstream::{
    Answer, Lookup, NetworkError, NetworkOptions, NetworkUpstream, Upstream, UpstreamBody,
    UpstreamError, body_of,
};

use crate::limits::Spending;
use crate::manifest::Quota;
use crate::redaction::Redactor;
use crate::sandbox::Meter;
use crate::{Clock, Limits};
use body::GuardedBody;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use quota::Account;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

/// How long a request may wait for a permit before the guest is told to come back later.
const PERMIT_PATIENCE: Duration = Duration::from_secs(30);

/// Headers that a guest can neither set nor see, besides those of the connection itself.
const SECRET_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

fn is_forbidden(name: &HeaderName) -> bool {
    SECRET_HEADERS.contains(name) || DEFAULT_FORBIDDEN_HEADERS.contains(name)
}

/// One connector's way out.
pub struct Egress {
    grant: Grant,
    credential: Option<Credential>,
    quota: Quota,
    account: Arc<Account>,
    upstream: Arc<dyn Upstream>,
    limits: Limits,
    clock: Clock,
}

impl Egress {
    /// A way out for one connector. All connectors of the same origin and account share the budget kept in `book`.
    pub fn new(
        grant: Grant,
        credential: Option<Credential>,
        quota: Quota,
        book: &QuotaBook,
        upstream: Arc<dyn Upstream>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let user = credential.as_ref().map_or("", Credential::username);
        let account = book.account(grant.origin(), user);
        Self {
            grant,
            credential,
            quota,
            account,
            upstream,
            limits,
            clock,
        }
    }

    async fn send(
        &self,
        session: &EgressSession,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let deny = |denial: Denial| {
            session.traffic.denied(denial.to_string());
            Error::HttpRequestDenied
        };
        if session.calls.fetch_add(1, Ordering::Relaxed) >= self.limits.requests {
            return Err(deny(Denial::TooManyRequests(self.limits.requests)));
        }
        let (parts, body) = request.into_parts();
        // The guest writes this body, so its time is the guest's own: the call's limit ends it.
        let body = match Limited::new(body, self.limits.request_bytes)
            .collect()
            .await
        {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Err(Error::HttpRequestBodySize(Some(
                    self.limits.request_bytes as u64,
                )));
            }
        };
        let waiting = session
            .meter
            .wait(PERMIT_PATIENCE + self.limits.first_byte_timeout);
        let allowed = self
            .grant
            .check(&parts.method, &parts.uri, &parts.headers, &body)
            .map_err(deny)?;

        let bucket = quota::bucket(&self.quota, allowed.url.path());
        let permit = match bucket {
            None => None,
            Some(bucket) => {
                let before = self.clock.elapsed();
                let patience = Duration::from_millis(session.patience.load(Ordering::Relaxed));
                let permit = self.account.permit(bucket, &self.clock, patience).await;
                let waited = self.clock.elapsed().saturating_sub(before);
                session.set_patience(patience.saturating_sub(waited));
                session.traffic.waited(waited);
                match permit {
                    Ok(permit) => Some(permit),
                    Err(wait) => {
                        session.traffic.held_back();
                        return Ok(come_back_later(wait));
                    }
                }
            }
        };

        let mut request = http::Request::new(body.clone());
        *request.method_mut() = parts.method;
        *request.uri_mut() = match allowed.url.as_str().parse() {
            Ok(uri) => uri,
            Err(_) => return Err(Error::HttpRequestUriInvalid),
        };
        for (name, value) in &parts.headers {
            if !is_forbidden(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
        if let Some(credential) = &self.credential {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, credential.header());
        }
        session.traffic.sent(body.len() as u64);
        let answer = self
            .clock
            .timeout(self.limits.first_byte_timeout, self.upstream.send(request))
            .await;
        let response = match answer {
            None => return Err(Error::HttpResponseTimeout),
            Some(Err(error)) => {
                if let UpstreamError::Denied(sentence) = &error {
                    session.traffic.denied(sentence);
                }
                session.traffic.failed(error.to_string());
                return Err(error.into());
            }
            Some(Ok(response)) => response,
        };
        if let Some(bucket) = bucket {
            self.account.observe(
                bucket,
                &self.quota.headers,
                response.headers(),
                self.clock.elapsed(),
            );
        }
        drop(waiting);
        let (mut parts, body) = response.into_parts();
        let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        if parts.headers.iter().map(size).sum::<usize>() > self.limits.header_bytes {
            session
                .traffic
                .failed("the response has larger headers than allowed");
            return Err(Error::HttpResponseHeaderSectionSize(None));
        }
        for name in SECRET_HEADERS {
            parts.headers.remove(name);
        }
        let body = GuardedBody::new(
            body,
            permit,
            Arc::clone(&session.meter),
            Arc::clone(&session.traffic),
            self.clock.clone(),
            &self.limits,
        );
        Ok(http::Response::from_parts(parts, body.boxed_unsync()))
    }
}

/// The answer that egress gives itself when no permit comes free in time.
fn come_back_later(wait: Duration) -> http::Response<WasiBody> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let empty = Full::default().map_err(|never| match never {});
    let mut response = http::Response::new(empty.boxed_unsync());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// What one instance needs of egress: the connector's way out, and its own counters.
#[derive(Clone)]
pub struct EgressSession {
    egress: Option<Arc<Egress>>,
    pub(crate) meter: Arc<Meter>,
    traffic: Arc<Traffic>,
    calls: Arc<AtomicU32>,
    /// Milliseconds that the requests of one call may wait for permits, all together.
    patience: Arc<AtomicU64>,
}

impl EgressSession {
    /// A session through `egress`, counted in `traffic`.
    pub fn new(egress: Arc<Egress>, traffic: Arc<Traffic>) -> Self {
        Self {
            meter: Arc::new(Meter::new(egress.clock.clone())),
            egress: Some(egress),
            traffic,
            calls: Arc::default(),
            patience: Arc::new(AtomicU64::new(milliseconds(PERMIT_PATIENCE))),
        }
    }

    /// What the run spends of its limits.
    pub(crate) fn spending(&self) -> &Arc<Spending> {
        self.traffic.spending()
    }

    /// What keeps the connector's secrets out of texts.
    pub(crate) fn redactor(&self) -> &Arc<Redactor> {
        self.traffic.redactor()
    }

    /// Bounds the waits for permits from now on; what is waited is taken off.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.patience.store(
            milliseconds(patience.min(PERMIT_PATIENCE)),
            Ordering::Relaxed,
        );
    }

    /// A session in which every request is refused.
    pub(crate) fn closed(clock: Clock) -> Self {
        Self {
            egress: None,
            meter: Arc::new(Meter::new(clock)),
            traffic: Arc::default(),
            calls: Arc::default(),
            patience: Arc::default(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The seam to wasi-http: everything that a guest sends comes through here.
pub(crate) struct Hooks(EgressSession);

impl Hooks {
    pub(crate) fn new(session: EgressSession) -> Self {
        Self(session)
    }

    pub(crate) fn begin_call(&mut self) {
        self.0.calls.store(0, Ordering::Relaxed);
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<
                    (
                        http::Response<WasiBody>,
                        Box<dyn Future<Output = Result<(), Error>> + Send>,
                    ),
                    Error,
                >,
            > + Send,
    > {
        let session = self.0.clone();
        Box::new(async move {
            let Some(egress) = &session.egress else {
                return Err(Error::HttpRequestDenied);
            };
            let response = egress.send(&session, request).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, done))
        })
    }
}
