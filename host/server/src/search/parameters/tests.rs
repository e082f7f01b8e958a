use super::*;

fn check(pairs: &[(&str, &str)]) -> Result<Search, Vec<FieldError>> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Parameters::of_pairs(pairs.collect())?.check(Index::Scans, Scope::default(), 1_772_452_800_000)
}

#[test]
fn what_is_not_said_is_as_in_elasticsearch_and_has_no_time_bound() {
    let search = check(&[]).unwrap();
    let request = &search.request;
    assert_eq!((request.from, request.size), (0, 10));
    assert_eq!((request.time, request.histogram), (None, None));
    assert_eq!((&request.query, search.automatic), (&Query::All, None));
    assert!(request.sort.is_empty() && request.top.is_empty());
}

#[test]
fn every_parameter_is_read() {
    let search = check(&[
        ("q", "a:1 b:2"),
        ("default_operator", "and"),
        ("from", "5"),
        ("size", "7"),
        ("sort", "a.b:desc, c"),
        ("time_field", "timestamp"),
        ("time_from", "now-1h"),
        ("time_to", "2026-03-03"),
        ("histogram", "1d"),
        ("top", "a.b, c:3"),
    ])
    .unwrap();
    let request = search.request;
    assert!(matches!(&request.query, Query::And(conditions) if conditions.len() == 2));
    assert_eq!((request.from, request.size), (5, 7));
    let sort: Vec<_> = request
        .sort
        .iter()
        .map(|key| (key.field.as_str(), key.descending))
        .collect();
    assert_eq!(sort, [("a.b", true), ("c", false)]);
    let time = TimeRange {
        axis: TimeAxis::Timestamp,
        from_ms: Some(1_772_452_800_000 - 3_600_000),
        to_ms: Some(1_772_496_000_000),
    };
    assert_eq!(request.time, Some(time));
    let histogram = Histogram {
        axis: TimeAxis::Timestamp,
        interval_ms: 86_400_000,
    };
    assert_eq!(request.histogram, Some(histogram));
    let top: Vec<_> = request
        .top
        .iter()
        .map(|top| (top.field.as_str(), top.size))
        .collect();
    assert_eq!(top, [("a.b", 10), ("c", 3)]);
    let automatic = check(&[("histogram", "auto")]).unwrap();
    assert_eq!(automatic.automatic, Some(TimeAxis::WriteTime));
}

#[test]
fn a_place_in_the_order_has_one_value_for_each_field_and_its_arrival() {
    let after = [("sort", "a"), ("search_after", "[null, 17]")];
    let request = check(&after).unwrap().request;
    assert_eq!(
        request.search_after,
        Some(vec![Value::Null, Value::from(17)])
    );
    for (sort, after) in [
        ("a", "[1]"),
        ("a", "[[1], 2]"),
        ("a", "{}"),
        ("a", "1,2"),
        ("a,b", "[1,2]"),
        ("seq", "[1,2]"),
    ] {
        let mistakes = check(&[("sort", sort), ("search_after", after)]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{sort} {after}");
        assert!(mistakes[0].detail.contains("`sort`"), "{:?}", mistakes[0]);
    }
    let mistakes = check(&[("search_after", "[1]"), ("from", "1")]).unwrap_err();
    assert_eq!(mistakes[0].key.as_deref(), Some("from"));
}

#[test]
fn fields_are_listed_with_commas_between_them() {
    for (name, value) in [
        ("sort", "a,,b"),
        ("sort", ":desc"),
        ("sort", "a:down"),
        ("sort", "a,b,a:desc"),
        ("sort", "a,b,c,d,e,f,g,h,i,j,k"),
        ("top", "a:1001"),
        ("top", "a:x"),
        ("top", ","),
        ("histogram", "0s"),
        ("histogram", "500ms"),
        ("histogram", "99999999999999w"),
        ("histogram", ""),
        ("time_from", ""),
        ("time_from", "1969-12-31"),
    ] {
        let mistakes = check(&[(name, value)]).expect_err(value);
        assert_eq!(mistakes[0].key.as_deref(), Some(name), "{value}");
    }
}

#[test]
fn they_are_written_as_they_are_read() {
    let pairs: Vec<(String, String)> = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), format!("value of {name}")))
        .collect();
    let written = Parameters::of_pairs(pairs.clone()).unwrap().pairs();
    let written: Vec<_> = written
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(written, pairs);
}

#[test]
fn lengths_of_time_have_days_and_weeks() {
    for (text, seconds) in [
        ("90s", 90),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
    ] {
        assert_eq!(length(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    assert!(length("1 fortnight").is_err());
}
