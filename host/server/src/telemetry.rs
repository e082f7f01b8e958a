//! Telemetry: traces of runs, sent to a collector by OTLP over HTTP.
//!
//! A trace is one run; its spans are the run, its batches, and the calls of each. Spans are handed over to a thread that
//! collects and sends them, so that a run never waits for a collector; what does not fit the queue is dropped. Promises: the
//! collector is reached as any destination that the operator names, its addresses checked like those of webhooks; only
//! spans leave, no log line, and no span has a secret, a query or a header.

use crate::config::telemetry::Endpoint;
use crate::failure::Failure;
use bytes::Bytes;
use connector_runtime::egress::{NetworkUpstream, Origin, Upstream as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// What the collector sees as the service's name.
const SERVICE: &str = "connector-host";
/// For one delivery, connecting and answering included.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last delivery.
const LAST_DELIVERY: Duration = Duration::from_secs(5);
/// A collector's answer has no more of interest.
const LARGEST_ANSWER: usize = 64 << 10;

/// Where spans go. See the module.
pub(crate) struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Traces to `endpoint`, sent on the threads of `runtime`.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub(crate) fn start(endpoint: &Endpoint, runtime: Handle) -> Result<Self, Failure> {
        let client = Client {
            upstream: Arc::new(endpoint.upstream()?),
            origin: endpoint.origin.clone(),
            runtime,
            is_failing: Arc::default(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.url.as_str())
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| {
                Failure::Usage(format!("traces cannot be sent ({error}); check [telemetry] in host.toml and the variables OTEL_EXPORTER_OTLP_*"))
            })?;
        let resource = Resource::builder_empty()
            .with_service_name(SERVICE)
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// What turns spans of this program into traces.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer: SdkTracer = self.provider.tracer(SERVICE);
        // Log lines have a fence of their own, which they would go round here.
        let is_ours = |metadata: &Metadata<'_>| {
            metadata.is_span() && metadata.target().starts_with("connector_")
        };
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is left, for a bounded time. Not on a thread of the runtime that sends.
    pub(crate) fn finish(self) {
        // Who was to be told is the one that cannot be reached.
        let _ = self.provider.shutdown_with_timeout(LAST_DELIVERY);
    }
}

/// The exporter's way out.
struct Client {
    upstream: Arc<NetworkUpstream>,
    origin: Origin,
    runtime: Handle,
    /// So that a collector that is away for days is one line in the log.
    is_failing: Arc<AtomicBool>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.origin).finish()
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (upstream, origin) = (Arc::clone(&self.upstream), self.origin.clone());
        let is_failing = Arc::clone(&self.is_failing);
        let task = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(PATIENCE, send(&upstream, &origin, request)).await;
            let sent = sent.unwrap_or_else(|_| Err("it did not answer in time".into()));
            let why = match &sent {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it answered {}", answer.status().as_u16())),
                Err(error) => Some(error.to_string()),
            };
            match (why, is_failing.load(Ordering::Relaxed)) {
                (Some(why), false) => {
                    is_failing.store(true, Ordering::Relaxed);
                    tracing::warn!(
                        "telemetry: traces do not reach {origin}, and are dropped: {why}"
                    );
                }
                (None, true) => {
                    is_failing.store(false, Ordering::Relaxed);
                    tracing::warn!("telemetry: traces reach {origin} again");
                }
                _ => {}
            }
            sent
        });
        // The exporter's thread belongs to no runtime; waiting for a task's end needs none.
        Box::pin(async move { task.await? })
    }
}

async fn send(
    upstream: &NetworkUpstream,
    origin: &Origin,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    upstream.resolve(origin).await?;
    let (parts, body) = upstream.send(request).await?.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
