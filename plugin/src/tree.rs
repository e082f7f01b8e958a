//! Tree: the elements of one host head or one detection, and their form as JSON.
//!
//! A tree is built of places in the window, in vectors that are used again, and written straight into the output.
//!
//! Promises: nothing that holds text is left out (unless the settings say so); a key appears once in its object; a blank value makes no key.
//! The full form does not depend on settings, so its hash tells states apart; the selected form is what is delivered.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::elements::{Class, class};
use crate::page::DEPTH_LIMIT;
use crate::text::{self, LongText};
use crate::xml::{self, Attributes, Kind, Scan};

/// In the full form a longer text stands as its length and hash. Fixed, because keys must not change with settings.
pub(crate) const FULL_TEXT: usize = 256 << 10;
/// Attributes of one element.
const ATTRIBUTE_LIMIT: usize = 128;
/// Up to this many children are compared one by one.
const FEW: u32 = 32;
const NONE: u32 = u32::MAX;

type Span = Range<u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    None,
    /// A single piece, as it stands in the window.
    Raw {
        from: u32,
        to: u32,
        cdata: bool,
    },
    /// Several pieces, joined, in `decoded`; `firm` bytes of it may not be trimmed.
    Joined {
        from: u32,
        to: u32,
        firm: u32,
    },
    /// A text that was reduced while it was read.
    Long(u32),
}

#[derive(Debug, Clone)]
struct Node {
    name: Span,
    hash: u32,
    class: Class,
    attributes: Span,
    first: u32,
    last: u32,
    next: u32,
    children: u32,
    /// One bit for each child's name: a name whose bit is not set is new.
    names: u64,
    /// Two children may have the same name.
    repeats: bool,
    text: Text,
    repaired: bool,
}

/// One parsed element with everything inside it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<(Span, Span)>,
    decoded: String,
    open: Vec<u32>,
    long_used: Vec<u32>,
    longest: usize,
}

/// What is delivered of a vendor object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Texts above this many bytes are cut.
    pub(crate) text_limit: usize,
    /// Paths of keys that are left out; each matches at the end of an element's path.
    pub(crate) leave_out: Vec<Vec<String>>,
}

/// Counts elements that are not in the document types, by path.
pub(crate) type Unknown = BTreeMap<String, u64>;

/// Which form is written.
enum Form<'s> {
    Full,
    Selected(&'s Selection, Vec<String>),
}

impl Tree {
    /// Parses the element that the pieces make up; `root` is its class. An unclosed root is accepted when `partial`.
    pub(crate) fn parse(
        &mut self,
        buf: &[u8],
        pieces: &[Range<usize>],
        long: &[LongText],
        (root, partial): (Class, bool),
        unknown: &mut Unknown,
    ) -> Result<(), &'static str> {
        self.nodes.clear();
        self.attributes.clear();
        self.decoded.clear();
        self.open.clear();
        self.long_used.clear();
        self.longest = 0;
        for piece in pieces {
            let mut at = piece.start;
            while at < piece.end {
                let token = match xml::scan(&buf[..piece.end], at) {
                    Scan::Token(token) => token,
                    Scan::More if buf[at] != b'<' => xml::Token {
                        kind: Kind::Text,
                        end: piece.end,
                        from: at,
                        to: piece.end,
                    },
                    Scan::More => return Err("a tag that does not end"),
                    Scan::Bad(why) => return Err(why),
                };
                match token.kind {
                    Kind::Text => self.add_text(buf, token.from..token.to, false),
                    Kind::CData => self.add_text(buf, token.from..token.to, true),
                    Kind::Comment | Kind::Instruction | Kind::Doctype => {}
                    Kind::Start { empty } => {
                        self.begin(buf, token, empty, root, unknown)?;
                        if empty {
                            self.end();
                        }
                    }
                    Kind::End => {
                        let open = self.open.last().ok_or("an end tag that closes nothing")?;
                        let name = &self.nodes[*open as usize].name;
                        if buf[name.start as usize..name.end as usize] != buf[token.from..token.to]
                        {
                            return Err("an end tag that closes another element");
                        }
                        self.end();
                    }
                }
                at = token.end;
                if !long.is_empty() {
                    self.take_long(long, at);
                }
            }
        }
        if self.nodes.is_empty() || (self.open.len() > usize::from(partial)) {
            return Err("an element that is not closed");
        }
        Ok(())
    }

    fn begin(
        &mut self,
        buf: &[u8],
        token: xml::Token,
        empty: bool,
        root: Class,
        unknown: &mut Unknown,
    ) -> Result<(), &'static str> {
        let name = &buf[token.from..token.to];
        if !name.is_ascii() && std::str::from_utf8(name).is_err() {
            return Err("a name that is not UTF-8");
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err("elements nested too deep");
        }
        let parent = self.open.last().copied();
        let class = match parent {
            None if self.nodes.is_empty() => root,
            None => return Err("a second root element"),
            Some(parent) => class(self.nodes[parent as usize].class, name),
        };
        let attributes_from = self.attributes.len() as u32;
        let inside = token.to..token.end - if empty { 2 } else { 1 };
        if !inside.is_empty() {
            for attribute in Attributes::new(&buf[inside.clone()]) {
                let (name, value) = attribute?;
                let shift = |range: Range<usize>| {
                    (range.start + inside.start) as u32..(range.end + inside.start) as u32
                };
                let (name, value) = (shift(name), shift(value));
                let own = &self.attributes[attributes_from as usize..];
                if own.len() >= ATTRIBUTE_LIMIT {
                    return Err("an element with too many attributes");
                }
                if own
                    .iter()
                    .any(|(other, _)| buf[to_usize(other)] == buf[to_usize(&name)])
                {
                    return Err("an attribute given twice");
                }
                if std::str::from_utf8(&buf[to_usize(&name)]).is_err() {
                    return Err("a name that is not UTF-8");
                }
                self.attributes.push((name, value));
            }
        }
        let index = self.nodes.len() as u32;
        let hash = name_hash(name);
        self.nodes.push(Node {
            name: token.from as u32..token.to as u32,
            hash,
            class,
            attributes: attributes_from..self.attributes.len() as u32,
            first: NONE,
            last: NONE,
            next: NONE,
            children: 0,
            names: 0,
            repeats: false,
            text: Text::None,
            repaired: false,
        });
        if let Some(parent) = parent {
            self.attach(parent, index);
            if class == Class::Unknown && self.nodes[parent as usize].class != Class::Unknown {
                let mut path = String::new();
                for node in self.open.iter().chain([&index]) {
                    if !path.is_empty() {
                        path.push('/');
                    }
                    path.push_str(&self.name(buf, *node));
                }
                // The list is for a person; a page of random names must not fill memory.
                if unknown.len() < 200 || unknown.contains_key(&path) {
                    *unknown.entry(path).or_default() += 1;
                }
            }
        }
        self.open.push(index);
        Ok(())
    }

    fn attach(&mut self, parent: u32, index: u32) {
        let hash = self.nodes[index as usize].hash;
        let bit = 1_u64 << (hash >> 26);
        let node = &self.nodes[parent as usize];
        let (last, children) = (node.last, node.children);
        let mut repeats = children >= FEW;
        if !repeats && node.names & bit != 0 {
            let mut sibling = node.first;
            while sibling != NONE {
                let node = &self.nodes[sibling as usize];
                if node.hash == hash {
                    repeats = true;
                    break;
                }
                sibling = node.next;
            }
        }
        let node = &mut self.nodes[parent as usize];
        node.children += 1;
        node.names |= bit;
        node.repeats |= repeats;
        node.last = index;
        if last == NONE {
            node.first = index;
        } else {
            self.nodes[last as usize].next = index;
        }
    }

    fn end(&mut self) {
        self.open.pop();
    }

    fn add_text(&mut self, buf: &[u8], range: Range<usize>, cdata: bool) {
        let Some(open) = self.open.last().copied() else {
            return;
        };
        self.longest = self.longest.max(range.len());
        let node = &mut self.nodes[open as usize];
        match node.text {
            Text::None => {
                if range.is_empty()
                    || (!cdata && buf[range.clone()].iter().all(|b| text::is_blank(*b)))
                {
                    return;
                }
                node.text = Text::Raw {
                    from: range.start as u32,
                    to: range.end as u32,
                    cdata,
                };
            }
            // Reduced texts are whole: only blanks can follow, behind a child.
            Text::Long(_) => {}
            Text::Raw {
                from,
                to,
                cdata: firm,
            } => {
                let start = self.decoded.len() as u32;
                let (first, repaired) = text::decode(&buf[from as usize..to as usize], firm);
                let first = if firm {
                    first.as_ref()
                } else {
                    first.trim_start()
                };
                self.decoded.push_str(first);
                node.repaired |= repaired;
                let now = self.decoded.len() as u32;
                node.text = Text::Joined {
                    from: start,
                    to: now,
                    firm: if firm { now } else { start },
                };
                self.append(buf, open, range, cdata);
            }
            Text::Joined { .. } => self.append(buf, open, range, cdata),
        }
    }

    fn append(&mut self, buf: &[u8], open: u32, range: Range<usize>, cdata: bool) {
        let node = &mut self.nodes[open as usize];
        let Text::Joined {
            mut from,
            to,
            mut firm,
        } = node.text
        else {
            return;
        };
        if to as usize != self.decoded.len() {
            // A child wrote in between: move to the end, so that the text stays in one piece.
            let earlier = self.decoded[from as usize..to as usize].to_owned();
            firm = self.decoded.len() as u32 + (firm - from);
            from = self.decoded.len() as u32;
            self.decoded.push_str(&earlier);
        }
        let (more, repaired) = text::decode(&buf[range], cdata);
        node.repaired |= repaired;
        self.decoded.push_str(&more);
        let to = self.decoded.len() as u32;
        self.longest = self.longest.max((to - from) as usize);
        node.text = Text::Joined {
            from,
            to,
            firm: if cdata { to } else { firm },
        };
    }

    fn take_long(&mut self, long: &[LongText], at: usize) {
        let Ok(found) = long.binary_search_by_key(&at, |long| long.offset) else {
            return;
        };
        let found = found as u32;
        if self.long_used.contains(&found) {
            return;
        }
        if let Some(open) = self.open.last().copied() {
            self.long_used.push(found);
            self.longest = usize::MAX;
            self.nodes[open as usize].text = Text::Long(found);
            self.nodes[open as usize].repaired = long[found as usize].repaired;
        }
    }

    fn name<'b>(&self, buf: &'b [u8], node: u32) -> Cow<'b, str> {
        String::from_utf8_lossy(&buf[to_usize(&self.nodes[node as usize].name)])
    }
}

/// Equal for equal names, and as a rule different for others: their first and last eight bytes.
fn name_hash(name: &[u8]) -> u32 {
    let eight = |bytes: &[u8]| {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(eight)
    };
    let first = eight(&name[..name.len().min(8)]);
    let last = eight(&name[name.len().saturating_sub(8)..]);
    let mixed =
        (first ^ last.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

fn to_usize(span: &Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// A tree together with the bytes it was made of.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) buf: &'a [u8],
    pub(crate) long: &'a [LongText],
    /// Where the one piece begins that the tree was made of, and the piece, if it is UTF-8: then its parts need not be checked again.
    whole: (usize, Option<&'a str>),
}

/// An element of a [`View`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element(u32);

impl<'a> View<'a> {
    /// A view of a tree that was parsed of these pieces.
    pub(crate) fn new(
        tree: &'a Tree,
        buf: &'a [u8],
        long: &'a [LongText],
        pieces: &[Range<usize>],
    ) -> Self {
        let whole = match pieces {
            [piece] => (piece.start, std::str::from_utf8(&buf[piece.clone()]).ok()),
            _ => (0, None),
        };
        Self {
            tree,
            buf,
            long,
            whole,
        }
    }

    /// Bytes of the window as text.
    fn str(self, range: Range<usize>) -> (Cow<'a, str>, bool) {
        let (start, whole) = self.whole;
        match whole.and_then(|whole| whole.get(range.start.checked_sub(start)?..range.end - start))
        {
            Some(text) => (Cow::Borrowed(text), false),
            None => text::utf8(&self.buf[range]),
        }
    }

    pub(crate) const fn root(self) -> Element {
        Element(0)
    }

    pub(crate) fn name(self, element: Element) -> &'a [u8] {
        &self.buf[to_usize(&self.node(element).name)]
    }

    fn name_text(self, element: Element) -> Cow<'a, str> {
        self.str(to_usize(&self.node(element).name)).0
    }

    fn node(self, element: Element) -> &'a Node {
        &self.tree.nodes[element.0 as usize]
    }

    pub(crate) fn children(self, element: Element) -> impl Iterator<Item = Element> + use<'a> {
        let tree = self.tree;
        let mut next = self.node(element).first;
        std::iter::from_fn(move || {
            if next == NONE {
                return None;
            }
            let here = next;
            next = tree.nodes[here as usize].next;
            Some(Element(here))
        })
    }

    pub(crate) fn child(self, element: Element, name: &[u8]) -> Option<Element> {
        self.children(element)
            .find(|child| self.name(*child) == name)
    }

    /// All elements below the root with this name, in document order.
    pub(crate) fn descendants(self, name: &'a [u8]) -> impl Iterator<Item = Element> + use<'a> {
        (0..self.tree.nodes.len() as u32)
            .map(Element)
            .filter(move |element| self.name(*element) == name)
    }

    /// An attribute's text.
    pub(crate) fn attribute(self, element: Element, name: &[u8]) -> Option<Cow<'a, str>> {
        let own = &self.tree.attributes[to_usize(&self.node(element).attributes)];
        let (_, value) = own
            .iter()
            .find(|(own, _)| &self.buf[to_usize(own)] == name)?;
        Some(text::decode(text::trim(&self.buf[to_usize(value)]), false).0)
    }

    /// The element's own text; `None` when it is blank. Of a reduced text only the start.
    pub(crate) fn text(self, element: Element) -> Option<Cow<'a, str>> {
        let text = match self.node(element).text {
            Text::None => return None,
            Text::Raw { from, to, cdata } => match self.str(self.trimmed(from, to, cdata)) {
                (Cow::Borrowed(text), _) => text::decode_text(text, cdata).0,
                (Cow::Owned(text), _) => Cow::Owned(text::decode_text(&text, cdata).0.into_owned()),
            },
            Text::Joined { from, to, firm } => Cow::Borrowed(self.joined(from, to, firm)),
            Text::Long(index) => Cow::Borrowed(self.long[index as usize].kept.as_str()),
        };
        text.bytes().any(|b| !text::is_blank(b)).then_some(text)
    }

    /// A piece without the blanks around it, which CDATA keeps.
    fn trimmed(self, from: u32, to: u32, cdata: bool) -> Range<usize> {
        let (mut from, mut to) = (from as usize, to as usize);
        if !cdata {
            while from < to && text::is_blank(self.buf[from]) {
                from += 1;
            }
            while from < to && text::is_blank(self.buf[to - 1]) {
                to -= 1;
            }
        }
        from..to
    }

    fn joined(self, from: u32, to: u32, firm: u32) -> &'a str {
        let all = &self.tree.decoded[from as usize..to as usize];
        let firm = (firm - from) as usize;
        let end = all
            .trim_end_matches([' ', '\t', '\n', '\r'])
            .len()
            .max(firm);
        &all[..end]
    }

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
        if self.view.buf[range.clone()]
            .iter()
            .all(|b| text::is_blank(*b))
        {
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
