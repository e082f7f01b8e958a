//! One instance's share of egress: its counters and its patience, and the seam through which wasi-http sends.

use super::{Denial, Egress, PERMIT_PATIENCE, Traffic, headers};
use crate::Clock;
use crate::clock::milliseconds;
use crate::limits::{Limit, Spending};
use crate::redaction::Redactor;
use crate::sandbox::Meter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tracing::{Instrument as _, Span, field, info_span};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

/// What a guest may write to a request's body at once. Two such pieces wait in every body that nobody reads yet, and a body
/// can be had for every handle.
const UNREAD_CHUNK: usize = 16 * 1024;

/// Of a request's address, in a trace.
const SHOWN_BYTES: usize = 200;

/// What one instance needs of egress: the connector's way out, and its own counters.
#[derive(Clone)]
pub struct EgressSession {
    egress: Option<Arc<Egress>>,
    pub(crate) meter: Arc<Meter>,
    pub(super) traffic: Arc<Traffic>,
    calls: Arc<AtomicU32>,
    /// Bytes of the bodies of requests that have no answer yet, those of earlier calls among them.
    held: Arc<AtomicUsize>,
    /// Milliseconds that the requests of one call may wait for permits, all together.
    patience: Arc<AtomicU64>,
    waiting: Option<Arc<WaitListener>>,
}

/// Hears of a wait for a permit before it begins: how long (zero if that depends on another request), and why.
type WaitListener = dyn Fn(Duration, &str) + Send + Sync;

impl EgressSession {
    /// A session through `egress`, counted in `traffic`.
    pub fn new(egress: Arc<Egress>, traffic: Arc<Traffic>) -> Self {
        Self {
            meter: Arc::new(Meter::new(egress.clock.clone())),
            egress: Some(egress),
            traffic,
            calls: Arc::default(),
            held: Arc::default(),
            patience: Arc::new(AtomicU64::new(milliseconds(PERMIT_PATIENCE))),
            waiting: None,
        }
    }

    /// The same session, with someone who hears of every wait for a permit before it begins.
    pub(crate) fn heard_by(
        mut self,
        listener: impl Fn(Duration, &str) + Send + Sync + 'static,
    ) -> Self {
        self.waiting = Some(Arc::new(listener));
        self
    }

    pub(super) fn tell(&self, time: Option<Duration>, reason: &str) {
        if let Some(listener) = &self.waiting {
            listener(time.unwrap_or_default(), reason);
        }
    }

    /// Counts a request of the present call.
    pub(super) fn count(&self, most: u32) -> Result<(), Denial> {
        match self.calls.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(()),
            false => Err(Denial::TooManyRequests(most)),
        }
    }

    /// Room for the body of one more request, empty at first; all together hold `most` bytes.
    pub(super) fn hold_body(&self, most: usize) -> HeldBodies {
        HeldBodies {
            all: Arc::clone(&self.held),
            own: 0,
            most,
        }
    }

    /// Notes a refusal, and says it in the guest's terms.
    pub(super) fn deny(&self, denial: &Denial) -> Error {
        self.traffic.denied(denial.to_string());
        match denial {
            Denial::BodySize(most) => Error::HttpRequestBodySize(Some(*most as u64)),
            _ => Error::HttpRequestDenied,
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

    /// What is left to wait.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    /// A session in which every request is refused.
    pub(crate) fn closed(clock: Clock) -> Self {
        Self {
            egress: None,
            meter: Arc::new(Meter::new(clock)),
            traffic: Arc::default(),
            calls: Arc::default(),
            held: Arc::default(),
            patience: Arc::default(),
            waiting: None,
        }
    }
}

/// A request's share of what the bodies of an instance's requests may hold; given back when it is dropped.
pub(super) struct HeldBodies {
    all: Arc<AtomicUsize>,
    own: usize,
    most: usize,
}

impl HeldBodies {
    /// Takes room for more.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Denial> {
        let add = |all: usize| all.checked_add(bytes).filter(|&all| all <= self.most);
        self.all
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .map_err(|_| Denial::HeldBodies(self.most))?;
        self.own += bytes;
        Ok(())
    }
}

impl Drop for HeldBodies {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// What a trace shows of a request, up to the head of its answer: where it goes, without query and headers. All of it is the
/// guest's, so it is redacted.
fn call_span(session: &EgressSession, request: &http::Request<WasiBody>) -> Span {
    let span = info_span!(
        "call",
        otel.kind = "client",
        http.request.method = field::Empty,
        server.address = field::Empty,
        url.path = field::Empty,
        http.response.status_code = field::Empty
    );
    if !span.is_disabled() {
        let shown = |text: &str| session.redactor().line(text, SHOWN_BYTES);
        let uri = request.uri();
        span.record("http.request.method", shown(request.method().as_str()));
        span.record("server.address", shown(uri.host().unwrap_or_default()));
        span.record("url.path", shown(uri.path()));
    }
    span
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

    /// Notes the requests of the call that has ended.
    pub(crate) fn end_call(&self) {
        let calls = self.0.calls.load(Ordering::Relaxed);
        self.0.spending().note(Limit::Requests, u64::from(calls));
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(headers::is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        UNREAD_CHUNK
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
        // Here, since the guest's call is what is under way now; the future is another task's.
        let span = call_span(&session, &request);
        let answered = span.clone();
        let call = async move {
            let Some(egress) = &session.egress else {
                return Err(Error::HttpRequestDenied);
            };
            let response = egress.send(&session, request).await?;
            answered.record("http.response.status_code", response.status().as_u16());
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, done))
        };
        Box::new(call.instrument(span))
    }
}
