//! `[journal]` of the host's configuration: how long and how much the journal keeps, and what it leaves of the disk.

use crate::document::{Section, kind};
use crate::failure::Mistake;
use connector_runtime::journal::{Journal, Retention};
use std::time::Duration;
use toml::Value;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Ten years.
const MOST_DAYS: u64 = 3_650;
/// A mebibyte and a pebibyte.
const LEAST_GIB: f64 = 1.0 / 1_024.0;
const MOST_GIB: f64 = 1_048_576.0;
/// A tebibyte.
const MOST_MIB: u64 = 1 << 20;

/// The section, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalOptions {
    /// How long and how much is kept.
    pub(crate) retention: Retention,
    /// Bytes of the disk that collection leaves free.
    pub(crate) disk_floor: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            disk_floor: Journal::DISK_FLOOR,
        }
    }
}

impl JournalOptions {
    /// A journal keeps to it from now on.
    pub(crate) fn bind(&self, journal: &Journal) {
        journal.set_retention(self.retention);
        journal.set_disk_floor(self.disk_floor);
    }

    /// Whether what is made of the journal's records can be made again: they must be kept at least as long as it keeps
    /// them. `others` are the keys that say how long, with their days.
    ///
    /// # Errors
    /// A sentence about `retention_days` that names the longest.
    pub(crate) fn check_others(&self, others: &[(&str, u64)]) -> Result<(), String> {
        let days = self.retention.age.as_secs() / DAY.as_secs();
        match others.iter().max_by_key(|(_, own)| *own) {
            Some((key, longest)) if *longest > days => Err(format!(
                "is {days}, and {key} is {longest}: what an index has must stay in the journal, so that it can be built again; write {longest} or more, or fewer days there"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn check(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let mut options = Self::default();
        let known = ["retention_days", "size_limit_gib", "disk_floor_mib"];
        section.refuse_unknown(&known, mistakes);
        if let Some(days) = section.whole("retention_days", 1, MOST_DAYS, mistakes) {
            options.retention.age = Duration::from_secs(days * DAY.as_secs());
        }
        if let Some(value) = section.table.get("size_limit_gib") {
            match gibibytes(value) {
                Ok(bytes) => options.retention.size_bytes = bytes,
                Err(message) => mistakes.push(section.mistake("size_limit_gib", message)),
            }
        }
        if let Some(floor) = section.whole("disk_floor_mib", 0, MOST_MIB, mistakes) {
            options.disk_floor = floor << 20;
        }
        options
    }
}

fn gibibytes(value: &Value) -> Result<u64, String> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number so large is refused anyway"
    )]
    let number = match value {
        Value::Integer(whole) => *whole as f64,
        Value::Float(number) => *number,
        other => return Err(format!("must be a number of GiB, and is {}", kind(other))),
    };
    if !(LEAST_GIB..=MOST_GIB).contains(&number) {
        return Err("must be a number of GiB from 0.001 to 1048576".into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its bounds have just been checked"
    )]
    Ok((number * f64::from(1 << 30)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use std::path::Path;

    fn check(text: &str) -> Result<JournalOptions, Vec<String>> {
        let file = Path::new("host.toml");
        let table = document::parse(file, text).unwrap();
        let mut mistakes = Vec::new();
        let top = Section::top(file, &table);
        let section = top.section("journal", &mut mistakes).unwrap();
        let options = JournalOptions::check(&section, &mut mistakes);
        match mistakes.is_empty() {
            true => Ok(options),
            false => Err(mistakes.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_limit_is_a_whole_number_or_a_part_of_one() {
        let options = check("[journal]\n").unwrap();
        assert_eq!(options, JournalOptions::default());
        assert_eq!(options.retention.age, 90 * DAY);
        assert_eq!(options.retention.size_bytes, 50 << 30);
        assert_eq!(options.disk_floor, 256 << 20);
        for (written, bytes) in [("2", 2 << 30), ("0.5", 1 << 29), ("0.25", 1 << 28)] {
            let text = format!("[journal]\nsize_limit_gib = {written}\n");
            assert_eq!(check(&text).unwrap().retention.size_bytes, bytes);
        }
        let text = "[journal]\nretention_days = 7\ndisk_floor_mib = 0\n";
        let options = check(text).unwrap();
        assert_eq!((options.retention.age, options.disk_floor), (7 * DAY, 0));
    }

    #[test]
    fn what_is_no_limit_is_refused_by_its_key() {
        for (line, says) in [
            (
                "size_limit_gib = 0",
                "size_limit_gib: must be a number of GiB from 0.001",
            ),
            (
                "size_limit_gib = -1.5",
                "size_limit_gib: must be a number of GiB from 0.001",
            ),
            (
                "size_limit_gib = nan",
                "size_limit_gib: must be a number of GiB from 0.001",
            ),
            (
                "size_limit_gib = \"50\"",
                "size_limit_gib: must be a number of GiB, and is a text",
            ),
            (
                "retention_days = 0",
                "retention_days: must be a whole number from 1 to 3650",
            ),
            (
                "disk_floor_mib = 1.5",
                "disk_floor_mib: must be a whole number",
            ),
            ("size_limit = 1", "journal.size_limit: there is no such key"),
        ] {
            let mistakes = check(&format!("[journal]\n{line}\n")).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(says), "{mistakes:?}");
        }
    }

    #[test]
    fn an_index_that_keeps_more_than_the_journal_is_refused_by_its_key() {
        let options = check("[journal]\nretention_days = 30\n").unwrap();
        let key = "search.scans.retention_days";
        let fits = [("search.syslog.retention_days", 7), (key, 30)];
        assert_eq!(options.check_others(&fits), Ok(()));
        assert_eq!(options.check_others(&[]), Ok(()));
        let message = options.check_others(&[(key, 31)]).unwrap_err();
        assert!(
            message.contains("search.scans.retention_days is 31"),
            "{message}"
        );
    }
}
