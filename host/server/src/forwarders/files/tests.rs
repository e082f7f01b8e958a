use super::*;
use crate::forwarders::tests::{START, Site, forwarder};
use crate::forwarders::{Kind, escaped};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

const SCANS: [Index; 2] = [Index::Syslog, Index::Scans];
const HOSTS: [Index; 2] = [Index::Syslog, Index::Assets];
const DAY: u64 = 86_400_000;

use connector_runtime::interflow::Index;

fn options(site: &Site, packing: Packing) -> Options {
    Options {
        path: site.directory.path().join("out"),
        packing,
        rotate_bytes: 1 << 30,
        rotate_after: Duration::from_secs(900),
    }
}

fn files(site: &Site, options: &Options) -> Files {
    let forwarder = forwarder(Kind::Files(options.clone()));
    Files::new(&forwarder, options, &site.surroundings)
}

/// Every file that was handed over: its path below the root, and its lines.
fn handed_over(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(OPEN) {
                folders.push(path);
            } else if path.is_file() {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, lines(&path));
            }
        }
    }
    found
}

fn lines(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let text = match path.extension().unwrap().to_str().unwrap() {
        "zst" => String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap(),
        "gz" => {
            let mut text = String::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(&*bytes);
            decoder.read_to_string(&mut text).unwrap();
            text
        }
        _ => String::from_utf8(bytes).unwrap(),
    };
    text.lines().map(str::to_owned).collect()
}

/// Hands over what is open, by its age.
fn hand_over(site: &Site, files: &mut Files) {
    site.surroundings.clock.advance(Duration::from_secs(3600));
    files.rest().unwrap();
}

#[test]
fn records_lie_in_folders_by_index_tenant_and_day_of_writing() {
    let site = Site::new();
    let first = site.add("acme", &SCANS, 2, START);
    let second = site.add("acme", &HOSTS, 1, START);
    let next_day = site.add("acme", &SCANS, 1, START + DAY);
    let other = site.add("a/../b", &SCANS, 1, START);
    for (packing, suffix) in [
        (Packing::Zstd, ".zst"),
        (Packing::Gzip, ".gz"),
        (Packing::Plain, ""),
    ] {
        let mut options = options(&site, packing);
        options.path = site.directory.path().join(packing.as_str());
        let mut forwarder = forwarder(Kind::Files(options.clone()));
        forwarder.name = packing.as_str().to_owned();
        let mut files = Files::new(&forwarder, &options, &site.surroundings);
        assert_eq!(site.follow(&mut files, 0).unwrap(), 4);
        assert!(handed_over(&options.path).is_empty());
        hand_over(&site, &mut files);
        let name = |folder: &str, range: &str| format!("{folder}/{range}.ndjson{suffix}");
        let expected = BTreeMap::from([
            (
                name(
                    "index=scans/tenant=acme/date=2026-03-02",
                    "000000000001-000000000001",
                ),
                first.clone(),
            ),
            (
                name(
                    "index=syslog/tenant=acme/date=2026-03-02",
                    "000000000001-000000000002",
                ),
                [first.clone(), second.clone()].concat(),
            ),
            (
                name(
                    "index=scans/tenant=acme/date=2026-03-03",
                    "000000000003-000000000003",
                ),
                next_day.clone(),
            ),
            (
                name(
                    "index=syslog/tenant=acme/date=2026-03-03",
                    "000000000003-000000000003",
                ),
                next_day.clone(),
            ),
            (
                name(
                    "index=scans/tenant=a%2F..%2Fb/date=2026-03-02",
                    "000000000004-000000000004",
                ),
                other.clone(),
            ),
            (
                name(
                    "index=syslog/tenant=a%2F..%2Fb/date=2026-03-02",
                    "000000000004-000000000004",
                ),
                other.clone(),
            ),
        ]);
        assert_eq!(handed_over(&options.path), expected);
    }
}

#[test]
fn only_the_chosen_tenants_and_indices_are_written() {
    let site = Site::new();
    let wanted = site.add("acme", &SCANS, 1, START);
    site.add("other", &SCANS, 1, START);
    site.add("acme", &HOSTS, 1, START);
    let options = options(&site, Packing::Zstd);
    let mut forwarder = forwarder(Kind::Files(options.clone()));
    forwarder.tenants = Some(vec!["acme".into()]);
    forwarder.indices = Some(vec![Index::Scans]);
    let mut files = Files::new(&forwarder, &options, &site.surroundings);
    site.follow(&mut files, 0).unwrap();
    hand_over(&site, &mut files);
    let all: Vec<_> = handed_over(&options.path).into_iter().collect();
    assert_eq!(all.len(), 1);
    assert!(
        all[0].0.starts_with("index=scans/tenant=acme/"),
        "{}",
        all[0].0
    );
    assert_eq!(all[0].1, wanted);
}

#[test]
fn a_file_is_handed_over_when_it_is_large_or_old_and_not_before() {
    let site = Site::new();
    site.add("acme", &[Index::Syslog], 50, START);
    let mut options = options(&site, Packing::Plain);
    options.rotate_bytes = 20_000;
    let mut files = files(&site, &options);
    let mut committed = site.follow(&mut files, 0).unwrap();
    assert!(handed_over(&options.path).is_empty(), "small and young");
    let wait = files.rest().unwrap().unwrap();
    assert_eq!(wait, options.rotate_after);
    site.add("acme", &[Index::Syslog], 50, START);
    for block in site.journal.blocks(None, committed) {
        let block = block.unwrap();
        files.take(&block).unwrap();
        committed = block.offset;
    }
    files.commit(committed).unwrap();
    let names: Vec<_> = handed_over(&options.path).into_keys().collect();
    assert_eq!(
        names,
        ["index=syslog/tenant=acme/date=2026-03-02/000000000001-000000000002.ndjson"],
        "large"
    );
    assert_eq!(files.rest().unwrap(), None);
}

#[test]
fn a_file_of_an_earlier_life_of_the_journal_is_not_overwritten() {
    let site = Site::new();
    let records = site.add("acme", &[Index::Syslog], 1, START);
    let options = options(&site, Packing::Plain);
    let folder = options
        .path
        .join("index=syslog/tenant=acme/date=2026-03-02");
    fs::create_dir_all(&folder).unwrap();
    let name = "000000000001-000000000001";
    fs::write(folder.join(format!("{name}.ndjson")), "{}\n").unwrap();
    let mut files = files(&site, &options);
    site.follow(&mut files, 0).unwrap();
    hand_over(&site, &mut files);
    let found = handed_over(&options.path);
    let at = |name: &str| &found[&format!("index=syslog/tenant=acme/date=2026-03-02/{name}")];
    assert_eq!(at(&format!("{name}.ndjson")), &["{}"]);
    assert_eq!(at(&format!("{name}-2.ndjson")), &records);
}

#[test]
fn an_open_file_that_somebody_deleted_is_written_again_and_no_other() {
    let site = Site::new();
    let first = site.add("acme", &SCANS, 3, START);
    let options = options(&site, Packing::Zstd);
    let mut files = files(&site, &options);
    let noted = site.follow(&mut files, 0).unwrap();
    let lost = files
        .parts
        .iter()
        .find(|(key, _)| key.index == Index::Scans);
    let lost = lost
        .unwrap()
        .1
        .path(&files.open_folder(), &files.state.life);
    fs::remove_file(lost).unwrap();
    let second = site.add("acme", &SCANS, 1, START);
    assert_eq!(site.follow(&mut files, noted).unwrap(), 2);
    assert!(files.state.gaps.is_empty());
    hand_over(&site, &mut files);
    let found = handed_over(&options.path);
    let all = [first, second].concat();
    assert_eq!(found.len(), 2);
    assert!(found.values().all(|lines| *lines == all), "{found:?}");
}

#[test]
fn an_open_file_that_is_gone_is_noticed_while_it_is_written_and_before_it_is_handed_over() {
    for is_written in [true, false] {
        let site = Site::new();
        let first = site.add("acme", &[Index::Syslog], 3, START);
        let options = options(&site, Packing::Zstd);
        let mut files = files(&site, &options);
        let mut noted = site.follow(&mut files, 0).unwrap();
        let part = files.parts.values().next().unwrap();
        fs::remove_file(part.path(&files.open_folder(), &files.state.life)).unwrap();
        let mut all = first;
        let failed = if is_written {
            all.extend(site.add("acme", &[Index::Syslog], 1, START));
            let block = site.journal.blocks(None, noted).next().unwrap().unwrap();
            files.take(&block).and_then(|()| files.commit(block.offset))
        } else {
            site.surroundings.clock.advance(options.rotate_after);
            files.rest().map(drop)
        };
        assert!(failed.is_err(), "{is_written}");
        noted = site.follow(&mut files, noted).unwrap();
        assert!(noted >= 1);
        hand_over(&site, &mut files);
        let found: Vec<_> = handed_over(&options.path).into_values().collect();
        assert_eq!(found, [all], "{is_written}");
    }
}

#[test]
fn what_is_open_is_handed_over_when_the_path_changes_or_the_forwarder_goes() {
    let site = Site::new();
    let first = site.add("acme", &[Index::Syslog], 1, START);
    let before = options(&site, Packing::Zstd);
    let mut files_before = files(&site, &before);
    let noted = site.follow(&mut files_before, 0).unwrap();
    drop(files_before);
    let mut after = options(&site, Packing::Gzip);
    after.path = site.directory.path().join("elsewhere");
    let second = site.add("acme", &[Index::Syslog], 1, START);
    let mut files_after = files(&site, &after);
    site.follow(&mut files_after, noted).unwrap();
    let only = |root: &Path| handed_over(root).into_values().collect::<Vec<_>>();
    assert_eq!(only(&before.path), [first]);
    assert!(only(&after.path).is_empty());
    drop(files_after);
    let data = &site.surroundings.data;
    crate::forwarders::forget(data, "forwarder:siem").unwrap();
    assert_eq!(only(&after.path), [second]);
    // One that is made anew begins where it is told to.
    assert_eq!(files(&site, &after).open(0).unwrap(), 0);
    crate::forwarders::forget(data, "assets").unwrap();
}

#[test]
fn a_new_forwarder_begins_where_the_journal_says_and_a_damaged_state_begins_anew() {
    let site = Site::new();
    let options = options(&site, Packing::Zstd);
    let mut first = files(&site, &options);
    assert_eq!(first.open(7).unwrap(), 7);
    assert_eq!(first.open(3).unwrap(), 7, "its own state counts");
    fs::write(first.folder.join("state.json"), "{\"version\":1,").unwrap();
    assert_eq!(first.open(7).unwrap(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let site = Site::new();
    site.add("acme", &SCANS, 1, START);
    let options = options(&site, Packing::Zstd);
    fs::write(&options.path, "a file").unwrap();
    let error = files(&site, &options).open(0).unwrap_err().to_string();
    assert!(error.starts_with("forwarder siem: "), "{error}");
    assert!(error.contains("out/.open cannot be made"), "{error}");
}

#[test]
fn every_format_is_written_and_what_has_none_is_a_dead_letter() {
    for format in Format::ALL {
        let site = Site::new();
        let records = site.add("acme", &[Index::Syslog], 3, START);
        site.add_text("acme", &[Index::Syslog], 1, "no record\n", START);
        let options = options(&site, Packing::Gzip);
        let mut forwarder = forwarder(Kind::Files(options.clone()));
        forwarder.format = format;
        let mut files = Files::new(&forwarder, &options, &site.surroundings);
        site.follow(&mut files, 0).unwrap();
        hand_over(&site, &mut files);
        let mut expected: Vec<String> = records
            .iter()
            .map(|record| {
                let mut text = Vec::new();
                format.write(record.as_bytes(), &mut text).unwrap();
                String::from_utf8(text).unwrap()
            })
            .collect();
        // As it lies in the journal, whatever it is.
        if format == Format::Interflow {
            expected.push("no record".into());
        } else {
            let letters = site.dead_letters();
            assert!(letters.contains("\"record\":\"no record\""), "{letters}");
            assert_ne!(expected, records);
        }
        let written: Vec<_> = handed_over(&options.path).into_values().collect();
        assert_eq!(written, [expected], "{}", format.as_str());
    }
}

/// Numbers that look random, and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What a process leaves behind that ends at some point of a commit: before the state was written, or with some of the
/// renames still to be made. `before` is the state as the commit found it.
fn end_within_a_commit(files: &Files, before: &[u8], dice: &mut Dice) {
    let path = files.folder.join("state.json");
    let state = State::read(&files.folder).unwrap().unwrap();
    let is_unwritten = dice.below(2) == 0;
    for entry in state.open {
        let part = Part::from(entry);
        let open = part.path(&files.open_folder(), &state.life);
        if let Some(name) = &part.closing
            && (is_unwritten || dice.below(2) == 0)
        {
            let place = files.options.path.join(part.partition.to_string());
            fs::rename(place.join(name), &open).unwrap();
        }
        if dice.below(3) == 0 && part.closing.is_none() {
            let mut file = File::options().append(true).open(&open).unwrap();
            std::io::Write::write_all(&mut file, b"half a chunk").unwrap();
        }
    }
    if is_unwritten {
        fs::write(path, before).unwrap();
    }
}

use std::fs::File;

/// Every record is there once, in the journal's order, whenever the process ends and whoever takes files away.
#[test]
fn a_forwarder_that_is_killed_anywhere_loses_nothing_and_doubles_nothing() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let site = Site::new();
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut written = START;
        for _ in 0..40 {
            written += dice.below(DAY / 8);
            let tenant = ["acme", "umbrella corp"][dice.below(2) as usize];
            let indices: &[Index] =
                [&SCANS[..], &HOSTS[..], &[Index::Scans]][dice.below(3) as usize];
            let records = site.add(tenant, indices, dice.below(4), written);
            for index in indices.iter().filter(|index| **index != Index::Assets) {
                let folder = format!(
                    "index={index}/tenant={}/date={}",
                    escaped(tenant),
                    day(written)
                );
                expected.entry(folder).or_default().extend(records.clone());
            }
        }
        let mut options = options(&site, Packing::Zstd);
        options.rotate_bytes = 600;
        options.rotate_after = Duration::from_secs(60);
        let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let collect = |taken: &mut BTreeMap<String, Vec<String>>| {
            for (name, lines) in handed_over(&options.path) {
                fs::remove_file(options.path.join(&name)).unwrap();
                let (folder, _) = name.rsplit_once('/').unwrap();
                taken.entry(folder.to_owned()).or_default().extend(lines);
            }
        };
        let end = site.journal.last_offset().unwrap();
        let mut noted = 0;
        let mut files = files(&site, &options);
        let mut at = files.open(noted).unwrap();
        let mut turns = 0;
        while noted < end {
            turns += 1;
            assert!(turns < 10_000);
            match dice.below(12) {
                0 => {
                    // Ends without a word.
                    files = self::files(&site, &options);
                    at = files.open(noted).unwrap();
                }
                1 => collect(&mut taken),
                2 => {
                    // What was taken must be committed first.
                    files.commit(at).unwrap();
                    noted = at;
                    site.surroundings
                        .clock
                        .advance(Duration::from_secs(dice.below(90)));
                    files.rest().unwrap();
                }
                3 => {
                    let before = fs::read(files.folder.join("state.json")).unwrap();
                    files.commit(at).unwrap();
                    end_within_a_commit(&files, &before, &mut dice);
                    if dice.below(2) == 0 {
                        collect(&mut taken);
                    }
                    files = self::files(&site, &options);
                    at = files.open(noted).unwrap();
                }
                4 | 5 => {
                    files.commit(at).unwrap();
                    noted = at;
                }
                _ => {
                    if let Some(block) = site.journal.blocks(None, at).next() {
                        let block = block.unwrap();
                        files.take(&block).unwrap();
                        at = block.offset;
                    }
                }
            }
        }
        hand_over(&site, &mut files);
        collect(&mut taken);
        expected.retain(|_, lines| !lines.is_empty());
        assert_eq!(taken, expected, "seed {seed}");
        let left = fs::read_dir(files.open_folder()).unwrap().count();
        assert_eq!(left, 0, "seed {seed}");
    }
}
