//! Signed notes (C2SP signed-note v1.0.0): text and the lines of those who sign it.
//!
//! Two of the assigned signature types are known here: Ed25519 over the text (`0x01`), used by logs, and
//! timestamped cosignatures (`0x04`, C2SP tlog-cosignature), used by those who watch a log.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::Hash;
use crate::key::{PublicKey, Signature, SigningKey};

/// Longest note that is parsed, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Most signatures that a note may carry.
pub const MAX_NOTE_SIGNATURES: usize = 64;

/// A note as read: nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// The signed text, final newline included.
    pub text: String,
    pub signatures: Vec<NoteSignature>,
}

/// One signature line, undecided: its bytes are whatever the named key's algorithm says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub name: String,
    pub id: u32,
    pub bytes: Vec<u8>,
}

/// The algorithm byte of a note key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKeyKind {
    /// `0x01`: Ed25519 over the text.
    Ed25519,
    /// `0x04`: Ed25519 over `cosignature/v1`, a time line and the text.
    Cosignature,
}

/// A key whose note signatures can be checked. Its text form is C2SP's *vkey*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    kind: NoteKeyKind,
    key: PublicKey,
}

/// Bytes that are not a signed note, or text that is not a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("note of {0} bytes is over the limit of {MAX_NOTE_BYTES}")]
    TooLarge(usize),
    #[error("note has more than {MAX_NOTE_SIGNATURES} signatures")]
    TooManySignatures,
    #[error("note is not UTF-8 without control characters")]
    NotText,
    #[error("note has no blank line between text and signatures")]
    NoSignatures,
    #[error("signature line {0} of the note is not `— name base64`")]
    BadSignatureLine(usize),
    #[error("`{0}` cannot be a key name; hint: not empty, no white space, no `+`")]
    BadName(String),
    #[error("`{0}` is not a verifier key; hint: `name+keyid+base64`")]
    BadVerifierKey(String),
}

impl SignedNote {
    /// Reads a note. Signature lines are split, not judged.
    pub fn parse(bytes: &[u8]) -> Result<SignedNote, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge(bytes.len()));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::NotText);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, lines) = note.split_at(split + 1);
        let lines = lines.strip_prefix('\n').and_then(|l| l.strip_suffix('\n'));
        let lines = lines.filter(|l| !l.is_empty()).ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number == MAX_NOTE_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line).ok_or(NoteError::BadSignatureLine(number + 1))?);
        }
        Ok(SignedNote { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<NoteSignature> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let decoded = BASE64.decode(encoded).ok()?;
        let (id, bytes) = decoded.split_first_chunk::<4>()?;
        (!bytes.is_empty()).then(|| NoteSignature {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_be_bytes()[..], &self.bytes].concat();
        write!(f, "— {} {}", self.name, BASE64.encode(bytes))
    }
}

impl NoteKeyKind {
    fn byte(self) -> u8 {
        match self {
            NoteKeyKind::Ed25519 => 1,
            NoteKeyKind::Cosignature => 4,
        }
    }

    fn of_byte(byte: u8) -> Option<NoteKeyKind> {
        match byte {
            1 => Some(NoteKeyKind::Ed25519),
            4 => Some(NoteKeyKind::Cosignature),
            _ => None,
        }
    }
}

impl NoteKey {
    pub fn new(name: &str, kind: NoteKeyKind, key: PublicKey) -> Result<NoteKey, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::BadName(name.chars().take(80).collect()));
        }
        Ok(NoteKey { name: name.to_owned(), kind, key })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> NoteKeyKind {
        self.kind
    }

    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// First four bytes of SHA-256(name ‖ 0x0A ‖ kind ‖ key).
    pub fn id(&self) -> u32 {
        let digest = Hash::of_parts(&[self.name.as_bytes(), b"\n", &[self.kind.byte()], &self.key.0]);
        let [a, b, c, d, ..] = digest.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether a signature line claims to be this key's.
    pub fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id()
    }

    /// Signs `text` as this key with its private half. For a cosignature `time` is in seconds since 1970 UTC;
    /// an Ed25519 note signature carries none.
    pub fn sign(&self, secret: &SigningKey, text: &str, time: u64) -> NoteSignature {
        debug_assert_eq!(secret.public(), self.key);
        let bytes = match self.kind {
            NoteKeyKind::Ed25519 => secret.sign(text.as_bytes()).0.to_vec(),
            NoteKeyKind::Cosignature => {
                let signature = secret.sign(cosigned_message(time, text).as_bytes());
                [&time.to_be_bytes()[..], &signature.0].concat()
            }
        };
        NoteSignature { name: self.name.clone(), id: self.id(), bytes }
    }

    /// Whether `signature` is this key's over `text`. Returns its time in seconds (0 for a plain signature).
    pub fn check(&self, text: &str, signature: &NoteSignature) -> Option<u64> {
        if !self.is_named_by(signature) {
            return None;
        }
        let (time, message, raw) = match self.kind {
            NoteKeyKind::Ed25519 => (0, text.to_owned(), signature.bytes.as_slice()),
            NoteKeyKind::Cosignature => {
                let (time, raw) = signature.bytes.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                // tlog-cosignature: "It MUST NOT exceed 2^63 - 1".
                i64::try_from(time).ok()?;
                (time, cosigned_message(time, text), raw)
            }
        };
        let raw = Signature(raw.try_into().ok()?);
        self.key.verifies(message.as_bytes(), &raw).then_some(time)
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.kind.byte()][..], &self.key.0].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id(), BASE64.encode(material))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<NoteKey, NoteError> {
        parse_verifier_key(text).ok_or_else(|| NoteError::BadVerifierKey(text.chars().take(120).collect()))
    }
}

fn parse_verifier_key(text: &str) -> Option<NoteKey> {
    let (name, rest) = text.split_once('+')?;
    let (id, material) = rest.split_once('+')?;
    let material = BASE64.decode(material).ok()?;
    let (kind, key) = material.split_first()?;
    let key = NoteKey::new(name, NoteKeyKind::of_byte(*kind)?, PublicKey(key.try_into().ok()?)).ok()?;
    (id == format!("{:08x}", key.id())).then_some(key)
}

fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// signed-note: "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus".
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOO_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const FOO_NOTE: &str = "This is an example message.\n\n— example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn note_of_the_specification_verifies_and_prints_back() {
        let key: NoteKey = FOO_KEY.parse().unwrap();
        assert_eq!((key.kind(), key.to_string().as_str()), (NoteKeyKind::Ed25519, FOO_KEY));
        let note = SignedNote::parse(FOO_NOTE.as_bytes()).unwrap();
        assert_eq!(key.check(&note.text, &note.signatures[0]), Some(0));
        assert_eq!(key.check("This is an example message!\n", &note.signatures[0]), None);
        assert_eq!(note.to_string(), FOO_NOTE);
    }

    #[test]
    fn cosignature_covers_its_time_and_the_text() {
        let secret = SigningKey::from_seed(&[5; 32]);
        let key = NoteKey::new("w/1", NoteKeyKind::Cosignature, secret.public()).unwrap();
        let mut signature = key.sign(&secret, "o\n1\nr\n", 1_679_315_147);
        assert_eq!(key.check("o\n1\nr\n", &signature), Some(1_679_315_147));
        assert_eq!(key.check("o\n2\nr\n", &signature), None);
        signature.bytes[7] ^= 1;
        assert_eq!(key.check("o\n1\nr\n", &signature), None);
        assert_eq!(key.to_string().parse::<NoteKey>().unwrap(), key);
        let as_log = NoteKey::new("w/1", NoteKeyKind::Ed25519, secret.public()).unwrap();
        assert_ne!(as_log.id(), key.id());
    }

    #[test]
    fn text_may_hold_blank_lines() {
        let note = format!("a\n\nb\n{}", &FOO_NOTE[FOO_NOTE.find("\n\n").unwrap() + 1..]);
        assert_eq!(SignedNote::parse(note.as_bytes()).unwrap().text, "a\n\nb\n");
    }

    #[test]
    fn broken_notes_are_refused() {
        let signature = &FOO_NOTE[FOO_NOTE.find('—').unwrap()..];
        let cases = [
            (String::new(), NoteError::NoSignatures),
            ("text\n".into(), NoteError::NoSignatures),
            ("text\n\n".into(), NoteError::NoSignatures),
            (FOO_NOTE.trim_end().into(), NoteError::NoSignatures),
            ("a\tb\n\n— x AAAA\n".into(), NoteError::NotText),
            (format!("text\n\n{signature}\n"), NoteError::NoSignatures),
            (format!("text\n\n{signature}x\n"), NoteError::BadSignatureLine(2)),
            (FOO_NOTE.replace("yaQM=", "yaQN="), NoteError::BadSignatureLine(1)),
            (FOO_NOTE.replace("com/foo ", "com/+foo "), NoteError::BadSignatureLine(1)),
            (format!("text\n\n{}", signature.repeat(65)), NoteError::TooManySignatures),
            ("x".repeat(MAX_NOTE_BYTES + 1), NoteError::TooLarge(MAX_NOTE_BYTES + 1)),
        ];
        for (note, error) in cases {
            assert_eq!(SignedNote::parse(note.as_bytes()), Err(error), "{note:.80}");
        }
        assert_eq!(SignedNote::parse(&[0xff]), Err(NoteError::NotText));
        assert!(
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse::<NoteKey>().is_err()
        );
    }
}
