//! What is done for each system call. The table in `rxbox_wire` says what a call looks like; the handlers say what it
//! means.
//!
//! A module for each subject exports its `HANDLERS`; [`ALL`] is their sum, from which the dispatcher is built. A granted
//! call without a handler is approved as it is.

pub mod copy;
pub mod event;
pub mod fdctl;
pub mod fs;
pub mod group;
pub mod identity;
pub mod io;
pub mod ioctl;
pub mod ipc;
pub mod limit;
pub mod lock;
pub mod memory;
pub mod mqueue;
pub mod output;
mod owner;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod sched;
pub mod signal;
pub mod signalfd;
pub mod socket;
pub mod system;
pub mod terminal;
pub mod time;
pub mod usage;

#[cfg(test)]
pub(crate) mod tests;

use crate::context::{Answer, Call, Handler};
use crate::fd::{File, Kind};
use crate::host::number::Wait;
use nix::errno::Errno;
use rxbox_policy::{Decision, DeniedWhat, Verdict};
use rxbox_wire::frame::Reply;

/// A call's name and its handler.
pub type Entry = (&'static str, Handler);

/// All handlers.
pub const ALL: &[&[Entry]] = &[
    copy::HANDLERS,
    event::HANDLERS,
    fdctl::HANDLERS,
    fs::HANDLERS,
    group::HANDLERS,
    identity::HANDLERS,
    io::HANDLERS,
    ioctl::HANDLERS,
    ipc::HANDLERS,
    limit::HANDLERS,
    memory::HANDLERS,
    mqueue::HANDLERS,
    pidfd::HANDLERS,
    poll::HANDLERS,
    prctl::HANDLERS,
    process::HANDLERS,
    sched::HANDLERS,
    signal::HANDLERS,
    signalfd::HANDLERS,
    socket::HANDLERS,
    socket::MESSAGE_HANDLERS,
    socket::OPTION_HANDLERS,
    system::HANDLERS,
    time::HANDLERS,
    usage::HANDLERS,
];

/// How long a transfer on this file may wait.
fn wait_of(file: &File) -> Wait {
    match file.kind {
        Kind::Regular | Kind::Directory | Kind::BlockDevice | Kind::Memory | Kind::View | Kind::Path => {
            Wait::Short
        }
        _ => Wait::Long,
    }
}

/// Carries a decision of the policy out: nothing if it allows, else a record in the audit and the errno.
fn permit(call: &Call<'_>, decision: &Decision<'_>, what: &DeniedWhat<'_>) -> Result<(), Errno> {
    if decision.log || !decision.allowed() {
        call.sandbox.audit.denied(call, what, decision);
    }
    match decision.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny { errno } => Err(Errno::from_raw(errno)),
        Verdict::Hide => Err(Errno::ENOENT),
        Verdict::Kill => Err(Errno::EPERM),
    }
}

/// Approves a granted call: the child carries it out.
fn grant(call: &mut Call<'_>) -> Answer {
    call.reply.flags |= Reply::GRANTED;
    Ok(0)
}

impl Call<'_> {
    /// Gives the guest little-endian 64-bit words as the content of argument `i`, if it wants them.
    fn put_words(&mut self, i: usize, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.put(i, &bytes);
    }
    /// [`Call::put_words`] where a null pointer is EFAULT.
    fn put_needed(&mut self, i: usize, words: &[u64]) -> Answer {
        if !self.present(i) {
            return Err(Errno::EFAULT);
        }
        self.put_words(i, words);
        Ok(0)
    }
}
