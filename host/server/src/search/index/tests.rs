//! The index against the model: documents that are searched one by one.

use super::*;
use crate::config::search::Keep;
use crate::connectors::schema::migrations;
use crate::consumers::Consumer as _;
use crate::search::documents;
use crate::search::lucene::{Operator, parse};
use crate::search::request::{Histogram, Scope, SortKey, TimeAxis, TimeRange, TopValues};
use connector_runtime::Clock;
use connector_runtime::journal::{Block, Commit as Batch, Journal};
use serde_json::json;

/// 2026-03-02T08:41:17Z.
const NOW: u64 = 1_772_440_877_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A journal, a consumer of it, and the index.
struct Bench {
    directory: tempfile::TempDir,
    journal: Journal,
    clock: Clock,
    consumer: IndexConsumer,
    index: SearchIndex,
    offset: u64,
    /// What was committed, in the order of arrival.
    records: Vec<(String, u64, Value)>,
}

impl Bench {
    fn new(retention: Retention) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(NOW);
        let mut consumer = IndexConsumer::new(directory.path(), retention, &clock);
        assert_eq!(consumer.open(0).unwrap(), 0);
        Self {
            journal: Journal::open(directory.path(), migrations()).unwrap(),
            index: SearchIndex::new(directory.path(), retention),
            directory,
            clock,
            consumer,
            offset: 0,
            records: Vec::new(),
        }
    }

    /// Commits records to the journal.
    async fn write(&mut self, tenant: &str, indices: &[Listed], records: Vec<Value>) -> u64 {
        let mut lines = String::new();
        for record in &records {
            lines.push_str(&record.to_string());
            lines.push('\n');
        }
        let offset = self.write_lines(tenant, indices, &lines).await;
        for (line, record) in records.into_iter().enumerate() {
            let id = record["stellar_uuid"].as_str().unwrap()[..36].to_owned();
            self.records.retain(|(known, _, _)| *known != id);
            let seq = (offset << 20) + line as u64;
            self.records.push((id, seq, record));
        }
        offset
    }

    async fn write_lines(&mut self, tenant: &str, indices: &[Listed], lines: &str) -> u64 {
        let connector = self.journal.connector(tenant, "a", "acme-scanner").unwrap();
        let count = lines.lines().count() as u64;
        let times = (count > 0).then_some((1, 1));
        let block = Block::press(indices, count, times, lines.as_bytes(), b"").unwrap();
        let commit = Batch {
            connector: connector.id,
            content_type: "assets".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms: self.clock.now_ms(),
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block),
        };
        self.journal.commit(commit).await.unwrap().offset.unwrap()
    }

    fn take(&mut self) {
        for block in self.journal.blocks(None, self.offset) {
            let block = block.unwrap();
            self.offset = block.offset;
            self.consumer.take(&block).unwrap();
        }
    }

    /// Takes what there is, and commits it.
    fn follow(&mut self) {
        self.take();
        self.consumer.commit(self.offset).unwrap();
    }

    fn search(&self, request: &SearchRequest) -> SearchAnswer {
        self.index.search(request, self.clock.now_ms()).unwrap()
    }

    fn count(&self, query: &str) -> u64 {
        self.search(&asked(query)).hits.total.value
    }
}

fn uuid(number: u64) -> String {
    format!("7d1c5a52-3c0e-5d1b-9a4e-{number:012x}")
}

#[expect(clippy::needless_pass_by_value, reason = "a test reads better so")]
fn record(number: u64, body: Value) -> Value {
    let timestamp = NOW - number * 7 * MINUTE;
    let mut record = json!({
        "msg_class": "acme_findings",
        "timestamp": timestamp,
        "write_time": NOW + number * MINUTE,
        "stellar_uuid": format!("{}{timestamp}", uuid(number)),
        "tenantid": "x",
    });
    record
        .as_object_mut()
        .unwrap()
        .extend(body.as_object().unwrap().clone());
    record
}

fn asked(query: &str) -> SearchRequest {
    SearchRequest {
        index: Listed::Syslog,
        query: parse(query, Operator::Or).unwrap(),
        scope: Scope::default(),
        time: None,
        from: 0,
        size: 1_000,
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

fn ids(answer: &SearchAnswer) -> Vec<String> {
    answer.hits.hits.iter().map(|hit| hit.id.clone()).collect()
}

const BOTH: [Listed; 2] = [Listed::Syslog, Listed::Scans];

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn of<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.below(values.len())]
    }
}

const NAMES: [&str; 8] = [
    "build-07.corp.example.test",
    "BUILD-08.corp.example.test",
    "Größe 12",
    "db",
    "192.0.2.15",
    "",
    "--",
    "2001:db8::7",
];
const TIMES: [&str; 6] = [
    "2026-03-01T09:15:00Z",
    "2026-03-01T23:59:59.999Z",
    "2026-03-02T00:00:00Z",
    "2026-03-01T02:00:00+02:00",
    "2025-12-31T12:00:00Z",
    "2026-03-01",
];

fn body(dice: &mut Dice) -> Value {
    let long = format!("{} needle {}", "hay ".repeat(80), "stack ".repeat(80));
    let name = dice.of(&NAMES);
    let mut body = json!({
        "srcip": format!("192.0.2.{}", dice.below(20)),
        "host": {"name": name, "ip": [format!("192.0.2.{}", dice.below(9)), "198.51.100.1"]},
        "event": {"severity": dice.below(6), "severity_str": dice.of(&["low", "high", "Very High"])},
        "patchable": dice.below(2) == 0,
        "found": dice.of(&TIMES),
        "vulnerability": {"status": dice.of(&["Active", "Fixed", "Re-Opened", "New"])},
        "acme_scanner": {"tags": [{"name": dice.of(&["web", "db"]), "score": dice.below(4)}, {"name": "all"}]},
    });
    match dice.below(4) {
        0 => body["mixed"] = json!("5"),
        1 => body["mixed"] = json!(5),
        2 => body["mixed"] = json!(-2.5),
        _ => body["mixed"] = json!([true, "high ground", 7]),
    }
    if dice.below(3) == 0 {
        body["host"] = Value::Null;
    }
    if dice.below(3) == 0 {
        let base = [1.5, 8.1, -0.25, 10.75][dice.below(4)];
        body["score"] = json!({"base": base});
    }
    if dice.below(5) == 0 {
        body["results"] = json!(long);
    }
    if dice.below(7) == 0 {
        body["empty"] = json!({"list": [], "object": {}});
    }
    body
}

const CONDITIONS: [&str; 60] = [
    "host.name:build",
    "host.name:BUILD-07.corp.example.test",
    "host.name:\"corp example\"",
    "host.name:\"example corp\"",
    "host.name:build-0*",
    "host.name:*example*",
    "host.name:?b",
    "host.name:gr*e",
    "host.name:größe",
    "host.name:\"--\"",
    "host.name:\"\"",
    "host.name:\"2001:db8::7\"",
    "host.name:[a TO c]",
    "host.name:{build-07.corp.example.test TO *]",
    "host.name:[* TO db}",
    "host.ip:192.0.2.3",
    "host.ip:\"0.2\"",
    "host.ip:198.51.100.1",
    "srcip:192.0.2.1*",
    "srcip:[192.0.2.10 TO 192.0.2.15]",
    "_exists_:host",
    "_exists_:host.name",
    "_exists_:score.base",
    "_exists_:empty",
    "_exists_:acme_scanner",
    "_exists_:results",
    "host.name:*",
    "event.severity:5",
    "event.severity:>=4",
    "event.severity:<2",
    "event.severity:[2 TO 4}",
    "event.severity:{2.5 TO 3.5}",
    "event.severity:high",
    "event.severity_str:high",
    "event.severity_str:\"very high\"",
    "score.base:8.1",
    "score.base:[-1 TO 8.1]",
    "score.base:>8.1",
    "patchable:true",
    "patchable:FALSE",
    "mixed:5",
    "mixed:5.0",
    "mixed:high",
    "mixed:[1 TO 6]",
    "mixed:-2.5",
    "mixed:true",
    "found:2026-03-01",
    "found:\"2026-03-01T09:15:00Z\"",
    "found:[2026-03-01 TO 2026-03-02]",
    "found:{2026-03-01 TO *]",
    "found:[2025 TO 2026-03-01}",
    "found:2026*",
    "found:<2026-03-02",
    "vulnerability.status:Re-Opened",
    "vulnerability.status:opened",
    "acme_scanner.tags.name:web",
    "acme_scanner.tags.score:3",
    "results:needle",
    "results:\"hay needle\"",
    "high",
];

fn query(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 3 } else { 7 }) {
        0..=2 => dice.of(&CONDITIONS).to_owned(),
        3 => format!("NOT ({})", query(dice, depth - 1)),
        4 => format!("({} OR {})", query(dice, depth - 1), query(dice, depth - 1)),
        _ => format!(
            "({} AND {})",
            query(dice, depth - 1),
            query(dice, depth - 1)
        ),
    }
}

/// Several segments, in which the same paths have columns of different kinds.
async fn filled() -> Bench {
    let mut bench = Bench::new(Retention::default());
    let mut dice = Dice(7);
    let mut number = 0;
    for block in 0..12 {
        let mut records = Vec::new();
        for _ in 0..25 {
            // Some come again, with another body.
            let id = match dice.below(6) {
                0 => dice.below(1 + number) as u64,
                _ => number as u64,
            };
            number += 1;
            if records
                .iter()
                .all(|known: &Value| known["stellar_uuid"] != record(id, json!({}))["stellar_uuid"])
            {
                records.push(record(id, body(&mut dice)));
            }
        }
        bench.write("acme", &BOTH, records).await;
        if block % 3 == 2 {
            bench.follow();
        }
    }
    bench
}

fn model(bench: &Bench, request: &SearchRequest) -> SearchAnswer {
    let now_ms = i64::try_from(bench.clock.now_ms()).unwrap();
    documents::search(bench.records.iter().cloned(), request, now_ms).unwrap()
}

#[tokio::test]
async fn the_index_answers_as_the_documents_do_one_by_one() {
    let bench = filled().await;
    let mut dice = Dice(11);
    let mut matched = 0;
    let fields = [
        "host.name",
        "event.severity",
        "found",
        "mixed",
        "patchable",
        "results",
        "score.base",
        "timestamp",
        "seq",
        "acme_scanner.tags.name",
    ];
    let mut queries: Vec<_> = CONDITIONS.map(str::to_owned).into();
    for field in ["timestamp", "write_time"] {
        queries.push(format!("{field}:{NOW}"));
        queries.push(format!("{field}:>={NOW}"));
        queries.push(format!("{field}:2026-03-02"));
        queries.push(format!("{field}:{{2026-03-01 TO now]"));
        queries.push(format!("{field}:<now-1h"));
        queries.push(format!("_exists_:{field}"));
        queries.push(format!("{field}:17*"));
    }
    let first = &bench.records[0];
    queries.push(format!("_id:{}", first.0));
    queries.push(format!("stellar_uuid:{}", first.0.to_uppercase()));
    queries.push(format!(
        "stellar_uuid:{}",
        first.2["stellar_uuid"].as_str().unwrap()
    ));
    queries.push(format!("stellar_uuid:{}1772440877001", first.0));
    queries.push("_exists_:_id".into());
    for _ in 0..500 {
        queries.push(query(&mut dice, 3));
    }
    for text in queries {
        let mut request = asked(&text);
        for _ in 0..dice.below(3) {
            request.sort.push(key(dice.of(&fields), dice.below(2) == 0));
        }
        request.top = vec![TopValues {
            field: dice.of(&fields[..7]).into(),
            size: 3,
        }];
        request.histogram = Some(Histogram {
            axis: TimeAxis::Timestamp,
            interval_ms: 60 * MINUTE,
        });
        if dice.below(4) == 0 {
            request.time = Some(TimeRange {
                axis: TimeAxis::WriteTime,
                from_ms: Some(NOW + 50 * MINUTE),
                to_ms: Some(NOW + 100 * MINUTE),
            });
        }
        let expected = model(&bench, &request);
        let found = bench.search(&request);
        assert_eq!(found.hits.total, expected.hits.total, "{text}");
        assert_eq!(ids(&found), ids(&expected), "{text} {:?}", request.sort);
        assert_eq!(found.hits, expected.hits, "{text} {:?}", request.sort);
        assert_eq!(found.aggregations, expected.aggregations, "{text}");
        matched += found.hits.total.value;
    }
    assert!(matched > 10_000, "{matched}");
}

#[tokio::test]
async fn a_deep_list_is_walked_page_by_page_in_any_order() {
    let bench = filled().await;
    for fields in [
        vec![],
        vec![key("host.name", true)],
        vec![key("found", false), key("mixed", true)],
        vec![key("results", false)],
        vec![key("patchable", true), key("event.severity", false)],
    ] {
        let mut request = asked("*");
        request.sort = fields;
        let all = bench.search(&request);
        request.size = 7;
        let mut walked = Vec::new();
        loop {
            let page = bench.search(&request);
            assert_eq!(page.hits.total, all.hits.total);
            let Some(last) = page.hits.hits.last() else {
                break;
            };
            request.search_after = Some(last.sort.clone());
            walked.extend(page.hits.hits);
        }
        assert_eq!(walked, all.hits.hits);
    }
}

#[tokio::test]
async fn a_record_counts_once_however_often_it_came() {
    let mut bench = Bench::new(Retention::default());
    for state in ["New", "Active", "Fixed"] {
        let records = (0..10).map(|number| record(number, json!({"state": state})));
        bench.write("acme", &BOTH, records.collect()).await;
        // The second comes before the first was committed, the third behind it.
        if state != "New" {
            bench.follow();
        }
    }
    assert_eq!(bench.count("*"), 10);
    assert_eq!(bench.count("state:Fixed"), 10);
    assert_eq!(bench.count("state:New"), 0);
    // The same blocks again, as after a crash before the journal has noted the commit.
    bench.offset = 0;
    bench.follow();
    assert_eq!(bench.count("*"), 10);
    assert_eq!(bench.count("state:Fixed"), 10);
}

#[tokio::test]
async fn what_was_not_committed_is_gone_and_the_index_goes_on_behind_its_last_commit() {
    let mut bench = Bench::new(Retention::default());
    let first = bench.write("acme", &BOTH, vec![record(1, json!({}))]).await;
    bench.follow();
    bench.write("acme", &BOTH, vec![record(2, json!({}))]).await;
    bench.take();
    assert_eq!(bench.count("*"), 1);
    // In this process, and in the next one.
    assert_eq!(bench.consumer.open(0).unwrap(), first);
    let retention = Retention::default();
    bench.consumer = IndexConsumer::new(bench.directory.path(), retention, &bench.clock);
    assert_eq!(bench.consumer.open(99).unwrap(), first);
    assert_eq!(bench.count("*"), 1);
    bench.offset = first;
    bench.follow();
    assert_eq!(bench.count("*"), 2);
}

#[tokio::test]
async fn a_folder_that_is_gone_damaged_or_of_another_version_is_built_anew() {
    let mut bench = Bench::new(Retention::default());
    bench.write("acme", &BOTH, vec![record(1, json!({}))]).await;
    bench.follow();
    assert_eq!(bench.count("*"), 1);
    let folder = bench.directory.path().join("index");
    // While it is open: a commit notices, and so does a look in between.
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(
        bench.index.search(&asked("*"), NOW),
        Err(SearchError::Unavailable(_))
    ));
    let error = bench.consumer.commit(bench.offset).unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
    assert!(bench.consumer.rest().is_err());
    let damages: [fn(&Path); 4] = [
        |_| {},
        |folder| std::fs::write(folder.join("meta.json"), "{").unwrap(),
        |folder| {
            let meta = std::fs::read_to_string(folder.join("meta.json")).unwrap();
            let other = meta.replace("\\\"schema\\\":1", "\\\"schema\\\":999");
            assert_ne!(meta, other);
            std::fs::write(folder.join("meta.json"), other).unwrap();
        },
        |folder| {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|kind| kind == "idx") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        },
    ];
    for damage in damages {
        bench.consumer.writing = None;
        damage(&folder);
        assert_eq!(bench.consumer.open(7).unwrap(), 0);
        bench.offset = 0;
        bench.follow();
        assert_eq!(bench.count("*"), 1);
    }
}

#[tokio::test]
async fn a_tenant_finds_its_own_records_whatever_the_query_says() {
    let mut bench = Bench::new(Retention::default());
    bench.write("acme", &BOTH, vec![record(1, json!({}))]).await;
    bench
        .write("other", &BOTH, vec![record(2, json!({}))])
        .await;
    bench
        .write("other", &[Listed::Syslog], vec![record(3, json!({}))])
        .await;
    bench
        .write("other", &[Listed::Assets], vec![record(4, json!({}))])
        .await;
    bench.follow();
    let block = bench.journal.blocks(None, 0).next().unwrap().unwrap();
    let mut request = asked("* OR NOT tenantid:x OR _exists_:timestamp");
    assert_eq!(bench.search(&request).hits.total.value, 3);
    request.scope.tenant = Some(block.tenant_id);
    assert_eq!(ids(&bench.search(&request)), [uuid(1)]);
    request.scope.tenant = Some("nobody".into());
    assert_eq!(bench.search(&request).hits.total.value, 0);
    request.scope.tenant = None;
    request.index = Listed::Scans;
    assert_eq!(ids(&bench.search(&request)), [uuid(2), uuid(1)]);
}

#[tokio::test]
async fn a_record_is_hidden_where_its_time_has_ended_and_deleted_when_it_has_everywhere() {
    let mut retention = Retention::default();
    retention.syslog.days = 10;
    retention.scans.days = 20;
    let mut bench = Bench::new(retention);
    bench.write("acme", &BOTH, vec![record(1, json!({}))]).await;
    bench
        .write("acme", &[Listed::Syslog], vec![record(2, json!({}))])
        .await;
    bench.follow();
    let mut scans = asked("*");
    scans.index = Listed::Scans;
    let documents = |bench: &Bench| {
        let status = bench.index.status(bench.clock.now_ms()).unwrap().unwrap();
        status.documents
    };
    bench.consumer.rest().unwrap();
    assert_eq!((bench.count("*"), documents(&bench)), (2, 2));
    for (days, in_syslog, in_scans, kept) in [(11, 0, 1, 1), (10, 0, 0, 0)] {
        bench
            .clock
            .advance(std::time::Duration::from_millis(days * DAY));
        // Hidden at once, deleted by and by.
        assert_eq!(bench.count("*"), in_syslog);
        assert_eq!(bench.search(&scans).hits.total.value, in_scans);
        bench.consumer.rest().unwrap();
        assert_eq!(documents(&bench), kept);
    }
}

#[tokio::test]
async fn the_newest_records_stay_within_the_size_of_each_index() {
    let pad = |number| record(number, json!({"text": "x".repeat(1_000)}));
    let mut retention = Retention::default();
    let line = pad(11).to_string().len() as u64 + 1;
    retention.scans = Keep {
        days: 30,
        bytes: Some(4 * line + line / 2),
    };
    let mut bench = Bench::new(retention);
    for block in 5..9 {
        let records = vec![pad(2 * block), pad(2 * block + 1)];
        bench.write("acme", &BOTH, records).await;
    }
    bench.write("acme", &[Listed::Scans], vec![pad(4)]).await;
    bench.follow();
    bench.consumer.rest().unwrap();
    let mut scans = asked("*");
    scans.index = Listed::Scans;
    // Whole blocks: the last has one record, the two before it two each are one too many.
    assert_eq!(ids(&bench.search(&scans)), [uuid(4), uuid(17), uuid(16)]);
    assert_eq!(bench.count("*"), 8);
    // The floor outlives the process, and it only rises.
    let index = SearchIndex::new(bench.directory.path(), retention);
    assert_eq!(index.search(&scans, NOW).unwrap().hits.total.value, 3);
    assert_eq!(bench.consumer.open(0).unwrap(), bench.offset);
}

#[tokio::test]
async fn long_texts_are_found_by_their_words() {
    let mut bench = Bench::new(Retention::default());
    let text = format!("{}needle\thaystack", "hay ".repeat(64 << 10));
    let records = (0..40).map(|number| record(number, json!({"results": text})));
    bench.write("acme", &BOTH, records.collect()).await;
    bench.follow();
    assert_eq!(bench.count("results:\"needle haystack\""), 40);
    assert_eq!(bench.count("_exists_:results"), 40);
    let mut request = asked("*");
    request.top = vec![TopValues {
        field: "results".into(),
        size: 3,
    }];
    let answer = bench.search(&request);
    assert_eq!(answer.aggregations["top_results"]["buckets"], json!([]));
    assert_eq!(answer.hits.hits[0].source["results"], text.as_str());
}

#[tokio::test]
async fn what_cannot_be_answered_whole_is_refused_with_a_sentence() {
    let bench = filled().await;
    let mut request = asked("*");
    request.histogram = Some(Histogram {
        axis: TimeAxis::WriteTime,
        interval_ms: 1,
    });
    let refused = |request: &SearchRequest| {
        let error = bench.index.search(request, NOW).unwrap_err();
        assert!(error.is_of_the_request(), "{error}");
        error.to_string()
    };
    assert!(refused(&request).contains("columns"));
    request.histogram = None;
    request.search_after = Some(vec![json!(1), json!(2)]);
    assert!(refused(&request).contains("search_after"));
    request.search_after = None;
    request.size = MOST_HITS + 1;
    assert!(refused(&request).contains("search_after"));
    request.size = 1;
    request.sort = vec![key("_id", false)];
    assert!(refused(&request).contains("_id"));
    request.sort = vec![key("a", false); 5];
    assert!(refused(&request).contains("at most 4 fields"));
}

#[test]
fn two_processes_do_not_write_the_same_index() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(NOW);
    let consumer = || IndexConsumer::new(directory.path(), Retention::default(), &clock);
    let mut first = consumer();
    first.open(0).unwrap();
    let error = consumer().open(0).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    assert_eq!(consumer().open(0).unwrap(), 0);
}

#[tokio::test]
async fn a_record_that_no_reader_of_numbers_can_read_is_found_and_shown_all_the_same() {
    let mut bench = Bench::new(Retention::default());
    let whole = record(1, json!({"a": "b"})).to_string();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (number, member) in [
        (1, "\"odd\":{\"e\":1e99999}"),
        (2, &format!("\"odd\":{deep}")),
    ] {
        let whole = whole.replace(&uuid(1), &uuid(number));
        let line = format!("{},{member}}}\n", whole.strip_suffix('}').unwrap());
        bench.write_lines("acme", &BOTH, &line).await;
    }
    bench.follow();
    assert_eq!(bench.count("a:b AND msg_class:acme_findings"), 2);
    assert_eq!(bench.count("odd:1e99999"), 1);
    let hits = bench.search(&asked("a:b")).hits.hits;
    assert_eq!(hits[0].source["odd"], deep.as_str());
    assert_eq!(hits[1].source["odd"], "{\"e\":1e99999}");
}

#[tokio::test]
async fn times_before_1677_and_after_2262_are_the_first_and_the_last() {
    let mut bench = Bench::new(Retention::default());
    let times = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-03-02T00:00:00Z",
    ];
    let records = times.iter().zip(1..);
    let records = records.map(|(time, number)| record(number, json!({"seen": time})));
    bench.write("acme", &BOTH, records.collect()).await;
    bench.follow();
    assert_eq!(bench.count("seen:>2026-03-01"), 2);
    assert_eq!(bench.count("seen:<2026-03-01"), 1);
    assert_eq!(bench.count("seen:>=2300-01-01"), 1);
    assert_eq!(bench.count("seen:\"0001-01-01T00:00:00Z\""), 1);
}
