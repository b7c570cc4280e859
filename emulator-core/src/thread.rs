//! One guest thread: its processor, its slot of the channel, its signal state.

use crate::channel::Slot;
use crate::process::Process;
use crate::runtime::state::CpuState;
use crate::runtime::thread::Cpu;
use crate::signal::ThreadSignals;

/// A guest thread, owned by the host thread that runs it.
#[derive(Debug)]
pub struct Thread {
    /// What the threads of the process share.
    pub process: &'static Process,
    /// The processor.
    pub cpu: Cpu,
    /// The way to the supervisor.
    pub slot: Slot,
    /// Thread id as the guest sees it.
    pub tid: i32,
    /// Mask, alternate stack, signals set aside.
    pub signals: ThreadSignals,
    /// Address that is cleared and woken when the thread ends (set_tid_address(2)).
    pub clear_child_tid: u64,
    /// Head of the robust futex list and its size (set_robust_list(2)).
    pub robust_list: (u64, u64),
    /// Set once the thread is to end, with its exit status.
    pub exit: Option<i32>,
}

impl Thread {
    /// The guest's registers.
    pub fn state(&mut self) -> &mut CpuState {
        self.cpu.state()
    }
}
