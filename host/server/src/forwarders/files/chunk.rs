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

/// Where the records of a chunk go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) indices: Vec<Index>,
    pub(super) tenant: String,
    pub(super) date: Date,
}

/// Records that go to the same files.
pub(super) struct Chunk {
    pub(super) indices: Vec<Index>,
    pub(super) tenant: String,
    pub(super) date: Date,
    pub(super) text: Vec<u8>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
}

/// All that are gathering.
#[derive(Default)]
pub(super) struct Chunks(BTreeMap<Key, Chunk>);

impl Chunks {
    /// The text to append to. It has to be put back.
    pub(super) fn text(&mut self, indices: &[Index], tenant: &str, date: Date) -> Vec<u8> {
        let key = Key {
            indices: indices.to_vec(),
            tenant: tenant.to_owned(),
            date,
        };
        let chunk = self.0.get_mut(&key);
        chunk.map_or_else(Vec::new, |chunk| std::mem::take(&mut chunk.text))
    }

    /// Puts back a text, to which so many records of the block at `offset` were appended.
    pub(super) fn put(&mut self, key: Key, text: Vec<u8>, offset: u64, records: u64) {
        let chunk = self.0.entry(key).or_insert_with_key(|key| Chunk {
            indices: key.indices.clone(),
            tenant: key.tenant.clone(),
            date: key.date,
            text: Vec::new(),
            first: offset,
            last: offset,
            records: 0,
        });
        chunk.text = text;
        chunk.last = offset;
        chunk.records += records;
    }

    /// Takes those that are full, or all; those without a record are dropped.
    pub(super) fn take(&mut self, only_full: bool) -> Vec<Chunk> {
        let bytes: usize = self.0.values().map(|chunk| chunk.text.len()).sum();
        let all = std::mem::take(&mut self.0);
        let (taken, left): (BTreeMap<_, _>, _) = all
            .into_iter()
            .partition(|(_, chunk)| !only_full || bytes >= MOST || chunk.text.len() >= FULL);
        self.0 = left;
        let taken = taken.into_values();
        taken.filter(|chunk| chunk.records > 0).collect()
    }
}
