#![cfg(target_arch = "wasm32")]
//! Glue: the contract's exports and imports, and HTTP through `wasi:http`.
//!
//! It carries values from one form into another and decides nothing.

use std::cell::RefCell;

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

use crate::batch;
use crate::connector::Connector;
use crate::environment::{
    Body, Cache, CacheError, Clock, Item, Level, Log, Rejection, Request, Response, Sink,
    Transport, TransportError,
};
use crate::fault::{Fault, FaultKind};
use crate::probe;
use crate::settings::Remark;
use bindings::exports::interflow::connector::connector::{
    Batch, BatchRequest, Check, Cursor, Error, Guest, Outcome, SettingRemark, Split,
};
use bindings::interflow::connector::types::ErrorKind;
use bindings::interflow::connector::{cache, log, sink};

#[expect(unsafe_code, reason = "written by the generator from the contract")]
mod bindings {
    wit_bindgen::generate!({ path: "../wit", world: "plugin" });
    use super::Component;
    export!(Component with_types_in self);
}

struct Component;

thread_local! {
    static CONNECTOR: RefCell<Connector<Wasi>> = RefCell::new(Connector::new(Wasi::default()));
}

fn with<R>(call: impl FnOnce(&mut Connector<Wasi>) -> R) -> R {
    CONNECTOR.with(|connector| call(&mut connector.borrow_mut()))
}

impl Guest for Component {
    fn describe() -> String {
        Connector::<Wasi>::describe()
    }

    fn configure(settings: String) -> Result<Vec<SettingRemark>, Vec<SettingRemark>> {
        let remarks = |list: Vec<Remark>| {
            list.into_iter()
                .map(|Remark { pointer, message }| SettingRemark { pointer, message })
                .collect()
        };
        with(|connector| connector.configure(&settings))
            .map(remarks)
            .map_err(remarks)
    }

    fn test() -> Vec<Check> {
        let check = |check: probe::Check| Check {
            id: check.id,
            label: check.label,
            outcome: match check.outcome {
                probe::Outcome::Passed => Outcome::Passed,
                probe::Outcome::Busy => Outcome::Busy,
                probe::Outcome::Failed => Outcome::Failed,
                probe::Outcome::NotTried => Outcome::NotTried,
            },
            error: check.error.map(error),
        };
        with(Connector::test).into_iter().map(check).collect()
    }

    fn plan(
        _content_type: String,
        _cursor: Option<Cursor>,
        _max_parts: u32,
    ) -> Result<Option<Split>, Error> {
        with(Connector::plan).map(|_| None).map_err(error)
    }

    fn collect_batch(request: BatchRequest) -> Result<Batch, Error> {
        let request = batch::BatchRequest {
            content_type: request.content_type,
            cursor: request.cursor,
            max_items: request.max_items,
            max_bytes: request.max_bytes,
            soft_deadline_ms: request.soft_deadline_ms,
            attempt: request.attempt,
            options: request.options,
        };
        with(|connector| connector.collect_batch(&request))
            .map(|batch| Batch {
                next: batch.next,
                more: batch.more,
                emitted: batch.emitted,
                complete: batch.complete,
                report: batch.report,
            })
            .map_err(error)
    }
}

fn error(fault: Fault) -> Error {
    Error {
        kind: match fault.kind {
            FaultKind::InvalidSettings => ErrorKind::InvalidSettings,
            FaultKind::Unauthenticated => ErrorKind::Unauthenticated,
            FaultKind::Forbidden => ErrorKind::Forbidden,
            FaultKind::NotFound => ErrorKind::NotFound,
            FaultKind::RateLimited => ErrorKind::RateLimited,
            FaultKind::Unavailable => ErrorKind::Unavailable,
            FaultKind::Malformed => ErrorKind::Malformed,
            FaultKind::Internal => ErrorKind::Internal,
        },
        code: fault.code,
        message: fault.message,
        advice: fault.advice,
        http_status: fault.http_status,
        retry_after_ms: fault.retry_after_ms,
    }
}

/// The environment inside the sandbox.
#[derive(Default)]
struct Wasi {
    /// Items in the form of the contract; their strings come and go.
    items: Vec<sink::Item>,
}

impl Sink for Wasi {
    fn emit(&mut self, items: &mut [Item]) -> Result<(), Rejection> {
        let swap = |ours: &mut [Item], theirs: &mut [sink::Item]| {
            for (our, their) in ours.iter_mut().zip(theirs) {
                std::mem::swap(&mut our.key, &mut their.key);
                std::mem::swap(&mut our.body, &mut their.body);
                their.time_ms = our.time_ms;
            }
        };
        let empty = || sink::Item {
            key: String::new(),
            time_ms: 0,
            body: String::new(),
        };
        self.items.resize_with(items.len(), empty);
        swap(items, &mut self.items);
        let result = sink::emit(&self.items);
        swap(items, &mut self.items);
        result.map_err(|rejection| Rejection {
            index: usize::try_from(rejection.index).unwrap_or(usize::MAX),
            message: rejection.message,
        })
    }
}

impl Cache for Wasi {
    fn get(&mut self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        cache::get(keys)
    }

    fn put(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(), CacheError> {
        cache::put(entries).map_err(|error| match error {
            cache::CacheError::Full => CacheError::Full,
            cache::CacheError::TooLarge => CacheError::TooLarge,
        })
    }

    fn remove(&mut self, keys: &[String]) {
        cache::remove(keys);
    }
}

impl Log for Wasi {
    fn log(&mut self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
        };
        log::write(level, message);
    }
}

impl Clock for Wasi {
    fn now_ms(&self) -> u64 {
        let now = wall_clock::now();
        now.seconds * 1000 + u64::from(now.nanoseconds / 1_000_000)
    }

    fn monotonic_ms(&self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }
}

impl Transport for Wasi {
    type Body = WasiBody;

    fn send(&mut self, request: &Request) -> Result<Response<WasiBody>, TransportError> {
        let headers: Vec<(String, Vec<u8>)> = request
            .headers()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect();
        let headers = Fields::from_list(&headers).map_err(|error| broken(&error))?;
        let outgoing = OutgoingRequest::new(headers);
        let (scheme, authority) = request
            .origin
            .split_once("://")
            .unwrap_or(("https", &request.origin));
        let scheme = if scheme == "http" {
            Scheme::Http
        } else {
            Scheme::Https
        };
        let method = if request.post {
            Method::Post
        } else {
            Method::Get
        };
        let set = outgoing
            .set_method(&method)
            .and_then(|()| outgoing.set_scheme(Some(&scheme)))
            .and_then(|()| outgoing.set_authority(Some(authority)))
            .and_then(|()| outgoing.set_path_with_query(Some(&request.path)));
        set.map_err(|()| {
            TransportError::Connection("the host refused a part of the request".to_owned())
        })?;

        let body = outgoing
            .body()
            .map_err(|()| TransportError::Connection("the request has no body".to_owned()))?;
        let pending = outgoing_handler::handle(outgoing, None).map_err(|code| failure(&code))?;
        if request.post {
            let stream = body.write().map_err(|()| {
                TransportError::Connection("the body cannot be written".to_owned())
            })?;
            for piece in request.body().as_bytes().chunks(4096) {
                // A host that has already answered stops reading; its answer tells more than this error.
                if stream.blocking_write_and_flush(piece).is_err() {
                    break;
                }
            }
        }
        let finished = OutgoingBody::finish(body, None);
        pending.subscribe().block();
        let answer = match pending.get() {
            Some(Ok(Ok(answer))) => answer,
            Some(Ok(Err(code))) => return Err(failure(&code)),
            Some(Err(())) | None => return Err(TransportError::Connection("no answer".to_owned())),
        };
        // Only of interest when there is no answer.
        drop(finished);
        let headers = answer
            .headers()
            .entries()
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_ascii_lowercase(),
                    String::from_utf8_lossy(&value).into_owned(),
                )
            })
            .collect();
        let status = answer.status();
        Ok(Response {
            status,
            headers,
            body: WasiBody::new(answer)?,
        })
    }
}

fn broken(error: &dyn std::fmt::Debug) -> TransportError {
    TransportError::Connection(format!("{error:?}"))
}

fn failure(code: &ErrorCode) -> TransportError {
    match code {
        ErrorCode::HttpRequestDenied => TransportError::Denied("HTTP-request-denied".to_owned()),
        ErrorCode::DestinationIpProhibited => {
            TransportError::Denied("destination-IP-prohibited".to_owned())
        }
        ErrorCode::InternalError(Some(text)) => TransportError::Connection(text.clone()),
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => TransportError::Timeout(format!("{code:?}")),
        _ => broken(code),
    }
}

/// Hosts do not always give the code of what ended a body; then its words are all there is.
fn unnamed(text: String) -> TransportError {
    if text.contains("timeout") || text.contains("timed out") {
        TransportError::Timeout(text)
    } else {
        TransportError::Connection(text)
    }
}

/// A body. The fields are dropped in this order, which the host demands: children first.
struct WasiBody {
    stream: InputStream,
    _body: IncomingBody,
    _answer: IncomingResponse,
}

impl WasiBody {
    fn new(answer: IncomingResponse) -> Result<Self, TransportError> {
        let gone = |()| TransportError::Connection("the answer has no body".to_owned());
        let body = answer.consume().map_err(gone)?;
        let stream = body.stream().map_err(gone)?;
        Ok(Self {
            stream,
            _body: body,
            _answer: answer,
        })
    }
}

impl Body for WasiBody {
    fn read(&mut self, into: &mut Vec<u8>) -> Result<usize, TransportError> {
        loop {
            match self.stream.blocking_read(128 << 10) {
                // An empty read is no end.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    into.extend_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(match wasip2::http::types::http_error_code(&error) {
                        Some(code) => failure(&code),
                        None => unnamed(error.to_debug_string()),
                    });
                }
            }
        }
    }
}
