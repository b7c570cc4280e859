//! Writes a number that stands for the sources of this crate, by which translations that are kept on disk
//! are known to be of this translator.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    let mut sources = BTreeMap::new();
    collect(Path::new("src"), &mut sources)?;
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(out.join("version"), format!("{:#x}", hasher.finish()))
}

fn collect(folder: &Path, sources: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else {
            sources.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(())
}
