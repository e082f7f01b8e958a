//! Literals: what a value in a query may stand for beside its text.
//!
//! Times are written as RFC 3339 has them, as far as they are known (`2026`, `2026-03`, `2026-03-01`, `2026-03-01T09`,
//! `2026-03-01T09:15:00.250+01:00`; UTC if there is no zone), or counted from now or from a time behind `||`, as
//! Elasticsearch does: `now-24h`, `now+1d`, `now-7d/d`, `2026-03-01||+1M/M`. Units are `y M w d h H m s`; weeks begin on Monday.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// A value, and what it may stand for. A field decides which of these counts: its numbers are compared with `number`, its
/// times with `time`, its texts with `text`, its truth values with `truth`. For a field that holds milliseconds (`timestamp`,
/// `write_time`) `time` counts if there is one, and `number` otherwise.
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

impl Literal {
    /// Reads a value; `now_ms` is what `now` means. Everything can be read: a value that is neither a number nor a time is a
    /// text.
    pub(crate) fn read(text: &str, now_ms: i64) -> Self {
        Self {
            text: text.to_owned(),
            number: number(text),
            truth: truth(text),
            time: time(text.trim(), now_ms),
        }
    }

    /// The span of milliseconds that it means for a field that holds such: its first, and the first behind it.
    pub(crate) fn milliseconds(&self) -> Option<(i64, i64)> {
        self.time.or_else(|| {
            let number = self.number?;
            // Beyond 2^53 a number is no moment that could be meant.
            if number.abs() > 9_007_199_254_740_992.0 {
                return None;
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "its size was checked just above"
            )]
            let first = number.floor() as i64;
            Some((first, first + 1))
        })
    }
}

/// The moment of a text that is a whole RFC 3339 time, with seconds and zone, in milliseconds since 1970. Only such texts of
/// a record count as times.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    // 2026-03-01T09:15:00Z
    let shaped = bytes.len() >= 20
        && bytes.len() <= 40
        && bytes[4] == b'-'
        && matches!(bytes[10], b'T' | b't')
        && bytes[16] == b':'
        && bytes[19..].iter().any(|byte| b"Zz+-".contains(byte));
    shaped
        .then(|| written(text))
        .flatten()
        .map(|(first, _)| first)
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust also reads `inf`, `nan` and `infinity`.
    let shaped = text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = shaped.then(|| text.parse::<f64>().ok()).flatten();
    number.filter(|number| number.is_finite())
}

fn truth(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else {
        text.eq_ignore_ascii_case("false").then_some(false)
    }
}

fn time(text: &str, now_ms: i64) -> Option<(i64, i64)> {
    if let Some(steps) = text.strip_prefix("now") {
        return counted((now_ms, now_ms.checked_add(1)?), steps);
    }
    match text.split_once("||") {
        Some((anchor, steps)) => counted(written(anchor)?, steps),
        None => written(text),
    }
}

/// A unit of time, from a year down to a second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'y' => Self::Year,
            'M' => Self::Month,
            'w' => Self::Week,
            'd' => Self::Day,
            'h' | 'H' => Self::Hour,
            'm' => Self::Minute,
            's' => Self::Second,
            _ => return None,
        })
    }

    fn times(self, number: i64) -> Option<Span> {
        let span = Span::new();
        match self {
            Self::Year => span.try_years(number),
            Self::Month => span.try_months(number),
            Self::Week => span.try_weeks(number),
            Self::Day => span.try_days(number),
            Self::Hour => span.try_hours(number),
            Self::Minute => span.try_minutes(number),
            Self::Second => span.try_seconds(number),
        }
        .ok()
    }
}

/// A span of time after steps like `-7d/d`.
fn counted(mut span: (i64, i64), steps: &str) -> Option<(i64, i64)> {
    let mut steps = steps.chars().peekable();
    while let Some(operator) = steps.next() {
        let mut digits = String::new();
        while let Some(digit) = steps.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let unit = Unit::of(steps.next()?)?;
        span = match (operator, digits.as_str()) {
            ('/', "") => {
                let first = floor(span.0, unit)?;
                (first, shifted(first, unit, 1)?)
            }
            ('+' | '-', digits) => {
                let number: i64 = match digits {
                    "" => 1,
                    digits => digits.parse().ok()?,
                };
                let number = if operator == '-' { -number } else { number };
                (
                    shifted(span.0, unit, number)?,
                    shifted(span.1, unit, number)?,
                )
            }
            _ => return None,
        };
    }
    Some(span)
}

fn civil(ms: i64) -> Option<DateTime> {
    let moment = Timestamp::from_millisecond(ms).ok()?;
    Some(TimeZone::UTC.to_datetime(moment))
}

fn milliseconds(civil: DateTime) -> Option<i64> {
    let moment = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(moment.as_millisecond())
}

fn shifted(ms: i64, unit: Unit, number: i64) -> Option<i64> {
    let moved = civil(ms)?.checked_add(unit.times(number)?).ok()?;
    milliseconds(moved)
}

fn floor(ms: i64, unit: Unit) -> Option<i64> {
    let at = civil(ms)?;
    let date = at.date();
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let floor = match unit {
        Unit::Year => date.first_of_year().at(0, 0, 0, 0),
        Unit::Month => date.first_of_month().at(0, 0, 0, 0),
        Unit::Week => {
            let since_monday = i64::from(date.weekday().to_monday_zero_offset());
            let monday = date.checked_sub(since_monday.days()).ok()?;
            monday.at(0, 0, 0, 0)
        }
        Unit::Day => date.at(0, 0, 0, 0),
        Unit::Hour => date.at(hour, 0, 0, 0),
        Unit::Minute => date.at(hour, minute, 0, 0),
        Unit::Second => date.at(hour, minute, second, 0),
    };
    milliseconds(floor)
}

/// What is left of a text that is read from its beginning.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn skip(&mut self, letters: &[char]) -> bool {
        match self.0.strip_prefix(letters) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// So many digits, as a number.
    fn digits<N: std::str::FromStr>(&mut self, count: usize) -> Option<N> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let shaped = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = shaped.then(|| digits.parse().ok()).flatten()?;
        self.0 = rest;
        Some(number)
    }

    /// `Z`, `+01:00`, `-0530`, `+01`, or nothing, in milliseconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.skip(&['Z', 'z']) {
            return Some(0);
        }
        let west = self.0.starts_with('-');
        if !self.skip(&['+', '-']) {
            return None;
        }
        let hours: i64 = self.digits(2)?;
        let minutes: i64 = match self.skip(&[':']) || !self.0.is_empty() {
            true => self.digits(2)?,
            false => 0,
        };
        if hours > 23 || minutes > 59 {
            return None;
        }
        let east = (hours * 60 + minutes) * 60_000;
        Some(if west { -east } else { east })
    }
}

/// The span of a time that is written out, as far as it is.
fn written(text: &str) -> Option<(i64, i64)> {
    let mut rest = Rest(text);
    let year = rest.digits(4)?;
    let (mut month, mut day, mut unit) = (1, 1, Unit::Year);
    if rest.skip(&['-']) {
        (month, unit) = (rest.digits(2)?, Unit::Month);
        if rest.skip(&['-']) {
            (day, unit) = (rest.digits(2)?, Unit::Day);
        }
    }
    let date = Date::new(year, month, day).ok()?;
    if unit != Unit::Day || !rest.skip(&['T', 't', ' ']) {
        let first = milliseconds(date.at(0, 0, 0, 0))?;
        let whole = rest.0.is_empty();
        return whole.then(|| Some((first, shifted(first, unit, 1)?)))?;
    }
    let hour = rest.digits(2)?;
    let (mut minute, mut second, mut unit) = (0, 0, Unit::Hour);
    // The first fraction of the second, and how long it is, in milliseconds.
    let mut fraction = None;
    if rest.skip(&[':']) {
        (minute, unit) = (rest.digits(2)?, Unit::Minute);
        if rest.skip(&[':']) {
            (second, unit) = (rest.digits(2)?, Unit::Second);
            if rest.skip(&['.', ',']) {
                fraction = Some(fraction_of(&mut rest)?);
            }
        }
    }
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    let first = milliseconds(date.to_datetime(time))?;
    let east = rest.zone()?;
    if !rest.0.is_empty() {
        return None;
    }
    let (first, behind) = match fraction {
        Some((part, length)) => (first + part, first + part + length),
        None => (first, shifted(first, unit, 1)?),
    };
    Some((first - east, behind - east))
}

fn fraction_of(rest: &mut Rest<'_>) -> Option<(i64, i64)> {
    let count = rest.0.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, behind) = rest.0.split_at(count);
    if digits.is_empty() {
        return None;
    }
    rest.0 = behind;
    let (mut part, mut length) = (0, 1_000);
    for digit in digits.bytes().take(3) {
        length /= 10;
        part += i64::from(digit - b'0') * length;
    }
    Some((part, length))
}

#[cfg(test)]
mod tests;
