//! Runs: when each began and ended, how, and its ledger.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::Journal;
use super::error::JournalError;
use super::schema::{loaded, stored};

/// One run of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The connector's id.
    pub connector: String,
    /// In milliseconds since 1970.
    pub started_ms: u64,
    /// In milliseconds since 1970; none while it is under way, and none for one that was interrupted.
    pub ended_ms: Option<u64>,
    /// How it ended, in the words of whoever ended it; `interrupted` if its process went away; none while it is under way.
    pub outcome: Option<String>,
    /// The ledger, one JSON object.
    pub ledger: Option<String>,
}

impl RunRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            connector: row.get(1)?,
            started_ms: loaded(row.get(2)?),
            ended_ms: row.get::<_, Option<i64>>(3)?.map(loaded),
            outcome: row.get(4)?,
            ledger: row.get(5)?,
        })
    }
}

/// Marks the runs that a former owner of the directory did not end.
pub(super) fn mark_interrupted(connection: &Connection) -> Result<(), JournalError> {
    let count = connection.execute(
        "UPDATE runs SET outcome = 'interrupted' WHERE ended IS NULL AND outcome IS NULL",
        [],
    )?;
    if count > 0 {
        tracing::warn!(
            runs = count,
            "runs were interrupted; they go on from their cursors"
        );
    }
    Ok(())
}

impl Journal {
    /// Notes the beginning of a run and returns its id.
    ///
    /// # Errors
    /// [`JournalError::UnknownConnector`].
    pub async fn begin_run(
        &self,
        connector: &str,
        started_ms: u64,
    ) -> Result<String, JournalError> {
        let run = Uuid::new_v4().simple().to_string();
        let row = (run.clone(), connector.to_owned());
        self.write(move |database| {
            let (run, connector) = &row;
            let made = database.execute(
                "INSERT INTO runs (id, connector, started) SELECT ?1, id, ?3 FROM connectors WHERE id = ?2",
                params![run, connector, stored(started_ms)],
            )?;
            match made {
                0 => Err(JournalError::UnknownConnector {
                    id: connector.clone(),
                }),
                _ => Ok(()),
            }
        })
        .await?;
        Ok(run)
    }

    /// Notes the end of a run: how it ended, and its ledger (one JSON object).
    ///
    /// # Errors
    /// [`JournalError::UnknownRun`] if there is none of this id or it has ended before.
    pub async fn end_run(
        &self,
        run: &str,
        ended_ms: u64,
        outcome: &str,
        ledger: &str,
    ) -> Result<(), JournalError> {
        let [run, outcome, ledger] = [run, outcome, ledger].map(str::to_owned);
        self.write(move |connection| {
            let ended = connection.execute(
                "UPDATE runs SET ended = ?2, outcome = ?3, ledger = ?4 WHERE id = ?1 AND ended IS NULL",
                params![run, stored(ended_ms), outcome, ledger],
            )?;
            match ended {
                0 => Err(JournalError::UnknownRun { id: run.clone() }),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The last `limit` runs, of one connector or of all, the newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn runs(&self, connector: Option<&str>, limit: usize) -> Result<Vec<RunRow>, JournalError> {
        let filter = if connector.is_some() {
            "WHERE connector = ?1"
        } else {
            "WHERE ?1 IS NULL"
        };
        self.read(|database| {
            let mut statement = database.prepare_cached(&format!(
                "SELECT id, connector, started, ended, outcome, ledger FROM runs {filter}
                 ORDER BY started DESC, rowid DESC LIMIT ?2"
            ))?;
            let rows =
                statement.query_map(params![connector, stored(limit as u64)], RunRow::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
