//! A call as its line in the log of system calls shows it ([`crate::report::trace`]).

use crate::context::Call;
use crate::host::SyscallResult;
use crate::report::trace::{SHOWN, Trace};
use rxbox_wire::frame::{Given, Reply};
use rxbox_wire::kind::Kind;

/// Writes the line of a call that has been answered.
pub(super) fn write(trace: &Trace, call: &Call<'_>, answer: &SyscallResult) {
    let contents: [Option<Vec<u8>>; 6] = std::array::from_fn(|i| content(call, answer, i));
    let granted = call.reply.flags & Reply::GRANTED != 0;
    let ret = answer.unwrap_or_else(|e| -i64::from(e as i32));
    let data = contents.each_ref().map(Option::as_deref);
    trace.call(call.tid, call.checked.call, &call.request.args, &data, (!granted).then_some(ret));
}

/// What argument `i` points at: of what the guest gave the worker's copy, of what it gets what the reply
/// carries. Bytes that only passed through are read from the data area, for show.
fn content(call: &Call<'_>, answer: &SyscallResult, i: usize) -> Option<Vec<u8>> {
    if call.checked.place[i].given != Given::Memory {
        return None;
    }
    let kind = call.checked.kinds[i].kind;
    let filled = match kind {
        Kind::Out(..) | Kind::IovecOut { .. } if answer.is_err() => return None,
        Kind::Out(..) | Kind::IovecOut { .. } => call.reply.out[i] as usize,
        Kind::InOut(..) if answer.is_ok() && call.reply.out[i] > 0 => call.reply.out[i] as usize,
        _ => match call.bytes(i) {
            Ok(Some(copy)) if !copy.is_empty() => return Some(copy.to_vec()),
            _ => call.room(i),
        },
    };
    let mut bytes = Vec::new();
    call.area.read(call.checked.place[i].start, filled.min(SHOWN), &mut bytes);
    Some(bytes)
}
