//! A connector that is ready to run: its plugin, its checked settings, its way out, its identity.

use super::RunError;
use super::observer::{Event, Observer};
use crate::egress::{Egress, EgressSession, Grant, QuotaBook, Upstream};
use crate::interflow::{Envelope, Filter, Labels, Origin};
use crate::journal::Journal;
use crate::limits::{Limit, Spending, Spent};
use crate::manifest::Manifest;
use crate::plugins::{Plugin, Suspension, grant};
use crate::redaction::Redactor;
use crate::sandbox::{CacheStore, Fault, Instance, Remark, Session};
use crate::settings::{Problem, Settings};
use crate::{Clock, Limits};
use serde::Serialize;
use std::sync::Arc;

/// Who a connector is.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// 32 hex digits.
    pub tenant_id: String,
    /// The tenant's name.
    pub tenant: String,
    /// 24 hex digits.
    pub connector_id: String,
    /// The connector's name.
    pub name: String,
    /// The connector type: the plugin's id.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why a connector cannot start. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in the settings, all at once.
    #[error("the settings cannot be used: {}", list(.0))]
    Settings(Vec<Problem>),
    /// The plugin failed before it was asked to do anything.
    #[error("the plugin could not be started: {0}")]
    Plugin(#[from] Fault),
    /// The plugin asks for more than was accepted.
    #[error(transparent)]
    Suspended(#[from] Suspension),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{} {}", problem.pointer, problem.message))
        .collect::<Vec<_>>()
        .join("; ")
}

/// See the module.
pub struct Connector {
    identity: Identity,
    plugin: Arc<Plugin>,
    settings: Settings,
    redactor: Arc<Redactor>,
    egress: Arc<Egress>,
    filters: Arc<[Filter]>,
    limits: Limits,
    clock: Clock,
}

impl Connector {
    /// Puts a connector together.
    pub fn new(
        identity: Identity,
        plugin: Arc<Plugin>,
        settings: Settings,
        upstream: Arc<dyn Upstream>,
        book: &QuotaBook,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let manifest = &plugin.manifest;
        let redactor = Arc::new(settings.redactor());
        let grant = Grant::new(settings.origin.clone(), manifest.network.requests.clone());
        let egress = Arc::new(Egress::new(
            grant,
            settings.credential.clone(),
            &manifest.quota,
            book,
            upstream,
            limits.clone(),
            clock.clone(),
        ));
        Self {
            identity,
            plugin,
            settings,
            redactor,
            egress,
            filters: Arc::default(),
            limits,
            clock,
        }
    }

    /// The same connector with log filters: a record that matches one is counted there and not kept.
    #[must_use]
    pub fn with_filters(mut self, filters: Vec<Filter>) -> Self {
        self.filters = filters.into();
        self
    }

    pub(crate) fn filters(&self) -> &Arc<[Filter]> {
        &self.filters
    }

    /// What keeps its secrets out of texts.
    pub fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its plugin's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.plugin.manifest
    }

    /// The chosen content types.
    pub fn content_types(&self) -> &[String] {
        &self.settings.content_types
    }

    /// What its plugin may spend.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// SHA-256 of the plugin's file.
    pub(crate) fn plugin_digest(&self) -> &str {
        &self.plugin.sha256
    }

    /// What a run spent of each limit.
    pub(crate) fn spent(&self, spending: &Spending) -> Vec<Spent> {
        spending.note(Limit::ComponentBytes, self.plugin.size);
        spending.of(&self.limits)
    }

    /// Begins a run, as far as the plugin's grant is concerned: the first accepts what the plugin asks for.
    ///
    /// # Errors
    /// If the plugin asks for more than was accepted, or the journal fails.
    pub(crate) async fn admit(&self, journal: &Journal) -> Result<(), RunError> {
        let admitted = grant::admit(journal, &self.plugin, self.clock.now_ms()).await?;
        Ok(admitted.map_err(StartError::Suspended)?)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn egress(&self) -> Arc<Egress> {
        Arc::clone(&self.egress)
    }

    pub(crate) fn cache(&self, journal: &Journal) -> Arc<dyn CacheStore> {
        Arc::new(JournalCache {
            journal: journal.clone(),
            connector: self.identity.connector_id.clone(),
        })
    }

    /// What seals the items of a content type into records.
    pub(crate) fn envelope(&self, content_type: &str) -> Envelope {
        let manifest = &self.plugin.manifest;
        let origin = Origin {
            source: manifest.origin.source.clone(),
            vendor: manifest.origin.vendor.clone(),
            category: manifest.origin.category.clone(),
        };
        let msg_class = manifest
            .content_type(content_type)
            .map_or("", |content| content.msg_class.as_str());
        Envelope::new(&Labels {
            tenant_id: &self.identity.tenant_id,
            tenant_name: &self.identity.tenant,
            connector_id: &self.identity.connector_id,
            connector_name: &self.identity.name,
            msg_class,
            origin: &origin,
            domain: self.settings.origin.as_str(),
        })
    }

    /// A fresh instance that has accepted its settings.
    ///
    /// # Errors
    /// If it faults, or refuses them.
    pub(crate) async fn open(
        &self,
        session: EgressSession,
        cache: Arc<dyn CacheStore>,
        observer: &Arc<dyn Observer>,
    ) -> Result<(Instance, Vec<Remark>), StartError> {
        let listener = Arc::clone(observer);
        let session = Session::new(session, cache, move |line| {
            listener.event(&Event::Log(&line));
        });
        let mut instance = self.plugin.prepared.open(session).await?;
        match instance.configure(&self.settings.public).await? {
            Ok(warnings) => Ok((instance, warnings)),
            Err(mistakes) => Err(StartError::Settings(
                mistakes
                    .into_iter()
                    .map(|remark| Problem {
                        pointer: remark.pointer,
                        message: remark.message,
                    })
                    .collect(),
            )),
        }
    }
}

struct JournalCache {
    journal: Journal,
    connector: String,
}

impl CacheStore for JournalCache {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.journal
            .cache_get(&self.connector, keys)
            .map_err(|error| error.to_string())
    }

    fn bytes(&self) -> Result<u64, String> {
        self.journal
            .cache_bytes(&self.connector)
            .map_err(|error| error.to_string())
    }
}
