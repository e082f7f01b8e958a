//! Tree: the elements of one host head or one detection, and their form as JSON.
//!
//! A tree is built of places in the window, in vectors that are used again, and written straight into the output.
//!
//! Promises: nothing that holds text is left out (unless the settings say so); a key appears once in its object; a blank value makes no key.
//! The full form does not depend on settings, so its hash tells states apart; the selected form is what is delivered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::bytes::same;
use crate::elements::{Class, Field, Names};
use crate::long_text::LongText;
use crate::page::{DEPTH_LIMIT, Piece};
use crate::text;
use crate::xml::{self, Attributes, Kind, Token};

/// Attributes of one element.
const ATTRIBUTE_LIMIT: usize = 128;
/// Up to this many children are compared one by one.
const FEW: u32 = 32;
pub(crate) const NONE: u32 = u32::MAX;

pub(crate) type Span = Range<u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
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
pub(crate) struct Node {
    pub(crate) name: Span,
    pub(crate) hash: u32,
    pub(crate) class: Class,
    pub(crate) field: Field,
    pub(crate) attributes: Span,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) next: u32,
    pub(crate) children: u32,
    /// One bit for each child's name: a name whose bit is not set is new.
    pub(crate) names: u64,
    /// Two children may have the same name.
    pub(crate) repeats: bool,
    pub(crate) text: Text,
    pub(crate) repaired: bool,
}

/// One parsed element with everything inside it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) attributes: Vec<(Span, Span)>,
    pub(crate) decoded: String,
    open: Vec<u32>,
    long_used: Vec<u32>,
    pub(crate) longest: usize,
    names: Names,
}

/// What trees are built of: the window, its tokens, and the texts that were taken out of it.
pub(crate) type Source<'a> = (&'a [u8], &'a [Token], &'a [LongText]);

/// Counts elements that are not in the document types, by path.
pub(crate) type Unknown = BTreeMap<String, u64>;

impl Tree {
    /// Builds the element that the pieces make up; `root` is its class. An unclosed root is accepted when `partial`.
    pub(crate) fn parse(
        &mut self,
        (buf, tokens, long): Source<'_>,
        pieces: &[Piece],
        (root, partial): (Class, bool),
        unknown: &mut Unknown,
    ) -> Result<(), &'static str> {
        self.nodes.clear();
        self.attributes.clear();
        self.decoded.clear();
        self.open.clear();
        self.long_used.clear();
        self.longest = 0;
        for token in pieces
            .iter()
            .flat_map(|piece| &tokens[piece.tokens.clone()])
            .copied()
        {
            match token.kind {
                Kind::Text => self.add_text(buf, token.inside(), false),
                Kind::CData => self.add_text(buf, token.inside(), true),
                Kind::Comment | Kind::Instruction | Kind::Doctype => {}
                Kind::Start { empty } => {
                    self.begin(buf, token, empty, root, unknown)?;
                    if empty {
                        self.open.pop();
                    }
                }
                Kind::End => {
                    let open = self.open.pop().ok_or("an end tag that closes nothing")?;
                    let name = &self.nodes[open as usize].name;
                    if !same(&buf[to_usize(name)], &buf[token.inside()]) {
                        return Err("an end tag that closes another element");
                    }
                }
            }
            if !long.is_empty() {
                self.take_long(long, token.end());
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
        token: Token,
        empty: bool,
        root: Class,
        unknown: &mut Unknown,
    ) -> Result<(), &'static str> {
        let name = &buf[token.inside()];
        if self.open.len() >= DEPTH_LIMIT {
            return Err("elements nested too deep");
        }
        let hash = name_hash(name);
        let parent = self.open.last().copied();
        let (class, field) = match parent {
            None if self.nodes.is_empty() => (root, Field::Other),
            None => return Err("a second root element"),
            Some(parent) => self
                .names
                .look_up(self.nodes[parent as usize].class, name, hash),
        };
        if matches!(class, Class::Unknown | Class::Open) && !xml::is_valid_name(name) {
            return Err("a character that no name may have");
        }
        let attributes_from = self.attributes.len() as u32;
        let inside = token.inside().end..token.end() - if empty { 2 } else { 1 };
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
        self.nodes.push(Node {
            name: token.inside().start as u32..token.inside().end as u32,
            hash,
            class,
            field,
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

pub(crate) fn to_usize(span: &Span) -> Range<usize> {
    span.start as usize..span.end as usize
}
