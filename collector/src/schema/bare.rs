//! A configuration without what NETCONF or a file puts around it, as libyang wants it.
//!
//! `<rpc-reply>`, `<data>` and `<config>` go; the declarations that stood on them move to the elements inside. Every line
//! keeps its number, so that a fault's line is that of the document as it came.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::frame::MAX_BODY;

/// Names of what stands around a configuration.
const AROUND: [&str; 3] = ["rpc-reply", "data", "config"];

/// The content, or `None` if the XML is not well-formed, which the reader says better.
pub(super) fn bare(xml: &str) -> Option<Cow<'_, str>> {
    let mut walk = Walk { reader: Reader::from_str(xml), xml, copied: 0, out: String::new() };
    let mut declared: Vec<(String, String)> = vec![];
    let mut around = 0usize;
    loop {
        let start = walk.position()?;
        match walk.reader.read_event().ok()? {
            Event::Start(tag) if around < 2 && AROUND.contains(&tag.local_name().as_ref()) => {
                declared.retain(|(name, _)| !has(&tag, name));
                declared.extend(declarations(&tag)?);
                around += 1;
                walk.leave_out_to_here(start)?;
            }
            Event::Start(tag) => {
                walk.declare(start, &tag, &declared)?;
                let name = tag.to_owned();
                walk.reader.read_to_end(name.name()).ok()?;
            }
            Event::Empty(tag) if around > 0 && around < 2 && AROUND.contains(&tag.local_name().as_ref()) => {
                walk.leave_out_to_here(start)?;
            }
            Event::Empty(tag) => walk.declare(start, &tag, &declared)?,
            Event::End(_) => walk.leave_out_to_here(start)?,
            Event::Eof => break,
            _ => {}
        }
    }
    if around == 0 {
        return Some(Cow::Borrowed(xml));
    }
    walk.copy_to(xml.len())?;
    Some(Cow::Owned(walk.out))
}

struct Walk<'a> {
    reader: Reader<&'a [u8]>,
    xml: &'a str,
    copied: usize,
    out: String,
}

impl Walk<'_> {
    fn position(&self) -> Option<usize> {
        usize::try_from(self.reader.buffer_position()).ok()
    }

    /// `None` where so many elements repeat so many declarations that the worker would not take the text.
    fn copy_to(&mut self, end: usize) -> Option<()> {
        self.out.push_str(self.xml.get(self.copied..end)?);
        self.copied = end;
        (self.out.len() <= MAX_BODY).then_some(())
    }

    /// What stood there becomes its line ends.
    fn leave_out_to_here(&mut self, start: usize) -> Option<()> {
        self.copy_to(start)?;
        let end = self.position()?;
        let lines = memchr::memchr_iter(b'\n', self.xml.as_bytes().get(start..end)?).count();
        self.out.extend(std::iter::repeat_n('\n', lines));
        self.copied = end;
        Some(())
    }

    /// Puts declarations from outside onto an element that lacks them.
    fn declare(&mut self, start: usize, tag: &BytesStart<'_>, declared: &[(String, String)]) -> Option<()> {
        self.copy_to(start + 1 + tag.name().as_ref().len())?;
        for (name, value) in declared.iter().filter(|(name, _)| !has(tag, name)) {
            // As written, quotes included.
            self.out.push_str(&format!(" {name}={value}"));
        }
        Some(())
    }
}

fn has(tag: &BytesStart<'_>, name: &str) -> bool {
    tag.attributes().flatten().any(|attribute| attribute.key.as_ref() == name)
}

fn declarations(tag: &BytesStart<'_>) -> Option<Vec<(String, String)>> {
    let mut found = vec![];
    for attribute in tag.attributes() {
        let attribute = attribute.ok()?;
        let name = attribute.key.as_ref();
        if name == "xmlns" || name.starts_with("xmlns:") {
            let value = &attribute.value;
            let quote = if value.contains('"') { '\'' } else { '"' };
            found.push((name.to_owned(), format!("{quote}{value}{quote}")));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn declarations_move_in_and_lines_stay() {
        let reply = "<rpc-reply xmlns=\"urn:base\"\n message-id=\"1\"><data xmlns:x='urn:x'>\n<a xmlns=\"urn:a\"><b>x:i</b>\n</a><x:c/>\n</data></rpc-reply>\n";
        let expected = "\n\n<a xmlns:x=\"urn:x\" xmlns=\"urn:a\"><b>x:i</b>\n</a><x:c xmlns=\"urn:base\" xmlns:x=\"urn:x\"/>\n\n";
        assert_eq!(bare(reply).unwrap(), expected);
    }

    #[test]
    fn a_bare_document_stays_and_its_own_data_too() {
        for xml in ["<a xmlns='urn:a'><data>1</data></a>", "<?xml version='1.0'?>\n<a/>", ""] {
            assert_eq!(bare(xml).unwrap(), xml);
        }
        assert_eq!(
            bare("<data><data/><m><config>1</config></m></data>").unwrap(),
            "<m><config>1</config></m>"
        );
        assert_eq!(bare("<data><a></b></data>"), None);
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text in "[<>/a='\" !?\\-é]{0,60}") {
            let _ = bare(&text);
            let _ = bare(&format!("<data>{text}</data>"));
        }
    }
}
