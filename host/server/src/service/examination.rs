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

/// Whether things of the tenant of this name may be named to whoever asks.
pub(crate) type Asker<'a> = &'a (dyn Fn(&str) -> bool + Sync);

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
    fn turn(&self, tenant: &str, name: &str, asker: Asker<'_>) -> Result<Turn<'_>, Failure> {
        let mut testing = self.testing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((other, name)) = &*testing {
            let other = match asker(other) {
                true => format!("{other}/{name}"),
                false => "another connector".into(),
            };
            return Err(Failure::Busy(format!(
                "one connection is tested at a time, and {other} is being tested now; try again when it is done"
            )));
        }
        *testing = Some((tenant.to_owned(), name.to_owned()));
        Ok(Turn(self))
    }

    /// Tests a kept connector; success clears its status.
    ///
    /// # Errors
    /// If another is being tested, or it cannot start.
    pub(crate) async fn test(
        &self,
        connector: &StoredConnector,
        asker: Asker<'_>,
    ) -> Result<TestReply, Failure> {
        let _turn = self.turn(&connector.tenant, &connector.name, asker)?;
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
    pub(crate) async fn test_unsaved(
        &self,
        definition: &Definition,
        asker: Asker<'_>,
    ) -> Result<TestReply, Failure> {
        let _turn = self.turn(&definition.tenant, &definition.name, asker)?;
        let report = self.examine(definition).await?;
        Ok(TestReply::of(definition, &report))
    }

    async fn examine(&self, definition: &Definition) -> Result<TestReport, Failure> {
        let plugin = self.plugin(definition)?;
        let settings = self.host.settings(definition, &plugin)?;
        examination::report(&self.host, definition, plugin, settings).await
    }
}
