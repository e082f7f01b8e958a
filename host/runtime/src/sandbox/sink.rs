//! The sink: takes a plugin's items, checks each, and holds them until the batch ends.
//!
//! A list is accepted whole or not at all. Room for a whole batch is there before the call, so `emit` never waits.

use super::bindings::interflow::connector::sink::{Host, Item, Reason, Rejection};
use super::state::State;
use crate::interflow::{self, Facts, ItemLimits};
use crate::limits::Limit;
use crate::{Clock, Limits};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// An item that was checked.
#[derive(Clone, Debug)]
pub struct SinkItem {
    /// Identifies this state of this thing.
    pub key: String,
    /// Event time, milliseconds since 1970.
    pub time_ms: u64,
    /// One JSON object.
    pub body: String,
    /// What the check learnt.
    pub facts: Facts,
}

pub(crate) struct Sink {
    open: bool,
    item_limits: ItemLimits,
    list_limit: usize,
    count_limit: u64,
    byte_limit: u64,
    /// Where the item of each key lies.
    keys: HashMap<String, usize>,
    items: Vec<SinkItem>,
    /// Bytes of their bodies, those with a repeated key included.
    pub(crate) bytes: u64,
    /// Items accepted in this batch, those with a repeated key included.
    pub(crate) emitted: u64,
    /// Items whose key had been emitted in this batch before.
    pub(crate) repeated: u64,
}

impl Sink {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open: false,
            item_limits: ItemLimits {
                body_bytes: limits.item_bytes,
                depth: limits.item_depth,
                ..ItemLimits::default()
            },
            list_limit: limits.emit_items,
            count_limit: u64::from(limits.batch_items) + limits.emit_items as u64,
            byte_limit: limits.batch_bytes + limits.item_bytes as u64,
            keys: HashMap::new(),
            items: Vec::new(),
            bytes: 0,
            emitted: 0,
            repeated: 0,
        }
    }

    /// Opens the sink for a batch, empty.
    pub(crate) fn begin_batch(&mut self) {
        self.discard();
        self.open = true;
    }

    /// Forgets what was emitted, and closes.
    pub(crate) fn discard(&mut self) {
        self.open = false;
        self.keys.clear();
        self.items.clear();
        self.bytes = 0;
        self.emitted = 0;
        self.repeated = 0;
    }

    /// Closes, and hands over what was emitted.
    pub(crate) fn take(&mut self) -> Vec<SinkItem> {
        self.open = false;
        std::mem::take(&mut self.items)
    }

    fn accept(&mut self, items: Vec<Item>, clock: &Clock) -> Result<(), Rejection> {
        let refuse = |index: usize, reason, message: String| Rejection {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            reason,
            message,
        };
        if !self.open {
            let message = "Items can be emitted within `collect-batch` only.".into();
            return Err(refuse(0, Reason::Closed, message));
        }
        if items.len() > self.list_limit {
            let message = format!(
                "One `emit` takes at most {} items; send several lists.",
                self.list_limit
            );
            return Err(refuse(self.list_limit, Reason::TooLarge, message));
        }
        let bytes: u64 = items.iter().map(|item| item.body.len() as u64).sum();
        if self.bytes + bytes > self.byte_limit
            || self.emitted + items.len() as u64 > self.count_limit
        {
            let message = "The batch is full; return with `more` set.".into();
            return Err(refuse(0, Reason::Closed, message));
        }
        let now = clock.now_ms();
        let mut facts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let checked = interflow::check_time(item.time_ms, now)
                .and_then(|()| interflow::check_key(&item.key, &self.item_limits))
                .and_then(|()| interflow::check(&item.body, &self.item_limits));
            match checked {
                Ok(fact) => facts.push(fact),
                Err(refusal) => {
                    let reason = if refusal.is_size() {
                        Reason::TooLarge
                    } else {
                        Reason::InvalidItem
                    };
                    return Err(refuse(index, reason, refusal.to_string()));
                }
            }
        }
        let (before, count) = (self.items.len(), items.len() as u64);
        let mut repeated = 0;
        self.items.reserve(items.len());
        for (index, (item, facts)) in items.into_iter().zip(facts).enumerate() {
            match self.keys.entry(item.key.clone()) {
                Entry::Vacant(free) => {
                    free.insert(self.items.len());
                    self.items.push(SinkItem {
                        key: item.key,
                        time_ms: item.time_ms,
                        body: item.body,
                        facts,
                    });
                }
                Entry::Occupied(place) if self.items[*place.get()].body == item.body => {
                    repeated += 1;
                }
                // One of the two would hide the other.
                Entry::Occupied(_) => {
                    for taken_back in self.items.drain(before..) {
                        self.keys.remove(&taken_back.key);
                    }
                    let message = format!(
                        "The key {:?} stands for another body in this batch: another state needs another key.",
                        item.key
                    );
                    return Err(refuse(index, Reason::InvalidItem, message));
                }
            }
        }
        self.bytes += bytes;
        self.emitted += count;
        self.repeated += repeated;
        Ok(())
    }
}

impl Host for State {
    fn emit(&mut self, items: Vec<Item>) -> wasmtime::Result<Result<(), Rejection>> {
        let bytes = |item: &Item| item.key.len() + item.body.len();
        self.note_copied(items.iter().map(bytes).sum());
        let spending = &self.spending;
        spending.note(Limit::EmitItems, items.len() as u64);
        for item in &items {
            spending.note(Limit::ItemBytes, item.body.len() as u64);
        }
        let before = self.sink.items.len();
        let accepted = self.sink.accept(items, &self.clock);
        let deepest = self.sink.items[before..]
            .iter()
            .map(|item| item.facts.depth);
        spending.note(Limit::ItemDepth, deepest.max().unwrap_or(0) as u64);
        Ok(accepted)
    }
}
