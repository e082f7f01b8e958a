//! Redaction: a connector's secrets, recognised in any text that leaves, and replaced by `[redacted]`.
//!
//! A guest never gets the password, but a server can send it: an error page that echoes the request is enough, and a plugin
//! passes on what it was told. So every text of a guest goes through [`Redactor::line`], every sentence of egress through
//! [`Redactor::text`], and the ledger as a whole through [`Redactor::json`] before it is stored or printed.
//!
//! A secret is recognised as it is, percent-encoded or form-encoded, escaped as JSON or XML escape it, each in any mixture,
//! one inside the other, with control characters strewn in, and in base64 at each of its three alignments (which includes the base64 of
//! `user:password`). A text that was cut inside a secret shows at most its first seven bytes. Secrets of less than eight
//! bytes are words that mean nothing by themselves, and are taken out only where they stand as a value: `name=value`,
//! `name: value`, `"name":"value"`, `<name>value</name>`, and in the user-info of a URL.
//!
//! Not redacted: records, cursors, cache entries and the identities of objects. They are the vendor's data and the
//! plugin's own state; to change them would be to lose them.
//!
//! Never here: a log line.

mod form;

use crate::egress::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use form::{Form, Reading};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter secrets are redacted only where they stand as a value.
const LONG: usize = 8;
/// Text that one byte of a secret can take, with what means nothing before it, all of it percent-encoded.
const WIDEST: usize = 3 * (form::WIDEST_UNIT + form::WIDEST_GAP);

/// The secrets of one connector in all their forms; wiped when dropped.
#[derive(Default)]
pub struct Redactor {
    forms: Vec<Form>,
    /// For each byte, whether a form may begin with it: most places of a text are passed with one look.
    beginnings: Zeroizing<Vec<bool>>,
    /// Bytes of text that the longest form can take.
    widest: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor that knows no secret: for a guest that was configured with none.
    pub fn none() -> Self {
        Self::default()
    }

    /// A redactor for secrets that are no connector's: those of a destination. `username` belongs to the password among
    /// them.
    pub fn of(secrets: &[Secret], username: Option<&str>) -> Self {
        Self::new(secrets, username)
    }

    /// A redactor for these secrets; `username` belongs to the password among them.
    pub(crate) fn new<'a>(
        secrets: impl IntoIterator<Item = &'a Secret>,
        username: Option<&str>,
    ) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.add(secret.expose(), username);
        }
        let begins = |byte| redactor.forms.iter().any(|form| form.may_begin(byte));
        redactor.beginnings = Zeroizing::new((0..=u8::MAX).map(begins).collect());
        let longest = redactor.forms.iter().map(Form::len).max();
        redactor.widest = longest.unwrap_or(0) * WIDEST;
        redactor
    }

    /// Whether it knows the same secrets as another.
    pub fn is_same(&self, other: &Self) -> bool {
        self.forms == other.forms
    }

    fn add(&mut self, secret: &str, username: Option<&str>) {
        if secret.is_empty() {
            return;
        }
        let is_long = secret.len() >= LONG;
        self.forms.push(if is_long {
            Form::plain(secret)
        } else {
            Form::value(secret)
        });
        if is_long {
            for before in 0..3 {
                self.forms.push(Form::base64(&base64_core(secret, before)));
            }
        } else if let Some(username) = username {
            // The pair is long enough to be recognised where the password alone is not.
            let pair = Zeroizing::new(format!("{username}:{secret}"));
            let core = base64_core(&pair, 0);
            if core.len() >= LONG {
                self.forms.push(Form::base64(&core));
            }
        }
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        replace(text, &self.spans(text, Reading::Text, true))
    }

    /// The text without those secrets that are recognised anywhere. For whole pages that were put together from texts that
    /// [`Redactor::text`] has seen: `tenant: demo` stays what it is, whatever the password.
    pub fn page<'a>(&self, text: &'a str) -> Cow<'a, str> {
        replace(text, &self.spans(text, Reading::Text, false))
    }

    /// A JSON document without those secrets that are recognised anywhere. Only the inside of its texts and names is looked
    /// at, so it stays the JSON that it was; and a name like `set_aside` is the document's own, even if somebody chose it for a
    /// password. (Names that a guest made have gone through [`Redactor::line`].)
    pub fn json<'a>(&self, document: &'a str) -> Cow<'a, str> {
        if self.forms.is_empty() {
            return Cow::Borrowed(document);
        }
        let bytes = document.as_bytes();
        let mut spans = Vec::new();
        let mut at = 0;
        while let Some(opening) = bytes.get(at..).and_then(|rest| find(rest, b'"')) {
            let start = at + opening + 1;
            let mut end = start;
            while let Some(byte) = bytes.get(end).filter(|byte| **byte != b'"') {
                end += if *byte == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            let inside = document.get(start..end).unwrap_or_default();
            if is_own_name(inside, &bytes[end..]) {
                at = end + 1;
                continue;
            }
            let found = self.spans(inside, Reading::Json, false);
            spans.extend(
                found
                    .into_iter()
                    .map(|span| start + span.start..start + span.end),
            );
            at = end + 1;
        }
        replace(document, &spans)
    }

    /// One line for a person: without secrets, then without control characters, then cut at `limit` bytes. In this order: a
    /// cut could leave half a secret, and a replaced character could split one.
    pub(crate) fn line(&self, text: &str, limit: usize) -> String {
        if self.forms.is_empty() {
            return clean(text, limit);
        }
        // A secret that begins within the limit has ended here; as much again makes up for what it took.
        let seen = floor(text, limit.saturating_add(2 * self.widest));
        let redacted = self.text(&text[..seen]);
        if seen == text.len() {
            return clean(&redacted, limit);
        }
        // What is left of one that was cut by this very look stands at the end, and is not shown.
        clean(
            &redacted,
            limit.min(redacted.len().saturating_sub(self.widest)),
        )
    }

    /// How many bytes before a text's first one must be known, to know whether a secret reaches into it.
    pub(crate) fn widest(&self) -> usize {
        self.widest
    }

    /// Redacts every text of a document of the guest, names included.
    pub(crate) fn value(&self, document: &mut Value) {
        match document {
            Value::String(text) => self.owned(text),
            Value::Array(entries) => entries.iter_mut().for_each(|entry| self.value(entry)),
            Value::Object(members) => {
                for (name, mut member) in std::mem::take(members) {
                    match &mut member {
                        Value::String(text) if self.is_secret(text) => REDACTED.clone_into(text),
                        member => self.value(member),
                    }
                    members.insert(self.text(&name).into_owned(), member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Redacts the names of counters, and adds up those that are one name then.
    pub(crate) fn names(&self, counts: &mut BTreeMap<String, u64>, limit: usize) {
        for (name, count) in std::mem::take(counts) {
            let sum = counts.entry(self.line(&name, limit)).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    fn owned(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.text(text) {
            *text = redacted;
        }
    }

    fn is_secret(&self, text: &str) -> bool {
        self.forms.iter().any(|form| form.is(text))
    }

    /// Where secrets stand, in order and apart.
    fn spans(&self, text: &str, reading: Reading, values: bool) -> Vec<Range<usize>> {
        if self.forms.is_empty() {
            return Vec::new();
        }
        let text = text.as_bytes();
        let mut spans = self.spans_of(text, reading, values);
        if let Some((bytes, places)) = form::percent_decoded(text) {
            let decoded = self.spans_of(&bytes, reading, values);
            spans.extend(
                decoded
                    .into_iter()
                    .map(|span| places[span.start]..places[span.end]),
            );
        }
        spans.sort_unstable_by_key(|span| span.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        apart
    }

    /// Where secrets stand in a text that is read as it is. A base64 run may begin before the place where it was found, so
    /// spans can overlap.
    fn spans_of(&self, text: &[u8], reading: Reading, values: bool) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let may_begin = self.beginnings.get(usize::from(*byte)) == Some(&true);
            let forms = if may_begin { &*self.forms } else { &[] };
            let found = forms
                .iter()
                .filter(|form| values || !form.is_value())
                .filter_map(|form| form.find_at(text, at, reading))
                .max_by_key(|span| span.end);
            match found {
                Some(span) => {
                    at = span.end.max(at + 1);
                    spans.push(span);
                }
                None => at += form::unit_len(text, at, reading),
            }
        }
        spans
    }
}

/// The part of the base64 of `secret` that is the same whatever stands around it, if `before` bytes (modulo 3) precede it.
fn base64_core(secret: &str, before: usize) -> Zeroizing<String> {
    let mut padded = Zeroizing::new(vec![0; before]);
    padded.extend_from_slice(secret.as_bytes());
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&*padded));
    // The first characters mix in what precedes; the last one mixes in what follows, unless a group ends there.
    let first = [0, 2, 3].get(before).copied().unwrap_or(0);
    let last = padded.len() * 8 / 6;
    Zeroizing::new(encoded.get(first..last).unwrap_or_default().to_owned())
}

fn replace<'a>(text: &'a str, spans: &[Range<usize>]) -> Cow<'a, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        // Forms begin and end with whole characters.
        replaced.push_str(text.get(at..span.start).unwrap_or_default());
        replaced.push_str(REDACTED);
        at = span.end;
    }
    replaced.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(replaced)
}

/// Whether a JSON text is a member's name of the form that documents of this host have. `after` begins with its closing quote.
fn is_own_name(inside: &str, after: &[u8]) -> bool {
    let mut behind = after
        .iter()
        .skip(1)
        .skip_while(|byte| byte.is_ascii_whitespace());
    behind.next() == Some(&b':')
        && inside
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// The last character boundary at or before `limit`.
fn floor(text: &str, limit: usize) -> usize {
    let mut cut = limit.min(text.len());
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    cut
}

/// Control characters (terminal escapes among them), line ends of Unicode, and marks that turn the direction of the text
/// around them, so that it reads as something else.
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line for a person: cut at `limit` bytes, harmful characters replaced.
fn clean(text: &str, limit: usize) -> String {
    let cut = floor(text, limit);
    let mut clean: String = text[..cut]
        .chars()
        .map(|character| {
            if is_harmful(character) {
                ' '
            } else {
                character
            }
        })
        .collect();
    if cut < text.len() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests;
