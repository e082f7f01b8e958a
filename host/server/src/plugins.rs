//! The plugin directory of a host that goes on: looked at again when somebody asks, while runs use what they began with.

use crate::failure::Failure;
use crate::host::Host;
use connector_runtime::journal::Journal;
use connector_runtime::plugins::{AcceptedGrants, Changes, Directory};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// A plugin directory that everybody sees the same state of.
pub(crate) struct SharedDirectory {
    current: RwLock<Arc<Directory>>,
    /// One look at a time.
    looking: Mutex<()>,
}

impl SharedDirectory {
    /// Opens the host's directory.
    ///
    /// # Errors
    /// If it cannot be read, or what was accepted cannot be.
    pub(crate) async fn open(host: &Host, journal: &Journal) -> Result<Self, Failure> {
        let accepted = AcceptedGrants::read(journal)?;
        Ok(Self::of(host.plugins(&accepted).await?))
    }

    /// Of a directory that has been read.
    pub(crate) fn of(directory: Directory) -> Self {
        Self {
            current: RwLock::new(Arc::new(directory)),
            looking: Mutex::new(()),
        }
    }

    /// What it holds now; it stays so for whoever has it.
    pub(crate) fn current(&self) -> Arc<Directory> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks again, with what is accepted by now.
    ///
    /// # Errors
    /// If the directory cannot be read, or what was accepted cannot be; everything is as it was then.
    pub(crate) async fn reload(&self, host: &Host, journal: &Journal) -> Result<Changes, Failure> {
        let _alone = self.looking.lock().await;
        let accepted = AcceptedGrants::read(journal)?;
        let mut directory = Directory::clone(&self.current());
        let changes = host.look_again(&mut directory, &accepted).await?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(directory);
        Ok(changes)
    }
}
