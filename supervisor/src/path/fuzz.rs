//! Fuzz target: names lead where the kernel says they lead, and hidden ones are as missing ones.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a fuzz target ends by a panic")]

use super::fixture::{Guest, Scratch};
use super::{Found, Lookup, Resolved, Target, resolve};
use arbitrary::{Result, Unstructured};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use rxbox_policy::Access;
use std::ffi::CString;
use std::fs::{create_dir, write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Names of objects, and what stands in links and names beside them.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "long-name"];
const PARTS: [&str; 9] = ["a", "b", "c", "d", "long-name", "..", ".", "", "nowhere"];

/// An object of a tree, by its path.
enum Object {
    Directory,
    File,
    Link(PathBuf),
}

/// The input: a tree of directories, files and links, which of them are hidden, and names.
///
/// The answer to each name is the kernel's, in a second tree in which what is hidden is not there.
pub fn paths(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let (scratch, twin) = (Scratch::new(), Scratch::new());
    let mut hidden = Vec::new();
    // Fails where the input ends: then the tree is what there is of it.
    let _ = grow(&mut input, &scratch.0, &twin.0, &mut hidden);
    let entries = hidden.iter().map(|path| format!("{:?}", scratch.0.join(path))).collect::<Vec<_>>();
    let guest = Guest::under(&scratch, &format!("write = [\"/\"]\nhidden = [{}]", entries.join(", ")));
    for _ in 0..32 {
        let Ok((name, how)) = question(&mut input) else { break };
        let expected = kernels(&twin.0, &name, how);
        let found = ours(&guest, &name, how);
        assert_eq!(
            found,
            expected.map(|path| with_root(&path, &twin.0, &scratch.0)),
            "{name:?} {how:?} {hidden:?}"
        );
    }
}

/// Makes the same tree twice, but that what is hidden exists in the first only.
fn grow(input: &mut Unstructured<'_>, own: &Path, twin: &Path, hidden: &mut Vec<PathBuf>) -> Result<()> {
    let mut directories = vec![PathBuf::new()];
    for _ in 0..input.int_in_range(0..=12)? {
        let path = input.choose(&directories)?.join(input.choose(&NAMES)?);
        let object = match input.int_in_range(0..=5)? {
            0 | 1 => Object::Directory,
            2 => Object::File,
            _ => Object::Link(target(input)?),
        };
        if own.join(&path).symlink_metadata().is_ok() {
            continue;
        }
        // Who hides a link hides what it leads to, which has another name here.
        let hides = !matches!(object, Object::Link(_)) && input.ratio(1u8, 5u8)?;
        let seen = !hides && twin.join(&path).parent().is_some_and(Path::is_dir);
        for root in [Some(own), seen.then_some(twin)].into_iter().flatten() {
            let at = root.join(&path);
            match &object {
                Object::Directory => create_dir(at).unwrap(),
                Object::File => write(at, "").unwrap(),
                Object::Link(to) if to.is_absolute() => {
                    symlink(root.join(to.strip_prefix("/").unwrap()), at).unwrap();
                }
                Object::Link(to) => symlink(to, at).unwrap(),
            }
        }
        if hides {
            hidden.push(path.clone());
        }
        if matches!(object, Object::Directory) {
            directories.push(path);
        }
    }
    Ok(())
}

/// What stands in a link; an absolute one is meant below the tree.
fn target(input: &mut Unstructured<'_>) -> Result<PathBuf> {
    let parts = (0..input.int_in_range(1..=4)?).map(|_| input.choose(&PARTS).copied());
    let text = parts.collect::<Result<Vec<_>>>()?.join("/");
    // An empty one cannot be made.
    Ok(if text.is_empty() { "a".into() } else { text.into() })
}

/// A name to look up, and how.
fn question(input: &mut Unstructured<'_>) -> Result<(CString, Lookup)> {
    let parts = (0..input.int_in_range(1..=6)?).map(|_| input.choose(&PARTS).copied());
    let name = parts.collect::<Result<Vec<_>>>()?.join("/");
    let restrict = *input.choose(&[
        ResolveFlag::empty(),
        ResolveFlag::empty(),
        ResolveFlag::RESOLVE_BENEATH,
        ResolveFlag::RESOLVE_NO_SYMLINKS,
        ResolveFlag::RESOLVE_NO_MAGICLINKS,
    ])?;
    let name = name.trim_start_matches('/').to_owned();
    Ok((CString::new(name).unwrap(), Lookup { follow: input.arbitrary()?, restrict, ..Lookup::FOLLOW }))
}

/// The name that the kernel finds, as it would call it.
fn kernels(root: &Path, name: &CString, how: Lookup) -> nix::Result<PathBuf> {
    let folder = std::fs::File::open(root).unwrap();
    let nofollow = if how.follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let open = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | nofollow).resolve(how.restrict);
    let fd = openat2(&folder, name.as_c_str(), open)?;
    Ok(crate::state::names::name_of(std::os::fd::AsFd::as_fd(&fd)).map(path_of).unwrap())
}

fn path_of(name: Vec<u8>) -> PathBuf {
    std::ffi::OsString::from_vec(name).into()
}

/// The name that a guest finds.
fn ours(guest: &Guest, name: &CString, how: Lookup) -> nix::Result<PathBuf> {
    let found = match resolve(&guest.caller(), libc::AT_FDCWD, name, how)? {
        Found::There(found) => found,
        Found::Missing(_) => return Err(Errno::ENOENT),
    };
    let Resolved { target: Target::Host(object), path } = found else { panic!("{name:?} leads into a view") };
    guest.caller().check(Access::Metadata, &path)?;
    let again = nix::sys::stat::lstat(path.as_slice()).unwrap();
    assert_eq!((again.st_dev, again.st_ino), (object.stat.st_dev, object.stat.st_ino), "{name:?}");
    Ok(path_of(path))
}

/// The same name in the other tree; what lies outside has the same name anyway.
fn with_root(path: &Path, from: &Path, to: &Path) -> PathBuf {
    path.strip_prefix(from).map_or_else(|_| path.to_owned(), |rest| to.join(rest))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_lead_where_the_kernels_lead_and_hidden_ones_nowhere() {
        rxbox_tests::fuzz::run("paths", 2_000, super::paths);
    }
}
