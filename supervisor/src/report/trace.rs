//! `--log syscall`: one line for each system call, in the style of strace(1).

use crate::context::Call;
use crate::host::SyscallResult;
use rxbox_wire::frame::Reply;
use rxbox_wire::kind::Kind;
use rxbox_wire::text::{write_call, write_result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;

/// Bytes of a buffer that are read for a line; the rendering shows fewer.
const SEEN: usize = 256;

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

    /// Writes the line of a call that has been answered. A log that is full or gone does not disturb the guest.
    pub fn call(&self, call: &Call<'_>, answer: &SyscallResult) {
        let text = line(call, answer);
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = out.write_all(text.as_bytes());
    }
}

fn line(call: &Call<'_>, answer: &SyscallResult) -> String {
    let shown: [Option<Vec<u8>>; 6] = std::array::from_fn(|i| content(call, answer, i));
    let data = shown.each_ref().map(Option::as_deref);
    let ret = answer.unwrap_or_else(|e| -i64::from(e as i32));
    let mut text = format!("{} ", call.tid);
    // Writing to a string cannot fail.
    let _ = write_call(&mut text, call.checked.call, &call.request.args, &data);
    let _ = text.write_str(" = ");
    // What comes of a granted call only the child knows.
    let _ = match call.reply.flags & Reply::GRANTED {
        0 => write_result(&mut text, call.checked.call, ret),
        _ => text.write_str("granted"),
    };
    text.push('\n');
    text
}

/// What argument `i` points at: of what the guest gave the worker's copy, of what it gets what the reply carries. Bytes
/// that only passed through are read from the data area, for show.
fn content(call: &Call<'_>, answer: &SyscallResult, i: usize) -> Option<Vec<u8>> {
    if !call.present(i) {
        return None;
    }
    let kind = call.checked.kinds[i].kind;
    let filled = match kind {
        Kind::Out(_) | Kind::IovecOut { .. } if answer.is_err() => return None,
        Kind::Out(_) | Kind::IovecOut { .. } => call.reply.out[i] as usize,
        Kind::InOut(_) if answer.is_ok() && call.reply.out[i] > 0 => call.reply.out[i] as usize,
        _ => match call.bytes(i) {
            Some(copy) if !copy.is_empty() => return Some(copy.to_vec()),
            _ => call.room(i),
        },
    };
    let mut bytes = Vec::new();
    call.area.read(call.checked.place[i].start, filled.min(SEEN), &mut bytes);
    Some(bytes)
}
