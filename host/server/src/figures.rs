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

/// The moment from which on something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long before now.
    Ago(Duration),
    /// In milliseconds since 1970.
    At(u64),
}

impl Since {
    /// In milliseconds since 1970, if it lies before `now_ms`.
    ///
    /// # Errors
    /// With what is wrong.
    pub(crate) fn before(self, now_ms: u64) -> Result<u64, String> {
        match self {
            Self::Ago(time) => {
                let ago = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Ok(now_ms.saturating_sub(ago))
            }
            Self::At(moment_ms) if moment_ms <= now_ms => Ok(moment_ms),
            Self::At(moment_ms) => Err(format!(
                "--since {} lies ahead: name a moment before {}",
                moment(moment_ms),
                moment(now_ms)
            )),
        }
    }
}

/// Reads a day (`2026-03-01`, in UTC), a moment (`2026-03-01T06:30:00Z`) or a time ago (`7d`, `12h`).
///
/// # Errors
/// With what can be written.
pub(crate) fn parse_since(text: &str) -> Result<Since, String> {
    const DAY: u64 = 24 * 3600;
    let text = text.trim();
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u64>().ok());
    if let Some(seconds) = days.and_then(|days| days.checked_mul(DAY)) {
        return Ok(Since::Ago(Duration::from_secs(seconds)));
    }
    let moment = match text.len() {
        10 => format!("{text}T00:00:00Z").parse::<Timestamp>(),
        _ => text.parse::<Timestamp>(),
    };
    let milliseconds = moment.ok().map(Timestamp::as_millisecond);
    if let Some(at) = milliseconds.and_then(|number| u64::try_from(number).ok()) {
        return Ok(Since::At(at));
    }
    parse_duration(text).map(Since::Ago).map_err(|_| {
        "neither a day like 2026-03-01, nor a moment like 2026-03-01T06:30:00Z, nor a time ago like 7d or 12h".into()
    })
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
    fn since_is_a_day_a_moment_or_a_time_ago_and_never_ahead() {
        let now = 1_772_442_900_000;
        let since = |text: &str| parse_since(text).and_then(|since| since.before(now));
        assert_eq!(since("2026-03-01"), Ok(1_772_323_200_000));
        assert_eq!(since("2026-03-01T06:30:00Z"), Ok(1_772_346_600_000));
        assert_eq!(since("2d"), Ok(now - 2 * 86_400_000));
        assert_eq!(since("90m"), Ok(now - 5_400_000));
        for refused in ["2026-03-03", "yesterday", "2026-13-01", "-2h", "7"] {
            assert!(since(refused).is_err(), "{refused}");
        }
    }

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
