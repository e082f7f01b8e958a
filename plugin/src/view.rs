//! View: a tree together with the bytes it was made of, and the questions that the mapping asks it.

use std::borrow::Cow;
use std::ops::Range;

use crate::bytes::{is_all_blank, same};
use crate::elements::Field;
use crate::long_text::LongText;
use crate::page::Piece;
use crate::text;
use crate::tree::{NONE, Node, Text, Tree, to_usize};

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
        pieces: &[Piece],
    ) -> Self {
        let whole = match pieces {
            [piece] => (
                piece.bytes.start,
                std::str::from_utf8(&buf[piece.bytes.clone()]).ok(),
            ),
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
    pub(crate) fn str(self, range: Range<usize>) -> (Cow<'a, str>, bool) {
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

    /// Which of a detection's mapped elements it is.
    pub(crate) fn field(self, element: Element) -> Field {
        self.node(element).field
    }

    pub(crate) fn name_text(self, element: Element) -> Cow<'a, str> {
        self.str(to_usize(&self.node(element).name)).0
    }

    pub(crate) fn node(self, element: Element) -> &'a Node {
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
            .find(|child| same(self.name(*child), name))
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
            .find(|(own, _)| same(&self.buf[to_usize(own)], name))?;
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
        (!is_all_blank(text.as_bytes())).then_some(text)
    }

    /// A piece without the blanks around it, which CDATA keeps.
    pub(crate) fn trimmed(self, from: u32, to: u32, cdata: bool) -> Range<usize> {
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

    pub(crate) fn joined(self, from: u32, to: u32, firm: u32) -> &'a str {
        let all = &self.tree.decoded[from as usize..to as usize];
        let firm = (firm - from) as usize;
        let end = all
            .trim_end_matches([' ', '\t', '\n', '\r'])
            .len()
            .max(firm);
        &all[..end]
    }
}
