//! The order of hits: any fields, and the order of arrival, which tells all documents apart.
//!
//! Truth values come before numbers, numbers before times, and times before texts, which are compared as they were written;
//! descending, all that is turned round. A document without the field comes last, either way, and so does one with a long
//! text. Of several values the first in the order counts.

use super::columns::{Cell, Columns, number_of, ordered};
use crate::search::analysis::LONGEST_TERM;
use crate::search::literal::instant;
use serde_json::Value;
use std::collections::BinaryHeap;
use tantivy::columnar::TermOrdHit;
use tantivy::{DocAddress, DocId, SegmentOrdinal, SegmentReader, i64_to_u64};

/// More fields, with that of arrival, make no order clearer.
pub(super) const MOST_KEYS: usize = 5;

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
    /// Milliseconds since 1970, and as it was written.
    Time(i64, String),
    Text(String),
    Missing,
}

impl Shown {
    /// As an answer shows it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Truth(truth) => (*truth).into(),
            Self::Number(number) => number_to_json(number_of(*number)),
            Self::Time(_, text) | Self::Text(text) => text.clone().into(),
            Self::Missing => Value::Null,
        }
    }

    /// As a search hands it back.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Missing,
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Number(number) => Self::Number(ordered(number.as_f64()?)),
            Value::String(text) => Self::of_text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn of_text(text: String) -> Self {
        match instant(&text) {
            _ if text.len() > LONGEST_TERM => Self::Missing,
            Some(moment) => Self::Time(moment, text),
            None => Self::Text(text),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Truth(_) => 0,
            Self::Number(_) => 1,
            Self::Time(..) => 2,
            Self::Text(_) => 3,
            Self::Missing => MISSING.0,
        }
    }

    fn compare(&self, other: &Self, descending: bool) -> std::cmp::Ordering {
        let missing = |shown: &Self| matches!(shown, Self::Missing);
        let order = missing(self).cmp(&missing(other));
        let values = match (self, other) {
            (Self::Truth(one), Self::Truth(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Time(one, _), Self::Time(two, _)) => one.cmp(two),
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
    pub(super) address: DocAddress,
}

impl Order {
    /// Puts the hits of all segments in order.
    pub(super) fn sort(&self, hits: &mut [Placed]) {
        hits.sort_by(|one, two| {
            let keys = one.keys.iter().zip(&two.keys).zip(&self.keys);
            keys.map(|((one, two), (_, descending))| one.compare(two, *descending))
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
    }
}

/// A value in a form that is compared quickly within a segment: smaller is earlier.
type Fast = (u8, u64);

const MISSING: Fast = (4, 0);

const fn fast(rank: u8, value: u64, descending: bool) -> Fast {
    if descending {
        (3 - rank, !value)
    } else {
        (rank, value)
    }
}

/// Where a document stands.
type Place = [Fast; MOST_KEYS];

/// One field of an order in a segment.
struct Key {
    columns: Columns,
    descending: bool,
    moments: Vec<Option<i64>>,
}

impl Key {
    fn fast(&self, cell: Cell) -> Fast {
        match cell {
            Cell::Truth(truth) => fast(0, truth.into(), self.descending),
            Cell::Number(number) => fast(1, number, self.descending),
            Cell::Text(place) => {
                let at = usize::try_from(place).ok();
                match at.and_then(|at| self.moments.get(at)) {
                    Some(Some(moment)) => fast(2, i64_to_u64(*moment), self.descending),
                    // Odd, so that there is room for texts that this segment does not have.
                    _ => fast(3, place * 2 + 1, self.descending),
                }
            }
        }
    }

    /// The value of a document that counts.
    fn of(&self, document: DocId) -> (Fast, Option<Cell>) {
        let mut best = (MISSING, None);
        self.columns.visit(document, |cell| {
            let key = self.fast(cell);
            if key < best.0 {
                best = (key, Some(cell));
            }
        });
        best
    }

    /// Where a value stands in a segment that may not have it.
    fn of_shown(&self, shown: &Shown) -> std::io::Result<Fast> {
        Ok(match shown {
            Shown::Missing => MISSING,
            Shown::Truth(truth) => fast(0, (*truth).into(), self.descending),
            Shown::Number(number) => fast(1, *number, self.descending),
            Shown::Time(moment, _) => fast(2, i64_to_u64(*moment), self.descending),
            Shown::Text(text) => {
                let value = match &self.columns.texts {
                    None => 0,
                    Some(column) => match column.dictionary().term_ord_or_next(text.as_bytes())? {
                        TermOrdHit::Exact(place) => place * 2 + 1,
                        TermOrdHit::Next(place) => place.min(column.num_terms() as u64) * 2,
                    },
                };
                fast(3, value, self.descending)
            }
        })
    }
}

/// The first documents of a segment.
pub(super) struct First {
    segment: SegmentOrdinal,
    keys: Vec<Key>,
    most: usize,
    after: Option<Place>,
    found: BinaryHeap<(Place, DocId)>,
}

impl First {
    pub(super) fn new(
        order: &Order,
        most: usize,
        after: Option<&[Shown]>,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Self> {
        let mut keys = Vec::new();
        for (name, descending) in order.keys.iter().take(MOST_KEYS) {
            let columns = Columns::open(reader, name)?;
            keys.push(Key {
                moments: columns.moments()?,
                columns,
                descending: *descending,
            });
        }
        let after = match after {
            None => None,
            Some(shown) => {
                let mut place = [MISSING; MOST_KEYS];
                for ((slot, shown), key) in place.iter_mut().zip(shown).zip(&keys) {
                    *slot = key.of_shown(shown)?;
                }
                Some(place)
            }
        };
        Ok(Self {
            segment,
            keys,
            most,
            after,
            found: BinaryHeap::new(),
        })
    }

    pub(super) fn collect(&mut self, document: DocId) {
        if self.most == 0 {
            return;
        }
        let mut place = [MISSING; MOST_KEYS];
        for (slot, key) in place.iter_mut().zip(&self.keys) {
            *slot = key.of(document).0;
        }
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
        let documents: Vec<_> = self
            .found
            .into_iter()
            .map(|(_, document)| document)
            .collect();
        let mut placed: Vec<_> = documents
            .iter()
            .map(|document| Placed {
                keys: Vec::with_capacity(self.keys.len()),
                address: DocAddress::new(self.segment, *document),
            })
            .collect();
        for key in &self.keys {
            let cells: Vec<_> = documents
                .iter()
                .map(|document| key.of(*document).1)
                .collect();
            let mut places: Vec<_> = cells
                .iter()
                .filter_map(|cell| match cell {
                    Some(Cell::Text(place)) => Some(*place),
                    _ => None,
                })
                .collect();
            places.sort_unstable();
            places.dedup();
            let texts = key.columns.texts_at(&places)?;
            for (cell, placed) in cells.into_iter().zip(&mut placed) {
                placed.keys.push(match cell {
                    None => Shown::Missing,
                    Some(Cell::Truth(truth)) => Shown::Truth(truth),
                    Some(Cell::Number(number)) => Shown::Number(number),
                    Some(Cell::Text(place)) => {
                        let at = places.binary_search(&place).ok();
                        let text = at.and_then(|at| texts.get(at));
                        text.map_or(Shown::Missing, |text| Shown::of_text(text.clone()))
                    }
                });
            }
        }
        Ok(placed)
    }
}
