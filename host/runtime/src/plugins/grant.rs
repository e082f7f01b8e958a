//! What a plugin asks to be granted, what an operator has accepted, and whether the one covers the other.
//!
//! Dropping a file into the plugin directory is the owner's act, so the first run of a connector accepts what its plugin asks
//! for. Whoever replaces the file later may ask for less or the same, and nothing happens: what was accepted stays, so that
//! going back needs nobody. One that asks for more runs no connector until the owner of the data directory has accepted
//! that. The comparison errs on the side of asking: a request is covered only if one accepted rule covers all of it, and
//! limits only if they are the same or tighter ones for the same paths.

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
        let paths = |buckets: &[Bucket]| -> Vec<String> {
            buckets.iter().map(|bucket| bucket.path.clone()).collect()
        };
        if paths(&self.buckets) == paths(&accepted.buckets) {
            for (bucket, held) in self.buckets.iter().zip(&accepted.buckets) {
                if is_looser(bucket, held) {
                    new.push(format!("more than {}", allowance(held)));
                }
            }
        } else {
            // Which calls count together is another question than how many there may be: a path that is split, moved,
            // left out or new has a budget that nobody has accepted.
            new.push(format!(
                "other limits on its calls: {} instead of {}",
                allowances(&self.buckets),
                allowances(&accepted.buckets)
            ));
        }
        if !accepted.buckets.is_empty() && self.quota_headers != accepted.quota_headers {
            new.push("to have the vendor's limits read from other headers".into());
        }
    }

    /// What it asks for, in short phrases for one line. Paths without a bucket may be called `uncovered` times an hour.
    pub fn phrases(&self, uncovered: u32) -> Vec<String> {
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
        if !self.secrets.is_empty() {
            let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
            phrases.push(format!(
                "settings that stay secret from it: {}",
                secrets.join(", ")
            ));
        }
        phrases.extend(self.buckets.iter().map(allowance));
        phrases.extend(uncovered_calls(&self.requests, &self.buckets, uncovered));
        let headers = self.quota_headers.names();
        if !self.buckets.is_empty() && !headers.is_empty() {
            phrases.push(format!(
                "the vendor's limits read from {}",
                headers.join(", ")
            ));
        }
        phrases
    }
}

/// What holds calls back that no bucket of their plugin counts, in a phrase; `None` if there can be none.
pub fn uncovered_calls(
    requests: &[RequestRule],
    buckets: &[Bucket],
    uncovered: u32,
) -> Option<String> {
    let mut paths: Vec<&str> = requests
        .iter()
        .map(|rule| rule.path.as_str())
        .filter(|path| !buckets.iter().any(|bucket| path_covers(&bucket.path, path)))
        .collect();
    paths.dedup();
    match (paths.as_slice(), buckets) {
        ([], _) => None,
        (_, []) => Some(format!(
            "no limit of its own on calls: {uncovered} per hour"
        )),
        (paths, _) => Some(format!(
            "no limit of its own on calls to {}: {uncovered} per hour",
            paths.join(", ")
        )),
    }
}

fn allowance(bucket: &Bucket) -> String {
    format!(
        "{} calls in {} s, {} at a time, to {}",
        bucket.calls, bucket.window_seconds, bucket.concurrency, bucket.path
    )
}

fn allowances(buckets: &[Bucket]) -> String {
    if buckets.is_empty() {
        return "none of its own".into();
    }
    let each: Vec<String> = buckets.iter().map(allowance).collect();
    each.join(" and ")
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
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) => return true,
            (Some(wide), Some(narrow)) if wide == narrow || (wide == "*" && !narrow.is_empty()) => {
            }
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
