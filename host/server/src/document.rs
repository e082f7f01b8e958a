//! TOML files: read, with sentences that name file, place and key, and that never quote a value, which could be a secret.

use crate::failure::Mistake;
use std::io::Read as _;
use std::path::Path;
use toml::{Table, Value};
use zeroize::{Zeroize as _, Zeroizing};

/// Larger than any definition or configuration.
const LARGEST: u64 = 1 << 20;

/// Reads a file as a TOML table.
///
/// # Errors
/// If it cannot be read or is not TOML.
pub(crate) fn read(file: &Path) -> Result<Table, Mistake> {
    let cannot = |error: std::io::Error| {
        Mistake::of_file(
            file,
            format!("cannot be read ({error}); check the path and its permissions"),
        )
    };
    // Not by the file's length: a device or a pipe has none.
    let opened = std::fs::File::open(file).map_err(cannot)?;
    // Room for all of it: a text that grows leaves its old bytes behind, and there may be a secret in them.
    let room = opened.metadata().map_or(0, |metadata| metadata.len());
    let room = usize::try_from(room.min(LARGEST) + 1).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(room));
    let size = opened.take(LARGEST + 1).read_to_string(&mut text);
    if size.map_err(cannot)? as u64 > LARGEST {
        return Err(Mistake::of_file(
            file,
            format!("has more than {LARGEST} bytes, which is the most it may have"),
        ));
    }
    parse(file, &text)
}

/// Reads a text as a TOML table.
///
/// # Errors
/// If it is not TOML; with line and column, without the line itself.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Table, Mistake> {
    text.parse().map_err(|error: toml::de::Error| {
        let place = error.span().map_or_else(String::new, |span| {
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!(" at line {line}, column {column}")
        });
        let message = error.message().replace('\n', ", ");
        Mistake::of_file(file, format!("is not TOML{place}: {message}"))
    })
}

/// Overwrites every text of a table that may hold secrets, so that dropping it leaves none of them in memory.
pub(crate) fn wipe(table: &mut Table) {
    table.iter_mut().for_each(|(_, value)| wipe_value(value));
}

fn wipe_value(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(entries) => entries.iter_mut().for_each(wipe_value),
        Value::Table(table) => wipe(table),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// `prefix.key`, quoted where TOML wants it.
pub(crate) fn dotted(prefix: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if prefix.is_empty() {
        key
    } else {
        format!("{prefix}.{key}")
    }
}

/// What a value is, without the value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// One table of a file, being checked; the mistakes of the whole file are collected.
pub(crate) struct Section<'a> {
    pub(crate) file: &'a Path,
    /// The table's own dotted key; empty for the file's top.
    pub(crate) path: String,
    pub(crate) table: &'a Table,
}

impl<'a> Section<'a> {
    /// The top of a file.
    pub(crate) fn top(file: &'a Path, table: &'a Table) -> Self {
        Self {
            file,
            path: String::new(),
            table,
        }
    }

    /// A mistake at one of its keys.
    pub(crate) fn mistake(&self, key: &str, message: impl Into<String>) -> Mistake {
        Mistake::new(self.file, dotted(&self.path, key), message)
    }

    /// Refuses every key that is not one of `known`.
    pub(crate) fn refuse_unknown(&self, known: &[&str], mistakes: &mut Vec<Mistake>) {
        let here = match self.path.as_str() {
            "" => "here".to_owned(),
            path => format!("in [{path}]"),
        };
        for key in self
            .table
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
        {
            let message = format!(
                "there is no such key; {here} may stand {}",
                known.join(", ")
            );
            mistakes.push(self.mistake(key, message));
        }
    }

    /// The text at a key, if the key is there.
    pub(crate) fn text(&self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<&'a str> {
        match self.table.get(key)? {
            Value::String(text) => Some(text),
            other => {
                let message = format!("must be a text in quotes, and is {}", kind(other));
                mistakes.push(self.mistake(key, message));
                None
            }
        }
    }

    /// The whole number at a key, if the key is there.
    pub(crate) fn whole(
        &self,
        key: &str,
        least: u64,
        most: u64,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u64> {
        let value = self.table.get(key)?;
        let whole = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        let whole = whole.filter(|number| (least..=most).contains(number));
        if whole.is_none() {
            let message = format!("must be a whole number from {least} to {most}");
            mistakes.push(self.mistake(key, message));
        }
        whole
    }

    /// The list of texts at a key, if the key is there.
    pub(crate) fn texts(&self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Vec<String>> {
        let value = self.table.get(key)?;
        let texts = value.as_array().and_then(|list| {
            let texts = list.iter().map(|entry| entry.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>()
        });
        if texts.is_none() {
            let message = "must be a list of texts in quotes, like [\"a\", \"b\"]";
            mistakes.push(self.mistake(key, message));
        }
        texts
    }

    /// The table at a key, if the key is there.
    pub(crate) fn section(&self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<Section<'a>> {
        match self.table.get(key)? {
            Value::Table(table) => Some(Section {
                file: self.file,
                path: dotted(&self.path, key),
                table,
            }),
            other => {
                let message = format!("must be a table, and is {}", kind(other));
                mistakes.push(self.mistake(key, message));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_mistake_names_its_place_and_quotes_nothing() {
        let text = "name = \"a\"\npassword = \"hunter2-hunter2\nx = 1\n";
        let mistake = parse(Path::new("a.toml"), text).unwrap_err().to_string();
        assert!(
            mistake.starts_with("a.toml: is not TOML at line 2"),
            "{mistake}"
        );
        assert!(!mistake.contains("hunter2"), "{mistake}");
        let text = "password = hunter2-hunter2\n";
        let mistake = parse(Path::new("a.toml"), text).unwrap_err().to_string();
        assert!(!mistake.contains("hunter2"), "{mistake}");
    }

    #[test]
    fn a_wiped_table_holds_no_text() {
        let text = "a = \"s3cret\"\nb = [1, { c = \"s3cret\" }]\n";
        let mut table = parse(Path::new("a.toml"), text).unwrap();
        wipe(&mut table);
        assert!(!table.to_string().contains("s3cret"), "{table}");
    }

    #[test]
    fn keys_are_dotted_and_quoted_as_in_toml() {
        assert_eq!(dotted("", "name"), "name");
        assert_eq!(dotted("settings", "token"), "settings.token");
        assert_eq!(
            dotted("network.connectors", "acme/a"),
            "network.connectors.\"acme/a\""
        );
    }
}
