//! A call as an event of the trace ([`crate::report::trace`]).

use crate::context::Call;
use crate::host::SyscallResult;
use crate::report::escape::shown;
use crate::report::record::now;
use crate::report::trace::{Event, Judged, SHOWN};
use crate::state::names::name_of;
use rxbox_wire::frame::{Given, Reply};
use rxbox_wire::kind::Kind;
use rxbox_wire::text::{write_call, write_result};
use std::os::fd::AsFd;

/// The event of a call that has been answered after this time, with what was decided about it, without its
/// [`paths`].
pub(super) fn event(call: &Call<'_>, answer: &SyscallResult, micros: u64, decisions: Vec<Judged>) -> Event {
    let contents: [Option<Vec<u8>>; 6] = std::array::from_fn(|i| content(call, answer, i));
    let row = call.checked.call;
    let granted = call.reply.flags & Reply::GRANTED != 0;
    let result = (!granted).then(|| answer.unwrap_or_else(|e| -i64::from(e as i32)));
    let (mut text, mut said) = (String::new(), String::new());
    // Writing to a string cannot fail.
    let _ = write_call(&mut text, row, &call.request.args, &contents.each_ref().map(Option::as_deref));
    match result {
        Some(result) => _ = write_result(&mut said, row, result),
        None => said.push_str("granted"),
    }
    Event {
        time: now(),
        pid: call.process.pid,
        tid: call.tid,
        program: shown(&call.process.name()),
        call: row.name.to_owned(),
        text,
        result,
        answer: said,
        micros,
        decisions,
        paths: Vec::new(),
    }
}

/// The names that the call gives, and those of the open files that it is about.
pub(super) fn paths(call: &Call<'_>) -> Vec<Vec<u8>> {
    let of = |i: usize| match call.checked.kinds[i].kind {
        Kind::Path(_) => call.string(i).ok().map(|path| path.to_bytes().to_vec()),
        Kind::Fd | Kind::MapFd { .. } => {
            let file = call.process.fds.get(call.i32(i)).ok()?;
            name_of(file.host.as_fd()).ok()
        }
        _ => None,
    };
    (0..call.checked.kinds.len()).filter_map(of).collect()
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
