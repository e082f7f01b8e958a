//! A query, parsed: what is searched for, without the syntax that it was written in.

/// A tree of conditions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Query {
    /// Every document: `*` or `*:*`, or an empty text.
    All,
    /// All of them.
    And(Vec<Query>),
    /// At least one of them.
    Or(Vec<Query>),
    /// All that does not match.
    Not(Box<Query>),
    /// A condition on one field.
    Condition(Condition),
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// A dotted path; none where only a value was written, which is looked for in the [`DEFAULT_FIELDS`].
    pub(crate) field: Option<String>,
    /// What is asked of it.
    pub(crate) test: Test,
    /// Where it begins in the text, in bytes.
    pub(crate) at: usize,
}

/// What is asked of a field. On an array, any element counts. Texts are compared without regard to case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// The field is there: `_exists_:field` or `field:*`.
    Exists,
    /// A value without quotes or wildcards: the number, the time, or the text whose words follow each other in the field's.
    Value(String),
    /// A value in quotes: the same, with blanks and all.
    Phrase(String),
    /// A value with wildcards, which stands for a whole word or the whole text of a field.
    Wildcard(Vec<Piece>),
    /// Between two bounds: numbers, times, or texts in the order of their letters.
    Range {
        /// The lower bound.
        from: Bound,
        /// The upper bound.
        to: Bound,
    },
}

/// A piece of a value with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These letters.
    Text(String),
    /// `*`: any letters, or none.
    Any,
    /// `?`: one letter.
    One,
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// `*`.
    Open,
    /// This value belongs to it.
    Including(String),
    /// It ends just before this value.
    Excluding(String),
}

/// Where a value without a field is looked for.
pub(crate) const DEFAULT_FIELDS: [&str; 14] = [
    "srcip",
    "srcip_host",
    "host.id",
    "host.ip",
    "host.name",
    "host.hostname",
    "host.os.full",
    "event.severity_str",
    "vulnerability.id",
    "vulnerability.cve",
    "vulnerability.title",
    "vulnerability.status",
    "msg_class",
    "engid_name",
];
