//! The answer to a search, in Elasticsearch's shape.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    /// Milliseconds.
    pub(crate) took: u64,
    /// Never: a search is answered whole or not at all.
    pub(crate) timed_out: bool,
    pub(crate) hits: Hits,
    /// `histogram` and `top_<field>`, as far as they were asked for.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub(crate) aggregations: Map<String, Value>,
}

/// What was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Hits {
    pub(crate) total: Total,
    /// Always null: there is an order, and no score.
    pub(crate) max_score: Option<f64>,
    pub(crate) hits: Vec<Hit>,
}

/// How many there are.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Total {
    pub(crate) value: u64,
    /// Always `eq`: all are counted.
    pub(crate) relation: String,
}

/// One document.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub(crate) struct Hit {
    /// The index that was searched.
    #[serde(rename = "_index")]
    pub(crate) index: String,
    /// A record's 36 characters, or an asset's id.
    #[serde(rename = "_id")]
    pub(crate) id: String,
    /// Always null.
    #[serde(rename = "_score")]
    pub(crate) score: Option<f64>,
    /// The record or asset.
    #[serde(rename = "_source")]
    #[schema(value_type = Object)]
    pub(crate) source: Value,
    /// Its place in the order, for `search_after`; times and numbers as such, null where the field is missing.
    pub(crate) sort: Vec<Value>,
}

impl SearchAnswer {
    /// An answer with these hits.
    pub(crate) fn new(
        took: u64,
        total: u64,
        hits: Vec<Hit>,
        aggregations: Map<String, Value>,
    ) -> Self {
        Self {
            took,
            timed_out: false,
            hits: Hits {
                total: Total {
                    value: total,
                    relation: "eq".into(),
                },
                max_score: None,
                hits,
            },
            aggregations,
        }
    }
}
