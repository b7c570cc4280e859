//! fork(2), vfork(2) and clone(2) without CLONE_THREAD: a guest process is a fork of its emulator child.
//!
//! The new process keeps its parent's translations, since the code cache is private memory, and gets a
//! channel and a control socket of its own in the places of its parent's. No lock is held by anybody else at
//! the moment of the fork.

use super::clone_args::CloneArgs;
use crate::base::result::SyscallResult;
use crate::host::fatal::fatal;
use crate::host::mailbox::Mailbox;
use crate::host::process::{Fork, fork as host_fork, has_ended};
use crate::host::thread::{BlockedSignals, gettid};
use crate::process::Process;
use crate::process::vfork::SharedWithParent;
use crate::signal::{lifecycle, ptrace};
use crate::thread::traced::Traced;
use crate::thread::{Thread, request};
use nix::errno::Errno;
use std::os::fd::OwnedFd;

/// Makes a guest process.
pub fn fork(thread: &mut Thread, args: &CloneArgs) -> SyscallResult {
    if !args.offered() {
        thread.process.log.line(&format!("clone with flags {:#x} is not offered", args.flags));
        return Errno::EINVAL.into();
    }
    try_fork(thread, args).into()
}

fn try_fork(thread: &mut Thread, args: &CloneArgs) -> Result<i64, Errno> {
    let process = thread.process;
    let waits = args.has(libc::CLONE_VFORK);
    let mailbox = if waits { Some(Mailbox::new()?) } else { None };
    let pidfd = args.has(libc::CLONE_PIDFD);
    let line = request::new_process(thread, pidfd, args.has(libc::CLONE_FS))?;
    let masked = BlockedSignals::but_faults();
    let forked = {
        let _control = process.control.lock();
        let _exclusive = process.exclusive.lock();
        let _threads = process.threads.lock();
        let _memory = process.memory.lock();
        let _blocks = process.blocks.lock();
        let _actions = process.actions.lock();
        let _pending = process.exec.pending.lock();
        // A kick would end the call where the fork gate holds it.
        let _quiet = BlockedSignals::all();
        host_fork()
    };
    match forked {
        Err(e) => {
            request::process_started(thread, -(e as i32), false, 0);
            Err(e)
        }
        Ok(Fork::Parent(pid)) => {
            let (started, number) = request::process_started(thread, pid, pidfd, args.event());
            if pidfd {
                let _ = process.copy_out(args.pidfd, &number.to_le_bytes());
            }
            if args.has(libc::CLONE_PARENT_SETTID) {
                let _ = process.copy_out(args.parent_tid, &pid.to_le_bytes());
            }
            if started >= 0 && args.event() != 0 {
                ptrace::event(thread, args.event(), pid as u64);
            }
            if let Some(mailbox) = mailbox {
                wait_for_child(process, &mailbox, pid);
                ptrace::event(thread, libc::PTRACE_EVENT_VFORK_DONE, pid as u64);
            }
            drop(masked);
            Ok(started)
        }
        Ok(Fork::Child) => {
            begin_child(thread, args, line, mailbox);
            drop(masked);
            Ok(0)
        }
    }
}

/// The first steps of the new process, which has one thread: this one.
fn begin_child(thread: &mut Thread, args: &CloneArgs, line: [OwnedFd; 2], mailbox: Option<Mailbox>) {
    let process = thread.process;
    let [channel, control] = line;
    if let Err(e) = process.channel.take_line(&channel, &control) {
        fatal(&format!("the new process's line: {e}"));
    }
    thread.slot = process.channel.slot_like(0, &thread.slot);
    let own = thread.cpu.handle();
    process.threads.lock().retain(|t| *t == own);
    process.exec.settle();
    process.blocks.lock().forget_points();
    {
        let mut guard = process.memory.lock();
        let memory = &mut *guard;
        memory.space.after_fork();
        memory.shared = None;
        if let Some(mailbox) = mailbox.filter(|_| args.has(libc::CLONE_VM)) {
            memory.shared = Some(SharedWithParent::watch(&memory.space, &mut memory.host, mailbox));
        }
    }
    lifecycle::forked(thread);
    if args.clear_handlers {
        lifecycle::clear_handlers(thread);
    }
    thread.tid = gettid();
    thread.robust_list = (0, 0);
    thread.traced = Traced::default();
    thread.slot.await_birth(&thread.cpu);
    if thread.slot.wants_attention() {
        thread.cpu.kick();
    }
    let tid = thread.tid;
    if args.has(libc::CLONE_CHILD_SETTID) {
        let _ = process.copy_out(args.child_tid, &tid.to_le_bytes());
    }
    thread.clear_child_tid = if args.has(libc::CLONE_CHILD_CLEARTID) { args.child_tid } else { 0 };
    let state = thread.state();
    if args.stack != 0 {
        state.gpr[4] = args.stack;
    }
    if args.has(libc::CLONE_SETTLS) {
        state.fs_base = args.tls;
    }
}

/// Waits until the child has executed a program or ended, and takes over what it has changed in memory until
/// then.
fn wait_for_child(process: &Process, mailbox: &Mailbox, pid: i32) {
    while !mailbox.wait() {
        if has_ended(pid) || process.exec.claimed() {
            break;
        }
    }
    for (addr, bytes) in mailbox.take() {
        // A page that the child has unmapped for itself only is still there for the parent, and the other way
        // round.
        let _ = process.copy_out(addr, &bytes);
    }
}
