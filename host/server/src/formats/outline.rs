//! The object that a document is made of, written field by field.

use serde::Serialize;
use serde_json::{Map, Value};

/// An object. What is nothing (null, an empty list, an empty object) makes no field.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Outline(Map<String, Value>);

impl Outline {
    /// Sets the field at a dotted path; objects on the way are made.
    pub(super) fn put(&mut self, path: &str, value: impl Into<Value>) {
        let value = value.into();
        let nothing = match &value {
            Value::Null => true,
            Value::Array(values) => values.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if nothing {
            return;
        }
        let mut map = &mut self.0;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                map.insert(name.to_owned(), value);
                return;
            }
            let inner = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Object(inner) => map = inner,
                // A path through a value is a mistake of the mapping; the value stays.
                _ => return,
            }
        }
    }
}

impl From<Outline> for Value {
    fn from(outline: Outline) -> Self {
        Self::Object(outline.0)
    }
}
