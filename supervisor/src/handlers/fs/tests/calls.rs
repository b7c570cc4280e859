//! Whole calls: that each takes its arguments from where the manual says and fills what the guest gave room
//! for.

use super::tree;
use crate::handlers::fixture::{A, Guest, word, words};
use crate::path::fixture::Scratch;
use nix::errno::Errno;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn path(scratch: &Scratch, name: &str) -> Vec<u8> {
    [scratch.text().as_bytes(), b"/", name.as_bytes(), b"\0"].concat()
}

const CWD: A<'static> = A::N(libc::AT_FDCWD as i64);

#[test]
fn status_calls_fill_the_structures_of_the_kernel() {
    let (scratch, guest) = (tree(), Guest::free());
    let (file, link) = (path(&scratch, "file"), path(&scratch, "link"));
    let inode = |name: &str| scratch.0.join(name).symlink_metadata().unwrap().ino();
    let number = |out: &[u8]| word(out, 1);
    assert_eq!(number(&guest.call("stat", &[A::M(&link), A::Room(144)]).out[1]), inode("file"));
    assert_eq!(number(&guest.call("lstat", &[A::M(&link), A::Room(144)]).out[1]), inode("link"));
    let done = guest.call("newfstatat", &[CWD, A::M(&link), A::Room(144), A::N(0)]);
    assert_eq!((number(&done.out[2]), done.out[2].len()), (inode("file"), 144));
    let nofollow = A::N(libc::AT_SYMLINK_NOFOLLOW.into());
    assert_eq!(
        number(&guest.call("newfstatat", &[CWD, A::M(&link), A::Room(144), nofollow]).out[2]),
        inode("link")
    );
    let done = guest.call("statx", &[CWD, A::M(&file), A::N(0), A::N(libc::STATX_INO.into()), A::Room(256)]);
    assert_eq!((word(&done.out[4], 4), done.out[4].len()), (inode("file"), 256));
    let done = guest.call(
        "statx",
        &[CWD, A::M(b"/proc/self/comm\0"), A::N(0), A::N(libc::STATX_INO.into()), A::Room(256)],
    );
    assert_eq!(done.answer, Ok(0));
    let fd = guest.ask("openat", &[CWD, A::M(&file), A::N(0), A::N(0)]).unwrap();
    assert_eq!(number(&guest.call("fstat", &[A::N(fd), A::Room(144)]).out[1]), inode("file"));
    let empty = A::N(libc::AT_EMPTY_PATH.into());
    assert_eq!(
        number(&guest.call("newfstatat", &[A::N(fd), A::M(b"\0"), A::Room(144), empty]).out[2]),
        inode("file")
    );
    assert_eq!(guest.ask("newfstatat", &[A::N(fd), A::M(b"\0"), A::Room(144), A::N(0)]), Err(Errno::ENOENT));
    assert_eq!(guest.ask("fstat", &[A::N(99), A::Room(144)]), Err(Errno::EBADF));
    assert_eq!(guest.call("statfs", &[A::M(&file), A::Room(120)]).out[1].len(), 120);
    let proc = guest.call("statfs", &[A::M(b"/proc/self\0"), A::Room(120)]);
    assert_eq!(word(&proc.out[1], 0), libc::PROC_SUPER_MAGIC as u64);
}

#[test]
fn links_are_read_into_the_room_there_is() {
    let (scratch, guest) = (tree(), Guest::free());
    let link = path(&scratch, "dangling");
    let done = guest.call("readlink", &[A::M(&link), A::Room(64), A::N(64)]);
    assert_eq!((done.answer, done.out[1].as_slice()), (Ok(7), b"nowhere".as_slice()));
    let done = guest.call("readlinkat", &[CWD, A::M(&link), A::Room(3), A::N(3)]);
    assert_eq!((done.answer, done.out[2].as_slice()), (Ok(3), b"now".as_slice()));
    let done = guest.call("readlink", &[A::M(b"/proc/self\0"), A::Room(64), A::N(64)]);
    assert_eq!(done.out[1], guest.process.pid.to_string().into_bytes());
    assert_eq!(guest.ask("readlink", &[A::M(&link), A::Room(0), A::N(0)]), Err(Errno::EINVAL));
}

#[test]
fn names_are_made_moved_and_taken_away_by_their_calls() {
    let (scratch, guest) = (tree(), Guest::free());
    let [d, f, l, m, s] = ["newdir", "file", "hard", "moved", "soft"].map(|name| path(&scratch, name));
    let there = |name: &str| scratch.0.join(name).symlink_metadata().is_ok();
    guest.ask("mkdirat", &[CWD, A::M(&d), A::N(0o777)]).unwrap();
    assert_eq!(scratch.0.join("newdir").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    guest.ask("linkat", &[CWD, A::M(&f), CWD, A::M(&l), A::N(0)]).unwrap();
    guest.ask("renameat2", &[CWD, A::M(&l), CWD, A::M(&m), A::N(0)]).unwrap();
    guest.ask("symlinkat", &[A::M(b"text\0"), CWD, A::M(&s)]).unwrap();
    assert!(there("newdir") && there("moved") && there("soft") && !there("hard"));
    assert_eq!(guest.ask("unlink", &[A::M(&d)]), Err(Errno::EISDIR));
    guest.ask("unlinkat", &[CWD, A::M(&d), A::N(libc::AT_REMOVEDIR.into())]).unwrap();
    guest.ask("unlink", &[A::M(&m)]).unwrap();
    assert!(!there("newdir") && !there("moved"));
}

#[test]
fn modes_owners_times_and_lengths_are_set_by_path_and_descriptor() {
    let (scratch, guest) = (tree(), Guest::free());
    let file = path(&scratch, "file");
    let meta = || scratch.0.join("file").metadata().unwrap();
    guest.ask("chmod", &[A::M(&file), A::N(0o600)]).unwrap();
    assert_eq!(meta().mode() & 0o7777, 0o600);
    let fd = guest.ask("open", &[A::M(&file), A::N(libc::O_RDWR.into()), A::N(0)]).unwrap();
    guest.ask("fchmod", &[A::N(fd), A::N(0o640)]).unwrap();
    assert_eq!(meta().mode() & 0o7777, 0o640);
    guest.ask("fchownat", &[CWD, A::M(&file), A::N(-1), A::N(-1), A::N(0)]).unwrap();
    let times = words(&[5, 6, 7, 8]);
    guest.ask("utimensat", &[CWD, A::M(&file), A::M(&times), A::N(0)]).unwrap();
    assert_eq!((meta().atime(), meta().atime_nsec(), meta().mtime(), meta().mtime_nsec()), (5, 6, 7, 8));
    guest.ask("utimensat", &[A::N(fd), A::Null, A::M(&words(&[9, 0, 9, 0])), A::N(0)]).unwrap();
    assert_eq!((meta().atime(), meta().mtime()), (9, 9));
    let bad = words(&[5, 2_000_000_000, 7, 8]);
    assert_eq!(guest.ask("utimensat", &[CWD, A::M(&file), A::M(&bad), A::N(0)]), Err(Errno::EINVAL));
    guest.ask("truncate", &[A::M(&file), A::N(2)]).unwrap();
    assert_eq!(meta().len(), 2);
    assert_eq!(guest.ask("truncate", &[A::M(&file), A::N(-1)]), Err(Errno::EINVAL));
}

#[test]
fn directories_are_entered_listed_and_named() {
    let (scratch, guest) = (tree(), Guest::free());
    guest.ask("chdir", &[A::M(&path(&scratch, "dirlink"))]).unwrap();
    let done = guest.call("getcwd", &[A::Room(4096), A::N(4096)]);
    assert_eq!(done.out[0], path(&scratch, "dir"));
    assert_eq!(done.answer, Ok(done.out[0].len() as i64));
    assert_eq!(guest.ask("getcwd", &[A::Room(4), A::N(4)]), Err(Errno::ERANGE));
    let fd = guest.ask("openat", &[CWD, A::M(b".\0"), A::N(libc::O_DIRECTORY.into()), A::N(0)]).unwrap();
    let listed = guest.call("getdents64", &[A::N(fd), A::Room(4096), A::N(4096)]);
    let mut names: Vec<_> = crate::host::dirent::entries(&listed.out[1]).map(|e| e.name.to_vec()).collect();
    names.sort();
    assert_eq!(names, [b".".as_slice(), b"..", b"inner", b"sub"]);
    assert_eq!(guest.ask("getdents64", &[A::N(fd), A::Room(4096), A::N(4096)]), Ok(0));
    guest.ask("chdir", &[A::M(b"/proc/self/fd\0")]).unwrap();
    let done = guest.call("getcwd", &[A::Room(4096), A::N(4096)]);
    assert_eq!(done.out[0], format!("/proc/{}/fd\0", guest.process.pid).into_bytes());
    guest.ask("fchdir", &[A::N(fd)]).unwrap();
    assert_eq!(guest.call("getcwd", &[A::Room(4096), A::N(4096)]).out[0], path(&scratch, "dir"));
    let file = guest.ask("open", &[A::M(&path(&scratch, "file")), A::N(0), A::N(0)]).unwrap();
    assert_eq!(guest.ask("fchdir", &[A::N(file)]), Err(Errno::ENOTDIR));
}

#[test]
fn the_view_is_read_listed_and_sought_like_files() {
    let guest = Guest::free();
    let open = |path: &[u8], flags: i32| guest.ask("openat", &[CWD, A::M(path), A::N(flags.into()), A::N(0)]);
    let fd = open(b"/proc/self/comm\0", 0).unwrap();
    let comm = [guest.process.name().as_slice(), b"\n"].concat();
    assert_eq!(guest.call("read", &[A::N(fd), A::Room(64), A::N(64)]).out[1], comm);
    assert_eq!(open(b"/proc/self/status\0", libc::O_WRONLY), Err(Errno::EACCES));
    let named = open(b"/proc/self/comm\0", libc::O_WRONLY | libc::O_TRUNC).unwrap();
    assert_eq!(guest.ask("write", &[A::N(named), A::M(b"a name that is too long"), A::N(23)]), Ok(23));
    assert_eq!(guest.process.name(), b"a name that is ");
    assert_eq!(guest.ask("read", &[A::N(named), A::Room(8), A::N(8)]), Err(Errno::EBADF));
    assert_eq!(guest.ask("write", &[A::N(fd), A::M(b"x"), A::N(1)]), Err(Errno::EBADF));
    assert_eq!(open(b"/proc/self\0", libc::O_RDWR), Err(Errno::EISDIR));
    assert_eq!(open(b"/proc/self/new\0", libc::O_RDWR | libc::O_CREAT), Err(Errno::ENOENT));
    let dir = open(b"/proc/self/\0", libc::O_DIRECTORY).unwrap();
    let mut names = Vec::new();
    loop {
        let done = guest.call("getdents64", &[A::N(dir), A::Room(100), A::N(100)]);
        if done.out[1].is_empty() {
            break;
        }
        names.extend(crate::host::dirent::entries(&done.out[1]).map(|e| e.name.to_vec()));
    }
    assert!(names.len() > 20 && names.contains(&b"..".to_vec()) && names.contains(&b"fd".to_vec()));
    guest.ask("lseek", &[A::N(dir), A::N(0), A::N(0)]).unwrap();
    let first = guest.call("getdents64", &[A::N(dir), A::Room(100), A::N(100)]);
    assert_eq!(crate::host::dirent::entries(&first.out[1]).next().unwrap().name, b".");
    assert_eq!(guest.ask("getdents64", &[A::N(dir), A::Room(8), A::N(8)]), Err(Errno::EINVAL));
    assert_eq!(guest.ask("unlink", &[A::M(b"/proc/self/comm\0")]), Err(Errno::EPERM));
    assert_eq!(guest.ask("mkdir", &[A::M(b"/proc/x\0"), A::N(0o777)]), Err(Errno::ENOENT));
    assert_eq!(guest.ask("chmod", &[A::M(b"/proc/self/comm\0"), A::N(0o777)]), Err(Errno::EPERM));
}

#[test]
fn only_user_attributes_exist() {
    let (scratch, guest) = (tree(), Guest::free());
    let file = path(&scratch, "file");
    let set =
        |name: &[u8]| guest.ask("setxattr", &[A::M(&file), A::M(name), A::M(b"value"), A::N(5), A::N(0)]);
    let get = |name: &[u8]| guest.call("getxattr", &[A::M(&file), A::M(name), A::Room(64), A::N(64)]);
    assert_eq!(set(b"security.capability\0"), Err(Errno::EPERM));
    assert_eq!(set(b"trusted.x\0"), Err(Errno::EPERM));
    assert_eq!(set(b"system.posix_acl_access\0"), Err(Errno::EOPNOTSUPP));
    assert_eq!(get(b"security.capability\0").answer, Err(Errno::ENODATA));
    assert_eq!(get(b"system.posix_acl_access\0").answer, Err(Errno::EOPNOTSUPP));
    assert_eq!(get(b"user.none\0").answer, Err(Errno::ENODATA));
    // Some file systems have no user attributes: then neither has the guest.
    if set(b"user.rxbox\0") == Ok(0) {
        assert_eq!(get(b"user.rxbox\0").out[2], b"value");
        let listed = guest.call("listxattr", &[A::M(&file), A::Room(64), A::N(64)]);
        assert_eq!(listed.out[1], b"user.rxbox\0");
        assert_eq!(guest.ask("listxattr", &[A::M(&file), A::Null, A::N(0)]), Ok(11));
        guest.ask("removexattr", &[A::M(&file), A::M(b"user.rxbox\0")]).unwrap();
        assert_eq!(get(b"user.rxbox\0").answer, Err(Errno::ENODATA));
    }
}

#[test]
fn openat2_refuses_what_it_does_not_know() {
    let (scratch, guest) = (tree(), Guest::free());
    let file = path(&scratch, "file");
    let open = |how: &[u64]| {
        let how = words(how);
        guest.ask("openat2", &[CWD, A::M(&file), A::M(&how), A::N(how.len() as i64)])
    };
    assert!(open(&[0, 0, 0]).is_ok());
    assert!(open(&[0, 0, 0, 0]).is_ok());
    assert_eq!(open(&[0, 0, 0, 1]), Err(Errno::E2BIG));
    assert_eq!(open(&[0, 0]), Err(Errno::EINVAL));
    assert_eq!(open(&[1 << 40, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(open(&[0, 0o644, 0]), Err(Errno::EINVAL));
    assert_eq!(open(&[0, 0, 1 << 20]), Err(Errno::EINVAL));
    assert_eq!(open(&[0, 0, libc::RESOLVE_BENEATH]), Err(Errno::EXDEV));
}
