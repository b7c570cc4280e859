//! The requests of the child's own runtime, in the order of [`crate::frame::Internal`].

use super::structs::SIGINFO;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Syscall;
use crate::sizes::INTERNAL;

/// Numbers the rows from [`INTERNAL`] on.
const fn numbered<const N: usize>(mut rows: [Syscall; N]) -> [Syscall; N] {
    let mut i = 0;
    while i < N {
        rows[i].nr += INTERNAL;
        i += 1;
    }
    rows
}

pub(super) const ROWS: &[Syscall] = &numbered(*calls! { Process:
    0 hello Emulate (tid: Pid);
    1 open_exec Perform (path: Path);
    2 exec_done Emulate (path: Path, argv: Strings, envp: Strings, called: Path);
    3 report Emulate (text: In(Bulk { count: size }), size: U64);
    4 new_thread Emulate (tid: Pid);
    5 new_process Emulate (pidfd: U32);
    6 process_started Emulate (pid: Pid, pidfd: Out(Fixed(4)));
    7 view Emulate (which: U32, text: In(Bulk { count: size }), size: U64);
    8 send_again Emulate (tid: Pid, sig: Signal, info: In(Struct(&SIGINFO)));
    9 detached Emulate (inode: U64);
    10 rouse Emulate ();
});
