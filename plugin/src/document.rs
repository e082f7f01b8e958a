//! Document: a small answer that lies in memory whole, such as an error, and the title of an answer that is no XML at all.
//!
//! Read with quick-xml, leniently: no XML declaration is needed, bytes that are not UTF-8 are repaired first, a loose `&` and a reference to
//! nothing stay as they were written, and what follows the root element is of no interest.
//!
//! Promise: any bytes come to an end, as a document or as none.
//!
//! Never here: a page with hosts, which may be of any size; declared entities, which nobody resolves.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::text;

/// One element, in the order in which they begin.
#[derive(Debug)]
pub(crate) struct Element {
    name: String,
    depth: usize,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn new(tag: &BytesStart<'_>, depth: usize) -> Self {
        let attributes = tag
            .attributes()
            // The check for repeated names takes the square of their number.
            .with_checks(false)
            .filter_map(Result::ok)
            .map(|attribute| {
                let value = text::decode_text(&attribute.value, false).0.into_owned();
                (attribute.key.as_ref().to_owned(), value)
            })
            .collect();
        Self {
            name: tag.name().as_ref().to_owned(),
            depth,
            attributes,
            text: String::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its own text without outer blanks; `None` when there is none.
    pub(crate) fn text(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(own, _)| own == name)?;
        Some(value.trim())
    }
}

/// A document whose root element was closed.
#[derive(Debug)]
pub(crate) struct Document {
    elements: Vec<Element>,
}

impl Document {
    /// `None` when the bytes are no XML up to the end of the root element.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (xml, _) = text::utf8(bytes);
        let mut reader = Reader::from_str(&xml[xml.find('<')?..]);
        reader.config_mut().allow_dangling_amp = true;
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    elements.push(Element::new(&tag, open.len()));
                    open.push(elements.len() - 1);
                }
                Event::Empty(tag) => elements.push(Element::new(&tag, open.len())),
                Event::End(_) => {
                    open.pop();
                }
                Event::Eof => return None,
                event => {
                    if let (Some(said), Some(own)) = (said(&event), open.last()) {
                        elements[*own].text.push_str(&said);
                    }
                    continue;
                }
            }
            if open.is_empty() {
                return Some(Self { elements });
            }
        }
    }

    /// The root's name.
    pub(crate) fn root(&self) -> &str {
        self.elements
            .first()
            .map_or("", |element| element.name.as_str())
    }

    /// All elements with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements
            .iter()
            .filter(move |element| element.name == name)
    }

    /// The first text of an element with this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).find_map(Element::text)
    }

    /// For each element with this name, its children.
    pub(crate) fn children_of(
        &self,
        name: &str,
    ) -> impl Iterator<Item = impl Iterator<Item = &Element>> {
        let of = self.elements.iter().enumerate();
        of.filter(move |(_, element)| element.name == name)
            .map(|(at, parent)| {
                self.elements[at + 1..]
                    .iter()
                    .take_while(|element| element.depth > parent.depth)
                    .filter(|element| element.depth == parent.depth + 1)
            })
    }
}

/// What an event adds to a text.
fn said<'a>(event: &'a Event<'_>) -> Option<Cow<'a, str>> {
    match event {
        Event::Text(piece) => Some(text::decode_text(piece, false).0),
        Event::CData(piece) => Some(text::decode_text(piece, true).0),
        Event::GeneralRef(name) => {
            let reference = format!("&{};", &**name);
            Some(Cow::Owned(
                text::decode_text(&reference, false).0.into_owned(),
            ))
        }
        _ => None,
    }
}

/// The title of a page of HTML, which need not be well-formed; `None` when there is none in front of what cannot be read.
pub(crate) fn title(bytes: &[u8]) -> Option<String> {
    let (html, _) = text::utf8(bytes);
    let mut reader = Reader::from_str(&html[html.find('<')?..]);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    let mut title: Option<String> = None;
    loop {
        let event = reader.read_event().ok()?;
        match (&event, &mut title) {
            (Event::Start(tag), None) if tag.name().as_ref().eq_ignore_ascii_case("title") => {
                title = Some(String::new());
            }
            (Event::End(_), Some(title)) => {
                let title = title.trim();
                return (!title.is_empty()).then(|| title.to_owned());
            }
            (Event::Eof, _) => return None,
            (_, Some(title)) => title.extend(said(&event)),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_however_carelessly_it_was_written() {
        let careless = b"\xEF\xBB\xBF \n<!-- c --><!DOCTYPE R SYSTEM \"https://qualysapi.example.test/r.dtd\">\n<?pi x?>\
            <R><A n = ' 7 &amp; 8' n=\"9\" bare> a &amp; b & c &nothing; &#7;<![CDATA[<i>]]> \xE9 </A><B/><B><A>x</A><C>y</C></B></R>\
            <!-- CONFIDENTIAL --><junk";
        let document = Document::read(careless).expect("a document");
        assert_eq!(document.root(), "R");
        assert_eq!(
            document.text("A"),
            Some("a & b & c &nothing; \u{FFFD}<i> \u{E9}")
        );
        let first = document.all("A").next().expect("an element");
        assert_eq!(first.attribute("n"), Some("7 & 8"));
        assert_eq!(first.attribute("m"), None);
        let children: Vec<Vec<&str>> = document
            .children_of("B")
            .map(|children| children.filter_map(Element::text).collect())
            .collect();
        assert_eq!(children, [vec![], vec!["x", "y"]]);
        assert_eq!(Document::read(b"<R/>").expect("a document").text("R"), None);
    }

    #[test]
    fn what_does_not_end_well_is_no_document() {
        for bad in [
            "",
            "text",
            "<",
            "<R>",
            "<R><A></R>",
            "<R></A></R>",
            "<R><![CDATA[x</R>",
            "<!-- <R/>",
            "</R>",
            "{\"a\": \"<b\"}",
            "<html><head><meta charset=utf-8><title>Sign in</title></head></html>",
        ] {
            assert!(Document::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_title_of_a_page_of_html_is_found_and_nothing_else_of_it() {
        for (html, expected) in [
            (
                "<!DOCTYPE html>\n<HTML><HEAD><META charset=utf-8><TITLE>\n Sign in &amp; go&nbsp;</TITLE><body>secret",
                Some("Sign in & go&nbsp;"),
            ),
            (
                "<!doctype html><p><br></div><title>A &copy B</title>",
                Some("A &copy B"),
            ),
            ("<title></title>", None),
            ("<title>not closed", None),
            ("<html><body><h1>secret</h1></body></html>", None),
            ("plain text", None),
            ("", None),
        ] {
            assert_eq!(title(html.as_bytes()).as_deref(), expected, "{html}");
        }
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        const PIECES: [&[u8]; 20] = [
            b"<",
            b">",
            b"&",
            b";",
            b"\xFF",
            b"\xC3",
            b"<!",
            b"<!--",
            b"-->",
            b"<![CDATA[",
            b"]]>",
            b"<!DOCTYPE ",
            b"[",
            b"<?",
            b"<R a=\"",
            b"\"",
            b"</R>",
            b"<title>",
            b"</title>",
            b"text",
        ];
        let mut seed = 11_u64;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..10 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(PIECES[(seed >> 33) as usize % PIECES.len()]);
            }
            // That these return is what is tested.
            let _ = (Document::read(&bytes), title(&bytes));
        }
    }
}
