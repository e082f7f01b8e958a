//! The connector as its host sees it: settings and scripted answers in, records and cursors out.

mod faults;
mod quirks;
mod records;
mod server;
mod walk;
