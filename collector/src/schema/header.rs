//! What a YANG text says of itself: its kind, name and newest revision.
//!
//! Only the statements at the top are looked at; what they contain is passed over by counting braces outside of
//! strings and comments (RFC 7950 §6.1). Whether the whole is YANG is for a compiler to say.

use super::library::{InvalidId, ModuleId, shown};

/// Module or submodule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKind {
    /// It stands alone.
    Module,
    /// It is part of a module.
    Submodule,
}

/// Why a text has no header of a module. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The text is something else.
    #[error("line {line}: expected `module` or `submodule`, found `{found}`; hint: this is no YANG text")]
    NotYang {
        /// Where.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// A comment, a string or a block does not end.
    #[error("line {line}: {what} without end; hint: the text is cut off")]
    Unfinished {
        /// Where it begins.
        line: usize,
        /// What does not end.
        what: &'static str,
    },
    /// Something stands where it may not: behind the module, or instead of a semicolon.
    #[error(
        "line {line}: `{found}` does not belong here; hint: one text holds one module, and a statement ends with `;` or a block"
    )]
    Misplaced {
        /// Where.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// The name or a date is none.
    #[error("line {line}")]
    Id {
        /// Where.
        line: usize,
        /// What is wrong.
        #[source]
        error: InvalidId,
    },
}

/// The head of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleHeader {
    /// What it is.
    pub kind: ModuleKind,
    /// Its name, and the newest of its revisions.
    pub id: ModuleId,
}

impl ModuleHeader {
    /// Reads it from a whole text.
    ///
    /// # Errors
    /// [`HeaderError`]; the text is read to its end, so a cut one is told from a whole one.
    pub fn read(text: &str) -> Result<ModuleHeader, HeaderError> {
        let mut lexer = Lexer { rest: text.trim_start_matches('\u{feff}'), line: 1 };
        let (kind, mut id) = lexer.opening()?;
        let begin = lexer.line;
        let mut newest: Option<String> = None;
        while let Some(statement) = lexer.statement(begin)? {
            if statement.keyword == "revision" {
                let line = statement.line;
                let dated = ModuleId::new(&id.name, Some(&statement.argument));
                let revision = dated.map_err(|error| HeaderError::Id { line, error })?.revision;
                newest = newest.max(revision);
            }
        }
        lexer.nothing_more()?;
        id.revision = newest;
        Ok(ModuleHeader { kind, id })
    }
}

struct Statement {
    line: usize,
    keyword: String,
    argument: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    Semicolon,
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Word(text) | Token::Quoted(text) => shown(text),
            Token::Open => "{".to_owned(),
            Token::Close => "}".to_owned(),
            Token::Semicolon => ";".to_owned(),
            Token::End => "end of text".to_owned(),
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl Lexer<'_> {
    fn opening(&mut self) -> Result<(ModuleKind, ModuleId), HeaderError> {
        let first = self.token()?;
        let kind = match &first {
            Token::Word(word) if word == "module" => ModuleKind::Module,
            Token::Word(word) if word == "submodule" => ModuleKind::Submodule,
            other => return Err(HeaderError::NotYang { line: self.line, found: other.shown() }),
        };
        let name = match self.token()? {
            Token::Word(name) | Token::Quoted(name) => name,
            other => return Err(HeaderError::NotYang { line: self.line, found: other.shown() }),
        };
        let line = self.line;
        let id = ModuleId::new(&name, None).map_err(|error| HeaderError::Id { line, error })?;
        match self.token()? {
            Token::Open => Ok((kind, id)),
            other => Err(HeaderError::NotYang { line: self.line, found: other.shown() }),
        }
    }

    /// The next statement of the module's body, its own block passed over; none at the closing brace.
    fn statement(&mut self, begin: usize) -> Result<Option<Statement>, HeaderError> {
        let keyword = match self.token()? {
            Token::Word(text) => text,
            Token::Close => return Ok(None),
            Token::End => return Err(HeaderError::Unfinished { line: begin, what: "module" }),
            other => return Err(HeaderError::Misplaced { line: self.line, found: other.shown() }),
        };
        let line = self.line;
        let mut argument = String::new();
        loop {
            match self.token()? {
                // Pieces of one string (RFC 7950 §6.1.3).
                Token::Word(plus) if plus == "+" => {}
                Token::Word(text) | Token::Quoted(text) => argument.push_str(&text),
                Token::Semicolon => break,
                Token::Open => {
                    self.skip_block()?;
                    break;
                }
                Token::End => return Err(HeaderError::Unfinished { line: begin, what: "module" }),
                Token::Close => {
                    return Err(HeaderError::Misplaced { line: self.line, found: "}".to_owned() });
                }
            }
        }
        Ok(Some(Statement { line, keyword, argument }))
    }

    /// Passes over a block whose brace was just read. Counting needs no memory, however deep they nest.
    fn skip_block(&mut self) -> Result<(), HeaderError> {
        let begin = self.line;
        let mut depth = 1_usize;
        while depth > 0 {
            match self.token()? {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                Token::End => return Err(HeaderError::Unfinished { line: begin, what: "block" }),
                Token::Word(_) | Token::Quoted(_) | Token::Semicolon => {}
            }
        }
        Ok(())
    }

    fn nothing_more(&mut self) -> Result<(), HeaderError> {
        match self.token()? {
            Token::End => Ok(()),
            other => Err(HeaderError::Misplaced { line: self.line, found: other.shown() }),
        }
    }

    fn token(&mut self) -> Result<Token, HeaderError> {
        self.skip_separators()?;
        let mut characters = self.rest.chars();
        let Some(first) = characters.next() else { return Ok(Token::End) };
        let single = match first {
            '{' => Token::Open,
            '}' => Token::Close,
            ';' => Token::Semicolon,
            '"' | '\'' => return self.quoted(first),
            _ => return Ok(self.word()),
        };
        self.rest = characters.as_str();
        Ok(single)
    }

    fn word(&mut self) -> Token {
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '{' | '}' | ';' | '"' | '\'');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Token::Word(word.to_owned())
    }

    /// A quoted string; escapes stay as they are, since none occurs in a name or a date.
    fn quoted(&mut self, quote: char) -> Result<Token, HeaderError> {
        let line = self.line;
        let inside = self.rest.get(1..).unwrap_or_default();
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            if c == quote && !escaped {
                let text = inside.get(..at).unwrap_or_default();
                self.line += lines(text);
                self.rest = inside.get(at + 1..).unwrap_or_default();
                return Ok(Token::Quoted(text.to_owned()));
            }
            escaped = quote == '"' && c == '\\' && !escaped;
        }
        Err(HeaderError::Unfinished { line, what: "string" })
    }

    /// White space and comments (RFC 7950 §6.1.1).
    fn skip_separators(&mut self) -> Result<(), HeaderError> {
        loop {
            let after = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
            let space = self.rest.len() - after.len();
            self.line += lines(self.rest.get(..space).unwrap_or_default());
            self.rest = after;
            if let Some(comment) = after.strip_prefix("//") {
                self.rest = comment.find('\n').and_then(|end| comment.get(end..)).unwrap_or_default();
            } else if let Some(comment) = after.strip_prefix("/*") {
                let unfinished = HeaderError::Unfinished { line: self.line, what: "comment" };
                let (inside, rest) = comment.split_once("*/").ok_or(unfinished)?;
                self.line += lines(inside);
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> Result<String, HeaderError> {
        ModuleHeader::read(text).map(|header| header.id.to_string())
    }

    #[test]
    fn name_and_newest_revision_are_found_among_decoys() {
        let text = "\u{feff}// module other { }\n/* revision 2031-01-01; */\nmodule \"a-b\" {\n  description 'revision 2030-01-01; }';\n\
            \x20 contact \"say \\\"revision 2029-01-01\\\" {\";\n  revision 2020-01-02 { description \"}\"; }\n  revision \"2021\" + \"-03-04\";\n\
            \x20 container c { leaf revision { type string; } }\n}\n// end\n";
        assert_eq!(id(text).unwrap(), "a-b@2021-03-04");
        let header = ModuleHeader::read("submodule s { belongs-to a { prefix a; } }").unwrap();
        assert_eq!((header.kind, header.id.revision), (ModuleKind::Submodule, None));
    }

    #[test]
    fn what_is_no_module_is_named_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("\n\n<html>", 3),
            ("module a", 1),
            ("module { }", 1),
            ("module ../a { }", 1),
            ("module a {\n revision\n 2020-1-1;\n}", 2),
            ("module a {\n container b {\n", 2),
            ("\nmodule a {\n", 2),
            ("module a { }\n}", 2),
            ("module a {\n revision 2020-01-01 }", 2),
            ("module a {\n ; }", 2),
            ("module a { }\nmodule b { }", 2),
            ("module a { description \"\n", 1),
            ("/* module a { }", 1),
        ] {
            let error = id(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("line {line}")), "{text:?}: {error}");
        }
    }

    #[test]
    fn braces_nested_without_end_cost_no_stack() {
        let deep = format!("module a {{ b {} ", "{".repeat(1 << 20));
        assert!(matches!(id(&deep), Err(HeaderError::Unfinished { what: "block", .. })));
        let closed = format!("module a {{ b {}{} }}", "{".repeat(1 << 20), "}".repeat(1 << 20));
        assert_eq!(id(&closed).unwrap(), "a");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            let _ = ModuleHeader::read(&text);
        }

        #[test]
        fn arbitrary_pieces_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
            "module ", "submodule", "a", " ", "\n", "{", "}", ";", "\"", "'", "\\", "/*", "*/", "//", "+", "revision ", "2020-01-01", "é", "\u{0}",
        ]), 0..40)) {
            let text = pieces.concat();
            if let Ok(header) = ModuleHeader::read(&text) {
                prop_assert!(ModuleId::new(&header.id.name, header.id.revision.as_deref()).is_ok());
            }
        }

        #[test]
        fn a_cut_module_is_never_whole(cut in 0usize..100) {
            let whole = "module a {\n  revision 2020-01-01 { description \"x } y\"; }\n  leaf b { type string; }\n}";
            let cut = cut % whole.len();
            prop_assert!(ModuleHeader::read(&whole[..cut]).is_err());
        }
    }
}
