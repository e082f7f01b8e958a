//! What a plugin says about itself (`describe`), as types. The document's schema is `wit/manifest.schema.json`.
//!
//! The manifest is a request, not a right: the host reads from it what the plugin wants to reach, which of its settings
//! means what, and which counters it keeps. It never contains an address: the origin is always a setting that an operator
//! typed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the manifest's shape that this host reads.
pub const MANIFEST_VERSION: u32 = 1;

/// Buckets that a plugin may declare; each has a count of its own that is kept for as long as it is needed.
const MOST_BUCKETS: usize = 100;

/// A plugin's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this document's shape.
    pub manifest_version: u32,
    /// The connector type, as in a definition's `type`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Whose product the connector reads.
    pub vendor: String,
    /// The plugin's own version.
    pub version: String,
    /// Display name of the category.
    pub category: String,
    /// Internal name of the category.
    pub category_id: String,
    /// What a connector of this type can do.
    pub functions: Functions,
    /// What can be collected.
    pub content_types: Vec<ContentType>,
    /// Labels of every record's `msg_origin`.
    pub origin: Origin,
    /// JSON Schema (draft 2020-12) of the settings; secrets are `writeOnly`.
    pub settings: Value,
    /// Which settings mean what, as JSON pointers.
    pub roles: Roles,
    /// What the plugin asks to be allowed to request.
    pub network: Network,
    /// The vendor's limits.
    #[serde(default)]
    pub quota: Quota,
    /// Counters and the equations that must hold between them.
    #[serde(default)]
    pub ledger: LedgerPlan,
}

/// What a connector of a type can do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Functions {
    /// It collects records.
    pub collect: bool,
    /// It can act on the vendor's side.
    #[serde(default)]
    pub respond: bool,
    /// The vendor's own alerts are mapped.
    #[serde(default)]
    pub native_alerts_mapped: bool,
}

/// One kind of content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContentType {
    /// As in the settings.
    pub id: String,
    /// Display name.
    pub label: String,
    /// The records' `msg_class`.
    pub msg_class: String,
    /// The indices that its records belong to.
    pub indices: Vec<String>,
}

/// Labels of `msg_origin`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// `msg_origin.source`.
    pub source: String,
    /// `msg_origin.vendor`.
    pub vendor: String,
    /// `msg_origin.category`.
    pub category: String,
}

/// JSON pointers into the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Roles {
    /// The vendor's address.
    pub origin: String,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The account's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Minutes between runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The chosen content types; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_types: Option<String>,
}

/// What a plugin asks to reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// JSON pointer of the setting that holds the one origin.
    pub origin: String,
    /// The requests.
    pub requests: Vec<RequestRule>,
    /// The credential, if requests carry one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialPlan>,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRule {
    /// A name for messages.
    pub id: String,
    /// Allowed methods.
    pub methods: Vec<String>,
    /// Path; `*` stands for exactly one segment.
    pub path: String,
    /// Fields that must be there with one of the values; other fields are free.
    #[serde(default)]
    pub form: std::collections::BTreeMap<String, Vec<String>>,
}

/// How the credential is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialPlan {
    /// `basic` is the one scheme of this version.
    pub scheme: CredentialScheme,
    /// JSON pointer of the user name.
    pub username: String,
    /// JSON pointer of the password.
    pub password: String,
}

/// Schemes of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialScheme {
    /// HTTP Basic.
    Basic,
}

/// The vendor's limits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// One bucket per counted path.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
    /// Names of the response headers that report the state.
    #[serde(default)]
    pub headers: QuotaHeaders,
}

/// One counted path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// A name for messages.
    pub id: String,
    /// Path; `*` stands for exactly one segment.
    pub path: String,
    /// Calls per window, until the vendor's headers say otherwise.
    pub calls: u32,
    /// The window's length.
    pub window_seconds: u64,
    /// Calls at the same time, until the vendor's headers say otherwise.
    pub concurrency: u32,
}

/// Response headers that report a quota; each may be known under several names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaHeaders {
    /// Calls per window.
    #[serde(default)]
    pub limit: Vec<String>,
    /// Seconds of the window.
    #[serde(default)]
    pub window_seconds: Vec<String>,
    /// Calls left.
    #[serde(default)]
    pub remaining: Vec<String>,
    /// Seconds until the next call is allowed.
    #[serde(default)]
    pub wait_seconds: Vec<String>,
    /// Calls at the same time.
    #[serde(default)]
    pub concurrency_limit: Vec<String>,
    /// Calls running now.
    #[serde(default)]
    pub concurrency_running: Vec<String>,
}

impl QuotaHeaders {
    /// All of them.
    pub fn names(&self) -> Vec<&str> {
        [
            &self.limit,
            &self.window_seconds,
            &self.remaining,
            &self.wait_seconds,
            &self.concurrency_limit,
            &self.concurrency_running,
        ]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
    }
}

/// The counters of a plugin's reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LedgerPlan {
    /// Name and label of each counter.
    #[serde(default)]
    pub counters: Vec<Counter>,
    /// `total` must equal the sum of `parts` at the end of a run.
    #[serde(default)]
    pub equations: Vec<Equation>,
}

/// A counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counter {
    /// As in reports.
    pub id: String,
    /// For people.
    pub label: String,
}

/// An equation between counters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Equation {
    /// The counter on the left.
    pub total: String,
    /// The counters whose sum it must equal.
    pub parts: Vec<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not of the documented shape.
    #[error("its manifest cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// Of the right shape, but inconsistent.
    #[error("its manifest is not usable: {0}")]
    Content(String),
}

impl Manifest {
    /// Reads and checks what `describe` returned.
    ///
    /// # Errors
    /// If it is not of the documented shape or contradicts itself; the sentence names the member.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let wrong = |message: String| Err(ManifestError::Content(message));
        if let Some(found) = harmful(&serde_json::from_str(text)?, "") {
            return wrong(format!(
                "{found} holds a control character, which could write over what a terminal shows"
            ));
        }
        let manifest: Self = serde_json::from_str(text)?;
        if manifest.manifest_version != MANIFEST_VERSION {
            return wrong(format!(
                "manifest_version is {}, this host reads {MANIFEST_VERSION}",
                manifest.manifest_version
            ));
        }
        for (member, value) in [
            ("id", &manifest.id),
            ("origin.source", &manifest.origin.source),
            ("origin.vendor", &manifest.origin.vendor),
            ("origin.category", &manifest.origin.category),
        ] {
            if !is_identifier(value) {
                return wrong(format!(
                    "{member} must be 1 to 64 lower-case letters, digits, `_` or `-`"
                ));
            }
        }
        if manifest.content_types.is_empty() {
            return wrong("content_types is empty".into());
        }
        for (position, content) in manifest.content_types.iter().enumerate() {
            if !is_identifier(&content.id) || !is_identifier(&content.msg_class) {
                return wrong(format!(
                    "content_types[{position}]: id and msg_class must be 1 to 64 lower-case letters, digits, `_` or `-`"
                ));
            }
            if manifest.content_types[..position]
                .iter()
                .any(|other| other.id == content.id || other.msg_class == content.msg_class)
            {
                return wrong(format!(
                    "content_types[{position}] repeats an id or msg_class"
                ));
            }
            for index in &content.indices {
                if let Err(error) = index.parse::<crate::interflow::Index>() {
                    return wrong(format!("content_types[{position}].indices: {error}"));
                }
            }
        }
        if manifest.network.origin != manifest.roles.origin {
            return wrong("network.origin must be the setting with the role origin".into());
        }
        for rule in &manifest.network.requests {
            if !rule.path.starts_with('/') {
                return wrong(format!(
                    "network.requests `{}`: path must start with `/`",
                    rule.id
                ));
            }
        }
        if manifest.quota.buckets.len() > MOST_BUCKETS {
            return wrong(format!(
                "quota.buckets: there may be {MOST_BUCKETS} of them, and it has {}",
                manifest.quota.buckets.len()
            ));
        }
        for bucket in &manifest.quota.buckets {
            if !bucket.path.starts_with('/') {
                return wrong(format!(
                    "quota bucket `{}`: path must start with `/`",
                    bucket.id
                ));
            }
            if bucket.concurrency == 0 || bucket.calls == 0 || bucket.window_seconds == 0 {
                return wrong(format!(
                    "quota bucket `{}`: calls, window_seconds and concurrency must be at least 1",
                    bucket.id
                ));
            }
        }
        if let Err(error) = crate::settings::validator(&manifest.settings) {
            return wrong(format!("settings: {error}"));
        }
        Ok(manifest)
    }

    /// The content type of this id.
    pub fn content_type(&self, id: &str) -> Option<&ContentType> {
        self.content_types.iter().find(|content| content.id == id)
    }
}

/// Where a control character stands in a key or a text, as a JSON pointer. Line ends are a matter of style in the schema,
/// whose texts are long, and nowhere else.
fn harmful(value: &Value, pointer: &str) -> Option<String> {
    let bad = |text: &str| {
        text.chars().any(|character| {
            crate::redaction::is_harmful(character)
                && !(character == '\n' && pointer.starts_with("/settings/"))
        })
    };
    match value {
        Value::String(text) => bad(text).then(|| pointer.to_owned()),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(place, one)| harmful(one, &format!("{pointer}/{place}"))),
        Value::Object(members) => members.iter().find_map(|(key, one)| {
            if bad(key) {
                return Some(format!("a key of {pointer:?}"));
            }
            harmful(one, &format!("{pointer}/{key}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}
