//! Documents: a record's line, made into what the index keeps of it.

use super::schema::Fields;
use crate::search::literal;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tantivy::schema::TantivyDocument;
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};

/// A record, parsed.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The UUID.
    pub(super) id: [u8; 16],
    /// When it happened, in milliseconds since 1970.
    pub(super) timestamp: u64,
    /// When it was committed, in milliseconds since 1970.
    pub(super) write_time: u64,
    /// All but the above.
    body: Node<'a>,
}

/// A JSON value that borrows its texts where they have no escapes.
#[derive(Debug)]
enum Node<'a> {
    Null,
    Truth(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Record<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let mut entries = match serde_json::from_slice(line) {
            Ok(Node::Object(entries)) => entries,
            Ok(_) => return Err("it is no object".into()),
            Err(_) => readable(line)?,
        };
        let mut take = |name: &str| {
            let at = entries.iter().position(|(key, _)| key == name)?;
            Some(entries.swap_remove(at).1)
        };
        let id = match take("stellar_uuid") {
            Some(Node::Text(text)) => identity(&text),
            _ => None,
        };
        let mut milliseconds = |name: &str| match take(name) {
            Some(Node::Unsigned(number)) => Ok(number),
            _ => Err(format!("it has no {name} in milliseconds")),
        };
        Ok(Self {
            timestamp: milliseconds("timestamp")?,
            write_time: milliseconds("write_time")?,
            id: id.ok_or("it has no stellar_uuid")?,
            body: Node::Object(entries),
        })
    }

    /// Adds its fields to a document.
    pub(super) fn fill(&self, fields: &Fields, document: &mut TantivyDocument) {
        document.add_bytes(fields.id, &self.id);
        document.add_u64(fields.timestamp, self.timestamp);
        document.add_u64(fields.write_time, self.write_time);
        document.add_field_value(fields.body, Seen::Node(&self.body));
    }
}

/// The members of a record that can be read, where one of them cannot: a number beyond all bounds, which is a text then, or
/// objects too deep in one another.
fn readable(line: &[u8]) -> Result<Vec<(Cow<'_, str>, Node<'_>)>, String> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let members = members.into_iter().map(|(key, raw)| {
        let node = serde_json::from_str(raw.get());
        let text = || Node::Text(Cow::Borrowed(raw.get()));
        (key, node.unwrap_or_else(|_| text()))
    });
    Ok(members.collect())
}

/// A record as it is shown. What of it cannot be read is shown as the text that it is.
pub(super) fn shown(source: &str) -> Option<serde_json::Value> {
    if let Ok(record) = serde_json::from_str(source) {
        return Some(record);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(source).ok()?;
    let members = members.into_iter().map(|(key, raw)| {
        let value = serde_json::from_str(raw.get());
        (key, value.unwrap_or_else(|_| raw.get().into()))
    });
    Some(serde_json::Value::Object(members.collect()))
}

/// A moment as the index has it: in nanoseconds, so that those before 1677 and after 2262 are the first and the last.
pub(super) fn moment(ms: i64) -> tantivy::DateTime {
    const NANOSECONDS: i64 = 1_000_000;
    tantivy::DateTime::from_timestamp_millis(
        ms.clamp(i64::MIN / NANOSECONDS, i64::MAX / NANOSECONDS),
    )
}

/// The 16 bytes of a UUID, which is the first 36 characters of a text.
pub(super) fn identity(text: &str) -> Option<[u8; 16]> {
    let uuid = text.get(..36)?;
    Some(*uuid::Uuid::try_parse(uuid).ok()?.as_bytes())
}

/// A value as the index sees it: a time is a text and a time.
#[derive(Clone, Debug)]
enum Seen<'a> {
    Node(&'a Node<'a>),
    Text(&'a str),
    Time(tantivy::DateTime),
}

enum Elements<'a> {
    Nodes(std::slice::Iter<'a, Node<'a>>),
    Both(std::array::IntoIter<Seen<'a>, 2>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        match self {
            Self::Nodes(nodes) => nodes.next().map(Seen::Node),
            Self::Both(both) => both.next(),
        }
    }
}

struct Members<'a>(std::slice::Iter<'a, (Cow<'a, str>, Node<'a>)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Seen<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, node) = self.0.next()?;
        Some((key, Seen::Node(node)))
    }
}

impl<'a> Value<'a> for Seen<'a> {
    type ArrayIter = Elements<'a>;
    type ObjectIter = Members<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        let node: &'a Node<'a> = match self {
            Self::Node(node) => node,
            Self::Text(text) => return ReferenceValue::Leaf(ReferenceValueLeaf::Str(text)),
            Self::Time(time) => return ReferenceValue::Leaf(ReferenceValueLeaf::Date(*time)),
        };
        ReferenceValue::Leaf(match node {
            Node::Null => ReferenceValueLeaf::Null,
            Node::Truth(truth) => ReferenceValueLeaf::Bool(*truth),
            Node::Signed(number) => ReferenceValueLeaf::I64(*number),
            Node::Unsigned(number) => ReferenceValueLeaf::U64(*number),
            Node::Float(number) => ReferenceValueLeaf::F64(*number),
            Node::Text(text) => match literal::instant(text) {
                None => ReferenceValueLeaf::Str(text),
                Some(ms) => {
                    let time = moment(ms);
                    let both = [Seen::Text(text), Seen::Time(time)];
                    return ReferenceValue::Array(Elements::Both(both.into_iter()));
                }
            },
            Node::Array(nodes) => return ReferenceValue::Array(Elements::Nodes(nodes.iter())),
            Node::Object(entries) => return ReferenceValue::Object(Members(entries.iter())),
        })
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Node<'de>, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node<'de>, E> {
                Ok(Node::Truth(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
                Ok(Node::Signed(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
                Ok(Node::Unsigned(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Node<'de>, E> {
                // Minus zero is zero.
                Ok(Node::Float(number + 0.0))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Node<'de>, E> {
                Ok(Node::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = access.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::Array(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), node)) = access.next_entry()? {
                    // These bytes separate the segments of a path in the index, and nobody can type them.
                    if !key.contains(['\0', '\u{1}']) {
                        entries.push((key, node));
                    }
                }
                Ok(Node::Object(entries))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// A document on its way to the thread that indexes it, with the room that it takes until it gets there.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) document: TantivyDocument,
    pub(super) room: Room,
}

impl Document for Entry {
    type Value<'a> = <TantivyDocument as Document>::Value<'a>;
    type FieldsValuesIter<'a> = <TantivyDocument as Document>::FieldsValuesIter<'a>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        self.document.iter_fields_and_values()
    }

    fn into_tantivy_document(self) -> TantivyDocument {
        drop(self.room);
        self.document
    }
}

/// How many bytes of documents wait to be indexed: Tantivy's own bound counts documents, however long they are.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Mutex<usize>,
    changed: Condvar,
}

impl Queue {
    /// Waits until there is room. One that is longer than all of it waits until it is alone.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize, most: usize) -> Room {
        let guard = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self
            .changed
            .wait_while(guard, |waiting| *waiting > 0 && *waiting + bytes > most)
            .unwrap_or_else(PoisonError::into_inner);
        *waiting += bytes;
        Room {
            queue: Arc::clone(self),
            bytes,
        }
    }
}

/// Room in a [`Queue`], given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        *self
            .queue
            .bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.queue.changed.notify_all();
    }
}
