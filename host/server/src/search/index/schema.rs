//! The schema: what of a record is kept, and how it can be asked for.
//!
//! ```text
//! id          the UUID's 16 bytes                        identity: one document each
//! index       syslog, scans                              where it is listed
//! tenant      the tenant's id                            whose it is
//! timestamp, write_time                                  milliseconds since 1970
//! seq         the block's offset << 20 | the line in it  the order of arrival, unique
//! bytes       the length of the line                     what retention by size counts
//! body        the record as JSON, by dotted paths        texts, numbers, times, truth values
//! source      the record's line, compressed              what is shown
//! ```

use super::tokenizer::{KEYWORD, KeywordTokenizer, TEXT, TextTokenizer};
use tantivy::Index;
use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, NumericOptions,
    STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

/// Bumped whenever documents of an older schema cannot be searched as the newer ones are.
pub(super) const VERSION: u32 = 1;

/// So many bits of `seq` count the lines of a block.
pub(super) const LINE_BITS: u32 = 20;

/// The name of the body's field, for dynamic columns: `body.<path>`.
pub(super) const BODY: &str = "body";
/// The name of the field with the order of arrival.
pub(super) const SEQ: &str = "seq";
/// The name of the field with the length.
pub(super) const BYTES: &str = "bytes";

/// The fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) id: Field,
    pub(super) index: Field,
    pub(super) tenant: Field,
    pub(super) timestamp: Field,
    pub(super) write_time: Field,
    pub(super) seq: Field,
    pub(super) bytes: Field,
    pub(super) body: Field,
    pub(super) source: Field,
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let number = NumericOptions::from(INDEXED | FAST);
    let fields = Fields {
        id: builder.add_bytes_field("id", BytesOptions::default().set_indexed()),
        index: builder.add_text_field("index", STRING),
        tenant: builder.add_text_field("tenant", STRING),
        timestamp: builder.add_u64_field("timestamp", number.clone()),
        write_time: builder.add_u64_field("write_time", number),
        seq: builder.add_u64_field(SEQ, FAST),
        bytes: builder.add_u64_field(BYTES, FAST),
        body: builder.add_json_field(
            BODY,
            JsonObjectOptions::default()
                .set_indexing_options(
                    TextFieldIndexing::default()
                        .set_tokenizer(TEXT)
                        .set_fieldnorms(false)
                        .set_index_option(IndexRecordOption::WithFreqsAndPositions),
                )
                .set_fast(KEYWORD)
                .set_expand_dots_enabled(),
        ),
        source: builder.add_text_field("source", TextOptions::default() | STORED),
    };
    (builder.build(), fields)
}

/// Tells an index how texts are analysed.
pub(super) fn register_tokenizers(index: &Index) {
    index.tokenizers().register(TEXT, TextTokenizer::default());
    index
        .fast_field_tokenizer()
        .register(KEYWORD, KeywordTokenizer::default());
}
