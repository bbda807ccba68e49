//! A strict JSON tokenizer (RFC 8259) that keeps numbers as written and never recurses.

use std::borrow::Cow;

use super::error::{Fault, Problem, shown};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    /// The name of a member; its value follows.
    Member(Cow<'a, str>),
    String(Cow<'a, str>),
    /// A number or boolean, as written.
    Scalar(&'a str),
    Null,
    Done,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// After `[`: a value or the end.
    FirstItem,
    /// After `{`: a member or the end.
    FirstMember,
    Member,
    /// After a value: a comma or the end of what is open.
    Next,
}

pub(super) struct Tokenizer<'a> {
    text: &'a str,
    position: usize,
    max_depth: usize,
    /// `{` or `[` of everything open.
    open: Vec<u8>,
    expect: Expect,
}

impl<'a> Tokenizer<'a> {
    pub(super) fn new(bytes: &'a [u8], max_depth: usize) -> Result<Tokenizer<'a>, Fault> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Fault::new(Problem::NotUtf8 { declared: None }, e.valid_up_to()))?;
        let position = text.len() - text.trim_start_matches('\u{feff}').len();
        Ok(Tokenizer { text, position, max_depth, open: Vec::new(), expect: Expect::Value })
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            self.skip_blank();
            let offset = self.position;
            let Some(byte) = self.byte() else { return self.done() };
            match (self.expect, byte, self.open.last()) {
                (Expect::Next, _, None) => return Err(Fault::syntax("more after the document", offset)),
                (Expect::Next, b',', Some(b'{')) => self.step(Expect::Member),
                (Expect::Next, b',', Some(_)) => self.step(Expect::Value),
                (Expect::Next | Expect::FirstMember, b'}', Some(b'{')) => {
                    return Ok(self.end(Token::EndObject));
                }
                (Expect::Next | Expect::FirstItem, b']', Some(b'[')) => return Ok(self.end(Token::EndArray)),
                (Expect::FirstMember | Expect::Member, b'"', _) => return self.member(),
                (Expect::Value | Expect::FirstItem, ..) => return self.value(byte),
                _ => return Err(self.unexpected(offset)),
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.position += 1;
        }
    }

    fn step(&mut self, expect: Expect) {
        self.position += 1;
        self.expect = expect;
    }

    fn end(&mut self, token: Token<'a>) -> Token<'a> {
        self.open.pop();
        self.step(Expect::Next);
        token
    }

    fn done(&self) -> Result<Token<'a>, Fault> {
        match (self.expect, self.open.last()) {
            (Expect::Next, None) => Ok(Token::Done),
            (_, Some(b'[')) => Err(self.truncated("an array")),
            (_, Some(_)) => Err(self.truncated("an object")),
            (_, None) => Err(self.truncated("nothing")),
        }
    }

    fn truncated(&self, inside: &str) -> Fault {
        Fault::new(Problem::Truncated(inside.to_owned()), self.text.len())
    }

    fn unexpected(&self, offset: usize) -> Fault {
        let found = self.text.get(offset..).and_then(|rest| rest.chars().next());
        let found = found.map(|c| c.escape_debug().to_string()).unwrap_or_default();
        let wanted = match self.expect {
            Expect::Value => "a value",
            Expect::FirstItem => "a value or `]`",
            Expect::FirstMember => "a member or `}`",
            Expect::Member => "a member",
            Expect::Next => "`,` or the end of what is open",
        };
        Fault::syntax(format!("`{found}` where {wanted} should be"), offset)
    }

    fn begin(&mut self, bracket: u8, token: Token<'a>, expect: Expect) -> Result<Token<'a>, Fault> {
        if self.open.len() >= self.max_depth {
            let problem = Problem::OverLimit { what: "levels of nesting", limit: self.max_depth };
            return Err(Fault::new(problem, self.position));
        }
        self.open.push(bracket);
        self.step(expect);
        Ok(token)
    }

    fn member(&mut self) -> Result<Token<'a>, Fault> {
        let name = self.string()?;
        self.skip_blank();
        match self.byte() {
            Some(b':') => self.step(Expect::Value),
            None => return Err(self.truncated("an object")),
            Some(_) => return Err(Fault::syntax("a member without `:`", self.position)),
        }
        Ok(Token::Member(name))
    }

    fn value(&mut self, byte: u8) -> Result<Token<'a>, Fault> {
        let token = match byte {
            b'{' => return self.begin(b'{', Token::BeginObject, Expect::FirstMember),
            b'[' => return self.begin(b'[', Token::BeginArray, Expect::FirstItem),
            b'"' => Token::String(self.string()?),
            b'-' | b'0'..=b'9' => Token::Scalar(self.number()?),
            b't' => self.word("true", Token::Scalar("true"))?,
            b'f' => self.word("false", Token::Scalar("false"))?,
            b'n' => self.word("null", Token::Null)?,
            _ => return Err(self.unexpected(self.position)),
        };
        self.expect = Expect::Next;
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Fault> {
        if !self.rest().starts_with(word) {
            return Err(self.unexpected(self.position));
        }
        self.position += word.len();
        Ok(token)
    }

    /// RFC 8259 §6.
    fn number(&mut self) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let mut end = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(end);
        let mut good = whole == 1 || (whole > 1 && bytes.get(end) != Some(&b'0'));
        end += whole;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            good &= fraction > 0;
            end += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            good &= exponent > 0;
            end += 1 + sign + exponent;
        }
        if !good {
            return Err(Fault::syntax("a malformed number", self.position));
        }
        self.position += end;
        Ok(rest.get(..end).unwrap_or_default())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.position;
        let rest = self.text.get(start + 1..).unwrap_or_default();
        let mut out: Option<String> = None;
        let mut from = 0;
        loop {
            let tail = rest.get(from..).unwrap_or_default();
            let special = tail.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
            let Some(length) = special else { return Err(self.truncated("a string")) };
            let (piece, after) = tail.split_at(length);
            let at = start + 1 + from + length;
            if after.starts_with('"') {
                self.position = at + 1;
                return Ok(match out {
                    None => Cow::Borrowed(piece),
                    Some(text) => Cow::Owned(text + piece),
                });
            }
            if !after.starts_with('\\') {
                return Err(Fault::syntax("a control character in a string", at));
            }
            let text = out.get_or_insert_default();
            text.push_str(piece);
            let (c, taken) = escape(after).ok_or_else(|| self.bad_escape(after, at))?;
            text.push(c);
            from += length + taken;
        }
    }

    fn bad_escape(&self, after: &str, at: usize) -> Fault {
        if after.len() < 12 && !after.contains('"') {
            return self.truncated("a string");
        }
        let what: String = after.chars().take(6).collect();
        Fault::syntax(format!("`{}` is no escape", shown(&what)), at)
    }
}

/// The character of the escape `text` begins with, and its length (RFC 8259 §7).
fn escape(text: &str) -> Option<(char, usize)> {
    let c = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((c, 2))
}

fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| {
        let digits = text.get(from..from + 4)?;
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let first = unit(2)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = if text.get(6..8) == Some("\\u") { unit(8)? } else { return None };
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Vec<Token<'_>>, Fault> {
        let mut tokens = Tokenizer::new(text.as_bytes(), 64)?;
        let mut out = vec![];
        loop {
            match tokens.token()? {
                Token::Done => return Ok(out),
                token => out.push(token),
            }
        }
    }

    #[test]
    fn values_keep_their_spelling() {
        let tokens = run(r#" [1.50, -0, 1e+5, "a\u00e9\ud83d\ude00\n", true, null, {}] "#).unwrap();
        assert_eq!(tokens[1..4], [Token::Scalar("1.50"), Token::Scalar("-0"), Token::Scalar("1e+5")]);
        assert_eq!(tokens[4], Token::String("a\u{e9}\u{1f600}\n".into()));
        assert_eq!(tokens[5..8], [Token::Scalar("true"), Token::Null, Token::BeginObject]);
    }

    #[test]
    fn what_is_not_json_is_refused_at_its_place() {
        for (text, offset) in [
            ("", 0),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("[01]", 1),
            ("[1.]", 1),
            ("[-]", 1),
            ("[1 2]", 3),
            ("[nul]", 1),
            ("{\"a\" 1}", 5),
            ("[\"\\x\"]", 2),
            ("[\"\\ud800\"]", 2),
            ("[\"\\ud800\\u0041\"]", 2),
            ("[\"\n\"]", 2),
            ("[1}", 2),
            ("[] []", 3),
            ("[\"a", 3),
        ] {
            assert_eq!(run(text).unwrap_err().offset, offset, "{text}");
        }
        assert!(run(&"[".repeat(65)).is_err());
    }
}
