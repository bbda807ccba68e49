//! Key files: 32 random bytes as hexadecimal, mode 0600, written once.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anchor::{PublicKey, SigningKey};
use anyhow::{Context as _, Result, bail};

/// Draws `N` random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("the operating system gave no random bytes: {e}"))?;
    Ok(bytes)
}

/// Reads a signing key. Refuses a file that others may read.
pub fn load(path: &Path) -> Result<SigningKey> {
    Ok(SigningKey::from_seed(&load_secret(path)?))
}

/// Reads 32 secret bytes. Refuses a file that others may read.
pub fn load_secret(path: &Path) -> Result<[u8; 32]> {
    let text = read_private(path)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .ok()
        .with_context(|| format!("key {} is not 64 hexadecimal digits", path.display()))?;
    Ok(seed)
}

/// Reads a file that holds a secret. Refuses one that others may read.
pub fn read_private(path: &Path) -> Result<String> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read key {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("key {} has mode {mode:o}; hint: chmod 600 it, others must not read it", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("cannot read key {}", path.display()))
}

/// Draws a key and writes it to a new file; an existing file is never overwritten.
pub fn create(path: &Path) -> Result<SigningKey> {
    let seed = create_secret(path)?;
    Ok(SigningKey::from_seed(&seed))
}

/// Draws 32 secret bytes and writes them to a new file.
pub fn create_secret(path: &Path) -> Result<[u8; 32]> {
    let seed = random_bytes::<32>()?;
    write_private(path, format!("{}\n", hex::encode(seed)).as_bytes())?;
    Ok(seed)
}

/// Writes a new file of mode 0600 and makes it durable.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, bytes, 0o600)
}

/// Writes a new file and makes it durable; an existing file is never overwritten.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The public half, as people exchange it.
pub fn public_line(key: &PublicKey) -> String {
    key.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/log.key");
        let key = create(&path).unwrap();
        assert_eq!(load(&path).unwrap().public(), key.public());
        assert!(create(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
