//! The end of a child that is itself at fault, with the reason on the log if there is one.

use super::call;
use rxbox_wire::boot::LOG_FD;

/// Writes all bytes, as far as the descriptor takes them.
pub fn write_all(fd: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let args = [fd as u64, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0];
        // SAFETY: the buffer outlives the call.
        let n = unsafe { call::raw(libc::SYS_write, args) };
        match usize::try_from(n) {
            Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or(&[]),
            _ if n == -i64::from(libc::EINTR) => {}
            _ => return,
        }
    }
}

/// Ends the process because the emulator itself is at fault. The supervisor reports the abort.
pub fn fatal(reason: &str) -> ! {
    write_all(LOG_FD, format!("emulator: {reason}\n").as_bytes());
    std::process::abort()
}

/// From a signal handler: a fault of the runtime's own code. Formats without allocating.
pub fn emergency(signal: i32, pc: u64) {
    let mut line = *b"emulator: fault 00 of the runtime at 0x0000000000000000\n";
    let digits = b"0123456789abcdef";
    line[16] = digits[(signal / 10 % 10) as usize];
    line[17] = digits[(signal % 10) as usize];
    let end = line.len() - 2;
    for i in 0..16 {
        line[end - i] = digits[(pc >> (4 * i) & 15) as usize];
    }
    write_all(LOG_FD, &line);
}
