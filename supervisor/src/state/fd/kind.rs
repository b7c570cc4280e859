//! What an open file is.

use nix::sys::stat::{FileStat, SFlag};
use std::os::fd::OwnedFd;

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    Regular,
    /// Directory.
    Directory,
    /// Pipe or FIFO.
    Pipe,
    /// Socket.
    Socket,
    /// Terminal.
    Terminal,
    /// Character device other than a terminal.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// eventfd(2), inotify(7).
    Event,
    /// signalfd(2); on the host an eventfd that is readable while a signal of the set waits
    /// ([`crate::handlers::signalfd`]).
    Signals,
    /// timerfd_create(2).
    Timer,
    /// epoll(7).
    Epoll,
    /// POSIX message queue (mq_overview(7)).
    Queue,
    /// memfd_create(2).
    Memory,
    /// Opened with `O_PATH`: names an object, gives no access to its contents.
    Path,
    /// A file or directory of the guest's `/proc`, made up by the supervisor.
    View,
    /// Anything else.
    Other,
}

/// What kind of file a descriptor is, from its status.
pub(super) fn kind_of(host: &OwnedFd, status: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::Regular,
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFIFO => Kind::Pipe,
        SFlag::S_IFSOCK => Kind::Socket,
        SFlag::S_IFBLK => Kind::BlockDevice,
        SFlag::S_IFCHR if nix::unistd::isatty(host).unwrap_or(false) => Kind::Terminal,
        SFlag::S_IFCHR => Kind::CharDevice,
        _ => anonymous_kind(host),
    }
}

/// Objects without an inode type are told apart by what the kernel calls them.
fn anonymous_kind(host: &OwnedFd) -> Kind {
    use std::os::fd::AsRawFd;
    let name = std::fs::read_link(format!("/proc/self/fd/{}", host.as_raw_fd()));
    match name.as_deref().map(|n| n.as_os_str().as_encoded_bytes()) {
        Ok(b"anon_inode:[eventpoll]") => Kind::Epoll,
        Ok(b"anon_inode:[timerfd]") => Kind::Timer,
        Ok(b"anon_inode:[eventfd]" | b"anon_inode:inotify") => Kind::Event,
        _ => Kind::Other,
    }
}
