//! What has been spent of the vendors' quotas, so that a restart does not spend it again.
//!
//! One row per account and bucket, replaced by every call. The writes are queued like all others and share a transaction
//! with whatever waits beside them, so that a call costs no wait for the disk of its own.

use super::Journal;
use super::error::JournalError;
use crate::egress::{QuotaStore, Saving, StoredBucket};
use rusqlite::params;
use tokio::sync::oneshot;

impl Journal {
    fn load_quota(&self, account: &str) -> Result<Vec<StoredBucket>, JournalError> {
        self.read(|database| {
            let mut rows =
                database.prepare_cached("SELECT bucket, state FROM quota WHERE account = ?1")?;
            let rows = rows.query_map([account], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            let mut buckets = Vec::new();
            for row in rows {
                let (bucket, state) = row?;
                match serde_json::from_str(&state) {
                    Ok(state) => buckets.push(state),
                    Err(error) => tracing::warn!(
                        bucket,
                        "what was spent of a quota cannot be read and is left out: {error}"
                    ),
                }
            }
            Ok(buckets)
        })
    }

    fn queue_quota(
        &self,
        account: &str,
        bucket: &StoredBucket,
    ) -> Result<oneshot::Receiver<Result<(), JournalError>>, JournalError> {
        let (reply, answer) = oneshot::channel();
        // Plain data with text keys: serialising it cannot fail.
        let state = serde_json::to_string(bucket).unwrap_or_default();
        let row = (account.to_owned(), bucket.bucket.clone(), state);
        let work = move |database: &rusqlite::Connection| {
            database
                .prepare_cached(
                    "INSERT INTO quota (account, bucket, state) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET state = excluded.state",
                )?
                .execute(params![row.0, row.1, row.2])?;
            Ok(())
        };
        self.writer()?.send(0, work, move |result| {
            // Whoever asked may have stopped waiting.
            drop(reply.send(result));
        })?;
        Ok(answer)
    }
}

impl QuotaStore for Journal {
    fn load(&self, account: &str) -> Result<Vec<StoredBucket>, String> {
        self.load_quota(account).map_err(|error| error.to_string())
    }

    fn save(&self, account: &str, bucket: StoredBucket) -> Saving {
        let queued = self.queue_quota(account, &bucket);
        Box::pin(async move {
            match queued {
                // Who only reads leaves the counting to whoever owns the directory.
                Err(JournalError::ReadOnly) => Ok(()),
                Err(error) => Err(error.to_string()),
                Ok(answer) => match answer.await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(JournalError::Closed.to_string()),
                },
            }
        })
    }
}
