//! The grant: which requests a connector may make. Origin, method, path and form fields, all of them.
//!
//! What is not listed is refused, in a sentence that says what would have to be.

use super::Origin;
use super::form::{Form, TYPE};
use crate::manifest::RequestRule;
use http::Method;
use url::Url;

/// What one connector may request.
#[derive(Clone, Debug)]
pub struct Grant {
    origin: Origin,
    rules: Vec<RequestRule>,
}

/// Why a request is refused; says what would have to be granted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Denial {
    /// The URL is written in a way that could mean two things.
    #[error("a request was refused: its URL {0}")]
    Url(&'static str),
    /// Another origin.
    #[error(
        "a request to {wanted} was refused: this connector is granted {granted} only (the setting that holds its address)"
    )]
    Origin {
        /// Where it wanted to go.
        wanted: String,
        /// Where it may go.
        granted: String,
    },
    /// A header that only the host sets.
    #[error("a request was refused: it sets the header `{0}`, which only the host may set")]
    Header(String),
    /// A header with which a server may read another request.
    #[error(
        "a request was refused: with its header `{0}` a server may take it for another one than was checked"
    )]
    Rewriting(String),
    /// The body is too large.
    #[error(
        "a request was refused: its body is larger than {0} bytes, which is the most it may have"
    )]
    BodySize(usize),
    /// The bodies of requests that are under way are too large, all together.
    #[error(
        "a request was refused: with its body, those of the plugin's requests that are not answered yet would hold more than {0} bytes, which is the most they may (`request_kib` for each of `connections`)"
    )]
    HeldBodies(usize),
    /// A body where none belongs.
    #[error("a {method} request to {path} was refused: only a POST may carry a body")]
    Body {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// The body is not a form.
    #[error("a request to {0} was refused: its body is not {TYPE} in UTF-8")]
    BodyType(String),
    /// A separator that only some servers know.
    #[error(
        "a request to {0} was refused: query or body has a `;`, at which some servers split fields; write it as %3B"
    )]
    Separator(String),
    /// A field name that not every server reads alike.
    #[error(
        "a request to {0} was refused: the name of a field has characters other than visible ASCII"
    )]
    FieldName(String),
    /// A field stands twice.
    #[error(
        "a request to {path} was refused: the field `{field}` stands more than once in query and body"
    )]
    RepeatedField {
        /// The path.
        path: String,
        /// The field.
        field: String,
    },
    /// Nothing in the manifest's `network.requests` covers it.
    #[error(
        "{method} {path}{fields} was refused: no rule of the plugin's manifest (network.requests) covers it; {missing}"
    )]
    Rule {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The fields that a rule of this path looks at, as they were sent.
        fields: String,
        /// What would have to be granted.
        missing: String,
    },
    /// A method that asks for no resource of the origin.
    #[error("a {0} request was refused: no connector may be granted that method")]
    Method(String),
    /// More requests than one call may make.
    #[error("a request was refused: one call may make {0} of them")]
    TooManyRequests(u32),
}

impl Grant {
    /// What `rules` ask for, at `origin`.
    pub fn new(origin: Origin, rules: Vec<RequestRule>) -> Self {
        Self { origin, rules }
    }

    /// The one origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What may be requested there.
    pub(crate) fn rules(&self) -> &[RequestRule] {
        &self.rules
    }

    pub(crate) fn check(&self, method: &Method, url: &Url, form: &Form) -> Result<(), Denial> {
        let wanted = Origin::of(url).ok_or(Denial::Url("names no host"))?;
        if wanted != self.origin {
            return Err(Denial::Origin {
                wanted: wanted.to_string(),
                granted: self.origin.to_string(),
            });
        }
        // The one opens a tunnel to anywhere, the other gives back the credential that was sent.
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            return Err(Denial::Method(method.to_string()));
        }
        let path = url.path();
        let covered = self.rules.iter().any(|rule| {
            path_matches(&rule.path, path)
                && allows(rule, method)
                && rule.form.iter().all(|(name, values)| {
                    form.get(name)
                        .is_some_and(|value| values.iter().any(|allowed| allowed == value))
                })
        });
        if covered {
            return Ok(());
        }
        Err(self.explain(method, path, form))
    }

    fn explain(&self, method: &Method, path: &str, form: &Form) -> Denial {
        let fitting = || {
            self.rules
                .iter()
                .filter(|rule| path_matches(&rule.path, path))
        };
        // Of several rules for a path, one with the method says more.
        let nearest = fitting()
            .find(|rule| allows(rule, method))
            .or_else(|| fitting().next());
        let (shown, missing) = match nearest {
            None => (
                String::new(),
                format!("it would need one with the path {path}"),
            ),
            Some(rule) if !allows(rule, method) => (
                String::new(),
                format!("rule `{}` would need the method {method}", rule.id),
            ),
            Some(rule) => {
                let shown: Vec<String> = rule
                    .form
                    .keys()
                    .map(|name| match form.get(name) {
                        Some(value) => {
                            // Whole: it is cut where it is redacted, since half a secret is none that is known.
                            format!("{name}={value}")
                        }
                        None => format!("no {name}"),
                    })
                    .collect();
                let needed: Vec<String> = rule
                    .form
                    .iter()
                    .map(|(name, values)| format!("{name}={}", values.join("|")))
                    .collect();
                (
                    format!(" ({})", shown.join(", ")),
                    format!("rule `{}` asks for {}", rule.id, needed.join(" and ")),
                )
            }
        };
        Denial::Rule {
            method: method.to_string(),
            path: path.to_owned(),
            fields: shown,
            missing,
        }
    }
}

fn allows(rule: &RequestRule, method: &Method) -> bool {
    rule.methods
        .iter()
        .any(|allowed| allowed == method.as_str())
}

/// Whether `path` fits `pattern`, in which `*` stands for exactly one segment that is not empty.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// Whether some path fits both patterns.
pub(crate) fn patterns_overlap(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (a.split('/'), b.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(a), Some(b))
                if a == b || (a == "*" && !b.is_empty()) || (b == "*" && !a.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
