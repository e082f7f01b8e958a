//! The one thread that writes. What waits goes into one transaction, each write in a savepoint of its own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::error::JournalError;

/// At most this many writes share a transaction, and no more are added to one that has this many bytes.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 64 << 20;

pub(super) struct Writer {
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, JournalError> {
        let (queue, jobs) = channel();
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || serve(&connection, &jobs))
            .map_err(|source| JournalError::File {
                path: "the journal's thread".into(),
                source,
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Queues `work`. `reply` is called once, when its transaction is on disk or has failed.
    pub(super) fn send<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
        reply: impl FnOnce(Result<T, JournalError>) + Send + 'static,
    ) -> Result<(), JournalError> {
        let job = Box::new(Pending {
            bytes,
            work,
            reply,
            result: None,
        });
        self.queue
            .as_ref()
            .and_then(|queue| queue.send(job).ok())
            .ok_or(JournalError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            // The last handle may have been dropped by a write itself.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer ended in a panic");
        }
    }
}

/// One write, whatever it answers.
trait Job: Send {
    fn bytes(&self) -> usize;
    /// Does the work inside a savepoint and keeps what came of it.
    fn run(&mut self, connection: &Connection);
    /// Tells whoever waits, once it is known what became of the transaction.
    fn settle(self: Box<Self>, transaction: Result<(), JournalError>);
}

struct Pending<T, W, R> {
    bytes: usize,
    work: W,
    reply: R,
    result: Option<Result<T, JournalError>>,
}

impl<T, W, R> Job for Pending<T, W, R>
where
    T: Send,
    W: FnMut(&Connection) -> Result<T, JournalError> + Send,
    R: FnOnce(Result<T, JournalError>) + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, connection: &Connection) {
        self.result = Some(isolated(connection, &mut self.work));
    }

    fn settle(self: Box<Self>, transaction: Result<(), JournalError>) {
        let Self {
            work,
            reply,
            result,
            ..
        } = *self;
        // Whoever hears the answer may count on it that the work holds nothing any more.
        drop(work);
        reply(match (transaction, result) {
            // What the work itself met with says more than that the transaction ended.
            (_, Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(JournalError::Closed),
        });
    }
}

/// Runs `work` so that all or nothing of it stays.
fn isolated<T>(
    connection: &Connection,
    work: &mut impl FnMut(&Connection) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    connection.execute_batch("SAVEPOINT write")?;
    let result = catch_unwind(AssertUnwindSafe(|| work(connection)))
        .unwrap_or_else(|panic| Err(JournalError::Panicked(said(&*panic))));
    if result.is_ok() {
        connection.execute_batch("RELEASE write")?;
    } else if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK TO write; RELEASE write")?;
    }
    result
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

fn serve(connection: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < GROUP
            && bytes < GROUP_BYTES
            && let Ok(next) = jobs.try_recv()
        {
            bytes = bytes.saturating_add(next.bytes());
            group.push(next);
        }
        match transact(connection, &mut group) {
            Ok(()) => group.into_iter().for_each(|job| job.settle(Ok(()))),
            // Some failures (no memory, a full or broken disk) end the whole transaction. Whose they are shows when
            // each is tried alone.
            Err(error) if group.len() > 1 => {
                tracing::warn!(%error, writes = group.len(), "a group of writes failed; trying each alone");
                for mut job in group {
                    let result = transact(connection, std::slice::from_mut(&mut job));
                    job.settle(result);
                }
            }
            Err(error) => {
                if let Some(job) = group.pop() {
                    job.settle(Err(error));
                }
            }
        }
    }
}

/// Runs the jobs in one transaction. On an error nothing of it is left.
fn transact(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), JournalError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for job in jobs {
        job.run(connection);
        if connection.is_autocommit() {
            return Err(JournalError::Sqlite(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("the transaction was ended by a failure within it".to_owned()),
            )));
        }
    }
    let committed = connection.execute_batch("COMMIT");
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(committed?)
}
