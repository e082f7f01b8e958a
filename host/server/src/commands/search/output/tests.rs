use super::*;
use serde_json::json;

fn answer() -> SearchAnswer {
    let hit = |id: &str, source: Value| Hit {
        index: "scans".into(),
        id: id.into(),
        score: None,
        source,
        sort: vec![json!(1)],
    };
    let hits = vec![
        hit(
            "one",
            json!({"write_time": 1_772_442_900_000_u64, "host": {"name": "a\u{1b}[2J", "ip": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]}, "event": {"severity": 5}}),
        ),
        hit(
            "two",
            json!({"host": {"name": "say \"hi\", twice\nor more"}}),
        ),
    ];
    let counted = json!({
        "histogram": {"buckets": [
            {"key": 1_772_442_000_000_u64, "key_as_string": "", "doc_count": 1200},
            {"key": 1_772_445_600_000_u64, "key_as_string": "", "doc_count": 0},
        ]},
        "top_event.severity": {"sum_other_doc_count": 3, "buckets": [{"key": 5, "doc_count": 30}, {"key": "x", "doc_count": 1}]},
    });
    SearchAnswer::new(7, 1_234, hits, counted.as_object().unwrap().clone())
}

fn written(format: Format, answer: &SearchAnswer) -> String {
    let mut out = Vec::new();
    let columns = ["write_time", "host.name", "host.ip", "event.severity"];
    let columns = columns.map(str::to_owned);
    let mut output = Output::new(&mut out, format, Index::Scans, &columns);
    output.begin(answer).unwrap();
    output.hits(&answer.hits.hits).unwrap();
    output.end().unwrap();
    let written = output.written();
    drop(output);
    assert_eq!(written, out.len() as u64);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_says_how_many_there_are_and_what_was_counted() {
    assert_eq!(
        written(Format::Table, &answer()),
        "write_time            host.name                host.ip                              event.severity
2026-03-02T09:15:00Z  a [2J                    192.0.2.1, 192.0.2.2, 192.0.2.3, +1  5
-                     say \"hi\", twice or more  -                                    -

1,234 hits, 2 shown; --size shows more, --size all every one.

by time:
  2026-03-02T09:00:00.000Z  1,200  ########################################
  2026-03-02T10:00:00.000Z      0

by event.severity:
  5  30  ########################################
  x   1  ##
  and 3 with other values
"
    );
    let nothing = SearchAnswer::new(0, 0, Vec::new(), serde_json::Map::new());
    assert_eq!(written(Format::Table, &nothing), "0 hits.\n");
}

#[test]
fn json_is_the_apis_answer() {
    let answer = answer();
    let read: SearchAnswer = serde_json::from_str(&written(Format::Json, &answer)).unwrap();
    assert_eq!(read, answer);
    let nothing = SearchAnswer::new(0, 0, Vec::new(), serde_json::Map::new());
    let read: SearchAnswer = serde_json::from_str(&written(Format::Json, &nothing)).unwrap();
    assert_eq!(read, nothing);
}

#[test]
fn csv_has_a_header_and_quotes_what_needs_it() {
    assert_eq!(
        written(Format::Csv, &answer()),
        "write_time,host.name,host.ip,event.severity\r\n\
         2026-03-02T09:15:00Z,a\u{1b}[2J,192.0.2.1; 192.0.2.2; 192.0.2.3; 192.0.2.4,5\r\n\
         ,\"say \"\"hi\"\", twice\nor more\",,\r\n"
    );
}
