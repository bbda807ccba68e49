//! Files that name their format.

use std::path::Path;

use anchor::Genesis;
use anyhow::{Result, bail};
use model::Profile;
use serde::de::DeserializeOwned;

use super::{AgentConfig, read_yaml};

/// What is read from a file whose field `format` says which one it is.
pub trait Formatted: DeserializeOwned {
    /// The format that this version reads.
    const FORMAT: &'static str;

    fn format(&self) -> &str;
}

/// Reads such a file.
///
/// # Errors
/// What is wrong with it, as [`read_yaml`] tells; another format with file and hint.
pub fn read_formatted<T: Formatted>(path: &Path) -> Result<T> {
    let file: T = read_yaml(path)?;
    if file.format() != T::FORMAT {
        bail!("{}: format is `{}`; hint: this version reads {}", path.display(), file.format(), T::FORMAT);
    }
    Ok(file)
}

impl Formatted for AgentConfig {
    const FORMAT: &'static str = AgentConfig::FORMAT;

    fn format(&self) -> &str {
        &self.format
    }
}

impl Formatted for Genesis {
    const FORMAT: &'static str = Genesis::FORMAT;

    fn format(&self) -> &str {
        &self.format
    }
}

impl Formatted for Profile {
    const FORMAT: &'static str = Profile::FORMAT;

    fn format(&self) -> &str {
        &self.format
    }
}
