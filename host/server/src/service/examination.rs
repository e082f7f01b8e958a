//! Connection tests: at once, one at a time.

use super::Service;
use crate::commands::test as examination;
use crate::connectors::listing::StoredConnector;
use crate::definition::Definition;
use crate::failure::Failure;
use connector_runtime::runs::TestReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::PoisonError;
use utoipa::ToSchema;

/// What a test found: whether it passed, a sentence, and the detail for whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TestReply {
    /// Whether everything that was tried works, or is merely busy.
    pub(crate) passed: bool,
    /// One sentence.
    pub(crate) summary: String,
    /// The whole of it, for a person.
    pub(crate) detail: String,
    /// The same for a program: checks with outcome, error and help for its HTTP status, warnings, fault, traffic.
    #[schema(value_type = Object)]
    pub(crate) report: Value,
}

impl TestReply {
    fn of(definition: &Definition, report: &TestReport) -> Self {
        let answer = examination::answer(definition, report);
        let detail = answer.text.clone();
        Self {
            passed: report.passed(),
            summary: examination::summary(definition, report),
            detail,
            report: serde_json::from_str(&answer.json).unwrap_or_default(),
        }
    }
}

/// Gives the place of the one test free.
struct Turn<'a>(&'a Service);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self
            .0
            .testing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Service {
    fn turn(&self, full: &str) -> Result<Turn<'_>, Failure> {
        let mut testing = self.testing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = &*testing {
            return Err(Failure::Busy(format!(
                "one connection is tested at a time, and {other} is being tested now; try again when it is done"
            )));
        }
        *testing = Some(full.to_owned());
        Ok(Turn(self))
    }

    /// Tests a kept connector; success clears its status.
    ///
    /// # Errors
    /// If another is being tested, or it cannot start.
    pub(crate) async fn test(&self, connector: &StoredConnector) -> Result<TestReply, Failure> {
        let _turn = self.turn(&connector.full_name())?;
        let definition = self.definition(connector)?;
        let report = self.examine(&definition).await?;
        self.catalogue
            .clear_status_after_test(&connector.id, &report)
            .await?;
        self.schedule.changed(&connector.id);
        Ok(TestReply::of(&definition, &report))
    }

    /// Tests a definition that is not kept.
    ///
    /// # Errors
    /// As [`Service::test`].
    pub(crate) async fn test_unsaved(&self, definition: &Definition) -> Result<TestReply, Failure> {
        let _turn = self.turn(&format!("{}/{}", definition.tenant, definition.name))?;
        let report = self.examine(definition).await?;
        Ok(TestReply::of(definition, &report))
    }

    async fn examine(&self, definition: &Definition) -> Result<TestReport, Failure> {
        let plugin = self.plugin(definition)?;
        let settings = self.host.settings(definition, &plugin)?;
        examination::report(&self.host, definition, plugin, settings).await
    }
}
