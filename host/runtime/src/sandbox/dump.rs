//! Core dumps: a guest's whole memory, read from outside. The only way to see what a guest holds, and so to prove what it
//! does not hold.
//!
//! Only the bench has an engine that makes them.

use super::state::State;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::{Store, WasmCoreDump};

/// The memory of a guest at a trap.
#[derive(Clone)]
pub struct CoreDump {
    /// What ended the call, in wasmtime's words.
    pub cause: String,
    /// Each linear memory, whole.
    pub memories: Vec<Vec<u8>>,
}

/// Where the dumps of one engine are kept, in the order of the traps.
#[derive(Clone, Default)]
pub(crate) struct CoreDumps(Arc<Mutex<Vec<CoreDump>>>);

impl CoreDumps {
    /// Keeps the memories of `store`, if the error came out of its guest.
    pub(super) fn keep(&self, error: &wasmtime::Error, store: &Store<State>) {
        // The serialised form cuts memory into pieces, and a secret could lie across a cut.
        let Some(dump) = error.downcast_ref::<WasmCoreDump>() else {
            return;
        };
        let memories = dump.memories().iter();
        self.lock().push(CoreDump {
            cause: error.root_cause().to_string(),
            memories: memories.map(|memory| memory.data(store).to_vec()).collect(),
        });
    }

    /// What has been kept so far.
    pub(crate) fn kept(&self) -> Vec<CoreDump> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<CoreDump>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
