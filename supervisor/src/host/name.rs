//! Host calls that take names or whole structures and that nix does not offer.
//!
//! An object is named to the kernel through the supervisor's own descriptor of it: [`reopen_name`] gives the
//! name `/proc/self/fd/N`, which leads to exactly the inode that `N` holds, whatever has happened to its path
//! meanwhile.

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// Bytes of a name made by [`reopen_name`]: the directory, ten digits, the NUL.
const NAME_SIZE: usize = b"/proc/self/fd/".len() + 10 + 1;

/// The name of one of the supervisor's own descriptors, on the stack.
pub struct ReopenName {
    text: [u8; NAME_SIZE],
    start: usize,
}

impl ReopenName {
    /// The absolute name, `/proc/self/fd/N`.
    pub fn absolute(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.text[self.start..]).unwrap_or_default()
    }
    /// The name relative to [`descriptor_directory`], `N`.
    pub fn relative(&self) -> &CStr {
        let slash = self.text.iter().rposition(|&b| b == b'/').unwrap_or(0);
        CStr::from_bytes_with_nul(&self.text[slash + 1..]).unwrap_or_default()
    }
}

/// The name under which the supervisor reaches its descriptor `fd`.
pub fn reopen_name(fd: BorrowedFd<'_>) -> ReopenName {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut text = [0; NAME_SIZE];
    let mut at = NAME_SIZE - 1;
    let mut n = fd.as_raw_fd().unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    let start = at - PREFIX.len();
    text[start..at].copy_from_slice(PREFIX);
    ReopenName { text, start }
}

/// The supervisor's `/proc/self/fd`, opened once: names below it are found without a walk from the root.
pub fn descriptor_directory() -> Result<BorrowedFd<'static>, Errno> {
    use nix::fcntl::{OFlag, open};
    static DIRECTORY: OnceLock<Result<OwnedFd, Errno>> = OnceLock::new();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match DIRECTORY.get_or_init(|| open(c"/proc/self/fd", flags, nix::sys::stat::Mode::empty())) {
        Ok(fd) => Ok(fd.as_fd()),
        Err(e) => Err(*e),
    }
}

/// What the kernel calls the object now, whatever it is (`pipe:[7]`, `/tmp/x (deleted)`).
pub fn kernel_label(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    readlink(descriptor_directory()?, reopen_name(fd).relative())
}

/// What the kernel fills in for a caller: plain integers without padding, so that every byte is initialised
/// and any bit pattern is a value.
///
/// # Safety
/// Implementors are `repr(C)`, consist of integers only, and have no implicit padding.
pub unsafe trait Plain: Sized {
    /// The bytes, as they lie in memory.
    fn bytes(&self) -> &[u8] {
        // SAFETY: the trait's contract: no padding, so every byte of the structure is initialised; the slice
        // borrows from `self` and covers exactly it.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
    /// All bytes zero.
    fn zeroed() -> Self {
        // SAFETY: the trait's contract: integers only, for which zero is a value.
        unsafe { std::mem::zeroed() }
    }
}

// SAFETY: `struct stat` of x86-64 is integers with its padding spelled out as fields (asm/stat.h).
unsafe impl Plain for libc::stat {}
// SAFETY: `struct statx` is integers with its padding spelled out as fields (linux/stat.h).
unsafe impl Plain for libc::statx {}
// SAFETY: `struct statx_timestamp` is integers with its padding spelled out as fields (linux/stat.h).
unsafe impl Plain for libc::statx_timestamp {}
// SAFETY: `struct statfs` of x86-64 is fifteen 64-bit words (asm-generic/statfs.h).
unsafe impl Plain for libc::statfs {}

/// readlinkat(2); `name` may be empty for the link that `dir` itself holds. ENAMETOOLONG beyond PATH_MAX
/// bytes.
pub fn readlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut room = 256;
    while room <= 2 * libc::PATH_MAX as usize {
        let mut out = Vec::<u8>::with_capacity(room);
        // SAFETY: the name is NUL-terminated and the kernel writes at most `room` bytes to memory of that
        // capacity.
        let r = unsafe { libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), out.as_mut_ptr().cast(), room) };
        let n = Errno::result(r)? as usize;
        if n < room {
            // SAFETY: the kernel has initialised the first `n` bytes, and `n < room`.
            unsafe { out.set_len(n) };
            return Ok(out);
        }
        room *= 4;
    }
    Err(Errno::ENAMETOOLONG)
}

/// A name in a table of mounts without its escapes: the kernel writes white space and backslashes as three
/// octal digits.
pub fn without_escapes(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some((&first, more)) = rest.split_first() {
        let octal = more.get(..3).filter(|d| first == b'\\' && d.iter().all(|b| (b'0'..b'8').contains(b)));
        match octal {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
                rest = &more[3..];
            }
            None => {
                out.push(first);
                rest = more;
            }
        }
    }
    out
}

/// Opens the object that `fd` holds again, with `flags`, which must not create and not refuse to follow.
/// Opening a FIFO or a device may wait: the wait can be interrupted (EINTR).
pub fn reopen(fd: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    let name = reopen_name(fd);
    open_waiting(descriptor_directory()?, name.relative(), flags, 0)
}

/// openat(2), interruptibly.
pub fn open_waiting(dir: BorrowedFd<'_>, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = (flags | libc::O_CLOEXEC | libc::O_NOCTTY) as u64;
    let args = [dir.as_raw_fd() as u64, name.as_ptr() as u64, flags, mode.into(), 0, 0];
    // SAFETY: the one pointer is to a NUL-terminated string that outlives the call.
    let fd = unsafe { super::interrupt::interruptible(libc::SYS_openat, args) }?;
    // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// statx(2) on the object that `fd` holds. `flags` may carry `AT_STATX_*` only.
pub fn statx(fd: BorrowedFd<'_>, flags: i32, mask: u32) -> Result<libc::statx, Errno> {
    let mut out = libc::statx::zeroed();
    // SAFETY: the name is a NUL-terminated static string and `out` is a statx structure that outlives the
    // call.
    let r =
        unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), flags | libc::AT_EMPTY_PATH, mask, &raw mut out) };
    Errno::result(r).map(|_| out)
}

/// fstatfs(2).
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<libc::statfs, Errno> {
    let mut out = libc::statfs::zeroed();
    // SAFETY: `out` is a statfs structure that outlives the call.
    let r = unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut out) };
    Errno::result(r).map(|_| out)
}

/// Whether names in a directory are found in upper and lower case alike (`FS_CASEFOLD_FL` of
/// ioctl_iflags(2)).
pub fn folds_case(directory: BorrowedFd<'_>) -> bool {
    const GET_FLAGS: libc::Ioctl = 0x8008_6601;
    const CASEFOLD: libc::c_int = 0x4000_0000;
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes one int, whatever the size in the number of the request says.
    let r = unsafe { libc::ioctl(directory.as_raw_fd(), GET_FLAGS, &raw mut flags) };
    r == 0 && flags & CASEFOLD != 0
}

/// faccessat2(2) on the object that `fd` holds; `flags` may carry `AT_EACCESS` only.
pub fn access(fd: BorrowedFd<'_>, mode: i32, flags: i32) -> Result<(), Errno> {
    let flags = flags | libc::AT_EMPTY_PATH;
    // SAFETY: the name is a NUL-terminated static string.
    let r = unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, flags) };
    Errno::result(r).map(drop)
}

/// utimensat(2) on the object that `fd` holds, be it a symbolic link.
pub fn set_times(fd: BorrowedFd<'_>, times: &[libc::timespec; 2]) -> Result<(), Errno> {
    // SAFETY: the name is a NUL-terminated static string and `times` are the two structures the call reads.
    let r = unsafe { libc::utimensat(fd.as_raw_fd(), c"".as_ptr(), times.as_ptr(), libc::AT_EMPTY_PATH) };
    Errno::result(r).map(drop)
}

/// getdents64(2) into a fresh buffer of at most `room` bytes.
pub fn getdents64(fd: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::<u8>::with_capacity(room);
    // SAFETY: the kernel writes at most `room` bytes to memory of that capacity.
    let r = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), out.as_mut_ptr(), room) };
    let n = Errno::result(r)? as usize;
    // SAFETY: the kernel has initialised the first `n` bytes, and `n <= room`.
    unsafe { out.set_len(n.min(room)) };
    Ok(out)
}

/// inotify_add_watch(2) on the object that `target` holds.
pub fn add_watch(inotify: BorrowedFd<'_>, target: BorrowedFd<'_>, mask: u32) -> Result<i32, Errno> {
    let name = reopen_name(target);
    // SAFETY: the name is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), name.absolute().as_ptr(), mask) })
}

/// Whether a descriptor is one of inotify(7): the kernel looks at that before it looks at the name.
pub fn is_watcher(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: there is no name at a null pointer, and the kernel says so.
    let added = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), std::ptr::null(), libc::IN_ACCESS) };
    Errno::result(added) == Err(Errno::EFAULT)
}

/// getxattr(2) on the object that `fd` holds (not a symbolic link); `room` 0 asks for the length alone.
pub fn get_attribute(fd: BorrowedFd<'_>, name: &CStr, room: usize) -> Result<(usize, Vec<u8>), Errno> {
    let path = reopen_name(fd);
    let mut out = vec![0u8; room];
    // SAFETY: both names are NUL-terminated and the kernel writes at most `room` bytes to memory of that
    // length.
    let r = unsafe { libc::getxattr(path.absolute().as_ptr(), name.as_ptr(), out.as_mut_ptr().cast(), room) };
    filled(r, out)
}

/// listxattr(2) on the object that `fd` holds (not a symbolic link); `room` 0 asks for the length alone.
pub fn list_attributes(fd: BorrowedFd<'_>, room: usize) -> Result<(usize, Vec<u8>), Errno> {
    let path = reopen_name(fd);
    let mut out = vec![0u8; room];
    // SAFETY: the name is NUL-terminated and the kernel writes at most `room` bytes to memory of that length.
    let r = unsafe { libc::listxattr(path.absolute().as_ptr(), out.as_mut_ptr().cast(), room) };
    filled(r, out)
}

fn filled(r: isize, mut out: Vec<u8>) -> Result<(usize, Vec<u8>), Errno> {
    let n = Errno::result(r)? as usize;
    out.truncate(n);
    Ok((n, out))
}

/// setxattr(2) on the object that `fd` holds (not a symbolic link).
pub fn set_attribute(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    let path = reopen_name(fd);
    // SAFETY: both names are NUL-terminated and `value` is readable for its length.
    let r = unsafe {
        libc::setxattr(path.absolute().as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags)
    };
    Errno::result(r).map(drop)
}

/// removexattr(2) on the object that `fd` holds (not a symbolic link).
pub fn remove_attribute(fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let path = reopen_name(fd);
    // SAFETY: both names are NUL-terminated.
    Errno::result(unsafe { libc::removexattr(path.absolute().as_ptr(), name.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_named_by_its_decimal_number() {
        for n in [0, 7, 10, 1023, i32::MAX] {
            // SAFETY: the number is only formatted, never used as a descriptor.
            let name = reopen_name(unsafe { BorrowedFd::borrow_raw(n) });
            assert_eq!(name.absolute().to_str().unwrap(), format!("/proc/self/fd/{n}"));
            assert_eq!(name.relative().to_str().unwrap(), n.to_string());
        }
    }

    #[test]
    fn structures_have_the_size_of_the_kernels_abi() {
        assert_eq!(
            (size_of::<libc::stat>(), size_of::<libc::statx>(), size_of::<libc::statfs>()),
            (144, 256, 120)
        );
    }
}
