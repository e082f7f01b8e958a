use super::*;

/// 2026-03-05 was a Thursday.
const NOW: &str = "2026-03-05T12:34:56.789Z";

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn a_time_is_a_span_as_wide_as_it_is_written() {
    for (text, first, behind) in [
        ("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        (
            "2026-03-01T09",
            "2026-03-01T09:00:00Z",
            "2026-03-01T10:00:00Z",
        ),
        (
            "2026-03-01T09:15",
            "2026-03-01T09:15:00Z",
            "2026-03-01T09:16:00Z",
        ),
        (
            "2026-03-01 09:15",
            "2026-03-01T09:15:00Z",
            "2026-03-01T09:16:00Z",
        ),
        (
            "2026-03-01T09:15:59Z",
            "2026-03-01T09:15:59Z",
            "2026-03-01T09:16:00Z",
        ),
        (
            "2026-03-01t09:15:00.5z",
            "2026-03-01T09:15:00.5Z",
            "2026-03-01T09:15:00.6Z",
        ),
        (
            "2026-03-01T09:15:00.250+01:00",
            "2026-03-01T08:15:00.250Z",
            "2026-03-01T08:15:00.251Z",
        ),
        (
            "2026-03-01T09:15:00.2509999-0530",
            "2026-03-01T14:45:00.250Z",
            "2026-03-01T14:45:00.251Z",
        ),
        (
            "2026-03-01T00:30+01",
            "2026-02-28T23:30:00Z",
            "2026-02-28T23:31:00Z",
        ),
        (
            "now",
            "2026-03-05T12:34:56.789Z",
            "2026-03-05T12:34:56.790Z",
        ),
        (
            "now-24h",
            "2026-03-04T12:34:56.789Z",
            "2026-03-04T12:34:56.790Z",
        ),
        (
            "now+1d",
            "2026-03-06T12:34:56.789Z",
            "2026-03-06T12:34:56.790Z",
        ),
        (
            "now-d",
            "2026-03-04T12:34:56.789Z",
            "2026-03-04T12:34:56.790Z",
        ),
        ("now/d", "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z"),
        ("now/w", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"),
        ("now-1M/M", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("now/y", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("now/H", "2026-03-05T12:00:00Z", "2026-03-05T13:00:00Z"),
        ("now/m", "2026-03-05T12:34:00Z", "2026-03-05T12:35:00Z"),
        ("now/s", "2026-03-05T12:34:56Z", "2026-03-05T12:34:57Z"),
        (
            "2026-03-01||+1d",
            "2026-03-02T00:00:00Z",
            "2026-03-03T00:00:00Z",
        ),
        (
            "2026-01-31||+1M/d",
            "2026-02-28T00:00:00Z",
            "2026-03-01T00:00:00Z",
        ),
    ] {
        let literal = Literal::read(text, ms(NOW));
        assert_eq!(literal.time, Some((ms(first), ms(behind))), "{text}");
        assert_eq!(literal.text, text);
    }
}

#[test]
fn what_is_no_time_is_none() {
    for text in [
        "",
        "now-",
        "now-1",
        "now-1x",
        "now/2d",
        "nowhere",
        "now -1d",
        "now*2d",
        "now-99999999999y",
        "now-99999999999999999999d",
        "20260",
        "2026-13",
        "2026-02-30",
        "2026-3-1",
        "2026-03-01T",
        "2026-03-01T25",
        "2026-03-01T09:60",
        "2026-03-01T09:15:00.Z",
        "2026-03-01T09:15:00Zulu",
        "2026-03-01T09:15+25:00",
        "2026-03-01T09:15+1",
        "2026-03-01Z",
        "2026Z",
        "||+1d",
        "ü026-03-01",
        "2026-03-0é",
        "9999",
    ] {
        assert_eq!(Literal::read(text, ms(NOW)).time, None, "{text}");
    }
}

#[test]
fn numbers_are_finite_and_written_in_digits() {
    for (text, number) in [
        ("5", 5.0),
        ("5.0", 5.0),
        ("-2", -2.0),
        ("+.5", 0.5),
        ("1e3", 1000.0),
        (" 7 ", 7.0),
    ] {
        assert_eq!(Literal::read(text, 0).number, Some(number), "{text}");
    }
    for text in [
        "",
        "inf",
        "nan",
        "1e999",
        "e",
        "-",
        "0x10",
        "1.2.3",
        "192.0.2.1",
        "CVE-2026-1",
        "5 5",
    ] {
        assert_eq!(Literal::read(text, 0).number, None, "{text}");
    }
}

#[test]
fn truth_is_written_in_any_case() {
    for (text, truth) in [
        ("true", Some(true)),
        ("FALSE", Some(false)),
        ("yes", None),
        ("1", None),
    ] {
        assert_eq!(Literal::read(text, 0).truth, truth, "{text}");
    }
}

#[test]
fn a_field_of_milliseconds_takes_a_time_first_and_then_a_number() {
    let milliseconds = |text| Literal::read(text, ms(NOW)).milliseconds();
    let year = (ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"));
    assert_eq!(milliseconds("2026"), Some(year));
    assert_eq!(
        milliseconds("1772440877000"),
        Some((1_772_440_877_000, 1_772_440_877_001))
    );
    assert_eq!(milliseconds("1e300"), None);
    assert_eq!(milliseconds("soon"), None);
}

#[test]
fn only_a_whole_time_in_a_record_is_a_moment() {
    for text in [
        "2026-03-01T09:15:00Z",
        "2026-03-01T10:15:00+01:00",
        " 2026-03-01T09:15:00.000Z",
    ] {
        assert_eq!(instant(text), Some(ms("2026-03-01T09:15:00Z")), "{text}");
    }
    for text in [
        "2026",
        "2026-03-01",
        "2026-03-01T09:15:00",
        "2026-03-01 09:15:00Z",
        "now",
        "2026-03-01T09:15:00Z and more",
        "äääääääääääääääääää",
    ] {
        assert_eq!(instant(text), None, "{text}");
    }
}
