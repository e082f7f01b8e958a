//! Chunks: records that gather until they are worth compressing, and the press that does it.
//!
//! A chunk is compressed by itself, into a frame (zstd) or a member (gzip), so that a file is whole after each of them and
//! can be cut there. Both formats say that a file is a sequence of those. A chunk that goes into the files of several
//! indices is compressed once.

use connector_runtime::interflow::Index;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// A chunk of so many bytes is written.
const FULL: usize = 4 << 20;
/// All chunks together; then all are written.
const MOST: usize = 32 << 20;
const LEVEL: i32 = 1;

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Zstd,
    Gzip,
    Plain,
}

impl Packing {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Plain];

    /// The name in `host.toml`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Plain => "none",
        }
    }

    /// What a file's name ends with.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".ndjson.zst",
            Self::Gzip => ".ndjson.gz",
            Self::Plain => ".ndjson",
        }
    }
}

/// Compresses chunks.
pub(super) struct Press {
    packing: Packing,
    /// Made at first use, and used again: it has tables of its own.
    zstd: Option<Compressor<'static>>,
}

impl Press {
    pub(super) fn new(packing: Packing) -> Self {
        Self {
            packing,
            zstd: None,
        }
    }

    pub(super) fn press<'a>(&mut self, text: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
        Ok(match self.packing {
            Packing::Plain => Cow::Borrowed(text),
            Packing::Gzip => {
                let room = Vec::with_capacity(text.len() / 6);
                let mut encoder = GzEncoder::new(room, Compression::fast());
                encoder.write_all(text)?;
                Cow::Owned(encoder.finish()?)
            }
            Packing::Zstd => {
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => {
                        let mut zstd = Compressor::new(LEVEL)?;
                        zstd.set_parameter(CParameter::ChecksumFlag(true))?;
                        none.insert(zstd)
                    }
                };
                Cow::Owned(zstd.compress(text)?)
            }
        })
    }
}

/// Records that go to the same files.
pub(super) struct Chunk {
    pub(super) indices: Vec<Index>,
    pub(super) tenant: String,
    pub(super) date: Date,
    pub(super) text: Vec<u8>,
    /// Offsets of the first and last block with a record in it.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
}

/// All that are gathering: for each tenant and day in the order of the journal, since a file of several chunks has that
/// order, too. Only the last of them grows.
#[derive(Default)]
pub(super) struct Chunks(BTreeMap<(String, Date), Vec<Chunk>>);

impl Chunks {
    /// The chunk for records of the block at `offset`.
    pub(super) fn of(
        &mut self,
        indices: &[Index],
        tenant: &str,
        date: Date,
        offset: u64,
    ) -> &mut Chunk {
        let chunks = self.0.entry((tenant.to_owned(), date)).or_default();
        let fits = |chunk: &Chunk| chunk.indices == indices;
        if !chunks.last().is_some_and(fits) {
            chunks.push(Chunk {
                indices: indices.to_vec(),
                tenant: tenant.to_owned(),
                date,
                text: Vec::new(),
                first: offset,
                last: offset,
                records: 0,
            });
        }
        let last = chunks.len() - 1;
        &mut chunks[last]
    }

    /// Takes those of tenants and days that have gathered enough, or all; those without a record are dropped.
    pub(super) fn take(&mut self, only_full: bool) -> Vec<Chunk> {
        let size = |chunks: &Vec<Chunk>| chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        let all: usize = self.0.values().map(size).sum();
        let is_due = |chunks: &Vec<Chunk>| !only_full || all >= MOST || size(chunks) >= FULL;
        let (due, left): (BTreeMap<_, _>, _) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(_, chunks)| is_due(chunks));
        self.0 = left;
        let due = due.into_values().flatten();
        due.filter(|chunk| chunk.records > 0).collect()
    }
}
