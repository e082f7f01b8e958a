//! What is told of the host, by table.

use super::*;

const NOW: u64 = 1_772_442_900_000;
const MINUTE: u64 = 60_000;

fn consumer(name: &str) -> ListedConsumer {
    ListedConsumer {
        name: name.into(),
        tenants: None,
        when_behind: "wait".into(),
        offset: 10,
        lag_blocks: 0,
        behind_since: None,
        failure: None,
        failing_since: None,
        added: 0,
    }
}

fn seen(percent: u64) -> HostSeen {
    HostSeen {
        used_bytes: percent << 20,
        limit_bytes: 100 << 20,
        ..HostSeen::default()
    }
}

fn open(seen: &HostSeen) -> Vec<String> {
    judge(&Rules::default(), seen, NOW)
        .into_iter()
        .filter_map(|(subject, kind, verdict)| match verdict {
            Verdict::Holds { message, .. } => {
                Some(format!("{} {}: {message}", subject.name, kind.as_str()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn half_and_four_fifths_of_the_limit_are_told_and_a_little_less_ends_nothing() {
    for (percent, told) in [(49, 0), (50, 1), (79, 1), (80, 2), (130, 2)] {
        assert_eq!(open(&seen(percent)).len(), told, "{percent} %");
    }
    let verdict = |percent, kind| {
        let judged = judge(&Rules::default(), &seen(percent), NOW);
        let found = judged.into_iter().find(|(_, known, _)| *known == kind);
        found.unwrap().2
    };
    assert_eq!(verdict(45, Kind::JournalFilling), Verdict::Open);
    assert_eq!(verdict(44, Kind::JournalFilling), Verdict::Over);
    assert_eq!(verdict(75, Kind::JournalNearlyFull), Verdict::Open);
    assert_eq!(verdict(74, Kind::JournalNearlyFull), Verdict::Over);
}

#[test]
fn a_filling_journal_names_who_is_behind_and_what_happens_at_the_limit() {
    let mut seen = seen(80);
    assert!(open(&seen)[1].contains("deleted before `retention_days`"));
    let mut laggard = consumer("forwarder:siem");
    laggard.lag_blocks = 101;
    seen.consumers = vec![consumer("index"), laggard];
    let told = open(&seen);
    assert!(
        told[1].starts_with("journal journal-nearly-full: the journal uses 80 % of its size limit"),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("the consumer forwarder:siem has yet to take 101 blocks: at the limit collection waits for it"),
        "{told:?}"
    );
    seen.consumers[1].when_behind = "skip".into();
    assert!(open(&seen)[1].ends_with("at the limit it loses the oldest of them"));
}

#[test]
fn a_consumer_is_told_of_when_it_has_failed_for_ten_minutes_or_is_far_behind_for_an_hour() {
    let cases = |change: &dyn Fn(&mut ListedConsumer)| {
        let mut one = consumer("index");
        change(&mut one);
        open(&HostSeen {
            consumers: vec![one],
            ..seen(0)
        })
    };
    let failing = |since: u64| {
        move |one: &mut ListedConsumer| {
            one.failing_since = Some(since);
            one.failure = Some("its folder is full".into());
        }
    };
    assert!(cases(&failing(NOW - 10 * MINUTE + 1)).is_empty());
    assert_eq!(
        cases(&failing(NOW - 10 * MINUTE)),
        ["consumer index consumer-failing: it has failed for 10 min 0 s: its folder is full"]
    );
    let behind = |blocks: u64, since: u64| {
        move |one: &mut ListedConsumer| {
            one.lag_blocks = blocks;
            one.behind_since = Some(since);
        }
    };
    assert!(cases(&behind(101, NOW - 60 * MINUTE)).is_empty());
    assert!(cases(&behind(100, NOW - 61 * MINUTE)).is_empty());
    assert_eq!(
        cases(&behind(101, NOW - 61 * MINUTE)),
        [
            "consumer index consumer-behind: it has yet to take 101 blocks, the oldest written 2026-03-02T08:14:00Z"
        ]
    );
}

#[test]
fn a_skip_is_told_with_its_range_for_a_day() {
    let skip = |last, noted_ms| SkipRow {
        consumer: "forwarder:siem".into(),
        first: 11,
        last,
        blocks: 5,
        records: 70,
        first_written_ms: NOW - 120 * MINUTE,
        last_written_ms: NOW - 60 * MINUTE,
        noted_ms,
    };
    let mut seen = HostSeen {
        consumers: vec![consumer("index"), consumer("forwarder:siem")],
        skips: vec![skip(15, NOW - MINUTE)],
        ..seen(0)
    };
    let told = open(&seen);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("consumer forwarder:siem consumer-skipped: ")
            && told[0].ends_with("has lost the blocks 11 to 15: 5 blocks with 70 records, written 2026-03-02T07:15:00Z to 2026-03-02T08:15:00Z"),
        "{told:?}"
    );
    seen.skips = vec![skip(15, NOW - SKIP_MS)];
    assert!(open(&seen).is_empty());
}

#[test]
fn a_full_disk_is_told_with_what_must_be_freed() {
    let told = open(&HostSeen {
        disk_shortage: Some("/data has 1 MiB free; free at least 255 MiB".into()),
        ..seen(0)
    });
    assert!(
        told[0].starts_with("disk disk-full: collection has stopped: /data has 1 MiB free"),
        "{told:?}"
    );
}
