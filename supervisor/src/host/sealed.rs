//! Memory files that nobody can change any more (memfd_create(2), `F_ADD_SEALS` of fcntl(2)).

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// A memory file without contents, still to be written.
///
/// # Errors
/// As memfd_create(2).
pub fn unsealed(name: &CStr) -> Result<OwnedFd, Errno> {
    memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
}

/// Appends to it.
///
/// # Errors
/// As write(2).
pub fn append(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[nix::unistd::write(file, bytes)?..];
    }
    Ok(())
}

/// From now on it has these contents and this length, by whatever descriptor.
///
/// # Errors
/// As fcntl(2).
pub fn seal(file: &OwnedFd) -> Result<(), Errno> {
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(file, FcntlArg::F_ADD_SEALS(seals)).map(drop)
}
