//! Literals: what a value in a query may stand for beside its text.

/// A value, and what it may stand for. A field decides which of these counts: its numbers are compared with `number`, its
/// times with `time`, its texts with `text`, its truth values with `truth`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    /// As it was written.
    pub(crate) text: String,
    /// A finite number.
    pub(crate) number: Option<f64>,
    /// `true` or `false`.
    pub(crate) truth: Option<bool>,
    /// A span of time, in milliseconds since 1970: its first moment, and the first one behind it. `2026-03-01` is a day,
    /// `2026-03-01T09:15` a minute, `2026-03-01T09:15:00Z` a second, `now-24h` a millisecond.
    pub(crate) time: Option<(i64, i64)>,
}
