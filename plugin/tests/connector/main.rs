//! The connector as its host sees it: settings and scripted answers in, records and cursors out.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

mod faults;
mod quirks;
mod records;
mod server;
mod walk;
