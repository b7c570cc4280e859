//! execve(2) and execveat(2): the supervisor decides which file, the child loads it in its own place.

use crate::guest::access;
use crate::image::{self, Image};
use crate::loader::elf::Image as Parsed;
use crate::loader::stack::{Auxiliary, Strings};
use crate::loader::vdso::Vdso;
use crate::loader::{Resolved, resolve_scripts};
use crate::syscall::marshal::{Error, strings};
use crate::syscall::{Answer, request};
use crate::thread::Thread;
use crate::{fork, robust, signal, succession, threads};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, EINVAL};

/// What every program of a process is told of identity and machine, and the vDSO that it gets.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The auxiliary vector's part.
    pub auxiliary: Auxiliary,
    /// The host's vDSO, if the guest gets it.
    pub vdso: Option<Vdso>,
}

/// Longest path with its NUL.
const PATH_MAX: usize = 4096;
/// Status of a process whose new program could not be brought in place after the old one was gone; the kernel kills such a
/// process by SIGKILL (execve(2)).
const LOST: i32 = 128 + libc::SIGKILL;

/// Carries out an approved call.
pub fn exec(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Answer {
    match prepare(thread, nr, args) {
        Ok(new) => succession::replace(thread, new),
        Err(e) => e.into(),
    }
}

/// A program that can be loaded.
#[derive(Debug)]
pub struct New {
    called: Vec<u8>,
    program: Resolved,
    envp: Vec<Vec<u8>>,
}

/// Everything that can fail while the old program is still there.
fn prepare(thread: &mut Thread, nr: u32, args: &[u64; 6]) -> Result<New, Error> {
    let (called, argv, envp) = if i64::from(nr) == libc::SYS_execve {
        (access::copy_str(args[0], PATH_MAX)?, args[1], args[2])
    } else {
        (path_at(args[0] as i32, access::copy_str(args[1], PATH_MAX)?, args[4] as i32)?, args[2], args[3])
    };
    let (mut argv, envp) = (strings(argv)?, strings(envp)?);
    if argv.is_empty() {
        // Linux gives a program at least an empty name (since 5.18).
        argv.push(Vec::new());
    }
    let open = |path: &[u8]| request::open_exec(thread, path);
    let file = open(&called)?;
    let program = resolve_scripts(file, &called, argv, open).map_err(|e| Error(e.errno() as i32))?;
    Parsed::parse(&program.file).map_err(|e| Error(e.errno() as i32))?;
    Ok(New { called, program, envp })
}

/// The path of execveat(2) as one: below a descriptor, or that descriptor's file itself.
fn path_at(dirfd: i32, path: Vec<u8>, flags: i32) -> Result<Vec<u8>, Error> {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Error(EINVAL));
    }
    if path.first() == Some(&b'/') || dirfd == AT_FDCWD && !path.is_empty() {
        return Ok(path);
    }
    match (path.is_empty(), flags & AT_EMPTY_PATH != 0) {
        (true, false) => Err(Error(libc::ENOENT)),
        (true, true) => Ok(format!("/dev/fd/{dirfd}").into_bytes()),
        (false, _) => Ok([format!("/dev/fd/{dirfd}/").as_bytes(), &path].concat()),
    }
}

/// The point of no return: this thread is the only one and the leader of its process.
pub fn replace(thread: &mut Thread, new: New) -> Answer {
    let process = thread.process;
    let Some(machine) = process.machine.get().cloned() else {
        return Answer::Value(-i64::from(libc::ENOEXEC));
    };
    fork::release_parent(thread);
    signal::exec(thread);
    robust::release(thread.robust_list.0, thread.tid);
    (thread.robust_list, thread.clear_child_tid) = ((0, 0), 0);
    let mut random = [0; 32];
    crate::host::cpu::random(&mut random);
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| random[8 * i + k]));
    let auxiliary = Auxiliary { random: std::array::from_fn(|i| random[16 + i]), ..machine.auxiliary };
    let Resolved { file, path, argv } = new.program;
    let strings = Strings { argv: &argv, envp: &new.envp, path: &new.called };
    let image = Image { file, strings, auxiliary, vdso: machine.vdso.as_ref(), seeds: [word(0), word(1)] };
    match image::load(process, image, |path| request::open_exec(thread, path)) {
        Ok(start) => {
            request::exec_done(thread, &path, strings);
            image::enter(thread, &start);
            Answer::Done
        }
        Err(e) => {
            request::report(thread, &format!("{}: {e}", String::from_utf8_lossy(&new.called).escape_debug()));
            threads::exit_group(thread, LOST)
        }
    }
}
