//! The gate that every fork of an emulator child passes: the supervisor lets it through or not.
//!
//! The child's filter allows clone(2) with the flags of a fork, and nothing in the child's memory can be
//! believed to say how often. So a second filter hands each such call to the supervisor, which holds the
//! other end of it (seccomp_unotify(2)). That is a place for decisions here, though the manual page warns
//! of it: what is decided on are the calling thread and its registers, and neither can be changed while it
//! waits. Threads pass unasked.
//!
//! Once nobody holds that end any more, the call fails with ENOSYS: nothing forks that outlives the
//! supervisor.

use super::SyscallResult;
use super::number::{Wait, owned, raw};
use libc::{seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `SECCOMP_IOCTL_NOTIF_RECV`.
const RECEIVE: u64 = 0xc050_2100;
/// `SECCOMP_IOCTL_NOTIF_SEND`.
const SEND: u64 = 0xc018_2101;
/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS`.
const SET_FLAGS: u64 = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: the other side runs on this processor next (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u64 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: a call that was received is not interrupted (Linux 5.19).
const WAIT_KILLABLE: u64 = 1 << 5;
/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xc000_003e;

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Skips so many of what follows unless the test holds.
const fn unless(test: u32, k: u32, skip: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt: 0, jf: skip, k }
}

/// Skips so many of what follows if a bit is set.
const fn skip_if_set(k: u32, skip: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16, jt: skip, jf: 0, k }
}

const fn answer(k: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k }
}

/// clone(2) without CLONE_THREAD is handed over; all else is for the child's own filter to judge, also the
/// calls of other architectures. Offsets are those of `struct seccomp_data`.
const PROGRAM: [sock_filter; 8] = [
    load(4),
    unless(libc::BPF_JEQ, X86_64, 5),
    load(0),
    unless(libc::BPF_JEQ, libc::SYS_clone as u32, 3),
    load(16),
    skip_if_set(libc::CLONE_THREAD as u32, 1),
    answer(libc::SECCOMP_RET_USER_NOTIF),
    answer(libc::SECCOMP_RET_ALLOW),
];

/// Sets the gate up for the calling thread and all that it makes, for good. It must have `no_new_privs`.
/// Gives the end where forks are let through.
///
/// # Errors
/// As seccomp(2). EBUSY: somebody else's filter around this process has such an end already.
pub fn set_up() -> Result<OwnedFd, Errno> {
    let mut program = PROGRAM;
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let install = |flags| {
        let args = [libc::SECCOMP_SET_MODE_FILTER.into(), flags, &raw const program as u64, 0, 0, 0];
        // SAFETY: the kernel reads the program, which lives here; the answer is a new descriptor.
        unsafe { owned(raw(Wait::Short, libc::SYS_seccomp, args)) }
    };
    match install(NEW_LISTENER | WAIT_KILLABLE) {
        Err(Errno::EINVAL) => install(NEW_LISTENER),
        done => done,
    }
}

/// The end where forks are let through.
#[derive(Debug)]
pub struct ForkGate(OwnedFd);

/// A thread that wants to fork.
#[derive(Debug)]
pub struct Asking {
    id: u64,
    /// The thread's number. It is the thread's own until it is answered.
    pub thread: i32,
}

impl ForkGate {
    /// From the descriptor that [`set_up`] gave.
    pub fn new(end: OwnedFd) -> ForkGate {
        let gate = ForkGate(end);
        // Only for speed, where the kernel has it.
        let _ = gate.control(SET_FLAGS, SYNC_WAKE_UP);
        gate
    }

    /// Waits for a thread that wants to fork; nothing if that is gone again.
    ///
    /// # Errors
    /// As ioctl(2) for `SECCOMP_IOCTL_NOTIF_RECV`, but for EINTR; ENOENT once there is no process behind the
    /// gate any more.
    pub fn next(&self) -> Result<Option<Asking>, Errno> {
        // SAFETY: zero is a value of the structure, and the one that the kernel wants to find.
        let mut asked: seccomp_notif = unsafe { std::mem::zeroed() };
        match self.control(RECEIVE, &raw mut asked as u64) {
            Ok(_) => Ok(Some(Asking { id: asked.id, thread: asked.pid as i32 })),
            Err(Errno::EINTR) => Ok(None),
            // The same errno for a thread that is gone and for the last one.
            Err(Errno::ENOENT) if !self.is_deserted() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether all processes behind the gate have ended (seccomp_unotify(2)).
    fn is_deserted(&self) -> bool {
        let mut gate = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut gate, PollTimeout::ZERO);
        polled.is_ok() && gate[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    /// Lets the thread fork, or has its call fail with EPERM.
    pub fn answer(&self, asking: &Asking, may: bool) {
        let flags = if may { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
        let error = if may { 0 } else { -libc::EPERM };
        let mut response = seccomp_notif_resp { id: asking.id, val: 0, error, flags };
        // A thread that was killed meanwhile needs no answer.
        let _ = self.control(SEND, &raw mut response as u64);
    }

    /// ioctl(2) with the commands above, whose structures the callers own.
    fn control(&self, command: u64, argument: u64) -> SyscallResult {
        // SAFETY: the argument is a number or points to the structure that the command reads and writes.
        unsafe { raw(Wait::Short, libc::SYS_ioctl, [self.0.as_raw_fd() as u64, command, argument, 0, 0, 0]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// A shell behind a gate: it forks for each command in parentheses.
    #[test]
    fn a_fork_waits_until_it_is_let_through_or_not() {
        assert_eq!((size_of::<seccomp_notif>(), size_of::<seccomp_notif_resp>()), (80, 24));
        let (ours, theirs) = nix::sys::socket::socketpair(
            nix::sys::socket::AddressFamily::Unix,
            nix::sys::socket::SockType::SeqPacket,
            None,
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        )
        .unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "(echo one); (echo two); (echo three); exit 0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        // SAFETY: only host calls are made between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_no_new_privs()?;
                let end = set_up()?;
                Ok(super::super::parcel::send(theirs.as_fd(), &[0], Some(end.as_fd()))?)
            });
        }
        let gatekeeper = std::thread::spawn(move || {
            use nix::sys::socket::MsgFlags;
            let parcel = super::super::parcel::received::<1>(ours.as_fd(), MsgFlags::empty());
            // A host without the call has no gate.
            let Ok(Some((_, Some(end)))) = parcel else { return (Vec::new(), None) };
            let gate = ForkGate::new(end);
            let mut threads = Vec::new();
            for may in [true, false] {
                let asking = gate.next().unwrap().unwrap();
                threads.push(asking.thread);
                gate.answer(&asking, may);
            }
            // Once nobody is left that could ask, asking for the next is an error, not a loop.
            let deserted = loop {
                if let Err(e) = gate.next() {
                    break e;
                }
            };
            (threads, Some(deserted))
        });
        let shell = command.spawn().unwrap();
        let pid = shell.id() as i32;
        let output = shell.wait_with_output().unwrap();
        let (threads, deserted) = gatekeeper.join().unwrap();
        assert_eq!(threads, [pid, pid]);
        assert_eq!(deserted, Some(Errno::ENOENT));
        // The second fails, and the shell gives up.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n");
    }
}
