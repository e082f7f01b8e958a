//! What a run tells while it is under way: for a progress display, a log, a test.

use super::ContentLedger;
use crate::sandbox::LogLine;
use std::time::Duration;

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run is noted in the journal.
    Started {
        /// Its id there.
        run: &'a str,
    },
    /// A batch is durable. The ledger is that of the content type so far.
    Committed {
        /// So far.
        ledger: &'a ContentLedger,
    },
    /// The run waits.
    Waiting {
        /// For this content type.
        content_type: &'a str,
        /// How long; zero if that depends on another request's end.
        time: Duration,
        /// Why, in a sentence.
        reason: &'a str,
    },
    /// The plugin wrote a log line.
    Log(&'a LogLine),
    /// A content type has ended.
    Ended {
        /// Its ledger.
        ledger: &'a ContentLedger,
    },
}

/// Listens to a run.
pub trait Observer: Send + Sync {
    /// Called on the run's own task: be quick.
    fn event(&self, event: &Event<'_>);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event<'_>) {}
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}
