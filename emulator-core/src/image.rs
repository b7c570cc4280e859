//! Starting a program in this process: at the beginning, and for execve(2).

use crate::loader::stack::{Auxiliary, Strings};
use crate::loader::vdso::Vdso;
use crate::loader::{self, Executable, ImageFile, LoadError, Program, Start};
use crate::process::Process;
use crate::runtime::state::{INITIAL_MXCSR, INITIAL_RFLAGS};
use crate::thread::Thread;
use nix::errno::Errno;

/// What starts, and with what.
#[derive(Debug)]
pub struct Image<'a> {
    /// The program's file, which is no script.
    pub file: ImageFile,
    /// Its arguments, environment and name.
    pub strings: Strings<'a>,
    /// Identity and machine.
    pub auxiliary: Auxiliary,
    /// The host's vDSO, if the guest gets it.
    pub vdso: Option<&'a Vdso>,
    /// Randomness for the space and for the places in it.
    pub seeds: [u64; 2],
}

/// Replaces whatever the process has in memory by the program. `open` opens the dynamic linker.
///
/// # Errors
/// See [`LoadError`]. An error leaves the process without a program.
pub fn load(
    process: &Process,
    image: Image<'_>,
    open: impl FnOnce(&[u8]) -> Result<ImageFile, Errno>,
) -> Result<Start, LoadError> {
    let Image { file, strings, auxiliary, vdso, seeds } = image;
    // It asks the supervisor, which is not done while the memory is locked.
    let executable = Executable::check(file, open)?;
    let mut guard = process.memory.lock();
    let memory = &mut *guard;
    memory.space.unmap_all(&mut memory.host);
    process.blocks.lock().suspend_all();
    memory.forget_guards();
    memory.space = memory.space.next_program(seeds[0]);
    if let Some(vdso) = vdso {
        vdso.lend(&mut memory.space).map_err(|errno| LoadError::Host { what: "lending the vDSO", errno })?;
    }
    let program = Program { executable, strings, auxiliary, seed: seeds[1] };
    let start = loader::load(&mut memory.space, &mut memory.host, &program)?;
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
    crate::host::cpu::reset_fpu();
}
