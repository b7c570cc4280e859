//! A host made of maps, and what all tests of this crate share.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use rxbox_policy::{Access, Diagnostics, Files, Named, Overrides, Policy, Variables, Verdict};

/// Every path exists that is not said to be missing.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) texts: BTreeMap<PathBuf, String>,
    pub(crate) links: BTreeMap<PathBuf, PathBuf>,
    pub(crate) missing: BTreeSet<PathBuf>,
    /// Where names have several spellings.
    pub(crate) free: BTreeSet<PathBuf>,
    pub(crate) folder: BTreeMap<String, PathBuf>,
    pub(crate) mounts: Vec<PathBuf>,
    /// What is no directory.
    pub(crate) regular: BTreeSet<OsString>,
}

impl Host {
    pub(crate) fn text(mut self, path: &str, text: &str) -> Self {
        self.texts.insert(path.into(), text.into());
        self
    }

    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        self.links.insert(path.into(), target.into());
        self
    }

    pub(crate) fn missing(mut self, path: &str) -> Self {
        self.missing.insert(path.into());
        self
    }

    pub(crate) fn file(mut self, path: &str) -> Self {
        self.regular.insert(path.into());
        self
    }

    pub(crate) fn mounted(mut self, path: &str) -> Self {
        self.mounts.push(path.into());
        self
    }

    /// Loads `/p/test.toml` with this text.
    pub(crate) fn load(self, text: &str) -> Result<Policy, Diagnostics> {
        self.load_with(text, &Overrides::default())
    }

    pub(crate) fn load_with(self, text: &str, overrides: &Overrides) -> Result<Policy, Diagnostics> {
        let host = self.text("/p/test.toml", text);
        Policy::load_with("/p/test.toml", &host, &variables(), overrides)
    }
}

impl Files for Host {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::ParentDir => drop(plain.pop()),
                component => plain.push(component),
            }
        }
        self.texts.get(&plain).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        let directory = path.as_os_str().as_encoded_bytes().strip_suffix(b"/.");
        let file = directory.is_some_and(|d| self.regular.iter().any(|f| f.as_encoded_bytes() == d));
        !self.missing.contains(path) && !file
    }

    fn named(&self, path: &Path) -> Named {
        match self.links.get(path) {
            Some(target) => Named::Link(target.clone()),
            None if self.missing.contains(path) => Named::Missing,
            None => Named::Other,
        }
    }

    fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
        self.free.iter().any(|free| directory.starts_with(free)).then_some("vfat")
    }

    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        let below = self.links.keys().filter_map(|link| link.strip_prefix(directory).ok());
        let names: BTreeSet<_> = below.filter_map(|rest| rest.iter().next()).collect();
        names.into_iter().map(OsString::from).collect()
    }

    fn mount_points(&self) -> Vec<PathBuf> {
        self.mounts.clone()
    }

    fn profile_folders(&self) -> Vec<PathBuf> {
        let folders: BTreeSet<_> = self.folder.values().filter_map(|path| path.parent()).collect();
        folders.into_iter().map(Path::to_path_buf).collect()
    }

    fn lookup_profile(&self, name: &str) -> Option<(PathBuf, String)> {
        let path = self.folder.get(name)?;
        Some((path.clone(), self.texts.get(path)?.clone()))
    }
}

/// A Debian-like host: merged `/usr`, the usual links in `/dev`.
pub(crate) fn debian() -> Host {
    Host::default()
        .link("/bin", "usr/bin")
        .link("/sbin", "usr/sbin")
        .link("/lib", "usr/lib")
        .link("/lib64", "usr/lib64")
        .link("/dev/fd", "/proc/self/fd")
        .link("/dev/stdin", "/proc/self/fd/0")
        .link("/dev/stdout", "/proc/self/fd/1")
        .link("/dev/stderr", "/proc/self/fd/2")
        .link("/proc/self", "4711")
        .link("/proc/4711/fd/0", "/dev/pts/3")
        .link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
}

pub(crate) fn variables() -> Variables {
    Variables {
        home: Some("/home/u".into()),
        cwd: Some("/home/u/work".into()),
        program: Some("/opt/app/bin/app".into()),
        tmpdir: Some("/tmp".into()),
        user: Some("u".into()),
        uid: Some(1000),
        ..Variables::default()
    }
}

/// Loads a profile that must be right.
pub(crate) fn policy(text: &str) -> Policy {
    Host::default().load(text).unwrap_or_else(|e| panic!("{e}"))
}

/// The errors of a profile that must be wrong.
pub(crate) fn errors(text: &str) -> Diagnostics {
    Host::default().load(text).err().unwrap_or_else(|| panic!("loaded:\n{text}"))
}

/// Compares a text with a golden file, or writes the file if `RXBOX_BLESS=1`.
pub(crate) fn golden(path: &Path, text: &str) {
    if std::env::var_os("RXBOX_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(expected == text, "{} differs (RXBOX_BLESS=1 writes it):\n{text}", path.display());
}

pub(crate) fn verdict(policy: &Policy, access: Access, path: &str) -> Verdict {
    policy.path(access, path.as_bytes()).verdict
}

pub(crate) fn allows(policy: &Policy, access: Access, path: &str) -> bool {
    verdict(policy, access, path) == Verdict::Allow
}

pub(crate) fn granted(policy: &Policy, path: &str) -> Vec<&'static str> {
    Access::ALL.into_iter().filter(|a| allows(policy, *a, path)).map(Access::name).collect()
}

pub(crate) fn filesystem(body: &str) -> Policy {
    policy(&format!("version = 1\n[filesystem]\n{body}"))
}

pub(crate) fn messages(text: &str) -> Vec<String> {
    errors(text).0.into_iter().map(|d| d.message).collect()
}
