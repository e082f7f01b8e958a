use super::*;
use crate::arguments::{Arguments, Command};
use crate::search::answer::SearchAnswer;
use crate::search::error::SearchError;
use crate::search::request::SearchRequest;
use crate::search::searcher::Searches;
use serde_json::{Value, json};

fn asked() -> Search {
    let line = ["connector-host", "search", "--index", "syslog"].map(Into::into);
    match Arguments::read(&line).unwrap().command {
        Command::Search(search) => *search,
        other => panic!("{other:?}"),
    }
}

/// 2,500 records.
struct Many;

impl Searches for Many {
    fn search(&self, request: &SearchRequest, now_ms: i64) -> Result<SearchAnswer, SearchError> {
        let records = (0..2_500).map(|number| {
            let record = json!({"n": number, "event": {"severity": number % 5}});
            (format!("id-{number}"), number, record)
        });
        crate::search::documents::search(records, request, now_ms)
    }
}

async fn shown(size: Size, format: output::Format, search: &Search) -> String {
    let source = Source::Here(
        Searcher::default().with_records(Arc::new(Many)),
        Scope::default(),
    );
    let mut out = Vec::new();
    let columns = ["n".to_owned()];
    let mut output = Output::new(&mut out, format, Index::Syslog, &columns);
    let parameters = parameters(search, 0);
    let done = show(&source, &mut output, size, parameters, Index::Syslog, 0).await;
    assert!(done.is_ok());
    drop(output);
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn all_are_shown_page_behind_page_each_once() {
    let search = Search {
        sort: Some("event.severity:desc".into()),
        top: Some("event.severity".into()),
        ..asked()
    };
    let text = shown(Size::All, output::Format::Csv, &search).await;
    let rows: Vec<u64> = text
        .lines()
        .skip(1)
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(rows.len(), 2_500);
    let mut sorted = rows.clone();
    sorted.sort_by_key(|number| (std::cmp::Reverse(number % 5), std::cmp::Reverse(*number)));
    assert_eq!(rows, sorted);

    let json: Value =
        serde_json::from_str(&shown(Size::All, output::Format::Json, &search).await).unwrap();
    assert_eq!(json["hits"]["hits"].as_array().unwrap().len(), 2_500);
    let counts = &json["aggregations"]["top_event.severity"]["buckets"];
    assert_eq!(counts[4]["doc_count"], 500);
}

#[tokio::test]
async fn as_many_are_shown_as_were_asked_for() {
    for size in [0, 1, 20, 1_000] {
        let text = shown(Size::Of(size), output::Format::Csv, &asked()).await;
        assert_eq!(text.lines().count(), size + 1);
    }
}

#[test]
fn a_mistake_in_the_query_is_pointed_at_and_flags_are_called_by_their_names() {
    let search = Search {
        query: Some("a:1 AND (b:2".into()),
        from: Some("soon".into()),
        ..asked()
    };
    let failure = check(&parameters(&search, 0), Index::Syslog, 0).unwrap_err();
    assert_eq!((failure.exit(), failure.code()), (2, "usage"));
    assert_eq!(
        failure.to_string(),
        "the query, column 9: this `(` is not closed: add a `)`, or write \\( for the letter itself
  a:1 AND (b:2
          ^
--from is no time: write 2026-03-01, 2026-03-01T09:15:00Z, now-24h, or milliseconds since 1970"
    );
}

#[test]
fn the_last_hours_are_counted_back_from_now() {
    let search = Search {
        last: Some(std::time::Duration::from_secs(3_600)),
        time_field: TimeField::Timestamp,
        ..asked()
    };
    let parameters = parameters(&search, 10_000_000);
    assert_eq!(parameters.time_from.as_deref(), Some("6400000"));
    let search = parameters.check(Index::Scans, Scope::default(), 10_000_000);
    let time = search.unwrap().request.time.unwrap();
    assert_eq!(time.axis.field(), "timestamp");
    assert_eq!((time.from_ms, time.to_ms), (Some(6_400_000), None));
}
