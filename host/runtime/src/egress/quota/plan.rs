//! What one plugin declares of the vendor's limits, made ready for looking up: which bucket counts a path.
//!
//! The first bucket of a manifest that fits a path counts it, so each knows which paths those before it take away. A bucket
//! for paths that its plugin may not request is left out: it could only hold others back.

use crate::egress::grant::{path_matches, patterns_overlap};
use crate::manifest::{Bucket, Quota, QuotaHeaders, RequestRule};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The id of the bucket for paths that the manifest gives none.
const UNCOVERED: &str = "uncovered";

/// A bucket as a plugin declares it, or the host for what it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The bucket. Its id is for messages and tells nothing apart.
    pub bucket: Bucket,
    /// Paths that fit the bucket and that an earlier one counts.
    pub except: Vec<String>,
    /// The headers that report its state.
    pub headers: QuotaHeaders,
}

impl Declared {
    /// The host's own, for paths that no bucket of a manifest counts.
    fn uncovered_by(calls: u32) -> Self {
        Self {
            bucket: Bucket {
                id: UNCOVERED.into(),
                // No manifest has a bucket of this path, and no path fits it.
                path: String::new(),
                calls,
                window_seconds: 3600,
                // Places are the connector's own here: a plugin that keeps many must not hold up its neighbours.
                concurrency: u32::MAX,
            },
            except: Vec::new(),
            headers: QuotaHeaders::default(),
        }
    }

    /// Whether this is the host's own.
    pub(super) fn is_uncovered(&self) -> bool {
        self.bucket.path.is_empty()
    }

    /// What tells it from other buckets of its account.
    pub(super) fn key(&self) -> String {
        if self.is_uncovered() {
            return UNCOVERED.into();
        }
        let bucket = &self.bucket;
        // Plain data with text keys: serialising it cannot fail.
        let rest = serde_json::to_vec(&(&self.except, &self.headers)).unwrap_or_default();
        let digest: String = Sha256::digest(rest)[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            "{} {}/{} s, {} at a time, {digest}",
            bucket.path, bucket.calls, bucket.window_seconds, bucket.concurrency
        )
    }

    /// Whether it counts the calls of every plugin to this path.
    pub(super) fn counts(&self, path: &str) -> bool {
        path_matches(&self.bucket.path, path)
            && !self.is_uncovered()
            && !self.except.iter().any(|other| path_matches(other, path))
    }

    /// Whether the two count the same calls.
    pub(super) fn counts_as(&self, other: &Self) -> bool {
        self.bucket.path == other.bucket.path && self.except == other.except
    }
}

/// All that one plugin declares.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    buckets: Vec<Declared>,
    uncovered: Declared,
}

impl Plan {
    /// What `quota` declares for the requests in `rules`; `uncovered` calls an hour may be made to other paths.
    pub(crate) fn new(quota: &Quota, rules: &[RequestRule], uncovered: u32) -> Self {
        let mut buckets: Vec<Declared> = Vec::new();
        for (place, bucket) in quota.buckets.iter().enumerate() {
            let overlaps = |path: &str| patterns_overlap(&bucket.path, path);
            if !rules.iter().any(|rule| overlaps(&rule.path)) {
                continue;
            }
            let before = quota.buckets[..place].iter().map(|other| &other.path);
            buckets.push(Declared {
                bucket: bucket.clone(),
                except: before.filter(|path| overlaps(path)).cloned().collect(),
                headers: quota.headers.clone(),
            });
        }
        Self {
            buckets,
            uncovered: Declared::uncovered_by(uncovered),
        }
    }

    /// What counts the plugin's own calls to `path`.
    pub(super) fn of(&self, path: &str) -> &Declared {
        self.buckets
            .iter()
            .find(|declared| declared.counts(path))
            .unwrap_or(&self.uncovered)
    }

    /// Those of the manifest.
    pub(super) fn buckets(&self) -> &[Declared] {
        &self.buckets
    }

    /// The host's own.
    pub(super) fn uncovered(&self) -> &Declared {
        &self.uncovered
    }
}
