//! What the host tells of itself.

use super::number::{Wait, raw};
use nix::errno::Errno;

/// sysinfo(2), the structure's bytes.
pub fn sysinfo() -> Result<[u8; 112], Errno> {
    let mut info = [0u64; 14];
    // SAFETY: the kernel writes one `struct sysinfo`, 112 bytes on x86-64.
    unsafe { raw(Wait::Short, libc::SYS_sysinfo, [info.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) }?;
    let mut bytes = [0; 112];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(info) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Ok(bytes)
}

/// uname(2), the structure's bytes: six strings in fields of 65.
pub fn uname() -> Result<[u8; 390], Errno> {
    let mut bytes = [0; 390];
    // SAFETY: the kernel writes one `struct new_utsname`, 390 bytes.
    unsafe { raw(Wait::Short, libc::SYS_uname, [bytes.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) }?;
    Ok(bytes)
}
