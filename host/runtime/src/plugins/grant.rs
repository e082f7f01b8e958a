//! What a plugin asks to be granted, what an operator has accepted, and whether the one covers the other.
//!
//! Dropping a file into the plugin directory is the owner's act, so the first run of a connector accepts what its plugin asks
//! for. Whoever replaces the file later may ask for less or the same, and nothing happens: what was accepted stays, so that
//! going back needs nobody. One that asks for more runs no connector until the owner of the data directory has accepted
//! that. The comparison errs on the side of asking: a request is covered only if one accepted rule covers all of it.

use super::{Plugin, hex};
use crate::journal::{AcceptedGrant, Journal, JournalError};
use crate::manifest::{Bucket, CredentialPlan, Manifest, QuotaHeaders, RequestRule};
use crate::settings::secret_pointers;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What a plugin asks to be granted, in a form that does not depend on the order in which it says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// JSON pointer of the setting that holds the one origin.
    pub origin: String,
    /// The requests.
    pub requests: Vec<RequestRule>,
    /// The credential that the host adds to them.
    pub credential: Option<CredentialPlan>,
    /// JSON pointers of the settings that are secrets, which the plugin never sees.
    pub secrets: BTreeSet<String>,
    /// The vendor's limits, by which it is held back: the fewer, the more it asks for.
    pub buckets: Vec<Bucket>,
    /// From which response headers the host learns of those limits.
    pub quota_headers: QuotaHeaders,
    /// The interfaces that it imports, without their versions.
    pub imports: BTreeSet<String>,
}

impl GrantRequest {
    /// What the plugin of this manifest, with these imports, asks for.
    pub fn of(manifest: &Manifest, imports: &[String]) -> Self {
        let mut requests = manifest.network.requests.clone();
        for rule in &mut requests {
            rule.methods.sort();
            rule.methods.dedup();
            for values in rule.form.values_mut() {
                values.sort();
                values.dedup();
            }
        }
        requests.sort_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
        let interface = |import: &String| {
            let (interface, _) = import.split_once('@').unwrap_or((import, ""));
            interface.to_owned()
        };
        let secrets = secret_pointers(manifest).into_iter().collect();
        Self {
            origin: manifest.network.origin.clone(),
            requests,
            credential: manifest.network.credential.clone(),
            secrets,
            // Their order counts: the first that fits is the one.
            buckets: manifest.quota.buckets.clone(),
            quota_headers: manifest.quota.headers.clone(),
            imports: imports.iter().map(interface).collect(),
        }
    }

    /// As the journal keeps it: one line of JSON, the same for the same request.
    pub fn canonical(&self) -> String {
        // Plain data with text keys: serialising it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of the canonical form, 64 hex digits.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.canonical()))
    }

    /// What this asks for and `accepted` does not cover: one phrase each, none if it covers all.
    pub fn beyond(&self, accepted: &Self) -> Vec<String> {
        let mut new = Vec::new();
        if self.origin != accepted.origin {
            new.push(format!(
                "the vendor's address from the setting {} instead of {}",
                self.origin, accepted.origin
            ));
        }
        for rule in &self.requests {
            let uncovered: Vec<&str> = rule
                .methods
                .iter()
                .filter(|method| {
                    !accepted
                        .requests
                        .iter()
                        .any(|other| covers(other, rule, method))
                })
                .map(String::as_str)
                .collect();
            if !uncovered.is_empty() {
                new.push(format!(
                    "requests {}: {} {}{}",
                    rule.id,
                    uncovered.join("|"),
                    rule.path,
                    fields(rule)
                ));
            }
        }
        match (&self.credential, &accepted.credential) {
            (Some(asked), Some(accepted)) if asked == accepted => {}
            (Some(asked), _) => new.push(format!(
                "requests that carry a credential from the settings {} and {}",
                asked.username, asked.password
            )),
            (None, _) => {}
        }
        for secret in accepted.secrets.difference(&self.secrets) {
            new.push(format!(
                "to see the setting {secret}, which was a secret before"
            ));
        }
        self.looser_quota(accepted, &mut new);
        for import in self.imports.difference(&accepted.imports) {
            new.push(format!("the interface {import}"));
        }
        new
    }

    fn looser_quota(&self, accepted: &Self, new: &mut Vec<String>) {
        for held in &accepted.buckets {
            let as_tight = |bucket: &Bucket| !is_looser(bucket, held);
            let mut over = self
                .buckets
                .iter()
                .filter(|bucket| overlap(&bucket.path, &held.path));
            let is_held = self
                .buckets
                .iter()
                .any(|bucket| path_covers(&bucket.path, &held.path))
                && over.all(as_tight);
            if !is_held {
                new.push(format!(
                    "more than {} calls in {} s, {} at a time, to {}",
                    held.calls, held.window_seconds, held.concurrency, held.path
                ));
            }
        }
        if !accepted.buckets.is_empty() && self.quota_headers != accepted.quota_headers {
            new.push("to have the vendor's limits read from other headers".into());
        }
    }

    /// What it asks for, in short phrases for one line.
    pub fn phrases(&self) -> Vec<String> {
        let mut phrases: Vec<String> = self
            .requests
            .iter()
            .map(|rule| format!("{} {}{}", rule.methods.join("|"), rule.path, fields(rule)))
            .collect();
        if let Some(plan) = &self.credential {
            phrases.push(format!(
                "a credential from {} and {}",
                plan.username, plan.password
            ));
        }
        phrases
    }
}

fn fields(rule: &RequestRule) -> String {
    rule.form
        .iter()
        .map(|(name, values)| format!(", with {name}={}", values.join("|")))
        .collect()
}

/// Whether everything that `asked` allows with `method` is allowed by `accepted`.
fn covers(accepted: &RequestRule, asked: &RequestRule, method: &str) -> bool {
    accepted.methods.iter().any(|other| other == method)
        && path_covers(&accepted.path, &asked.path)
        && accepted.form.iter().all(|(name, values)| {
            asked
                .form
                .get(name)
                .is_some_and(|asked| asked.iter().all(|value| values.contains(value)))
        })
}

/// Whether every path that fits `narrow` fits `wide`; `*` stands for one segment that is not empty.
fn path_covers(wide: &str, narrow: &str) -> bool {
    segments_match(wide, narrow, |wide, narrow| {
        wide == narrow || (wide == "*" && !narrow.is_empty())
    })
}

/// Whether some path fits both patterns.
fn overlap(a: &str, b: &str) -> bool {
    segments_match(a, b, |a, b| {
        a == b || (a == "*" && !b.is_empty()) || (b == "*" && !a.is_empty())
    })
}

fn segments_match(a: &str, b: &str, fit: impl Fn(&str, &str) -> bool) -> bool {
    let (mut left, mut right) = (a.split('/'), b.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if fit(a, b) => {}
            _ => return false,
        }
    }
}

/// Whether `bucket` allows more than `held`: more at once, more in a burst, or more over time.
fn is_looser(bucket: &Bucket, held: &Bucket) -> bool {
    let over_time = |calls: u32, window: u64| u128::from(calls) * u128::from(window);
    bucket.concurrency > held.concurrency
        || bucket.calls > held.calls
        || over_time(bucket.calls, held.window_seconds)
            > over_time(held.calls, bucket.window_seconds)
}

/// A plugin asks for more than was accepted: none of its connectors runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "plugin {plugin} asks for more than was accepted: {}. Nothing was sent. If it may have that, `{}` says so; if not, put the former file back",
    .new.join("; "),
    self.command()
)]
pub struct Suspension {
    /// Its id.
    pub plugin: String,
    /// SHA-256 of the file that asks for it, 64 hex digits.
    pub sha256: String,
    /// What is new, one phrase each.
    pub new: Vec<String>,
}

impl Suspension {
    /// The command that accepts it: this file's request, and not that of one which lies there by then.
    pub fn command(&self) -> String {
        let digits = self.sha256.get(..12).unwrap_or(&self.sha256);
        format!(
            "connector-host plugins accept {} --sha256 {digits}",
            self.plugin
        )
    }
}

/// What was accepted, by the plugins' ids.
#[derive(Clone, Debug, Default)]
pub struct AcceptedGrants(BTreeMap<String, AcceptedGrant>);

impl AcceptedGrants {
    /// What the journal of a data directory holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(journal: &Journal) -> Result<Self, JournalError> {
        let rows = journal.accepted_grants()?;
        Ok(Self(
            rows.into_iter()
                .map(|row| (row.plugin.clone(), row))
                .collect(),
        ))
    }

    /// SHA-256 of the file that last ran under what was accepted for a plugin.
    pub fn last_run(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(|row| row.sha256.as_str())
    }

    /// What was accepted for a plugin. `None` if nothing was, and also if it was written in a way that is not understood
    /// here: then it covers nothing.
    pub fn of(&self, id: &str) -> Option<GrantRequest> {
        serde_json::from_str(&self.0.get(id)?.grant).ok()
    }

    /// Why connectors of this plugin may not run; `None` if they may.
    pub fn suspension(&self, plugin: &Plugin) -> Option<Suspension> {
        let id = &plugin.manifest.id;
        let row = self.0.get(id)?;
        let new = match serde_json::from_str::<GrantRequest>(&row.grant) {
            Ok(accepted) => plugin.grant.beyond(&accepted),
            Err(_) => vec!["something that this version of the host cannot compare".into()],
        };
        (!new.is_empty()).then(|| Suspension {
            plugin: id.clone(),
            sha256: plugin.sha256.clone(),
            new,
        })
    }
}

/// Lets a run of `plugin` begin: accepts what it asks for if it is the first, and notes which file ran.
///
/// # Errors
/// If the journal fails; the inner `Err` is a plugin that asks for more than was accepted.
pub(crate) async fn admit(
    journal: &Journal,
    plugin: &Plugin,
    now_ms: u64,
) -> Result<Result<(), Suspension>, JournalError> {
    let accepted = AcceptedGrants::read(journal)?;
    if let Some(suspension) = accepted.suspension(plugin) {
        return Ok(Err(suspension));
    }
    match accepted.0.get(&plugin.manifest.id) {
        None => accept(journal, plugin, now_ms).await?,
        Some(row) if row.sha256 == plugin.sha256 => {}
        Some(row) => {
            let row = AcceptedGrant {
                sha256: plugin.sha256.clone(),
                ..row.clone()
            };
            journal.accept_grant(row).await?;
        }
    }
    Ok(Ok(()))
}

/// Accepts all that `plugin` asks for, and nothing else any more.
///
/// # Errors
/// If the journal was opened to read, or fails.
pub async fn accept(journal: &Journal, plugin: &Plugin, now_ms: u64) -> Result<(), JournalError> {
    journal
        .accept_grant(AcceptedGrant {
            plugin: plugin.manifest.id.clone(),
            sha256: plugin.sha256.clone(),
            grant: plugin.grant.canonical(),
            accepted_ms: now_ms,
        })
        .await
}

#[cfg(test)]
mod tests;
