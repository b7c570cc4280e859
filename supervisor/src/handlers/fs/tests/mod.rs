//! The same calls made to the kernel and to the handlers, on two equal trees.

mod calls;
mod policy;

use super::named::find;
use super::open::{Opening, open_file};
use super::{attributes, names, rename, stat};
use crate::caller::Caller;
use crate::path::Lookup;
use crate::path::fixture::{Guest, Scratch};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

const ALL: &str = "write = [\"/\"]\nexecute = [\"/\"]";

/// A tree with every kind of name in it.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.0.join(name);
    std::fs::write(at("file"), "hello").unwrap();
    std::fs::create_dir_all(at("dir/sub")).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::write(at("dir/inner"), "").unwrap();
    for (link, text) in [
        ("link", "file"),
        ("dirlink", "dir"),
        ("emptylink", "empty"),
        ("dangling", "nowhere"),
        ("dangling-deep", "nowhere/x"),
        ("loop", "loop"),
    ] {
        symlink(text, at(link)).unwrap();
    }
    nix::unistd::mkfifo(&at("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    scratch
}

/// Everything in a tree: name, mode, length, and text of links, in order.
fn contents(root: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
        let mut list: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        list.sort();
        for path in list {
            let meta = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = std::fs::read_link(&path).unwrap_or_default();
            let length = if meta.is_dir() { 0 } else { meta.len() };
            out.push(format!("{name} {:o} {length} {} {}", meta.mode(), meta.nlink(), text.display()));
            if meta.is_dir() {
                walk(root, &path, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out
}

const NAMES: &[&str] = &[
    "file",
    "file/",
    "file/x",
    "file/.",
    "file/..",
    "dir",
    "dir/",
    "dir/.",
    "dir/..",
    "dir/inner",
    "dir/new",
    "dir/new/",
    "empty",
    "empty/",
    "empty/.",
    "empty/..",
    "link",
    "link/",
    "link/x",
    "dirlink",
    "dirlink/",
    "dirlink/.",
    "dirlink/..",
    "dirlink/inner",
    "dirlink/new",
    "emptylink",
    "emptylink/",
    "dangling",
    "dangling/",
    "dangling/x",
    "dangling-deep",
    "loop",
    "loop/",
    "loop/x",
    "fifo",
    "fifo/",
    "new",
    "new/",
    "new/x",
    "new/.",
    "new/..",
    ".",
    "..",
    "./new",
    "",
    "dir//new",
    "dir/../new",
    "dir/sub/../../dirlink/new",
];

fn c(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// Makes one call with the kernel and one with the handlers, each on a tree of its own, and compares answers
/// and trees.
fn alike<T: PartialEq + std::fmt::Debug>(
    what: &str,
    kernel: impl Fn(&std::fs::File) -> Result<T, Errno>,
    ours: impl Fn(&Caller<'_>) -> Result<T, Errno>,
) {
    let (theirs, own) = (tree(), tree());
    let guest = Guest::under(&own, ALL);
    let expected = kernel(&std::fs::File::open(&theirs.0).unwrap());
    assert_eq!(ours(&guest.caller()), expected, "{what}");
    assert_eq!(contents(&own.0), contents(&theirs.0), "{what}");
}

/// What can be compared of an opened file: its place in its tree, its type, and the flags that stay.
fn description(root: &std::fs::File, host: impl AsFd) -> (Vec<u8>, u32, i32) {
    let root = crate::state::names::label_of(root.as_fd()).unwrap();
    let name = crate::state::names::label_of(host.as_fd()).unwrap();
    let below = name.strip_prefix(root.as_slice()).map(<[u8]>::to_vec).unwrap_or(b"outside".to_vec());
    // A file without a name is called by its inode number.
    let below = below.split(|&b| b == b'#').next().map(<[u8]>::to_vec).unwrap_or_default();
    let flags = nix::fcntl::fcntl(&host, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    (
        below,
        nix::sys::stat::fstat(&host).unwrap().st_mode,
        flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_PATH),
    )
}

#[test]
fn opening_answers_and_does_what_the_kernel_answers_and_does() {
    use libc::*;
    let flags = [
        O_RDONLY,
        O_WRONLY,
        O_RDWR,
        O_RDWR | O_TRUNC,
        O_RDONLY | O_TRUNC,
        O_WRONLY | O_APPEND,
        O_CREAT | O_WRONLY,
        O_CREAT | O_RDONLY,
        O_CREAT | O_RDWR | O_TRUNC,
        O_CREAT | O_EXCL | O_RDWR,
        O_CREAT | O_NOFOLLOW | O_WRONLY,
        O_CREAT | O_DIRECTORY,
        O_DIRECTORY,
        O_DIRECTORY | O_NOFOLLOW,
        O_DIRECTORY | O_WRONLY,
        O_NOFOLLOW,
        O_PATH,
        O_PATH | O_NOFOLLOW,
        O_PATH | O_DIRECTORY | O_NOFOLLOW,
        O_PATH | O_CREAT | O_TRUNC,
        O_TMPFILE | O_RDWR,
        O_TMPFILE,
        O_ACCMODE,
    ];
    for name in NAMES {
        for flags in flags.map(|f| f | O_NONBLOCK | O_CLOEXEC) {
            let what = format!("{name} {flags:#o}");
            let (theirs, own) = (tree(), tree());
            let guest = Guest::under(&own, ALL);
            let (root, own_root) =
                (std::fs::File::open(&theirs.0).unwrap(), std::fs::File::open(&own.0).unwrap());
            let mode = Mode::from_bits_truncate(0o666);
            let expected =
                nix::fcntl::openat(&root, c(name).as_c_str(), OFlag::from_bits_retain(flags), mode)
                    .map(|fd| description(&root, fd));
            let how = Opening { flags, mode: 0o666, restrict: ResolveFlag::empty() };
            let seen = open_file(&guest.caller(), AT_FDCWD, &c(name), how)
                .map(|file| description(&own_root, &file.host));
            assert_eq!(seen, expected, "{what}");
            assert_eq!(contents(&own.0), contents(&theirs.0), "{what}");
        }
    }
}

#[test]
fn asking_answers_what_the_kernel_answers() {
    let scratch = tree();
    let guest = Guest::under(&scratch, ALL);
    let root = std::fs::File::open(&scratch.0).unwrap();
    for name in NAMES.iter().filter(|name| !name.is_empty()) {
        for (how, flags) in [(Lookup::FOLLOW, AtFlags::empty()), (Lookup::LINK, AtFlags::AT_SYMLINK_NOFOLLOW)]
        {
            let caller = guest.caller();
            let seen =
                find(&caller, libc::AT_FDCWD, &c(name), how).and_then(|f| stat::status_of(&caller, &f));
            let expected = nix::sys::stat::fstatat(&root, c(name).as_c_str(), flags);
            assert_eq!(
                seen.map(|s| (s.st_ino, s.st_mode, s.st_size)),
                expected.map(|s| (s.st_ino, s.st_mode, s.st_size)),
                "{name}"
            );
        }
        let caller = guest.caller();
        let text =
            find(&caller, libc::AT_FDCWD, &c(name), Lookup::LINK).and_then(|f| stat::link_text(&caller, &f));
        let expected = nix::fcntl::readlinkat(&root, c(name).as_c_str());
        assert_eq!(text, expected.map(std::ffi::OsString::into_encoded_bytes), "{name}");
        for mode in [libc::F_OK, libc::R_OK, libc::W_OK, libc::X_OK] {
            let seen = find(&caller, libc::AT_FDCWD, &c(name), Lookup::FOLLOW)
                .and_then(|f| stat::check_access(&caller, &f, mode, 0));
            let mode = nix::unistd::AccessFlags::from_bits_truncate(mode);
            let expected = nix::unistd::faccessat(&root, c(name).as_c_str(), mode, AtFlags::empty());
            assert_eq!(seen, expected, "{name} {mode:?}");
        }
    }
}

#[test]
fn making_and_taking_away_names_is_as_in_the_kernel() {
    let at = libc::AT_FDCWD;
    for name in NAMES {
        let n = &c(name);
        let mode = Mode::from_bits_truncate(0o777);
        alike(
            &format!("mkdir {name}"),
            |d| nix::sys::stat::mkdirat(d, n.as_c_str(), mode).map(|()| 0),
            |g| names::make_directory(g, at, n, 0o777),
        );
        alike(
            &format!("mknod {name}"),
            |d| nix::sys::stat::mknodat(d, n.as_c_str(), SFlag::S_IFIFO, mode, 0).map(|()| 0),
            |g| names::make_node(g, (at, Ok(n)), libc::S_IFIFO | 0o777),
        );
        alike(
            &format!("symlink {name}"),
            |d| nix::unistd::symlinkat(c"any text", d, n.as_c_str()).map(|()| 0),
            |g| names::make_link(g, c"any text", (at, Ok(n))),
        );
        alike(
            &format!("unlink {name}"),
            |d| nix::unistd::unlinkat(d, n.as_c_str(), nix::unistd::UnlinkatFlags::NoRemoveDir).map(|()| 0),
            |g| names::remove(g, at, n, 0),
        );
        alike(
            &format!("rmdir {name}"),
            |d| nix::unistd::unlinkat(d, n.as_c_str(), nix::unistd::UnlinkatFlags::RemoveDir).map(|()| 0),
            |g| names::remove(g, at, n, libc::AT_REMOVEDIR),
        );
    }
}

#[test]
fn renaming_and_linking_is_as_in_the_kernel() {
    let at = libc::AT_FDCWD;
    for old in [
        "file",
        "file/",
        "dir",
        "dir/",
        "dirlink",
        "dirlink/",
        "link",
        "dangling",
        "new",
        "dir/.",
        "..",
        "loop",
        "fifo",
        "dir/inner",
        "",
    ] {
        for new in [
            "file",
            "new",
            "new/",
            "dir",
            "dir/new",
            "dir/sub/new",
            "empty",
            "empty/",
            "dirlink",
            "dirlink/new",
            "link",
            "dangling",
            "dangling/",
            ".",
            "file/x",
            "nowhere/x",
            "",
        ] {
            let (o, n) = (&c(old), &c(new));
            for flags in [RenameFlags::empty(), RenameFlags::RENAME_NOREPLACE, RenameFlags::RENAME_EXCHANGE] {
                alike(
                    &format!("rename {old} {new} {flags:?}"),
                    |d| nix::fcntl::renameat2(d, o.as_c_str(), d, n.as_c_str(), flags).map(|()| 0),
                    |g| rename::rename(g, (at, Ok(o)), (at, Ok(n)), flags.bits()),
                );
            }
            for flags in [AtFlags::empty(), AtFlags::AT_SYMLINK_FOLLOW] {
                alike(
                    &format!("link {old} {new} {flags:?}"),
                    |d| nix::unistd::linkat(d, o.as_c_str(), d, n.as_c_str(), flags).map(|()| 0),
                    |g| names::add_name(g, (at, Ok(o)), (at, Ok(n)), flags.bits()),
                );
            }
        }
    }
}

#[test]
fn modes_and_lengths_are_changed_as_by_the_kernel() {
    let at = libc::AT_FDCWD;
    for name in NAMES.iter().filter(|name| !name.is_empty()) {
        let n = &c(name);
        alike(
            &format!("chmod {name}"),
            |d| {
                nix::sys::stat::fchmodat(
                    d,
                    n.as_c_str(),
                    Mode::from_bits_truncate(0o751),
                    nix::sys::stat::FchmodatFlags::FollowSymlink,
                )
            },
            |g| find(g, at, n, Lookup::FOLLOW).and_then(|f| attributes::set_mode(g, &f, 0o751)),
        );
        let absolute = |d: &std::fs::File| {
            let root = crate::state::names::label_of(d.as_fd()).unwrap();
            CString::new(crate::state::names::join(&root, name.as_bytes())).unwrap()
        };
        alike(
            &format!("truncate {name}"),
            |d| nix::unistd::truncate(absolute(d).as_c_str(), 3),
            |g| find(g, at, n, Lookup::FOLLOW).and_then(|f| attributes::set_length(g, &f, 3)),
        );
    }
}
