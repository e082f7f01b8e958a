//! Egress: the only way out of the sandbox.
//!
//! A request leaves only if the connector's grant covers its origin, method, path and form fields, and only to addresses
//! that were checked after resolving; the connection is made to exactly those, so a name that changes its mind between the
//! check and the connect gains nothing. The credential is added last, after everything that can refuse.
//!
//! The order stands in [`Egress::send`], one step under the other.
//!
//! Never here: redirects, retries (a run decides those), or a log line with a header value in it.

mod address;
mod body;
mod credential;
mod form;
mod grant;
mod headers;
mod network;
mod origin;
mod quota;
mod resolver;
mod session;
mod target;
mod traffic;
mod upstream;

#[cfg(test)]
mod tests;

pub use address::AddressPolicy;
pub use credential::{Credential, Secret};
pub use grant::{Denial, Grant};
pub use network::{ClientIdentity, NetworkError, NetworkOptions, NetworkUpstream, Proxy};
pub use origin::{Origin, OriginError};
pub use quota::{BucketState, Declared, QuotaBook, QuotaStore, Saving, StoredBucket};
pub use resolver::Lookup;
pub use session::EgressSession;
pub(crate) use session::Hooks;
pub use traffic::{Traffic, TrafficCounts};
pub use upstream::{Answer, Resolution, Upstream, UpstreamBody, UpstreamError, body_of};

use crate::limits::Limit;
use crate::manifest::Quota;
use crate::{Clock, Limits};
use body::GuardedBody;
use bytes::Bytes;
use form::Form;
use http::{HeaderValue, StatusCode, header, request, response};
use http_body_util::{BodyExt, Full};
use quota::{Account, Permit, Plan};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;
use wasmtime_wasi_http::{Error, WasiBody};

/// How long a request may wait for a permit before the guest is told to come back later.
const PERMIT_PATIENCE: Duration = Duration::from_secs(30);

/// One connector's way out.
pub struct Egress {
    grant: Grant,
    credential: Option<Credential>,
    plan: Arc<Plan>,
    account: Arc<Account>,
    upstream: Arc<dyn Upstream>,
    /// Places for requests that are under way at the same time, whatever the quota says.
    places: Arc<Semaphore>,
    limits: Limits,
    clock: Clock,
}

/// What a request holds until its response has ended.
pub(crate) struct Hold {
    _place: OwnedSemaphorePermit,
    permit: Permit,
}

impl Hold {
    /// Nothing was sent, so nothing counts.
    fn give_back(self) {
        self.permit.give_back();
    }
}

impl Egress {
    /// A way out for one connector. All connectors of the same origin and account share the budget kept in `book`.
    pub fn new(
        grant: Grant,
        credential: Option<Credential>,
        quota: &Quota,
        book: &QuotaBook,
        upstream: Arc<dyn Upstream>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let user = credential.as_ref().map_or("", Credential::username);
        let account = book.account(grant.origin(), user, &clock);
        let plan = account.declare(Plan::new(quota, grant.rules(), limits.uncovered_calls));
        Self {
            grant,
            credential,
            plan,
            account,
            upstream,
            places: Arc::new(Semaphore::new(limits.connections as usize)),
            limits,
            clock,
        }
    }

    /// What is known of the vendor's quota.
    pub fn quota(&self) -> Vec<BucketState> {
        self.account.state(&self.plan)
    }

    async fn send(
        &self,
        session: &EgressSession,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let deny = |denial: Denial| session.deny(&denial);
        session.count(self.limits.requests).map_err(deny)?;
        let (parts, body) = request.into_parts();
        let url = target::normalise(&parts.uri).map_err(deny)?;
        // The guest writes this body, so its time is the guest's own: the call's limit ends it.
        let most = self.limits.request_bytes * self.limits.connections as usize;
        // Until the answer is here: then the place does, of which there are so many.
        let mut held = session.hold_body(most);
        let body = form::read_body(body, self.limits.request_bytes, &mut held).await?;
        let body = body.map_err(deny)?;
        let waiting = session
            .meter
            .wait(PERMIT_PATIENCE + self.limits.first_byte_timeout);
        let form = Form::of(&parts.method, &url, &parts.headers, &body).map_err(deny)?;
        self.grant.check(&parts.method, &url, &form).map_err(deny)?;
        headers::check(&parts.headers).map_err(deny)?;
        let mut hold = match self.permit(session, &url).await {
            Ok(hold) => hold,
            Err(wait) => return Ok(come_back_later(wait)),
        };
        let begun = self.clock.elapsed();
        // Resolves, and checks every address; the upstream connects to exactly those.
        let resolved = self.in_time(begun, self.upstream.resolve(self.grant.origin()));
        if let Err(failure) = resolved.await {
            hold.give_back();
            return Err(failure.note(session));
        }
        let spending = session.spending();
        spending.note(Limit::HeaderBytes, headers::size(&parts.headers) as u64);
        spending.note(Limit::RequestBytes, body.len() as u64);
        let request = self.outgoing(parts, &url, body)?;
        session.traffic.sent(request.body().len() as u64);
        let response = match self.in_time(begun, self.upstream.send(request)).await {
            Ok(response) => response,
            Err(failure) => {
                if failure.is_unsent() {
                    hold.give_back();
                }
                return Err(failure.note(session));
            }
        };
        let (mut parts, body) = response.into_parts();
        self.take_in(&parts, &mut hold).await;
        drop(waiting);
        let spending = session.spending();
        spending.note_time(
            Limit::FirstByteTime,
            self.clock.elapsed().saturating_sub(begun),
        );
        let size = headers::size(&parts.headers);
        spending.note(Limit::HeaderBytes, size as u64);
        if size > self.limits.header_bytes {
            session
                .traffic
                .failed("the response has larger headers than allowed (`headers_kib`)");
            return Err(Error::HttpResponseHeaderSectionSize(None));
        }
        headers::strip(&mut parts.headers);
        // Counts and bounds what is left: bytes, silence and time.
        let body = GuardedBody::new(
            body,
            hold,
            Arc::clone(&session.meter),
            Arc::clone(&session.traffic),
            self.clock.clone(),
            &self.limits,
        );
        Ok(http::Response::from_parts(parts, body.boxed_unsync()))
    }

    /// Takes a place and a permit.
    ///
    /// # Errors
    /// With the time after which it is worth asking again.
    async fn permit(&self, session: &EgressSession, url: &Url) -> Result<Hold, Duration> {
        let before = self.clock.elapsed();
        let patience = session.patience();
        let left = || patience.saturating_sub(self.clock.elapsed().saturating_sub(before));
        let result = async {
            let place = self.place(session, patience).await.ok_or(patience)?;
            let taken =
                (self.limits.connections as usize).saturating_sub(self.places.available_permits());
            session.spending().note(Limit::Connections, taken as u64);
            let waiting = |time, reason: &str| session.tell(time, reason);
            let permit = self
                .account
                .permit(&self.plan, url.path(), left(), &waiting)
                .await?;
            Ok(Hold {
                _place: place,
                permit,
            })
        }
        .await;
        session.set_patience(left());
        session.traffic.waited(patience - left());
        if result.is_err() {
            session.traffic.held_back();
        }
        result
    }

    /// Takes a place, waiting for at most `patience`.
    async fn place(
        &self,
        session: &EgressSession,
        patience: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        session.tell(
            None,
            "As many requests as this connector may have at the same time are under way.",
        );
        let place = Arc::clone(&self.places).acquire_owned();
        self.clock.timeout(patience, place).await?.ok()
    }

    /// Runs a step on the way to the response's first byte, for which all steps since `begun` have one time together.
    async fn in_time<T>(
        &self,
        begun: Duration,
        step: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, SendFailure> {
        let spent = self.clock.elapsed().saturating_sub(begun);
        let left = self.limits.first_byte_timeout.saturating_sub(spent);
        match self.clock.timeout(left, step).await {
            None => Err(SendFailure::Time(self.limits.first_byte_timeout)),
            Some(result) => result.map_err(SendFailure::Network),
        }
    }

    /// The request as it leaves: what was checked, and the credential.
    fn outgoing(
        &self,
        parts: request::Parts,
        url: &Url,
        body: Bytes,
    ) -> Result<http::Request<Bytes>, Error> {
        let mut request = http::Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        *request.headers_mut() = headers::outgoing(&parts.headers);
        if let Some(credential) = &self.credential {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, credential.header());
        }
        Ok(request)
    }

    /// Takes in what the vendor reports about its quota, and waits until the call is counted durably.
    async fn take_in(&self, answer: &response::Parts, hold: &mut Hold) {
        let permit = &mut hold.permit;
        self.account.observe(answer.status, &answer.headers, permit);
        permit.counted().await;
    }
}

/// Why there is no response.
enum SendFailure {
    /// None came within this time.
    Time(Duration),
    Network(UpstreamError),
}

impl SendFailure {
    /// Whether it is certain that the vendor has seen nothing of the request.
    fn is_unsent(&self) -> bool {
        matches!(self, Self::Network(error) if error.is_unsent())
    }

    /// Notes it in the session's traffic, and says it in the guest's terms.
    fn note(self, session: &EgressSession) -> Error {
        match self {
            Self::Time(limit) => {
                let sentence = format!(
                    "no answer within {} s; a time-out (`first_byte_seconds`) that is too short for this vendor can be raised",
                    limit.as_secs()
                );
                session.traffic.failed(&sentence);
                Error::HttpResponseTimeout
            }
            Self::Network(error) => {
                if let UpstreamError::Denied(sentence) = &error {
                    session.traffic.denied(sentence);
                }
                session.traffic.failed(error.to_string());
                error.into()
            }
        }
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
