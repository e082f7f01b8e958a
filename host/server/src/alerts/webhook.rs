//! A destination: who is told of which alerts, and the way there.
//!
//! It is set by whoever owns `host.toml`. The way is that of egress: every address is looked up and checked before a
//! connection is made to exactly that one, private ones only if the operator has listed them for this destination; no
//! redirect is followed. Neither its address (which may hold a token) nor its secret is ever shown: its name and host are.

use super::Kind;
use super::message;
use connector_runtime::Clock;
use connector_runtime::egress::{Origin, Upstream, UpstreamError};
use http::{HeaderName, Method, Request, StatusCode, header};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// For connecting, sending, and the head of the answer, together.
const PATIENCE: Duration = Duration::from_secs(20);
/// The message's id, the same in every attempt.
pub(crate) const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When the attempt was made, in seconds since 1970.
pub(crate) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// See [`message::signature`].
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Whom a destination is told about, and of what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Names of tenants; none means all of them.
    pub(crate) tenants: Option<Vec<String>>,
    /// Kinds of alerts; none means all of them.
    pub(crate) kinds: Option<Vec<Kind>>,
}

impl Scope {
    /// Whether an alert of this kind about something of this tenant is in it. What is no single tenant's is only told to those
    /// who are told about all.
    pub(crate) fn covers(&self, tenant: Option<&str>, kind: &str) -> bool {
        let tenants = self.tenants.as_ref();
        let kinds = self.kinds.as_ref();
        tenants.is_none_or(|tenants| tenants.iter().any(|name| Some(name.as_str()) == tenant))
            && kinds.is_none_or(|kinds| kinds.iter().any(|known| known.as_str() == kind))
    }
}

/// See the module. No `Debug`: it holds a secret.
#[derive(Clone)]
pub(crate) struct Webhook {
    /// Unique.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    url: Url,
    origin: Origin,
    key: hmac::Key,
    upstream: Arc<dyn Upstream>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It has arrived.
    Arrived,
    /// It has not, for this reason; it may the next time.
    Failed(String),
    /// The destination wants nothing any more.
    Gone,
}

impl Webhook {
    /// A destination at `url`, of which `origin` is the origin, reached through `upstream`.
    pub(crate) fn new(
        name: impl Into<String>,
        scope: Scope,
        url: Url,
        origin: Origin,
        key: hmac::Key,
        upstream: Arc<dyn Upstream>,
    ) -> Self {
        Self {
            name: name.into(),
            scope,
            url,
            origin,
            key,
            upstream,
        }
    }

    /// Stands for the address where it must not be shown.
    pub(crate) fn address_digest(&self) -> String {
        let digest = Sha256::digest(self.url.as_str().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        self.origin.host()
    }

    /// Makes one attempt to deliver `body` under the message's `id`.
    pub(crate) async fn send(&self, clock: &Clock, id: &str, body: &str) -> Attempt {
        let timestamp = clock.since_epoch().as_secs();
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("connector-host/", env!("CARGO_PKG_VERSION")),
            )
            .header(ID, id)
            .header(TIMESTAMP, timestamp)
            .header(
                SIGNATURE,
                message::signature(&self.key, id, timestamp, body),
            )
            .body(bytes::Bytes::copy_from_slice(body.as_bytes()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Attempt::Failed(format!("no request can be made of it: {error}")),
        };
        let exchange = async {
            self.upstream.resolve(&self.origin).await?;
            let answer = self.upstream.send(request).await?;
            // What the answer says besides is nobody's business; dropping it ends it.
            Ok::<_, UpstreamError>(answer.status())
        };
        match clock.timeout(PATIENCE, exchange).await {
            None => Attempt::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
            Some(Err(error)) => Attempt::Failed(error.to_string()),
            Some(Ok(StatusCode::GONE)) => Attempt::Gone,
            Some(Ok(status)) if status.is_success() => Attempt::Arrived,
            Some(Ok(status)) if status.is_redirection() => Attempt::Failed(format!(
                "it answered {}; redirects are not followed, so name the address that it leads to",
                status.as_u16()
            )),
            Some(Ok(status)) => Attempt::Failed(format!("it answered {}", status.as_u16())),
        }
    }
}
