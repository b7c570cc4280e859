use super::*;
use crate::path::fixture::{Guest, Scratch};
use crate::path::{Found, Lookup, resolve};
use crate::state::fd::File;
use nix::errno::Errno;
use std::ffi::CString;

fn look(guest: &Guest, path: &str, how: Lookup) -> Result<Target, Errno> {
    match resolve(&guest.caller(), libc::AT_FDCWD, &CString::new(path).unwrap(), how)? {
        Found::There(found) => Ok(found.target),
        Found::Missing(_) => Err(Errno::ENOENT),
    }
}

fn node(guest: &Guest, path: &str) -> Result<Node, Errno> {
    match look(guest, path, Lookup::LINK)? {
        Target::View(node) => Ok(node),
        _ => Err(Errno::EXDEV),
    }
}

fn text(guest: &Guest, path: &str) -> Result<String, Errno> {
    match node(guest, path)?.content(&guest.caller())? {
        Content::Text(text) => Ok(String::from_utf8(text).unwrap()),
        Content::Host(_) | Content::Memory(_) => Err(Errno::EXDEV),
    }
}

#[test]
fn what_a_process_reads_of_itself_is_the_guests_and_not_the_supervisors() {
    let scratch = Scratch::new();
    let guest = Guest::free(&scratch);
    assert_eq!(text(&guest, "/proc/self/cmdline").unwrap(), "true\0-x\0");
    assert_eq!(text(&guest, "/proc/self/environ").unwrap(), "GUEST=1\0");
    let comm = text(&guest, "/proc/self/comm").unwrap();
    assert!(text(&guest, "/proc/self/status").unwrap().starts_with(&format!("Name:\t{comm}")));
    let stat = text(&guest, "/proc/self/stat").unwrap();
    assert!(stat.starts_with(&format!("{} ({}) ", guest.process.pid, comm.trim_end())));
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    assert_eq!((fields[1], fields.len()), ("1", 50));
    // Fields 26 to 30: addresses of code and stack.
    assert!(fields[23..28].iter().all(|f| *f == "0"));
    assert!(
        text(&guest, "/proc/self/limits")
            .unwrap()
            .contains("Max open files            1024                 4096 ")
    );
}

#[test]
fn signal_sets_are_what_the_thread_has_told_and_never_the_emulators_for_faults() {
    let scratch = Scratch::new();
    let guest = Guest::free(&scratch);
    let line = |key: &str| {
        let status = text(&guest, "/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with(key)).unwrap().to_owned()
    };
    let caught = line("SigCgt:");
    let caught = u64::from_str_radix(caught.trim_start_matches("SigCgt:\t"), 16).unwrap();
    assert_eq!(caught & 1 << (libc::SIGSEGV - 1), 0);
    let sets: Vec<u8> = [1u64, 2, 0x400].iter().flat_map(|set| set.to_le_bytes()).collect();
    guest.process.set_view(2, sets).unwrap();
    assert_eq!(line("SigBlk:"), "SigBlk:\t0000000000000001");
    assert_eq!(line("SigIgn:"), "SigIgn:\t0000000000000002");
    assert_eq!(line("SigCgt:"), "SigCgt:\t0000000000000400");
    // Too little to be three sets.
    guest.process.set_view(2, b"short".to_vec()).unwrap();
    assert_ne!(line("SigBlk:"), "SigBlk:\t0000000000000001");
}

#[test]
fn memory_and_maps_are_the_childs_to_tell_and_never_the_hosts() {
    let scratch = Scratch::new();
    let guest = Guest::free(&scratch);
    for name in ["mem", "maps", "smaps", "auxv", "pagemap", "stack", "syscall"] {
        assert_eq!(text(&guest, &format!("/proc/self/{name}")), Err(Errno::EACCES), "{name}");
    }
    guest.process.set_view(0, b"the guest's map\n".to_vec()).unwrap();
    assert_eq!(text(&guest, "/proc/self/maps").unwrap(), "the guest's map\n");
    for name in [
        "seccomp_cache",
        "map_files/1000-2000",
        "root/proc/self/latency",
        "nothing",
        "fd/99",
        "task/1",
        "net/nf_conntrack",
    ] {
        let seen = look(&guest, &format!("/proc/self/{name}"), Lookup::FOLLOW).map(|_| ());
        assert_eq!(seen, Err(Errno::ENOENT), "{name}");
    }
}

#[test]
fn every_way_to_ones_own_directory_leads_to_the_view() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink("/proc", scratch.0.join("p")).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", scratch.0.join("e")).unwrap();
    let guest = Guest::free(&scratch);
    let pid = guest.process.pid;
    for path in [
        "/proc/self/environ".to_owned(),
        format!("/proc/{pid}/environ"),
        format!("/proc/{pid}/root/proc/self/environ"),
        format!("/proc/self/cwd/p/{pid}/environ"),
        "//proc//self//environ".to_owned(),
        "/proc/../proc/self/environ".to_owned(),
        "/tmp/../proc/self/environ".to_owned(),
        "p/self/environ".to_owned(),
        "p/self/fd/../environ".to_owned(),
    ] {
        assert_eq!(text(&guest, &path).as_deref(), Ok("GUEST=1\0"), "{path}");
    }
    assert!(matches!(look(&guest, "e", Lookup::FOLLOW), Ok(Target::View(_))));
}

#[test]
fn other_processes_and_unlisted_files_are_not_there() {
    let scratch = Scratch::new();
    let guest = Guest::free(&scratch);
    let parent = std::os::unix::process::parent_id();
    for path in [
        "/proc/1".to_owned(),
        format!("/proc/{parent}/environ"),
        format!("/proc/{parent}/../../etc/passwd"),
        format!("/proc/0{}", guest.process.pid),
        "/proc/kcore".to_owned(),
        "/proc/kallsyms".to_owned(),
        "/proc/sysrq-trigger".to_owned(),
        "/proc/sys/net/ipv4/conf/lo".to_owned(),
    ] {
        assert_eq!(look(&guest, &path, Lookup::FOLLOW).map(|_| ()), Err(Errno::ENOENT), "{path}");
    }
    let names: Vec<_> = node(&guest, "/proc").unwrap().entries(&guest.caller()).unwrap();
    let numbers: Vec<_> = names.iter().filter(|(name, _)| name[0].is_ascii_digit()).collect();
    assert_eq!(numbers, [&(guest.process.pid.to_string().into_bytes(), libc::DT_DIR)]);
    assert!(names.iter().any(|(name, _)| name == b"cpuinfo"));
}

#[test]
fn links_lead_to_the_guests_objects() {
    let scratch = Scratch::new();
    std::fs::write(scratch.0.join("file"), "").unwrap();
    let guest = Guest::free(&scratch);
    let file = std::fs::File::open(scratch.0.join("file")).unwrap();
    let n = guest.process.fds.insert(File::made(file.into()).unwrap(), false, 7).unwrap();
    let shown = |path: &str| node(&guest, path).unwrap().text(&guest.caller()).unwrap().unwrap();
    let at = |path: &std::path::Path| path.as_os_str().as_encoded_bytes().to_vec();
    assert_eq!(shown("/proc/self"), guest.process.pid.to_string().into_bytes());
    assert_eq!(shown(&format!("/proc/self/fd/{n}")), at(&scratch.0.join("file")));
    assert_eq!(shown("/proc/self/cwd"), at(&scratch.0));
    assert_eq!(shown("/proc/self/root"), b"/");
    assert_eq!(shown("/proc/self/exe"), guest.process.exe().path.to_vec());
    assert!(matches!(look(&guest, &format!("/dev/fd/{n}"), Lookup::FOLLOW), Ok(Target::Open(_))));
    assert!(matches!(look(&guest, "/proc/self/cwd/file", Lookup::FOLLOW), Ok(Target::Host(_))));
    assert_eq!(look(&guest, "/dev/stdin", Lookup::FOLLOW).map(|_| ()), Err(Errno::ENOENT));
    assert_eq!(look(&guest, &format!("/dev/fd/{n}/x"), Lookup::FOLLOW).map(|_| ()), Err(Errno::ENOTDIR));
    let list = node(&guest, "/proc/self/fd").unwrap().entries(&guest.caller()).unwrap();
    assert_eq!(list, [(n.to_string().into_bytes(), libc::DT_LNK)]);
}

#[test]
fn a_path_of_a_node_leads_back_to_it_and_its_parent_is_the_directory_before() {
    let scratch = Scratch::new();
    let guest = Guest::free(&scratch);
    let caller = guest.caller();
    let pid = guest.process.pid;
    for path in [
        "/proc".to_owned(),
        format!("/proc/{pid}"),
        format!("/proc/{pid}/task"),
        format!("/proc/{pid}/fdinfo"),
        "/proc/sys/kernel".to_owned(),
        "/proc/sys".to_owned(),
        "/proc/cpuinfo".to_owned(),
    ] {
        let node = at(&caller, path.as_bytes()).unwrap();
        assert_eq!(node.path(), path.as_bytes());
        let above = node.parent().map(|parent| parent.path());
        let expected =
            path.rsplit_once('/').map(|(dir, _)| dir.as_bytes().to_vec()).filter(|dir| !dir.is_empty());
        assert_eq!(above, expected);
    }
    assert_eq!(
        at(&caller, format!("/proc/{pid}/comm").as_bytes()).unwrap().judged_path(&caller),
        b"/proc/self/comm"
    );
}
