//! Queries that look through the terms of one path: wildcards in the inverted index, and ranges of texts in a column.

use std::fmt;
use std::sync::Arc;
use tantivy::query::{
    BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet as _, Score, SegmentReader, TERMINATED};

type Matches = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// All documents that have a term of a path which matches.
#[derive(Clone)]
pub(super) struct MatchingTerms {
    /// The field of the inverted index.
    pub(super) field: Field,
    /// The bytes of the path and of the kind of the term.
    pub(super) path: Vec<u8>,
    /// How every matching term begins.
    pub(super) begins: String,
    /// Whether a term matches.
    pub(super) matches: Matches,
}

/// All documents that have a value in the columns of texts which matches, as it was written.
#[derive(Clone)]
pub(super) struct MatchingTexts {
    /// The column.
    pub(super) column: String,
    /// Whether a value matches.
    pub(super) matches: Matches,
}

impl fmt::Debug for MatchingTerms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MatchingTerms({}..)", self.begins)
    }
}

impl fmt::Debug for MatchingTexts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MatchingTexts({})", self.column)
    }
}

impl Query for MatchingTerms {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Query for MatchingTexts {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

/// The first key behind all that begin with these bytes; none if there is no such.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

fn scorer_of(documents: BitSet, boost: Score) -> Box<dyn Scorer> {
    if documents.len() == 0 {
        return Box::new(EmptyScorer);
    }
    Box::new(ConstScorer::new(BitSetDocSet::from(documents), boost))
}

fn explanation(mut scorer: Box<dyn Scorer>, document: DocId) -> Explanation {
    let found = scorer.doc() <= document && scorer.seek(document) == document;
    Explanation::new("a term matches", if found { 1.0 } else { 0.0 })
}

impl Weight for MatchingTerms {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let inverted = reader.inverted_index(self.field)?;
        let mut first = self.path.clone();
        first.extend_from_slice(self.begins.as_bytes());
        let mut range = inverted.terms().range().ge(&first);
        if let Some(end) = behind(&first) {
            range = range.lt(end);
        }
        let mut documents = BitSet::with_max_value(reader.max_doc());
        let mut terms = range.into_stream()?;
        while terms.advance() {
            let term = terms.key().get(self.path.len()..).unwrap_or_default();
            if !std::str::from_utf8(term).is_ok_and(|term| (self.matches)(term)) {
                continue;
            }
            let mut postings =
                inverted.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            let mut document = postings.doc();
            while document != TERMINATED {
                documents.insert(document);
                document = postings.advance();
            }
        }
        Ok(scorer_of(documents, boost))
    }

    fn explain(&self, reader: &SegmentReader, document: DocId) -> tantivy::Result<Explanation> {
        Ok(explanation(self.scorer(reader, 1.0)?, document))
    }
}

impl Weight for MatchingTexts {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Some(column) = reader.fast_fields().str(&self.column)? else {
            return Ok(Box::new(EmptyScorer));
        };
        let values = u32::try_from(column.num_terms()).unwrap_or(u32::MAX);
        let mut matching = BitSet::with_max_value(values);
        let mut stream = column.dictionary().stream()?;
        let mut value = 0;
        while stream.advance() {
            if std::str::from_utf8(stream.key()).is_ok_and(|text| (self.matches)(text)) {
                matching.insert(value);
            }
            value += 1;
        }
        let mut documents = BitSet::with_max_value(reader.max_doc());
        if matching.len() > 0 {
            let matches = |value| u32::try_from(value).is_ok_and(|value| matching.contains(value));
            for document in 0..reader.max_doc() {
                if column.term_ords(document).any(matches) {
                    documents.insert(document);
                }
            }
        }
        Ok(scorer_of(documents, boost))
    }

    fn explain(&self, reader: &SegmentReader, document: DocId) -> tantivy::Result<Explanation> {
        Ok(explanation(self.scorer(reader, 1.0)?, document))
    }
}
