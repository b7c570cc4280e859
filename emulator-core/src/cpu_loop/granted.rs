//! The calls that the child carries out itself once the supervisor has granted them.
//!
//! Each has exactly one entry in [`ALL`], by its number; a multiplexer of which only single commands are
//! granted has one for each of those. The tests hold this list against the table of system calls, both ways,
//! so a call that is granted has an implementation.

use self::Entry::{Call, Commands};
use crate::base::result::SyscallResult;
use crate::lifecycle::{clone, exec, exit};
use crate::signal::{calls as signals, timers};
use crate::syscall::{futex, memory, mmsg, own_memory, process, shm, terminal, transfer, wait};
use crate::thread::Thread;
use libc::*;
use nix::errno::Errno;
use rxbox_wire::kind::{Syscall, Wait};
use rxbox_wire::table;

/// A granted call.
struct Granted<'a> {
    call: &'static Syscall,
    args: &'a [u64; 6],
    /// What the supervisor says with the approval.
    approved: i64,
}

impl Granted<'_> {
    fn waits(&self) -> bool {
        self.call.waits(self.args) != Wait::Never
    }
}

/// An implementation. A call that waits comes to EINTR if a signal interrupts it.
type Run = fn(&mut Thread, &Granted<'_>) -> SyscallResult;

/// Who carries a call out.
#[derive(Clone, Copy)]
enum Entry {
    /// One function, whatever the command if there is one.
    Call(Run),
    /// One function for each command that is granted.
    Commands(&'static [(u64, Run)]),
}

/// Commands of arch_prctl(2).
/// Gives the auxiliary vector (since Linux 6.4).
const PR_GET_AUXV: u64 = 0x4155_5856;
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;
const ARCH_GET_CPUID: u64 = 0x1011;

/// All of them.
const ALL: &[(i64, Entry)] = &[
    // The address space.
    (SYS_mmap, Call(|t, g| memory::mmap(t, g.args).into())),
    (SYS_munmap, Call(|t, g| memory::munmap(t, g.args).into())),
    (SYS_mprotect, Call(|t, g| memory::mprotect(t, g.args).into())),
    (SYS_mremap, Call(|t, g| memory::mremap(t, g.args).into())),
    (SYS_brk, Call(|t, g| memory::brk(t, g.args).into())),
    (SYS_madvise, Call(|t, g| memory::madvise(t, g.args).into())),
    (SYS_msync, Call(|_, g| memory::msync(g.args).into())),
    (SYS_mincore, Call(|t, g| memory::mincore(t, g.args).into())),
    (SYS_mlock, Call(|_, g| memory::mlock(g.args).into())),
    (SYS_mlock2, Call(|_, g| memory::mlock2(g.args).into())),
    (SYS_munlock, Call(|_, g| memory::munlock(g.args).into())),
    (SYS_mlockall, Call(|_, g| memory::mlockall(g.args).into())),
    (SYS_munlockall, Call(|_, _| SyscallResult::Value(0))),
    (SYS_membarrier, Call(|_, g| process::membarrier(g.args).into())),
    // Makes the exchange itself, as mmap(2) of a file does: the segment comes with the approval.
    (SYS_shmat, Call(|t, g| shm::attach(t, g.call, *g.args))),
    (SYS_shmdt, Call(|t, g| shm::detach(t, g.args[0]))),
    (SYS_process_vm_readv, Call(|t, g| own_memory::read(t, g.args).into())),
    (SYS_process_vm_writev, Call(|t, g| own_memory::write(t, g.args).into())),
    (SYS_vmsplice, Call(|t, g| transfer::vmsplice(t, g.args, g.approved))),
    // Threads and processes.
    (SYS_sched_yield, Call(|_, _| process::sched_yield())),
    (SYS_clone, Call(|t, g| clone::clone(t, g.call.nr, g.args))),
    (SYS_clone3, Call(|t, g| clone::clone(t, g.call.nr, g.args))),
    (SYS_fork, Call(|t, g| clone::clone(t, g.call.nr, g.args))),
    (SYS_vfork, Call(|t, g| clone::clone(t, g.call.nr, g.args))),
    (SYS_execve, Call(|t, g| exec::exec(t, g.call.nr, g.args))),
    (SYS_execveat, Call(|t, g| exec::exec(t, g.call.nr, g.args))),
    (SYS_exit, Call(|t, g| exit::exit(t, g.args[0] as i32))),
    (SYS_exit_group, Call(|t, g| exit::exit_all(t, g.args[0] as i32))),
    (SYS_wait4, Call(|t, g| wait::wait(t, g.call.nr, g.args, g.approved).into())),
    (SYS_waitid, Call(|t, g| wait::wait(t, g.call.nr, g.args, g.approved).into())),
    (SYS_getrusage, Call(|t, g| process::usage_of_children(t, g.args[1]).into())),
    (SYS_setpgid, Call(|_, g| process::setpgid(g.args).into())),
    (SYS_setsid, Call(|_, _| process::setsid().into())),
    (
        SYS_ioctl,
        Commands(&[
            (TIOCSCTTY, |t, g| terminal::control(t, g.args)),
            (TIOCNOTTY, |t, g| terminal::control(t, g.args)),
            (TIOCSPGRP, |t, g| terminal::control(t, g.args)),
            (TIOCGPGRP, |t, g| terminal::control(t, g.args)),
            (TIOCGSID, |t, g| terminal::control(t, g.args)),
        ]),
    ),
    (SYS_set_tid_address, Call(|t, g| process::set_tid_address(t, g.args[0]))),
    (SYS_set_robust_list, Call(|t, g| process::register_robust_list(t, g.args[0], g.args[1]).into())),
    (SYS_get_robust_list, Call(|t, g| process::get_robust_list(t, g.args).into())),
    (SYS_futex, Call(|t, g| futex::futex(t, g.args, g.waits()).into())),
    (SYS_futex_waitv, Call(|_, g| futex::futex_waitv(g.args).into())),
    (
        SYS_prctl,
        Commands(&[
            (PR_SET_CHILD_SUBREAPER as u64, |_, g| process::set_child_subreaper(g.args[1]).into()),
            (PR_GET_CHILD_SUBREAPER as u64, |t, g| process::get_child_subreaper(t, g.args[1]).into()),
            (PR_GET_AUXV, |t, g| process::get_auxiliary_vector(t, g.args[1], g.args[2]).into()),
            (PR_GET_TID_ADDRESS as u64, |t, g| process::get_tid_address(t, g.args[1]).into()),
        ]),
    ),
    (
        SYS_arch_prctl,
        Commands(&[
            (ARCH_SET_GS, |t, g| process::set_gs(t, g.args[1]).into()),
            (ARCH_SET_FS, |t, g| process::set_fs(t, g.args[1]).into()),
            (ARCH_GET_FS, |t, g| process::get_fs(t, g.args[1]).into()),
            (ARCH_GET_GS, |t, g| process::get_gs(t, g.args[1]).into()),
            // cpuid is never refused.
            (ARCH_GET_CPUID, |_, _| SyscallResult::Value(1)),
        ]),
    ),
    // Signals, and the timers that raise them.
    (SYS_rt_sigaction, Call(|t, g| signals::action(t, g.args).into())),
    (SYS_rt_sigprocmask, Call(|t, g| signals::procmask(t, g.args).into())),
    (SYS_rt_sigreturn, Call(|t, _| signals::sigreturn(t))),
    (SYS_rt_sigsuspend, Call(|t, g| signals::suspend(t, g.args).into())),
    (SYS_pause, Call(|_, _| signals::pause().into())),
    (SYS_rt_sigpending, Call(|t, g| signals::pending(t, g.args).into())),
    (SYS_rt_sigtimedwait, Call(|t, g| signals::timed_wait(t, g.args).into())),
    (SYS_sigaltstack, Call(|t, g| signals::alternate_stack(t, g.args).into())),
    (SYS_alarm, Call(|_, g| timers::alarm(g.args).into())),
    (SYS_getitimer, Call(|t, g| timers::getitimer(t, g.args).into())),
    (SYS_setitimer, Call(|t, g| timers::setitimer(t, g.args).into())),
    (SYS_timer_create, Call(|t, g| timers::create(t, g.args).into())),
    (SYS_timer_settime, Call(|t, g| timers::settime(t, g.args).into())),
    (SYS_timer_gettime, Call(|t, g| timers::gettime(t, g.args).into())),
    (SYS_timer_getoverrun, Call(|_, g| timers::getoverrun(g.args).into())),
    (SYS_timer_delete, Call(|t, g| timers::delete(t, g.args).into())),
    // Messages.
    (SYS_sendmmsg, Call(|t, g| mmsg::send(t, g.args))),
    (SYS_recvmmsg, Call(|t, g| mmsg::receive(t, g.args))),
];

/// One more than the highest number of an entry.
const NUMBERS: usize = {
    let (mut numbers, mut i) = (0, 0);
    while i < ALL.len() {
        if ALL[i].0 as usize >= numbers {
            numbers = ALL[i].0 as usize + 1;
        }
        i += 1;
    }
    numbers
};

/// The entries by call number.
static BY_NUMBER: [Option<Entry>; NUMBERS] = {
    let mut by_number = [None; NUMBERS];
    let mut i = 0;
    while i < ALL.len() {
        let (nr, entry) = ALL[i];
        assert!(by_number[nr as usize].is_none(), "a call has two entries");
        by_number[nr as usize] = Some(entry);
        i += 1;
    }
    by_number
};

/// The implementation of a call with these registers.
fn implementation(call: &'static Syscall, args: &[u64; 6]) -> Option<Run> {
    match BY_NUMBER.get(call.nr as usize).copied().flatten()? {
        Call(run) => Some(run),
        Commands(runs) => {
            let (_, command) = table::kinds(call, args);
            let value = command?.value;
            runs.iter().find(|(of, _)| *of == value).map(|&(_, run)| run)
        }
    }
}

/// Carries out an approved call; `approved` is what the supervisor says with it.
pub fn carry_out(
    thread: &mut Thread,
    call: &'static Syscall,
    args: &[u64; 6],
    approved: i64,
) -> SyscallResult {
    const EINTR: SyscallResult = SyscallResult::Value(-(libc::EINTR as i64));
    // There is one for each call that the supervisor grants, as the tests show.
    let Some(run) = implementation(call, args) else { return Errno::ENOSYS.into() };
    let granted = Granted { call, args, approved };
    match run(thread, &granted) {
        EINTR if granted.waits() => SyscallResult::Interrupted { restart: call.restarts(args) },
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_wire::kind::{Kind, Route};

    /// The registers of every call and command that the table grants, with its name.
    fn granted() -> Vec<(String, &'static Syscall, [u64; 6])> {
        let mut all = Vec::new();
        for call in table::SYSCALLS {
            let at = call.args.iter().position(|a| matches!(a.kind, Kind::Command(_)));
            let Some((at, Kind::Command(commands))) = at.map(|at| (at, call.args[at].kind)) else {
                if call.route == Route::Grant {
                    all.push((call.name.to_owned(), call, [0; 6]));
                }
                continue;
            };
            for command in commands.rows.iter().filter(|c| c.route.unwrap_or(call.route) == Route::Grant) {
                let mut args = [0; 6];
                args[at] = command.value;
                all.push((format!("{} {}", call.name, command.name), call, args));
            }
        }
        all
    }

    #[test]
    fn every_call_and_command_that_the_table_grants_has_an_implementation() {
        let missing: Vec<_> = granted()
            .into_iter()
            .filter(|(_, call, args)| implementation(call, args).is_none())
            .map(|(name, ..)| name)
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Granted where the process that is named is the caller's own, or its children are meant; else not.
    const OF_ITSELF: [i64; 3] = [SYS_process_vm_readv, SYS_process_vm_writev, SYS_getrusage];

    #[test]
    fn every_implementation_is_of_a_call_or_command_that_the_table_grants_and_the_only_one() {
        let granted = granted();
        let is_granted = |nr: i64, command: Option<u64>| {
            granted.iter().any(|(_, call, args)| {
                let of = table::kinds(call, args).1.map(|c| c.value);
                i64::from(call.nr) == nr && command.is_none_or(|value| of == Some(value))
            })
        };
        for &(nr, entry) in ALL {
            match entry {
                Call(_) => assert!(is_granted(nr, None) || OF_ITSELF.contains(&nr), "{nr}"),
                Commands(runs) => {
                    for (i, &(value, _)) in runs.iter().enumerate() {
                        assert!(is_granted(nr, Some(value)), "{nr} {value:#x}");
                        assert!(runs[..i].iter().all(|&(other, _)| other != value), "{nr} {value:#x}");
                    }
                }
            }
        }
    }
}
