//! The order of hits: any fields, then the newest arrival first.
//!
//! Truth values come before numbers, and numbers before texts, which are compared as they were written; descending, all that
//! is turned round. A document without the field comes last, either way. Of several values the first in the order counts.

use super::columns::{Cell, Columns, number_of, ordered};
use super::schema::SEQ;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tantivy::columnar::{Column, TermOrdHit};
use tantivy::{DocAddress, DocId, SegmentOrdinal, SegmentReader};

/// More fields make no order clearer.
pub(super) const MOST_KEYS: usize = 4;

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The columns, and whether the largest come first.
    pub(super) keys: Vec<(String, bool)>,
}

/// A value of a document, comparable between segments, and in the order that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    Truth(bool),
    /// See [`ordered`].
    Number(u64),
    Text(String),
    Missing,
}

impl Shown {
    /// As an answer shows it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Truth(truth) => (*truth).into(),
            Self::Number(number) => number_to_json(number_of(*number)),
            Self::Text(text) => text.clone().into(),
            Self::Missing => Value::Null,
        }
    }

    /// As a search hands it back.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Missing,
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Number(number) => Self::Number(ordered(number.as_f64()?)),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Truth(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Missing => 3,
        }
    }

    fn compare(&self, other: &Self, descending: bool) -> std::cmp::Ordering {
        let missing = |shown: &Self| matches!(shown, Self::Missing);
        let order = missing(self).cmp(&missing(other));
        let values = match (self, other) {
            (Self::Truth(one), Self::Truth(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (one, two) => one.rank().cmp(&two.rank()),
        };
        order.then(if descending { values.reverse() } else { values })
    }
}

/// A number, whole if it is.
pub(super) fn number_to_json(number: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and small enough"
    )]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// A hit with its place in the order.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) keys: Vec<Shown>,
    pub(super) seq: u64,
    pub(super) address: DocAddress,
}

impl Order {
    /// Puts the hits of all segments in order.
    pub(super) fn sort(&self, hits: &mut [Placed]) {
        hits.sort_by(|one, two| {
            let keys = one.keys.iter().zip(&two.keys).zip(&self.keys);
            keys.map(|((one, two), (_, descending))| one.compare(two, *descending))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| two.seq.cmp(&one.seq))
        });
    }
}

/// A value in a form that is compared quickly within a segment: smaller is earlier.
type Fast = (u8, u64);

const MISSING: Fast = (3, 0);

fn fast(rank: u8, value: u64, descending: bool) -> Fast {
    if descending {
        (2 - rank, !value)
    } else {
        (rank, value)
    }
}

/// Where a document stands: its keys, then the newest first.
type Place = ([Fast; MOST_KEYS], Reverse<u64>);

/// The first documents of a segment.
pub(super) struct First {
    segment: SegmentOrdinal,
    keys: Vec<(Columns, bool)>,
    seq: Column<u64>,
    most: usize,
    after: Option<Place>,
    found: BinaryHeap<(Place, DocId)>,
}

impl First {
    pub(super) fn new(
        order: &Order,
        most: usize,
        after: Option<&(Vec<Shown>, u64)>,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Self> {
        let mut keys = Vec::new();
        for (name, descending) in order.keys.iter().take(MOST_KEYS) {
            keys.push((Columns::open(reader, name)?, *descending));
        }
        let mut first = Self {
            segment,
            keys,
            seq: reader.fast_fields().u64(SEQ)?,
            most,
            after: None,
            found: BinaryHeap::new(),
        };
        if let Some((shown, seq)) = after {
            let mut place = [MISSING; MOST_KEYS];
            for ((slot, shown), (columns, descending)) in
                place.iter_mut().zip(shown).zip(&first.keys)
            {
                *slot = place_of(shown, columns, *descending)?;
            }
            first.after = Some((place, Reverse(*seq)));
        }
        Ok(first)
    }

    /// The order of arrival of a document.
    pub(super) fn collect(&mut self, document: DocId) {
        if self.most == 0 {
            return;
        }
        let mut place = [MISSING; MOST_KEYS];
        for (slot, (columns, descending)) in place.iter_mut().zip(&self.keys) {
            columns.visit(document, |cell| {
                let key = match cell {
                    Cell::Truth(truth) => fast(0, truth.into(), *descending),
                    Cell::Number(number) => fast(1, number, *descending),
                    // Odd, so that there is room for texts that this segment does not have.
                    Cell::Text(place) => fast(2, place * 2 + 1, *descending),
                };
                *slot = key.min(*slot);
            });
        }
        let place = (place, Reverse(self.seq.first(document).unwrap_or_default()));
        if self.after.is_some_and(|after| place <= after) {
            return;
        }
        if self.found.len() < self.most {
            self.found.push((place, document));
        } else if let Some(mut last) = self.found.peek_mut()
            && place < last.0
        {
            *last = (place, document);
        }
    }

    /// What was found, with its values.
    pub(super) fn harvest(self) -> std::io::Result<Vec<Placed>> {
        let rows = self.found.into_vec();
        let mut placed: Vec<_> = rows
            .iter()
            .map(|((_, seq), document)| Placed {
                keys: Vec::with_capacity(self.keys.len()),
                seq: seq.0,
                address: DocAddress::new(self.segment, *document),
            })
            .collect();
        for (at, (columns, descending)) in self.keys.iter().enumerate() {
            let value = |row: &(Place, DocId)| {
                let (rank, value) = row.0.0[at];
                match (rank, descending) {
                    (3, _) => (3, 0),
                    (rank, true) => (2 - rank, !value),
                    (rank, false) => (rank, value),
                }
            };
            let mut places: Vec<_> = rows
                .iter()
                .map(value)
                .filter_map(|(rank, value)| (rank == 2).then_some(value / 2))
                .collect();
            places.sort_unstable();
            places.dedup();
            let texts = columns.texts_at(&places)?;
            for (row, placed) in rows.iter().zip(&mut placed) {
                placed.keys.push(match value(row) {
                    (0, truth) => Shown::Truth(truth != 0),
                    (1, number) => Shown::Number(number),
                    (2, place) => {
                        let at = places.binary_search(&(place / 2)).ok();
                        let text = at.and_then(|at| texts.get(at));
                        text.map_or(Shown::Missing, |text| Shown::Text(text.clone()))
                    }
                    _ => Shown::Missing,
                });
            }
        }
        Ok(placed)
    }
}

/// Where a value stands in a segment that may not have it.
fn place_of(shown: &Shown, columns: &Columns, descending: bool) -> std::io::Result<Fast> {
    Ok(match shown {
        Shown::Missing => MISSING,
        Shown::Truth(truth) => fast(0, (*truth).into(), descending),
        Shown::Number(number) => fast(1, *number, descending),
        Shown::Text(text) => {
            let value = match &columns.texts {
                None => 0,
                Some(column) => match column.dictionary().term_ord_or_next(text.as_bytes())? {
                    TermOrdHit::Exact(place) => place * 2 + 1,
                    TermOrdHit::Next(place) => place.min(column.num_terms() as u64) * 2,
                },
            };
            fast(2, value, descending)
        }
    })
}
