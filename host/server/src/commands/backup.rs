//! `backup` and `restore`.

use crate::answer::Answer;
use crate::arguments::{Backup, Global, Restore};
use crate::backup::{self, restoration};
use crate::connectors::key;
use crate::failure::Failure;
use crate::{figures, host};
use connector_runtime::Clock;

/// Takes a backup, also while another process owns the data directory.
///
/// # Errors
/// As [`backup::take`].
pub(crate) fn take(global: &Global, arguments: &Backup) -> Result<Answer, Failure> {
    let data = host::data_directory(global)?;
    let taken = backup::take(
        &data,
        &arguments.folder,
        arguments.with_key,
        &Clock::system(),
    )?;
    let manifest = &taken.manifest;
    let mut text = format!(
        "backup {} is complete: {}, {}, {} (schema {})",
        taken.backup.display(),
        figures::counted(manifest.connectors, "connector"),
        figures::counted(manifest.runs, "run"),
        figures::counted(manifest.records, "record"),
        manifest.schema
    );
    text.push_str(&match taken.with_key {
        true => "\n  The key of the secrets is in it: whoever can read it has the secrets.".into(),
        false => format!(
            "\n  The key of the secrets is not in it (--with-key puts it there): keep {} elsewhere, or the secrets must be typed again.",
            data.join(key::FILE_NAME).display()
        ),
    });
    text.push_str("\n  Plugins and certificates are not in it.");
    Ok(Answer::new(text, &taken, 0))
}

/// Makes a data directory of a backup.
///
/// # Errors
/// As [`restoration::restore`].
pub(crate) fn restore(global: &Global, arguments: &Restore) -> Result<Answer, Failure> {
    let data = host::data_directory(global)?;
    let restored = restoration::restore(
        &arguments.backup,
        &data,
        arguments.replace,
        &Clock::system(),
    )?;
    let manifest = &restored.manifest;
    let mut text = format!(
        "the data directory {} is as it was at {}: {}, {}\n  What vendors reported since then is read again by the next runs.",
        restored.directory.display(),
        figures::moment(manifest.created),
        figures::counted(manifest.connectors, "connector"),
        figures::counted(manifest.records, "record"),
    );
    if !restored.has_key {
        text.push_str(&format!(
            "\n  There is no {} here: put the key back (or set {}), or type the secrets again.",
            key::FILE_NAME,
            key::VARIABLE
        ));
    }
    if let Some(aside) = &restored.aside {
        text.push_str(&format!(
            "\n  What was there before lies in {}; delete it when nothing of it is missed.",
            aside.display()
        ));
    }
    text.push_str("\n  `connector-host doctor` checks the whole.");
    Ok(Answer::new(text, &restored, 0))
}
