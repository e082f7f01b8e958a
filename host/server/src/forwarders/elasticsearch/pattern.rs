//! The name of an index, with what differs from record to record: `interflow-{index}-{date}`.

use crate::forwarders::day;
use connector_runtime::interflow::Index;

/// What stands unless `host.toml` says otherwise.
pub(crate) const DEFAULT: &str = "interflow-{index}-{date}";
/// As long as a name may be.
const LONGEST: usize = 255;
/// The longest that a placeholder can become, and more.
const ROOM: usize = 12;

/// A pattern, checked: whatever is put into it, it is the name of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `syslog`, `scans`.
    Index,
    /// `2026.03.02`
    Date,
    /// `2026.03`
    Month,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// With what is wrong, continuing a sentence that begins with the setting's name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, behind) = rest.split_at(open);
            pieces.push(Piece::Text(before.to_owned()));
            let Some((name, behind)) = behind[1..].split_once('}') else {
                return Err("has a `{` without its `}`".into());
            };
            pieces.push(match name {
                "index" => Piece::Index,
                "date" => Piece::Date,
                "month" => Piece::Month,
                _ => {
                    return Err(format!(
                        "has {{{name}}}, which stands for nothing; there is {{index}}, {{date}} and {{month}}"
                    ));
                }
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if pieces.is_empty() {
            return Err("must not be empty".into());
        }
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+".contains(&byte)
        };
        let texts = || {
            pieces.iter().filter_map(|piece| match piece {
                Piece::Text(text) => Some(text),
                _ => None,
            })
        };
        if !texts().all(|text| text.bytes().all(fits)) {
            return Err(
                "may have lower-case ASCII letters, digits, `-`, `_`, `.`, `+` and placeholders"
                    .into(),
            );
        }
        if text.starts_with(['-', '_', '+', '.']) {
            return Err("must begin with a letter, a digit or a placeholder".into());
        }
        let placeholders = pieces.len() - texts().count();
        if texts().map(String::len).sum::<usize>() + placeholders * ROOM > LONGEST {
            return Err(format!("would be longer than {LONGEST} bytes"));
        }
        Ok(Self(pieces))
    }

    /// The name for a record of this index and event time (milliseconds since 1970).
    pub(crate) fn name(&self, index: Index, timestamp: u64) -> String {
        let date = day(timestamp);
        let (year, month, day) = (date.year(), date.month(), date.day());
        let pieces = self.0.iter();
        pieces
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Index => index.id().to_owned(),
                Piece::Date => format!("{year:04}.{month:02}.{day:02}"),
                Piece::Month => format!("{year:04}.{month:02}"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_records_index_and_its_day_in_utc() {
        let name = |pattern: &str| {
            Pattern::parse(pattern)
                .unwrap()
                .name(Index::Scans, 1_772_495_999_999)
        };
        assert_eq!(name(DEFAULT), "interflow-scans-2026.03.02");
        assert_eq!(name("{index}.{month}"), "scans.2026.03");
        assert_eq!(name("logs-acme-default"), "logs-acme-default");
    }

    #[test]
    fn what_could_be_no_name_is_refused() {
        for (pattern, why) in [
            ("", "must not be empty"),
            ("a-{tenant}", "stands for nothing"),
            ("a-{date", "without its `}`"),
            ("A-{date}", "lower-case"),
            ("a/{date}", "lower-case"),
            ("a b", "lower-case"),
            ("_all", "must begin with"),
            (&"a".repeat(250), ""),
            (&format!("{{date}}{}", "a".repeat(250)), "longer than 255"),
        ] {
            match Pattern::parse(pattern) {
                Ok(_) => assert_eq!(why, "", "{pattern}"),
                Err(message) => assert!(!why.is_empty() && message.contains(why), "{message}"),
            }
        }
    }
}
