//! A response body on its way to the guest: counted, bounded, and timed only while the guest is reading.

use super::traffic::Traffic;
use super::upstream::UpstreamBody;
use super::{Hold, headers};
use crate::limits::Limit;
use crate::sandbox::Meter;
use crate::{Clock, Limits};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime_wasi_http::Error;

pub(crate) struct GuardedBody {
    inner: Option<UpstreamBody>,
    /// Given back with the body's end, or with the body.
    hold: Option<Hold>,
    meter: Arc<Meter>,
    traffic: Arc<Traffic>,
    clock: Clock,
    bytes_left: u64,
    received: u64,
    waited: Duration,
    idle_limit: Duration,
    time_left: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Duration,
    limit: Pin<Box<dyn Future<Output = ()> + Send>>,
    _metered: crate::sandbox::MeterWait,
}

impl GuardedBody {
    pub(crate) fn new(
        inner: UpstreamBody,
        hold: Hold,
        meter: Arc<Meter>,
        traffic: Arc<Traffic>,
        clock: Clock,
        limits: &Limits,
    ) -> Self {
        Self {
            inner: Some(inner),
            hold: Some(hold),
            meter,
            traffic,
            clock,
            bytes_left: limits.response_bytes,
            received: 0,
            waited: Duration::ZERO,
            idle_limit: limits.idle_timeout,
            time_left: limits.total_timeout,
            waiting: None,
        }
    }

    fn end(&mut self) {
        self.inner = None;
        self.hold = None;
        self.waiting = None;
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        let spending = self.traffic.spending();
        spending.note(Limit::ResponseBytes, self.received);
        spending.note_time(Limit::ResponseTime, self.waited);
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
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        match Pin::new(inner).poll_frame(context) {
            Poll::Pending => {
                let limit = this.idle_limit.min(this.time_left);
                let waiting = this.waiting.get_or_insert_with(|| Waiting {
                    since: this.clock.elapsed(),
                    limit: this.clock.watch(limit),
                    _metered: this.meter.wait(limit),
                });
                match waiting.limit.as_mut().poll(context) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        this.traffic.failed(format!(
                            "the response stopped for {} s and was given up",
                            limit.as_secs()
                        ));
                        this.end();
                        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
                    }
                }
            }
            Poll::Ready(frame) => {
                if let Some(waiting) = this.waiting.take() {
                    let waited = this.clock.elapsed().saturating_sub(waiting.since);
                    this.time_left = this.time_left.saturating_sub(waited);
                    this.waited += waited;
                    let spending = this.traffic.spending();
                    spending.note_time(Limit::IdleTime, waited);
                }
                match frame {
                    None => {
                        this.end();
                        Poll::Ready(None)
                    }
                    Some(Err(error)) => {
                        this.traffic.failed(error.to_string());
                        this.end();
                        Poll::Ready(Some(Err(error.into())))
                    }
                    Some(Ok(mut frame)) => {
                        // What a guest may not see as a header it may not see as a trailer.
                        if let Some(trailers) = frame.trailers_mut() {
                            headers::strip(trailers);
                        }
                        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                        this.traffic.received(size);
                        this.received += size;
                        match this.bytes_left.checked_sub(size) {
                            Some(left) => {
                                this.bytes_left = left;
                                Poll::Ready(Some(Ok(frame)))
                            }
                            None => {
                                this.traffic.failed("the response is larger than allowed");
                                this.end();
                                Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))))
                            }
                        }
                    }
                }
            }
        }
    }
}
