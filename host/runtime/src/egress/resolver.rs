//! From a name to the addresses that a connection may be made to.
//!
//! A name is looked up and every address checked; what passes is pinned, and the client, which asks here instead of the
//! system, is answered from the pins alone. So a name that changes its mind between the check and the connection gains
//! nothing, and a name that was never checked has no address. A connection that stays open was made to a pinned address,
//! too. One look-up per request: a name that has moved to an address that may not be reached stops the next request, even
//! while a connection to the old address is still open.

use super::address::AddressPolicy;
use super::upstream::UpstreamError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Looks a name up.
pub type Lookup = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>
        + Send
        + Sync,
>;

/// Looks names up, checks what comes, and remembers what passed. Clones share the pins.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Lookup,
    policy: AddressPolicy,
    /// How an operator allows an address: the end of a sentence.
    remedy: Arc<str>,
    pins: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
}

impl Resolver {
    pub(super) fn new(lookup: Option<Lookup>, policy: AddressPolicy, remedy: &str) -> Self {
        Self {
            lookup: lookup.unwrap_or_else(|| Arc::new(|host| Box::pin(system(host)))),
            policy,
            remedy: remedy.into(),
            pins: Arc::default(),
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Vec<IpAddr>>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks `host` (a name or an address literal) up, checks every address, and pins them.
    pub(super) async fn pin(&self, host: &str) -> Result<(), UpstreamError> {
        let addresses = match literal(host) {
            // Nobody looks a literal up, so it is checked here like any other address.
            Some(address) => vec![address],
            None => (self.lookup)(host.to_owned()).await.unwrap_or_default(),
        };
        let checked = self.check(host, &addresses);
        match &checked {
            Ok(()) => self.pins().insert(host.to_owned(), addresses),
            Err(_) => self.pins().remove(host),
        };
        checked
    }

    fn check(&self, host: &str, addresses: &[IpAddr]) -> Result<(), UpstreamError> {
        if addresses.is_empty() {
            return Err(UpstreamError::Name(host.into()));
        }
        // One bad address among good ones is refused as a whole: which of them gets used is not ours to choose.
        for &address in addresses {
            if let Err(class) = self.policy.check(address) {
                return Err(UpstreamError::Denied(format!(
                    "a request to {host} was refused: {address} is {class}; to allow it, {}",
                    self.remedy
                )));
            }
        }
        Ok(())
    }

    /// What `host` is pinned to.
    pub(super) fn pinned(&self, host: &str) -> Result<Vec<IpAddr>, UpstreamError> {
        self.pins().get(host).cloned().ok_or_else(|| {
            UpstreamError::Denied(format!(
                "a request to {host} was refused: its addresses have not been checked"
            ))
        })
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let pinned = self.pinned(name.as_str());
        Box::pin(std::future::ready(match pinned {
            Ok(addresses) => {
                let addresses = addresses.into_iter();
                let addresses: Addrs =
                    Box::new(addresses.map(|address| SocketAddr::new(address, 0)));
                Ok(addresses)
            }
            Err(error) => Err(error.into()),
        }))
    }
}

/// The address that `host` is, if it is one.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

async fn system(host: String) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}
