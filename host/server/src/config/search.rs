//! `[search]`: whether there is a search index, and how long it keeps records.

use crate::document::Section;
use crate::failure::Mistake;
use connector_runtime::journal::WhenBehind;

/// Longer than anybody keeps records.
const MOST_DAYS: u64 = 36_500;
/// A pebibyte.
const MOST_GIB: u64 = 1 << 20;

/// The section, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Whether records are indexed.
    pub(crate) enabled: bool,
    /// How long.
    pub(crate) retention: Retention,
    /// What happens when the journal is full because the index is behind.
    pub(crate) when_behind: WhenBehind,
}

/// How long the indices keep records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) syslog: Keep,
    pub(crate) scans: Keep,
}

/// How long one index keeps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Days since their arrival.
    pub(crate) days: u64,
    /// The newest so many bytes, before compression.
    pub(crate) bytes: Option<u64>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            days: 30,
            bytes: None,
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            enabled: true,
            retention: Retention::default(),
            when_behind: WhenBehind::Wait,
        }
    }
}

impl Search {
    pub(super) fn check(section: &Section<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        section.refuse_unknown(&["enabled", "when_behind", "syslog", "scans"], mistakes);
        let mut search = Self::default();
        if let Some(value) = section.table.get("enabled") {
            match value.as_bool() {
                Some(enabled) => search.enabled = enabled,
                None => mistakes.push(section.mistake("enabled", "must be true or false")),
            }
        }
        if let Some(word) = section.text("when_behind", mistakes) {
            match WhenBehind::ALL
                .into_iter()
                .find(|known| known.as_str() == word)
            {
                Some(when_behind) => search.when_behind = when_behind,
                None => {
                    mistakes.push(section.mistake("when_behind", "must be \"wait\" or \"skip\""));
                }
            }
        }
        let retention = &mut search.retention;
        for (key, keep) in [
            ("syslog", &mut retention.syslog),
            ("scans", &mut retention.scans),
        ] {
            if let Some(own) = section.section(key, mistakes) {
                own.refuse_unknown(&["retention_days", "retention_gib"], mistakes);
                if let Some(days) = own.whole("retention_days", 1, MOST_DAYS, mistakes) {
                    keep.days = days;
                }
                keep.bytes = own
                    .whole("retention_gib", 1, MOST_GIB, mistakes)
                    .map(|gib| gib << 30);
            }
        }
        search
    }

    /// The keys that say how long records are kept, with their days; none if nothing is indexed.
    pub(super) fn days(&self) -> Vec<(&'static str, u64)> {
        let Retention { syslog, scans } = self.retention;
        match self.enabled {
            true => vec![
                ("search.syslog.retention_days", syslog.days),
                ("search.scans.retention_days", scans.days),
            ],
            false => Vec::new(),
        }
    }
}
