//! Starting a program in this process: at the beginning, and for execve(2).

use super::exit::exit_group;
use crate::base::result::SyscallResult;
use crate::guest::layout::LOW;
use crate::host::cpu;
use crate::loader::stack::{Auxiliary, Strings};
use crate::loader::vdso::Vdso;
use crate::loader::{self, LoadError, Program, Start};
use crate::process::Process;
use crate::process::exec_state::PreparedExec;
use crate::runtime::state::{INITIAL_MXCSR, INITIAL_RFLAGS};
use crate::signal::{lifecycle, ptrace};
use crate::thread::{Thread, origins, request, robust};
use nix::errno::Errno;

/// Status of a process whose new program could not be brought in place after the old one was gone; the kernel
/// kills such a process by SIGKILL (execve(2)).
const LOST: i32 = 128 + libc::SIGKILL;

/// Replaces whatever the process has in memory by the program, with the host's vDSO if the guest gets it.
/// `seed` is the randomness of the space.
///
/// # Errors
/// See [`LoadError`]. An error leaves the process without a program.
pub fn load(
    process: &Process,
    program: &Program<'_>,
    vdso: Option<&Vdso>,
    seed: u64,
) -> Result<Start, LoadError> {
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    memory.space.unmap_all(&mut memory.host);
    process.blocks.lock().suspend_all();
    memory.forget_protected();
    memory.space = memory.space.next_program(seed);
    if let Some(vdso) = vdso {
        vdso.lend(&mut memory.space).map_err(|errno| LoadError::Host { what: "lending the vDSO", errno })?;
    }
    let start = loader::load(&mut memory.space, &mut memory.host, program)?;
    memory.auxiliary = start.auxiliary;
    process.log.pages(|| memory.space.maps_text());
    Ok(start)
}

/// Sets the registers of the thread for the first instruction of a loaded program.
pub fn enter(thread: &mut Thread, start: &Start) {
    let state = thread.state();
    state.gpr = [0; 16];
    state.gpr[4] = start.sp;
    state.pc = start.entry;
    state.rflags = INITIAL_RFLAGS;
    state.fs_base = 0;
    state.gs_base = 0;
    state.mxcsr = INITIAL_MXCSR;
    state.in_use = 0;
    state.vectors = [[0; 64]; 32];
    state.opmasks = [0; 8];
    cpu::reset_fpu();
}

/// The point of no return: this thread is the only one and the leader of its process.
pub fn replace(thread: &mut Thread, prepared: PreparedExec) -> SyscallResult {
    let process = thread.process;
    let Some(machine) = process.machine.get().cloned() else {
        return Errno::ENOEXEC.into();
    };
    process.release_parent();
    origins::tell_points(thread);
    lifecycle::exec(thread);
    robust::release(thread.robust_list.0, thread.tid);
    (thread.robust_list, thread.clear_child_tid) = ((0, 0), 0);
    let mut random = [0; 32];
    cpu::random(&mut random);
    let [space, places] = [0, 1].map(|i| u64::from_le_bytes(std::array::from_fn(|k| random[8 * i + k])));
    let ids = request::identity(thread);
    // The program is not to trust an environment that somebody else may have made (getauxval(3)).
    let secure = ids[0] != ids[1] || ids[2] != ids[3];
    let random = std::array::from_fn(|i| random[16 + i]);
    let auxiliary = Auxiliary { random, ids, secure, ..machine.auxiliary };
    let PreparedExec { called, path, executable, argv, envp } = prepared;
    let strings = Strings { argv: &argv, envp: &envp, path: &called };
    let program = Program { executable, strings, auxiliary, seed: places };
    match load(process, &program, machine.vdso.as_ref(), space) {
        Ok(start) => {
            request::exec_done(thread, &path, strings);
            origins::tell_of(thread, LOW);
            enter(thread, &start);
            ptrace::event(thread, libc::PTRACE_EVENT_EXEC, thread.tid as u64);
            SyscallResult::Done
        }
        Err(e) => {
            let called = String::from_utf8_lossy(&called);
            request::report(thread, &format!("{}: {e}", called.escape_debug()));
            exit_group(thread, LOST)
        }
    }
}
