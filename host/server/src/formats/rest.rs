//! What of a record has no place in a format, or a type that does not fit it.
//!
//! Fields are taken out one by one by those who can place them; whatever nobody took is still there, and is written as one
//! object. So nothing is lost, and nothing is said twice. What was never read is written as it stands, byte by byte.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The members of a record that nobody has taken yet.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Rest<'a> {
    members: BTreeMap<Cow<'a, str>, Member<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Member<'a> {
    /// As it stands in the record.
    Raw(&'a RawValue),
    /// What is left after reading.
    Read(Value),
}

impl<'a> Rest<'a> {
    pub(super) fn new(members: impl Iterator<Item = (Cow<'a, str>, &'a RawValue)>) -> Self {
        Self {
            members: members
                .map(|(name, value)| (name, Member::Raw(value)))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes a member that has not been read, as it stands.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        match self.members.get(name) {
            Some(Member::Raw(raw)) => {
                let raw = *raw;
                self.members.remove(name);
                Some(raw)
            }
            _ => None,
        }
    }

    /// Puts back what [`Rest::take`] took.
    pub(super) fn put(&mut self, name: String, raw: &'a RawValue) {
        self.members.insert(Cow::Owned(name), Member::Raw(raw));
    }

    /// Takes an object to be read, if there is one.
    pub(super) fn find_object(&mut self, name: &str) -> Option<Fields> {
        let map = match self.members.get(name)? {
            // One that no reader takes (a number beyond all ranges, say) stays as it stands.
            Member::Raw(raw) => serde_json::from_str(raw.get()).ok()?,
            Member::Read(Value::Object(map)) => map.clone(),
            Member::Read(_) => return None,
        };
        self.members.remove(name);
        Some(Fields(map))
    }

    /// Takes an object to be read; empty if there is none.
    pub(super) fn object(&mut self, name: &str) -> Fields {
        self.find_object(name).unwrap_or_default()
    }

    /// Puts back what is left of an object.
    pub(super) fn put_back(&mut self, name: &'static str, fields: Fields) {
        if !fields.0.is_empty() {
            self.members
                .insert(name.into(), Member::Read(Value::Object(fields.0)));
        }
    }

    /// Keeps a value that was read and has no place, at its own dotted path. What is nothing (see [`Fields::keep`]) is not.
    pub(super) fn keep(&mut self, path: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match path.split_once('.') {
            Some((object, path)) => {
                let mut fields = self.object(object);
                fields.keep_at(path, value);
                self.put_back(object, fields);
            }
            None if is_nothing(&value) => {}
            None => {
                self.members.insert(path.into(), Member::Read(value));
            }
        }
    }

    /// Lets a member that is no object be read like a field of one.
    pub(super) fn with<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> T {
        // An object is none of the types that are asked for here, and may be large.
        let value = match self.members.get(name) {
            Some(Member::Raw(raw)) if !raw.get().starts_with('{') => {
                serde_json::from_str::<Value>(raw.get()).ok()
            }
            Some(Member::Read(value)) if !value.is_object() => Some(value.clone()),
            _ => None,
        };
        let Some(value) = value else {
            return T::default();
        };
        let mut fields = Fields::default();
        fields.keep(name, value);
        let found = read(&mut fields);
        match fields.0.remove(name) {
            None => self.members.remove(name),
            Some(left) => self.members.insert(name.into(), Member::Read(left)),
        };
        found
    }

    /// See [`Fields::text`].
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.with(name, |fields| fields.text(name))
    }

    /// A time in milliseconds since 1970, up to the year 9999.
    pub(super) fn time(&mut self, name: &'static str) -> Option<i64> {
        const LAST: i64 = 253_402_300_799_999;
        self.with(name, |fields| {
            let time = fields.0.get(name)?.as_i64()?;
            if !(0..=LAST).contains(&time) {
                return None;
            }
            fields.0.remove(name);
            Some(time)
        })
    }
}

/// An object of which fields are taken. What does not have the type that is asked for stays.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// A text that is not blank, or a number as text. A blank one is nothing, and goes.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = as_text(self.0.get(name)?)?;
        self.0.remove(name);
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// The texts of a list, or a single one.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        self.parsed(name, |text| {
            Some(text.to_owned()).filter(|text| !text.trim().is_empty())
        })
    }

    /// Those texts of a list, or the single one, that `parse` understands, each once. The others stay.
    pub(super) fn parsed<T: PartialEq>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        let mut understood = |value: &Value| match as_text(value).as_deref().and_then(&parse) {
            Some(one) => {
                if !found.contains(&one) {
                    found.push(one);
                }
                true
            }
            None => false,
        };
        let gone = match self.0.get_mut(name) {
            Some(Value::Array(values)) => {
                values.retain(|value| !understood(value));
                values.is_empty()
            }
            Some(value) => understood(value),
            None => false,
        };
        if gone {
            self.0.remove(name);
        }
        found
    }

    /// A number that `fits`, also one that was written as text. Finite always.
    pub(super) fn number(&mut self, name: &str, fits: impl Fn(f64) -> bool) -> Option<f64> {
        let number = match self.0.get(name)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        if !number.is_finite() || !fits(number) {
            return None;
        }
        self.0.remove(name);
        Some(number)
    }

    /// A truth value, also one that was written as 0 or 1.
    pub(super) fn truth(&mut self, name: &str) -> Option<bool> {
        let truth = match self.0.get(name)? {
            Value::Bool(truth) => *truth,
            value => match as_text(value)?.as_str() {
                "0" => false,
                "1" => true,
                _ => return None,
            },
        };
        self.0.remove(name);
        Some(truth)
    }

    /// Takes an object to be read; empty if there is none. What is left of it is to be put back.
    pub(super) fn object(&mut self, name: &str) -> Fields {
        match self.0.get(name) {
            Some(Value::Object(_)) => match self.0.remove(name) {
                Some(Value::Object(map)) => Self(map),
                _ => Self::default(),
            },
            _ => Self::default(),
        }
    }

    /// Puts back what is left of an object.
    pub(super) fn put_back(&mut self, name: &str, fields: Fields) {
        if !fields.0.is_empty() {
            self.0.insert(name.to_owned(), Value::Object(fields.0));
        }
    }

    /// Takes a text from an object.
    pub(super) fn text_within(&mut self, object: &str, name: &str) -> Option<String> {
        let mut fields = self.object(object);
        let text = fields.text(name);
        self.put_back(object, fields);
        text
    }

    /// Forgets a text that says nothing new.
    pub(super) fn forget(&mut self, name: &str, known: &str) {
        if self.0.get(name).and_then(Value::as_str) == Some(known) {
            self.0.remove(name);
        }
    }

    /// Keeps a value; a null, an empty text and an empty list are nothing.
    pub(super) fn keep(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_nothing(&value) {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn keep_at(&mut self, path: &str, value: Value) {
        match path.split_once('.') {
            Some((object, path)) => {
                let mut inner = self.object(object);
                inner.keep_at(path, value);
                self.put_back(object, inner);
            }
            None => self.keep(path, value),
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
