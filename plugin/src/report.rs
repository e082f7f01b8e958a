//! Report: what a batch did, for the run's ledger.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::tree::Unknown;

/// Counters of this batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counters {
    pub(crate) pages: u64,
    pub(crate) listed: u64,
    pub(crate) collected: u64,
    pub(crate) clean: u64,
    pub(crate) set_aside: u64,
    pub(crate) vanished: u64,
    pub(crate) repeated: u64,
    pub(crate) repaired: u64,
    pub(crate) time_repaired: u64,
    pub(crate) truncated: u64,
}

/// A host that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SetAside {
    pub(crate) object: String,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// A host of the batch, and what of it was emitted or recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) object: String,
    pub(crate) time_ms: u64,
    pub(crate) emitted: Vec<String>,
    pub(crate) repeated: Vec<String>,
    pub(crate) more: bool,
}

/// Where the walk stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Window {
    pub(crate) walk: &'static str,
    pub(crate) after: Option<String>,
    pub(crate) started: Option<String>,
    pub(crate) position: u64,
    pub(crate) page_size: u64,
}

/// Everything the ledger gets.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) counters: Counters,
    pub(crate) set_aside: Vec<SetAside>,
    pub(crate) unknown_elements: Unknown,
    pub(crate) notices: Vec<Notice>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) window: Window,
    #[serde(skip)]
    pub(crate) seen_bytes: usize,
    #[serde(skip)]
    said: BTreeMap<&'static str, ()>,
}

impl Report {
    /// Adds a notice, once for each code.
    pub(crate) fn notice(&mut self, code: &'static str, message: impl Into<String>) {
        if self.said.insert(code, ()).is_none() {
            self.notices.push(Notice {
                code,
                message: message.into(),
            });
        }
    }

    pub(crate) fn set_aside(
        &mut self,
        object: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        self.counters.listed += 1;
        self.counters.set_aside += 1;
        self.set_aside.push(SetAside {
            object: object.into(),
            code: code.into(),
            message: message.into(),
        });
    }

    pub(crate) fn saw(&mut self, seen: Seen) {
        let names = seen
            .emitted
            .iter()
            .chain(&seen.repeated)
            .map(|name| name.len() + 4)
            .sum::<usize>();
        self.seen_bytes += names + seen.object.len() + 80;
        self.seen.push(seen);
    }
}
