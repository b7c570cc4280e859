//! The requests of the child's own runtime. Their arguments cross as those of guest calls do.
//!
//! A request is declared once, and [`Internal`] and the rows come of that. The supervisor's dispatch is a
//! match on [`Internal`] without a case for the rest, so a request that nobody serves does not compile.

use super::structs::SIGINFO;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::names::EXEC;
use crate::ptrace::ORDER_MAX;
use crate::sizes::INTERNAL;

const ORDER: u32 = ORDER_MAX as u32;

/// The enumeration and the rows, in the order of the requests: `Request name(argument: Kind, …);`.
macro_rules! requests {
    ($($(#[$doc:meta])* $request:ident $name:ident $args:tt;)*) => {
        /// What the child's runtime asks for itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Internal {
            $($(#[$doc])* $request,)*
        }

        impl Internal {
            /// Every request, in the order of their numbers.
            pub const ALL: &[Internal] = &[$(Internal::$request),*];
        }

        pub(super) const ROWS: &[Syscall] = &[$(call!(Internal::$request.nr(),
            Process: $name Emulate $args)),*];
    };
}

requests! {
    /// The first thread of the first process is ready: its host thread id, and the bits of
    /// [`crate::boot::Layers`] in force around it. The reply's value is the guest thread id.
    Hello hello(tid: Pid, layers: U32);
    /// Open a program or interpreter for execution, with AT_SYMLINK_NOFOLLOW or without. The descriptor
    /// comes over the control socket.
    OpenExec open_exec(path: Path(Needed), flags: Flags(&EXEC));
    /// The new image is in place: descriptors marked close-on-exec go, the name is taken. The file's path,
    /// arguments, environment, and the path that was called, which for a script is not that of the file.
    ExecDone exec_done(path: Path(Needed), argv: Strings, envp: Strings, called: Path(Needed));
    /// A line for the user about the guest (fatal signal with state, unsupported instruction).
    Report report(text: In(Optional, Bulk { count: size }), size: U64);
    /// A new guest thread is there, of the host thread id given, and wants to be served: the reply's value is
    /// its slot number. The event is as for [`Internal::ProcessStarted`]; a companion is
    /// known to the guest as a process of its own.
    NewThread new_thread(tid: Pid, event: U32, companion: U32);
    /// A new guest process is wanted: control socket and channel of it come over the control socket.
    NewProcess new_process(pidfd: U32, shares_place: U32);
    /// The new guest process is there: its host process id, or a negative errno; and the event by which a
    /// tracer can have it traced (`PTRACE_EVENT_*`), 0 for none.
    ProcessStarted process_started(pid: Pid, pidfd: Out(Optional, Fixed(4)), event: U32);
    /// Text of a view that only the child can give, told before a path under /proc/self is read.
    View view(which: U32, text: In(Optional, Bulk { count: size }), size: U64);
    /// A signal that the child has taken is to be sent to it again: to the thread of argument 0, or to the
    /// process.
    SendAgain send_again(tid: Pid, sig: Signal, info: In(Needed, Struct(&SIGINFO)));
    /// A System V segment was taken out of the child's address space: the inode number of its memory.
    Detached detached(inode: U64);
    /// The other threads of the process are to look up from what they wait for.
    KickSiblings kick_siblings();
    /// As whom the caller runs, for the program that it is about to load: real and effective user, real and
    /// effective group.
    Identity identity(ids: Out(Needed, Fixed(16)));
    /// A traced thread stops: why ([`StopKind`](crate::ptrace::StopKind)), with the signal and the state of
    /// the thread. The reply has an order.
    TraceStop trace_stop(kind: U32, value: U64, info: In(Optional, Struct(&SIGINFO)),
        state: In(Optional, Bulk { count: size }), size: U64, order: Out(Needed, Within(ORDER)));
    /// A stopped thread has carried an order out, with these bytes or a negative errno. The reply has the
    /// next.
    TraceObeyed trace_obeyed(result: I64, bytes: In(Optional, Bulk { count: size }), size: U64,
        order: Out(Needed, Within(ORDER)));
    /// A terminal that the guest has open. The descriptor comes over the control socket.
    Terminal terminal(fd: Fd);
    /// Code of a file that the child was given is mapped executable: device and inode of the file, guest
    /// address, length, offset in the file. The reply's value is a number for [`Internal::Translated`]; with
    /// a descriptor there is a [kept translation](crate::kept) of it.
    Code code(dev: U64, ino: U64, address: U64, length: U64, offset: U64);
    /// What the child has translated itself: for each mapping its number, how many
    /// [points](crate::kept::Point) follow, and these, in four bytes each.
    Translated translated(points: In(Optional, Bulk { count: size }), size: U64);
}

impl Internal {
    /// The number that stands in the frame.
    pub const fn nr(self) -> u32 {
        INTERNAL + self as u32
    }

    /// The request of this number.
    pub fn of(nr: u32) -> Option<Internal> {
        Self::ALL.get(nr.checked_sub(INTERNAL)? as usize).copied()
    }
}
