//! Asking a run to stop.
//!
//! A run that is asked stops at once: the batch under way is given up, what was collected before is committed, and the
//! ledger says why it ended. The next run goes on from the cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// A wish that a run end; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    made: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Asks whoever has a clone to stop, now and for ever.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.0.made.load(Ordering::SeqCst)
    }

    /// Ends when somebody asks.
    pub async fn requested(&self) {
        loop {
            let told = self.0.told.notified();
            // Registered before looking, so that a wish made in between is not missed.
            tokio::pin!(told);
            told.as_mut().enable();
            if self.is_requested() {
                return;
            }
            told.await;
        }
    }
}
