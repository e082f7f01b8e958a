//! The index's folder: opened, begun anew when it cannot be used, and what its commits note.

use super::schema::{self, Fields};
use connector_runtime::interflow::Index as Listed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tantivy::directory::MmapDirectory;
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexReader, IndexSettings, ReloadPolicy, TantivyError};

/// Its name in the data directory.
pub(crate) const FOLDER: &str = "index";

/// How hard zstd tries: the records of one host differ little, so the least is enough.
const LEVEL: i32 = 1;
/// Records of 1.5 kB: about twenty that are compressed, and read, together.
const STORE_BLOCK_BYTES: usize = 32 << 10;

/// What a commit notes of itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    /// The version of the schema.
    pub(super) schema: u32,
    /// Another one for each folder that was begun.
    pub(super) generation: String,
    /// The offset of the last block that it holds.
    pub(super) offset: u64,
    /// The first `seq` that retention by size keeps, by index.
    #[serde(default)]
    pub(super) floors: BTreeMap<String, u64>,
}

impl Note {
    /// The first `seq` that is kept of an index.
    pub(super) fn floor(&self, index: Listed) -> u64 {
        self.floors.get(index.id()).copied().unwrap_or_default()
    }

    /// The note of the last commit.
    pub(super) fn read(index: &Index) -> Result<Self, TantivyError> {
        let damaged = |what: &str| TantivyError::InvalidArgument(what.to_owned());
        let payload = index.load_metas()?.payload;
        let payload = payload.ok_or_else(|| damaged("its last commit notes nothing"))?;
        serde_json::from_str(&payload).map_err(|_| damaged("the note of its last commit"))
    }

    /// As it is noted.
    pub(super) fn to_payload(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// A folder that can be read.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) fields: Fields,
    pub(super) reader: IndexReader,
    pub(super) note: Note,
}

/// Where the index of a data directory lies.
pub(super) fn path(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

/// Whether there is one.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join("meta.json").is_file()
}

/// Opens what is there.
pub(super) fn open(folder: &Path) -> Result<Opened, TantivyError> {
    let index = Index::open_in_dir(folder)?;
    let note = Note::read(&index)?;
    let (schema, fields) = schema::schema();
    if note.schema != schema::VERSION || index.schema() != schema {
        return Err(TantivyError::SchemaError(
            "it was built by another version".into(),
        ));
    }
    schema::register_tokenizers(&index);
    let reader = index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()?;
    Ok(Opened {
        index,
        fields,
        reader,
        note,
    })
}

/// Begins one, removing what is there.
pub(super) fn begin(folder: &Path) -> Result<Opened, TantivyError> {
    remove(folder).map_err(|error| TantivyError::IoError(error.into()))?;
    private(folder).map_err(|error| TantivyError::IoError(error.into()))?;
    let settings = IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor {
            compression_level: Some(LEVEL),
        }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        ..IndexSettings::default()
    };
    let (schema, _) = schema::schema();
    let index = Index::create(MmapDirectory::open(folder)?, schema, settings)?;
    schema::register_tokenizers(&index);
    let note = Note {
        schema: schema::VERSION,
        generation: uuid::Uuid::new_v4().to_string(),
        ..Note::default()
    };
    let mut writer = index.writer_with_num_threads::<tantivy::TantivyDocument>(1, 15_000_000)?;
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&note.to_payload());
    commit.commit()?;
    drop(writer);
    open(folder)
}

/// Removes it. Nothing happens if there is none.
pub(super) fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Nobody else reads what was collected.
fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// How many bytes its files have.
pub(super) fn bytes(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        // One that was removed in the meantime has none.
        sum += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(sum)
}
