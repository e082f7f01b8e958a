//! The agenda: when each connector that waits for its time runs next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A connector whose time has come.
pub(super) struct Due {
    pub(super) id: Arc<str>,
    pub(super) tenant: Arc<str>,
    /// When it was due, in milliseconds since 1970.
    pub(super) at: u64,
}

/// Connectors by the moments of their next runs.
#[derive(Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(u64, Arc<str>)>,
    by_id: HashMap<Arc<str>, (u64, Arc<str>)>,
    /// One name for each tenant, however many connectors it has.
    tenants: HashMap<String, Arc<str>>,
}

impl Agenda {
    /// Puts a connector at a moment, in the place of the one that it had.
    pub(super) fn insert(&mut self, id: &str, tenant: &str, at: u64) {
        self.remove(id);
        let id: Arc<str> = id.into();
        let tenant = match self.tenants.get(tenant) {
            Some(tenant) => Arc::clone(tenant),
            None => {
                let shared: Arc<str> = tenant.into();
                self.tenants.insert(tenant.to_owned(), Arc::clone(&shared));
                shared
            }
        };
        self.by_time.insert((at, Arc::clone(&id)));
        self.by_id.insert(id, (at, tenant));
    }

    /// Takes a connector out.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some((id, (at, _))) = self.by_id.remove_entry(id) {
            self.by_time.remove(&(at, id));
        }
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first moment.
    pub(super) fn first(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out those whose moment has come, the longest due first.
    pub(super) fn pop_due(&mut self, now: u64) -> Vec<Due> {
        let mut due = Vec::new();
        while self.first().is_some_and(|at| at <= now) {
            let Some((at, id)) = self.by_time.pop_first() else {
                break;
            };
            if let Some((_, tenant)) = self.by_id.remove(&id) {
                due.push(Due { id, tenant, at });
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_has_one_moment_the_last_that_it_was_given() {
        let mut agenda = Agenda::default();
        agenda.insert("a", "t", 10);
        agenda.insert("b", "t", 20);
        agenda.insert("a", "t", 30);
        assert_eq!(agenda.first(), Some(20));
        agenda.remove("b");
        assert!(agenda.pop_due(29).is_empty());
        let due = agenda.pop_due(30);
        assert_eq!((&*due[0].id, &*due[0].tenant, due[0].at), ("a", "t", 30));
        assert_eq!((due.len(), agenda.first()), (1, None));
    }
}
