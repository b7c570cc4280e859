//! Variables of profiles: `${HOME}` and the like.
//!
//! A variable's value is a name of the host, never a pattern: a directory called `[x]` means just that
//! directory. The value is therefore inserted with every special character quoted as a class of one (`[[]`),
//! which the pattern parser reads back as that plain character.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::report::suggest;

/// The values of this run. A variable without a value makes the profile that uses it fail to load, unless the
/// entry says with a trailing `?` that it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `${HOME}`: the home directory of the user.
    pub home: Option<PathBuf>,
    /// Where else the user may be at home: what denies something in `${HOME}` denies it there, too.
    pub other_homes: Vec<PathBuf>,
    /// `${CWD}`: the working directory in which the guest starts, absolute and resolved.
    pub cwd: Option<PathBuf>,
    /// `${PROGRAM}`: the guest's program file, absolute and resolved. `${PROGRAM_DIR}` is the directory that
    /// holds it.
    pub program: Option<PathBuf>,
    /// `${TMPDIR}`: the directory for temporary files.
    pub tmpdir: Option<PathBuf>,
    /// `${USER}`: the user's login name.
    pub user: Option<String>,
    /// `${UID}`: the user's number.
    pub uid: Option<u32>,
    /// The name by which the program is run, absolute: it may be a link to `${PROGRAM}`.
    pub invoked: Option<PathBuf>,
    /// Files that rxbox reads or writes itself, absolute; profiles are known without. The guest changes none
    /// of them.
    pub own: Vec<PathBuf>,
    /// Directories of rxbox's own, absolute, with which no guest does anything whatever its profile says.
    pub unseen: Vec<PathBuf>,
}

const NAMES: [&str; 7] = ["HOME", "CWD", "PROGRAM", "PROGRAM_DIR", "TMPDIR", "USER", "UID"];

/// Why a text with variables has no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("`${{` without its `}}`")]
    Unclosed,
    #[error("unknown variable `${{{0}}}`")]
    Unknown(String),
    #[error("`${{{0}}}` has no value in this run")]
    Unset(&'static str),
}

impl ExpandError {
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Unclosed => Some("a literal `${` is written `$${`".to_owned()),
            Self::Unknown(name) => suggest::did_you_mean(name, NAMES)
                .or_else(|| Some(format!("the variables are {}", NAMES.join(", ")))),
            Self::Unset(_) => None,
        }
    }
}

impl Variables {
    fn value(&self, name: &str) -> Result<Vec<u8>, ExpandError> {
        let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.as_os_str().as_bytes().to_vec());
        let Some(known) = NAMES.into_iter().find(|n| *n == name) else {
            return Err(ExpandError::Unknown(name.to_owned()));
        };
        let value = match known {
            "HOME" => path(&self.home),
            "CWD" => path(&self.cwd),
            "PROGRAM" => path(&self.program),
            "PROGRAM_DIR" => path(&self.program.as_ref().and_then(|p| p.parent()).map(PathBuf::from)),
            "TMPDIR" => path(&self.tmpdir),
            "USER" => self.user.as_ref().map(|u| u.as_bytes().to_vec()),
            _ => self.uid.map(|u| u.to_string().into_bytes()),
        };
        value.filter(|v| !v.is_empty()).ok_or(ExpandError::Unset(known))
    }

    /// The text with its variables replaced by their values as they are.
    pub(crate) fn expand(&self, text: &str) -> Result<Vec<u8>, ExpandError> {
        self.replace(text, |value, out| out.extend_from_slice(value))
    }

    /// The text of a pattern with its variables replaced by their quoted values.
    pub(crate) fn expand_pattern(&self, text: &str) -> Result<Vec<u8>, ExpandError> {
        self.replace(text, |value, out| out.extend_from_slice(&quote(value)))
    }

    fn replace(&self, text: &str, insert: impl Fn(&[u8], &mut Vec<u8>)) -> Result<Vec<u8>, ExpandError> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                out.extend_from_slice(b"${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
                insert(&self.value(name)?, &mut out);
                rest = after;
            } else {
                out.push(b'$');
                rest = &rest[1..];
            }
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(out)
    }

    /// The variable that is all of this path's text, if its value is too much to grant by a variable alone:
    /// the root, a directory for everybody's temporary files, a home, or what lies above one. A program may
    /// well be started there, by a service manager or by mistake.
    pub(crate) fn too_much(&self, text: &str) -> Option<(&'static str, PathBuf)> {
        let text = text.strip_suffix('?').unwrap_or(text).trim_end_matches('/');
        let text = text.strip_prefix("${")?.strip_suffix('}')?;
        let name = ["CWD", "PROGRAM_DIR"].into_iter().find(|name| *name == text)?;
        let value = PathBuf::from(os(&self.value(name).ok()?));
        let homes = self.home.iter().chain(&self.other_homes).map(PathBuf::as_path);
        let mut homes = homes.chain([Path::new("/root"), Path::new("/home/user")]);
        let shared = ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|shared| value == Path::new(shared));
        let home = value.parent() == Some(Path::new("/home")) || homes.any(|home| home.starts_with(&value));
        (shared || home).then_some((name, value))
    }

    /// These with another home, for each of [`Variables::other_homes`], if the text speaks of the home.
    pub(crate) fn at_other_homes(&self, text: &str) -> impl Iterator<Item = Variables> {
        let others = if text.contains("${HOME}") { &self.other_homes[..] } else { &[] };
        others.iter().map(|home| Variables { home: Some(home.clone()), ..self.clone() })
    }

    /// The absolute form of a path given on the command line, which is relative to `${CWD}`. That has no
    /// links in it, so a path can lead up from there; behind a name `..` could lead anywhere.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with(['/', '$', '~']) {
            return path.to_owned();
        }
        let kept: Vec<&str> = path.split('/').filter(|c| !matches!(*c, "" | ".")).collect();
        let up = kept.iter().take_while(|c| **c == "..").count();
        let above = self.cwd.as_deref().filter(|_| up > 0).map(|cwd| {
            let above = cwd.ancestors().nth(up).unwrap_or(Path::new("/"));
            literal(above.as_os_str().as_bytes())
        });
        match above {
            Some(above) => format!("{}/{}", above.trim_end_matches('/'), kept[up..].join("/")),
            None => format!("${{CWD}}/{}", kept.join("/")),
        }
    }
}

/// A name as a pattern that means exactly this name.
pub(crate) fn quote(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'*' | b'?' | b'[' => out.extend_from_slice(&[b'[', byte, b']']),
            _ => out.push(byte),
        }
    }
    out
}

/// A name as a wildcard that matches just it. Bytes that are no UTF-8, and so cannot stand in a profile,
/// become `?`.
fn wildcard(name: &[u8]) -> String {
    let quoted = quote(name);
    let chunks = quoted.utf8_chunks();
    chunks.flat_map(|c| c.valid().chars().chain(c.invalid().iter().map(|_| '?'))).collect()
}

/// A path as a pattern of a profile that matches just it: no wildcard and no variable.
pub(crate) fn literal(path: &[u8]) -> String {
    wildcard(path).replace("${", "$${")
}

/// An entry of a profile that means exactly this name, as a TOML string.
pub(crate) fn toml_name(prefix: &str, name: &[u8]) -> String {
    toml_string(&format!("{prefix}{}", wildcard(name)))
}

/// An entry of a profile that means exactly this path, as a TOML string.
pub(crate) fn toml_path(prefix: &str, path: &[u8]) -> String {
    let text = literal(path);
    // A trailing `?` alone would be read as the mark of an entry that may be missing.
    let mark = if text.ends_with('?') { "?" } else { "" };
    toml_string(&format!("{prefix}{text}{mark}"))
}

/// The same of a path that need not be there yet, which the mark `?` at its end says.
pub fn toml_new_path(path: &[u8]) -> String {
    toml_string(&format!("{}?", literal(path)))
}

/// A text as a basic TOML string, with nothing in it that could disturb a terminal.
pub fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || !(c.is_ascii() || c.is_alphanumeric()) => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of an environment variable or a file name as text of the host's own kind.
pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Variables {
        Variables {
            home: Some("/home/[u]".into()),
            program: Some("/opt/p/bin".into()),
            ..Variables::default()
        }
    }

    #[test]
    fn values_are_inserted_and_quoted_for_patterns() {
        assert_eq!(vars().expand("${HOME}/x").unwrap(), b"/home/[u]/x");
        assert_eq!(vars().expand_pattern("${HOME}/*").unwrap(), b"/home/[[]u]/*");
        assert_eq!(vars().expand("${PROGRAM_DIR}:$HOME:$${HOME}").unwrap(), b"/opt/p:$HOME:${HOME}");
    }

    #[test]
    fn a_wrong_variable_is_an_error_with_a_suggestion() {
        let error = vars().expand("${HOM}").unwrap_err();
        assert_eq!(error.to_string(), "unknown variable `${HOM}`");
        assert_eq!(error.help().unwrap(), "did you mean `HOME`?");
        assert_eq!(vars().expand("${CWD}"), Err(ExpandError::Unset("CWD")));
        assert_eq!(vars().expand("${HOME"), Err(ExpandError::Unclosed));
    }

    #[test]
    fn roots_homes_and_what_lies_above_are_too_much_to_grant_by_a_variable() {
        let at = |cwd: &str| Variables {
            home: Some("/data/u".into()),
            other_homes: vec!["/srv/homes/u".into()],
            cwd: Some(cwd.into()),
            program: Some(format!("{cwd}/prog").into()),
            ..Variables::default()
        };
        for cwd in ["/", "/tmp", "/var/tmp", "/data", "/data/u", "/srv/homes", "/home", "/home/v", "/root"] {
            assert!(at(cwd).too_much("${CWD}").is_some_and(|(name, _)| name == "CWD"), "{cwd}");
            assert!(at(cwd).too_much("${PROGRAM_DIR}/?").is_some() || cwd == "/", "{cwd}");
            assert!(at(cwd).too_much("${CWD}/x").is_none());
        }
        for cwd in ["/data/u/x", "/tmp/x", "/home/v/x", "/usr/bin", "/srv/homes/v"] {
            assert!(at(cwd).too_much("${CWD}").is_none(), "{cwd}");
        }
    }

    #[test]
    fn an_option_s_relative_path_is_taken_from_the_working_directory() {
        assert_eq!(vars().absolute("./a//b"), "${CWD}/a/b");
        assert_eq!(vars().absolute("."), "${CWD}/");
        assert_eq!(vars().absolute("/a"), "/a");
    }

    #[test]
    fn quoted_text_holds_no_control_characters() {
        assert_eq!(toml_path("", b"/a[\"\\\x1b\xff?"), r#""/a[[]\"\\\U0000001b?[?]""#);
        assert_eq!(toml_path("unix:", b"/a\xff"), r#""unix:/a??""#);
        assert_eq!(toml_name("unix:@", b"a\xff"), r#""unix:@a?""#);
        assert_eq!(toml_string("\u{202e}é"), "\"\\U0000202eé\"");
    }
}
