//! Gathering: one pass over what matches makes the count, the first hits, and all that is counted by time and value.

use super::counts::{self, Bars, Tally, Times, Values};
use super::order::{First, Order, Placed, Shown};
use super::schema::{BYTES, LINE_BITS, SEQ};
use crate::search::request::Histogram;
use std::collections::BTreeMap;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

/// What is asked for.
pub(super) struct Gather {
    pub(super) order: Order,
    /// So many of the first hits.
    pub(super) most: usize,
    /// Only those behind this place.
    pub(super) after: Option<Vec<Shown>>,
    pub(super) histogram: Option<Histogram>,
    /// The columns whose values are counted.
    pub(super) top: Vec<String>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) total: u64,
    /// In their order.
    pub(super) hits: Vec<Placed>,
    pub(super) bars: Bars,
    /// In the order of the columns.
    pub(super) values: Vec<Values>,
}

/// What is found in one segment.
pub(super) struct Gathering {
    total: u64,
    first: First,
    times: Option<Times>,
    tallies: Vec<Tally>,
}

impl Collector for Gather {
    type Fruit = Found;
    type Child = Gathering;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Gathering> {
        let times = self.histogram.as_ref();
        let tallies = self.top.iter().map(|column| Tally::new(column, reader));
        Ok(Gathering {
            total: 0,
            first: First::new(
                &self.order,
                self.most,
                self.after.as_deref(),
                segment,
                reader,
            )?,
            times: times.map(|asked| Times::new(asked, reader)).transpose()?,
            tallies: tallies.collect::<tantivy::Result<_>>()?,
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<std::io::Result<Found>>) -> tantivy::Result<Found> {
        let mut all = Found {
            values: vec![Some(std::collections::HashMap::new()); self.top.len()],
            ..Found::default()
        };
        for found in segments {
            let found = found.map_err(TantivyError::from)?;
            all.total += found.total;
            all.hits.extend(found.hits);
            for (bar, count) in found.bars {
                *all.bars.entry(bar).or_default() += count;
            }
            for (sum, values) in all.values.iter_mut().zip(found.values) {
                counts::add(sum, values);
            }
        }
        self.order.sort(&mut all.hits);
        all.hits.truncate(self.most);
        Ok(all)
    }
}

impl SegmentCollector for Gathering {
    type Fruit = std::io::Result<Found>;

    fn collect(&mut self, document: DocId, _: Score) {
        self.total += 1;
        self.first.collect(document);
        if let Some(times) = &mut self.times {
            times.collect(document);
        }
        for tally in &mut self.tallies {
            tally.collect(document);
        }
    }

    fn harvest(self) -> std::io::Result<Found> {
        let values = self.tallies.into_iter().map(Tally::harvest);
        Ok(Found {
            total: self.total,
            hits: self.first.harvest()?,
            bars: self.times.map(Times::harvest).unwrap_or_default(),
            values: values.collect::<std::io::Result<_>>()?,
        })
    }
}

/// How many bytes the records of each block have, by its offset.
pub(super) struct Sizes;

/// The sizes of one segment.
pub(super) struct SegmentSizes {
    seq: Column<u64>,
    bytes: Column<u64>,
    sizes: BTreeMap<u64, u64>,
    last: (u64, u64),
}

impl Collector for Sizes {
    type Fruit = BTreeMap<u64, u64>;
    type Child = SegmentSizes;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentSizes> {
        Ok(SegmentSizes {
            seq: reader.fast_fields().u64(SEQ)?,
            bytes: reader.fast_fields().u64(BYTES)?,
            sizes: BTreeMap::new(),
            last: (0, 0),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<BTreeMap<u64, u64>>) -> tantivy::Result<Self::Fruit> {
        let mut sizes = BTreeMap::new();
        for (offset, bytes) in segments.into_iter().flatten() {
            *sizes.entry(offset).or_default() += bytes;
        }
        Ok(sizes)
    }
}

impl SegmentCollector for SegmentSizes {
    type Fruit = BTreeMap<u64, u64>;

    fn collect(&mut self, document: DocId, _: Score) {
        let offset = self.seq.first(document).unwrap_or_default() >> LINE_BITS;
        let bytes = self.bytes.first(document).unwrap_or_default();
        if offset != self.last.0 {
            *self.sizes.entry(self.last.0).or_default() += self.last.1;
            self.last = (offset, 0);
        }
        self.last.1 += bytes;
    }

    fn harvest(mut self) -> BTreeMap<u64, u64> {
        *self.sizes.entry(self.last.0).or_default() += self.last.1;
        self.sizes.retain(|_, bytes| *bytes > 0);
        self.sizes
    }
}

/// When the oldest of what matches arrived.
pub(super) struct Oldest;

/// The oldest of one segment.
pub(super) struct SegmentOldest {
    write_time: Column<u64>,
    oldest_ms: Option<u64>,
}

impl Collector for Oldest {
    type Fruit = Option<u64>;
    type Child = SegmentOldest;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentOldest> {
        Ok(SegmentOldest {
            write_time: reader.fast_fields().u64("write_time")?,
            oldest_ms: None,
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Option<u64>>) -> tantivy::Result<Option<u64>> {
        Ok(segments.into_iter().flatten().min())
    }
}

impl SegmentCollector for SegmentOldest {
    type Fruit = Option<u64>;

    fn collect(&mut self, document: DocId, _: Score) {
        let ms = self.write_time.first(document);
        self.oldest_ms = [self.oldest_ms, ms].into_iter().flatten().min();
    }

    fn harvest(self) -> Option<u64> {
        self.oldest_ms
    }
}
