//! Host calls that control a descriptor by a command: fcntl(2) locks, ioctl(2), socket options.
//!
//! What memory such a command touches only its row in the system-call table says. So these functions look the
//! command up there themselves and hand the kernel private memory of at least the size in the row; a command
//! without a row, or with one that is refused, never reaches the kernel. Rows are only for commands whose
//! memory holds no addresses.

use super::SyscallResult;
use super::number::{Wait, raw};
use super::transfer::Buffer;
use nix::errno::Errno;
use rxbox_wire::kind::{Command, Commands, Extent, Kind, Route};
use rxbox_wire::table;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Lock commands on a `struct flock`; open file description locks only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flock {
    /// F_OFD_GETLK: the lock becomes the one that stands in the way.
    Get,
    /// F_OFD_SETLK.
    Set,
    /// F_OFD_SETLKW: waits.
    Wait,
}

impl Flock {
    /// Bytes of a `struct flock`.
    pub const SIZE: usize = 32;
}

/// fcntl(2) with a lock.
pub fn lock(command: Flock, fd: BorrowedFd<'_>, lock: &mut [u8; Flock::SIZE]) -> SyscallResult {
    let (wait, nr) = match command {
        Flock::Get => (Wait::Short, libc::F_OFD_GETLK),
        Flock::Set => (Wait::Short, libc::F_OFD_SETLK),
        Flock::Wait => (Wait::Long, libc::F_OFD_SETLKW),
    };
    let args = [fd.as_raw_fd() as u64, nr as u64, lock.as_mut_ptr() as u64, 0, 0, 0];
    // SAFETY: the kernel reads and writes one `struct flock`, borrowed here.
    unsafe { raw(wait, libc::SYS_fcntl, args) }
}

/// The sub-table of call `nr`.
fn commands(nr: i64) -> Option<&'static Commands> {
    table::row(nr as u32)?.args.iter().find_map(|a| match a.kind {
        Kind::Command(c) | Kind::Level(c) => Some(c),
        _ => None,
    })
}

/// A command's row, unless it is refused.
fn offered(row: Option<&'static Command>, unknown: Errno) -> Result<&'static Command, Errno> {
    match row {
        Some(Command { route: Some(Route::Refuse { errno, .. }), .. }) => Err(Errno::from_raw(*errno)),
        Some(row) => Ok(row),
        None => Err(unknown),
    }
}

/// Room for the memory of any ioctl(2) request in the table.
pub const IOCTL_MAX: usize = 256;

/// ioctl(2): `number` for requests that take one, `memory` for those that take a structure.
pub fn ioctl(
    wait: Wait,
    fd: BorrowedFd<'_>,
    request: u32,
    number: u64,
    memory: &mut [u8; IOCTL_MAX],
) -> SyscallResult {
    let row = commands(libc::SYS_ioctl).and_then(|c| c.find(request.into()));
    let argument = match offered(row, Errno::ENOTTY)?.args.first().map(|a| a.kind) {
        None => 0,
        Some(Kind::In(_, e) | Kind::Out(_, e) | Kind::InOut(_, e)) => {
            let size = match e {
                Extent::Fixed(n) => n,
                Extent::Struct(s) => s.size,
                _ => return Err(Errno::ENOTTY),
            };
            if size as usize > IOCTL_MAX {
                return Err(Errno::ENOTTY);
            }
            memory.as_mut_ptr() as u64
        }
        Some(kind) if kind.significant().is_some() => number,
        Some(_) => return Err(Errno::ENOTTY),
    };
    // SAFETY: the request's row says that it takes a number, nothing, or a structure without addresses of at
    // most IOCTL_MAX bytes; for the latter the argument is private memory of that size.
    unsafe { raw(wait, libc::SYS_ioctl, [fd.as_raw_fd() as u64, request.into(), argument, 0, 0, 0]) }
}

/// ioctl(2) with a structure that is not there: whether the descriptor has such a request is all that the
/// kernel can say to it, but for EFAULT.
pub fn ioctl_nowhere(fd: BorrowedFd<'_>, request: u32) -> SyscallResult {
    let row = commands(libc::SYS_ioctl).and_then(|c| c.find(request.into()));
    offered(row, Errno::ENOTTY)?;
    let argument = Buffer::nowhere(IOCTL_MAX).address();
    // SAFETY: the kernel finds nothing at the address.
    unsafe { raw(Wait::Short, libc::SYS_ioctl, [fd.as_raw_fd() as u64, request.into(), argument, 0, 0, 0]) }
}

/// getsockopt(2): how many bytes of `value` the kernel filled.
pub fn get_option(fd: BorrowedFd<'_>, level: u32, name: u32, value: &mut [u8]) -> Result<usize, Errno> {
    let row = commands(libc::SYS_getsockopt).and_then(|c| c.find_pair(level.into(), name.into()));
    offered(row, Errno::ENOPROTOOPT)?;
    let mut len = value.len() as u32;
    let to = value.as_mut_ptr() as u64;
    let args = [fd.as_raw_fd() as u64, level.into(), name.into(), to, &raw mut len as u64, 0];
    // SAFETY: the kernel writes at most `len` bytes, all of `value`; the option's row says that it holds no
    // address.
    unsafe { raw(Wait::Short, libc::SYS_getsockopt, args) }?;
    Ok(value.len().min(len as usize))
}

/// getsockopt(2) for an option of the socket itself (SOL_SOCKET) that is a number.
///
/// # Errors
/// As for [`get_option`].
pub fn number_option(fd: BorrowedFd<'_>, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    get_option(fd, libc::SOL_SOCKET as u32, name as u32, &mut value)?;
    Ok(i32::from_le_bytes(value))
}

/// setsockopt(2).
pub fn set_option(fd: BorrowedFd<'_>, level: u32, name: u32, value: &[u8]) -> SyscallResult {
    let row = commands(libc::SYS_setsockopt).and_then(|c| c.find_pair(level.into(), name.into()));
    offered(row, Errno::ENOPROTOOPT)?;
    let args =
        [fd.as_raw_fd() as u64, level.into(), name.into(), value.as_ptr() as u64, value.len() as u64, 0];
    // SAFETY: the kernel reads at most the bytes of `value`; the option's row says that it holds no address.
    unsafe { raw(Wait::Short, libc::SYS_setsockopt, args) }
}
