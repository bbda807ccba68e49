//! Ways in which a station misbehaves on request.

use serde::{Deserialize, Serialize};

/// What is wrong with a station. The name in JSON is the variant's in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Its port refuses connections, open sessions end. A collector says `unreachable`.
    Unreachable,
    /// It answers reads with something that is not XML, well framed: `not-xml`.
    Garbage,
    /// It answers reads with half a message and closes: `framing`.
    Truncated,
    /// It answers reads with far more than anybody wants: `too-large`.
    Oversized,
    /// It answers reads with broken UTF-8: `not-utf8`.
    BadUtf8,
    /// It shows another host key: `host-key-mismatch`.
    HostKey,
    /// It answers reads a few bytes at a time: `timeout`.
    Slow,
    /// It answers reads with an `rpc-error`: `rpc-error`.
    RpcError,
    /// It answers `<get-schema>` with another module: `schema-mismatch`.
    SchemaOther,
    /// It answers `<get-schema>` with a text without end: `too-large`.
    SchemaEndless,
    /// Two of its modules import each other, which a compiler of YANG finds.
    SchemaLoop,
}

impl Fault {
    /// Every fault.
    pub const ALL: &[Fault] = &[
        Fault::None,
        Fault::Unreachable,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Oversized,
        Fault::BadUtf8,
        Fault::HostKey,
        Fault::Slow,
        Fault::RpcError,
        Fault::SchemaOther,
        Fault::SchemaEndless,
        Fault::SchemaLoop,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_those_of_the_protocol() {
        let names: Vec<String> = Fault::ALL.iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        assert_eq!(
            names.join(" "),
            r#""none" "unreachable" "garbage" "truncated" "oversized" "bad-utf8" "host-key" "slow" "rpc-error" "schema-other" "schema-endless" "schema-loop""#
        );
        assert!(serde_json::from_str::<Fault>("\"gremlin\"").is_err());
    }
}
