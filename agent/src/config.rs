//! An agent's configuration file. Every key stands in `examples/agent.yaml` with its default; a test keeps it so.

mod checks;
mod formatted;
mod schemas;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use model::Dn;
use serde::{Deserialize, Serialize};

pub use formatted::{Formatted, read_formatted};
pub use schemas::{SchemaSource, SchemasSection};

/// `agent.yaml`. Paths are relative to the file's folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// `ranproof/agent/1`.
    pub format: String,
    /// This operator's member id in genesis.
    pub operator: String,
    /// Everything the agent stores.
    pub data: PathBuf,
    pub genesis: PathBuf,
    /// Id of the sharing agreement that rounds are judged by.
    pub agreement: String,
    /// Where pages, API and metrics are served.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Where the stations are, and with which account they are read. Absent for a member without stations.
    #[serde(default)]
    pub targets: Option<PathBuf>,
    /// Collection profiles; `plain` is built in.
    #[serde(default)]
    pub profiles: Vec<PathBuf>,
    #[serde(default)]
    pub collection: CollectionConfig,
    #[serde(default)]
    pub node: NodeSection,
    #[serde(default)]
    pub peers: PeersSection,
    /// Network name in page titles.
    #[serde(default = "defaults::title")]
    pub title: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionConfig {
    /// Minutes between rounds; 0 leaves rounds to `ranproof collect`.
    #[serde(default)]
    pub every_minutes: u32,
    /// Stations read at the same time.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: usize,
    /// Total time for one station, from connect to last byte, in seconds.
    #[serde(default = "defaults::deadline_seconds")]
    pub deadline_seconds: u64,
    /// Longest reply accepted from a station, in bytes.
    #[serde(default = "defaults::max_reply_bytes")]
    pub max_reply_bytes: usize,
    /// Share of vanished objects, in percent, from which a second read must agree.
    #[serde(default = "defaults::mass_deletion_percent")]
    pub mass_deletion_percent: u8,
    /// Megabytes that may be kept in memory between rounds, so that a round costs what changed; 0 keeps nothing.
    #[serde(default = "defaults::memory_mb")]
    pub memory_mb: usize,
    #[serde(default)]
    pub schemas: SchemasSection,
}

impl Default for CollectionConfig {
    fn default() -> Self {
        CollectionConfig {
            every_minutes: 0,
            concurrency: defaults::concurrency(),
            deadline_seconds: defaults::deadline_seconds(),
            max_reply_bytes: defaults::max_reply_bytes(),
            mass_deletion_percent: defaults::mass_deletion_percent(),
            memory_mb: defaults::memory_mb(),
            schemas: SchemasSection::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Where the chain node listens for its peers.
    #[serde(default = "defaults::node_listen")]
    pub listen: SocketAddr,
    /// How long a round or an approval waits for finality before it goes on without, in seconds.
    #[serde(default = "defaults::finality_seconds")]
    pub finality_seconds: u64,
    /// Take part again although the write-ahead log or store is missing. Only after reading `docs/threat-model.md`.
    #[serde(default)]
    pub rejoin: bool,
}

impl Default for NodeSection {
    fn default() -> Self {
        NodeSection {
            listen: defaults::node_listen(),
            finality_seconds: defaults::finality_seconds(),
            rejoin: false,
        }
    }
}

/// The other members' agents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersSection {
    /// Where other agents are answered, over mutual TLS. Nobody listens while `members` is empty.
    #[serde(default = "defaults::peers_listen")]
    pub listen: SocketAddr,
    /// The other members; none for an agent alone.
    #[serde(default)]
    pub members: Vec<PeerEntry>,
}

impl Default for PeersSection {
    fn default() -> Self {
        PeersSection { listen: defaults::peers_listen(), members: Vec::new() }
    }
}

/// Where another member is reached. Who it is, its keys in genesis say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// Its member id in genesis.
    pub member: String,
    /// Its agent's `peers.listen` as seen from here: `host:port`.
    pub address: String,
    /// Its chain node: `/ip4/…/tcp/…/p2p/<peer id>`; absent for a member without one.
    #[serde(default)]
    pub node: Option<String>,
}

mod defaults {
    use std::net::{Ipv4Addr, SocketAddr};

    pub fn listen() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8420))
    }
    pub fn node_listen() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8421))
    }
    pub fn peers_listen() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8422))
    }
    pub fn title() -> String {
        "ranproof".into()
    }
    pub fn concurrency() -> usize {
        64
    }
    pub fn deadline_seconds() -> u64 {
        60
    }
    pub fn max_reply_bytes() -> usize {
        64 << 20
    }
    pub fn memory_mb() -> usize {
        4_096
    }

    pub fn mass_deletion_percent() -> u8 {
        25
    }
    pub fn finality_seconds() -> u64 {
        15
    }
}

impl AgentConfig {
    pub const FORMAT: &'static str = "ranproof/agent/1";

    /// Reads and checks the file; paths come back absolute or relative to the working directory.
    pub fn load(path: &Path) -> Result<AgentConfig> {
        let mut config: AgentConfig = read_formatted(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let optional = config.targets.iter_mut().chain(&mut config.collection.schemas.folder);
        for relative in [&mut config.data, &mut config.genesis].into_iter().chain(optional) {
            *relative = base.join(&*relative);
        }
        for profile in &mut config.profiles {
            *profile = base.join(&*profile);
        }
        if let Err(why) = config.check() {
            bail!("{}: {why}", path.display());
        }
        Ok(config)
    }

    pub fn key_path(&self, name: &str) -> PathBuf {
        self.data.join("keys").join(format!("{name}.key"))
    }
}

/// `targets.yaml`: the collecting side's own matter, never agreed and never sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Accounts by name.
    pub credentials: BTreeMap<String, Credential>,
    pub stations: Vec<TargetEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    pub element: Dn,
    pub host: String,
    #[serde(default = "netconf_port")]
    pub port: u16,
    /// Name of an entry of `credentials`.
    pub credential: String,
}

/// RFC 6242 §3: the port assigned to NETCONF over SSH.
fn netconf_port() -> u16 {
    830
}

/// A read-only account on the stations. Secrets are files of mode 0600, never in the YAML.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub user: String,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// OpenSSH private key.
    #[serde(default)]
    pub private_key_file: Option<PathBuf>,
}

impl Targets {
    pub fn load(path: &Path) -> Result<Targets> {
        let mut targets: Targets = read_yaml(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        for (name, credential) in &mut targets.credentials {
            if credential.password_file.is_some() == credential.private_key_file.is_some() {
                bail!(
                    "{}: credential `{name}` needs a password_file or a private_key_file; hint: one of them, not both",
                    path.display()
                );
            }
            for file in
                [&mut credential.password_file, &mut credential.private_key_file].into_iter().flatten()
            {
                *file = base.join(&*file);
            }
        }
        let mut places = BTreeMap::new();
        for (place, entry) in targets.stations.iter().enumerate() {
            if let Some(first) = places.insert(&entry.element, place) {
                bail!(
                    "{}: stations[{place}]: {} has an entry already, stations[{first}]; hint: keep one of the two",
                    path.display(),
                    entry.element
                );
            }
            if !targets.credentials.contains_key(&entry.credential) {
                bail!(
                    "{}: station {} names the unknown credential `{}`; hint: `credentials` has the accounts",
                    path.display(),
                    entry.element,
                    entry.credential
                );
            }
        }
        Ok(targets)
    }
}

/// Reads a YAML (or JSON) file into `T`; the error names file, line and what was expected.
pub fn read_yaml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.display().to_string();
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        anyhow::anyhow!("{name}:{line}:{column}: not UTF-8; hint: save the file as UTF-8")
    })?;
    parse_yaml(text, &name)
}

/// Strict YAML: duplicate keys and unknown keys are errors; only `true` and `false` are booleans.
pub fn parse_yaml<T: serde::de::DeserializeOwned>(text: &str, name: &str) -> Result<T> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let place = e.location().map_or(String::new(), |l| format!(":{}:{}", l.line(), l.column()));
        let words = e.without_snippet().to_string();
        anyhow::anyhow!("{name}{place}: {}", with_hint(&one_line(&words)))
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The parser's words without the place, which stands before them already, and without its advice to programmers;
/// with advice to whoever wrote the file.
fn with_hint(words: &str) -> String {
    let what = match words.rsplit_once(" at line ") {
        Some((what, place)) if place.starts_with(|c: char| c.is_ascii_digit()) => what,
        _ => words,
    };
    let what = what.split(", set DuplicateKeyPolicy").next().unwrap_or(what);
    let hint = if what.contains("hint:") {
        return what.to_owned();
    } else if what.starts_with("unknown field") {
        "check its spelling and its indentation"
    } else if what.starts_with("missing field") {
        "the file of that kind in examples/ has every field"
    } else if what.starts_with("duplicate mapping key") {
        "keep one of the two"
    } else {
        "compare with the file of that kind in examples/"
    };
    format!("{what}; hint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yaml_fault_names_file_line_and_key() {
        let error = parse_yaml::<Targets>("credentials: {}\nstations: []\nstatoins: []\n", "targets.yaml")
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("targets.yaml:3:"), "{text}");
        assert!(text.contains("statoins"), "{text}");
        assert!(
            !text.contains("at line") && text.ends_with("hint: check its spelling and its indentation"),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }

    fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn figures_with_which_nothing_works_are_refused_by_name() {
        let load = |section: &str, key: &str, value: &str| {
            let text = format!(
                "format: ranproof/agent/1\noperator: a\ndata: d\ngenesis: g\nagreement: b\n{section}:\n  {key}: {value}\n"
            );
            let (_folder, path) = written("agent.yaml", &text);
            AgentConfig::load(&path).map(drop).map_err(|e| e.to_string())
        };
        for (section, key, value) in [
            ("collection", "concurrency", "0"),
            ("collection", "deadline_seconds", "0"),
            ("collection", "max_reply_bytes", "0"),
            ("collection", "mass_deletion_percent", "101"),
        ] {
            let error = load(section, key, value).unwrap_err();
            assert!(error.contains(&format!("agent.yaml: {section}.{key} is {value}; hint: ")), "{error}");
            load(section, key, "1").unwrap();
        }
    }

    #[test]
    fn two_targets_for_one_station_are_refused() {
        let entry = |host: &str| format!("- {{ element: ManagedElement=1, host: {host}, credential: c }}\n");
        let text = format!(
            "credentials: {{ c: {{ user: u, password_file: p }} }}\nstations:\n{}{}",
            entry("a"),
            entry("b")
        );
        let (_folder, path) = written("targets.yaml", &text);
        let error = Targets::load(&path).unwrap_err().to_string();
        let expected =
            "targets.yaml: stations[1]: ManagedElement=1 has an entry already, stations[0]; hint: ";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn another_format_is_refused_wherever_a_file_names_one() {
        let (_folder, path) =
            written("x.yaml", &serde_json::to_string(&profile("ranproof/profile/9")).unwrap());
        let error = read_formatted::<model::Profile>(&path).unwrap_err().to_string();
        let expected = "x.yaml: format is `ranproof/profile/9`; hint: this version reads ranproof/profile/1";
        assert!(error.ends_with(expected), "{error}");
    }

    fn profile(format: &str) -> model::Profile {
        model::Profile { format: format.into(), ..model::Profile::plain("p") }
    }

    #[test]
    fn country_no_stays_a_string() {
        let map: BTreeMap<String, String> = parse_yaml("country: no\nversion: '1.10'\n", "x").unwrap();
        assert_eq!(map["country"], "no");
        assert_eq!(map["version"], "1.10");
    }
}
