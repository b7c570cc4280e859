//! What a process inherits through execve(2), as the kernel keeps it: signals, personality, descriptors.

use super::number::{Wait, raw};
use super::spawn::only_thread;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Bytes of the kernel's signal set.
const SET: u64 = size_of::<u64>() as u64;
/// The signals that the C library keeps for itself, and hides from its callers.
const OF_LIBRARY: [i32; 2] = [32, 33];

/// The signals that this process ignores, bit n - 1 for signal n.
pub fn ignored_signals() -> u64 {
    let ignored = |signal: &i32| {
        // The kernel's `struct sigaction`: handler, flags, restorer, mask.
        let mut action = [0u64; 4];
        let args = [*signal as u64, 0, action.as_mut_ptr() as u64, SET, 0, 0];
        // SAFETY: the kernel writes one action, which lives here; nothing is changed.
        let done = unsafe { raw(Wait::Short, libc::SYS_rt_sigaction, args) };
        done.is_ok() && action[0] == libc::SIG_IGN as u64
    };
    (1..=64).filter(ignored).fold(0, |set, signal| set | bit(signal))
}

/// The signals that this thread blocks, bit n - 1 for signal n.
pub fn blocked_signals() -> u64 {
    let mut old = 0u64;
    let args = [libc::SIG_BLOCK as u64, 0, &raw mut old as u64, SET, 0, 0];
    // SAFETY: the kernel writes one set, which lives here; nothing is changed.
    let done = unsafe { raw(Wait::Short, libc::SYS_rt_sigprocmask, args) };
    done.map_or(0, |_| old)
}

/// Has this thread block these signals and no others. Those of the C library are never blocked but by their
/// own bits.
pub fn block_exactly(set: u64) {
    let args = [libc::SIG_SETMASK as u64, &raw const set as u64, 0, SET, 0, 0];
    // SAFETY: the kernel reads one set, which lives here; a blocked signal cannot break what runs.
    let done = unsafe { raw(Wait::Short, libc::SYS_rt_sigprocmask, args) };
    debug_assert!(done.is_ok());
}

/// Has this thread block one signal less.
pub fn unblock(signal: i32) {
    block_exactly(blocked_signals() & !bit(signal));
}

/// Every signal that can be blocked and that the C library has not kept for itself.
pub fn all_signals() -> u64 {
    OF_LIBRARY.into_iter().fold(u64::MAX, |set, signal| set & !bit(signal))
}

/// The bit of a signal in a set.
pub fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Takes over another personality (personality(2)), and returns the one before.
pub fn change_personality(new: u32) -> u32 {
    // SAFETY: only numbers; what it changes concerns mappings that are made later.
    unsafe { libc::personality(new.into()) }.cast_unsigned()
}

/// Whether a descriptor of this number is open.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: only numbers; asks for a flag.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Becomes the owner of a descriptor that this process was started with; nothing if none is open there.
///
/// Called once for each number, by [`crate::confine::descriptors::Given::note`], before this process opens
/// anything of its own.
pub fn adopt(number: RawFd) -> Option<OwnedFd> {
    if number <= 2 || !is_open(number) {
        return None;
    }
    // Nobody who is started by this process is to have it by accident.
    // SAFETY: only numbers; sets a flag.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: it is open, and whoever started this process left it to it; nothing here has opened it, so
    // nothing else owns it. The standard streams, which the library owns, are left out.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A standard stream of this process, 0 to 2. It never closes them.
pub fn standard(number: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: who starts this process leaves them open, or `fill_standard` has opened them; nothing closes
    // them.
    (0..=2).contains(&number).then(|| unsafe { BorrowedFd::borrow_raw(number) })
}

/// Opens those of the standard streams that are closed, so that nothing else is ever opened at their numbers.
/// Which they are.
///
/// # Errors
/// The host has no memory files.
pub fn fill_standard() -> Result<[bool; 3], Errno> {
    let closed = [0, 1, 2].map(|number| !is_open(number));
    for (number, _) in closed.iter().enumerate().filter(|(_, closed)| **closed) {
        let nothing = nothing()?;
        let number = number as RawFd;
        if std::os::fd::AsRawFd::as_raw_fd(&nothing) == number {
            // It stays there, across exec as well, as an inherited one would.
            fcntl(&nothing, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
            std::mem::forget(nothing);
        } else {
            super::spawn::place(nothing.as_fd(), number)?;
        }
    }
    Ok(closed)
}

/// A file without content that cannot get any: what stands at a number where a program expects a stream and
/// is to have none. Unlike `/dev/null` it is there on every host.
///
/// # Errors
/// The host has no memory files.
pub fn nothing() -> Result<OwnedFd, Errno> {
    let file = memfd_create(c"rxbox-nothing", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file)
}

/// Gives this process, which must have one thread, these variables and no others.
///
/// # Errors
/// EBUSY if it has more than one thread.
pub fn replace_environment(variables: &[(OsString, OsString)]) -> Result<(), Errno> {
    only_thread()?;
    for (name, _) in std::env::vars_os() {
        // SAFETY: there is only this thread, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in variables {
        // SAFETY: as above.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// Sets a variable of this process, which must have one thread; nothing happens if it has more.
pub fn set_variable(name: &str, value: &OsStr) {
    if only_thread().is_ok() {
        // SAFETY: there is only this thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_the_kernels_with_its_real_time_signals() {
        std::thread::spawn(|| {
            let set = bit(libc::SIGUSR1) | bit(40) | bit(64);
            block_exactly(set);
            assert_eq!(blocked_signals(), set);
            block_exactly(0);
            assert_eq!(blocked_signals(), 0);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn nothing_is_read_from_nothing_and_nothing_can_be_written() {
        let nothing = nothing().unwrap();
        assert_eq!(nix::unistd::read(&nothing, &mut [0; 8]), Ok(0));
        assert_eq!(nix::unistd::write(&nothing, b"x"), Err(Errno::EPERM));
    }
}
