//! Interflow: what a record looks like, and who may write which part of it.
//!
//! A plugin hands over a *body*, one JSON object. [`check`] reads it once, byte by byte and without building maps, and an
//! [`Envelope`] seals it into a *record*: the fields that belong to the host, then the body's own members, on one line.
//! An [`Index`] is one of the places where a record can be searched; a [`Filter`] says which records are dropped instead.
//!
//! Promised: a body that passes cannot write a field of the envelope, whatever its spelling, and means the same to every
//! reader, since no key occurs twice. The work is linear in the body (n log n in the keys of one object) and needs no stack
//! that grows with its depth. The same key under the same connector and class always makes the same record id.
//!
//! Never here: a vendor's field, a number read as a number (what is out of range for one reader is not for the next), or a
//! repair. A body is taken as it stands or refused with a sentence.

mod body;
mod envelope;
mod filter;
mod index;
mod limits;
mod text;

#[cfg(test)]
mod tests;

pub use body::{Facts, check};
pub use envelope::{ENVELOPE_FIELDS, Envelope, Labels, Origin, RECORD_NAMESPACE};
pub use filter::{Condition, Filter, FilterProblem, MOST_CONDITIONS, Operator, remains};
pub use index::{Index, UnknownIndex};
pub use limits::{ItemLimits, Refusal, check_key, check_time};
