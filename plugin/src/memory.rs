//! Memory: which states of a host were emitted before, so that what is read again unchanged is not emitted again.
//!
//! It lives in the host's cache, which is committed together with the records, so the two never disagree. For each host it holds the hashes
//! of the keys last seen; entries written under other settings count as absent. Losing it costs records that are emitted again under the same
//! keys, and nothing else.
//!
//! One entry holds a limited number of hashes, and a large host has several: `d/70010001/0`, `d/70010001/1` and so on, the first one saying how many.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_128;

use crate::environment::{Cache, CacheError};
use crate::request::Endpoint;

/// Hashes in one entry, which keeps it below 32 KiB.
const SHARD: usize = 2_040;
/// Written at this size.
const WAITING_BYTES: usize = 256 << 10;
/// Fingerprint of the settings and number of entries.
const HEADER: usize = 12;

/// The hash of an item's key.
pub(crate) fn hash(key: &str) -> u128 {
    xxh3_128(key.as_bytes())
}

/// Hashes need no second hashing.
#[derive(Default)]
pub(crate) struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (at * 8);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

type Set = HashSet<u128, BuildHasherDefault<Through>>;

/// What is remembered of one host, and what is seen of it now.
#[derive(Debug, Default)]
pub(crate) struct HostMemory {
    /// Sorted.
    old: Vec<u128>,
    old_shards: usize,
    new: Set,
}

impl HostMemory {
    /// True if this state was emitted before, in this pass or an earlier one; it is remembered from now on.
    pub(crate) fn recognise(&mut self, hash: u128) -> bool {
        !self.new.insert(hash) || self.old.binary_search(&hash).is_ok()
    }
}

/// The memory of one content type.
pub(crate) struct Memory {
    prefix: char,
    fingerprint: [u8; 8],
    /// Read ahead for hosts that will be processed next.
    ahead: HashMap<u64, HostMemory>,
    waiting: Vec<(String, Vec<u8>)>,
    waiting_ids: HashSet<u64>,
    remove: Vec<String>,
    waiting_bytes: usize,
    /// Writes were refused.
    pub(crate) full: bool,
}

impl Memory {
    pub(crate) fn new(endpoint: Endpoint, fingerprint: &str) -> Self {
        let prefix = match endpoint {
            Endpoint::Hosts => 'h',
            Endpoint::Vulnerabilities => 'd',
        };
        Self {
            prefix,
            fingerprint: (hash(fingerprint) as u64).to_le_bytes(),
            ahead: HashMap::new(),
            waiting: Vec::new(),
            waiting_ids: HashSet::new(),
            remove: Vec::new(),
            waiting_bytes: 0,
            full: false,
        }
    }

    fn key(&self, id: u64, shard: usize) -> String {
        format!("{}/{id}/{shard}", self.prefix)
    }

    /// Reads what is remembered of these hosts, in one call for all of them.
    pub(crate) fn read_ahead<C: Cache>(&mut self, cache: &mut C, ids: &[u64]) {
        if ids.iter().any(|id| self.waiting_ids.contains(id)) {
            self.flush(cache);
        }
        self.ahead.clear();
        if ids.is_empty() {
            return;
        }
        let keys: Vec<String> = ids.iter().map(|id| self.key(*id, 0)).collect();
        for (id, value) in ids.iter().zip(cache.get(&keys)) {
            let mut memory = HostMemory::default();
            if let Some((states, shards)) = value.as_deref().and_then(|value| self.decode(value)) {
                memory.old = states;
                memory.old_shards = shards;
                if shards > 1 {
                    let keys: Vec<String> = (1..shards).map(|shard| self.key(*id, shard)).collect();
                    for value in cache.get(&keys).into_iter().flatten() {
                        memory.old.extend(self.decode(&value).unwrap_or_default().0);
                    }
                }
                memory.old.sort_unstable();
            }
            self.ahead.insert(*id, memory);
        }
    }

    fn decode(&self, value: &[u8]) -> Option<(Vec<u128>, usize)> {
        let (header, states) = value.split_at_checked(HEADER)?;
        if header[..8] != self.fingerprint {
            return None;
        }
        let shards = u32::from_le_bytes(header[8..].try_into().ok()?);
        let states = states
            .chunks_exact(16)
            .filter_map(|state| Some(u128::from_le_bytes(state.try_into().ok()?)));
        // The number is a hint of our own; a damaged one must not become a million reads.
        Some((states.collect(), usize::try_from(shards).ok()?.min(100_000)))
    }

    /// The memory of a host that is processed now.
    pub(crate) fn take<C: Cache>(&mut self, cache: &mut C, id: u64) -> HostMemory {
        if !self.ahead.contains_key(&id) {
            let others = std::mem::take(&mut self.ahead);
            self.read_ahead(cache, &[id]);
            self.ahead.extend(others);
        }
        self.ahead.remove(&id).unwrap_or_default()
    }

    /// A host has been read to its end: what was seen replaces what was remembered.
    pub(crate) fn finish<C: Cache>(&mut self, cache: &mut C, id: u64, memory: &HostMemory) {
        let mut states: Vec<u128> = memory.new.iter().copied().collect();
        states.sort_unstable();
        if states != memory.old {
            self.put(cache, id, memory.old_shards, &states);
        }
    }

    /// A batch ends inside a host: both what was remembered and what was seen may come by again.
    pub(crate) fn pause<C: Cache>(&mut self, cache: &mut C, id: u64, memory: &mut HostMemory) {
        let HostMemory {
            old,
            old_shards,
            new,
        } = memory;
        let added: Vec<u128> = new
            .iter()
            .copied()
            .filter(|state| old.binary_search(state).is_err())
            .collect();
        if !added.is_empty() {
            old.extend(added);
            old.sort_unstable();
            self.put(cache, id, *old_shards, old);
            *old_shards = old.len().div_ceil(SHARD);
        }
    }

    fn put<C: Cache>(&mut self, cache: &mut C, id: u64, old_shards: usize, states: &[u128]) {
        if states.is_empty() {
            let unused: Vec<String> = (0..old_shards).map(|shard| self.key(id, shard)).collect();
            self.remove.extend(unused);
        } else {
            let shards = states.len().div_ceil(SHARD);
            let unused: Vec<String> = (shards..old_shards)
                .map(|shard| self.key(id, shard))
                .collect();
            self.remove.extend(unused);
            for (shard, part) in states.chunks(SHARD).enumerate() {
                let mut value = Vec::with_capacity(HEADER + part.len() * 16);
                value.extend_from_slice(&self.fingerprint);
                value.extend_from_slice(&u32::try_from(shards).unwrap_or(u32::MAX).to_le_bytes());
                for state in part {
                    value.extend_from_slice(&state.to_le_bytes());
                }
                self.waiting_bytes += value.len();
                self.waiting.push((self.key(id, shard), value));
                // A large host has megabytes of them.
                if self.waiting_bytes > WAITING_BYTES {
                    self.flush(cache);
                }
            }
        }
        self.waiting_ids.insert(id);
        // A host that comes by once more must meet this state.
        self.ahead.remove(&id);
        if self.waiting_bytes > WAITING_BYTES {
            self.flush(cache);
        }
    }

    /// Writes what is waiting.
    pub(crate) fn flush<C: Cache>(&mut self, cache: &mut C) {
        self.waiting_bytes = 0;
        self.waiting_ids.clear();
        if !self.remove.is_empty() {
            cache.remove(&self.remove);
            self.remove.clear();
        }
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            if let Err(CacheError::Full | CacheError::TooLarge) = cache.put(&waiting) {
                self.full = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Store(HashMap<String, Vec<u8>>);
    impl Cache for Store {
        fn get(&mut self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
            keys.iter().map(|key| self.0.get(key).cloned()).collect()
        }
        fn put(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(), CacheError> {
            assert!(entries.iter().all(|(_, value)| value.len() <= 32 << 10));
            self.0.extend(entries.iter().cloned());
            Ok(())
        }
        fn remove(&mut self, keys: &[String]) {
            for key in keys {
                self.0.remove(key);
            }
        }
    }

    fn pass(store: &mut Store, fingerprint: &str, states: std::ops::Range<u32>) -> usize {
        let mut memory = Memory::new(Endpoint::Vulnerabilities, fingerprint);
        let mut host = memory.take(store, 7);
        let repeated = states
            .filter(|state| host.recognise(hash(&state.to_string())))
            .count();
        memory.finish(store, 7, &host);
        memory.flush(store);
        repeated
    }

    #[test]
    fn what_was_seen_last_time_is_recognised_and_what_vanished_is_forgotten() {
        let mut store = Store::default();
        assert_eq!(pass(&mut store, "a", 0..5000), 0);
        assert_eq!(store.0.len(), 3);
        assert_eq!(pass(&mut store, "a", 0..5000), 5000);
        assert_eq!(pass(&mut store, "a", 4990..5000), 10);
        assert_eq!(
            store.0.len(),
            1,
            "shards that are no longer needed are removed"
        );
        assert_eq!(pass(&mut store, "a", 0..5000), 10);
    }

    #[test]
    fn other_settings_start_with_an_empty_memory() {
        let mut store = Store::default();
        pass(&mut store, "a", 0..10);
        assert_eq!(pass(&mut store, "b", 0..10), 0);
        assert_eq!(pass(&mut store, "b", 0..10), 10);
    }

    #[test]
    fn the_same_state_twice_in_one_pass_is_recognised() {
        let mut host = HostMemory::default();
        assert!(!host.recognise(1));
        assert!(host.recognise(1));
    }

    #[test]
    fn a_pause_keeps_what_is_still_to_come() {
        let mut store = Store::default();
        pass(&mut store, "a", 0..10);
        let mut memory = Memory::new(Endpoint::Vulnerabilities, "a");
        let mut host = memory.take(&mut store, 7);
        host.recognise(hash("100"));
        memory.pause(&mut store, 7, &mut host);
        memory.flush(&mut store);
        let mut again = Memory::new(Endpoint::Vulnerabilities, "a").take(&mut store, 7);
        assert!(
            again.recognise(hash("9"))
                && again.recognise(hash("100"))
                && !again.recognise(hash("11"))
        );
    }
}
