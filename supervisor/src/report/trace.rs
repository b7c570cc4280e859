//! `--log syscall`: one line for each system call, in the style of strace(1).

use rxbox_wire::kind::Syscall;
use rxbox_wire::text::{write_call, write_result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// Bytes of a buffer that a line needs at most; it shows fewer.
pub const SHOWN: usize = 256;

/// Where the lines go.
#[derive(Debug)]
pub struct Trace {
    /// A line is one `write`; the lock keeps the lines of a file that several processes append to whole.
    out: Mutex<File>,
}

impl Trace {
    /// Lines go to `out`.
    pub fn new(out: File) -> Trace {
        Trace { out: Mutex::new(out) }
    }

    /// Writes the line of a call: the thread that made it, its arguments and what they point at, its value or
    /// negative errno; `None` for a granted call, whose result only the child knows. A log that is full or
    /// gone does not disturb the guest.
    pub fn call(
        &self,
        tid: i32,
        call: &'static Syscall,
        args: &[u64; 6],
        data: &[Option<&[u8]>; 6],
        ret: Option<i64>,
    ) {
        let mut text = format!("{tid} ");
        // Writing to a string cannot fail.
        let _ = write_call(&mut text, call, args, data);
        let _ = text.write_str(" = ");
        let _ = match ret {
            Some(ret) => write_result(&mut text, call, ret),
            None => text.write_str("granted"),
        };
        text.push('\n');
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}
