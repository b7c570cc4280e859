//! What the policy adds to the kernel's answers.

use super::super::named::find;
use super::super::open::{Opening, open_file};
use super::super::{attributes, directory, names, open_exec, rename, stat};
use super::{c, contents, tree};
use crate::path::Lookup;
use crate::path::fixture::{Guest, Scratch};
use crate::state::fd::File;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, ResolveFlag};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn open(guest: &Guest, name: &str, flags: i32) -> Result<File, Errno> {
    open_file(
        &guest.caller(),
        libc::AT_FDCWD,
        &c(name),
        Opening { flags, mode: 0o666, restrict: ResolveFlag::empty() },
    )
}

#[test]
fn what_the_policy_does_not_give_is_not_opened_made_or_changed() {
    let scratch = tree();
    std::fs::create_dir(scratch.0.join("out")).unwrap();
    std::fs::write(scratch.0.join("out/secret"), "secret").unwrap();
    symlink("out/secret", scratch.0.join("leak")).unwrap();
    symlink("out/planted", scratch.0.join("plant")).unwrap();
    let guest = Guest::under(
        &scratch,
        "read = [\"@/file\", \"@/dir\"]\nwrite = [\"@/empty\"]\ndeny = [\"@/empty/no?\"]",
    );
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
    assert_eq!(names::make_node(g, (at, Ok(c"empty/no")), libc::S_IFREG), Err(Errno::EACCES));
    assert_eq!(names::make_node(g, (at, Ok(c"empty/device")), libc::S_IFCHR), Err(Errno::EPERM));
    assert_eq!(names::make_link(g, c"x", (at, Ok(c"dir/new"))), Err(Errno::EACCES));
    assert_eq!(names::remove(g, at, c"file", 0), Err(Errno::EACCES));
    assert_eq!(names::remove(g, at, c"dir/missing", 0), Err(Errno::ENOENT));
    assert_eq!(names::add_name(g, (at, Ok(c"file")), (at, Ok(c"empty/file")), 0), Err(Errno::EACCES));
    assert_eq!(names::add_name(g, (at, Ok(c"out/secret")), (at, Ok(c"empty/file")), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, Ok(c"file")), (at, Ok(c"empty/file")), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, Ok(c"out/secret")), (at, Ok(c"empty/file")), 0), Err(Errno::EACCES));
    let found = find(g, at, c"file", Lookup::FOLLOW).unwrap();
    assert_eq!(attributes::set_mode(g, &found, 0o777), Err(Errno::EACCES));
    assert_eq!(attributes::set_length(g, &found, 0), Err(Errno::EACCES));
    assert_eq!(stat::check_access(g, &found, libc::W_OK, 0), Err(Errno::EACCES));
    assert_eq!(stat::check_access(g, &found, libc::R_OK, 0), Ok(()));
    assert_eq!(contents(&scratch.0), before);
}

#[test]
fn a_directory_can_be_written_by_who_makes_names_in_it() {
    let scratch = tree();
    let guest = Guest::under(&scratch, "read = [\"@/file\", \"@/empty\"]\nwrite = [\"@/dir/*\"]");
    let g = &guest.caller();
    let writable = |name| {
        let found = find(g, libc::AT_FDCWD, name, Lookup::FOLLOW).unwrap();
        stat::check_access(g, &found, libc::W_OK, 0)
    };
    assert_eq!(writable(c"dir"), Ok(()));
    assert_eq!((writable(c"empty"), writable(c"file")), (Err(Errno::EACCES), Err(Errno::EACCES)));
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
    let by_dir = open_file(
        &guest.caller(),
        dir,
        &c(&read_only.to_string()),
        Opening { flags: 0, mode: 0, restrict: ResolveFlag::empty() },
    );
    assert!(by_dir.is_ok());
    assert_eq!(std::fs::read_to_string(scratch.0.join("file")).unwrap(), "hello");
}

#[test]
fn hidden_names_are_left_out_of_listings_and_the_end_is_still_the_end() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("d")).unwrap();
    for n in 0..300 {
        std::fs::write(scratch.0.join(format!("d/{}{n}", if n % 3 == 0 { "shown" } else { "ghost" })), "")
            .unwrap();
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
    for (old, new, flags) in [
        (c"a", c"c", 0),
        (c"a/b", c"c", 0),
        (c"a/b/", c"c", 0),
        (c"free/b", c"a/b", exchange),
        (c"a/b", c"free/b", exchange),
    ] {
        assert_eq!(rename::rename(g, (at, Ok(old)), (at, Ok(new)), flags), Err(Errno::EXDEV), "{old:?}");
    }
    assert_eq!(rename::rename(g, (at, Ok(c"a/b/secret")), (at, Ok(c"c")), 0), Err(Errno::EACCES));
    assert_eq!(rename::rename(g, (at, Ok(c"free/b")), (at, Ok(c"c")), 0), Ok(0));
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
    names::make_node(g, (libc::AT_FDCWD, Ok(c"node")), libc::S_IFREG | 0o6777).unwrap();
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
    /// Ends the other thread, also when an assertion fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let (mut opened, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (a, b) in [("open", "swap"), ("open/f", "open/swap"), ("swap/f", "swap/swap")] {
                    // Which of the names is there depends on the round.
                    let _ = nix::fcntl::renameat2(
                        AT_FDCWD,
                        &at(a),
                        AT_FDCWD,
                        &at(b),
                        RenameFlags::RENAME_EXCHANGE,
                    );
                }
            }
        });
        let _stop = Stop(&over);
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

/// What every call that takes a name says to it.
fn answers(guest: &Guest, name: &str) -> Vec<Result<i64, Errno>> {
    let at = libc::AT_FDCWD;
    let g = &guest.caller();
    let n = &c(name);
    let mut list: Vec<Result<i64, Errno>> = Vec::new();
    for flags in [
        0,
        libc::O_DIRECTORY,
        libc::O_NOFOLLOW,
        libc::O_PATH,
        libc::O_RDWR,
        libc::O_CREAT | libc::O_RDWR,
        libc::O_CREAT | libc::O_EXCL,
        libc::O_TMPFILE | libc::O_RDWR,
    ] {
        list.push(open(guest, name, flags).map(|_| 0));
    }
    let restricted = [
        libc::RESOLVE_BENEATH,
        libc::RESOLVE_CACHED,
        libc::RESOLVE_IN_ROOT,
        libc::RESOLVE_NO_MAGICLINKS,
        libc::RESOLVE_NO_SYMLINKS,
        libc::RESOLVE_NO_XDEV,
    ];
    for restrict in restricted.map(ResolveFlag::from_bits_retain) {
        list.push(open_file(g, at, n, Opening { flags: libc::O_PATH, mode: 0, restrict }).map(|_| 0));
    }
    for how in [Lookup::FOLLOW, Lookup::LINK] {
        let found = || find(g, at, n, how);
        list.push(found().and_then(|f| stat::status_of(g, &f)).map(|_| 0));
        list.push(found().and_then(|f| stat::link_text(g, &f)).map(|_| 0));
        list.push(found().and_then(|f| stat::check_access(g, &f, libc::F_OK, 0)).map(|()| 0));
        list.push(found().and_then(|f| attributes::set_mode(g, &f, 0o700)).map(|()| 0));
        list.push(found().and_then(|f| attributes::set_length(g, &f, 0)).map(|()| 0));
        list.push(found().and_then(|f| directory::change(g, f)));
    }
    list.push(names::make_directory(g, at, n, 0o777));
    list.push(names::make_node(g, (at, Ok(n)), libc::S_IFREG));
    list.push(names::make_link(g, c"x", (at, Ok(n))));
    list.push(names::remove(g, at, n, 0));
    list.push(names::remove(g, at, n, libc::AT_REMOVEDIR));
    for flags in [0, RenameFlags::RENAME_NOREPLACE.bits(), RenameFlags::RENAME_EXCHANGE.bits()] {
        list.push(rename::rename(g, (at, Ok(n)), (at, Ok(c"free")), flags));
        list.push(rename::rename(g, (at, Ok(c"dir")), (at, Ok(n)), flags));
    }
    list.push(names::add_name(g, (at, Ok(n)), (at, Ok(c"free")), 0));
    list.push(names::add_name(g, (at, Ok(c"dir/inner")), (at, Ok(n)), 0));
    list.push(open_exec(g, at, n, 0).map(|_| 0));
    list
}

#[test]
fn no_call_tells_a_hidden_name_from_a_missing_one() {
    let scratch = tree();
    for (dir, file) in [("vault", "ghost"), ("vault/deep", "vault/gold")] {
        std::fs::create_dir(scratch.0.join(dir)).unwrap();
        std::fs::write(scratch.0.join(file), "").unwrap();
    }
    symlink("file", scratch.0.join("ghost-link")).unwrap();
    std::fs::remove_file(scratch.0.join("file")).unwrap();
    let guest = Guest::under(&scratch, "write = [\"@\"]\nhidden = [\"@/vault\", \"@/ghost*\", \"@/none*\"]");
    // Each hidden name with one that the same rule would hide if it were there.
    let answers = |name: &str| answers(&guest, name);
    for end in ["", "/", "/.", "/..", "/x", "/x/", "/../dir"] {
        let missing = answers(&format!("none{end}"));
        for name in ["vault", "ghost", "ghost-link"] {
            assert_eq!(answers(&format!("{name}{end}")), missing, "{name}{end}");
        }
    }
    for (name, missing) in
        [("vault/gold", "vault/none"), ("vault/deep", "vault/none"), ("vault/deep/x", "vault/none/x")]
    {
        assert_eq!(answers(name), answers(missing), "{name}");
    }
}

/// What a directory tells of the names in it: status, listings with room for few names, and its removal.
fn told_of(guest: &Guest, name: &str) -> Vec<String> {
    let g = &guest.caller();
    let status = |stat: libc::stat| format!("{} {} {}", stat.st_nlink, stat.st_size, stat.st_blocks);
    let found = find(g, libc::AT_FDCWD, &c(name), Lookup::FOLLOW).unwrap();
    let mut told = vec![status(stat::status_of(g, &found).unwrap())];
    for room in [24, 48, 80, 120, 4096] {
        let dir = open(guest, name, libc::O_RDONLY).unwrap();
        told.push(status(stat::open_status(g, &dir).unwrap()));
        let mut pieces = Vec::new();
        loop {
            let piece = directory::host_entries(g, &dir, room);
            pieces.push(piece.as_ref().map_or(-1, |piece| piece.len() as i64));
            if piece.is_ok_and(|piece| !piece.is_empty()) { continue } else { break }
        }
        told.push(format!("{room} {pieces:?}"));
    }
    told.push(format!("{:?}", names::remove(g, libc::AT_FDCWD, &c(name), libc::AT_REMOVEDIR)));
    told
}

/// On file systems of several kinds, whose directories tell different things.
#[test]
fn a_directory_tells_nothing_of_what_is_hidden_in_it() {
    for place in [std::env::temp_dir(), "/dev/shm".into()] {
        for (hidden, shown) in [("ghost", 0), ("ghost", 3), ("ghost*", 3)] {
            let told = ["ghost-folder", "ghost", "nothing"].map(|there| {
                let scratch = Scratch::at(&place);
                let at = |name: &str| scratch.0.join("d").join(name);
                std::fs::create_dir(scratch.0.join("d")).unwrap();
                (0..shown).for_each(|n| std::fs::write(at(&format!("shown-{n}")), "").unwrap());
                match there {
                    "ghost" => std::fs::write(at("ghost"), "").unwrap(),
                    "ghost-folder" => std::fs::create_dir(at("ghost")).unwrap(),
                    _ => {}
                }
                (3..2 * shown).for_each(|n| std::fs::write(at(&format!("shown-{n}")), "").unwrap());
                let text = format!("write = [\"@\"]\nhidden = [\"@/d/{hidden}?\"]");
                told_of(&Guest::under(&scratch, &text), "d")
            });
            assert_eq!(told[0], told[2], "{place:?} {hidden} {shown}");
            assert_eq!(told[1], told[2], "{place:?} {hidden} {shown}");
        }
    }
}

#[test]
fn a_directory_stays_while_something_hidden_is_left_in_it() {
    let scratch = Scratch::new();
    for dir in ["plain", "none", "a", "b", "c"] {
        std::fs::create_dir(scratch.0.join(dir)).unwrap();
    }
    for hidden in ["plain/ghost", "a/ghost", "c/ghost", "c/shown"] {
        std::fs::write(scratch.0.join(hidden), "").unwrap();
    }
    let hidden = "hidden = [\"@/plain/ghost\", \"@/none/ghost?\", \"@/*/ghost\"]";
    let guest = Guest::under(&scratch, &format!("write = [\"@\"]\n{hidden}"));
    let remove = |name: &str| names::remove(&guest.caller(), libc::AT_FDCWD, &c(name), libc::AT_REMOVEDIR);
    let (busy, full) = (Err(Errno::EBUSY), Err(Errno::ENOTEMPTY));
    let answers = ["plain", "none", "a", "b", "c", "d"].map(remove);
    assert_eq!(answers, [busy, busy, busy, Ok(0), full, Err(Errno::ENOENT)]);
    assert!(scratch.0.join("a/ghost").exists());
}

/// The kernel is not asked whether it knows a hidden name without looking, and knows a missing one once it
/// was looked for.
#[test]
fn what_is_looked_for_without_waiting_is_as_unknown_hidden_as_missing() {
    let scratch = tree();
    std::fs::write(scratch.0.join("ghost"), "").unwrap();
    let guest = Guest::under(&scratch, "write = [\"@\"]\nhidden = [\"@/ghost\"]");
    let restrict = ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED);
    for name in ["ghost", "nothing", "ghost/x", "nothing/x"] {
        let look = |restrict| {
            let how = Opening { flags: libc::O_RDONLY, mode: 0, restrict };
            open_file(&guest.caller(), libc::AT_FDCWD, &c(name), how).map(drop)
        };
        assert_eq!(look(ResolveFlag::empty()), Err(Errno::ENOENT), "{name}");
        assert_eq!(look(restrict), Err(Errno::EAGAIN), "{name}");
    }
}

/// Not even what only a file system can know, how long a name may be, shows in an answer.
#[test]
fn no_name_is_looked_up_where_the_guest_may_not_look() {
    let scratch = tree();
    std::fs::create_dir_all(scratch.0.join("denied/deep")).unwrap();
    std::fs::create_dir(scratch.0.join("on-the-way")).unwrap();
    std::fs::create_dir(scratch.0.join("on-the-way/allowed")).unwrap();
    for name in ["denied/file", "denied/deep/file", "on-the-way/file", "outside"] {
        std::fs::write(scratch.0.join(name), "").unwrap();
    }
    symlink("../dir/inner", scratch.0.join("denied/link")).unwrap();
    symlink("../dir/inner", scratch.0.join("on-the-way/link")).unwrap();
    symlink("../denied/link", scratch.0.join("dir/to-link")).unwrap();
    symlink("../denied/none", scratch.0.join("dir/to-none")).unwrap();
    let guest = Guest::under(
        &scratch,
        "read = [\"@/dir\"]\nwrite = [\"@/on-the-way/allowed\"]\ndeny = [\"@/dir/closed?\"]",
    );
    std::fs::create_dir(scratch.0.join("dir/closed")).unwrap();
    std::fs::write(scratch.0.join("dir/closed/file"), "").unwrap();
    let long = "x".repeat(256);
    let before = contents(&scratch.0);
    for (folder, names) in [
        ("denied", &["file", "deep", "deep/file", "deep/none", "link", "file/x"][..]),
        ("on-the-way", &["file", "link"]),
        ("dir/closed", &["file"]),
        ("dir/../denied", &["file", "link"]),
        ("on-the-way/allowed/..", &["file", "link", "../outside"]),
        ("/proc/self/cwd/denied", &["file"]),
    ] {
        for end in ["", "/", "/..", "/../../dir/inner"] {
            let missing = answers(&guest, &format!("{folder}/none{end}"));
            for name in names.iter().copied().chain([long.as_str()]) {
                let name = format!("{folder}/{name}{end}");
                assert_eq!(answers(&guest, &name), missing, "{name}");
            }
        }
    }
    assert_eq!(answers(&guest, "dir/to-link/."), answers(&guest, "dir/to-none/."));
    // What may be seen is seen, and what may be listed says what is missing.
    assert!(open(&guest, "on-the-way/allowed/../../dir/inner", libc::O_RDONLY).is_ok());
    assert!(open(&guest, "on-the-way", libc::O_PATH).is_ok());
    assert_eq!(open(&guest, "dir/none", libc::O_RDONLY).map(|_| ()), Err(Errno::ENOENT));
    assert_eq!(contents(&scratch.0), before);
}
