//! Columns: the values of one path in one segment, of whatever kinds they are.
//!
//! A segment keeps a column for each kind of value under a path. Numbers are one kind, whatever they were written as. Times
//! are texts as well, and are read as such.

use super::tokenizer::LONG;
use crate::search::literal::instant;
use tantivy::columnar::{Column, DynamicColumn, StrColumn};
use tantivy::{DocId, SegmentReader, f64_to_u64, u64_to_f64};

/// Numbers.
pub(super) enum Numbers {
    Signed(Column<i64>),
    Unsigned(Column<u64>),
    Float(Column<f64>),
}

/// The columns of a path, as far as the segment has them.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) truths: Option<Column<bool>>,
    pub(super) numbers: Option<Numbers>,
    pub(super) texts: Option<StrColumn>,
    /// Whether some of the texts are times.
    has_times: bool,
    /// The place of what stands for long texts, which have no value here.
    long: Option<u64>,
}

/// A value of a document, comparable within its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cell {
    Truth(bool),
    /// Ordered as the numbers are; see [`number_of`].
    Number(u64),
    /// Its place among the segment's texts.
    Text(u64),
}

/// A number in a form that is ordered as numbers are.
pub(super) fn ordered(number: f64) -> u64 {
    f64_to_u64(number + 0.0)
}

/// The number again.
pub(super) fn number_of(ordered: u64) -> f64 {
    u64_to_f64(ordered)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are compared as floating-point numbers, as queries compare them"
)]
impl Numbers {
    fn visit(&self, document: DocId, mut visit: impl FnMut(u64)) {
        match self {
            Self::Signed(column) => column
                .values_for_doc(document)
                .for_each(|number| visit(ordered(number as f64))),
            Self::Unsigned(column) => column
                .values_for_doc(document)
                .for_each(|number| visit(ordered(number as f64))),
            Self::Float(column) => column
                .values_for_doc(document)
                .for_each(|number| visit(ordered(number))),
        }
    }
}

impl Columns {
    /// Opens the columns with this name.
    pub(super) fn open(segment: &SegmentReader, name: &str) -> tantivy::Result<Self> {
        let mut columns = Self::default();
        for handle in segment.fast_fields().dynamic_column_handles(name)? {
            match handle.open()? {
                DynamicColumn::Bool(column) => columns.truths = Some(column),
                DynamicColumn::I64(column) => columns.numbers = Some(Numbers::Signed(column)),
                DynamicColumn::U64(column) => columns.numbers = Some(Numbers::Unsigned(column)),
                DynamicColumn::F64(column) => columns.numbers = Some(Numbers::Float(column)),
                DynamicColumn::Str(column) => columns.texts = Some(column),
                DynamicColumn::DateTime(_) => columns.has_times = true,
                DynamicColumn::Bytes(_) | DynamicColumn::IpAddr(_) => {}
            }
        }
        if let Some(column) = &columns.texts {
            columns.long = column.dictionary().term_ord(LONG)?;
        }
        Ok(columns)
    }

    /// Calls with each value of a document.
    pub(super) fn visit(&self, document: DocId, mut visit: impl FnMut(Cell)) {
        if let Some(column) = &self.truths {
            column
                .values_for_doc(document)
                .for_each(|truth| visit(Cell::Truth(truth)));
        }
        if let Some(numbers) = &self.numbers {
            numbers.visit(document, |number| visit(Cell::Number(number)));
        }
        if let Some(column) = &self.texts {
            column
                .term_ords(document)
                .filter(|place| Some(*place) != self.long)
                .for_each(|place| visit(Cell::Text(place)));
        }
    }

    /// Which moment each text is, in milliseconds since 1970, by its place; nothing if none of them is a time.
    pub(super) fn moments(&self) -> std::io::Result<Vec<Option<i64>>> {
        let mut moments = Vec::new();
        if let Some(column) = self.texts.as_ref().filter(|_| self.has_times) {
            let mut texts = column.dictionary().stream()?;
            while texts.advance() {
                let text = std::str::from_utf8(texts.key()).unwrap_or_default();
                moments.push(instant(text));
            }
        }
        Ok(moments)
    }

    /// The texts at these places, in their order.
    pub(super) fn texts_at(&self, places: &[u64]) -> std::io::Result<Vec<String>> {
        let mut texts = Vec::with_capacity(places.len());
        if let Some(column) = &self.texts {
            column.dictionary().sorted_ords_to_term_cb(places, |text| {
                texts.push(String::from_utf8_lossy(text).into_owned());
            })?;
        }
        Ok(texts)
    }
}
