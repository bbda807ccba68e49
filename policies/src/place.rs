//! From a character of a decoded YAML scalar back to its line and column in the file.

/// Line and column, from 1.
pub(crate) type Place = (usize, usize);

/// Where in `source` the character `at` of `scalar` stands; `start` is the place YAML gives for the scalar.
///
/// Scalars are folded, indented and quoted in many ways; what they keep is the order of everything but white
/// space. So both are walked in step, and where they part (an escape) the last common place is good enough.
pub(crate) fn locate(source: &str, start: Place, scalar: &str, at: usize) -> Place {
    let mut raw = Walk::new(source, start);
    raw.skip_block_header();
    let mut found = raw.place();
    for (index, wanted) in scalar.chars().enumerate() {
        if wanted.is_whitespace() {
            if index == at {
                return raw.place();
            }
            continue;
        }
        let Some(place) = raw.advance_to(wanted) else { return found };
        found = place;
        if index == at {
            return place;
        }
    }
    // The end of the scalar: just after its last character.
    if scalar.is_empty() { found } else { (found.0, found.1 + 1) }
}

struct Walk<'a> {
    rest: std::str::Chars<'a>,
    line: usize,
    column: usize,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str, (line, column): Place) -> Walk<'a> {
        let skip: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let mut rest = source.get(skip..).unwrap_or_default().chars();
        for _ in 1..column {
            rest.next();
        }
        Walk { rest, line, column }
    }

    fn place(&self) -> Place {
        (self.line, self.column)
    }

    /// `|` or `>` with its indicators is not content.
    fn skip_block_header(&mut self) {
        if !self.rest.as_str().starts_with(['|', '>']) {
            return;
        }
        while let Some(c) = self.next() {
            if c == '\n' {
                break;
            }
        }
        let text = self.rest.as_str();
        let indent = text.len() - text.trim_start_matches([' ', '\n', '\r']).len();
        for _ in 0..indent {
            self.next();
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    /// Goes past the next `wanted`, over white space, quotes and escapes only; its place.
    fn advance_to(&mut self, wanted: char) -> Option<Place> {
        loop {
            let place = self.place();
            match self.next()? {
                c if c == wanted => return Some(place),
                c if c.is_whitespace() || matches!(c, '"' | '\'' | '\\') => {}
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_quoted_and_block_scalars_lead_back_to_the_file() {
        let source = "a: 1\nexpression: object.x == 1\n";
        assert_eq!(locate(source, (2, 13), "object.x == 1", 7), (2, 20));
        let source = "expression: \"object.x == \\\"y\\\"\"\n";
        assert_eq!(locate(source, (1, 13), "object.x == \"y\"", 7), (1, 21));
        let source = "expression: |\n  object.x\n  && object.y\n";
        assert_eq!(locate(source, (1, 13), "object.x\n&& object.y\n", 12), (3, 6));
        let source = "expression: >-\n  频.x\n  && object.y\n";
        assert_eq!(locate(source, (1, 13), "频.x && object.y", 7), (3, 6));
        assert_eq!(locate(source, (1, 13), "频.x && object.y", 0), (2, 3));
    }

    #[test]
    fn places_beyond_the_text_are_harmless() {
        assert_eq!(locate("", (9, 9), "abc", 2), (9, 9));
        assert_eq!(locate("x: y", (1, 4), "y", 5), (1, 5));
    }
}
