//! What to do about an exit of translated code.

use super::emulate::Ended;
use super::enter::BlockExit;
use super::stopped::stopped;
use super::{emulate, system_call};
use crate::process::translate::BlockRequest;
use crate::signal::deliver::raise;
use crate::thread::Thread;
use rxbox_translate::emit::Exit;
use rxbox_translate::ir::op::Reason;

/// What came of guest code that was run.
pub(super) enum Went {
    /// The instructions have completed. The next block is wanted like this.
    On(BlockRequest),
    /// The last one was a system call.
    Called,
    /// Another signal than one of its own has interrupted the code at the pc, before an instruction or behind
    /// one.
    Interrupted,
    /// The one at the pc has not completed: it has raised a signal, or is to be tried again like this.
    Stopped(BlockRequest),
}

impl Went {
    /// How the next block is wanted.
    pub(super) fn request(self) -> BlockRequest {
        match self {
            Went::On(request) | Went::Stopped(request) => request,
            Went::Called | Went::Interrupted => BlockRequest::default(),
        }
    }
}

/// Acts on an exit.
pub(super) fn act(thread: &mut Thread, exit: BlockExit) -> Went {
    match exit {
        BlockExit::Aborted => Went::Stopped(BlockRequest::default()),
        BlockExit::Lookup => {
            let state = thread.state();
            state.pc = state.target;
            Went::On(BlockRequest { indirect: true, ..BlockRequest::default() })
        }
        BlockExit::Stopped => stopped(thread).map_or(Went::Interrupted, Went::Stopped),
        BlockExit::Exit(id, Exit::Goto { pc, .. }) => {
            thread.state().pc = pc;
            Went::On(BlockRequest { chain: Some(id), ..BlockRequest::default() })
        }
        BlockExit::Exit(_, Exit::Leave { reason, pc }) => {
            thread.state().pc = pc;
            match reason {
                Reason::Syscall => {
                    system_call::system_call(thread);
                    return Went::Called;
                }
                Reason::Step => {}
                Reason::FpuPointer => emulate::fpu_pointer(thread),
                Reason::Emulate => match emulate::instruction(thread) {
                    Ok(Ended::Completed) => {}
                    Ok(Ended::NotBegun) => return Went::Stopped(BlockRequest::default()),
                    Ok(Ended::Stopped) => {
                        return stopped(thread).map_or(Went::Interrupted, Went::Stopped);
                    }
                    Err(fault) => {
                        raise(thread, fault);
                        return Went::Stopped(BlockRequest::default());
                    }
                },
            }
            Went::On(BlockRequest::default())
        }
    }
}
