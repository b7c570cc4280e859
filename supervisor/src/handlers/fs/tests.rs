//! The same calls made to the kernel and to the handlers, on two equal trees; and what the policy adds.

use super::open::{Opening, open_file};
use super::*;
use crate::fd::File;
use crate::path::fixture::{Guest, Scratch};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};
use std::ffi::CString;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
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
    "file", "file/", "file/x", "file/.", "file/..", "dir", "dir/", "dir/.", "dir/..", "dir/inner", "dir/new", "dir/new/",
    "empty", "empty/", "empty/.", "empty/..", "link", "link/", "link/x", "dirlink", "dirlink/", "dirlink/.", "dirlink/..",
    "dirlink/inner", "dirlink/new", "emptylink", "emptylink/", "dangling", "dangling/", "dangling/x", "dangling-deep",
    "loop", "loop/", "loop/x", "fifo", "fifo/", "new", "new/", "new/x", "new/.", "new/..", ".", "..", "./new", "", "dir//new",
    "dir/../new", "dir/sub/../../dirlink/new",
];

fn c(name: &str) -> CString {
    CString::new(name).unwrap()
}

/// Makes one call with the kernel and one with the handlers, each on a tree of its own, and compares answers and trees.
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
    let root = crate::path::label_of(root.as_fd()).unwrap();
    let name = crate::path::label_of(host.as_fd()).unwrap();
    let below = name.strip_prefix(root.as_slice()).map(<[u8]>::to_vec).unwrap_or(b"outside".to_vec());
    // A file without a name is called by its inode number.
    let below = below.split(|&b| b == b'#').next().map(<[u8]>::to_vec).unwrap_or_default();
    let flags = nix::fcntl::fcntl(&host, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    (below, nix::sys::stat::fstat(&host).unwrap().st_mode, flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_PATH))
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
            let (root, own_root) = (std::fs::File::open(&theirs.0).unwrap(), std::fs::File::open(&own.0).unwrap());
            let mode = Mode::from_bits_truncate(0o666);
            let expected = nix::fcntl::openat(&root, c(name).as_c_str(), OFlag::from_bits_retain(flags), mode)
                .map(|fd| description(&root, fd));
            let how = Opening { flags, mode: 0o666, restrict: ResolveFlag::empty() };
            let seen = open_file(&guest.caller(), libc::AT_FDCWD, &c(name), how)
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
        for (how, flags) in [(Lookup::FOLLOW, AtFlags::empty()), (Lookup::LINK, AtFlags::AT_SYMLINK_NOFOLLOW)] {
            let caller = guest.caller();
            let seen = find(&caller, libc::AT_FDCWD, &c(name), how).and_then(|f| stat::status_of(&caller, &f));
            let expected = nix::sys::stat::fstatat(&root, c(name).as_c_str(), flags);
            assert_eq!(seen.map(|s| (s.st_ino, s.st_mode, s.st_size)), expected.map(|s| (s.st_ino, s.st_mode, s.st_size)), "{name}");
        }
        let caller = guest.caller();
        let text = find(&caller, libc::AT_FDCWD, &c(name), Lookup::LINK).and_then(|f| stat::link_text(&caller, &f));
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
        alike(&format!("mkdir {name}"),
            |d| nix::sys::stat::mkdirat(d, n.as_c_str(), mode).map(|()| 0),
            |g| names::make_directory(g, at, n, 0o777));
        alike(&format!("mknod {name}"),
            |d| nix::sys::stat::mknodat(d, n.as_c_str(), SFlag::S_IFIFO, mode, 0).map(|()| 0),
            |g| names::make_node(g, at, n, libc::S_IFIFO | 0o777));
        alike(&format!("symlink {name}"),
            |d| nix::unistd::symlinkat(c"any text", d, n.as_c_str()).map(|()| 0),
            |g| names::make_link(g, c"any text", at, n));
        alike(&format!("unlink {name}"),
            |d| nix::unistd::unlinkat(d, n.as_c_str(), nix::unistd::UnlinkatFlags::NoRemoveDir).map(|()| 0),
            |g| names::remove(g, at, n, 0));
        alike(&format!("rmdir {name}"),
            |d| nix::unistd::unlinkat(d, n.as_c_str(), nix::unistd::UnlinkatFlags::RemoveDir).map(|()| 0),
            |g| names::remove(g, at, n, libc::AT_REMOVEDIR));
    }
}

#[test]
fn renaming_and_linking_is_as_in_the_kernel() {
    let at = libc::AT_FDCWD;
    for old in ["file", "file/", "dir", "dir/", "dirlink", "dirlink/", "link", "dangling", "new", "dir/.", "..", "loop", "fifo", "dir/inner", ""] {
        for new in ["file", "new", "new/", "dir", "dir/new", "dir/sub/new", "empty", "empty/", "dirlink", "dirlink/new", "link", "dangling", "dangling/", ".", "file/x", "nowhere/x", ""] {
            let (o, n) = (&c(old), &c(new));
            for flags in [RenameFlags::empty(), RenameFlags::RENAME_NOREPLACE, RenameFlags::RENAME_EXCHANGE] {
                alike(&format!("rename {old} {new} {flags:?}"),
                    |d| nix::fcntl::renameat2(d, o.as_c_str(), d, n.as_c_str(), flags).map(|()| 0),
                    |g| rename::rename(g, (at, o), (at, n), flags.bits()));
            }
            for flags in [AtFlags::empty(), AtFlags::AT_SYMLINK_FOLLOW] {
                alike(&format!("link {old} {new} {flags:?}"),
                    |d| nix::unistd::linkat(d, o.as_c_str(), d, n.as_c_str(), flags).map(|()| 0),
                    |g| names::add_name(g, (at, o), (at, n), flags.bits()));
            }
        }
    }
}

#[test]
fn modes_and_lengths_are_changed_as_by_the_kernel() {
    let at = libc::AT_FDCWD;
    for name in NAMES.iter().filter(|name| !name.is_empty()) {
        let n = &c(name);
        alike(&format!("chmod {name}"),
            |d| nix::sys::stat::fchmodat(d, n.as_c_str(), Mode::from_bits_truncate(0o751), nix::sys::stat::FchmodatFlags::FollowSymlink),
            |g| find(g, at, n, Lookup::FOLLOW).and_then(|f| attributes::set_mode(g, &f, 0o751)));
        let absolute = |d: &std::fs::File| {
            let root = crate::path::label_of(d.as_fd()).unwrap();
            CString::new(crate::path::join(&root, name.as_bytes())).unwrap()
        };
        alike(&format!("truncate {name}"),
            |d| nix::unistd::truncate(absolute(d).as_c_str(), 3),
            |g| find(g, at, n, Lookup::FOLLOW).and_then(|f| attributes::set_length(g, &f, 3)));
    }
}

fn open(guest: &Guest, name: &str, flags: i32) -> Result<File, Errno> {
    open_file(&guest.caller(), libc::AT_FDCWD, &c(name), Opening { flags, mode: 0o666, restrict: ResolveFlag::empty() })
}

#[test]
fn what_the_policy_does_not_give_is_not_opened_made_or_changed() {
    let scratch = tree();
    std::fs::create_dir(scratch.0.join("out")).unwrap();
    std::fs::write(scratch.0.join("out/secret"), "secret").unwrap();
    symlink("out/secret", scratch.0.join("leak")).unwrap();
    symlink("out/planted", scratch.0.join("plant")).unwrap();
    let guest = Guest::under(&scratch, "read = [\"@/file\", \"@/dir\"]\nwrite = [\"@/empty\"]\ndeny = [\"@/empty/no?\"]");
    let before = contents(&scratch.0);
    let denied = Err(Errno::EACCES);
    for (name, flags) in [
        ("out/secret", libc::O_RDONLY),
        ("leak", libc::O_RDONLY),
        ("dir/../out/secret", libc::O_RDONLY),
        ("file", libc::O_WRONLY),
        ("file", libc::O_RDWR),
        ("file", libc::O_RDONLY | libc::O_TRUNC),
        ("link", libc::O_WRONLY),
        ("plant", libc::O_WRONLY | libc::O_CREAT),
        ("plant", libc::O_RDONLY | libc::O_CREAT),
        ("dir/new", libc::O_RDONLY | libc::O_CREAT),
        ("dir", libc::O_TMPFILE | libc::O_RDWR),
        ("empty/no", libc::O_RDWR | libc::O_CREAT),
        ("out", libc::O_RDONLY),
    ] {
        assert_eq!(open(&guest, name, flags).map(|_| ()), denied, "{name} {flags:#o}");
    }
    let g = &guest.caller();
    let at = libc::AT_FDCWD;
    assert_eq!(names::make_directory(g, at, c"dir/new", 0o777), Err(Errno::EACCES));
    assert_eq!(names::make_directory(g, at, c"dir/sub", 0o777), Err(Errno::EEXIST));
    assert_eq!(names::make_node(g, at, c"empty/no", libc::S_IFREG), Err(Errno::EACCES));
    assert_eq!(names::make_node(g, at, c"empty/device", libc::S_IFCHR), Err(Errno::EPERM));
    assert_eq!(names::make_link(g, c"x", at, c"dir/new"), Err(Errno::EACCES));
    assert_eq!(names::remove(g, at, c"file", 0), Err(Errno::EACCES));
    assert_eq!(names::remove(g, at, c"dir/missing", 0), Err(Errno::ENOENT));
    assert_eq!(names::add_name(g, (at, c"file"), (at, c"empty/file"), 0), Err(Errno::EACCES));
    assert_eq!(names::add_name(g, (at, c"out/secret"), (at, c"empty/file"), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, c"file"), (at, c"empty/file"), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, c"out/secret"), (at, c"empty/file"), 0), Err(Errno::EACCES));
    let found = find(g, at, c"file", Lookup::FOLLOW).unwrap();
    assert_eq!(attributes::set_mode(g, &found, 0o777), Err(Errno::EACCES));
    assert_eq!(attributes::set_length(g, &found, 0), Err(Errno::EACCES));
    assert_eq!(stat::check_access(g, &found, libc::W_OK, 0), Err(Errno::EACCES));
    assert_eq!(stat::check_access(g, &found, libc::R_OK, 0), Ok(()));
    assert_eq!(contents(&scratch.0), before);
}

#[test]
fn a_descriptor_is_opened_anew_with_the_rights_it_has_and_more_only_as_its_name_allows() {
    let scratch = tree();
    let guest = Guest::under(&scratch, "read = [\"@/file\", \"/proc/self\"]\nwrite = [\"@/empty\"]");
    let number = |file: File| guest.process.fds.insert(file, false, 3).unwrap();
    let again = |n: i32, flags| open(&guest, &format!("/proc/self/fd/{n}"), flags);
    let read_only = number(open(&guest, "file", libc::O_RDONLY).unwrap());
    let by_path = number(open(&guest, "file", libc::O_PATH).unwrap());
    for n in [read_only, by_path] {
        assert!(again(n, libc::O_RDONLY).is_ok());
        for flags in [libc::O_RDWR, libc::O_WRONLY, libc::O_RDONLY | libc::O_TRUNC] {
            assert_eq!(again(n, flags).map(|_| ()), Err(Errno::EACCES), "{flags:#o}");
        }
    }
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let reader = number(File::made(reader).unwrap());
    assert!(again(reader, libc::O_RDONLY | libc::O_NONBLOCK).is_ok());
    assert_eq!(again(reader, libc::O_WRONLY | libc::O_NONBLOCK).map(|_| ()), Err(Errno::EACCES));
    drop(writer);
    let gone = open(&guest, "empty/gone", libc::O_RDWR | libc::O_CREAT).unwrap();
    std::fs::remove_file(scratch.0.join("empty/gone")).unwrap();
    let gone = number(gone);
    assert!(again(gone, libc::O_RDWR).unwrap().writable());
    let dir = open(&guest, "/proc/self/fd", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
    let dir = number(dir);
    let by_dir = open_file(&guest.caller(), dir, &c(&read_only.to_string()), Opening { flags: 0, mode: 0, restrict: ResolveFlag::empty() });
    assert!(by_dir.is_ok());
    assert_eq!(std::fs::read_to_string(scratch.0.join("file")).unwrap(), "hello");
}

#[test]
fn hidden_names_are_left_out_of_listings_and_the_end_is_still_the_end() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("d")).unwrap();
    for n in 0..300 {
        std::fs::write(scratch.0.join(format!("d/{}{n}", if n % 3 == 0 { "shown" } else { "ghost" })), "").unwrap();
    }
    let guest = Guest::under(&scratch, "read = [\"@\"]\nhidden = [\"@/d/ghost*\"]");
    for room in [64, 512, 1 << 16] {
        let dir = open(&guest, "d", libc::O_RDONLY).unwrap();
        let mut names = Vec::new();
        loop {
            let piece = directory::host_entries(&guest.caller(), &dir, room).unwrap();
            assert!(piece.len() <= room);
            if piece.is_empty() {
                break;
            }
            names.extend(crate::host::dirent::entries(&piece).map(|e| e.name.to_vec()));
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 102, "{room}");
        assert!(names.iter().all(|n| n.starts_with(b"shown") || n.starts_with(b".")));
    }
    assert_eq!(open(&guest, "d/ghost1", libc::O_RDONLY).map(|_| ()), Err(Errno::ENOENT));
    assert_eq!(open(&guest, "d/ghost1", libc::O_RDWR | libc::O_CREAT).map(|_| ()), Err(Errno::ENOENT));
}

#[test]
fn a_directory_does_not_carry_denied_files_out_from_under_their_rule() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.0.join("a/b")).unwrap();
    std::fs::create_dir_all(scratch.0.join("free/b")).unwrap();
    std::fs::write(scratch.0.join("a/b/secret"), "").unwrap();
    let guest = Guest::under(&scratch, "write = [\"@\"]\ndeny = [\"@/a/b/secret\"]");
    let g = &guest.caller();
    let at = libc::AT_FDCWD;
    let exchange = RenameFlags::RENAME_EXCHANGE.bits();
    for (old, new, flags) in [(c"a", c"c", 0), (c"a/b", c"c", 0), (c"a/b/", c"c", 0), (c"free/b", c"a/b", exchange), (c"a/b", c"free/b", exchange)] {
        assert_eq!(rename::rename(g, (at, old), (at, new), flags), Err(Errno::EXDEV), "{old:?}");
    }
    assert_eq!(rename::rename(g, (at, c"a/b/secret"), (at, c"c"), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, c"free/b"), (at, c"c"), 0), Ok(0));
    assert!(scratch.0.join("a/b/secret").exists());
}

#[test]
fn set_user_id_bits_are_never_set_on_files() {
    let scratch = tree();
    let guest = Guest::free(&scratch);
    let g = &guest.caller();
    let mode = |name: &str| scratch.0.join(name).metadata().unwrap().permissions().mode() & 0o7777;
    let found = find(g, libc::AT_FDCWD, c"file", Lookup::FOLLOW).unwrap();
    attributes::set_mode(g, &found, 0o6755).unwrap();
    assert_eq!(mode("file"), 0o755);
    let how = Opening { flags: libc::O_CREAT | libc::O_RDWR, mode: 0o6777, restrict: ResolveFlag::empty() };
    open_file(g, libc::AT_FDCWD, c"new", how).unwrap();
    assert_eq!(mode("new"), 0o755);
    names::make_node(g, libc::AT_FDCWD, c"node", libc::S_IFREG | 0o6777).unwrap();
    assert_eq!(mode("node"), 0o755);
}

#[test]
fn while_a_link_and_a_directory_change_places_the_denied_file_is_never_opened() {
    use std::sync::atomic::{AtomicBool, Ordering};
    const ROUNDS: usize = 20_000;
    let scratch = Scratch::new();
    let at = |name: &str| scratch.0.join(name);
    for dir in ["denied", "open"] {
        std::fs::create_dir(at(dir)).unwrap();
        std::fs::write(at(dir).join("f"), dir).unwrap();
    }
    // The middle component and, in `open`, the last one.
    symlink(at("denied"), at("swap")).unwrap();
    symlink(at("denied/f"), at("open/swap")).unwrap();
    let guest = Guest::under(&scratch, "write = [\"@\"]\ndeny = [\"@/denied\"]");
    let forbidden = at("denied/f").metadata().unwrap().ino();
    let over = AtomicBool::new(false);
    let (mut opened, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (a, b) in [("open", "swap"), ("open/f", "open/swap"), ("swap/f", "swap/swap")] {
                    // Which of the names is there depends on the round.
                    let _ = nix::fcntl::renameat2(AT_FDCWD, &at(a), AT_FDCWD, &at(b), RenameFlags::RENAME_EXCHANGE);
                }
            }
        });
        for round in 0..ROUNDS {
            let name = ["open/f", "open/swap", "swap/f"][round % 3];
            let flags = [libc::O_RDONLY, libc::O_RDWR | libc::O_CREAT, libc::O_PATH][round / 3 % 3];
            match open(&guest, name, flags) {
                Ok(file) => {
                    opened += 1;
                    assert_ne!(nix::sys::stat::fstat(&file.host).unwrap().st_ino, forbidden);
                }
                Err(_) => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(opened > 0 && refused > 0, "{opened} {refused}");
}

#[test]
fn programs_are_opened_only_if_the_policy_lets_them_run() {
    let scratch = tree();
    let program = scratch.0.join("dir/program");
    std::fs::write(&program, "x").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    symlink("program", scratch.0.join("dir/alias")).unwrap();
    std::fs::copy(&program, scratch.0.join("file-x")).unwrap();
    let guest = Guest::under(&scratch, "execute = [\"@/dir\"]\nread = [\"@\"]");
    let run = |name: &str| open_exec(&guest.caller(), libc::AT_FDCWD, &c(name), 0).map(|(_, path)| path);
    let path = program.into_os_string().into_encoded_bytes();
    assert_eq!(run("dir/program"), Ok(path.clone()));
    assert_eq!(run("dir/alias"), Ok(path));
    assert_eq!(run("file-x"), Err(Errno::EACCES));
    assert_eq!(run("dir/inner"), Err(Errno::EACCES));
    assert_eq!(run("dir"), Err(Errno::EACCES));
    assert_eq!(run("nowhere"), Err(Errno::ENOENT));
    assert_eq!(run("loop"), Err(Errno::ELOOP));
}
