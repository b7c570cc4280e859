//! The child's seccomp filter: the boundary between guest code and the host's kernel.
//!
//! From the first guest instruction on this process counts as hostile: guest code shares its address space
//! and the code cache is writable, so assume that it can make any host call with any arguments. What it can
//! reach is then exactly what [`rules()`] let through. Everything else ends the whole process with SIGSYS,
//! which the supervisor reports; a few calls that the C library makes on its own and can do without fail with
//! an errno instead. The list with its reasons as text is `tests/confine.txt`.
//!
//! Invariants, and why the rules keep them:
//!
//! * **No other process is reached.** Nothing that takes the id of another process is allowed: no kill(2) of
//!   any kind, no ptrace, no look at another's affinity or clocks. A process id cannot be tested against our
//!   own, because the filter is inherited over fork(2), where the id differs, and because ids are used again
//!   once their process is gone. So tgkill(2) fails with EPERM even for the caller itself, and signals
//!   between guests go through the supervisor. A process that must die by a signal raises it with a timer:
//!   the kernel lets a timer signal only the process that made it (timer_create(2)). abort(3) works as well:
//!   after two attempts to raise SIGABRT it executes a privileged instruction, and the fault ends the
//!   process.
//! * **No file is named.** No allowed call takes a path. newfstatat(2) and statx(2) on a descriptor do: the
//!   filter cannot see whether the string behind the pointer is empty. So sizes come from fstat(2) by number.
//!   The C library's allocator opens a file below `/proc` when it shrinks a thread's heap; openat(2)
//!   therefore fails with EPERM.
//! * **No descriptor is made here, none leaves, and numbers stay what they are.** Descriptors come only from
//!   the supervisor over the control socket; sendto(2) carries none. The rules name the control socket and
//!   the log by number, so close(2) spares both, and nothing can put another file in their place.
//! * **No memory becomes executable** outside of the code cache, which is reserved before and opened piece by
//!   piece. Only the runtime's image is besides. This is depth, not the boundary.
//! * **Nobody gets out.** Filters are inherited by threads and processes and can only be added to, and adding
//!   is not allowed. The flags of a new thread or process are compared as a whole, so none brings namespaces,
//!   shared tables or descriptors. clone3(2), whose flags lie in memory, fails with ENOSYS, and the C library
//!   then takes clone(2).
//! * **Numbers have one meaning.** Calls of the 32-bit architecture (`int 0x80`, sysenter) end the process
//!   whatever their number, and so do those with the x32 bit, because no rule has it.
//!
//! Two calls never come before a filter in recent kernels: uretprobe and uprobe, by which trampolines that
//! the kernel itself puts into a probed process report to it. From anywhere else they raise SIGILL or fail.

mod isolate;
mod rules;

pub use isolate::{IsolateError, isolate};
pub use rules::{Only, Rule, rules};

use rxbox_seccomp::{Action, CompileError, Program};

/// What the filter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// There is a log on descriptor [`rxbox_wire::boot::LOG_FD`].
    pub log: bool,
}

/// Why the process is not confined. It must not run a guest.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The rules do not make a filter.
    #[error("cannot compile the seccomp filter: {0}")]
    Compile(#[from] CompileError),
    /// The kernel has no seccomp filters, or an outer sandbox forbids them, or a thread has filters of its
    /// own.
    #[error("cannot install the seccomp filter: {0}")]
    Install(#[from] rxbox_seccomp::InstallError),
}

/// Puts the filter in force for good: on all threads of this process and whatever they start. Gives up the
/// privileges that execve(2) could bring (`PR_SET_NO_NEW_PRIVS`) first, without which the kernel takes no
/// filter.
///
/// # Errors
/// See [`ConfineError`].
pub fn install(options: &Options) -> Result<(), ConfineError> {
    Ok(compile(options)?.restrict_process()?)
}

fn compile(options: &Options) -> Result<Program, CompileError> {
    let in_force = rules().iter().filter(|rule| rule.only.holds(options.log));
    let rules =
        in_force.map(|rule| rxbox_seccomp::Rule { call: rule.call, when: rule.when, action: rule.action });
    rxbox_seccomp::compile(rules, Action::KillProcess)
}

#[cfg(test)]
mod tests;
