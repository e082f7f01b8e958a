//! The consumer that builds the index.
//!
//! Promises: there is one document for each record id, however often a record was given; of several the last counts. What
//! was not committed is gone after `open`, and the index goes on exactly behind the offset in its last commit. A folder that
//! is missing, damaged or of another version is begun anew. Memory is bounded by the writer's heap and by the bytes that wait
//! for it, not by the number of documents.

use super::document::{Entry, Queue, Record};
use super::folder::{self, Note, Opened};
use super::retention;
use super::schema::LINE_BITS;
use crate::config::search::Retention;
use crate::consumers::{Consumer, ConsumerError, Interest};
use connector_runtime::Clock;
use connector_runtime::interflow::Index as Listed;
use connector_runtime::journal::{JournalError, StoredBlock};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::TantivyDocument;
use tantivy::{IndexWriter, TantivyError, Term};

/// The name in journal, metrics and status.
pub(crate) const NAME: &str = "index";

/// What a segment may take in memory before it is written.
const HEAP_BYTES: usize = 64 << 20;
/// How many bytes of documents may wait to be indexed.
const QUEUE_BYTES: usize = 8 << 20;
/// Larger segments are not merged any more, so that a merge stays short and small.
const LARGEST_SEGMENT: usize = 400_000;
/// How often retention is looked after.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct IndexConsumer {
    folder: PathBuf,
    retention: Retention,
    clock: Clock,
    interest: Interest,
    pub(super) writing: Option<Writing>,
    next_retention_ms: u64,
}

pub(super) struct Writing {
    opened: Opened,
    writer: IndexWriter<Entry>,
    queue: Arc<Queue>,
    /// The ids of what was added since the last commit.
    added: HashSet<[u8; 16]>,
}

impl IndexConsumer {
    /// A consumer that keeps its folder in the data directory.
    pub(crate) fn new(data: &Path, retention: Retention, clock: &Clock) -> Self {
        Self {
            folder: folder::path(data),
            retention,
            clock: clock.clone(),
            // Assets are kept elsewhere; a record that is listed there only is not searched here.
            interest: Interest {
                tenants: None,
                indices: Some(vec![Listed::Syslog, Listed::Scans]),
            },
            writing: None,
            next_retention_ms: 0,
        }
    }

    /// Deletes the folder, so that the next `open` begins anew.
    ///
    /// # Errors
    /// If somebody else writes there, or it cannot be deleted.
    pub(crate) fn remove(&mut self) -> Result<(), ConsumerError> {
        self.writing = None;
        // Opened first, if it can be: its lock tells whether somebody else writes there.
        if let Ok(opened) = folder::open(&self.folder) {
            let writer = opened
                .index
                .writer_with_num_threads::<TantivyDocument>(1, 15_000_000);
            drop(writer.map_err(|error| self.failed(&error))?);
        }
        folder::remove(&self.folder).map_err(|error| self.failed(&error.into()))
    }

    fn failed(&self, error: &TantivyError) -> ConsumerError {
        ConsumerError::Files(match error {
            TantivyError::LockFailure(..) => format!(
                "the search index {} is being written by another process; end that one first",
                self.folder.display()
            ),
            error => format!(
                "the search index {} cannot be written ({error}); check the folder, its permissions and the free space; it may be deleted, and is built anew then",
                self.folder.display()
            ),
        })
    }

    fn begin_writing(&self) -> Result<Writing, TantivyError> {
        let opened = match folder::open(&self.folder) {
            Ok(opened) => opened,
            Err(error) => {
                if folder::exists(&self.folder) {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        %error,
                        "the search index cannot be used: it is built anew from the journal"
                    );
                } else {
                    tracing::info!(
                        folder = %self.folder.display(),
                        "the search index is begun"
                    );
                }
                folder::begin(&self.folder)?
            }
        };
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .memory_budget_per_thread(HEAP_BYTES)
            .num_merge_threads(1)
            .build();
        let writer = opened.index.writer_with_options(options)?;
        let mut policy = LogMergePolicy::default();
        policy.set_max_docs_before_merge(LARGEST_SEGMENT);
        policy.set_del_docs_ratio_before_merge(0.3);
        writer.set_merge_policy(Box::new(policy));
        Ok(Writing {
            opened,
            writer,
            queue: Arc::default(),
            added: HashSet::new(),
        })
    }

    fn writing(&mut self) -> Result<&mut Writing, ConsumerError> {
        if !folder::exists(&self.folder) {
            self.writing = None;
            return Err(ConsumerError::Files(format!(
                "the search index {} is gone; it is built anew from the journal",
                self.folder.display()
            )));
        }
        self.writing
            .as_mut()
            .ok_or_else(|| ConsumerError::Files("the search index is not open".into()))
    }
}

impl Writing {
    fn take(&mut self, block: &StoredBlock) -> Result<(), TakeError> {
        let tag: Vec<_> = block
            .indices
            .iter()
            .filter(|index| **index != Listed::Assets)
            .collect();
        let fields = self.opened.fields;
        let searcher = self.opened.reader.searcher();
        let mut known = Vec::new();
        for segment in searcher.segment_readers() {
            known.push(segment.inverted_index(fields.id)?);
        }
        let records = block.records()?;
        for (line, text) in records.iter().enumerate() {
            let damaged = |what: String| JournalError::Damaged {
                offset: block.offset,
                what: format!("record {}: {what}", line + 1),
            };
            let record = Record::parse(text).map_err(damaged)?;
            let id = Term::from_field_bytes(fields.id, &record.id);
            let mut is_known = self.added.contains(&record.id);
            for segment in &known {
                if is_known {
                    break;
                }
                is_known = segment.get_term_info(&id)?.is_some();
            }
            // A deletion is looked up in every segment: only where there is something to delete.
            if is_known {
                self.writer.delete_term(id);
            }
            let mut document = TantivyDocument::with_capacity(text.len() * 2);
            record.fill(&fields, &mut document);
            for index in &tag {
                document.add_text(fields.index, index.id());
            }
            document.add_text(fields.tenant, &block.tenant_id);
            document.add_u64(fields.seq, (block.offset << LINE_BITS) + line as u64);
            document.add_u64(fields.bytes, text.len() as u64 + 1);
            let source = std::str::from_utf8(text).map_err(|error| damaged(error.to_string()))?;
            document.add_text(fields.source, source);
            self.added.insert(record.id);
            let room = self.queue.reserve(text.len() * 2, QUEUE_BYTES);
            self.writer.add_document(Entry { document, room })?;
        }
        Ok(())
    }

    fn commit(&mut self, note: Note) -> Result<(), TantivyError> {
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&note.to_payload());
        commit.commit()?;
        self.added.clear();
        self.opened.note = note;
        self.opened.reader.reload()
    }
}

enum TakeError {
    Index(TantivyError),
    Journal(JournalError),
}

impl From<TantivyError> for TakeError {
    fn from(error: TantivyError) -> Self {
        Self::Index(error)
    }
}

impl From<std::io::Error> for TakeError {
    fn from(error: std::io::Error) -> Self {
        Self::Index(error.into())
    }
}

impl From<JournalError> for TakeError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Consumer for IndexConsumer {
    fn name(&self) -> &str {
        NAME
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn open(&mut self, _noted: u64) -> Result<u64, ConsumerError> {
        // Its lock is given back before it is asked for again, and what was not committed goes with it.
        self.writing = None;
        // A folder that is begun anew does not know yet what has expired.
        self.next_retention_ms = 0;
        let writing = self.begin_writing().map_err(|error| self.failed(&error))?;
        let offset = writing.opened.note.offset;
        self.writing = Some(writing);
        Ok(offset)
    }

    fn take(&mut self, block: &StoredBlock) -> Result<(), ConsumerError> {
        match self.writing()?.take(block) {
            Ok(()) => Ok(()),
            Err(TakeError::Index(error)) => Err(self.failed(&error)),
            Err(TakeError::Journal(error)) => Err(error.into()),
        }
    }

    fn commit(&mut self, offset: u64) -> Result<(), ConsumerError> {
        let writing = self.writing()?;
        let note = Note {
            offset,
            ..writing.opened.note.clone()
        };
        writing.commit(note).map_err(|error| self.failed(&error))
    }

    fn rest(&mut self) -> Result<Option<Duration>, ConsumerError> {
        let now_ms = self.clock.now_ms();
        let due = now_ms >= self.next_retention_ms;
        let retention = self.retention;
        let writing = self.writing()?;
        if due {
            let mut expire = || {
                let opened = &writing.opened;
                let expiry = retention::expiry(&retention, opened, now_ms)?;
                if expiry.documents > 0 {
                    tracing::info!(
                        documents = expiry.documents,
                        "the retention of the search index has ended for some documents"
                    );
                    for query in expiry.deletions {
                        writing.writer.delete_query(query)?;
                    }
                }
                if expiry.documents > 0 || expiry.note != writing.opened.note {
                    writing.commit(expiry.note)?;
                }
                Ok(())
            };
            expire().map_err(|error| self.failed(&error))?;
            self.next_retention_ms =
                now_ms + u64::try_from(RETENTION_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        }
        Ok(None)
    }
}
