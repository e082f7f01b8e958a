//! The search index by itself: a journal that is filled by the caller, the consumer that indexes it, and searches. For
//! measuring, without the processes around it.

use super::Refused;
use crate::config::search::Retention;
use crate::connectors::schema::migrations;
use crate::consumers::{Consumer as _, ConsumerError};
use crate::failure::Failure;
use crate::search::index::{IndexConsumer, NAME, SearchIndex};
use crate::search::lucene::{Operator, parse};
use crate::search::request::{Histogram, Scope, SearchRequest, TimeAxis, TopValues};
use connector_runtime::Clock;
use connector_runtime::interflow::Index;
use connector_runtime::journal::{Block, Commit, Journal};
use std::path::Path;

/// See the module.
pub struct Searching {
    journal: Journal,
    connector: String,
    consumer: IndexConsumer,
    index: SearchIndex,
    clock: Clock,
    offset: u64,
}

fn of_consumer(source: ConsumerError) -> Refused {
    Refused(Failure::Consumer {
        name: NAME.to_owned(),
        source,
    })
}

fn of_search(error: &impl ToString) -> Refused {
    Refused(Failure::Usage(error.to_string()))
}

impl Searching {
    /// Opens a data directory.
    ///
    /// # Errors
    /// If journal or index cannot be opened.
    pub fn open(data: &Path) -> Result<Self, Refused> {
        let clock = Clock::system();
        let journal = Journal::open(data, migrations()).map_err(Failure::from)?;
        let connector = journal.connector("acme", "scanner", "acme-scanner");
        let mut consumer = IndexConsumer::new(data, Retention::default(), &clock);
        let offset = consumer.open(0).map_err(of_consumer)?;
        Ok(Self {
            connector: connector.map_err(Failure::from)?.id,
            index: SearchIndex::new(data, Retention::default()),
            journal,
            consumer,
            clock,
            offset,
        })
    }

    /// Commits records to the journal, one a line.
    ///
    /// # Errors
    /// If the journal does not take them.
    pub async fn write(&self, lines: &str) -> Result<(), Refused> {
        let count = lines.lines().count() as u64;
        let indices = [Index::Syslog, Index::Scans];
        let block = Block::press(&indices, count, Some((1, 1)), lines.as_bytes(), b"");
        let commit = Commit {
            connector: self.connector.clone(),
            content_type: "findings".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms: self.clock.now_ms(),
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block.map_err(Failure::from)?),
        };
        self.journal.commit(commit).await.map_err(Failure::from)?;
        Ok(())
    }

    /// Indexes what the journal has, at the pace of a follower. Answers how many records.
    ///
    /// # Errors
    /// What the consumer says.
    pub fn follow(&mut self) -> Result<u64, Refused> {
        let most = self.consumer.pace().records;
        let (mut all, mut since) = (0, 0);
        for block in self.journal.blocks(None, self.offset) {
            let block = block.map_err(Failure::from)?;
            self.consumer.take(&block).map_err(of_consumer)?;
            self.offset = block.offset;
            all += block.records;
            since += block.records;
            if since >= most {
                self.consumer.commit(self.offset).map_err(of_consumer)?;
                since = 0;
            }
        }
        if since > 0 {
            self.consumer.commit(self.offset).map_err(of_consumer)?;
        }
        Ok(all)
    }

    /// Searches, with the first fifty hits; `counted` also counts by the hour and by the values of a field. Answers how many
    /// records match.
    ///
    /// # Errors
    /// What the search says.
    pub fn search(&self, query: &str, counted: Option<&str>) -> Result<u64, Refused> {
        let query = parse(query, Operator::And).map_err(|error| of_search(&error))?;
        let request = SearchRequest {
            index: Index::Scans,
            query,
            scope: Scope::default(),
            time: None,
            from: 0,
            size: 50,
            sort: Vec::new(),
            search_after: None,
            histogram: counted.map(|_| Histogram {
                axis: TimeAxis::Timestamp,
                interval_ms: 3_600_000,
            }),
            top: counted
                .map(|field| TopValues {
                    field: field.to_owned(),
                    size: 10,
                })
                .into_iter()
                .collect(),
        };
        let answer = self.index.search(&request, self.clock.now_ms());
        Ok(answer.map_err(|error| of_search(&error))?.hits.total.value)
    }
}
