use super::fixture::{Guest, Scratch};
use super::*;
use crate::state::names::name_of;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, openat2};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

const FREE: &str = "write = [\"/\"]";

/// A tree with every kind of name in it.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.0.join(name);
    std::fs::write(at("file"), "hello").unwrap();
    std::fs::create_dir_all(at("dir/sub/deep")).unwrap();
    std::fs::write(at("dir/inner"), "").unwrap();
    for (link, text) in [
        ("link", "file"),
        ("chain", "link"),
        ("dirlink", "dir"),
        ("slashed", "dir/"),
        ("up", "dir/sub/../../file"),
        ("out", "dir/.."),
        ("dangling", "nowhere"),
        ("dangling-deep", "nowhere/x"),
        ("through-file", "file/x"),
        ("loop", "loop"),
        ("dir/sub/back", "../inner"),
        ("dot", "."),
    ] {
        symlink(text, at(link)).unwrap();
    }
    symlink(at("file"), at("absolute")).unwrap();
    symlink("/", at("root")).unwrap();
    scratch
}

/// Names to look up: each of the tree, missing ones, and all of them with everything that can stand behind a
/// name.
fn names() -> Vec<String> {
    let bases = [
        "file",
        "dir",
        "dir/inner",
        "dir/sub",
        "link",
        "chain",
        "dirlink",
        "slashed",
        "up",
        "out",
        "dangling",
        "dangling-deep",
        "through-file",
        "loop",
        "dir/sub/back",
        "dot",
        "absolute",
        "root",
        "nowhere",
        "nowhere/x",
        "dirlink/sub/back",
        "slashed/inner",
        "out/dir/inner",
        "root/tmp",
        ".",
        "..",
        "/",
        "//",
        "./dir",
        "dir//inner",
        "../../../../../../../tmp",
        "dir/../file",
        "dirlink/../file",
        "nowhere/../file",
        "file/../file",
        "loop/../file",
        "root/../..",
        "dirlink/./sub/../inner",
    ];
    let ends = ["", "/", "//", "/.", "/..", "/x", "/x/", "/sub", "/./", "/../file"];
    bases.iter().flat_map(|base| ends.map(|end| format!("{base}{end}"))).collect()
}

/// What a look-up found: device and inode, or the errno.
type Seen = Result<(u64, u64), Errno>;

fn kernels(scratch: &Scratch, name: &str, how: Lookup) -> Seen {
    let dir = std::fs::File::open(&scratch.0).unwrap();
    let nofollow = if how.follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let open = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | nofollow).resolve(how.restrict);
    let fd = openat2(&dir, name, open)?;
    let stat = nix::sys::stat::fstat(&fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn ours(guest: &Guest, name: &str, how: Lookup) -> Seen {
    let name = CString::new(name).unwrap();
    match resolve(&guest.caller(), libc::AT_FDCWD, &name, how)? {
        Found::There(Resolved { target: Target::Host(object), path }) => {
            let again = nix::sys::stat::lstat(path.as_slice()).unwrap();
            assert_eq!((again.st_dev, again.st_ino), (object.stat.st_dev, object.stat.st_ino), "{name:?}");
            Ok((object.stat.st_dev, object.stat.st_ino))
        }
        _ => panic!("{name:?} leads into a view"),
    }
}

#[test]
fn names_lead_where_the_kernel_says_they_lead() {
    let scratch = tree();
    let guest = Guest::under(&scratch, FREE);
    for name in names() {
        for how in [Lookup::FOLLOW, Lookup::LINK] {
            assert_eq!(ours(&guest, &name, how), kernels(&scratch, &name, how), "{name} {how:?}");
        }
    }
}

#[test]
fn names_lead_there_also_when_something_is_hidden_elsewhere() {
    let scratch = tree();
    std::fs::write(scratch.0.join("secret"), "").unwrap();
    let guest = Guest::under(&scratch, "write = [\"/\"]\nhidden = [\"@/secret\"]");
    for name in names() {
        for how in [Lookup::FOLLOW, Lookup::LINK] {
            assert_eq!(ours(&guest, &name, how), kernels(&scratch, &name, how), "{name} {how:?}");
        }
    }
}

#[test]
fn the_restrictions_of_openat2_hold_as_in_the_kernel() {
    let scratch = tree();
    let guest = Guest::under(&scratch, FREE);
    for restrict in [
        ResolveFlag::RESOLVE_BENEATH,
        ResolveFlag::RESOLVE_IN_ROOT,
        ResolveFlag::RESOLVE_NO_SYMLINKS,
        ResolveFlag::RESOLVE_NO_MAGICLINKS,
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
    ] {
        for name in names() {
            let how = Lookup { restrict, ..Lookup::FOLLOW };
            assert_eq!(ours(&guest, &name, how), kernels(&scratch, &name, how), "{name} {restrict:?}");
        }
    }
}

#[test]
fn too_long_and_empty_names_are_refused_as_by_the_kernel() {
    let scratch = tree();
    let guest = Guest::under(&scratch, FREE);
    for name in [
        String::new(),
        "x".repeat(255),
        "x".repeat(256),
        "./".repeat(2047),
        "./".repeat(2048),
        "x/".repeat(2047),
    ] {
        assert_eq!(
            ours(&guest, &name, Lookup::FOLLOW),
            kernels(&scratch, &name, Lookup::FOLLOW),
            "{}",
            name.len()
        );
    }
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let scratch = Scratch::new();
    std::fs::write(scratch.0.join("l0"), "").unwrap();
    for n in 1..=41 {
        symlink(format!("l{}", n - 1), scratch.0.join(format!("l{n}"))).unwrap();
    }
    let guest = Guest::under(&scratch, FREE);
    for name in ["l39", "l40", "l41"] {
        assert_eq!(ours(&guest, name, Lookup::FOLLOW), kernels(&scratch, name, Lookup::FOLLOW), "{name}");
    }
    assert_eq!(ours(&guest, "l41", Lookup::FOLLOW), Err(Errno::ELOOP));
}

#[test]
fn a_missing_name_is_placed_where_the_kernel_would_create_it() {
    let scratch = tree();
    let guest = Guest::under(&scratch, FREE);
    for (name, place) in [
        ("nowhere", "nowhere"),
        ("dangling", "nowhere"),
        ("dirlink/new", "dir/new"),
        ("dir/sub/../new", "dir/new"),
        ("out/new", "new"),
        ("root/nowhere-at-all", "/nowhere-at-all"),
    ] {
        let how = Lookup { missing: true, ..Lookup::FOLLOW };
        let name = CString::new(name).unwrap();
        match resolve(&guest.caller(), libc::AT_FDCWD, &name, how) {
            Ok(Found::Missing(parent)) => {
                assert_eq!(parent.path(), scratch.0.join(place).into_os_string().into_encoded_bytes());
            }
            _ => panic!("{name:?} is not missing"),
        }
    }
}

#[test]
fn a_hidden_name_is_a_missing_one_on_every_way() {
    let scratch = tree();
    let at = |name: &str| scratch.0.join(name);
    std::fs::create_dir(at("vault")).unwrap();
    std::fs::write(at("vault/gold"), "").unwrap();
    symlink("../file", at("vault/out")).unwrap();
    symlink("vault/../file", at("by-vault")).unwrap();
    std::fs::write(at("ghost"), "").unwrap();
    symlink("ghost", at("to-ghost")).unwrap();
    symlink("dir/inner", at("ghost-link")).unwrap();
    let guest =
        Guest::under(&scratch, "write = [\"@\"]\nhidden = [\"@/vault\", \"@/ghost\", \"@/ghost-link\"]");
    let seen = |name: &str, how: Lookup| {
        let name = CString::new(name).unwrap();
        let found = resolve(&guest.caller(), libc::AT_FDCWD, &name, how)?;
        let Found::There(found) = found else { return Err(Errno::ENOENT) };
        guest.caller().check(Access::Metadata, &found.path)
    };
    for name in [
        "vault",
        "vault/",
        "vault/gold",
        "vault/gold/x",
        "vault/nothing",
        "vault/out",
        "vault/../file",
        "by-vault",
        "vault/..",
        "ghost",
        "ghost/",
        "ghost/x",
        "to-ghost",
        "to-ghost/",
        "to-ghost/x",
        "dir/../vault/gold",
        "dirlink/../ghost",
        "out/vault/../file",
    ] {
        for how in [Lookup::FOLLOW, Lookup::LINK] {
            let visible_link = !how.follow && matches!(name, "to-ghost" | "by-vault");
            let expected = if visible_link { Ok(()) } else { Err(Errno::ENOENT) };
            assert_eq!(seen(name, how), expected, "{name} {how:?}");
        }
    }
    assert_eq!(seen("ghost-link", Lookup::FOLLOW), Err(Errno::ENOENT));
    assert_eq!(seen("file", Lookup::FOLLOW), Ok(()));
}

#[test]
fn a_deleted_file_has_no_name_and_a_name_that_looks_deleted_is_one() {
    let scratch = Scratch::new();
    let literal = scratch.0.join("x (deleted)");
    std::fs::write(&literal, "").unwrap();
    let file = std::fs::File::open(&literal).unwrap();
    assert_eq!(name_of(file.as_fd()).unwrap(), literal.as_os_str().as_encoded_bytes());
    std::fs::write(scratch.0.join("x"), "").unwrap();
    let gone = std::fs::File::open(scratch.0.join("x")).unwrap();
    std::fs::remove_file(scratch.0.join("x")).unwrap();
    assert_eq!(name_of(gone.as_fd()), Err(Errno::ENOENT));
}

#[test]
fn a_last_component_is_told_from_the_way_to_it() {
    let scratch = tree();
    let guest = Guest::under(&scratch, FREE);
    let base = scratch.text();
    for (name, dir, leaf) in [
        ("a", base.to_owned(), "a"),
        ("a//", base.to_owned(), "a//"),
        ("dir/a", format!("{base}/dir"), "a"),
        ("dirlink//a/", format!("{base}/dir"), "a/"),
        ("dir/..", format!("{base}/dir"), ".."),
        ("/a", "/".to_owned(), "a"),
        ("/", "/".to_owned(), ""),
    ] {
        let place = parent(&guest.caller(), libc::AT_FDCWD, &CString::new(name).unwrap()).unwrap();
        assert_eq!((&*place.dir.path, place.leaf.as_bytes()), (dir.as_bytes(), leaf.as_bytes()), "{name}");
    }
}
