//! Followers, with consumers that keep what they hold in memory: "durable" is what outlives their follower.

use super::*;
use crate::connectors::schema::migrations;
use connector_runtime::Clock;
use connector_runtime::journal::{Block, Commit, Start, WhenBehind};
use connector_runtime::runs::Stop;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// What a consumer has made durable, and what it was given since.
#[derive(Default)]
struct Held {
    records: Vec<String>,
    offset: u64,
    taken: Vec<String>,
    /// How many calls of `take` are to fail.
    failures: usize,
    /// Whether the next one panics.
    panics: bool,
    rests: usize,
    opened: usize,
}

struct Memory {
    name: String,
    interest: Interest,
    held: Arc<Mutex<Held>>,
    pace: Pace,
    tell: mpsc::UnboundedSender<u64>,
}

impl Consumer for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, noted: u64) -> Result<u64, ConsumerError> {
        let mut held = self.held.lock().unwrap();
        held.taken.clear();
        held.opened += 1;
        // One that has never taken anything has no place of its own.
        held.offset = held.offset.max(noted);
        Ok(held.offset)
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        let mut held = self.held.lock().unwrap();
        let records = block.records()?;
        let text = |record| String::from_utf8_lossy(record).into_owned();
        held.taken.extend(records.iter().map(text));
        if std::mem::take(&mut held.panics) {
            drop(held);
            panic!("a mistake in a consumer");
        }
        if held.failures > 0 {
            held.failures -= 1;
            return Err(ConsumerError::Destination {
                message: format!("{} is not there", self.name),
                retry_after: None,
            });
        }
        Ok(())
    }

    fn commit(&mut self, offset: u64) -> Result<(), ConsumerError> {
        let mut held = self.held.lock().unwrap();
        let taken = std::mem::take(&mut held.taken);
        held.records.extend(taken);
        held.offset = offset;
        let _ = self.tell.send(offset);
        Ok(())
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn rest(&mut self) -> Result<Option<Duration>, ConsumerError> {
        self.held.lock().unwrap().rests += 1;
        Ok(None)
    }
}

/// A journal with two tenants, and consumers of it.
struct Bench {
    _directory: tempfile::TempDir,
    journal: Journal,
    connectors: [String; 2],
    clock: Clock,
    records: u64,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), migrations()).unwrap();
        let connectors = ["acme", "other"]
            .map(|tenant| journal.connector(tenant, "a", "acme-scanner").unwrap().id);
        Self {
            _directory: directory,
            journal,
            connectors,
            clock: Clock::simulated(1_772_440_877_000),
            records: 0,
        }
    }

    /// Commits a block of two records of a tenant; answers its offset.
    async fn commit(&mut self, tenant: usize, indices: &[Index]) -> u64 {
        let lines = format!(
            "{{\"n\":{}}}\n{{\"n\":{}}}\n",
            self.records,
            self.records + 1
        );
        self.records += 2;
        let block = Block::press(indices, 2, Some((1, 1)), lines.as_bytes(), b"").unwrap();
        let commit = Commit {
            connector: self.connectors[tenant].clone(),
            content_type: "assets".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms: self.records,
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block),
        };
        self.journal.commit(commit).await.unwrap().offset.unwrap()
    }

    async fn start(&self, consumers: Vec<(Memory, Start)>, stop: &Stop) -> Registry {
        let registrations = consumers.into_iter().map(|(consumer, start)| Registration {
            consumer: Box::new(consumer),
            start,
            when_behind: WhenBehind::Wait,
        });
        Registry::start(&self.journal, registrations.collect(), &self.clock, stop)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn acknowledged(&self, name: &str) -> u64 {
        self.journal.consumer(name).unwrap().unwrap().acknowledged
    }
}

struct Watched {
    held: Arc<Mutex<Held>>,
    told: mpsc::UnboundedReceiver<u64>,
    tell: mpsc::UnboundedSender<u64>,
    name: String,
}

impl Watched {
    fn new(name: &str) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            held: Arc::default(),
            told,
            tell,
            name: name.into(),
        }
    }

    fn consumer(&self) -> Memory {
        Memory {
            name: self.name.clone(),
            interest: Interest::default(),
            held: Arc::clone(&self.held),
            pace: Pace::default(),
            tell: self.tell.clone(),
        }
    }

    /// Waits until it has committed everything up to `offset`.
    async fn until(&mut self, offset: u64) {
        while self.told.recv().await.unwrap() < offset {}
    }

    fn numbers(&self) -> Vec<String> {
        self.held.lock().unwrap().records.clone()
    }
}

/// The first consumer, as soon as it has failed.
async fn failed(consumers: &Consumers) -> state::State {
    loop {
        let state = consumers.states().remove(0);
        if state.failure.is_some() {
            return state;
        }
        tokio::task::yield_now().await;
    }
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let record = |number| format!("{{\"n\":{number}}}");
    numbers.into_iter().map(record).collect()
}

#[tokio::test]
async fn every_block_comes_once_and_in_order_however_often_the_process_ends() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("index");
    let mut last = 0;
    for round in 0..4 {
        let stop = Stop::default();
        let registry = bench
            .start(vec![(watched.consumer(), Start::Oldest)], &stop)
            .await;
        for _ in 0..=round {
            last = bench.commit(0, &[Index::Syslog]).await;
        }
        watched.until(last).await;
        stop.request();
        registry.finish().await;
        assert_eq!(bench.acknowledged("index"), last);
    }
    assert_eq!(watched.numbers(), numbered(0..20));
}

#[tokio::test]
async fn what_was_not_committed_when_a_take_failed_is_given_again_and_nobody_else_waits() {
    let mut bench = Bench::new();
    let (mut failing, mut other) = (Watched::new("forwarder:siem"), Watched::new("index"));
    failing.held.lock().unwrap().failures = 3;
    let last = {
        bench.commit(0, &[Index::Syslog]).await;
        bench.commit(1, &[Index::Syslog]).await
    };
    let stop = Stop::default();
    let began = bench.clock.elapsed();
    let registry = bench
        .start(
            vec![
                (failing.consumer(), Start::Oldest),
                (other.consumer(), Start::Oldest),
            ],
            &stop,
        )
        .await;
    other.until(last).await;
    failing.until(last).await;
    stop.request();
    let consumers = registry.consumers();
    registry.finish().await;
    // 1, 2 and 4 seconds.
    assert!((bench.clock.elapsed() - began).as_secs() >= 7);
    assert_eq!(failing.numbers(), numbered(0..4));
    assert_eq!(other.numbers(), numbered(0..4));
    assert_eq!(failing.held.lock().unwrap().opened, 4);
    let state = &consumers.states()[0];
    assert_eq!((state.failure.as_ref(), state.failing_since), (None, None));
}

#[tokio::test]
async fn a_consumer_that_cannot_work_says_why_and_since_when() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("forwarder:siem");
    watched.held.lock().unwrap().failures = usize::MAX;
    bench.commit(0, &[Index::Syslog]).await;
    let stop = Stop::default();
    let registry = bench
        .start(vec![(watched.consumer(), Start::Oldest)], &stop)
        .await;
    let consumers = registry.consumers();
    let state = failed(&consumers).await;
    assert_eq!(
        state.failure.as_deref(),
        Some("forwarder:siem is not there")
    );
    assert!(state.failing_since.is_some());
    let listed = listing::list(&bench.journal, &consumers.states()).unwrap();
    assert_eq!((listed[0].lag_blocks, listed[0].behind_since), (1, Some(2)));
    assert_eq!(listed[0].failure, state.failure);
    stop.request();
    registry.finish().await;
    assert!(watched.told.try_recv().is_err(), "nothing was committed");
}

#[tokio::test]
async fn blocks_that_a_consumer_does_not_want_count_as_taken() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("forwarder:siem");
    let mut consumer = watched.consumer();
    consumer.interest = Interest {
        tenants: Some(vec!["other".into()]),
        indices: Some(vec![Index::Scans]),
    };
    bench.commit(0, &[Index::Syslog, Index::Scans]).await;
    bench.commit(1, &[Index::Syslog, Index::Scans]).await;
    let last = bench.commit(1, &[Index::Syslog, Index::Assets]).await;
    let stop = Stop::default();
    let registry = bench.start(vec![(consumer, Start::Oldest)], &stop).await;
    watched.until(last).await;
    stop.request();
    registry.finish().await;
    assert_eq!(watched.numbers(), numbered(2..4));
    assert_eq!(bench.acknowledged("forwarder:siem"), last);
}

#[tokio::test]
async fn a_new_consumer_begins_where_it_is_told_and_an_old_one_where_it_was() {
    let mut bench = Bench::new();
    bench.commit(0, &[Index::Syslog]).await;
    let (mut oldest, mut now) = (Watched::new("forwarder:a"), Watched::new("forwarder:b"));
    let consumers = |oldest: &Watched, now: &Watched| {
        vec![
            (oldest.consumer(), Start::Oldest),
            (now.consumer(), Start::Now),
        ]
    };
    for _ in 0..2 {
        let stop = Stop::default();
        let registry = bench.start(consumers(&oldest, &now), &stop).await;
        let last = bench.commit(0, &[Index::Syslog]).await;
        oldest.until(last).await;
        now.until(last).await;
        stop.request();
        registry.finish().await;
        assert_eq!(oldest.numbers(), numbered(0..bench.records));
        assert_eq!(now.numbers(), numbered(2..bench.records));
        // While nobody follows.
        bench.commit(0, &[Index::Syslog]).await;
    }
}

#[tokio::test]
async fn what_is_configured_no_more_is_forgotten() {
    let bench = Bench::new();
    let (one, two) = (Watched::new("forwarder:a"), Watched::new("forwarder:b"));
    for consumers in [vec![&one, &two], vec![&two]] {
        let stop = Stop::default();
        let names: Vec<_> = consumers.iter().map(|one| one.name.clone()).collect();
        let consumers = consumers.iter().map(|one| (one.consumer(), Start::Oldest));
        let registry = bench.start(consumers.collect(), &stop).await;
        stop.request();
        registry.finish().await;
        let rows = bench.journal.consumers().unwrap();
        let known: Vec<_> = rows.into_iter().map(|row| row.name).collect();
        assert_eq!(known, names);
    }
}

#[tokio::test]
async fn a_follower_commits_after_enough_records_even_if_more_are_waiting() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("index");
    let mut consumer = watched.consumer();
    consumer.pace.records = 4;
    for _ in 0..5 {
        bench.commit(0, &[Index::Syslog]).await;
    }
    let stop = Stop::default();
    let registry = bench.start(vec![(consumer, Start::Oldest)], &stop).await;
    for offset in [2, 4, 5] {
        assert_eq!(watched.told.recv().await, Some(offset));
    }
    stop.request();
    registry.finish().await;
}

#[tokio::test]
async fn catching_up_gives_everything_once_and_says_how_far_it_is() {
    let mut bench = Bench::new();
    let watched = Watched::new("assets");
    for _ in 0..3 {
        bench.commit(0, &[Index::Syslog]).await;
    }
    let mut told = Vec::new();
    let catch_up = |told: &mut Vec<_>| {
        let tell = |done, all| told.push((done, all));
        follower::catch_up(&bench.journal, &mut watched.consumer(), 0, tell).unwrap()
    };
    assert_eq!(catch_up(&mut told), 6);
    assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(catch_up(&mut told), 0);
    assert_eq!(watched.numbers(), numbered(0..6));
}

#[tokio::test]
async fn a_consumer_that_breaks_off_is_begun_again() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("index");
    watched.held.lock().unwrap().panics = true;
    let last = bench.commit(0, &[Index::Syslog]).await;
    let stop = Stop::default();
    let registry = bench
        .start(vec![(watched.consumer(), Start::Oldest)], &stop)
        .await;
    watched.until(last).await;
    stop.request();
    registry.finish().await;
    assert_eq!(watched.numbers(), numbered(0..2));
}

#[tokio::test]
async fn a_consumer_of_another_journal_says_so_and_takes_nothing() {
    let mut bench = Bench::new();
    let watched = Watched::new("index");
    watched.held.lock().unwrap().offset = 9;
    bench.commit(0, &[Index::Syslog]).await;
    let stop = Stop::default();
    let registry = bench
        .start(vec![(watched.consumer(), Start::Oldest)], &stop)
        .await;
    let consumers = registry.consumers();
    let failure = failed(&consumers).await.failure.unwrap();
    stop.request();
    registry.finish().await;
    assert!(
        failure.contains("up to block 9") && failure.contains("ends at block 1"),
        "{failure}"
    );
    assert_eq!(bench.acknowledged("index"), 0);
    let caught_up =
        follower::catch_up(&bench.journal, &mut watched.consumer(), 0, |_, _| {}).unwrap_err();
    assert!(caught_up.to_string().contains("another journal"));
}

#[tokio::test]
async fn a_consumer_rests_between_commits_however_much_there_is_to_take() {
    let mut bench = Bench::new();
    let mut watched = Watched::new("index");
    let mut consumer = watched.consumer();
    consumer.pace.records = 2;
    for _ in 0..3 {
        bench.commit(0, &[Index::Syslog]).await;
    }
    let stop = Stop::default();
    let registry = bench.start(vec![(consumer, Start::Oldest)], &stop).await;
    watched.until(1).await;
    watched.until(2).await;
    let rests = watched.held.lock().unwrap().rests;
    stop.request();
    registry.finish().await;
    assert!(rests >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_never_goes_back_and_catching_up_moves_one_that_is_registered() {
    let mut bench = Bench::new();
    let watched = Watched::new("index");
    let last = bench.commit(0, &[Index::Syslog]).await;
    let journal = &bench.journal;
    let catch_up = || follower::catch_up(journal, &mut watched.consumer(), 0, |_, _| {}).unwrap();
    catch_up();
    assert_eq!(journal.consumer("index").unwrap(), None);
    journal
        .register_consumer("index", None, WhenBehind::Wait, Start::Oldest, 1)
        .await
        .unwrap();
    assert_eq!(bench.acknowledged("index"), 0);
    catch_up();
    assert_eq!(bench.acknowledged("index"), last);
    journal.acknowledge("index", last - 1).await.unwrap();
    assert_eq!(bench.acknowledged("index"), last);
    journal.place_consumer("index", 0).await.unwrap();
    assert_eq!(bench.acknowledged("index"), 0);
}
