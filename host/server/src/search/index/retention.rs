//! Retention: what of each index is shown, and what is kept at all.
//!
//! A record is kept once for all its indices. One whose time has ended in all of them is deleted; one whose time has ended
//! in one of them is hidden there. Age counts from a record's arrival; size counts its line, before compression.

use super::folder::{Note, Opened};
use super::gather::Sizes;
use super::plain::Plain;
use super::schema::{Fields, LINE_BITS};
use crate::config::search::{Keep, Retention};
use connector_runtime::interflow::Index as Listed;
use std::ops::Bound;
use tantivy::TantivyError;
use tantivy::collector::Count;
use tantivy::query::{AllQuery, BooleanQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Term};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The indices that are searched here.
const SEARCHED: [Listed; 2] = [Listed::Syslog, Listed::Scans];

impl Retention {
    fn of(&self, index: Listed) -> Keep {
        match index {
            Listed::Scans => self.scans,
            Listed::Syslog | Listed::Assets => self.syslog,
        }
    }

    /// What a record of an index has if it is not shown there any more: an arrival before this moment, in milliseconds since
    /// 1970.
    fn oldest_ms(&self, index: Listed, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.of(index).days.saturating_mul(DAY_MS))
    }

    /// The conditions of being shown in an index.
    pub(super) fn shown(
        &self,
        index: Listed,
        fields: &Fields,
        note: &Note,
        now_ms: u64,
    ) -> Vec<Box<dyn Query>> {
        let mut conditions = vec![listed(fields, index)];
        let oldest = self.oldest_ms(index, now_ms);
        conditions.extend(at_least(fields.write_time, oldest));
        conditions.extend(at_least(fields.seq, note.floor(index)));
        conditions
    }
}

fn listed(fields: &Fields, index: Listed) -> Box<dyn Query> {
    let term = Term::from_field_text(fields.index, index.id());
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

/// None if nothing is less.
fn at_least(field: Field, least: u64) -> Option<Box<dyn Query>> {
    let bound = Bound::Included(Term::from_field_u64(field, least));
    (least > 0).then(|| Box::new(Plain(RangeQuery::new(bound, Bound::Unbounded))) as Box<dyn Query>)
}

fn below(field: Field, end: u64) -> Box<dyn Query> {
    let bound = Bound::Excluded(Term::from_field_u64(field, end));
    Box::new(Plain(RangeQuery::new(Bound::Unbounded, bound)))
}

/// What has to go.
pub(super) struct Expiry {
    /// How many documents.
    pub(super) documents: usize,
    /// What they match; each is one of a few combinations of indices.
    pub(super) deletions: Vec<Box<dyn Query>>,
    /// What the commit notes that deletes them.
    pub(super) note: Note,
}

/// Looks what has to go at a moment.
///
/// # Errors
/// What Tantivy says.
pub(super) fn expiry(
    retention: &Retention,
    opened: &Opened,
    now_ms: u64,
) -> Result<Expiry, TantivyError> {
    let mut note = opened.note.clone();
    for index in SEARCHED {
        if let Some(most) = retention.of(index).bytes {
            let floor = floor(opened, index, most)?.max(note.floor(index));
            if floor > 0 {
                note.floors.insert(index.id().to_owned(), floor);
            }
        }
    }
    let mut expiry = Expiry {
        documents: 0,
        deletions: Vec::new(),
        note,
    };
    let searcher = opened.reader.searcher();
    let fields = &opened.fields;
    // Every combination of indices that a record can be listed in, as bits.
    for combination in 1_usize..1 << SEARCHED.len() {
        let mut clauses = vec![(Occur::Must, Box::new(AllQuery) as Box<dyn Query>)];
        for (bit, index) in SEARCHED.into_iter().enumerate() {
            if combination >> bit & 1 == 0 {
                clauses.push((Occur::MustNot, listed(fields, index)));
                continue;
            }
            clauses.push((Occur::Must, listed(fields, index)));
            let old = vec![
                below(fields.write_time, retention.oldest_ms(index, now_ms)),
                below(fields.seq, expiry.note.floor(index)),
            ];
            clauses.push((Occur::Must, Box::new(BooleanQuery::union(old))));
        }
        let query = BooleanQuery::new(clauses);
        let count = searcher.search(&query, &Count)?;
        if count > 0 {
            expiry.documents += count;
            expiry.deletions.push(Box::new(query));
        }
    }
    Ok(expiry)
}

/// The first `seq` of the newest blocks of an index that have at most so many bytes together.
fn floor(opened: &Opened, index: Listed, most: u64) -> Result<u64, TantivyError> {
    let sizes = opened
        .reader
        .searcher()
        .search(&listed(&opened.fields, index), &Sizes)?;
    let mut sum = 0;
    for (offset, bytes) in sizes.iter().rev() {
        sum += bytes;
        if sum > most {
            return Ok((offset + 1) << LINE_BITS);
        }
    }
    Ok(0)
}
