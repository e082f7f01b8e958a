//! A response body on its way to the guest: counted, bounded, and timed.
//!
//! Two clocks run, never both: while the guest waits for a piece, that of the vendor's silence; while it does not read, that
//! of the guest's. Whichever ends, the response is dropped, and with it the place and the permit that others may be waiting
//! for, whether or not the guest ever looks at it again. If it does, it sees a connection that was lost.
//!
//! Never here: reading ahead of the guest.

use super::traffic::Traffic;
use super::upstream::UpstreamBody;
use super::{Hold, headers};
use crate::limits::Limit;
use crate::sandbox::{Meter, MeterWait};
use crate::{Clock, Limits};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wasmtime_wasi_http::Error;

pub(crate) struct GuardedBody {
    response: Arc<Response>,
    watch: AbortHandle,
    meter: Arc<Meter>,
    bytes_left: u64,
    received: u64,
    waited: Duration,
    idle_limit: Duration,
    time_left: Duration,
}

/// What the guest's end and the watch share.
struct Response {
    state: Mutex<State>,
    /// The moment at which it is given up has come nearer.
    nearer: Notify,
    clock: Clock,
    traffic: Arc<Traffic>,
    unread_limit: Duration,
}

struct State {
    open: Option<Open>,
    waiting: Option<Waiting>,
    /// When the guest last got a piece, or the head.
    read: Duration,
    /// The longest that it left the response unread.
    unread: Duration,
    /// Until when the watch sleeps.
    watched: Duration,
    given_up: Option<Error>,
}

struct Open {
    body: UpstreamBody,
    _hold: Hold,
}

/// The guest waits for a piece.
struct Waiting {
    since: Duration,
    limit: Duration,
    waker: Waker,
    _metered: MeterWait,
}

impl Response {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after a response that may be left alone, until it has ended.
    async fn watch(self: Arc<Self>) {
        while let Some(left) = self.look() {
            tokio::select! {
                () = self.clock.watch(left) => {}
                () = self.nearer.notified() => {}
            }
        }
    }

    /// For how long the response may go on as it is; `None` if it has ended, by this look or before.
    fn look(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.open.as_ref()?;
        let now = self.clock.elapsed();
        state.watched = state.deadline(self.unread_limit);
        let left = state.watched.saturating_sub(now);
        if !left.is_zero() {
            return Some(left);
        }
        let (sentence, error) = match &state.waiting {
            Some(waiting) => (
                format!(
                    "the response stopped for {} s and was given up",
                    waiting.limit.as_secs()
                ),
                Error::ConnectionReadTimeout,
            ),
            None => (
                format!(
                    "nobody read the response for {} s, so it was given up (`unread_seconds`)",
                    self.unread_limit.as_secs()
                ),
                Error::ConnectionTerminated,
            ),
        };
        state.note_unread(now);
        state.given_up = Some(error);
        let ended = (state.open.take(), state.waiting.take());
        drop(state);
        self.traffic.failed(sentence);
        if let (_, Some(waiting)) = ended {
            waiting.waker.wake();
        }
        None
    }
}

impl State {
    fn deadline(&self, unread_limit: Duration) -> Duration {
        match &self.waiting {
            Some(waiting) => waiting.since.saturating_add(waiting.limit),
            None => self.read.saturating_add(unread_limit),
        }
    }

    fn note_unread(&mut self, now: Duration) {
        if self.waiting.is_none() {
            self.unread = self.unread.max(now.saturating_sub(self.read));
        }
    }
}

impl GuardedBody {
    /// Guards a response whose head has come; within a tokio runtime, where the watch runs.
    pub(crate) fn new(
        body: UpstreamBody,
        hold: Hold,
        meter: Arc<Meter>,
        traffic: Arc<Traffic>,
        clock: Clock,
        limits: &Limits,
    ) -> Self {
        let state = State {
            open: Some(Open { body, _hold: hold }),
            waiting: None,
            read: clock.elapsed(),
            unread: Duration::ZERO,
            watched: Duration::MAX,
            given_up: None,
        };
        let response = Arc::new(Response {
            state: Mutex::new(state),
            nearer: Notify::new(),
            clock,
            traffic,
            unread_limit: limits.unread_timeout,
        });
        Self {
            watch: tokio::spawn(Arc::clone(&response).watch()).abort_handle(),
            response,
            meter,
            bytes_left: limits.response_bytes,
            received: 0,
            waited: Duration::ZERO,
            idle_limit: limits.idle_timeout,
            time_left: limits.total_timeout,
        }
    }

    /// Gives everything back that the response holds.
    fn end(&self, state: &mut State) {
        self.watch.abort();
        state.open = None;
        state.waiting = None;
    }

    /// Takes in a piece, unless it is one too many.
    fn take_in(&mut self, frame: &mut Frame<Bytes>) -> Result<(), Error> {
        // What a guest may not see as a header it may not see as a trailer.
        if let Some(trailers) = frame.trailers_mut() {
            headers::strip(trailers);
        }
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.response.traffic.received(size);
        self.received += size;
        let Some(left) = self.bytes_left.checked_sub(size) else {
            self.response
                .traffic
                .failed("the response is larger than allowed");
            return Err(Error::HttpResponseBodySize(None));
        };
        self.bytes_left = left;
        Ok(())
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        let response = Arc::clone(&self.response);
        let mut state = response.lock();
        if state.open.is_some() {
            state.note_unread(response.clock.elapsed());
        }
        self.end(&mut state);
        let spending = response.traffic.spending();
        spending.note(Limit::ResponseBytes, self.received);
        spending.note_time(Limit::ResponseTime, self.waited);
        spending.note_time(Limit::UnreadTime, state.unread);
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let response = Arc::clone(&this.response);
        let mut state = response.lock();
        let Some(open) = &mut state.open else {
            return Poll::Ready(state.given_up.take().map(Err));
        };
        let polled = Pin::new(&mut open.body).poll_frame(context);
        let now = response.clock.elapsed();
        let Poll::Ready(frame) = polled else {
            match &mut state.waiting {
                Some(waiting) => waiting.waker.clone_from(context.waker()),
                None => {
                    state.note_unread(now);
                    let limit = this.idle_limit.min(this.time_left);
                    state.waiting = Some(Waiting {
                        since: now,
                        limit,
                        waker: context.waker().clone(),
                        _metered: this.meter.wait(limit),
                    });
                }
            }
            if state.deadline(response.unread_limit) < state.watched {
                response.nearer.notify_one();
            }
            return Poll::Pending;
        };
        state.note_unread(now);
        if let Some(waiting) = state.waiting.take() {
            let waited = now.saturating_sub(waiting.since);
            this.time_left = this.time_left.saturating_sub(waited);
            this.waited += waited;
            let spending = response.traffic.spending();
            spending.note_time(Limit::IdleTime, waited);
        }
        state.read = now;
        if state.deadline(response.unread_limit) < state.watched {
            response.nearer.notify_one();
        }
        match frame {
            None => {
                this.end(&mut state);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                response.traffic.failed(error.to_string());
                this.end(&mut state);
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(mut frame)) => match this.take_in(&mut frame) {
                Ok(()) => Poll::Ready(Some(Ok(frame))),
                Err(error) => {
                    this.end(&mut state);
                    Poll::Ready(Some(Err(error)))
                }
            },
        }
    }
}
