//! `collection.schemas`: YANG modules that replies are validated against.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// YANG modules that replies are validated against.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemasSection {
    /// Where they come from.
    #[serde(default)]
    pub from: SchemaSource,
    /// The folder, for [`SchemaSource::Folder`].
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Processes that validate; each holds one set of modules at a time.
    #[serde(default = "two")]
    pub workers: usize,
}

/// Where YANG modules come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaSource {
    /// Nowhere: nothing is validated.
    #[default]
    None,
    /// All modules of one folder, for every station.
    Folder,
    /// What each station lists, its texts by `<get-schema>`; kept in the data folder.
    Device,
}

impl Default for SchemasSection {
    fn default() -> Self {
        SchemasSection { from: SchemaSource::None, folder: None, workers: two() }
    }
}

/// Most validating processes; each may use 2 GiB.
const MAX_SCHEMA_WORKERS: usize = 64;

impl SchemasSection {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        match (self.from, &self.folder) {
            (SchemaSource::Folder, None) => {
                Err("from is `folder` and there is none; hint: `folder: yang`".to_owned())
            }
            (SchemaSource::None | SchemaSource::Device, Some(_)) => {
                Err("folder is given and not used; hint: `from: folder`".to_owned())
            }
            _ if !(1..=MAX_SCHEMA_WORKERS).contains(&self.workers) => {
                Err(format!("workers is {}; hint: 1 to {MAX_SCHEMA_WORKERS}", self.workers))
            }
            _ => Ok(()),
        }
    }
}

fn two() -> usize {
    2
}

#[cfg(test)]
mod tests {
    use super::super::parse_yaml;
    use super::*;

    #[test]
    fn schemas_that_cannot_be_meant_are_refused_with_a_hint() {
        let section = |text: &str| parse_yaml::<SchemasSection>(text, "agent.yaml");
        for fine in ["{}", "from: device", "from: none", "from: folder\nfolder: yang\nworkers: 64"] {
            assert_eq!(section(fine).unwrap().check(), Ok(()), "{fine}");
        }
        for wrong in
            ["from: folder", "folder: yang", "from: device\nfolder: yang", "workers: 0", "workers: 65"]
        {
            let why = section(wrong).unwrap().check().unwrap_err();
            assert!(why.contains("; hint: "), "{wrong}: {why}");
        }
        let error = section("from: station").unwrap_err().to_string();
        assert!(error.starts_with("agent.yaml:1:") && error.contains("device"), "{error}");
    }
}
