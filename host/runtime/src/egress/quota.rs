//! The vendor's limits, kept by the host: one budget for all connectors of the same origin and account.
//!
//! A permit is taken before a request and held until its body has ended or was dropped. Of the vendor's concurrency one
//! place stays free, and of its calls a twentieth, for whatever else the customer runs on the same subscription. What the
//! vendor's headers report replaces what the manifest assumed, and where they report fewer calls left than were counted
//! here, others have made them, and they are believed.
//!
//! Plugins on one account share its calls and trust each other with nothing else:
//!
//! - Each bucket that is declared has a window of its own, told by its path and numbers and the headers that report on it,
//!   never by its id. A call counts in the window of every bucket that its path falls under, whoever made it, so that no
//!   plugin gets calls of its own by naming or numbering buckets otherwise, and none shortens what another remembers.
//! - A call must fit the window of its own plugin's bucket, and those of all plugins that have a connector on the account or
//!   have called within their bucket's window: the tightest holds. So whoever shares an account with a plugin that declares
//!   a very small budget for the same paths is held to that.
//! - What headers report holds for the plugins that declare just this bucket. Others never wait for it.
//! - Paths that the caller's manifest covers with no bucket have one window together, with a limit of the host's.
//!
//! With a store, budgets outlive the process: a call is on its way to the disk before it is sent, and there before its
//! answer reaches the guest. A crash loses at most the calls that were under way, which the vendor's next answer corrects.

mod account;
mod plan;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use account::{Account, Permit};
pub use plan::Declared;
pub(crate) use plan::Plan;
pub use window::{BucketState, StoredBucket};

use super::Origin;
use crate::Clock;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A write under way. It happens whether or not this is waited for; it ends when the write is durable, or with the reason
/// why it is not.
pub type Saving = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Keeps budgets beyond the life of a process.
pub trait QuotaStore: Send + Sync {
    /// What was saved last of each bucket of `account`.
    ///
    /// # Errors
    /// With the reason, in a sentence.
    fn load(&self, account: &str) -> Result<Vec<StoredBucket>, String>;

    /// Begins to save a bucket, in place of what was saved of it before. Of two calls, the later one's state stays.
    fn save(&self, account: &str, bucket: StoredBucket) -> Saving;
}

/// Budgets by origin and account. The default keeps them in memory only.
#[derive(Default)]
pub struct QuotaBook {
    store: Option<Arc<dyn QuotaStore>>,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

impl QuotaBook {
    /// A book that goes on from what `store` has, and saves every change there.
    pub fn kept_in(store: Arc<dyn QuotaStore>) -> Self {
        Self {
            store: Some(store),
            accounts: Mutex::default(),
        }
    }

    pub(crate) fn account(&self, origin: &Origin, user: &str, clock: &Clock) -> Arc<Account> {
        let key = key(origin, user);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts
            .entry(key.clone())
            .or_insert_with(|| Arc::new(Account::open(key, self.store.clone(), clock)));
        Arc::clone(account)
    }
}

impl std::fmt::Debug for QuotaBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuotaBook").finish_non_exhaustive()
    }
}

/// What an account is called in the store: it can be looked up by whoever knows it, and read by nobody else.
fn key(origin: &Origin, user: &str) -> String {
    let digest = Sha256::digest(format!("{origin}\n{user}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
