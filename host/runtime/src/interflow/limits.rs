//! What one item may be, and the sentence when it is not.

use super::text::shown;

/// Which limits one item must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemLimits {
    /// Largest body, in bytes. Default 16 MiB; never more than 4 GiB less one byte.
    pub body_bytes: usize,
    /// How deep objects and arrays may lie in each other; the body itself is depth 1. Default 64.
    pub depth: usize,
    /// Longest item key, in bytes. Default 512.
    pub key_bytes: usize,
}

impl Default for ItemLimits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            depth: 64,
            key_bytes: 512,
        }
    }
}

/// Why an item was refused. Paths are JSON pointers; offsets count bytes of the body from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is larger than the limit.
    #[error(
        "the body has {bytes} bytes, and one item may have {limit}: cut long texts or split the item"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The body is something else than one object.
    #[error("the body must be one JSON object, and begins with {found} at byte {at}")]
    NotAnObject {
        /// What stands where `{` should.
        found: String,
        /// Where.
        at: usize,
    },
    /// The body is not JSON.
    #[error("the body is not JSON: {what} at byte {at}, in {path:?}")]
    Syntax {
        /// What is wrong.
        what: String,
        /// Where.
        at: usize,
        /// Inside of which member.
        path: String,
    },
    /// Something follows the object.
    #[error("text follows the object's end at byte {at}: one item is one JSON object")]
    TrailingText {
        /// Where it begins.
        at: usize,
    },
    /// Two members of one object have the same key, after unescaping.
    #[error(
        "the key {key} occurs twice in the object {path:?}: its readers would not agree on the value"
    )]
    RepeatedKey {
        /// The key as the body spells it.
        key: String,
        /// The object it repeats in.
        path: String,
    },
    /// A top-level key that the host writes.
    #[error("the key {key} belongs to the envelope, which only the host writes: leave it out")]
    EnvelopeField {
        /// The key as the body spells it.
        key: String,
    },
    /// A top-level key that a reader of dotted paths would take for another field.
    #[error("the top-level key {key} has a dot in it: nest objects instead")]
    DottedKey {
        /// The key as the body spells it.
        key: String,
    },
    /// Objects and arrays lie too deep in each other.
    #[error("the body is nested deeper than {limit} levels at byte {at}")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where the first level too many opens.
        at: usize,
    },
    /// The item's key cannot be used.
    #[error(
        "the item's key {key} cannot be used: a key has 1 to {limit} bytes without control characters"
    )]
    Key {
        /// The key, shortened.
        key: String,
        /// The limit.
        limit: usize,
    },
    /// The event time is not one that a record can have.
    #[error(
        "the event time {time_ms} is not between 2000-01-01 and a day from now (in milliseconds since 1970)"
    )]
    Time {
        /// The item's time.
        time_ms: u64,
    },
}

impl Refusal {
    /// Whether the item was refused for its size alone.
    #[must_use]
    pub const fn is_size(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }
}

/// Checks an item's key: 1 to [`ItemLimits::key_bytes`] bytes, no control characters.
///
/// # Errors
/// [`Refusal::Key`].
pub fn check_key(key: &str, limits: &ItemLimits) -> Result<(), Refusal> {
    if key.is_empty() || key.len() > limits.key_bytes || key.chars().any(char::is_control) {
        return Err(Refusal::Key {
            key: shown(key),
            limit: limits.key_bytes,
        });
    }
    Ok(())
}

/// 2000-01-01T00:00:00Z.
const EARLIEST_MS: u64 = 946_684_800_000;
const DAY_MS: u64 = 86_400_000;

/// Checks an event time: from 2000-01-01 to a day after `now_ms`, all in milliseconds since 1970. A plugin repairs a time
/// outside of that and counts the repair, so one that arrives here is a mistake of the plugin.
///
/// # Errors
/// [`Refusal::Time`].
pub const fn check_time(time_ms: u64, now_ms: u64) -> Result<(), Refusal> {
    if time_ms < EARLIEST_MS || time_ms > now_ms.saturating_add(DAY_MS) {
        return Err(Refusal::Time { time_ms });
    }
    Ok(())
}
