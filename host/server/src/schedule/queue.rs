//! The queue for slots: who was asked for first; then round robin between tenants, in each the one that has been due longest.

use super::handle::Asked;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Connectors that wait for a slot.
#[derive(Default)]
pub(super) struct Queue {
    asked: VecDeque<(String, Asked)>,
    /// Tenants with connectors that wait; the first is the next to be served.
    turns: VecDeque<String>,
    /// By tenant: since when each was due.
    waiting: HashMap<String, BTreeSet<(u64, String)>>,
    /// The tenant and due time of each that waits.
    places: HashMap<String, (String, u64)>,
}

impl Queue {
    /// Adds a connector that is due.
    pub(super) fn push(&mut self, tenant: &str, due: u64, id: &str) {
        self.remove_due(id);
        let waiting = self.waiting.entry(tenant.to_owned()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(tenant.to_owned());
        }
        waiting.insert((due, id.to_owned()));
        self.places.insert(id.to_owned(), (tenant.to_owned(), due));
    }

    /// Adds a connector that somebody asked for; false if somebody has before.
    pub(super) fn push_asked(&mut self, id: &str, asked: Asked) -> bool {
        let is_new = self.asked.iter().all(|(waiting, _)| waiting != id);
        if is_new {
            self.asked.push_back((id.to_owned(), asked));
        }
        is_new
    }

    /// Takes out a connector, asked for or due.
    pub(super) fn remove(&mut self, id: &str) {
        self.asked.retain(|(waiting, _)| waiting != id);
        self.remove_due(id);
    }

    /// Takes out a connector that is due.
    pub(super) fn remove_due(&mut self, id: &str) {
        let Some((tenant, due)) = self.places.remove(id) else {
            return;
        };
        if let Some(waiting) = self.waiting.get_mut(&tenant) {
            waiting.remove(&(due, id.to_owned()));
            if waiting.is_empty() {
                self.waiting.remove(&tenant);
                self.turns.retain(|turn| *turn != tenant);
            }
        }
    }

    /// Takes out all that are due; the tenants keep their turns as they come back.
    pub(super) fn clear_due(&mut self) {
        self.turns.clear();
        self.waiting.clear();
        self.places.clear();
    }

    /// The next that somebody asked for.
    pub(super) fn pop_asked(&mut self) -> Option<(String, Asked)> {
        self.asked.pop_front()
    }

    /// The next that is due; its tenant is served again after all others.
    pub(super) fn pop(&mut self) -> Option<String> {
        let tenant = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&tenant)?;
        let (_, id) = waiting.pop_first()?;
        self.places.remove(&id);
        if waiting.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_tenant_with_many_does_not_hold_up_one_with_few() {
        let mut queue = Queue::default();
        for (due, id) in [(3, "a3"), (1, "a1"), (2, "a2")] {
            queue.push("a", due, id);
        }
        queue.push("b", 9, "b9");
        queue.push("c", 8, "c8");
        assert_eq!(popped(&mut queue), ["a1", "b9", "c8", "a2", "a3"]);
    }

    #[test]
    fn one_that_is_taken_out_is_not_served_and_leaves_no_turn_behind() {
        let mut queue = Queue::default();
        queue.push("a", 1, "a1");
        queue.push("b", 2, "b1");
        queue.push("b", 2, "b1");
        queue.remove("a1");
        assert_eq!(popped(&mut queue), ["b1"]);
        queue.push("a", 1, "a1");
        queue.clear_due();
        assert_eq!(queue.pop(), None);
    }
}
