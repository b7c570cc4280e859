//! A worker serves one guest thread: it waits for the thread's requests in its slot and answers them.
//!
//! This is where hostile bytes come in. Each request is copied out of the shared memory once, compared with
//! the table ([`Request::check`]), and the data that decisions depend on are copied too; from then on nothing
//! is read from the slot again, except by the kernel as a buffer. A request that does not fit the table can
//! only come from a child that the guest has taken over: that process is killed, with the reason, and if it
//! is the first one the sandbox ends.
//!
//! A call that needs no more than its registers costs no allocation and takes no lock that workers share.
//!
//! It makes its calls with the credentials of its guest thread ([`crate::host::credentials`]): it takes them
//! on before the first request, and whenever the guest thread changes them.
//!
//! Threads are reused ([`crate::sandbox::worker_pool`]), and a worker is interrupted by a signal to its
//! thread ([`crate::state::threads`]). None is sent once the slot is freed, and one that was sent before has
//! arrived when the next slot is taken over, since that makes a host call first: so none interrupts the call
//! of another guest.

pub mod dispatch;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod internal;
pub mod start;
mod traced;

use crate::context::Call;
use crate::handlers::socket::option;
use crate::host::SyscallResult;
use crate::host::credentials;
use crate::host::futex::HostFutex;
use crate::host::interrupt;
use crate::host::schedule::set_io_priority;
use crate::host::shm::Slot;
use crate::report::ending::End;
use crate::report::escape::shown;
use crate::report::trace::Event;
use crate::sandbox::{Job, Sandbox, processors};
use crate::state::process::Process;
use nix::errno::Errno;
use rxbox_wire::frame::{self, Checked, Given, MessageHeader, Reply, Request, Violation};
use rxbox_wire::handoff::{CLOSED, Handoff, IDLE, REPLY, REQUEST};
use rxbox_wire::kind::Kind;
use rxbox_wire::sizes::INTERNAL;
use rxbox_wire::spin_policy::SpinPolicy;
use rxbox_wire::table::Internal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Serves a slot until its guest thread or the process has ended; then the slot is free and the thread
/// counted out.
pub fn serve(job: Job) {
    let Job { sandbox, process, slot } = &job;
    let slot = *slot;
    let tid = process.threads.set_worker(slot, nix::unistd::gettid().as_raw()).unwrap_or(0);
    let io_priority = process.attributes.io_priority.load(Ordering::Relaxed);
    if io_priority != 0 {
        // It was set, so it can be.
        let _ = set_io_priority(0, io_priority);
    }
    if let Some(memory) = process.line.channel.slot(slot) {
        let worker = Worker { sandbox, process, number: slot, slot: memory, tid, input: Default::default() };
        match credentials::act_as(&process.credentials_of(slot)) {
            Ok(()) => worker.run(),
            Err(errno) => worker.end_without_credentials(errno),
        }
        memory.reset();
    }
    if process.attributes.io_priority.load(Ordering::Relaxed) != io_priority || io_priority != 0 {
        let _ = set_io_priority(0, 0);
    }
    // A thread that cannot become the supervisor's again serves no other guest.
    let _ = credentials::act_as_own();
    process.threads.free(slot);
    sandbox.leave_thread();
    if !process.ended() {
        let tid = tid.max(0);
        sandbox.tracees.thread_ended(process.pid, tid).into_iter().for_each(|n| sandbox.tell_tracer(n));
    }
}

struct Worker<'a> {
    sandbox: &'a Arc<Sandbox>,
    process: &'a Arc<Process>,
    number: usize,
    slot: Slot<'a>,
    /// Guest thread id; 0 until the first thread of the process has told it.
    tid: i32,
    /// Reused for the copies of each request.
    input: [Vec<u8>; 6],
}

impl Worker<'_> {
    fn run(mut self) {
        let handoff = self.slot.handoff();
        let mut policy = SpinPolicy::default();
        let mut woke = false;
        while !self.process.ended() {
            match self.wait(&handoff, &mut policy, woke) {
                _ if self.process.ended() => return,
                REQUEST => {}
                CLOSED => return,
                turn => return self.end_for_violation(&format!("turn word {turn}")),
            }
            match self.serve() {
                Ok(_) if credentials::is_unknown() => return self.end_without_credentials(Errno::EPERM),
                Ok(reply) => {
                    self.slot.reply(&reply.encode());
                    self.slot.clear_interrupt();
                    woke = handoff.pass(REPLY, &HostFutex);
                }
                Err(violation) => return self.end_for_violation(&violation.to_string()),
            }
        }
    }

    /// Waits until it is the worker's turn, or the turn word is one that no honest child leaves there, or the
    /// process has ended: that is a fact of the supervisor's own, since a process that has forked the one of
    /// the slot has the same memory and can write any word there, again and again.
    fn wait(&self, handoff: &Handoff<'_>, policy: &mut SpinPolicy, woke: bool) -> u32 {
        let processors = &self.sandbox.processors;
        let mut wait = policy.begin(woke, processors.cores());
        let mut turn = handoff.turn.load(Ordering::Acquire);
        while matches!(turn, IDLE | REPLY) && !self.process.ended() {
            let turned = handoff.spin(turn, &mut wait, processors::current);
            // Were the guest thread the one that got the core, it would not be asleep, waiting for the reply.
            if wait.has_lost_core() && handoff.peer_sleeps.load(Ordering::Relaxed) != 0 {
                processors.found_short();
            }
            if !turned {
                wait.sleeps();
                handoff.sleep(turn, &HostFutex);
            }
            turn = handoff.turn.load(Ordering::Acquire);
        }
        policy.end(wait);
        turn
    }

    /// Nothing is done for a guest thread with other credentials than its own.
    fn end_without_credentials(&self, errno: Errno) {
        let who = format!("pid {} {}", self.process.pid, shown(&self.process.name()));
        self.sandbox.audit.note(&format!("{who}: cannot act as its user, killed: {}", errno.desc()));
        self.process.kill();
    }

    fn end_for_violation(&self, what: &str) {
        let who = format!("pid {} {}", self.process.pid, shown(&self.process.name()));
        if self.process.is_first() {
            self.sandbox.ending.end(End::Violation(format!("{what} ({who})")));
        } else {
            self.sandbox.audit.note(&format!("{who}: protocol violation, killed: {what}"));
            self.process.kill();
        }
    }

    /// Serves the request in the slot.
    fn serve(&mut self) -> Result<Reply, Violation> {
        let request = Request::decode(&self.slot.request());
        let checked = request.check()?;
        self.copy_input(&checked)?;
        // One that cannot begin says why, and no more.
        if self.tid == 0 && ![Internal::Hello.nr(), Internal::Report.nr()].contains(&request.nr) {
            return Err(Violation::UnknownCall(request.nr));
        }
        let mut call = Call {
            sandbox: self.sandbox,
            process: self.process,
            tid: self.tid,
            slot: self.number,
            request,
            checked,
            input: std::mem::take(&mut self.input),
            reply: Reply { ret: 0, flags: 0, out: [0; 6] },
            area: self.slot.area(),
        };
        let traced = if request.nr < INTERNAL { self.sandbox.trace.begin(request.nr) } else { None };
        // A file that the call closes has its name now.
        let paths = traced.as_ref().map(|_| traced::paths(&call)).unwrap_or_default();
        let answer = interrupt::watch(self.slot.interrupt(), || answer(self.sandbox, &mut call));
        if let (true, Ok(tid)) = (request.nr == Internal::Hello.nr(), &answer) {
            self.tid = *tid as i32;
        }
        if let Some(begun) = traced {
            let event =
                |micros, decisions| Event { paths, ..traced::event(&call, &answer, micros, decisions) };
            self.sandbox.trace.end(&begun, request.nr, self.process.is_first(), event);
        }
        let Call { input, mut reply, .. } = call;
        self.input = input;
        reply.ret = answer.unwrap_or_else(|e| -i64::from(e as i32));
        let processors = &self.sandbox.processors;
        if self.slot.contended().load(Ordering::Relaxed) != 0 {
            self.slot.contended().store(0, Ordering::Relaxed);
            processors.found_short();
        }
        reply.flags |= processors.reply_flag();
        Ok(reply)
    }

    /// Copies the data that handlers read; what only passes through stays where it is.
    fn copy_input(&mut self, checked: &Checked) -> Result<(), Violation> {
        let area = self.slot.area();
        for ((kind, place), input) in checked.kinds.iter().zip(&checked.place).zip(&mut self.input) {
            input.clear();
            let message = matches!(kind.kind, Kind::MsgIn | Kind::MsgOut);
            if place.given != Given::Memory || !message && !read_by_handlers(&kind.kind) {
                continue;
            }
            if message {
                area.read(place.start, place.len.min(MessageHeader::SIZE), input);
                let head = MessageHeader::decode_head(input).map(|h| h.parts());
                let fits = |parts: &[std::ops::Range<usize>; 3]| parts.iter().all(|p| p.end <= place.len);
                let parts = head
                    .filter(fits)
                    .ok_or(Violation::Malformed { call: checked.call.name, arg: kind.name })?;
                if kind.kind == Kind::MsgIn {
                    // The header may have changed since: what was checked is put back over what is read now.
                    let head = input.clone();
                    area.read(place.start, parts[1].end, input);
                    input[..head.len()].copy_from_slice(&head);
                }
            } else {
                area.read(place.start, place.len, input);
                frame::check_data(checked.call.name, kind, input)?;
            }
        }
        Ok(())
    }
}

/// Whether handlers look at an argument's data, other than handing them to the kernel.
fn read_by_handlers(kind: &Kind) -> bool {
    match kind {
        Kind::Path(_) | Kind::Text(_) | Kind::Strings | Kind::Address { .. } | Kind::InOut(..) => true,
        Kind::In(_, extent) => !extent.is_opaque(),
        _ => false,
    }
}

/// The answer to a call, and whether it can be made again after a signal.
fn answer(sandbox: &Arc<Sandbox>, call: &mut Call<'_>) -> SyscallResult {
    let answer = dispatch::serve(sandbox, call);
    if answer == Err(Errno::EINTR) {
        let row = call.checked.call;
        let timed = option::has_time_limit(call);
        if row.restarts(&call.request.args) && !timed {
            call.reply.flags |= Reply::RESTART;
        }
        let continued = call.process.line.channel.slot(call.slot).is_some_and(|slot| slot.was_continued());
        if continued && (timed || row.fails_when_continued()) {
            call.reply.flags |= Reply::CONTINUED;
        }
    }
    answer
}

#[cfg(test)]
mod tests;
