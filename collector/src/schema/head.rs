//! The head of a YANG text: which module it is and what it needs, told without libyang.
//!
//! A module is stored, asked for and given to the worker under the name that stands *in* it, never under the one that
//! somebody gave the file or the question. Texts come from devices: nothing here recurses or grows without bound.

use super::library::ModuleId;

/// Statements deeper than this are refused; real modules stay below thirty.
const MAX_DEPTH: usize = 200;

/// What the head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name, and the newest revision.
    pub id: ModuleId,
    /// For a submodule, its module.
    pub belongs_to: Option<String>,
    /// For a module, its namespace.
    pub namespace: Option<String>,
    /// Modules it imports, with the revision where it names one.
    pub imports: Vec<ModuleId>,
    /// Submodules it includes.
    pub includes: Vec<ModuleId>,
}

/// Why a text is no YANG module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct HeadError {
    /// Line, from 1.
    pub line: u64,
    /// What is wrong.
    pub message: String,
}

/// Reads the head of `text`.
///
/// # Errors
/// [`HeadError`] if it is not one module or submodule with proper names.
pub fn read_head(text: &str) -> Result<Head, HeadError> {
    if let Some(at) = text.find('\0') {
        return Err(HeadError { line: line_of(text, at), message: "a NUL character".to_owned() });
    }
    let mut walk = Walk { lexer: Lexer { text, at: 0 }, depth: 0, head: None, within: None };
    while walk.statement()? {}
    let line = line_of(text, text.len());
    let Some(head) = walk.head else {
        return Err(HeadError { line, message: "no `module` or `submodule` statement".to_owned() });
    };
    if walk.depth > 0 {
        return Err(HeadError { line, message: "the text ends inside a statement".to_owned() });
    }
    Ok(head)
}

fn line_of(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + memchr::memchr_iter(b'\n', before).count() as u64
}

struct Walk<'a> {
    lexer: Lexer<'a>,
    depth: usize,
    head: Option<Head>,
    /// The `import` or `include` whose substatements follow.
    within: Option<&'static str>,
}

impl<'a> Walk<'a> {
    /// Takes one statement's beginning, or the end of one; false at the end of the text.
    fn statement(&mut self) -> Result<bool, HeadError> {
        let at = self.lexer.skip();
        let keyword = match self.lexer.token(at)? {
            None => return Ok(false),
            Some(Token::Close) if self.depth > 0 => {
                self.depth -= 1;
                return Ok(true);
            }
            Some(Token::Text(keyword)) => keyword,
            Some(_) => return Err(self.lexer.error(at, "a keyword is missing here")),
        };
        let (argument, opens) = self.argument(at)?;
        self.take(at, &keyword, argument.as_deref())?;
        if opens {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.lexer.error(at, "statements are nested too deep"));
            }
        }
        Ok(true)
    }

    /// The argument after a keyword, and whether substatements follow.
    fn argument(&mut self, keyword_at: usize) -> Result<(Option<String>, bool), HeadError> {
        let mut argument: Option<String> = None;
        loop {
            let at = self.lexer.skip();
            match self.lexer.token(at)? {
                Some(Token::Open) => return Ok((argument, true)),
                Some(Token::End) => return Ok((argument, false)),
                Some(Token::Text(text)) => match &mut argument {
                    None => argument = Some(text),
                    Some(_) if text == "+" => {}
                    Some(so_far) => so_far.push_str(&text),
                },
                Some(Token::Close) | None => {
                    return Err(self.lexer.error(keyword_at, "a statement without its end"));
                }
            }
        }
    }

    fn take(&mut self, at: usize, keyword: &str, argument: Option<&str>) -> Result<(), HeadError> {
        match (self.depth, keyword, &mut self.head) {
            (0, "module" | "submodule", None) => {
                let name = self.identifier(at, argument)?;
                let id = ModuleId { name, revision: None };
                let (imports, includes) = (vec![], vec![]);
                self.head = Some(Head { id, belongs_to: None, namespace: None, imports, includes });
            }
            (0, _, _) => return Err(self.lexer.error(at, "not one module or submodule")),
            (1, "belongs-to", _) => {
                let name = self.identifier(at, argument)?;
                self.set(|head| head.belongs_to = Some(name));
            }
            (1, "namespace", _) => {
                let namespace = argument.map(str::to_owned);
                self.set(|head| head.namespace = namespace);
            }
            (1, "revision", _) => {
                let revision = self.revision(at, argument)?;
                self.set(|head| head.id.revision = head.id.revision.take().max(Some(revision)));
            }
            (1, "import" | "include", _) => {
                let id = ModuleId { name: self.identifier(at, argument)?, revision: None };
                let import = keyword == "import";
                self.within = Some(if import { "import" } else { "include" });
                self.set(|head| if import { head.imports.push(id) } else { head.includes.push(id) });
            }
            (1, _, _) => self.within = None,
            (2, "revision-date", _) => self.dated(at, argument)?,
            _ => {}
        }
        Ok(())
    }

    fn dated(&mut self, at: usize, argument: Option<&str>) -> Result<(), HeadError> {
        let within = self.within;
        let revision = self.revision(at, argument)?;
        self.set(|head| {
            let list = match within {
                Some("import") => &mut head.imports,
                Some(_) => &mut head.includes,
                None => return,
            };
            if let Some(last) = list.last_mut() {
                last.revision = Some(revision);
            }
        });
        Ok(())
    }

    fn set(&mut self, change: impl FnOnce(&mut Head)) {
        if let Some(head) = &mut self.head {
            change(head);
        }
    }

    fn identifier(&self, at: usize, argument: Option<&str>) -> Result<String, HeadError> {
        let id = ModuleId::new(argument.unwrap_or_default(), None);
        id.map(|id| id.name).map_err(|error| self.lexer.error(at, &error.to_string()))
    }

    fn revision(&self, at: usize, argument: Option<&str>) -> Result<String, HeadError> {
        let name = self.head.as_ref().map_or("", |head| &head.id.name);
        let id = ModuleId::new(name, argument).map_err(|error| self.lexer.error(at, &error.to_string()))?;
        id.revision.ok_or_else(|| self.lexer.error(at, "a revision without its date"))
    }
}

enum Token {
    Open,
    Close,
    End,
    Text(String),
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn error(&self, at: usize, message: &str) -> HeadError {
        HeadError { line: line_of(self.text, at), message: message.to_owned() }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes past white space and comments, and says where it is.
    fn skip(&mut self) -> usize {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']).len();
            let rest = rest.get(blank..).unwrap_or_default();
            let comment = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                0
            };
            self.at += blank + comment;
            if blank + comment == 0 {
                return self.at;
            }
        }
    }

    fn token(&mut self, at: usize) -> Result<Option<Token>, HeadError> {
        let rest = self.rest();
        let (token, length) = match rest.as_bytes().first() {
            None => return Ok(None),
            Some(b'{') => (Token::Open, 1),
            Some(b'}') => (Token::Close, 1),
            Some(b';') => (Token::End, 1),
            Some(quote @ (b'"' | b'\'')) => {
                let end =
                    quoted_length(rest, *quote).ok_or_else(|| self.error(at, "a quote without its end"))?;
                (Token::Text(rest.get(1..end - 1).unwrap_or_default().to_owned()), end)
            }
            // 3GPP writes `+'text'` without a blank between.
            Some(b'+') if matches!(rest.as_bytes().get(1), Some(b'"' | b'\'')) => {
                (Token::Text("+".to_owned()), 1)
            }
            Some(_) => {
                let end = rest.find([' ', '\t', '\r', '\n', ';', '{', '}']).unwrap_or(rest.len());
                (Token::Text(rest.get(..end).unwrap_or_default().to_owned()), end)
            }
        };
        self.at += length;
        Ok(Some(token))
    }
}

/// Length of the quoted text that `rest` begins with, quotes included.
fn quoted_length(rest: &str, quote: u8) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 2,
            byte if *byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CELL: &str = "module our-cell { // a comment {\n  namespace \"urn:our\" +\":cell\"; prefix oc;\n\
        import other { prefix o; revision-date 2020-01-02; }\n include our-part;\n\
        /* revision 2030-01-01; */ revision 2021-03-04 { description \"a } in \\\" text\"; }\n\
        revision 2022-05-06;\n container c { leaf revision { type string; } } }\n";

    #[test]
    fn a_head_says_who_the_module_is_and_what_it_needs() {
        let head = read_head(CELL).unwrap();
        assert_eq!(head.id.to_string(), "our-cell@2022-05-06");
        assert_eq!(head.namespace.as_deref(), Some("urn:our:cell"));
        assert_eq!(head.imports[0].to_string(), "other@2020-01-02");
        assert_eq!(head.includes[0].to_string(), "our-part");
        let sub = read_head("submodule our-part { belongs-to our-cell { prefix oc; } }").unwrap();
        assert_eq!((sub.belongs_to.as_deref(), sub.id.revision), (Some("our-cell"), None));
    }

    #[test]
    fn what_is_no_module_is_refused_with_its_line() {
        for (text, line, part) in [
            ("", 1, "no `module`"),
            ("\n<html>no such module</html>", 2, "without its end"),
            ("module a {\n leaf x;\n", 3, "ends inside"),
            ("module ../../etc { }", 1, "`../../etc` is no module name"),
            ("module a {\n revision today; }", 2, "`today` is no revision of module `a`"),
            ("module a {\n revision; }", 2, "without its date"),
            ("module { }", 1, "no module name"),
            ("module a { }\n}", 2, "a keyword is missing"),
            ("module a {\n ; }", 2, "a keyword is missing"),
            ("/* module a { }", 1, "no `module`"),
            ("module a { }\nmodule b { }", 2, "not one module"),
            ("module a {\n description \"open", 2, "a quote"),
            ("module a {\0}", 1, "NUL"),
        ] {
            let error = read_head(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
        assert!(read_head(&format!("module a {}", "{ x ".repeat(10_000))).is_err());
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text in "[ -~\\n\\PC]{0,200}", cut in 0usize..400) {
            let _ = read_head(&text);
            let cut = CELL.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(CELL.len());
            prop_assert_eq!(read_head(&CELL[..cut]).is_ok(), cut >= CELL.len() - 1);
            let _ = read_head(&[&CELL[..cut], &text].concat());
        }
    }
}
