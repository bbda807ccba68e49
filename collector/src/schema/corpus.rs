//! Modules and documents that others wrote, for tests; found through `RANPROOF_DATA`.

use std::path::{Path, PathBuf};

use super::protocol::DocumentFormat;
use super::set::ModuleSet;

/// By their paths.
type Documents = Vec<(PathBuf, Vec<u8>, DocumentFormat)>;

/// All of them, or `None` with a word about it.
pub fn corpus() -> Option<(ModuleSet, Documents)> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("RANPROOF_DATA").map_or(default, PathBuf::from);
    if !data.is_dir() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs {}", data.display());
        println!("SKIPPED: no shared data; hint: set RANPROOF_DATA");
        return None;
    }
    let mut set = ModuleSet::from_folder(&data.join("yang")).unwrap();
    for module in ModuleSet::from_folder(&data.join("instances")).unwrap().modules() {
        set.insert(module.text.to_string(), &module.origin);
    }
    let mut documents = vec![];
    for folder in std::fs::read_dir(data.join("instances")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let format = match path.extension().and_then(|e| e.to_str()) {
                Some("xml") => DocumentFormat::Xml,
                Some("json") => DocumentFormat::Json,
                _ => continue,
            };
            documents.push((path.clone(), std::fs::read(&path).unwrap(), format));
        }
    }
    documents.sort();
    Some((set, documents))
}
