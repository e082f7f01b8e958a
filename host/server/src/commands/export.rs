//! `export`: the records of one index on standard output, compact NDJSON, in the order of their commits; or all assets, in the
//! order in which they were first heard of, after they have taken up what the journal has.
//!
//! Reads only, and works while a collection writes: it shows what was committed when it began. `--json` changes nothing about
//! the records, which are JSON already; a failure before the first of them is one JSON object as everywhere.

use crate::answer::Answer;
use crate::arguments::{ExportIndex, Global};
use crate::assets::AssetStore;
use crate::connectors::Catalogue;
use crate::failure::Failure;
use crate::host;
use crate::search::request::Scope;
use connector_runtime::journal::{Journal, JournalError};
use indicatif::MultiProgress;
use std::io::{self, BufWriter, Write};

/// Large, so that a block's records leave in few calls.
const BUFFER: usize = 256 << 10;

/// Runs the command.
///
/// # Errors
/// If there is no journal, or it or standard output fails. A reader that goes away is none.
pub(crate) async fn run(
    global: &Global,
    index: ExportIndex,
    screen: &MultiProgress,
) -> Result<Answer, Failure> {
    if index == ExportIndex::Assets {
        let store = super::assets::up_to_date(global, screen).await?;
        write_assets(&store, io::stdout().lock())?;
        return Ok(Answer::given());
    }
    let catalogue = Catalogue::read(&host::data_directory(global)?)?;
    write(catalogue.journal(), index, io::stdout().lock())?;
    Ok(Answer::given())
}

fn write(journal: &Journal, index: ExportIndex, out: impl Write) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(BUFFER, Counted { out, written: 0 });
    let result = journal.export(index.into(), &mut out);
    let (Counted { written, .. }, _) = out.into_parts();
    match result {
        Ok(_) => Ok(()),
        // `| head` has seen enough.
        Err(JournalError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(Failure::Export { written, source }),
    }
}

fn write_assets(store: &AssetStore, out: impl Write) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(BUFFER, Counted { out, written: 0 });
    let mut result = Ok(());
    for document in store.documents(&Scope::default())? {
        let (_, _, document) = document?;
        result = serde_json::to_writer(&mut out, &document)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"));
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| out.flush());
    let (Counted { written, .. }, _) = out.into_parts();
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Export {
            written,
            source: JournalError::Output(error),
        }),
    }
}

struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::schema::migrations;
    use connector_runtime::interflow::Index;
    use connector_runtime::journal::{Block, Commit};

    async fn journal_with_a_record(directory: &std::path::Path) -> Journal {
        let journal = Journal::open(directory, migrations()).unwrap();
        let connector = journal.connector("acme", "a", "acme-scanner").unwrap().id;
        let block = Block::press(&[Index::Syslog], 1, Some((1, 1)), b"{\"a\":1}\n", b"").unwrap();
        let commit = Commit {
            connector,
            content_type: "assets".into(),
            part: String::new(),
            expected_generation: 0,
            cursor: "c".into(),
            written_ms: 1,
            cache_puts: Vec::new(),
            cache_removes: Vec::new(),
            block: Some(block),
        };
        journal.commit(commit).await.unwrap();
        journal
    }

    /// Takes nothing.
    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_export_works_while_a_collection_owns_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let _owner = journal_with_a_record(directory.path()).await;
        let reader = Journal::open_read_only(directory.path(), &migrations()).unwrap();
        let mut out = Vec::new();
        write(&reader, ExportIndex::Syslog, &mut out).unwrap();
        assert_eq!(out, b"{\"a\":1}\n");
        let mut none = Vec::new();
        write(&reader, ExportIndex::Scans, &mut none).unwrap();
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal_with_a_record(directory.path()).await;
        let export = |kind| write(&journal, ExportIndex::Syslog, Closed(kind));
        assert!(export(io::ErrorKind::BrokenPipe).is_ok());
        let failure = export(io::ErrorKind::StorageFull).unwrap_err();
        assert_eq!((failure.exit(), failure.code()), (1, "output"));
    }

    #[test]
    fn without_a_journal_the_sentence_names_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let failure = Failure::from(Catalogue::read(directory.path()).err().unwrap());
        assert_eq!(failure.exit(), 2);
        assert!(
            failure
                .to_string()
                .contains(&directory.path().display().to_string())
        );
    }
}
