//! The secrets that this process has read, so that none of them leaves with a log line or an answer.
//!
//! The last fence: what a plugin, a server or the network said was redacted where it was heard. This one stands where text
//! leaves the process, whoever wrote it, and looks for what can be recognised anywhere.
//!
//! Not for records: they are the vendor's data and leave as they were collected.

use connector_runtime::redaction::Redactor;
use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// One for the whole process, like the log that it guards. Kept to its end: an answer is printed after its connector is gone.
static KNOWN: RwLock<Vec<Arc<Redactor>>> = RwLock::new(Vec::new());

/// From now on, these secrets do not leave.
pub(crate) fn keep(redactor: Arc<Redactor>) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .push(redactor);
}

/// A text on its way out.
pub(crate) fn page(text: &str) -> Cow<'_, str> {
    through(text, Redactor::page)
}

/// A JSON document on its way out.
pub(crate) fn json(document: &str) -> Cow<'_, str> {
    through(document, Redactor::json)
}

fn through<'a>(
    text: &'a str,
    redact: impl for<'b> Fn(&Redactor, &'b str) -> Cow<'b, str>,
) -> Cow<'a, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for redactor in known.iter() {
        if let Cow::Owned(redacted) = redact(redactor, &text) {
            text = Cow::Owned(redacted);
        }
    }
    text
}
