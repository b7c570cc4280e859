//! The life of an emulator child: from the first instruction of its `main` to the guest's first.
//!
//! The supervisor has executed this program once more, with an empty environment, no capabilities, and these
//! descriptors: the channel, the control socket, perhaps the log. The order matters. What needs files of the
//! host comes first; then what takes them away, which wants a process of one thread ([`confine::isolate`]);
//! then everything else that needs a host call beyond the filter; then the filter; last the files of the
//! guest, which are hostile.

use crate::base::sigset::SigSet;
use crate::channel::Channel;
use crate::guest::layout::{self, LOW};
use crate::guest::{AddressSpace, Limits, Span};
use crate::host::thread::{BlockedSignals, gettid};
use crate::host::{call, control, cpu};
use crate::lifecycle::{exit, load};
use crate::loader::stack::{Auxiliary, Strings};
use crate::loader::vdso::Vdso;
use crate::loader::{Executable, LoadError, Program, resolve_scripts};
use crate::log::Log;
use crate::process::Process;
use crate::process::exec_state::Machine;
use crate::runtime::blocks::Blocks;
use crate::runtime::cpu::NewCpu;
use crate::signal::lifecycle;
use crate::thread::{Thread, origins, request};
use crate::{confine, cpu_loop};
use rxbox_wire::boot::{Boot, CHANNEL_FD, Layers};
use std::fmt::Display;

/// Exit status of a child whose program was found but cannot run.
pub const NOT_RUNNABLE: i32 = 126;
/// Exit status of a child that failed itself.
pub const OWN_FAILURE: i32 = 125;

/// Why a child cannot reach its first guest instruction.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// The child's or the host's fault.
    #[error("{0}")]
    Own(String),
    /// The program's fault.
    #[error("{}: {why}", path.escape_debug())]
    Program {
        /// As it was called.
        path: String,
        /// Why it cannot run.
        why: LoadError,
    },
}

fn own(what: &str, e: impl Display) -> StartError {
    StartError::Own(format!("{what}: {e}"))
}

/// The main function of the emulator role. Never returns: the process ends with the guest.
pub fn child_main() -> ! {
    // Until the thread has its processor state, no signal can be taken.
    std::mem::forget(BlockedSignals::all());
    let vdso = look_around();
    let isolated = isolate();
    // Without a channel there is no way to tell why; the supervisor sees the status.
    let Ok((mut thread, boot)) = prepare() else { call::exit_process(OWN_FAILURE) };
    let vdso = vdso.filter(|_| boot.vdso);
    if let Err(e) = isolated.and_then(|layers| start(&mut thread, &boot, vdso.as_ref(), layers)) {
        request::report(&thread, &e.to_string());
        let status = if matches!(e, StartError::Program { .. }) { NOT_RUNNABLE } else { OWN_FAILURE };
        exit::exit_group(&mut thread, status);
    }
    drop(boot);
    cpu_loop::live(thread);
    // A leader ends with its process.
    call::exit_process(OWN_FAILURE)
}

/// Takes away what no child needs; which layers the host offers for it.
fn isolate() -> Result<Layers, StartError> {
    confine::isolate().map_err(|e| StartError::Own(e.to_string()))
}

/// Everything before the guest's files: channel, code cache, boot block, processor state.
fn prepare() -> Result<(Thread, Boot), StartError> {
    let channel = Channel::map(CHANNEL_FD).map_err(|e| own("the channel", e))?;
    let boot = control::receive_boot().map_err(|e| own("the boot block", e))?;
    let boot = Boot::decode(&boot).map_err(|e| own("the boot block", e))?;
    let blocks = Blocks::new(chance(&boot)).map_err(|e| own("the code cache", e))?;
    let [stack, data, address_space] = boot.limits;
    let mut space = AddressSpace::new(Limits { address_space, data, stack }, seeds(&boot)[0]);
    boot.places.iter().for_each(|[_, images]| space.place_images_by(*images));
    let log = Log { items: boot.log };
    // What is logged of translations is logged where they are made.
    let keeps = boot.places.is_some() && boot.log.is_empty();
    let process = Process { keeps, ..Process::new(space, blocks, channel, log) };
    let process: &'static Process = Box::leak(Box::new(process));
    // The C library takes a signal for itself when the first thread is made: now, before the guest's actions
    // are mirrored.
    thread_library_ready();
    let cpu = NewCpu::new().adopt(process.vectors);
    process.threads.lock().push(cpu.handle());
    let thread = Thread::new(process, cpu, channel.slot(0), gettid(), cpu_loop::live);
    Ok((thread, boot))
}

/// Has the C library take its signal by a thread that cannot be made: it does so before it looks for a place
/// for the stack.
fn thread_library_ready() {
    const NO_PLACE: usize = 1 << 62;
    if let Ok(made) = std::thread::Builder::new().stack_size(NO_PLACE).spawn(|| ()) {
        let _ = made.join();
    }
}

/// From the first word to the supervisor to registers that are ready for the guest's first instruction.
fn start(thread: &mut Thread, boot: &Boot, vdso: Option<&Vdso>, layers: Layers) -> Result<(), StartError> {
    if let Some(missing) = cpu::missing_features() {
        return Err(StartError::Own(format!("this host lacks {missing}")));
    }
    let auxiliary = auxiliary(thread, boot, vdso);
    let machine = Machine { auxiliary: auxiliary.clone(), vdso: vdso.cloned() };
    thread.process.machine.set(machine).map_err(|_| StartError::Own("started twice".into()))?;
    lifecycle::start(thread, SigSet(boot.ignored), SigSet(boot.blocked));
    confine::install(&confine::Options { log: !boot.log.is_empty() })
        .map_err(|e| own("the seccomp filter", e))?;
    thread.tid = i32::try_from(request::hello(thread, layers)).unwrap_or(-1);
    let program =
        |why| StartError::Program { path: String::from_utf8_lossy(&boot.program).into_owned(), why };
    let open = |path: &[u8]| request::open_exec(thread, path, 0);
    let file = open(&boot.program)
        .map_err(|errno| program(LoadError::Interpreter { path: boot.program.clone(), errno }))?;
    let resolved = resolve_scripts(file, &boot.program, boot.argv.clone(), open).map_err(program)?;
    let strings = Strings { argv: &resolved.argv, envp: &boot.envp, path: &boot.program };
    let executable = Executable::check(resolved.file, open).map_err(program)?;
    let [space_seed, seed] = seeds(boot);
    let image = Program { executable, strings, auxiliary, seed };
    let start = load::load(thread.process, &image, vdso, space_seed).map_err(program)?;
    request::exec_done(thread, &resolved.path, strings);
    origins::tell_of(thread, LOW);
    load::enter(thread, &start);
    Ok(())
}

/// What `/proc/self/maps` tells of this process, while it has nothing of a guest: the windows are cut to what
/// is free, and the vDSO is found. Without `/proc`, nothing is in the windows as the kernel is usually set.
fn look_around() -> Option<Vdso> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    let text = String::from_utf8_lossy(&maps);
    layout::keep_clear_of(text.lines().filter_map(Span::of_maps_line));
    Vdso::find(&text, cpu::auxiliary(libc::AT_SYSINFO_EHDR))
}

/// The boot block's randomness: of the space, of the places in it.
fn seeds(boot: &Boot) -> [u64; 2] {
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|k| boot.random[8 * i + k])))
}

/// What the place of the code cache depends on.
fn chance(boot: &Boot) -> u64 {
    let mut chance = [0; 8];
    cpu::random(&mut chance);
    boot.places.map_or(u64::from_le_bytes(chance), |[cache, _]| cache)
}

fn auxiliary(thread: &Thread, boot: &Boot, vdso: Option<&Vdso>) -> Auxiliary {
    Auxiliary {
        vdso: vdso.map(|v| v.header),
        min_signal_stack: cpu::auxiliary(libc::AT_MINSIGSTKSZ),
        hwcap: u64::from(thread.process.cpuid.query(1, 0)[3]),
        hwcap2: cpu::auxiliary(libc::AT_HWCAP2),
        clock_ticks: cpu::auxiliary(libc::AT_CLKTCK),
        ids: boot.ids,
        secure: false,
        random: std::array::from_fn(|i| boot.random[16 + i]),
    }
}
