//! Canonical JSON (RFC 8785) without floating point: the bytes that are hashed, signed and logged.
//!
//! Numbers are integers of at most 53 bits (RFC 7493 §2.2), so that every reader in every language sees the same
//! value; a fraction or exponent is refused, not rounded. Keys are sorted by UTF-16 code units (RFC 8785 §3.2.3).

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects that is read or written.
pub const MAX_DEPTH: usize = 64;

/// The largest integer with an exact neighbour on both sides in a double: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not canonical JSON, or a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("not JSON as ranproof reads it: {0}")]
    Malformed(String),
    #[error("JSON is not in canonical form (RFC 8785), first at byte {0}; hint: sorted keys, no white space")]
    NotCanonical(usize),
    #[error("number {0} is not an integer of at most 53 bits; hint: write it as a string")]
    NotAnInteger(String),
    #[error("JSON is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("JSON does not have the expected content: {0}")]
    WrongContent(String),
}

/// The canonical bytes of a value.
pub fn to_canonical(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

/// The canonical bytes of anything that serialises to JSON without floats.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    let value = serde_json::to_value(value).map_err(|e| JsonError::WrongContent(e.to_string()))?;
    to_canonical(&value)
}

/// Reads JSON strictly: no duplicate keys, no floats, bounded depth, nothing after the value. White space and the
/// order of keys are free.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader);
    let value = value.and_then(|v| reader.end().map(|()| v));
    value.map_err(|e| JsonError::Malformed(e.to_string()))
}

/// Reads JSON that must already be in canonical form, byte for byte.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, JsonError> {
    let value = parse(bytes)?;
    same(bytes, &to_canonical(&value)?)?;
    Ok(value)
}

/// Reads a `T` from canonical JSON. `T` written again must give the same bytes, so that nothing in them is ignored.
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, JsonError> {
    let value = parse_canonical(bytes)?;
    let content: T = serde_json::from_value(value).map_err(|e| JsonError::WrongContent(e.to_string()))?;
    same(bytes, &encode(&content)?)?;
    Ok(content)
}

fn same(bytes: &[u8], canonical: &[u8]) -> Result<(), JsonError> {
    if bytes == canonical {
        return Ok(());
    }
    let first = bytes.iter().zip(canonical).position(|(a, b)| a != b);
    Err(JsonError::NotCanonical(first.unwrap_or(bytes.len().min(canonical.len()))))
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), JsonError> {
    if depth > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => out.extend(integer(number)?.to_string().into_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785 §3.2.2.2: the short escapes, `\u00xx` for other controls, everything else as it is.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend(br#"\""#),
            '\\' => out.extend(br"\\"),
            '\u{8}' => out.extend(br"\b"),
            '\t' => out.extend(br"\t"),
            '\n' => out.extend(br"\n"),
            '\u{c}' => out.extend(br"\f"),
            '\r' => out.extend(br"\r"),
            control if control < ' ' => out.extend(format!("\\u{:04x}", u32::from(control)).into_bytes()),
            other => out.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn integer(number: &Number) -> Result<i64, JsonError> {
    let integer = number.as_i64().filter(|n| n.unsigned_abs() <= MAX_INTEGER);
    integer.ok_or_else(|| JsonError::NotAnInteger(number.to_string()))
}

/// Builds a [`Value`] and refuses on the way what canonical JSON does not have.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floating point")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        integer(&value.into()).map(Value::from).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        integer(&value.into()).map(Value::from).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(JsonError::NotAnInteger(format!("{value:?}"))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.deeper::<A::Error>()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict { depth })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = self.deeper::<A::Error>()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                let key: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format_args!("key `{key}` appears twice")));
            }
            object.insert(key, members.next_value_seed(Strict { depth })?);
        }
        Ok(Value::Object(object))
    }
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom(JsonError::TooDeep)) } else { Ok(self.depth + 1) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(MAX_INTEGER as i64)..=MAX_INTEGER as i64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point_and_means_the_same(value in any_json()) {
            let canonical = to_canonical(&value).unwrap();
            let parsed = parse_canonical(&canonical).unwrap();
            prop_assert_eq!(&parsed, &value);
            prop_assert_eq!(to_canonical(&parsed).unwrap(), canonical);
        }
    }

    #[test]
    fn keys_sort_by_utf16_and_strings_escape_the_short_way() {
        let value = json!({"\u{fb33}": 1, "\u{1f602}": 2, "a": "\u{8}\u{1f}\"\\/\u{7f}é", "A": -3});
        let canonical = String::from_utf8(to_canonical(&value).unwrap()).unwrap();
        let expected = "{\"A\":-3,\"a\":\"\\b\\u001f\\\"\\\\/\u{7f}é\",\"\u{1f602}\":2,\"\u{fb33}\":1}";
        assert_eq!(canonical, expected);
    }

    #[test]
    fn what_readers_could_see_differently_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            "1.0",
            "1e3",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "[1,]",
            "{} {}",
            "\"\\ud800\"",
            "nul",
            "",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert_eq!(parse(b" [9007199254740991] ").unwrap(), json!([MAX_INTEGER]));
        assert_eq!(to_canonical(&json!(0.5)), Err(JsonError::NotAnInteger("0.5".into())));
    }

    #[test]
    fn depth_is_bounded_when_reading_and_writing() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_canonical(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        let deep = (0..MAX_DEPTH + 2).fold(Value::Null, |inner, _| json!([inner]));
        assert_eq!(to_canonical(&deep), Err(JsonError::TooDeep));
    }

    #[test]
    fn other_spellings_of_the_same_value_are_not_canonical() {
        for text in [r#"{"a": 1}"#, r#"{"b":1,"a":2}"#, r#""\u0061""#, "1 ", r#""\/""#] {
            assert!(parse(text.as_bytes()).is_ok());
            assert!(matches!(parse_canonical(text.as_bytes()), Err(JsonError::NotCanonical(_))), "{text}");
        }
    }

    #[test]
    fn decoding_refuses_what_the_type_would_drop() {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        struct Small {
            a: u8,
            b: Option<u8>,
        }
        assert_eq!(decode::<Small>(br#"{"a":1,"b":null}"#).unwrap().b, None);
        for text in [r#"{"a":1}"#, r#"{"a":1,"b":null,"c":1}"#, r#"{"a":256,"b":null}"#] {
            assert!(decode::<Small>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
