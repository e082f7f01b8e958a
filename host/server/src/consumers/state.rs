//! How a consumer is, as its follower tells it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a consumer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Its name, for example `index` or `forwarder:siem`.
    pub(crate) name: String,
    /// The offset of the last block that it holds.
    pub(crate) offset: u64,
    /// Why the last attempt failed; none if it did not.
    pub(crate) failure: Option<String>,
    /// Since when every attempt has failed, in milliseconds since 1970.
    pub(crate) failing_since: Option<u64>,
}

impl State {
    pub(super) fn new(name: &str, offset: u64) -> Self {
        Self {
            name: name.to_owned(),
            offset,
            ..Self::default()
        }
    }
}

/// One consumer's state, shared by its follower and whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment after the other; none can fail in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> State {
        self.state().clone()
    }

    pub(super) fn hold(&self, offset: u64) {
        self.state().offset = offset;
    }

    pub(super) fn fail(&self, now_ms: u64, sentence: String) {
        let mut state = self.state();
        state.failing_since.get_or_insert(now_ms);
        state.failure = Some(sentence);
    }

    pub(super) fn recover(&self) {
        let mut state = self.state();
        state.failing_since = None;
        state.failure = None;
    }
}
