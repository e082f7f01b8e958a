//! Outbox: items of a batch on their way to the host, handed over in lists of a few hundred kilobytes.
//!
//! Items are used again, so that a batch of any size costs the memory of one list.

use crate::environment::{Item, Rejection, Sink};

/// A list is handed over at this size.
const LIST_BYTES: usize = 256 << 10;
/// Or with this many items.
const LIST_ITEMS: usize = 1_000;

/// Items that are not yet handed over.
#[derive(Default)]
pub(crate) struct Outbox {
    items: Vec<Item>,
    used: usize,
    bytes: usize,
    /// Items handed over or waiting in this batch.
    pub(crate) total_items: u64,
    /// Their bytes.
    pub(crate) total_bytes: u64,
}

impl Outbox {
    /// Adds an item that `fill` writes.
    pub(crate) fn add<S: Sink>(
        &mut self,
        sink: &mut S,
        key: &str,
        time_ms: u64,
        fill: impl FnOnce(&mut String),
    ) -> Result<(), Rejection> {
        if self.used == self.items.len() {
            self.items.push(Item::default());
        }
        let item = &mut self.items[self.used];
        item.key.clear();
        item.key.push_str(key);
        item.time_ms = time_ms;
        item.body.clear();
        fill(&mut item.body);
        let size = item.key.len() + item.body.len();
        self.used += 1;
        self.bytes += size;
        self.total_items += 1;
        self.total_bytes += size as u64;
        if self.bytes >= LIST_BYTES || self.used >= LIST_ITEMS {
            self.flush(sink)?;
        }
        Ok(())
    }

    /// Hands over what is waiting.
    pub(crate) fn flush<S: Sink>(&mut self, sink: &mut S) -> Result<(), Rejection> {
        if self.used == 0 {
            return Ok(());
        }
        sink.emit(&mut self.items[..self.used])?;
        self.used = 0;
        self.bytes = 0;
        // A list of very large items must not stay allocated for small ones.
        let held: usize = self.items.iter().map(|item| item.body.capacity()).sum();
        if held > 4 * LIST_BYTES {
            self.items.clear();
        }
        Ok(())
    }
}
