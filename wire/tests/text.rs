//! Golden lines of the strace-like text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like the tests themselves"
)]

use rxbox_tests::random::Random;
use rxbox_wire::table;
use rxbox_wire::text::{write_call, write_result};

/// The text of a call with the contents of some arguments.
fn line(call: &str, args: &[u64], contents: &[(usize, &[u8])]) -> String {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let mut data = [None; 6];
    for &(i, bytes) in contents {
        data[i] = Some(bytes);
    }
    let mut text = String::new();
    write_call(&mut text, table::by_name(call).unwrap(), &all, &data).unwrap();
    text
}

fn result(call: &str, ret: i64) -> String {
    let mut text = String::new();
    write_result(&mut text, table::by_name(call).unwrap(), ret).unwrap();
    text
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

const P: u64 = 0x7fff_0000;
/// AT_FDCWD as a program passes it.
const CWD: u64 = -100i64 as u64;

#[test]
fn files() {
    assert_eq!(
        line("openat", &[CWD, P, 0o2000000, 0], &[(1, b"/etc/passwd\0")]),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC)"#
    );
    assert_eq!(
        line("open", &[P, 0o1102, 0o644], &[(0, b"a\nb\x1b[0m\0")]),
        r#"open("a\nb\x1b[0m", O_RDWR|O_CREAT|O_TRUNC, 0644)"#
    );
    assert_eq!(
        line("newfstatat", &[7, P, P, 0x1100], &[(1, b"\0")]),
        r#"newfstatat(7, "", 0x7fff0000, AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH)"#
    );
    assert_eq!(line("access", &[P, 0], &[(0, b"/x\0")]), r#"access("/x", F_OK)"#);
    assert_eq!(line("unlink", &[P], &[]), "unlink(0x7fff0000)");
    assert_eq!(line("unlink", &[0], &[]), "unlink(NULL)");
}

#[test]
fn transfers_are_escaped_and_cut() {
    assert_eq!(line("read", &[0, P, 100], &[]), "read(0, 0x7fff0000, 100)");
    assert_eq!(
        line("write", &[1, P, 40], &[(1, &[b'x'; 40])]),
        format!(r#"write(1, "{}"..., 40)"#, "x".repeat(32))
    );
    assert_eq!(line("write", &[1, P, 3], &[(1, b"\"\\\xff")]), r#"write(1, "\"\\\xff", 3)"#);
    assert_eq!(line("writev", &[1, P, 2], &[(1, b"ab")]), r#"writev(1, "ab", 2)"#);
    assert_eq!(line("lseek", &[3, -5i64 as u64, 2], &[]), "lseek(3, -5, SEEK_END)");
}

#[test]
fn memory_and_threads() {
    assert_eq!(
        line("mmap", &[0, 4096, 3, 0x22, u64::from(u32::MAX), 0], &[]),
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"
    );
    assert_eq!(line("mprotect", &[P, 4096, 0], &[]), "mprotect(0x7fff0000, 4096, PROT_NONE)");
    assert_eq!(
        line("clone", &[0x0120_0011, 0, 0, P, 0], &[]),
        "clone(SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID, NULL, NULL, 0x7fff0000, NULL)"
    );
    assert_eq!(
        line("futex", &[P, 0x189, 1, 0, 0, 0xffff_ffff], &[]),
        "futex(0x7fff0000, FUTEX_WAIT_BITSET|FUTEX_PRIVATE_FLAG|FUTEX_CLOCK_REALTIME, 1, NULL, NULL, \
            4294967295)"
    );
    assert_eq!(line("tgkill", &[5, 6, 15], &[]), "tgkill(5, 6, SIGTERM)");
    assert_eq!(line("kill", &[-1i64 as u64, 34], &[]), "kill(-1, SIGRT_2)");
    assert_eq!(
        line("execve", &[P, P, P], &[(0, b"/bin/sh\0"), (1, b"sh\0-c\0\0"), (2, b"")]),
        r#"execve("/bin/sh", ["sh", "-c", ""], [])"#
    );
}

#[test]
fn sockets() {
    assert_eq!(
        line("socket", &[2, 0x80801, 6], &[]),
        "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 6)"
    );
    let inet = [2, 0, 0, 53, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        line("connect", &[3, P, 16], &[(1, &inet)]),
        "connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=9.9.9.9}, 16)"
    );
    let mut inet6 = [0; 28];
    (inet6[0], inet6[3], inet6[23]) = (10, 80, 1);
    assert_eq!(
        line("bind", &[3, P, 28], &[(1, &inet6)]),
        "bind(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_addr=::1}, 28)"
    );
    assert_eq!(
        line("connect", &[3, P, 7], &[(1, b"\x01\0/run/a\0junk")]),
        r#"connect(3, {sa_family=AF_UNIX, sun_path="/run/a"}, 7)"#
    );
    assert_eq!(
        line("connect", &[3, P, 7], &[(1, b"\x01\0\0abc")]),
        r#"connect(3, {sa_family=AF_UNIX, sun_path=@"abc"}, 7)"#
    );
    assert_eq!(line("connect", &[3, P, 1], &[(1, b"\x01")]), r#"connect(3, "\x01", 1)"#);
    assert_eq!(
        line("setsockopt", &[3, 6, 1, P, 4], &[(3, &[1, 0, 0, 0])]),
        r#"setsockopt(3, IPPROTO_TCP, TCP_NODELAY, "\x01\x00\x00\x00", 4)"#
    );
    let mut message = Vec::new();
    for word in [16u32, u32::MAX, 2, 0] {
        message.extend(word.to_le_bytes());
    }
    message.extend(inet);
    message.extend(b"hi");
    assert_eq!(
        line("sendmsg", &[3, P, 0x4000], &[(1, &message)]),
        "sendmsg(3, {msg_name={sa_family=AF_INET, sin_port=htons(53), sin_addr=9.9.9.9}, msg_iov=\"hi\"}, \
         MSG_NOSIGNAL)"
    );
}

#[test]
fn structures_and_commands() {
    assert_eq!(
        line("nanosleep", &[P, 0], &[(0, &words(&[1, 500]))]),
        "nanosleep({tv_sec=1, tv_nsec=500}, NULL)"
    );
    assert_eq!(
        line("poll", &[P, 1, 0xffff_ffff], &[(0, &[3, 0, 0, 0, 1, 0, 0, 0])]),
        "poll([{fd=3, events=0x1, revents=0x0}], 1, -1)"
    );
    assert_eq!(line("ioctl", &[0, 0x5413, P], &[]), "ioctl(0, TIOCGWINSZ, 0x7fff0000)");
    assert_eq!(line("ioctl", &[0, 0xdead_beef, P], &[]), "ioctl(0, 0xdeadbeef)");
    assert_eq!(line("fcntl", &[3, 2, 1], &[]), "fcntl(3, F_SETFD, FD_CLOEXEC)");
    assert_eq!(line("fcntl", &[3, 1], &[]), "fcntl(3, F_GETFD)");
    assert_eq!(line("prctl", &[15, P], &[(1, b"worker\0")]), r#"prctl(PR_SET_NAME, "worker")"#);
    assert_eq!(line("clock_gettime", &[1, P], &[]), "clock_gettime(CLOCK_MONOTONIC, 0x7fff0000)");
    assert_eq!(line("getpid", &[], &[]), "getpid()");
}

#[test]
fn results() {
    assert_eq!(result("read", 3), "3");
    assert_eq!(result("openat", -2), "-1 ENOENT (No such file or directory)");
    assert_eq!(result("lseek", -4097), "-4097");
    assert_eq!(result("mmap", 0x7f00_0000_0000), "0x7f0000000000");
    assert_eq!(result("munmap", 0), "0");
    assert_eq!(result("getpriority", i64::MIN), "-9223372036854775808");
}

#[test]
fn text_of_any_registers_and_contents_is_bounded_printable_ascii() {
    let mut random = Random::new(1);
    let mut next = || random.next();
    for row in table::SYSCALLS {
        for _ in 0..50 {
            let args: [u64; 6] = std::array::from_fn(|_| next() >> (next() % 64));
            let bytes: Vec<u8> = (0..next() % 300).map(|_| next() as u8).collect();
            let mut text = String::new();
            write_call(&mut text, row, &args, &[Some(&bytes); 6]).unwrap();
            assert!(text.len() < 16 * 1024 && text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text}");
        }
    }
}
