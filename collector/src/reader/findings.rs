//! What a reader noticed, bounded: a hostile document must not fill a report.

use model::Finding;

/// Findings kept of one document.
const MAX_FINDINGS: usize = 1000;

/// How a place begins that is one of the document and not an object.
pub(super) const BYTE: &str = "byte ";

/// Different XML attributes reported by name.
const MAX_XML_ATTRIBUTES: usize = 50;

#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    omitted: usize,
    /// Everything there was to be said, named or not.
    said: usize,
    /// Name, first place, occurrences.
    xml_attributes: Vec<(String, usize, usize)>,
    metadata: Option<(usize, usize)>,
}

impl Findings {
    pub(super) fn add(&mut self, code: &str, place: impl ToString, message: impl Into<String>) {
        self.said += 1;
        if self.list.len() >= MAX_FINDINGS {
            self.omitted += 1;
            return;
        }
        self.list.push(Finding { code: code.to_owned(), place: place.to_string(), message: message.into() });
    }

    pub(super) fn at(&mut self, code: &str, offset: usize, message: impl Into<String>) {
        self.add(code, format_args!("{BYTE}{offset}"), message);
    }

    /// An XML attribute on an element of the configuration, which is no configuration itself.
    pub(super) fn xml_attribute(&mut self, name: &str, offset: usize) {
        self.said += 1;
        if let Some(known) = self.xml_attributes.iter_mut().find(|(known, ..)| known == name) {
            known.2 += 1;
        } else if self.xml_attributes.len() < MAX_XML_ATTRIBUTES {
            self.xml_attributes.push((name.to_owned(), offset, 1));
        } else {
            self.omitted += 1;
        }
    }

    /// A member such as `@mtu` (RFC 7952 §5.2).
    pub(super) fn metadata(&mut self, offset: usize) {
        self.said += 1;
        self.metadata.get_or_insert((offset, 0)).1 += 1;
    }

    /// How often there was something to be said.
    pub(super) fn said(&self) -> usize {
        self.said
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        for (name, offset, count) in std::mem::take(&mut self.xml_attributes) {
            let message =
                format!("XML attribute `{name}` on {count} elements is no configuration and was set aside");
            self.at("xml-attribute", offset, message);
        }
        if let Some((offset, count)) = self.metadata {
            self.at("metadata", offset, format!("{count} metadata members were set aside"));
        }
        if self.omitted > 0 {
            let message = format!("{} more findings are not listed", self.omitted);
            self.list.push(Finding { code: "more".to_owned(), place: "document".to_owned(), message });
        }
        self.list
    }
}
