//! How a thread is traced (ptrace(2)), as its tracer wanted it when the thread last went on.

use rxbox_wire::ptrace::Mode;

/// The way in which a thread is traced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traced {
    /// What it stops at.
    pub mode: Mode,
    /// The number of the system call under way, as the tracer sees and changes it.
    pub call: Option<u64>,
}

impl Traced {
    /// Whether the thread has a tracer.
    pub fn is_traced(&self) -> bool {
        self.mode.contains(Mode::TRACED)
    }

    /// Whether the thread stops at system calls.
    pub fn stops_at_calls(&self) -> bool {
        self.mode.contains(Mode::CALLS)
    }
}
