//! Retention, and the room that it makes: by table, and against a model that remembers everything.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;

use super::*;
use crate::interflow::Index;
use crate::journal::{Block, Commit, Shortage, Start, migrations};

const NOW: u64 = 1_772_442_900_000;
const DAY: u64 = 24 * 3_600_000;
/// What a block takes in the file, roughly.
const BLOCK: u64 = 20_000;

/// Small, repeatable, and all that is needed of randomness here.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

struct Site {
    _directory: TempDir,
    journal: Journal,
    connectors: BTreeMap<&'static str, String>,
    dice: Dice,
}

impl Site {
    fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), migrations()).unwrap();
        journal.set_disk_floor(0);
        let connectors = ["acme", "umbrella"].map(|tenant| {
            let row = journal.connector(tenant, "scanner", "acme-scanner");
            (tenant, row.unwrap().id)
        });
        Self {
            _directory: directory,
            journal,
            connectors: connectors.into(),
            dice: Dice(seed),
        }
    }

    /// Leaves room for so many blocks besides what is there.
    fn allow(&self, blocks: u64) {
        let used = self.journal.size().unwrap().used_bytes();
        self.journal.set_retention(Retention {
            size_bytes: used + blocks * BLOCK,
            ..Retention::default()
        });
    }

    /// A block of one record that no compression makes smaller.
    async fn commit(&mut self, tenant: &str, written_ms: u64) -> u64 {
        let notes: Vec<u8> = (0..BLOCK - 2_000)
            .map(|_| self.dice.roll().to_le_bytes()[0])
            .collect();
        let block = Block::press(&[Index::Syslog], 1, Some((5, 5)), b"{}\n", &notes).unwrap();
        let committed = self.journal.commit(Commit {
            connector: self.connectors[tenant].clone(),
            content_type: "assets".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms,
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block),
        });
        committed.await.unwrap().offset.unwrap()
    }

    async fn register(&self, name: &str, tenants: Option<&[&str]>, when_behind: WhenBehind) {
        let tenants: Option<Vec<String>> =
            tenants.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        self.journal
            .register_consumer(name, tenants.as_deref(), when_behind, Start::Oldest, NOW)
            .await
            .unwrap();
    }

    fn offsets(&self) -> Vec<u64> {
        self.journal
            .blocks(None, 0)
            .map(|block| block.unwrap().offset)
            .collect()
    }

    fn place(&self, consumer: &str) -> u64 {
        let row = self.journal.consumer(consumer).unwrap();
        row.unwrap().acknowledged
    }

    async fn room(&self, tenant: &str, now_ms: u64) -> Option<Shortage> {
        self.journal.room(tenant, now_ms).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_too_old_goes_when_everybody_has_it_and_the_last_data_stays_known() {
    let mut site = Site::new(1);
    let old = NOW - 91 * DAY;
    for tenant in ["acme", "umbrella", "acme"] {
        site.commit(tenant, old).await;
    }
    site.commit("acme", NOW - 89 * DAY).await;
    site.register("index", None, WhenBehind::Wait).await;
    site.register("forwarder:a", Some(&["acme"]), WhenBehind::Skip)
        .await;
    assert_eq!(site.journal.trim(NOW).await.unwrap(), Trimmed::default());
    site.journal.acknowledge("index", 4).await.unwrap();
    // Only the other tenant's: the forwarder has no claim to it.
    site.journal.trim(NOW).await.unwrap();
    assert_eq!(site.offsets(), [1, 3, 4]);
    site.journal.acknowledge("forwarder:a", 2).await.unwrap();
    let trimmed = site.journal.trim(NOW).await.unwrap();
    assert_eq!(
        (trimmed.blocks, trimmed.records, trimmed.skipped),
        (1, 1, 0)
    );
    assert_eq!(site.offsets(), [3, 4], "age alone skips nothing");
    assert_eq!(site.journal.oldest().unwrap(), Some((3, old)));
    assert_eq!(site.journal.last_offset().unwrap(), 4);
    let known: (i64, i64) = site
        .journal
        .read(|connection| {
            let sql = "SELECT blocks, last_data FROM trimmed ORDER BY connector = ?1 DESC LIMIT 1";
            let id = &site.connectors["umbrella"];
            Ok(connection.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .unwrap();
    assert_eq!(known, (1, stored(old)));
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_go_and_the_file_becomes_smaller() {
    let mut site = Site::new(2);
    site.allow(10);
    for minute in 0..40 {
        site.commit("acme", NOW + minute * 60_000).await;
    }
    let pages = |site: &Site| {
        let size = site.journal.size().unwrap();
        size.used_pages + size.free_pages
    };
    let before = pages(&site);
    site.journal.trim(NOW).await.unwrap();
    let left = site.offsets();
    assert!((8..=10).contains(&left.len()), "{left:?}");
    assert_eq!(left.last(), Some(&40));
    assert!(left.windows(2).all(|two| two[0] + 1 == two[1]), "{left:?}");
    let size = site.journal.size().unwrap();
    assert!(size.used_bytes() <= site.journal.retention().size_bytes);
    assert!(size.free_pages <= KEPT_FREE && pages(&site) < before);
    assert!(site.journal.skips().unwrap().is_empty());
}

#[tokio::test]
async fn a_consumer_that_is_not_waited_for_loses_exactly_what_is_noted() {
    let mut site = Site::new(3);
    site.allow(4);
    site.register("forwarder:a", Some(&["acme"]), WhenBehind::Skip)
        .await;
    let mut written = Vec::new();
    for number in 0..20_u64 {
        let tenant = if number % 2 == 0 { "acme" } else { "umbrella" };
        written.push(site.commit(tenant, NOW + number).await);
    }
    site.journal.trim(NOW + DAY).await.unwrap();
    let left = site.offsets();
    let lost: Vec<u64> = written
        .iter()
        .copied()
        .filter(|offset| offset % 2 == 1 && !left.contains(offset))
        .collect();
    assert!(lost.len() >= 7, "{left:?}");
    let skips = site.journal.skips().unwrap();
    assert_eq!(skips.len(), 1, "{skips:?}");
    let last = lost[lost.len() - 1];
    assert_eq!(
        skips[0],
        SkipRow {
            consumer: "forwarder:a".into(),
            first: 1,
            last,
            blocks: lost.len() as u64,
            records: lost.len() as u64,
            first_written_ms: NOW,
            last_written_ms: NOW + last - 1,
            noted_ms: NOW + DAY,
        }
    );
    // Nothing that it could still take is behind its place, and nothing that it has to take is before it.
    let place = site.place("forwarder:a");
    assert!(place >= last, "{place} {last}");
    assert!(left.iter().all(|offset| offset % 2 == 0 || *offset > place));
    // What nobody needs goes first.
    assert!(left.iter().all(|offset| offset % 2 == 1), "{left:?}");
}

#[tokio::test]
async fn what_is_kept_for_another_is_not_lost_to_the_one_that_may_skip() {
    let mut site = Site::new(4);
    site.allow(3);
    site.register("forwarder:a", Some(&["acme"]), WhenBehind::Wait)
        .await;
    site.register("archive", None, WhenBehind::Skip).await;
    for tenant in [
        "umbrella", "acme", "umbrella", "umbrella", "umbrella", "umbrella", "umbrella",
    ] {
        site.commit(tenant, NOW).await;
    }
    site.journal.trim(NOW).await.unwrap();
    let left = site.offsets();
    assert!(left.contains(&2), "{left:?}");
    let ranges: Vec<(u64, u64, u64)> = site
        .journal
        .skips()
        .unwrap()
        .iter()
        .rev()
        .map(|skip| (skip.first, skip.last, skip.blocks))
        .collect();
    let last = left[1] - 1;
    assert_eq!(ranges, [(1, 1, 1), (3, last, last - 2)], "{left:?}");
    assert_eq!(site.place("archive"), 1, "it may still take the second");
}

#[tokio::test]
async fn a_tenant_waits_for_its_own_consumers_and_for_nobody_elses() {
    let mut site = Site::new(5);
    site.allow(6);
    site.register("forwarder:a", Some(&["acme"]), WhenBehind::Wait)
        .await;
    site.register("index", None, WhenBehind::Wait).await;
    for _ in 0..12 {
        let offset = site.commit("acme", NOW).await;
        site.journal.acknowledge("index", offset).await.unwrap();
    }
    let Some(Shortage::Behind {
        consumer,
        blocks,
        behind_ms,
        used_bytes,
        limit_bytes,
    }) = site.room("acme", NOW + 90_000).await
    else {
        panic!("there is room");
    };
    assert_eq!(
        (consumer.as_str(), blocks, behind_ms),
        ("forwarder:a", 12, 90_000)
    );
    assert!(used_bytes > limit_bytes);
    assert_eq!(site.room("umbrella", NOW + 90_000).await, None);
    // The index is at work on the newest block: that is no reason to wait for it.
    site.commit("umbrella", NOW + 90_000).await;
    assert_eq!(site.room("umbrella", NOW + 95_000).await, None);
    let Some(Shortage::Behind { consumer, .. }) = site.room("umbrella", NOW + 101_000).await else {
        panic!("the index is behind by more than ten seconds");
    };
    assert_eq!(consumer, "index");
    assert_eq!(site.offsets().len(), 13, "nothing was given up");
    site.journal.acknowledge("index", 13).await.unwrap();
    site.journal.acknowledge("forwarder:a", 13).await.unwrap();
    assert_eq!(site.room("acme", NOW + 101_000).await, None);
    assert!(site.offsets().len() <= 6);
}

#[tokio::test]
async fn removing_a_consumer_frees_its_blocks() {
    let mut site = Site::new(6);
    site.allow(3);
    site.register("forwarder:a", None, WhenBehind::Wait).await;
    for _ in 0..9 {
        site.commit("acme", NOW).await;
    }
    let shortage = site.room("acme", NOW + DAY).await.unwrap();
    assert_eq!(site.offsets().len(), 9);
    let sentence = shortage.to_string();
    assert!(
        sentence.contains(
            "the consumer forwarder:a has yet to take 9 blocks, the oldest written 24 h ago"
        ),
        "{sentence}"
    );
    site.journal.remove_consumer("forwarder:a").await.unwrap();
    assert_eq!(site.room("acme", NOW + DAY).await, None);
    assert!(site.offsets().len() <= 3);
}

#[tokio::test]
async fn a_disk_without_room_is_said_before_anything_is_collected() {
    let site = Site::new(7);
    site.journal.set_disk_floor(u64::MAX >> 1);
    let Some(shortage) = site.room("acme", NOW).await else {
        panic!("there is room");
    };
    let sentence = shortage.to_string();
    assert!(
        sentence.starts_with("the disk is full: ") && sentence.contains("; free at least "),
        "{sentence}"
    );
    site.journal.set_disk_floor(0);
    assert_eq!(site.room("acme", NOW).await, None);
}

/// A consumer of the model: what it has taken, and what was deleted before it took it.
struct Taker {
    name: &'static str,
    tenants: Option<&'static [&'static str]>,
    when_behind: WhenBehind,
    place: u64,
    taken: BTreeSet<u64>,
    lost: BTreeSet<u64>,
}

impl Taker {
    fn covers(&self, tenant: &str) -> bool {
        self.tenants.is_none_or(|names| names.contains(&tenant))
    }
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_only_what_is_noted_was_lost() {
    let mut lost = 0;
    for seed in 0..6 {
        let mut site = Site::new(seed);
        site.allow(8);
        let taker = |name, tenants, when_behind| Taker {
            name,
            tenants,
            when_behind,
            place: 0,
            taken: BTreeSet::new(),
            lost: BTreeSet::new(),
        };
        let mut takers = [
            taker("index", None, WhenBehind::Wait),
            taker("forwarder:a", Some(&["acme"][..]), WhenBehind::Wait),
            taker("forwarder:b", Some(&["umbrella"][..]), WhenBehind::Skip),
            taker("archive", None, WhenBehind::Skip),
        ];
        for taker in &takers {
            site.register(taker.name, taker.tenants, taker.when_behind)
                .await;
        }
        let mut written: BTreeMap<u64, &str> = BTreeMap::new();
        for moment in 0..120 {
            let now = NOW + moment * 1_000;
            match site.dice.below(8) {
                0..4 => {
                    let tenant = ["acme", "umbrella"][site.dice.below(2) as usize];
                    written.insert(site.commit(tenant, now).await, tenant);
                }
                4..7 => {
                    let number = site.dice.below(takers.len() as u64) as usize;
                    let some = 1 + site.dice.below(6);
                    let taker = &mut takers[number];
                    let offsets = site.offsets();
                    let next = offsets.iter().filter(|offset| **offset > taker.place);
                    let next: Vec<u64> = next.copied().take(some as usize).collect();
                    for offset in next {
                        if taker.covers(written[&offset]) {
                            assert!(taker.taken.insert(offset), "twice");
                        }
                        taker.place = offset;
                    }
                    site.journal
                        .acknowledge(taker.name, taker.place)
                        .await
                        .unwrap();
                }
                _ => {
                    let before: BTreeSet<u64> = site.offsets().into_iter().collect();
                    site.journal.trim(now).await.unwrap();
                    let after: BTreeSet<u64> = site.offsets().into_iter().collect();
                    for gone in before.difference(&after) {
                        for taker in &mut takers {
                            if taker.place < *gone && taker.covers(written[gone]) {
                                assert_eq!(taker.when_behind, WhenBehind::Skip, "{}", taker.name);
                                taker.lost.insert(*gone);
                            }
                        }
                    }
                    let limit = site.journal.retention().size_bytes;
                    let is_needed = |offset: &u64| {
                        takers.iter().any(|taker| {
                            taker.when_behind == WhenBehind::Wait
                                && taker.place < *offset
                                && taker.covers(written[offset])
                        })
                    };
                    assert!(
                        site.journal.size().unwrap().used_bytes() <= limit
                            || after.iter().all(is_needed),
                        "more could have been freed"
                    );
                }
            }
        }
        let skips = site.journal.skips().unwrap();
        for taker in &takers {
            let own = || skips.iter().filter(|skip| skip.consumer == taker.name);
            let noted: BTreeSet<u64> = written
                .iter()
                .filter(|(offset, tenant)| {
                    taker.covers(tenant)
                        && own().any(|skip| (skip.first..=skip.last).contains(offset))
                })
                .map(|(offset, _)| *offset)
                .collect();
            assert_eq!(noted, taker.lost, "seed {seed}: {}", taker.name);
            let counted: u64 = own().map(|skip| skip.blocks).sum();
            assert_eq!(
                counted,
                taker.lost.len() as u64,
                "seed {seed}: {}",
                taker.name
            );
        }
        lost += takers.iter().map(|taker| taker.lost.len()).sum::<usize>();
    }
    // So that the model has something to say.
    assert!(lost > 20, "{lost}");
}
