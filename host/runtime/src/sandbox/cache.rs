//! The plugin's private store: reads see this batch's writes first, then those of the batch that is being committed, then
//! what is stored. Writes leave with the batch or not at all.

use super::bindings::interflow::connector::cache::{CacheError, Host};
use super::fault::Broken;
use super::state::State;
use crate::Limits;
use crate::limits::Limit;
use std::collections::HashMap;
use std::sync::Arc;

/// Writes of one batch: a value, or `None` for a removal.
pub type CacheWrites = HashMap<String, Option<Vec<u8>>>;

/// Keys that are looked up together; their values are here before they can be counted.
const READ_AT_ONCE: usize = 64;
/// What an entry costs the host besides its bytes.
const ENTRY_OVERHEAD: usize = 128;

/// What lies below the writes of the batches that are under way.
pub trait CacheStore: Send + Sync {
    /// Values in the order of `keys`.
    ///
    /// # Errors
    /// In a sentence, if the store cannot be read.
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, String>;

    /// Bytes stored for this connector, keys included.
    ///
    /// # Errors
    /// In a sentence, if the store cannot be read.
    fn bytes(&self) -> Result<u64, String>;
}

pub(crate) struct Cache {
    store: Arc<dyn CacheStore>,
    /// Of the batch before this one, while its commit is on its way.
    pub(crate) in_flight: Arc<CacheWrites>,
    current: CacheWrites,
    pub(crate) current_bytes: usize,
    /// Stored bytes when the instance started, plus everything written since: an upper bound that needs no counting.
    pub(crate) total_bytes: Option<u64>,
    entry_limit: usize,
    read_limit: usize,
    batch_limit: usize,
    total_limit: u64,
}

impl Cache {
    pub(crate) fn new(store: Arc<dyn CacheStore>, limits: &Limits) -> Self {
        Self {
            store,
            in_flight: Arc::default(),
            current: HashMap::new(),
            current_bytes: 0,
            total_bytes: None,
            entry_limit: limits.cache_entry_bytes,
            read_limit: limits.hostcall_bytes,
            batch_limit: limits.cache_batch_bytes,
            total_limit: limits.cache_bytes,
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.current.clear();
        self.current_bytes = 0;
    }

    pub(crate) fn take_writes(&mut self) -> CacheWrites {
        self.current_bytes = 0;
        std::mem::take(&mut self.current)
    }
}

/// Bytes of the values that are written, with their keys.
fn written(writes: &CacheWrites) -> u64 {
    let sizes = writes.iter();
    sizes
        .filter_map(|(key, value)| Some((key.len() + value.as_ref()?.len()) as u64))
        .sum()
}

impl Host for State {
    fn get(&mut self, keys: Vec<String>) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        self.note_copied(keys.iter().map(String::len).sum());
        let cache = &self.cache;
        let mut values: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
        let mut missing = Vec::new();
        let mut places = Vec::new();
        // A key may stand a thousand times in the list, and its value would be here as often.
        let mut room = cache.read_limit;
        let mut take = |value: &Option<Vec<u8>>| {
            let bytes = value.as_ref().map_or(0, Vec::len);
            room = room.checked_sub(bytes).ok_or_else(|| {
                Broken::Limit(format!(
                    "one `cache.get` may return {} bytes (`hostcall_mib`)",
                    cache.read_limit
                ))
            })?;
            Ok::<_, Broken>(())
        };
        for (place, key) in keys.into_iter().enumerate() {
            match cache
                .current
                .get(&key)
                .or_else(|| cache.in_flight.get(&key))
            {
                Some(value) => {
                    take(value)?;
                    values[place].clone_from(value);
                }
                None => {
                    missing.push(key);
                    places.push(place);
                }
            }
        }
        for (missing, places) in missing
            .chunks(READ_AT_ONCE)
            .zip(places.chunks(READ_AT_ONCE))
        {
            let stored = cache.store.get(missing).map_err(Broken::Host)?;
            for (place, value) in places.iter().zip(stored) {
                take(&value)?;
                values[*place] = value;
            }
        }
        Ok(values)
    }

    fn put(&mut self, entries: Vec<(String, Vec<u8>)>) -> wasmtime::Result<Result<(), CacheError>> {
        let size = |(key, value): &(String, Vec<u8>)| key.len() + value.len();
        let added: usize = entries.iter().map(size).sum();
        let largest = entries.iter().map(size).max().unwrap_or(0);
        self.note_copied(added);
        self.spending.note(Limit::CacheEntryBytes, largest as u64);
        let cache = &mut self.cache;
        if entries.iter().any(|entry| size(entry) > cache.entry_limit) {
            return Ok(Err(CacheError::TooLarge));
        }
        let total = match cache.total_bytes {
            Some(total) => total,
            None => {
                // What is on its way may be counted twice, and never not at all.
                let stored = cache.store.bytes().map_err(Broken::Host)?;
                stored + written(&cache.in_flight) + cache.current_bytes as u64
            }
        };
        let held = added + entries.len() * ENTRY_OVERHEAD;
        if cache.current_bytes + held > cache.batch_limit {
            return Ok(Err(CacheError::Full));
        }
        if total + added as u64 > cache.total_limit {
            // Overwriting frees what it replaces, which the upper bound does not see: count again next time.
            cache.total_bytes = None;
            return Ok(Err(CacheError::Full));
        }
        cache.current_bytes += held;
        cache.total_bytes = Some(total + added as u64);
        self.spending.note(Limit::CacheBytes, total + added as u64);
        cache
            .current
            .extend(entries.into_iter().map(|(key, value)| (key, Some(value))));
        Ok(Ok(()))
    }

    fn remove(&mut self, keys: Vec<String>) -> wasmtime::Result<()> {
        self.note_copied(keys.iter().map(String::len).sum());
        let cache = &mut self.cache;
        let written: usize = keys.iter().map(String::len).sum();
        cache.current_bytes += written + keys.len() * ENTRY_OVERHEAD;
        if cache.current_bytes > cache.batch_limit {
            return Err(Broken::Limit(format!(
                "one batch may write {} bytes to the cache (`cache_batch_mib`)",
                cache.batch_limit
            ))
            .into());
        }
        cache
            .current
            .extend(keys.into_iter().map(|key| (key, None)));
        Ok(())
    }
}
