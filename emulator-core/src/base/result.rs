//! What a system call of the guest comes to.

use nix::errno::Errno;
use rxbox_wire::frame::Reply;

/// What a system call of the guest comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallResult {
    /// The value for rax: a result, or a negative errno.
    Value(i64),
    /// Interrupted by a signal.
    Interrupted {
        /// Whether SA_RESTART makes it go on.
        restart: bool,
    },
    /// It fails with EINTR, whether a handler runs or not: the process was stopped and goes on.
    Continued,
    /// All registers are as they should be.
    Done,
}

impl From<Errno> for SyscallResult {
    fn from(e: Errno) -> SyscallResult {
        SyscallResult::Value(-i64::from(e as i32))
    }
}

impl From<Result<i64, Errno>> for SyscallResult {
    fn from(result: Result<i64, Errno>) -> SyscallResult {
        result.map_or_else(SyscallResult::from, SyscallResult::Value)
    }
}

impl From<Result<SyscallResult, Errno>> for SyscallResult {
    fn from(result: Result<SyscallResult, Errno>) -> SyscallResult {
        result.unwrap_or_else(SyscallResult::from)
    }
}

impl From<&Reply> for SyscallResult {
    fn from(reply: &Reply) -> SyscallResult {
        if reply.ret == -i64::from(libc::EINTR) {
            if reply.flags & Reply::CONTINUED != 0 {
                return SyscallResult::Continued;
            }
            return SyscallResult::Interrupted { restart: reply.flags & Reply::RESTART != 0 };
        }
        SyscallResult::Value(reply.ret)
    }
}
