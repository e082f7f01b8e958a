//! Cursor: where a walk stands, as readable JSON with a version.
//!
//! It is enough to go on from after a crash, also in the middle of a large host. An unreadable cursor, or one written by a newer
//! connector, is an error and never a silent start: starting over would look like success and cost the watermark.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The format written here.
const VERSION: u64 = 1;

/// Everything that is known between two batches of a content type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    v: u64,
    pub(crate) content_type: String,
    /// Of the settings that select and shape data.
    pub(crate) fingerprint: String,
    /// Server time from which the next increment starts, less the overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) watermark: Option<String>,
    /// The walk that is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) walk: Option<Walk>,
}

/// One pass over the vendor's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Walk {
    pub(crate) kind: WalkKind,
    /// Only hosts processed after this are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// Our clock at the walk's beginning.
    pub(crate) began: String,
    /// The server's clock at the walk's first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started: Option<String>,
    /// The first answer has been seen; what `started` is then, it stays.
    #[serde(default)]
    pub(crate) answered: bool,
    /// The next host has this ID or a greater one.
    pub(crate) id_min: u64,
    /// Hosts a page is asked for.
    pub(crate) page: u64,
    /// False once something listed was not accounted for.
    pub(crate) complete: bool,
    /// Hosts that were stepped over because their answers ended early, since a page was last read to its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) cut_in_a_row: u32,
    /// A host of which the first detections are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Inside>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How a walk began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WalkKind {
    /// Everything, or what the look-back covers.
    Full,
    /// What was processed since the watermark, or since an earlier moment that was asked for.
    Increment,
}

impl WalkKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Increment => "increment",
        }
    }
}

/// A place inside a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) id: u64,
    /// So many detections are done.
    pub(crate) read: u64,
    /// Hash of the last of them, in hexadecimal digits.
    pub(crate) hash: String,
}

/// Why a cursor cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CursorError {
    /// Not a cursor of this connector and content type.
    #[error("the stored cursor cannot be read ({0})")]
    Unreadable(String),
    /// Written by a newer connector.
    #[error("the stored cursor has version {0}; this connector reads up to {VERSION}")]
    Newer(u64),
}

impl Cursor {
    pub(crate) fn new(content_type: &str, fingerprint: &str) -> Self {
        Self {
            v: VERSION,
            content_type: content_type.to_owned(),
            fingerprint: fingerprint.to_owned(),
            watermark: None,
            walk: None,
        }
    }

    pub(crate) fn read(text: &str, content_type: &str) -> Result<Self, CursorError> {
        let unreadable = |why: &str| CursorError::Unreadable(why.to_owned());
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| unreadable("no JSON"))?;
        let version = value
            .get("v")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| unreadable("no version"))?;
        if version > VERSION {
            return Err(CursorError::Newer(version));
        }
        let cursor: Self = serde_json::from_value(value)
            .map_err(|error| CursorError::Unreadable(error.to_string()))?;
        if cursor.content_type != content_type {
            return Err(unreadable("it belongs to another content type"));
        }
        let times = [cursor.watermark.as_deref()]
            .into_iter()
            .chain(cursor.walk.iter().flat_map(|walk| {
                [
                    Some(walk.began.as_str()),
                    walk.started.as_deref(),
                    walk.after.as_deref(),
                ]
            }));
        if times
            .flatten()
            .any(|time| crate::timestamp::parse(time).is_none())
        {
            return Err(unreadable("a time in it is none"));
        }
        Ok(cursor)
    }

    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let mut cursor = Cursor::new("hosts", "ab");
        assert_eq!(Cursor::read(&cursor.write(), "hosts"), Ok(cursor.clone()));
        cursor.watermark = Some("2026-03-02T09:15:00Z".to_owned());
        cursor.walk = Some(Walk {
            kind: WalkKind::Increment,
            after: Some("2026-03-02T09:00:00Z".to_owned()),
            began: "2026-03-02T09:15:00Z".to_owned(),
            started: None,
            answered: false,
            id_min: u64::MAX,
            page: 250,
            complete: true,
            cut_in_a_row: 2,
            host: Some(Inside {
                id: 9_137_434_378,
                read: 3,
                hash: "00ff".to_owned(),
            }),
        });
        assert_eq!(Cursor::read(&cursor.write(), "hosts"), Ok(cursor));
    }

    #[test]
    fn an_unreadable_or_newer_cursor_is_never_a_fresh_start() {
        let good = Cursor::new("hosts", "ab").write();
        assert!(matches!(
            Cursor::read(&good, "vulnerabilities"),
            Err(CursorError::Unreadable(_))
        ));
        assert_eq!(
            Cursor::read(&good.replace("\"v\":1", "\"v\":2"), "hosts"),
            Err(CursorError::Newer(2))
        );
        for bad in [
            "",
            "{}",
            "null",
            "{\"v\":1}",
            "{\"v\":\"1\"}",
            &good[..good.len() - 1],
        ] {
            assert!(
                matches!(Cursor::read(bad, "hosts"), Err(CursorError::Unreadable(_))),
                "{bad}"
            );
        }
        let bad_time = good.replace("}", ",\"watermark\":\"soon\"}");
        assert!(matches!(
            Cursor::read(&bad_time, "hosts"),
            Err(CursorError::Unreadable(_))
        ));
    }
}
