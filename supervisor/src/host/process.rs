//! Processes and threads of guests, as the host has them.
//!
//! A number is no name for a process: once a process was waited for, its number is free and may be given to
//! any other of the host, and who waits is the process's parent, a guest. A thread's number is free as soon
//! as the thread ends. So a guest that has taken its emulator over decides when a number changes hands, and
//! nothing is ever done to a number that was merely looked up. A [`ProcessHandle`] holds a process by its
//! descriptor (pidfd_open(2)), a [`ThreadHandle`] a thread; they are the only ways to one in the
//! supervisor, and `tests/tests/handles.rs` holds that.
//!
//! * **Signals** go to the descriptor.
//! * **Looking** (`/proc/N`, clocks, limits) needs a number, the host's. What was seen counts only if the
//!   handle's process is still there *afterwards*: as long as it is, its number was its own all the time.
//!   Guests have numbers of their own where the run has a PID namespace ([`super::pid_namespace`]).
//! * **A thread is one of the process** if the kernel finds it in the group of that number while the process
//!   is there, and the descriptor that was made for it before still has a thread afterwards.
//! * **Scheduling** has no calls that take descriptors. Another's is changed by its number
//!   ([`super::schedule`]), all that can be done is to step back, which never needs a privilege, and it is
//!   done in the PID namespace, where a number is a guest's whoever has it. Without one it is done between
//!   two looks that find the handle's thread there.
//!
//! Before Linux 6.9 there are no descriptors of threads: a signal to one then goes to the number of the
//! process and that of the thread, between two looks that find the process there.

use super::SyscallResult;
use super::credentials::as_own;
use super::number::{NewFd, Wait, new_fd, raw};
use super::pid_namespace::PidNamespace;
use super::schedule::Change;
use super::signal::Info;
use super::stat::{Stat, Status, group_of, parent_of, session_of};
use super::transfer::Buffer;
use super::wait::Time;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// `PIDFD_THREAD` (pidfd_open(2), since Linux 6.9).
const THREAD: u64 = libc::O_EXCL as u64;

/// A process.
#[derive(Debug)]
pub struct ProcessHandle {
    number: i32,
    host: i32,
    pids: PidNamespace,
    fd: OwnedFd,
    /// The host's numbers of its group and its session when they were last asked for, and those of its
    /// namespace.
    groups: Mutex<[Option<(i32, i32)>; 2]>,
}

/// What has a number of several processes.
#[derive(Clone, Copy, Debug)]
enum Several {
    Group,
    Session,
}

impl ProcessHandle {
    /// The process that has this number on the host now, which is to be its number.
    ///
    /// # Errors
    /// As pidfd_open(2).
    pub fn open(host: i32) -> Result<ProcessHandle, Errno> {
        Ok(ProcessHandle::of_parts(host, new_fd(NewFd::Pidfd, [host as u64, 0, 0])?))
    }

    /// The process that has this number on the host now, in its PID namespace.
    ///
    /// # Errors
    /// As pidfd_open(2); ESRCH if it is not in the namespace.
    pub fn in_namespace(host: i32, pids: &PidNamespace) -> Result<ProcessHandle, Errno> {
        let process = ProcessHandle::open(host)?;
        let number = process.look(|host| pids.number_of(host))?;
        Ok(ProcessHandle { number, pids: pids.clone(), ..process })
    }

    /// The process that has this number on the host now, if it is a child of `parent`; ESRCH if not. The
    /// parent is asked for after the handle was made and while its process is there.
    pub fn of_child_on_host(host: i32, parent: i32) -> Result<ProcessHandle, Errno> {
        let child = ProcessHandle::open(host)?;
        match child.look(|host| parent_of(host).ok_or(Errno::ESRCH))? {
            stated if stated == parent => Ok(child),
            _ => Err(Errno::ESRCH),
        }
    }

    /// The process that has this number in this one's namespace now, if it is a child of this one; ESRCH if
    /// not.
    pub fn child(&self, number: i32) -> Result<ProcessHandle, Errno> {
        let child = ProcessHandle::of_child_on_host(self.pids.on_host(number)?, self.host)?;
        // The host's number can have changed hands before the handle was made.
        match child.look(|host| self.pids.number_of(host))? {
            found if found == number => Ok(ProcessHandle { number, pids: self.pids.clone(), ..child }),
            _ => Err(Errno::ESRCH),
        }
    }

    /// A handle whose number and descriptor need not belong together.
    pub(crate) fn of_parts(number: i32, fd: OwnedFd) -> ProcessHandle {
        let pids = PidNamespace::of_host();
        ProcessHandle { number, host: number, pids, fd, groups: Mutex::default() }
    }

    /// The number that it has, or had.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// The number that the host has, or had, for it.
    pub fn on_host(&self) -> i32 {
        self.host
    }

    /// What its namespace calls the process or thread that has this number on the host.
    ///
    /// # Errors
    /// ESRCH if there is none, or it is outside.
    pub fn numbered(&self, host: i32) -> Result<i32, Errno> {
        self.pids.number_of(host)
    }

    /// The number of its process group; `None` once it is gone.
    pub fn group(&self) -> Option<i32> {
        self.several(Several::Group)
    }

    /// The number of its session, 0 for one that began outside of its namespace; `None` once it is gone.
    pub fn session(&self) -> Option<i32> {
        self.several(Several::Session)
    }

    /// The kernel translates what a process is called, but not what a group is whose leader has ended: the
    /// process itself is asked, unless the host's number is the one from before.
    fn several(&self, which: Several) -> Option<i32> {
        let (ask, key): (fn(i32) -> Option<i32>, _) = match which {
            Several::Group => (group_of, "NSpgid"),
            Several::Session => (session_of, "NSsid"),
        };
        let host = self.look(|pid| ask(pid).ok_or(Errno::ESRCH)).ok()?;
        if self.pids.file().is_none() {
            return Some(host);
        }
        let groups = || self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, number)) = groups()[which as usize].filter(|(before, _)| *before == host) {
            return Some(number);
        }
        let status = self.look(|pid| Status::of_process(pid).ok_or(Errno::ESRCH)).ok()?;
        // One number for each namespace in which the process has one, its own last.
        let number = status.value(key).split_ascii_whitespace().next_back()?.parse().ok()?;
        groups()[which as usize] = Some((host, number));
        Some(number)
    }

    /// Its state, as [`Stat::state`] has it; `None` once it is gone.
    pub fn state(&self) -> Option<u8> {
        self.look(|pid| Stat::of_process(pid).and_then(|stat| stat.state()).ok_or(Errno::ESRCH)).ok()
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.state() == Some(b'T')
    }

    /// Whether it is there and neither stopped nor ended.
    pub fn is_running(&self) -> bool {
        self.state().is_some_and(|state| !b"TZX".contains(&state))
    }

    /// Another descriptor of the process, with these flags of pidfd_open(2).
    ///
    /// # Errors
    /// As pidfd_open(2).
    pub fn descriptor(&self, flags: u32) -> Result<OwnedFd, Errno> {
        self.look(|host| new_fd(NewFd::Pidfd, [host as u64, flags.into(), 0]))
    }

    /// ESRCH if the process has ended and was waited for: its number may be another's.
    pub fn is_there(&self) -> Result<(), Errno> {
        there(send(self.fd.as_fd(), &Info::none()))
    }

    /// Whether the process runs no more.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(1)
    }

    /// Sends it a signal (pidfd_send_signal(2)).
    pub fn signal(&self, info: &Info) -> SyscallResult {
        as_own(|| send(self.fd.as_fd(), info))
    }

    /// What is seen of the process by its number on the host. ESRCH if it could have been another's.
    pub fn look<T>(&self, look: impl FnOnce(i32) -> Result<T, Errno>) -> Result<T, Errno> {
        let seen = look(self.host);
        self.is_there()?;
        seen
    }

    /// What is seen of one of its threads by the numbers of both on the host, in a place where the kernel
    /// finds no thread of another process (`/proc/PID/task`). ESRCH if there is none of this number.
    pub fn look_at_thread<T>(
        &self,
        number: i32,
        look: impl FnOnce(i32, i32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let thread = self.pids.on_host(number)?;
        self.look(|process| look(process, thread))
    }

    /// The thread of the process that has this number; ESRCH if there is none, EINVAL for what is no number.
    pub fn thread(&self, number: i32) -> Result<ThreadHandle<'_>, Errno> {
        if number <= 0 {
            return Err(Errno::EINVAL);
        }
        let host = self.pids.on_host(number)?;
        let fd = match new_fd(NewFd::Pidfd, [host as u64, THREAD, 0]) {
            // The flag is not known.
            Err(Errno::EINVAL) => None,
            fd => Some(fd.map_err(|_| Errno::ESRCH)?),
        };
        let thread = ThreadHandle { process: self, number, host, fd };
        // What signal 0 says of a thread of another group.
        there(scalar(libc::SYS_tgkill, [self.host as u64, host as u64, 0]))?;
        thread.is_there()?;
        Ok(thread)
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A thread of a process.
#[derive(Debug)]
pub struct ThreadHandle<'a> {
    process: &'a ProcessHandle,
    number: i32,
    /// Its number on the host.
    host: i32,
    fd: Option<OwnedFd>,
}

impl ThreadHandle<'_> {
    /// ESRCH if the thread has ended: its number may be another's.
    fn is_there(&self) -> Result<(), Errno> {
        self.process.is_there()?;
        match &self.fd {
            Some(fd) => there(send(fd.as_fd(), &Info::none())),
            None => there(scalar(libc::SYS_tgkill, [self.process.host as u64, self.host as u64, 0])),
        }
    }

    /// What a call says of the thread, or does to it, by its number.
    fn by_number<T>(&self, call: impl FnOnce(u64) -> Result<T, Errno>) -> Result<T, Errno> {
        self.is_there()?;
        let done = call(self.host as u64);
        self.is_there()?;
        done
    }

    /// Sends it a signal: pidfd_send_signal(2), or rt_tgsigqueueinfo(2) where threads have no descriptors.
    pub fn signal(&self, info: &Info) -> SyscallResult {
        if let Some(fd) = &self.fd {
            return as_own(|| send(fd.as_fd(), info));
        }
        let group = self.process.host as u64;
        self.by_number(|thread| {
            let args = [group, thread, info.signal() as u64, info.address(), 0, 0];
            // SAFETY: the kernel reads one siginfo, borrowed here.
            as_own(|| unsafe { raw(Wait::Short, libc::SYS_rt_tgsigqueueinfo, args) })
        })
    }

    /// Another descriptor of the thread, with these flags of pidfd_open(2) besides PIDFD_THREAD.
    ///
    /// # Errors
    /// As pidfd_open(2); EINVAL before Linux 6.9.
    pub fn descriptor(&self, flags: u32) -> Result<OwnedFd, Errno> {
        self.by_number(|thread| new_fd(NewFd::Pidfd, [thread, THREAD | u64::from(flags), 0]))
    }

    /// 20 less its nice value, as the kernel's getpriority(2) answers.
    pub fn priority(&self) -> SyscallResult {
        self.by_number(|thread| scalar(libc::SYS_getpriority, [libc::PRIO_PROCESS.into(), thread, 0]))
    }

    /// The number that it has, or had.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Makes a change by its number on the host.
    ///
    /// # Errors
    /// As [`Change::make`].
    pub fn change(&self, change: &Change) -> SyscallResult {
        self.by_number(|thread| as_own(|| change.make(thread as i32)))
    }

    /// ioprio_get(2); `who` says that the number is a process's.
    pub fn io_priority(&self, who: u32) -> SyscallResult {
        self.by_number(|thread| scalar(libc::SYS_ioprio_get, [who.into(), thread, 0]))
    }

    /// sched_getscheduler(2).
    pub fn policy(&self) -> SyscallResult {
        self.by_number(|thread| scalar(libc::SYS_sched_getscheduler, [thread, 0, 0]))
    }

    /// sched_getaffinity(2): the kernel's call, which answers how many bytes it wrote.
    pub fn affinity(&self, mask: Buffer<'_>) -> SyscallResult {
        self.by_number(|thread| {
            let args = [thread, mask.len() as u64, mask.address(), 0, 0, 0];
            // SAFETY: the kernel writes at most the buffer's length.
            unsafe { raw(Wait::Short, libc::SYS_sched_getaffinity, args) }
        })
    }

    /// sched_rr_get_interval(2).
    pub fn interval(&self) -> Result<Time, Errno> {
        let mut time = [0; 2];
        let at = time.as_mut_ptr() as u64;
        self.by_number(|thread| {
            // SAFETY: the kernel writes one timespec.
            unsafe { raw(Wait::Short, libc::SYS_sched_rr_get_interval, [thread, at, 0, 0, 0, 0]) }
        })?;
        Ok(time)
    }
}

/// What signal 0 says of a process or thread: EPERM is for one that is there, and another user's.
fn there(signalled: SyscallResult) -> Result<(), Errno> {
    match signalled {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A call that takes only numbers.
fn scalar(nr: i64, [a, b, c]: [u64; 3]) -> SyscallResult {
    // SAFETY: the calls made here take no pointer.
    unsafe { raw(Wait::Short, nr, [a, b, c, 0, 0, 0]) }
}

/// pidfd_send_signal(2): to what the descriptor is of.
fn send(to: BorrowedFd<'_>, info: &Info) -> SyscallResult {
    let args = [to.as_raw_fd() as u64, info.signal() as u64, info.address(), 0, 0, 0];
    // SAFETY: the kernel reads one siginfo, borrowed here.
    unsafe { raw(Wait::Short, libc::SYS_pidfd_send_signal, args) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{getpid, getppid, gettid};
    use std::process::{Child, Command};

    fn child() -> (Child, ProcessHandle) {
        let child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let handle = ProcessHandle::open(child.id() as i32).unwrap();
        (child, handle)
    }

    #[test]
    fn a_process_that_was_waited_for_is_gone_for_good() {
        let (mut child, handle) = child();
        let number = child.id() as i32;
        assert_eq!((handle.is_there(), handle.has_ended()), (Ok(()), false));
        assert_eq!(handle.look(Ok), Ok(number));
        assert!(handle.thread(number).unwrap().priority().is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((handle.is_there(), handle.has_ended()), (Err(Errno::ESRCH), true));
        assert_eq!(handle.look(Ok), Err(Errno::ESRCH));
        assert_eq!(handle.thread(number).map(drop), Err(Errno::ESRCH));
        assert_eq!(handle.descriptor(0).map(drop), Err(Errno::ESRCH));
    }

    /// The number of a process that was waited for is this process's now.
    #[test]
    fn a_number_that_has_changed_hands_is_neither_looked_at_nor_acted_on() {
        let (mut child, handle) = child();
        child.kill().unwrap();
        child.wait().unwrap();
        let own = ProcessHandle::of_parts(getpid().as_raw(), handle.fd);
        let info = Info::sent(libc::SIGKILL, libc::SI_USER, 0, 0);
        assert_eq!(own.signal(&info), Err(Errno::ESRCH));
        assert_eq!(own.thread(gettid().as_raw()).map(drop), Err(Errno::ESRCH));
        assert_eq!(own.look(Ok), Err(Errno::ESRCH));
    }

    #[test]
    fn a_thread_that_has_ended_is_nobody() {
        let own = ProcessHandle::open(getpid().as_raw()).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(gettid().as_raw()).unwrap();
            let _ = ended.recv();
        });
        let number = told.recv().unwrap();
        let handle = own.thread(number).unwrap();
        assert_eq!(handle.is_there(), Ok(()));
        drop(end);
        thread.join().unwrap();
        // It is gone from the host a moment after it was joined.
        while handle.is_there().is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(handle.signal(&Info::none()), Err(Errno::ESRCH));
        for change in [Change::Nice(19), Change::Policy(libc::SCHED_IDLE), Change::Time([1, 1])] {
            assert_eq!(handle.change(&change), Err(Errno::ESRCH));
        }
        assert_eq!(own.thread(number).map(drop), Err(Errno::ESRCH));
    }

    #[test]
    fn a_thread_of_another_process_is_none_of_this() {
        let own = ProcessHandle::open(getpid().as_raw()).unwrap();
        for other in [getppid().as_raw(), 1, 0, -1, i32::MAX] {
            assert!(own.thread(other).is_err(), "{other}");
        }
    }

    #[test]
    fn only_a_child_is_taken_for_a_child() {
        let (mut child, _) = child();
        let own = getpid().as_raw();
        assert!(ProcessHandle::of_child_on_host(child.id() as i32, own).is_ok());
        for other in [own, getppid().as_raw(), 1, 5_000_000] {
            assert_eq!(ProcessHandle::of_child_on_host(other, own).map(drop), Err(Errno::ESRCH), "{other}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ProcessHandle::of_child_on_host(child.id() as i32, own).map(drop), Err(Errno::ESRCH));
    }
}
