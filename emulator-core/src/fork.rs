//! fork(2), vfork(2) and clone(2) without CLONE_THREAD: a guest process is a fork of its emulator child.
//!
//! The new process keeps its parent's translations, since the code cache is private memory, and gets a channel and a
//! control socket of its own in the places of its parent's. No lock is held by anybody else at the moment of the fork.
//!
//! **Memory shared until exec.** vfork(2) and posix_spawn(3) let parent and child share memory while the parent waits;
//! glibc's posix_spawn reports a failed exec by writing to it. Host memory is not shared here: the child has a copy, in
//! which every page is write-protected, so that the first store to each is noticed ([`SharedWithParent`]). When the child
//! executes a program or ends, the bytes that it has changed go to its waiting parent through a mailbox of shared
//! memory, and the parent stores them.

use crate::guest::{AddressSpace, HostMap, Prot, access};
use crate::host::process::{Fork, Mailbox, fork as host_fork};
use crate::host::thread::BlockedSignals;
use crate::process::Process;
use crate::signal;
use crate::syscall::{Answer, copy_out, request};
use crate::thread::Thread;
use nix::errno::Errno;
use std::collections::BTreeMap;

const PAGE: u64 = 4096;

/// What kind of process is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    flags: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
    /// Where the descriptor of the new process goes (CLONE_PIDFD).
    pidfd: u64,
    /// It starts with default actions where its parent has handlers.
    clear_handlers: bool,
}

impl Wanted {
    const fn plain(flags: i32) -> Wanted {
        let flags = flags as u64;
        Wanted { flags, stack: 0, parent_tid: 0, child_tid: 0, tls: 0, pidfd: 0, clear_handlers: false }
    }
    /// fork(2).
    pub const FORK: Wanted = Wanted::plain(libc::SIGCHLD);
    /// vfork(2).
    pub const VFORK: Wanted = Wanted::plain(libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_VFORK);

    /// By the arguments of clone(2).
    pub fn of_clone(args: &[u64; 6]) -> Wanted {
        let [flags, stack, parent_tid, child_tid, tls, _] = *args;
        // The kernel takes the low half; the descriptor goes where the thread id would (clone(2)).
        let flags = flags & u64::from(u32::MAX);
        Wanted { flags, stack, parent_tid, child_tid, tls, pidfd: parent_tid, clear_handlers: false }
    }

    /// By the arguments of the clone(2) that a clone3(2) amounts to, and what that cannot say.
    pub fn of_clone3(args: &[u64; 6], pidfd: u64, clear_handlers: bool) -> Wanted {
        Wanted { pidfd, clear_handlers, ..Wanted::of_clone(args) }
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Whether a process like this can be had: one that signals its end by SIGCHLD, shares nothing but what is copied anyway,
    /// and shares memory only until it executes a program.
    fn offered(&self) -> bool {
        /// Flags that a process may have.
        const KNOWN: i32 = libc::CLONE_VM
            | libc::CLONE_VFORK
            | libc::CLONE_SETTLS
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_SETTID
            | libc::CLONE_CHILD_CLEARTID
            | libc::CLONE_DETACHED
            | libc::CLONE_UNTRACED
            | libc::CLONE_IO
            | libc::CLONE_PIDFD;
        let signal = (self.flags & 0xff) as i32;
        let rest = self.flags & !0xff & !(KNOWN as u64);
        let one_place = self.has(libc::CLONE_PIDFD)
            && (self.has(libc::CLONE_DETACHED)
                || self.has(libc::CLONE_PARENT_SETTID) && self.pidfd == self.parent_tid);
        rest == 0
            && !one_place
            && signal == libc::SIGCHLD
            && (!self.has(libc::CLONE_VM) || self.has(libc::CLONE_VFORK))
    }
}

/// Makes a guest process.
pub fn fork(thread: &mut Thread, wanted: &Wanted) -> Answer {
    if !wanted.offered() {
        thread.process.log.line(&format!("clone with flags {:#x} is not offered", wanted.flags));
        return Answer::Value(-i64::from(libc::EINVAL));
    }
    match try_fork(thread, wanted) {
        Ok(value) => Answer::Value(value),
        Err(e) => Answer::Value(-i64::from(e as i32)),
    }
}

fn try_fork(thread: &mut Thread, wanted: &Wanted) -> Result<i64, Errno> {
    let process = thread.process;
    let waits = wanted.has(libc::CLONE_VFORK);
    let mailbox = if waits { Some(Mailbox::new()?) } else { None };
    let pidfd = wanted.has(libc::CLONE_PIDFD);
    let line = request::new_process(thread, pidfd)?;
    let masked = BlockedSignals::but_faults();
    let forked = {
        let _control = process.control.lock();
        let _exclusive = process.exclusive.lock();
        let _threads = process.threads.lock();
        let _memory = process.memory.lock();
        let _blocks = process.blocks.lock();
        let _actions = process.actions.lock();
        let _heir = process.succession.heir.lock();
        host_fork()
    };
    match forked {
        Err(e) => {
            request::process_started(thread, -(e as i32), false);
            Err(e)
        }
        Ok(Fork::Parent(pid)) => {
            let (started, number) = request::process_started(thread, pid, pidfd);
            if pidfd {
                let _ = copy_out(process, wanted.pidfd, &number.to_le_bytes());
            }
            if wanted.has(libc::CLONE_PARENT_SETTID) {
                let _ = copy_out(process, wanted.parent_tid, &pid.to_le_bytes());
            }
            if let Some(mailbox) = mailbox {
                wait_for_child(process, &mailbox, pid);
            }
            drop(masked);
            Ok(started)
        }
        Ok(Fork::Child) => {
            begin_child(thread, wanted, line, mailbox);
            drop(masked);
            Ok(0)
        }
    }
}

/// The first steps of the new process, which has one thread: this one.
fn begin_child(
    thread: &mut Thread,
    wanted: &Wanted,
    line: [std::os::fd::OwnedFd; 2],
    mailbox: Option<Mailbox>,
) {
    let process = thread.process;
    let [channel, control] = line;
    if let Err(e) = process.channel.take_line(&channel, &control) {
        crate::host::fatal::fatal(&format!("the new process's line: {e}"));
    }
    thread.slot = process.channel.slot_like(0, &thread.slot);
    let own = thread.cpu.beacon();
    process.threads.lock().retain(|b| *b == own);
    process.succession.forget();
    {
        let mut guard = process.memory.lock();
        let memory = &mut *guard;
        memory.space.after_fork();
        memory.shared = None;
        if let Some(mailbox) = mailbox.filter(|_| wanted.has(libc::CLONE_VM)) {
            memory.shared = Some(SharedWithParent::watch(&memory.space, &mut memory.host, mailbox));
        }
    }
    signal::forked(thread);
    if wanted.clear_handlers {
        signal::clear_handlers(thread);
    }
    thread.tid = crate::host::thread::gettid();
    thread.robust_list = (0, 0);
    thread.slot.await_birth(&thread.cpu);
    let tid = thread.tid;
    if wanted.has(libc::CLONE_CHILD_SETTID) {
        let _ = copy_out(process, wanted.child_tid, &tid.to_le_bytes());
    }
    thread.clear_child_tid = if wanted.has(libc::CLONE_CHILD_CLEARTID) { wanted.child_tid } else { 0 };
    let state = thread.state();
    if wanted.stack != 0 {
        state.gpr[4] = wanted.stack;
    }
    if wanted.has(libc::CLONE_SETTLS) {
        state.fs_base = wanted.tls;
    }
}

/// Waits until the child has executed a program or ended, and takes over what it has changed in memory until then.
fn wait_for_child(process: &Process, mailbox: &Mailbox, pid: i32) {
    while !mailbox.wait() {
        if crate::host::process::has_ended(pid) || process.succession.claimed() {
            break;
        }
    }
    for (addr, bytes) in mailbox.take() {
        // A page that the child has unmapped for itself only is still there for the parent, and the other way round.
        let _ = copy_out(process, addr, &bytes);
    }
}

/// If this process still shares memory with a parent that waits: gives the changes over and lets the parent go on.
pub fn release_parent(thread: &Thread) {
    let shared = thread.process.memory.lock().shared.take();
    if let Some(shared) = shared {
        shared.release();
    }
}

/// The pages that the child of a vfork(2) has written to, as they were before.
#[derive(Debug)]
pub struct SharedWithParent {
    before: BTreeMap<u64, Vec<u8>>,
    mailbox: Mailbox,
}

impl SharedWithParent {
    /// Write-protects every private page on the host.
    fn watch(space: &AddressSpace, host: &mut impl HostMap, mailbox: Mailbox) -> SharedWithParent {
        for area in space.areas().filter(|a| a.prot.write && !a.shared && !a.is_special()) {
            // Where that fails the child's changes stay its own, as after a fork.
            let _ = host.protect(area.span, Prot { write: false, ..area.prot });
        }
        SharedWithParent { before: BTreeMap::new(), mailbox }
    }

    /// A page is about to be written for the first time; false if it was before.
    pub fn touch(&mut self, page: u64) -> bool {
        if self.before.contains_key(&page) {
            return false;
        }
        let mut bytes = vec![0; PAGE as usize];
        if access::copy_in(&mut bytes, page).is_err() {
            // Unreadable: protected against reading too, so what it holds is nobody's message.
            bytes.clear();
        }
        self.before.insert(page, bytes);
        true
    }

    /// Gives the changed bytes to the parent.
    fn release(self) {
        let mut changes = Vec::new();
        for (page, before) in &self.before {
            let mut now = vec![0; before.len()];
            if access::copy_in(&mut now, *page).is_err() {
                continue;
            }
            changes.extend(differences(*page, before, &now));
        }
        self.mailbox.post(&changes);
    }
}

/// The runs of bytes that differ, by address. Equal bytes are left out, since other threads of the parent may have written there.
fn differences(page: u64, before: &[u8], now: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (i, (_, &new)) in before.iter().zip(now).enumerate().filter(|(_, (old, new))| old != new) {
        let addr = page + i as u64;
        match runs.last_mut() {
            Some((start, bytes)) if *start + bytes.len() as u64 == addr => bytes.push(new),
            _ => runs.push((addr, vec![new])),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_that_changed_are_given_over() {
        let before = [1, 2, 3, 4, 5, 6];
        let now = [1, 9, 9, 4, 5, 7];
        assert_eq!(differences(0x1000, &before, &now), [(0x1001, vec![9, 9]), (0x1005, vec![7])]);
    }

    #[test]
    fn only_processes_that_can_be_had_are_offered() {
        let of = |flags: i32| Wanted::plain(flags).offered();
        assert!(of(libc::SIGCHLD));
        assert!(of(libc::SIGCHLD | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID));
        assert!(of(libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_VFORK));
        assert!(!of(0));
        assert!(!of(libc::SIGCHLD | libc::CLONE_VM));
        assert!(!of(libc::SIGCHLD | libc::CLONE_FILES));
        assert!(!of(libc::SIGCHLD | libc::CLONE_NEWUSER));
    }
}
