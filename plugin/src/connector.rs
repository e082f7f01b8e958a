//! Connector: the five calls of the contract, over whatever environment there is.

use std::collections::HashMap;

use crate::batch::{Batch, BatchRequest};
use crate::collect;
use crate::environment::{Environment, Transport};
use crate::fault::{Fault, FaultKind};
use crate::manifest::manifest;
use crate::probe::{self, Check};
use crate::settings::{self, Remark, Settings};
use crate::walk::Session;

/// A connector instance, and what it keeps between calls: settings and open answers.
pub struct Connector<E: Environment> {
    environment: E,
    settings: Option<Settings>,
    sessions: HashMap<String, Kept<<E as Transport>::Body>>,
}

struct Kept<B> {
    session: Option<Session<B>>,
    begun: bool,
}

impl<E: Environment> Connector<E> {
    /// A connector that knows no settings yet.
    pub fn new(environment: E) -> Self {
        Self {
            environment,
            settings: None,
            sessions: HashMap::new(),
        }
    }

    /// What the connector runs in.
    pub fn environment(&mut self) -> &mut E {
        &mut self.environment
    }

    /// The manifest.
    #[must_use]
    pub fn describe() -> String {
        manifest().to_string()
    }

    /// Takes settings (a JSON object without secrets).
    ///
    /// # Errors
    /// All mistakes at once; the settings before stay in force.
    pub fn configure(&mut self, text: &str) -> Result<Vec<Remark>, Vec<Remark>> {
        let (settings, warnings) = settings::parse(text)?;
        self.settings = Some(settings);
        self.sessions.clear();
        Ok(warnings)
    }

    /// Checks authentication and connectivity.
    pub fn test(&mut self) -> Vec<Check> {
        match &self.settings {
            Some(settings) => probe::run(&mut self.environment, settings),
            None => vec![Check {
                id: "about".to_owned(),
                label: "The connector is configured".to_owned(),
                outcome: probe::Outcome::Failed,
                error: Some(unconfigured()),
            }],
        }
    }

    /// Always `None`: a list is walked in one piece, one call at a time being within every subscription's limits.
    ///
    /// # Errors
    /// Without settings.
    pub fn plan(&mut self) -> Result<Option<()>, Fault> {
        self.settings
            .as_ref()
            .map(|_| None)
            .ok_or_else(unconfigured)
    }

    /// Collects one batch.
    ///
    /// # Errors
    /// When nothing could be collected; what was emitted in the call is then void.
    pub fn collect_batch(&mut self, request: &BatchRequest) -> Result<Batch, Fault> {
        let settings = self.settings.as_ref().ok_or_else(unconfigured)?;
        let kept = self
            .sessions
            .entry(request.content_type.clone())
            .or_insert_with(|| Kept {
                session: None,
                begun: false,
            });
        collect::batch(
            &mut self.environment,
            settings,
            &mut kept.session,
            &mut kept.begun,
            request,
        )
    }
}

fn unconfigured() -> Fault {
    Fault::new(
        FaultKind::Internal,
        "not-configured",
        "The connector was called before it was configured.",
        "This is a mistake of the host: configure comes first.",
    )
}
