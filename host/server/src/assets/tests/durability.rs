//! What is left after the process or the file has gone.

use super::*;
use crate::consumers::ConsumerError;

/// A few days of a few machines that change, merge and move.
fn days(bench: &Bench) {
    for day in 0..12_u64 {
        let minutes = day * 10;
        let mut hosts = Vec::new();
        let mut found = Vec::new();
        let mut notes = Vec::new();
        for number in 0..6_u64 {
            let id = number.to_string();
            // Two of them turn out to be one, later; addresses go round.
            let agent = (day > 6).then(|| format!("agent-{}", number / 2));
            let about = json!({
                "host": {"name": format!("host-{id}"), "ip": [format!("192.0.2.{}", (number + day) % 7)]},
                "asset": {"id": agent, "network": "0", "tracking": if number % 2 == 0 { "ip" } else { "agent" }},
            });
            // Some come late.
            let time = if (number + day) % 5 == 0 {
                minutes.saturating_sub(25)
            } else {
                minutes
            };
            hosts.push(host(&id, time, about.clone()));
            let mut emitted = Vec::new();
            for identity in 0..(number + day) % 4 {
                let name = format!("{id}-{identity}");
                let status = if (identity + day) % 3 == 0 {
                    "Fixed"
                } else {
                    "Active"
                };
                let record = finding(
                    &id,
                    &name,
                    time + identity,
                    merged(about.clone(), &json!({"vulnerability": {"status": status}})),
                );
                match (day + identity) % 4 {
                    0 => notes.push(remains(&record)),
                    _ => found.push(record),
                }
                emitted.push(name);
            }
            let emitted: Vec<&str> = emitted.iter().map(String::as_str).collect();
            let mut note = seen(&id, time, &emitted, &[]);
            note["more"] = json!((number + day) % 6 == 0);
            notes.push(note);
        }
        bench.hosts(ACME, &hosts);
        bench.findings(&found, &notes);
    }
}

/// All that is kept, whatever numbers the rows have.
fn everything(bench: &Bench) -> Vec<Value> {
    let documents = bench.store().documents(&Scope::default()).unwrap();
    documents
        .map(|document| {
            let (id, _, asset) = document.unwrap();
            json!({"asset": asset, "open": bench.shown(&id).detections})
        })
        .collect()
}

#[test]
fn the_same_blocks_make_the_same_assets_however_they_are_cut_into_commits_and_whenever_it_ends() {
    let bench = Bench::new();
    days(&bench);
    bench.take_up();
    let expected = everything(&bench);
    assert!(
        expected.len() > 2 && expected.len() < 6,
        "{}",
        expected.len()
    );
    let aliases = |asset: &Value| asset["asset"]["aliases"].as_array().unwrap().len();
    assert!(expected.iter().map(aliases).sum::<usize>() > 0);

    let path = bench.directory.path().join(super::super::FILE_NAME);
    for every in [1, 2, 3, 5, 7] {
        for file in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{file}", path.display()));
        }
        let blocks = bench.blocks();
        let (mut done, mut held) = (0, 0);
        while done < blocks.len() {
            // Each process ends with something uncommitted, unless it has come to the end; what is committed is given again.
            let life = &blocks[done..blocks.len().min(done + 2 * every + 1)];
            let committed = match done + life.len() == blocks.len() {
                true => life.len(),
                false => life.len() / every * every,
            };
            let mut consumer = bench.consumer();
            assert_eq!(consumer.open(0).unwrap(), held);
            for block in &blocks[..done] {
                consumer.take(block).unwrap();
            }
            for (count, block) in life[..committed].iter().enumerate() {
                consumer.take(block).unwrap();
                if (count + 1) % every == 0 || count + 1 == committed {
                    consumer.commit(block.offset).unwrap();
                    held = block.offset;
                }
            }
            for block in &life[committed..] {
                consumer.take(block).unwrap();
            }
            done += committed;
        }
        assert_eq!(
            everything(&bench),
            expected,
            "a commit every {every} blocks"
        );
    }
}

#[test]
fn what_was_not_committed_is_given_again() {
    let bench = Bench::new();
    bench.hosts(ACME, &[host("1", 1, json!({"host": {"name": "a"}}))]);
    let block = bench.blocks().remove(0);
    let mut consumer = bench.consumer();
    assert_eq!(consumer.open(0).unwrap(), 0);
    consumer.take(&block).unwrap();
    assert!(bench.listed(&[], None).is_empty(), "nobody sees it before");
    assert_eq!(consumer.open(0).unwrap(), 0);
    consumer.take(&block).unwrap();
    consumer.commit(block.offset).unwrap();
    assert_eq!(consumer.open(0).unwrap(), block.offset);
    assert_eq!(bench.store().offset().unwrap(), block.offset);
}

#[test]
fn a_file_that_is_deleted_while_it_is_open_is_noticed_and_begun_anew() {
    let bench = Bench::new();
    bench.hosts(ACME, &[host("1", 1, json!({"host": {"name": "a"}}))]);
    bench.hosts(ACME, &[host("2", 2, json!({"host": {"name": "b"}}))]);
    let blocks = bench.blocks();
    let path = bench.directory.path().join(super::super::FILE_NAME);
    let mut consumer = bench.consumer();
    consumer.open(0).unwrap();
    consumer.take(&blocks[0]).unwrap();
    consumer.commit(blocks[0].offset).unwrap();
    consumer.rest().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(consumer.rest(), Err(ConsumerError::Files(_))));
    consumer.take(&blocks[1]).unwrap();
    let failed = consumer.commit(blocks[1].offset).unwrap_err().to_string();
    assert!(failed.contains("deleted or replaced"), "{failed}");
    assert_eq!(consumer.open(blocks[0].offset).unwrap(), 0);
    for block in &blocks {
        consumer.take(block).unwrap();
    }
    consumer.commit(blocks[1].offset).unwrap();
    assert_eq!(bench.listed(&[], None).len(), 2);
}

#[test]
fn a_file_that_is_no_database_is_put_aside_and_begun_anew() {
    let bench = Bench::new();
    bench.hosts(ACME, &[host("1", 1, json!({"host": {"name": "a"}}))]);
    let path = bench.directory.path().join(super::super::FILE_NAME);
    for damage in [vec![b'x'; 10_000], {
        let other = rusqlite::Connection::open(bench.directory.path().join("other")).unwrap();
        other
            .execute_batch("CREATE TABLE place (other); PRAGMA user_version = 1;")
            .unwrap();
        drop(other);
        std::fs::read(bench.directory.path().join("other")).unwrap()
    }] {
        std::fs::write(&path, &damage).unwrap();
        for file in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{file}", path.display()));
        }
        assert_eq!(bench.assets().len(), 1);
        let aside = bench.directory.path().join("assets.sqlite.damaged");
        assert_eq!(std::fs::read(&aside).unwrap().len(), damage.len());
        std::fs::remove_file(aside).unwrap();
    }
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let bench = Bench::new();
    bench.take_up();
    let path = bench.directory.path().join(super::super::FILE_NAME);
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99;").unwrap();
    drop(newer);
    let refused = bench.consumer().open(0).unwrap_err().to_string();
    assert!(refused.contains("newer version"), "{refused}");
    assert!(bench.store().offset().is_err());
    assert!(path.exists());
}

#[test]
fn where_nothing_was_collected_there_are_no_assets() {
    let bench = Bench::new();
    assert!(bench.listed(&[], None).is_empty());
    assert_eq!(bench.store().offset().unwrap(), 0);
    assert_eq!(
        bench.store().documents(&Scope::default()).unwrap().count(),
        0
    );
    assert!(matches!(
        bench.store().show(&Scope::default(), "x").unwrap(),
        Shown::None
    ));
}
