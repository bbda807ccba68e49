//! The command line's side of an agent's API.

use std::path::PathBuf;
use std::time::Duration;

use anchor::transaction::{Subject, SubjectKind};
use anchor::{Action, Hash, SigningKey, Transaction};
use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::api::types::{ChainInfo, KeyInfo, SubjectInfo, SubmitResult, SubmittedTransaction};

/// Where an agent is and how to talk to it.
#[derive(Debug, Clone, clap::Args)]
pub struct AgentOptions {
    /// The agent's address.
    #[arg(long = "agent", env = "RANPROOF_AGENT", default_value = "http://127.0.0.1:8420")]
    pub url: String,
    /// File with the agent's API token (`<data>/api.token`); needed for whatever changes something.
    #[arg(long, env = "RANPROOF_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// A connection to an agent's API.
#[derive(Debug)]
pub struct Client {
    base: String,
    token: Option<String>,
    http: ureq::Agent,
}

/// A round over many stations answers when it is done.
const LONGEST_REQUEST: Duration = Duration::from_secs(30 * 60);

impl Client {
    pub fn new(options: &AgentOptions) -> Result<Client> {
        let token = match &options.token_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read token file {}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            None => None,
        };
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(LONGEST_REQUEST))
            .timeout_connect(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Ok(Client { base: options.url.trim_end_matches('/').to_owned(), token, http })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.get_bytes(path)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("the agent's answer to {path} is not understood"))
    }

    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.get_as(path, None)
    }

    fn get_as(&self, path: &str, token: Option<&str>) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.get(&url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|e| unreachable(&self.base, &e))?;
        read(response, path)
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Json) -> Result<T> {
        let bytes = self.post_bytes(path, "application/json", body.to_string().as_bytes())?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("the agent's answer to {path} is not understood"))
    }

    pub fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.post(&url).header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send(body).map_err(|e| unreachable(&self.base, &e))?;
        read(response, path)
    }

    /// Signs `action` with `key` and submits it; returns once it is final. A refusal is an error.
    pub fn submit(&self, key: &SigningKey, action: Action) -> Result<SubmitResult> {
        let chain: ChainInfo = self.get("/api/v1/chain")?;
        let info: KeyInfo = self.get(&format!("/api/v1/keys/{}", key.public()))?;
        let name = action.name();
        let transaction = Transaction {
            chain_id: chain.chain_id,
            sender: key.public(),
            sequence: info.next_sequence,
            action,
        };
        let encoded = hex::encode(transaction.sign(key).encode());
        let body = serde_json::to_value(SubmittedTransaction { transaction: encoded })?;
        let result: SubmitResult = self.post("/api/v1/transactions", &body)?;
        if let Some(refusal) = &result.refused {
            bail!("the contract refused {name}: {} ({})", refusal.reason, refusal.code);
        }
        Ok(result)
    }

    /// Stores a body at the agent and returns its hash, computed here.
    pub fn put_body(&self, canonical: &[u8]) -> Result<Hash> {
        self.post_bytes("/api/v1/bodies", "application/json", canonical)?;
        Ok(Hash::of(canonical))
    }

    /// Fetches a body and checks that it has the hash it is asked for. With `reader` the agent remembers that this
    /// member read it, without which it relays no approval; that needs the token.
    pub fn body(&self, hash: &Hash, reader: Option<&str>) -> Result<Vec<u8>> {
        let path = format!("/api/v1/bodies/{hash}");
        let bytes = match reader {
            None => self.get_bytes(&path)?,
            Some(reader) => {
                self.get_as(&format!("{path}?reader={}", percent(reader)), self.token.as_deref())?
            }
        };
        if Hash::of(&bytes) != *hash {
            bail!("the agent sent another body than {hash}; hint: nothing was signed");
        }
        Ok(bytes)
    }

    pub fn subject(&self, kind: SubjectKind, id: &str) -> Result<SubjectInfo> {
        let kind = Subject { kind, id: String::new(), version: 0 }.to_string();
        let kind = kind.split_whitespace().next().unwrap_or_default().to_owned();
        self.get(&format!("/api/v1/subjects/{kind}/{}", percent(id)))
    }
}

/// Percent-encodes what may not stand in a path segment (RFC 3986 §3.3).
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unreachable(base: &str, error: &ureq::Error) -> anyhow::Error {
    anyhow!("cannot talk to the agent at {base}: {error}; hint: is it running, and is --agent right?")
}

/// Largest answer the command line takes, in bytes: a bundle's limit and then some.
const MAX_ANSWER: u64 = 256 << 20;

fn read(mut response: ureq::http::Response<ureq::Body>, path: &str) -> Result<Vec<u8>> {
    let status = response.status();
    let bytes = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
    if status.is_success() {
        return Ok(bytes);
    }
    let problem: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    match problem.get("error").and_then(Json::as_str) {
        Some(text) => bail!("{text}"),
        None => bail!("the agent answered {path} with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dn_survives_as_one_path_segment() {
        assert_eq!(percent("A=1,B=a/b"), "A%3D1%2CB%3Da%2Fb");
    }
}
