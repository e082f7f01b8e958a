//! Timestamps: the vendor's date texts and epoch milliseconds.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// 2000-01-01T00:00:00Z: nothing that is collected is older.
pub(crate) const EARLIEST_MS: u64 = 946_684_800_000;
/// How far ahead of now an event may lie.
pub(crate) const AHEAD_MS: u64 = 24 * 3600 * 1000;

/// Epoch milliseconds of `2026-03-02T09:15:00Z` or `2026-03-02`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let stamp = match text.parse::<Timestamp>() {
        Ok(stamp) => stamp,
        Err(_) if text.len() == 10 => {
            let date: Date = text.parse().ok()?;
            Offset::UTC
                .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
                .ok()?
        }
        Err(_) => return None,
    };
    u64::try_from(stamp.as_millisecond()).ok()
}

/// `2026-03-02T09:15:00Z`, whole seconds.
pub(crate) fn format(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Event time: the vendor's if it is plausible, else the walk's start. The flag marks a repair.
pub(crate) fn event_time(text: Option<&str>, walk_start_ms: u64, now_ms: u64) -> (u64, bool) {
    match text {
        None => (walk_start_ms, false),
        Some(text) => match parse(text) {
            Some(ms) if (EARLIEST_MS..=now_ms + AHEAD_MS).contains(&ms) => (ms, false),
            _ => (walk_start_ms, true),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_with_and_without_a_time_are_read_as_utc() {
        assert_eq!(parse("2026-03-02T08:41:17Z"), Some(1_772_440_877_000));
        assert_eq!(parse("2026-03-02"), Some(1_772_409_600_000));
        assert_eq!(format(1_772_440_877_999), "2026-03-02T08:41:17Z");
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn a_time_outside_of_what_is_possible_becomes_the_walks_start() {
        let now = 1_772_440_877_000;
        assert_eq!(event_time(Some("1999-12-31T23:59:59Z"), 5, now), (5, true));
        assert_eq!(event_time(Some("2026-03-03T08:41:18Z"), 5, now), (5, true));
        assert_eq!(
            event_time(Some("2026-03-03T08:41:17Z"), 5, now),
            (now + AHEAD_MS, false)
        );
        assert_eq!(event_time(None, 5, now), (5, false));
    }
}
