//! The descriptors that calls are given: one of each kind at numbers of its own, and those that calls open.

use std::ffi::CString;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixListener;

/// The first number. Below lie the standard streams and what calls open.
pub const FIRST: RawFd = 100;
/// How many that calls have opened are remembered.
const MOST: usize = 40;

/// Open descriptors by number.
#[derive(Debug, Default)]
pub struct Descriptors {
    numbers: Vec<RawFd>,
    opened: Vec<RawFd>,
}

impl Descriptors {
    /// Makes the files of the current folder and opens one descriptor of each kind.
    ///
    /// # Panics
    /// If that fails.
    pub fn prepare() -> Descriptors {
        files();
        let mut all = Descriptors::default();
        for (path, flags) in [
            ("f", libc::O_RDWR),
            ("f", libc::O_RDONLY),
            ("g", libc::O_WRONLY | libc::O_APPEND),
            ("d", libc::O_RDONLY | libc::O_DIRECTORY),
            (".", libc::O_RDONLY),
            ("f", libc::O_PATH),
            ("d", libc::O_PATH),
            ("link", libc::O_PATH | libc::O_NOFOLLOW),
        ] {
            all.add(open(path, flags));
        }
        let [mut pipe, mut stream, mut datagrams] = [[0; 2]; 3];
        // SAFETY: the calls fill arrays of two numbers, or make a descriptor.
        unsafe {
            check(libc::pipe2(pipe.as_mut_ptr(), libc::O_NONBLOCK));
            for (pair, kind) in [(&mut stream, libc::SOCK_STREAM), (&mut datagrams, libc::SOCK_DGRAM)] {
                check(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_NONBLOCK, 0, pair.as_mut_ptr()));
            }
        }
        [pipe, stream, datagrams].into_iter().flatten().for_each(|fd| all.add(fd));
        let listener = UnixListener::bind("socket").expect("a listener");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        all.add(listener.into_raw_fd());
        // SAFETY: calls that make a descriptor from numbers and a constant string.
        unsafe {
            for (family, kind) in [
                (libc::AF_INET, libc::SOCK_STREAM),
                (libc::AF_INET6, libc::SOCK_DGRAM),
                (libc::AF_UNIX, libc::SOCK_STREAM),
                (libc::AF_UNIX, libc::SOCK_SEQPACKET),
            ] {
                all.add(check(libc::socket(family, kind | libc::SOCK_NONBLOCK, 0)));
            }
            all.add(check(libc::eventfd(3, libc::EFD_NONBLOCK)));
            all.add(check(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK)));
            all.add(check(libc::epoll_create1(0)));
            all.add(check(libc::inotify_init1(libc::IN_NONBLOCK)));
            all.add(check(libc::memfd_create(c"memory".as_ptr(), libc::MFD_ALLOW_SEALING)));
            all.add(check(libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as RawFd));
        }
        for (path, flags) in [("/dev/null", libc::O_RDWR), ("/dev/zero", libc::O_RDONLY)] {
            all.add(open(path, flags));
        }
        all
    }

    /// Moves a descriptor to the next number.
    fn add(&mut self, fd: RawFd) {
        let number = FIRST + self.numbers.len() as RawFd;
        // SAFETY: numbers of descriptors that only this sequence uses.
        unsafe {
            check(libc::dup2(fd, number));
            libc::close(fd);
        }
        self.numbers.push(number);
    }

    /// Remembers a descriptor that a call has opened.
    pub fn note(&mut self, number: i64) {
        let Ok(number) = RawFd::try_from(number) else { return };
        // SAFETY: asks for the flags of a number.
        let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        if number > std::io::stderr().as_raw_fd() && number < FIRST && open {
            self.opened.retain(|known| *known != number);
            self.opened.push(number);
            if self.opened.len() > MOST {
                self.opened.remove(0);
            }
        }
    }

    /// All numbers.
    pub fn all(&self) -> Vec<RawFd> {
        self.numbers.iter().chain(&self.opened).copied().collect()
    }
}

/// The files that there are at first.
fn files() {
    let make = || {
        std::fs::write("f", (0..5000).map(|i| b'a' + (i % 23) as u8).collect::<Vec<u8>>())?;
        std::fs::write("g", "some bytes")?;
        std::fs::create_dir_all("d/sub")?;
        std::fs::write("d/f", "deep")?;
        std::os::unix::fs::symlink("f", "link")?;
        std::os::unix::fs::symlink("nothing", "dangling")?;
        std::os::unix::fs::symlink("loop", "loop")?;
        std::os::unix::fs::symlink("d", "todir")
    };
    make().expect("the files");
}

fn open(path: &str, flags: i32) -> RawFd {
    let path = CString::new(path).expect("no NUL");
    // SAFETY: a string that ends with NUL.
    check(unsafe { libc::open(path.as_ptr(), flags) })
}

fn check(result: i32) -> i32 {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    result
}
