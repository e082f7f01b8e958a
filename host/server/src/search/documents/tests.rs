use super::*;
use crate::search::lucene::{Operator, parse};
use crate::search::request::{Scope, TimeRange};

const HOUR: u64 = 3_600_000;
const BEGIN: u64 = 1_772_323_200_000; // 2026-03-01T00:00:00Z

/// Eight records: two tenants, one an hour, the severities 0 1 2 3 0 ..., every fourth without a host.
fn records() -> Vec<(String, u64, Value)> {
    let record = |number: u64| {
        let mut record = json!({
            "tenantid": format!("{:032}", number % 2),
            "write_time": BEGIN + number * HOUR,
            "timestamp": BEGIN - number * HOUR,
            "event": {"severity": number % 4},
            "host": {"name": format!("Host-{}", number % 3), "ip": [format!("192.0.2.{number}"), "192.0.2.200"]},
            "found": format!("2026-03-0{}T00:00:00{}", 1 + number % 3, if number < 4 { "Z" } else { "+01:00" }),
        });
        if number % 4 == 3 {
            record["host"] = Value::Null;
        }
        (format!("id-{number}"), 100 + number, record)
    };
    (0..8).map(record).collect()
}

fn request(query: &str) -> SearchRequest {
    SearchRequest {
        index: Index::Syslog,
        query: parse(query, Operator::Or).unwrap(),
        scope: Scope::default(),
        time: None,
        from: 0,
        size: 10,
        sort: Vec::new(),
        search_after: None,
        histogram: None,
        top: Vec::new(),
    }
}

fn key(field: &str, descending: bool) -> SortKey {
    SortKey {
        field: field.into(),
        descending,
    }
}

fn ask(request: &SearchRequest) -> SearchAnswer {
    search(records().into_iter(), request, 0).unwrap()
}

fn ids(answer: &SearchAnswer) -> Vec<u64> {
    let hits = answer.hits.hits.iter();
    hits.map(|hit| hit.id["id-".len()..].parse().unwrap())
        .collect()
}

#[test]
fn all_are_counted_and_the_newest_arrivals_come_first() {
    let mut request = request("event.severity:>=2");
    request.size = 3;
    let answer = ask(&request);
    assert_eq!(answer.hits.total.value, 4);
    assert_eq!(ids(&answer), [7, 6, 3]);
    assert_eq!(answer.hits.hits[0].sort, [json!(107)]);
    assert_eq!(answer.hits.hits[0].index, "syslog");
    request.from = 3;
    assert_eq!(ids(&ask(&request)), [2]);
}

#[test]
fn what_has_no_such_field_comes_last_either_way() {
    for (descending, expected) in [
        (false, [6, 0, 4, 1, 5, 2, 7, 3]),
        (true, [5, 2, 4, 1, 6, 0, 7, 3]),
    ] {
        let mut request = request("");
        request.sort = vec![key("host.name", descending)];
        let answer = ask(&request);
        assert_eq!(ids(&answer), expected, "{descending}");
        assert_eq!(answer.hits.hits[7].sort, [Value::Null, json!(103)]);
    }
    let mut request = request("");
    // The first of several texts; downwards the last.
    request.sort = vec![key("host.ip", false)];
    assert_eq!(ids(&ask(&request)), [0, 1, 2, 6, 5, 4, 7, 3]);
    request.sort = vec![key("host.ip", true)];
    assert_eq!(ids(&ask(&request)), [6, 5, 4, 2, 1, 0, 7, 3]);
    // Moments, not their letters: midnight an hour further east comes an hour earlier.
    request.sort = vec![key("found", false)];
    assert_eq!(ids(&ask(&request)), [6, 3, 0, 7, 4, 1, 5, 2]);
    request.sort = vec![key("seq", false)];
    assert_eq!(ids(&ask(&request)), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn page_behind_page_shows_everything_once() {
    for sort in [
        vec![],
        vec![key("event.severity", true)],
        vec![key("host.name", false), key("event.severity", false)],
        vec![key("found", true)],
    ] {
        let mut request = request("");
        request.sort = sort;
        let whole = ids(&ask(&request));
        assert_eq!(whole.len(), 8);
        request.size = 3;
        let mut pages = Vec::new();
        loop {
            let answer = ask(&request);
            assert_eq!(answer.hits.total.value, 8);
            let Some(last) = answer.hits.hits.last() else {
                break;
            };
            // As it comes back from whoever asks.
            let values = serde_json::to_string(&last.sort).unwrap();
            request.search_after = Some(serde_json::from_str(&values).unwrap());
            pages.extend(ids(&answer));
        }
        assert_eq!(pages, whole, "{:?}", request.sort);
    }
}

#[test]
fn tenant_and_time_bound_what_is_found_and_counted() {
    let mut request = request("");
    request.scope.tenant = Some(format!("{:032}", 1));
    assert_eq!(ids(&ask(&request)), [7, 5, 3, 1]);
    let range = |axis, from_ms, to_ms| {
        Some(TimeRange {
            axis,
            from_ms,
            to_ms,
        })
    };
    request.time = range(
        TimeAxis::WriteTime,
        Some(BEGIN + 3 * HOUR),
        Some(BEGIN + 7 * HOUR),
    );
    assert_eq!(ids(&ask(&request)), [5, 3]);
    request.time = range(TimeAxis::Timestamp, Some(BEGIN - 3 * HOUR), None);
    assert_eq!(ids(&ask(&request)), [3, 1]);
}

#[test]
fn a_histogram_fills_its_gaps_and_begins_and_ends_with_what_there_is() {
    let mut request = request("event.severity:(0 OR 3)");
    request.histogram = Some(Histogram {
        axis: TimeAxis::WriteTime,
        interval_ms: 2 * HOUR,
    });
    request.size = 0;
    let answer = ask(&request);
    assert!(answer.hits.hits.is_empty());
    let buckets = answer.aggregations["histogram"]["buckets"]
        .as_array()
        .unwrap();
    let counts: Vec<_> = buckets
        .iter()
        .map(|bucket| bucket["doc_count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!(buckets[0]["key"], BEGIN);
    assert_eq!(buckets[1]["key_as_string"], "2026-03-01T02:00:00.000Z");
    request.query = parse("host.ip:(192.0.2.0 OR 192.0.2.6)", Operator::Or).unwrap();
    let answer = ask(&request);
    let buckets = answer.aggregations["histogram"]["buckets"]
        .as_array()
        .unwrap();
    let counts: Vec<_> = buckets
        .iter()
        .map(|bucket| bucket["doc_count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [1, 0, 0, 1]);

    request.histogram = Some(Histogram {
        axis: TimeAxis::WriteTime,
        interval_ms: 1_000,
    });
    let refused = search(records().into_iter(), &request, 0).unwrap_err();
    assert!(
        matches!(
            refused,
            SearchError::TooManyColumns {
                columns: 21_601,
                ..
            }
        ),
        "{refused}"
    );
    request.query = parse("nothing:here", Operator::Or).unwrap();
    assert_eq!(
        ask(&request).aggregations["histogram"],
        json!({"buckets": []})
    );
}

#[test]
fn top_values_count_each_document_once_a_value_the_most_frequent_first() {
    let mut request = request("");
    request.size = 1;
    request.top = vec![
        TopValues {
            field: "host.ip".into(),
            size: 2,
        },
        TopValues {
            field: "event.severity".into(),
            size: 10,
        },
        TopValues {
            field: "host.name".into(),
            size: 1,
        },
    ];
    let answer = ask(&request);
    assert_eq!(
        answer.aggregations["top_host.ip"],
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 5, "buckets": [
            {"key": "192.0.2.200", "doc_count": 6}, {"key": "192.0.2.0", "doc_count": 1},
        ]})
    );
    let severities = &answer.aggregations["top_event.severity"]["buckets"];
    assert_eq!(severities[0], json!({"key": 0, "doc_count": 2}));
    assert_eq!(severities[3], json!({"key": 3, "doc_count": 2}));
    assert_eq!(
        answer.aggregations["top_host.name"]["buckets"],
        json!([{"key": "Host-0", "doc_count": 2}])
    );
}
