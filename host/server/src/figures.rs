//! Figures for people: counts, sizes, times, and durations as they are typed.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Reads a duration like `90s`, `15m`, `2h` or `1h30m`.
///
/// # Errors
/// With what a duration looks like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    text.trim()
        .parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "not a duration; write it like 90s, 15m or 2h".into())
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// `512 B`, `1.5 kB`, `30.2 MB`: decimal units.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        None => format!("{bytes} B"),
        Some(&(size, unit)) => {
            let tenths = bytes / (size / 10);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// `5.2 MiB`: binary units, as limits are set in.
pub(crate) fn mebibytes(bytes: u64) -> String {
    const TENTH: u64 = (1 << 20) / 10;
    let tenths = bytes / TENTH;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn milliseconds(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `2026-03-02T09:15:00Z`, of milliseconds since 1970.
pub(crate) fn moment(milliseconds: u64) -> String {
    i64::try_from(milliseconds / 1000)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("{milliseconds} ms after 1970"),
            |moment| moment.to_string(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("2h", 7200),
            ("1h30m", 5400),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["", "15", "-1s", "fifteen minutes", "15 x", "1s ago"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn figures_are_short_and_exact() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(1_000, "record"), "1,000 records");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_550), "1.5 kB");
        assert_eq!(bytes(30_249_999), "30.2 MB");
        assert_eq!(mebibytes(5 << 20), "5.0 MiB");
        assert_eq!(milliseconds(432), "0.4 s");
        assert_eq!(milliseconds(59_999), "59 s");
        assert_eq!(milliseconds(185_000), "3 min 5 s");
        assert_eq!(milliseconds(7_800_000), "2 h 10 min");
        assert_eq!(moment(1_772_442_900_000), "2026-03-02T09:15:00Z");
    }
}
