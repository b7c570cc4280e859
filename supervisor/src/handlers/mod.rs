//! What is done for each system call. The table in `rxbox_wire` says what a call looks like; the handlers say
//! what it means.
//!
//! A module for each subject exports its `HANDLERS`; [`ALL`] is their sum, from which the dispatcher is
//! built. A granted call without a handler is approved as it is.

pub mod capability;
pub mod copy;
pub mod effect;
pub mod event;
pub mod fdctl;
pub mod fs;
pub mod group;
pub mod identity;
pub mod interface;
pub mod io;
pub mod ioctl;
pub mod ipc;
pub mod limit;
pub mod lock;
pub mod memory;
pub mod mqueue;
mod owner;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod ptrace;
pub mod sched;
pub mod signal;
pub mod signalfd;
pub mod socket;
pub mod system;
pub mod terminal;
pub mod time;
pub mod usage;

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use crate::context::{Call, Entry};
use nix::errno::Errno;

/// What a command without a row answers, where the table says this.
pub fn unknown_command(call: &Call<'_>, errno: Errno) -> Errno {
    match call.checked.call.name {
        "getsockopt" | "setsockopt" => socket::option::unknown(call, errno).unwrap_or_else(|errno| errno),
        "ptrace" => ptrace::unknown(call, errno),
        _ => errno,
    }
}

/// All handlers.
pub const ALL: &[&[Entry]] = &[
    capability::HANDLERS,
    copy::HANDLERS,
    event::HANDLERS,
    fdctl::HANDLERS,
    fs::attributes::HANDLERS,
    fs::directory::HANDLERS,
    fs::names::HANDLERS,
    fs::open::HANDLERS,
    fs::rename::HANDLERS,
    fs::stat::HANDLERS,
    fs::watch::HANDLERS,
    fs::xattr::HANDLERS,
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
    ptrace::HANDLERS,
    sched::HANDLERS,
    signal::HANDLERS,
    signalfd::HANDLERS,
    socket::HANDLERS,
    socket::message::HANDLERS,
    socket::option::HANDLERS,
    system::HANDLERS,
    time::HANDLERS,
    usage::HANDLERS,
];
