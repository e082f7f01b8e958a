//! Object: a tree as JSON.
//!
//! Promises: nothing that holds text is left out (unless the settings say so); a key appears once in its object; a blank value makes no key.
//! The full form does not depend on settings, so its hash tells states apart; the selected form is what is delivered.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::bytes::is_all_blank;
use crate::elements::Class;
use crate::text;
use crate::tree::{NONE, Text, to_usize};
use crate::view::{Element, View};

/// In the full form a longer text stands as its length and hash. Fixed, because keys must not change with settings.
pub(crate) const FULL_TEXT: usize = 256 << 10;

/// What is delivered of a vendor object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Texts above this many bytes are cut.
    pub(crate) text_limit: usize,
    /// Paths of keys that are left out; each matches at the end of an element's path.
    pub(crate) leave_out: Vec<Vec<String>>,
}

/// Which form is written.
enum Form<'s> {
    Full,
    Selected(&'s Selection, Vec<String>),
}

impl View<'_> {
    /// True when the selected form may differ from the full one.
    pub(crate) fn differs(self, selection: &Selection) -> bool {
        // Repairing may make up to three bytes of one.
        !selection.leave_out.is_empty()
            || self.tree.longest.saturating_mul(3) > selection.text_limit.min(FULL_TEXT)
    }

    /// Appends the members of the root's object (no braces) in full form. Returns the number of texts that had to be repaired.
    pub(crate) fn write_full(self, out: &mut String) -> u64 {
        let mut writer = Writer {
            view: self,
            out,
            form: Form::Full,
            repaired: 0,
            cut: 0,
        };
        writer.members(self.root());
        writer.repaired
    }

    /// Appends the members of the root's object as they are delivered; `path` is where the object stands in the vendor object.
    /// Returns the number of texts that were cut.
    pub(crate) fn write_selected(
        self,
        out: &mut String,
        selection: &Selection,
        path: &[&str],
    ) -> u64 {
        let path = path.iter().map(|&step| step.to_owned()).collect();
        let mut writer = Writer {
            view: self,
            out,
            form: Form::Selected(selection, path),
            repaired: 0,
            cut: 0,
        };
        writer.members(self.root());
        writer.cut
    }
}

struct Writer<'a, 'o, 's> {
    view: View<'a>,
    out: &'o mut String,
    form: Form<'s>,
    repaired: u64,
    cut: u64,
}

impl Writer<'_, '_, '_> {
    /// Appends `"key":`, runs `value`, and takes the key back if there was no value.
    fn member(&mut self, key: &str, value: impl FnOnce(&mut Self) -> bool) {
        if let Form::Selected(selection, path) = &mut self.form
            && !selection.leave_out.is_empty()
        {
            path.push(key.to_owned());
            if selection.leave_out.iter().any(|left| path.ends_with(left)) {
                path.pop();
                return;
            }
        }
        let before = self.out.len();
        if !self.out.ends_with('{') && !self.out.is_empty() {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        if !value(self) {
            self.out.truncate(before);
        }
        if let Form::Selected(selection, path) = &mut self.form
            && !selection.leave_out.is_empty()
        {
            path.pop();
        }
    }

    /// Attributes and children of an element.
    fn members(&mut self, element: Element) {
        let view = self.view;
        let node = view.node(element);
        let text_key = if node.class == Class::Qds {
            "score"
        } else {
            "value"
        };
        let has_text = !matches!(node.text, Text::None);
        for (name, value) in &view.tree.attributes[to_usize(&node.attributes)] {
            let name = view.str(to_usize(name)).0;
            let value = view.trimmed(value.start, value.end, false);
            // An attribute that shares its name with a child keeps a name of its own.
            let taken =
                (has_text && name == text_key) || view.child(element, name.as_bytes()).is_some();
            let name = if taken {
                Cow::Owned(format!("@{name}"))
            } else {
                name
            };
            self.member(&name, |writer| writer.string(value, false));
        }
        if node.repeats {
            self.grouped(element);
        } else {
            for child in view.children(element) {
                self.child(&[child]);
            }
        }
        if has_text && !self.is_plain(element) {
            let taken = node.first != NONE && view.child(element, text_key.as_bytes()).is_some();
            self.text_member(if taken { "#text" } else { text_key }, element);
        }
    }

    /// Children of which several may share a name.
    fn grouped(&mut self, element: Element) {
        let view = self.view;
        let mut groups: Vec<Vec<Element>> = Vec::new();
        let mut by_name: HashMap<&[u8], usize> = HashMap::new();
        for child in view.children(element) {
            let at = *by_name.entry(view.name(child)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(child);
        }
        for group in groups {
            self.child(&group);
        }
    }

    /// All children of one name.
    fn child(&mut self, group: &[Element]) {
        let view = self.view;
        let element = group[0];
        let name = view.name_text(element);
        match view.node(element).class {
            Class::List(_) if group.iter().all(|list| view.node(*list).first != NONE) => {
                self.member(&name, |writer| writer.list(group));
            }
            Class::VulnCount => self.member(&name, |writer| writer.array(group)),
            _ if group.len() > 1 => self.member(&name, |writer| writer.array(group)),
            _ if self.is_plain(element) => self.text_member(&name, element),
            _ => self.member(&name, |writer| writer.object(element)),
        }
    }

    /// True for an element that is nothing but its text.
    fn is_plain(&self, element: Element) -> bool {
        let node = self.view.node(element);
        node.first == NONE
            && node.attributes.is_empty()
            && !matches!(node.class, Class::Qds | Class::VulnCount | Class::Member(_))
    }

    fn object(&mut self, element: Element) -> bool {
        self.out.push('{');
        self.members(element);
        let any = !self.out.ends_with('{');
        self.out.push('}');
        any
    }

    fn array(&mut self, elements: &[Element]) -> bool {
        self.out.push('[');
        for element in elements {
            self.array_item(|writer| writer.item(*element));
        }
        let any = !self.out.ends_with('[');
        self.out.push(']');
        any
    }

    /// The members of wrappers of one name; a stranger among them keeps its name.
    fn list(&mut self, wrappers: &[Element]) -> bool {
        self.out.push('[');
        for wrapper in wrappers {
            for element in self.view.children(*wrapper) {
                if matches!(self.view.node(element).class, Class::Member(_)) {
                    self.array_item(|writer| writer.item(element));
                } else {
                    self.array_item(|writer| {
                        writer.out.push('{');
                        writer.child(&[element]);
                        let any = !writer.out.ends_with('{');
                        writer.out.push('}');
                        any
                    });
                }
            }
        }
        let any = !self.out.ends_with('[');
        self.out.push(']');
        any
    }

    fn array_item(&mut self, value: impl FnOnce(&mut Self) -> bool) {
        let before = self.out.len();
        if !self.out.ends_with('[') {
            self.out.push(',');
        }
        if !value(self) {
            self.out.truncate(before);
        }
    }

    fn item(&mut self, element: Element) -> bool {
        if !self.is_plain(element) {
            return self.object(element);
        }
        if self.cut_length(element).is_some() {
            self.out.push('{');
            self.text_member("value", element);
            self.out.push('}');
            return true;
        }
        self.text_value(element)
    }

    /// The text under `key`, and beside it the mark if it was cut.
    fn text_member(&mut self, key: &str, element: Element) {
        match self.cut_length(element) {
            None => self.member(key, |writer| writer.text_value(element)),
            Some((length, sha256)) => {
                let Form::Selected(selection, _) = &self.form else {
                    return;
                };
                let limit = selection.text_limit;
                let mut written = false;
                self.member(key, |writer| {
                    let text = writer.view.text(element).unwrap_or_default();
                    writer.quoted(text::cut(&text, limit));
                    written = true;
                    true
                });
                if written {
                    self.cut += 1;
                    self.member(&format!("{key}_TRUNCATED"), |writer| {
                        writer.digest(length, &sha256);
                        true
                    });
                }
            }
        }
    }

    /// Length and hash of a text that the selected form cuts.
    fn cut_length(&self, element: Element) -> Option<(u64, [u8; 32])> {
        let Form::Selected(selection, _) = &self.form else {
            return None;
        };
        self.measure(element, selection.text_limit)
    }

    /// Length and hash of a text above `limit`.
    fn measure(&self, element: Element, limit: usize) -> Option<(u64, [u8; 32])> {
        match self.view.node(element).text {
            Text::Long(index) => {
                let long = &self.view.long[index as usize];
                (long.length > limit as u64).then_some((long.length, long.sha256))
            }
            Text::Raw { from, to, .. } if ((to - from) as usize).saturating_mul(3) <= limit => None,
            Text::Joined { from, to, .. } if (to - from) as usize <= limit => None,
            Text::None => None,
            _ => {
                let text = self.view.text(element)?;
                (text.len() > limit).then(|| (text.len() as u64, text::sha256(&text)))
            }
        }
    }

    fn digest(&mut self, length: u64, sha256: &[u8]) {
        self.out.push_str(&format!(
            "{{\"length\":{length},\"sha256\":\"{}\"}}",
            text::hex(sha256)
        ));
    }

    fn quoted(&mut self, text: &str) -> bool {
        self.out.push('"');
        let repaired = text::escape_into(self.out, text);
        self.out.push('"');
        repaired
    }

    fn string(&mut self, range: Range<usize>, cdata: bool) -> bool {
        if is_all_blank(&self.view.buf[range.clone()]) {
            return false;
        }
        let (text, broken) = self.view.str(range);
        self.out.push('"');
        let repaired = text::write_text(self.out, &text, cdata);
        self.out.push('"');
        self.repaired += u64::from(repaired || broken);
        true
    }

    fn text_value(&mut self, element: Element) -> bool {
        let node = self.view.node(element);
        if matches!(self.form, Form::Full)
            && let Some((length, sha256)) = self.measure(element, FULL_TEXT)
        {
            self.repaired += u64::from(node.repaired);
            self.digest(length, &sha256);
            return true;
        }
        match node.text {
            Text::None => false,
            Text::Raw { from, to, cdata } => self.string(self.view.trimmed(from, to, cdata), cdata),
            Text::Joined { .. } | Text::Long(_) => {
                let Some(text) = self.view.text(element) else {
                    return false;
                };
                let repaired = self.quoted(&text);
                self.repaired += u64::from(repaired || node.repaired);
                true
            }
        }
    }
}
