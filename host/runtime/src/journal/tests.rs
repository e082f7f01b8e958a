use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};

use rusqlite::Connection;
use rusqlite_migration::M;
use tempfile::TempDir;

use super::*;
use crate::egress::{QuotaStore as _, StoredBucket};
use crate::interflow::{Envelope, Index, ItemLimits, Labels, Origin, check};

const SCANS: [Index; 2] = [Index::Syslog, Index::Scans];

/// Blocks of these content types fail: alone, or together with the transaction that they are in.
const CURSES: &str = "
CREATE TRIGGER curse BEFORE INSERT ON blocks WHEN new.content_type = 'cursed'
BEGIN SELECT raise(ABORT, 'cursed'); END;
CREATE TRIGGER plague BEFORE INSERT ON blocks WHEN new.content_type = 'plague'
BEGIN SELECT raise(ROLLBACK, 'plague'); END;";

/// The journal's steps and one of a caller.
fn curses() -> Vec<M<'static>> {
    let mut steps = migrations();
    steps.push(M::up(CURSES));
    steps
}

fn open(dir: &Path) -> Journal {
    let journal = Journal::open(dir, curses()).unwrap();
    journal.set_disk_floor(0);
    journal
}

fn journal() -> (TempDir, Journal, String) {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let id = connector(&journal);
    (dir, journal, id)
}

fn connector(journal: &Journal) -> String {
    let row = journal.connector("acme", "scanner-1", "acme-scanner");
    row.unwrap().id
}

fn block(records: u64) -> Block {
    let text: String = (0..records).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let times = (records > 0).then_some((5, 7));
    Block::press(&SCANS, records, times, text.as_bytes(), b"{\"seen\":[]}").unwrap()
}

fn commit(connector: &str, cursor: &str) -> Commit {
    Commit {
        connector: connector.to_owned(),
        content_type: "hosts".to_owned(),
        part: String::new(),
        expected_generation: 0,
        cursor: cursor.to_owned(),
        written_ms: 1_772_442_031_123,
        cache_puts: vec![("key".to_owned(), cursor.as_bytes().to_vec())],
        cache_removes: Vec::new(),
        block: Some(block(3)),
    }
}

fn exported(journal: &Journal, index: Index) -> String {
    let mut out = Vec::new();
    let count = journal.export(index, &mut out).unwrap();
    assert_eq!(count, newline_count(&out));
    String::from_utf8(out).unwrap()
}

fn newline_count(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').count() as u64 - 1
}

fn cached(journal: &Journal, connector: &str, key: &str) -> Option<Vec<u8>> {
    let mut values = journal.cache_get(connector, &[key.to_owned()]).unwrap();
    values.remove(0)
}

fn cursor(journal: &Journal, connector: &str) -> Option<String> {
    journal.cursor(connector, "hosts", "").unwrap().cursor
}

/// Everything that a journal holds for one connector.
fn state(journal: &Journal, id: &str) -> (Option<String>, Option<Vec<u8>>, u64, String, u64) {
    (
        cursor(journal, id),
        cached(journal, id, "key"),
        journal.cache_bytes(id).unwrap(),
        exported(journal, Index::Syslog),
        journal.blocks(None, 0).count() as u64,
    )
}

#[tokio::test]
async fn a_commit_is_cursor_cache_and_records_and_is_there_after_a_restart() {
    let (dir, journal, id) = journal();
    let first = journal.commit(commit(&id, "one")).await.unwrap();
    let second = journal.commit(commit(&id, "two")).await.unwrap();
    assert!(second.offset > first.offset && first.offset.is_some());
    let before = state(&journal, &id);
    let records = "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n".repeat(2);
    assert_eq!(
        before,
        (Some("two".into()), Some(b"two".into()), 6, records, 2)
    );
    drop(journal);
    assert_eq!(state(&open(dir.path()), &id), before);
}

#[tokio::test]
async fn a_commit_without_records_moves_the_cursor() {
    let (_dir, journal, id) = journal();
    let nothing = Commit {
        block: None,
        cache_puts: Vec::new(),
        ..commit(&id, "on")
    };
    let committed = journal.commit(nothing).await.unwrap();
    assert_eq!(committed.offset, None);
    assert_eq!(cursor(&journal, &id), Some("on".into()));
    assert_eq!(journal.last_offset().unwrap(), 0);
}

#[tokio::test]
async fn a_failing_commit_leaves_nothing() {
    let (_dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let before = state(&journal, &id);
    for content_type in ["cursed", "plague"] {
        let bad = Commit {
            content_type: content_type.to_owned(),
            ..commit(&id, "two")
        };
        let error = journal.commit(bad).await.unwrap_err();
        assert!(error.to_string().contains(content_type), "{error}");
        assert_eq!(state(&journal, &id), before);
        let position = journal.cursor(&id, content_type, "").unwrap();
        assert_eq!(position.cursor, None);
    }
    let stranger = journal.commit(commit("nobody", "two")).await;
    assert!(matches!(
        stranger,
        Err(JournalError::UnknownConnector { .. })
    ));
    journal.commit(commit(&id, "two")).await.unwrap();
}

/// Polls a call once, so that what it asks for is in the writer's queue.
fn queued<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    call
}

#[tokio::test]
async fn commits_that_wait_share_a_transaction_and_a_bad_one_harms_no_other() {
    for bad in ["cursed", "plague"] {
        let (_dir, journal, id) = journal();
        let (begin, begun) = mpsc::channel::<()>();
        let (release, held) = mpsc::channel::<()>();
        let busy = queued(journal.write(move |_| {
            begin.send(()).ok();
            held.recv().ok();
            Ok(())
        }));
        // The writer is busy from here on, so that all that follows waits.
        begun.recv().unwrap();
        let mut waiting = Vec::new();
        for n in 0..100 {
            let batch = Commit {
                part: format!("part-{n}"),
                content_type: if n % 10 == 3 { bad } else { "hosts" }.to_owned(),
                ..commit(&id, &n.to_string())
            };
            waiting.push(queued(journal.commit(batch)));
        }
        // The last of the group sees what its neighbours wrote, and that nobody else does yet.
        let inside = journal.clone();
        let witness = queued(journal.write(move |connection| {
            let count = |connection: &Connection| {
                let sql = "SELECT count(*) FROM blocks";
                Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
            };
            Ok((count(connection)?, inside.read(count)?))
        }));
        drop(release);
        busy.await.unwrap();
        for (n, answer) in waiting.into_iter().enumerate() {
            assert_eq!(answer.await.is_err(), n % 10 == 3, "{bad} {n}");
        }
        // After a failure that ends the transaction, each is tried alone.
        let seen = witness.await.unwrap();
        assert_eq!(seen, (90, if bad == "cursed" { 0 } else { 90 }));
        assert_eq!(journal.blocks(None, 0).count(), 90);
        for n in 0..100 {
            let position = journal.cursor(&id, "hosts", &format!("part-{n}")).unwrap();
            assert_eq!(position.cursor, (n % 10 != 3).then(|| n.to_string()));
        }
    }
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_still_happens() {
    let (dir, journal, id) = journal();
    drop(queued(journal.commit(commit(&id, "one"))));
    drop(journal);
    assert_eq!(cursor(&open(dir.path()), &id), Some("one".into()));
}

#[tokio::test]
async fn a_write_that_panics_is_rolled_back_and_the_next_one_works() {
    let (_dir, journal, id) = journal();
    let wild = |connection: &Connection| -> Result<(), JournalError> {
        connection.execute("DELETE FROM connectors", [])?;
        panic!("wild");
    };
    let error = journal.write(wild).await.unwrap_err();
    assert!(matches!(error, JournalError::Panicked(text) if text == "wild"));
    journal.commit(commit(&id, "one")).await.unwrap();
}

#[tokio::test]
async fn a_reset_refuses_the_batch_under_way_and_forgets_cursor_and_cache() {
    let (_dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let before = journal.cursor(&id, "hosts", "").unwrap();
    assert_eq!(before.generation, 0, "a commit does not change it");
    journal.reset(&id, None).await.unwrap();
    let after = journal.cursor(&id, "hosts", "").unwrap();
    assert_eq!((after.cursor, after.generation), (None, 1));
    assert_eq!(cached(&journal, &id, "key"), None);
    assert_eq!(journal.cache_bytes(&id).unwrap(), 0);
    let blocks = journal.blocks(None, 0).count();
    let stale = journal.commit(commit(&id, "two")).await;
    assert!(matches!(
        stale,
        Err(JournalError::Superseded {
            expected: 0,
            found: 1,
            ..
        })
    ));
    assert_eq!(cursor(&journal, &id), None);
    assert_eq!(cached(&journal, &id, "key"), None);
    assert_eq!(journal.blocks(None, 0).count(), blocks);
    let fresh = Commit {
        expected_generation: 1,
        ..commit(&id, "two")
    };
    journal.commit(fresh).await.unwrap();
}

#[tokio::test]
async fn a_recollection_keeps_the_cursor_and_is_over_with_the_first_commit() {
    let (dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let again = |since_ms| Recollection {
        connector: id.clone(),
        content_types: vec!["hosts".into()],
        since_ms: Some(since_ms),
    };
    journal.recollect(again(7)).await.unwrap();
    journal.recollect(again(9)).await.unwrap();
    let position = |journal: &Journal| {
        let position = journal.cursor(&id, "hosts", "").unwrap();
        (position.cursor, position.generation, position.since_ms)
    };
    // The earlier moment stays, and it outlives the process.
    let noted = (Some("one".to_owned()), 2, Some(7));
    assert_eq!(position(&journal), noted);
    assert_eq!(cached(&journal, &id, "key"), None);
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(position(&journal), noted);
    let stale = journal.commit(commit(&id, "two")).await;
    assert!(matches!(stale, Err(JournalError::Superseded { .. })));
    assert_eq!(position(&journal), noted, "a refused commit ends nothing");
    let other = Commit {
        content_type: "vulnerabilities".into(),
        ..commit(&id, "other")
    };
    journal.commit(other).await.unwrap();
    assert_eq!(position(&journal), noted);
    let fresh = Commit {
        expected_generation: 2,
        ..commit(&id, "two")
    };
    journal.commit(fresh).await.unwrap();
    assert_eq!(position(&journal), (Some("two".to_owned()), 2, None));
    journal.recollect(again(7)).await.unwrap();
    journal.reset(&id, None).await.unwrap();
    assert_eq!(position(&journal), (None, 4, None), "everything is more");
}

#[tokio::test]
async fn a_copy_has_what_is_committed_and_its_place_is_taken_by_one_rename() {
    let (dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let copied = to.path().join(FILE_NAME);
    copy(dir.path(), &copied).unwrap();
    assert!(matches!(
        copy(dir.path(), &copied),
        Err(JournalError::File { .. })
    ));
    let found = examine(to.path(), Depth::Whole).unwrap();
    assert_eq!((found.damage.len(), found.blocks), (0, 1));
    journal.commit(commit(&id, "two")).await.unwrap();
    let in_use = Ownership::take(dir.path());
    assert!(matches!(in_use, Err(JournalError::InUse { .. })));
    assert!(owner(dir.path()).unwrap().is_some());
    drop(journal);
    assert_eq!(owner(dir.path()).unwrap(), None);

    let aside = tempfile::tempdir_in(dir.path()).unwrap();
    let ownership = Ownership::take(dir.path()).unwrap();
    let reader = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let read: i64 = reader
        .query_row("SELECT count(*) FROM blocks", [], |row| row.get(0))
        .unwrap();
    assert_eq!(read, 2);
    let held = replace(dir.path(), &copied, aside.path(), &ownership);
    assert!(matches!(held, Err(JournalError::Read { .. })), "{held:?}");
    drop(reader);
    replace(dir.path(), &copied, aside.path(), &ownership).unwrap();
    drop(ownership);
    let blocks = |dir: &Path| examine(dir, Depth::Quick).unwrap().blocks;
    assert_eq!((blocks(dir.path()), blocks(aside.path())), (1, 2));
    assert_eq!(cursor(&open(dir.path()), &id).as_deref(), Some("one"));
}

#[tokio::test]
async fn a_reset_before_the_first_commit_counts_too() {
    let (_dir, journal, id) = journal();
    journal.reset(&id, Some("hosts")).await.unwrap();
    let stale = journal.commit(commit(&id, "one")).await;
    assert!(matches!(stale, Err(JournalError::Superseded { .. })));
    let unknown = journal.reset("nobody", None).await;
    assert!(matches!(
        unknown,
        Err(JournalError::UnknownConnector { .. })
    ));
}

#[tokio::test]
async fn a_reset_of_one_content_type_leaves_the_other_where_it_is() {
    let (_dir, journal, id) = journal();
    let vulnerabilities = |cursor: &str| Commit {
        content_type: "vulnerabilities".to_owned(),
        part: "part-2".to_owned(),
        ..commit(&id, cursor)
    };
    journal.commit(commit(&id, "one")).await.unwrap();
    journal.commit(vulnerabilities("one")).await.unwrap();
    journal.reset(&id, Some("hosts")).await.unwrap();
    journal.reset(&id, Some("hosts")).await.unwrap();
    assert_eq!(journal.cursor(&id, "hosts", "").unwrap().generation, 2);
    let other = journal.cursor(&id, "vulnerabilities", "part-2").unwrap();
    assert_eq!(
        (other.cursor.as_deref(), other.generation),
        (Some("one"), 0)
    );
    journal.commit(vulnerabilities("two")).await.unwrap();
    journal.reset(&id, None).await.unwrap();
    assert_eq!(journal.cursor(&id, "hosts", "").unwrap().generation, 3);
    let stale = journal.commit(vulnerabilities("three")).await;
    assert!(matches!(stale, Err(JournalError::Superseded { .. })));
}

/// What a journal should hold, kept the simple way.
#[derive(Default, Clone, PartialEq, Debug)]
struct Model {
    generation: BTreeMap<&'static str, u64>,
    cursors: BTreeMap<(&'static str, String), String>,
    cache: BTreeMap<String, Vec<u8>>,
    text: String,
}

#[tokio::test]
async fn a_thousand_random_deeds_leave_what_a_simple_model_says() {
    let (dir, mut journal, id) = journal();
    let mut model = Model::default();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for step in 0..1_000 {
        let content_type = ["hosts", "vulnerabilities"][usize::from(random(2) == 0)];
        let part = format!("part-{}", random(3));
        let generation = model.generation.get(content_type).copied().unwrap_or(0);
        match random(40) {
            0 => {
                let which = (random(2) == 0).then_some(content_type);
                journal.reset(&id, which).await.unwrap();
                for name in ["hosts", "vulnerabilities"] {
                    if which.is_none_or(|only| only == name) {
                        *model.generation.entry(name).or_default() += 1;
                        model.cursors.retain(|(of, _), _| *of != name);
                    }
                }
                model.cache.clear();
            }
            1 => {
                drop(journal);
                journal = open(dir.path());
            }
            deed => {
                let records = random(4);
                let text = format!("{{\"step\":{step}}}\n").repeat(records as usize);
                let times = (records > 0).then_some((1, step + 1));
                let put = |n: u64| (format!("key-é-{n}"), vec![b'x'; n as usize * 7]);
                let cache_puts: Vec<_> = (0..random(4)).map(|_| put(random(9))).collect();
                let cache_removes: Vec<_> = (0..random(4)).map(|_| put(random(9)).0).collect();
                let batch = Commit {
                    content_type: if deed == 2 { "cursed" } else { content_type }.to_owned(),
                    part: part.clone(),
                    expected_generation: generation + u64::from(deed == 3),
                    cursor: step.to_string(),
                    cache_puts: cache_puts.clone(),
                    cache_removes: cache_removes.clone(),
                    block: Some(
                        Block::press(&SCANS, records, times, text.as_bytes(), b"").unwrap(),
                    ),
                    ..commit(&id, "")
                };
                let answer = journal.commit(batch).await;
                assert_eq!(answer.is_ok(), deed > 3, "{answer:?}");
                if deed > 3 {
                    model.cursors.insert((content_type, part), step.to_string());
                    model.cache.retain(|key, _| !cache_removes.contains(key));
                    model.cache.extend(cache_puts);
                    model.text.push_str(&text);
                }
            }
        }
    }
    for (of, generation) in &model.generation {
        let position = journal.cursor(&id, of, "none").unwrap();
        assert_eq!(position.generation, *generation);
    }
    for content_type in ["hosts", "vulnerabilities"] {
        for n in 0..3 {
            let part = format!("part-{n}");
            let position = journal.cursor(&id, content_type, &part).unwrap();
            assert_eq!(
                position.cursor.as_ref(),
                model.cursors.get(&(content_type, part))
            );
        }
    }
    let keys: Vec<_> = (0..9).map(|n| format!("key-é-{n}")).collect();
    let values = journal.cache_get(&id, &keys).unwrap();
    let expected: Vec<_> = keys
        .iter()
        .map(|key| model.cache.get(key).cloned())
        .collect();
    assert_eq!(values, expected);
    let bytes: usize = model.cache.iter().map(|(k, v)| k.len() + v.len()).sum();
    assert_eq!(journal.cache_bytes(&id).unwrap(), bytes as u64);
    assert_eq!(exported(&journal, Index::Scans), model.text);
    assert!(model.text.len() > 1_000 && !model.cursors.is_empty());
}

#[tokio::test]
async fn a_hundred_thousand_records_go_through_blocks_and_export() {
    let (_dir, journal, id) = journal();
    let mut expected = String::new();
    for batch in 0..100 {
        let lines: Vec<_> = (0..1_000)
            .map(|n| format!("{{\"batch\":{batch},\"n\":{n}}}\n"))
            .collect();
        let text = lines.concat();
        let block = Block::press(
            if batch % 2 == 0 { &SCANS } else { &SCANS[..1] },
            1_000,
            Some((batch, batch + 10)),
            text.as_bytes(),
            format!("{{\"batch\":{batch}}}").as_bytes(),
        );
        expected.push_str(&text);
        let batch = Commit {
            block: Some(block.unwrap()),
            ..commit(&id, "c")
        };
        journal.commit(batch).await.unwrap();
    }
    assert_eq!(exported(&journal, Index::Syslog), expected);
    assert_eq!(
        newline_count(exported(&journal, Index::Scans).as_bytes()),
        50_000
    );
    assert_eq!(exported(&journal, Index::Assets), "");
    let mut after = 0;
    for (n, block) in journal.blocks(None, 0).enumerate() {
        let block = block.unwrap();
        assert!(block.offset > after);
        after = block.offset;
        assert_eq!(
            (block.records, block.records().unwrap().iter().count()),
            (1_000, 1_000)
        );
        assert_eq!(
            block.records().unwrap().iter().next().unwrap(),
            format!("{{\"batch\":{n},\"n\":0}}").as_bytes()
        );
        assert_eq!(
            block.notes().unwrap(),
            format!("{{\"batch\":{n}}}").as_bytes()
        );
        assert_eq!(block.times, Some((n as u64, n as u64 + 10)));
        assert_eq!(
            (
                block.tenant_name.as_str(),
                block.connector_name.as_str(),
                block.content_type.as_str()
            ),
            ("acme", "scanner-1", "hosts")
        );
        assert_eq!(block.connector_id, id);
        assert_eq!(block.indices.contains(&Index::Scans), n % 2 == 0);
    }
    assert_eq!(journal.last_offset().unwrap(), after);
    assert_eq!(journal.blocks(Some(Index::Scans), after - 3).count(), 1);
}

#[tokio::test]
async fn a_reader_goes_on_where_it_stopped_and_an_export_ends_where_it_began() {
    let (_dir, journal, id) = journal();
    let mut blocks = journal.blocks(None, 0);
    assert!(blocks.next().is_none());
    journal.commit(commit(&id, "one")).await.unwrap();
    assert_eq!(blocks.next().unwrap().unwrap().records, 3);
    assert!(blocks.next().is_none());

    // A reader that is slower than the writer would never come to an end.
    struct Busy<'a>(&'a Journal, String, u64);
    impl std::io::Write for Busy<'_> {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.2 += newline_count(text);
            let batch = commit(&self.1, "more");
            let write = move |connection: &Connection| {
                let block = batch.block.as_ref().unwrap();
                block::insert(connection, &batch.connector, "hosts", 1, block)
            };
            self.0.write_and_wait(write).unwrap();
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut out = Busy(&journal, id, 0);
    assert_eq!(journal.export(Index::Scans, &mut out).unwrap(), 3);
    assert_eq!(out.2, 3);
    assert_eq!(journal.blocks(None, 0).count(), 2);
}

#[test]
fn a_data_directory_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/data");
    let journal = open(&path);
    let clone = journal.clone();
    drop(journal);
    let sentence = Journal::open(&path, curses()).unwrap_err().to_string();
    assert!(sentence.contains(path.to_str().unwrap()), "{sentence}");
    let pid = format!("process {}:", std::process::id());
    assert!(sentence.contains(&pid), "{sentence}");
    drop(clone);
    open(&path);
}

#[cfg(unix)]
#[test]
fn a_new_data_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    open(&path);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn a_reader_needs_no_lock_and_cannot_write() {
    let (dir, journal, id) = journal();
    let reader = Journal::open_read_only(dir.path(), &curses()).unwrap();
    assert_eq!(exported(&reader, Index::Scans), "");
    journal.commit(commit(&id, "one")).await.unwrap();
    assert_eq!(state(&reader, &id), state(&journal, &id));
    let refused = reader.commit(commit(&id, "two")).await;
    assert!(matches!(refused, Err(JournalError::ReadOnly)));
    let delete = |connection: &Connection| Ok(connection.execute("DELETE FROM blocks", [])?);
    assert!(reader.read(delete).is_err());
    assert!(journal.read(delete).is_err());
    drop(journal);
    assert_eq!(reader.blocks(None, 0).count(), 1);
    let late = Journal::open_read_only(dir.path(), &curses()).unwrap();
    assert_eq!(late.blocks(None, 0).count(), 1);
}

#[test]
fn where_there_is_no_journal_none_is_made_by_reading() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Journal::open_read_only(dir.path(), &migrations());
    assert!(matches!(missing, Err(JournalError::Missing { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_dying_process_leaves_on_disk_is_all_that_was_confirmed() {
    let (dir, journal, id) = journal();
    for n in 0..5 {
        journal.commit(commit(&id, &n.to_string())).await.unwrap();
    }
    let run = journal.begin_run(&id, 1).await.unwrap();
    // The files as they lie there while the process is in the middle of its work; the last few bytes of the log may be
    // those of a transaction that was cut off.
    for cut in [0, 1, 100] {
        let copy = tempfile::tempdir().unwrap();
        for name in [FILE_NAME, "journal.sqlite-wal"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let log = copy.path().join("journal.sqlite-wal");
        let log = fs::File::options().write(true).open(log).unwrap();
        log.set_len(log.metadata().unwrap().len() - cut).unwrap();
        let reader = Journal::open_read_only(copy.path(), &curses()).unwrap();
        assert_eq!(state(&reader, &id), state(&journal, &id));
        drop(reader);
        let heir = open(copy.path());
        assert_eq!(state(&heir, &id), state(&journal, &id));
        let runs = heir.runs(None, 9).unwrap();
        if cut == 0 {
            assert_eq!(
                (&runs[0].id, runs[0].outcome.as_deref()),
                (&run, Some("interrupted"))
            );
        } else {
            assert!(runs.is_empty(), "the cut transaction is gone whole");
        }
        heir.commit(commit(&id, "on")).await.unwrap();
    }
}

#[test]
fn an_empty_file_and_an_older_one_are_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), "").unwrap();
    let id = connector(&Journal::open(dir.path(), migrations()).unwrap());
    // A later version of the caller brings tables of its own.
    let older = Journal::open_read_only(dir.path(), &curses());
    let own = migrations().len();
    assert!(matches!(
        older,
        Err(JournalError::SchemaOlder { found, known, .. }) if (found, known) == (own, own + 1)
    ));
    let journal = open(dir.path());
    assert_eq!(connector(&journal), id);
    let pragma = |name: &'static str| {
        let query =
            move |c: &Connection| Ok(c.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?);
        journal.write_and_wait(query).unwrap()
    };
    let settings = ["user_version", "auto_vacuum", "synchronous", "foreign_keys"];
    let version = i64::try_from(own + 1).unwrap();
    assert_eq!(settings.map(pragma), [version, 2, 2, 1]);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let before = fs::read(dir.path().join(FILE_NAME)).unwrap();
    for refused in [
        Journal::open(dir.path(), migrations()),
        Journal::open_read_only(dir.path(), &migrations()),
    ] {
        let error = refused.unwrap_err();
        let own = migrations().len();
        assert!(matches!(
            error,
            JournalError::SchemaNewer { found, known, .. } if (found, known) == (own + 1, own)
        ));
        assert!(error.to_string().contains("newer version"), "{error}");
    }
    assert!(fs::read(dir.path().join(FILE_NAME)).unwrap() == before);
    open(dir.path());
}

#[test]
fn a_file_of_every_released_schema_is_brought_up_to_date_and_keeps_its_ids() {
    for released in 1..=migrations().len() {
        let dir = tempfile::tempdir().unwrap();
        let mut old = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        let steps = migrations().into_iter().take(released).collect();
        rusqlite_migration::Migrations::new(steps)
            .to_latest(&mut old)
            .unwrap();
        old.execute_batch(
            "INSERT INTO tenants VALUES ('t', 'acme', 1);
             INSERT INTO connectors (id, tenant, name, kind, created) VALUES ('c', 't', 'scanner', 'acme-scanner', 1);",
        )
        .unwrap();
        drop(old);
        let journal = Journal::open(dir.path(), migrations()).unwrap();
        let row = journal.find_connector("acme", "scanner").unwrap().unwrap();
        assert_eq!(row.id, "c", "of schema {released}");
        assert_eq!(journal.strikes("c").unwrap(), None);
        assert!(journal.accepted_grants().unwrap().is_empty());
    }
}

#[test]
fn a_step_of_the_callers_keeps_its_place_when_the_journal_grows() {
    let dir = tempfile::tempdir().unwrap();
    let beside = M::up("CREATE TABLE beside (connector TEXT REFERENCES connectors (id))");
    // As released: the journal's first step, the caller's, and nothing more yet.
    let mut steps = migrations();
    let later = steps.split_off(1);
    steps.push(beside);
    let id = connector(&Journal::open(dir.path(), steps.clone()).unwrap());
    // A later version: the journal has grown, and its new steps stand behind the caller's.
    assert!(!later.is_empty());
    steps.extend(later);
    let journal = Journal::open(dir.path(), steps).unwrap();
    assert_eq!(connector(&journal), id);
    assert_eq!(journal.strikes(&id).unwrap(), None);
    let insert =
        move |database: &Connection| Ok(database.execute("INSERT INTO beside VALUES (?1)", [&id])?);
    assert_eq!(journal.write_and_wait(insert).unwrap(), 1);
}

#[test]
fn a_step_that_fails_leaves_the_file_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let id = connector(&Journal::open(dir.path(), migrations()).unwrap());
    let mut steps = migrations();
    steps.extend([
        M::up("CREATE TABLE fine (x)"),
        M::up("CREATE TABLE fine (x)"),
    ]);
    let failed = Journal::open(dir.path(), steps);
    assert!(matches!(failed, Err(JournalError::Migration { .. })));
    let journal = Journal::open(dir.path(), migrations()).unwrap();
    assert_eq!(connector(&journal), id);
}

#[test]
fn what_is_no_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), "something else ".repeat(99)).unwrap();
    assert!(Journal::open(dir.path(), migrations()).is_err());
    assert!(Journal::open_read_only(dir.path(), &migrations()).is_err());
}

#[test]
fn ids_are_made_at_first_use_and_kept() {
    let (dir, journal, id) = journal();
    let row = journal
        .connector("acme", "scanner-1", "acme-scanner")
        .unwrap();
    assert_eq!((row.id.len(), row.tenant_id.len()), (24, 32));
    assert!(
        (row.id.clone() + &row.tenant_id)
            .chars()
            .all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    );
    assert_eq!(row.id, id);
    let neighbour = journal
        .connector("acme", "scanner-2", "acme-scanner")
        .unwrap();
    assert_eq!(neighbour.tenant_id, row.tenant_id);
    assert_ne!(neighbour.id, row.id);
    let namesake = journal.connector("other", "scanner-1", "another").unwrap();
    assert_ne!(
        (&namesake.id, &namesake.tenant_id),
        (&row.id, &row.tenant_id)
    );
    let error = journal
        .connector("acme", "scanner-1", "another")
        .unwrap_err();
    assert!(
        matches!(&error, JournalError::OtherKind { kind, .. } if kind == "acme-scanner"),
        "{error}"
    );
    assert_eq!(journal.find_connector("acme", "none").unwrap(), None);
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(journal.connectors().unwrap(), [row, neighbour, namesake]);
}

#[test]
fn one_connector_is_made_when_many_ask_for_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let ids: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| connector(&journal)))
            .collect();
        asking
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(journal.connectors().unwrap().len(), 1);
}

#[tokio::test]
async fn each_connector_has_a_cache_of_its_own() {
    let (_dir, journal, id) = journal();
    let other = journal
        .connector("acme", "scanner-2", "acme-scanner")
        .unwrap()
        .id;
    journal.commit(commit(&id, "one")).await.unwrap();
    assert_eq!(cached(&journal, &other, "key"), None);
    journal.commit(commit(&other, "three")).await.unwrap();
    assert_eq!(cached(&journal, &id, "key"), Some(b"one".to_vec()));
    journal.reset(&other, None).await.unwrap();
    assert_eq!(cached(&journal, &id, "key"), Some(b"one".to_vec()));
    let keys = ["none", "key", "key"].map(str::to_owned);
    let values = journal.cache_get(&id, &keys).unwrap();
    assert_eq!(values, [None, Some(b"one".to_vec()), Some(b"one".to_vec())]);
    let gone = Commit {
        cache_puts: Vec::new(),
        cache_removes: vec!["key".to_owned(), "none".to_owned()],
        ..commit(&id, "two")
    };
    journal.commit(gone).await.unwrap();
    assert_eq!(
        (
            cached(&journal, &id, "key"),
            journal.cache_bytes(&id).unwrap()
        ),
        (None, 0)
    );
}

#[tokio::test]
async fn below_the_floor_commits_are_refused_while_state_is_still_written() {
    let (_dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let before = state(&journal, &id);
    journal.set_disk_floor(u64::MAX);
    let refused = journal.commit(commit(&id, "two")).await;
    assert!(matches!(refused, Err(JournalError::DiskFull { .. })));
    assert_eq!(state(&journal, &id), before);
    let run = journal.begin_run(&id, 1).await.unwrap();
    journal.end_run(&run, 2, "waiting", "{}").await.unwrap();
    journal.set_disk_floor(0);
    journal.commit(commit(&id, "two")).await.unwrap();
    assert_eq!(cursor(&journal, &id), Some("two".into()));
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_of_a_write_loses_nothing() {
    let (_dir, journal, id) = journal();
    journal.commit(commit(&id, "one")).await.unwrap();
    let before = state(&journal, &id);
    let room = |pages: i64| {
        move |connection: &Connection| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        }
    };
    let pages = journal.write(room(1)).await.unwrap();
    journal.write(room(pages + 3)).await.unwrap();
    // Does not compress: 40 pages or so.
    let large = Commit {
        cache_puts: (0..40)
            .map(|n: u64| (n.to_string(), vec![b'x'; 4_000]))
            .collect(),
        ..commit(&id, "two")
    };
    let refused = journal.commit(large.clone()).await;
    assert!(
        matches!(refused, Err(JournalError::DiskFull { .. })),
        "{refused:?}"
    );
    assert_eq!(state(&journal, &id), before);
    journal.write(room(1_000_000)).await.unwrap();
    journal.commit(large).await.unwrap();
    assert_eq!(cursor(&journal, &id), Some("two".into()));
}

#[tokio::test]
async fn a_run_ends_once_with_an_outcome_and_a_ledger() {
    let (dir, journal, id) = journal();
    let first = journal.begin_run(&id, 10).await.unwrap();
    journal
        .end_run(&first, 20, "done", "{\"listed\":1}")
        .await
        .unwrap();
    let again = journal.end_run(&first, 30, "failed", "{}").await;
    assert!(matches!(again, Err(JournalError::UnknownRun { .. })));
    let second = journal.begin_run(&id, 11).await.unwrap();
    let unknown = journal.begin_run("nobody", 1).await;
    assert!(matches!(
        unknown,
        Err(JournalError::UnknownConnector { .. })
    ));
    assert_eq!(journal.runs(None, 9).unwrap()[0].outcome, None);
    drop(journal);
    let journal = open(dir.path());
    let row = |id: &str| {
        journal
            .runs(None, 9)
            .unwrap()
            .into_iter()
            .find(|run| run.id == id)
    };
    let done = row(&first).unwrap();
    assert_eq!(
        (
            done.ended_ms,
            done.outcome.as_deref(),
            done.ledger.as_deref()
        ),
        (Some(20), Some("done"), Some("{\"listed\":1}"))
    );
    let cut = row(&second).unwrap();
    assert_eq!(
        (cut.ended_ms, cut.outcome.as_deref()),
        (None, Some("interrupted"))
    );
    assert_eq!(journal.runs(Some(&id), 1).unwrap(), [cut]);
    assert!(journal.runs(Some("nobody"), 9).unwrap().is_empty());
}

#[test]
fn a_block_that_is_not_what_it_claims_is_refused() {
    for (records, times, text) in [
        (2, Some((1, 1)), "{}\n"),
        (0, None, "{}\n"),
        (1, Some((1, 1)), "{}"),
        (1, Some((1, 1)), "{}\n{}"),
        (1, None, "{}\n"),
        (0, Some((1, 1)), ""),
        (1, Some((2, 1)), "{}\n"),
    ] {
        let refused = Block::press(&SCANS, records, times, text.as_bytes(), b"");
        assert!(matches!(refused, Err(JournalError::BadBlock(_))), "{text}");
    }
    assert!(Block::press(&[], 0, None, b"", b"").is_err());
}

#[tokio::test]
async fn notes_are_kept_where_no_record_was_emitted() {
    let (_dir, journal, id) = journal();
    let quiet = Commit {
        block: Some(block(0)),
        ..commit(&id, "one")
    };
    journal.commit(quiet).await.unwrap();
    let only = journal
        .blocks(Some(Index::Scans), 0)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!((only.records, only.times), (0, None));
    assert_eq!(only.notes().unwrap(), b"{\"seen\":[]}");
    assert_eq!(exported(&journal, Index::Scans), "");
}

#[tokio::test]
async fn a_damaged_block_is_noticed_and_named() {
    for damage in [
        "UPDATE blocks SET body = substr(body, 1, length(body) - 5)",
        "UPDATE blocks SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB)",
        "UPDATE blocks SET body = (SELECT notes FROM blocks)",
        "UPDATE blocks SET records = 4",
        "UPDATE blocks SET bytes = 3",
        "UPDATE blocks SET indices = 'syslog,unheard'",
    ] {
        let (_dir, journal, id) = journal();
        journal.commit(commit(&id, "one")).await.unwrap();
        let harm = move |connection: &Connection| Ok(connection.execute(damage, [])?);
        assert_eq!(journal.write(harm).await.unwrap(), 1);
        let error = journal.export(Index::Syslog, &mut Vec::new()).unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { offset: 1, .. }),
            "{damage}: {error}"
        );
    }
}

#[tokio::test]
async fn the_size_counts_pages_in_use() {
    let (_dir, journal, id) = journal();
    let small = journal.size().unwrap();
    let large = Commit {
        cache_puts: vec![("large".to_owned(), vec![7; 1 << 20])],
        ..commit(&id, "one")
    };
    journal.commit(large).await.unwrap();
    let grown = journal.size().unwrap();
    assert!(grown.used_bytes() >= small.used_bytes() + (1 << 20));
    journal.reset(&id, None).await.unwrap();
    let after = journal.size().unwrap();
    assert!(after.used_bytes() < small.used_bytes() + (1 << 19));
    assert!(after.free_pages > 200);
}

#[tokio::test]
async fn a_replayed_item_becomes_the_same_record_and_another_state_another() {
    let (dir, journal, _) = journal();
    let seal = |journal: &Journal, key: &str| {
        let row = journal
            .connector("acme", "scanner-1", "acme-scanner")
            .unwrap();
        let origin = Origin {
            source: "acme_scanner".into(),
            vendor: "acme".into(),
            category: "security_scan".into(),
        };
        let envelope = Envelope::new(&Labels {
            tenant_id: &row.tenant_id,
            tenant_name: &row.tenant_name,
            connector_id: &row.id,
            connector_name: &row.name,
            msg_class: "acme_hosts",
            origin: &origin,
            domain: "https://api.example.test",
        });
        let body = "{\"acme_scanner\":{}}";
        let facts = check(body, &ItemLimits::default()).unwrap();
        let mut out = Vec::new();
        envelope.seal(
            key,
            1_772_440_877_000,
            1_772_442_031_123,
            body,
            &facts,
            &mut out,
        );
        String::from_utf8(out).unwrap()
    };
    let before = seal(&journal, "7:a");
    assert_ne!(seal(&journal, "7:b"), before);
    drop(journal);
    assert_eq!(seal(&open(dir.path()), "7:a"), before);
}

fn accepted(grant: &str, accepted_ms: u64) -> AcceptedGrant {
    AcceptedGrant {
        plugin: "acme-scanner".to_owned(),
        sha256: "00".repeat(32),
        grant: grant.to_owned(),
        accepted_ms,
    }
}

#[tokio::test]
async fn what_was_accepted_last_for_a_plugin_is_what_is_remembered() {
    let (dir, journal, _) = journal();
    assert!(journal.accepted_grants().unwrap().is_empty());
    journal.accept_grant(accepted("{}", 5)).await.unwrap();
    journal
        .accept_grant(accepted("{\"a\":1}", 7))
        .await
        .unwrap();
    let reader = Journal::open_read_only(dir.path(), &curses()).unwrap();
    assert!(reader.accept_grant(accepted("{}", 9)).await.is_err());
    drop(journal);
    let rows = open(dir.path()).accepted_grants().unwrap();
    assert_eq!(rows, [accepted("{\"a\":1}", 7)]);
}

#[tokio::test]
async fn what_was_saved_last_of_a_quota_is_found_by_the_next_owner_and_by_readers() {
    let dir = tempfile::tempdir().unwrap();
    let spent = |bucket: &str, calls| StoredBucket {
        bucket: bucket.into(),
        made: vec![(1_772_442_900_000, calls)],
        ..StoredBucket::default()
    };
    let journal = Journal::open(dir.path(), migrations()).unwrap();
    // Nobody waits for any but the last: they are written all the same, and in their order.
    for calls in 1..100 {
        drop(journal.save("reader", spent("assets", calls)));
    }
    drop(journal.save("other", spent("assets", 7)));
    journal.save("reader", spent("scans", 5)).await.unwrap();
    let reader = Journal::open_read_only(dir.path(), &migrations()).unwrap();
    let expected = vec![spent("assets", 99), spent("scans", 5)];
    assert_eq!(reader.load("reader").unwrap(), expected);
    // Who only reads counts nowhere, and is not told that this is a failure.
    reader.save("reader", spent("assets", 1)).await.unwrap();
    drop((journal, reader));
    let journal = Journal::open(dir.path(), migrations()).unwrap();
    assert_eq!(journal.load("reader").unwrap(), expected);
    assert!(journal.load("nobody").unwrap().is_empty());
}
