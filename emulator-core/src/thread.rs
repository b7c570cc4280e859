//! One guest thread: its processor, its slot of the channel, its signal state.

use crate::channel::Slot;
use crate::process::Process;
use crate::runtime::state::CpuState;
use crate::runtime::thread::Cpu;
use crate::signal::ThreadSignals;
use crate::syscall::limit::{Left, Limit};

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
    /// The time limit of a call that is going to be made again.
    pub limit: Option<Limit>,
    /// What is left of the time of the call under way, if it was made before.
    pub left: Option<Left>,
    /// Faults that went away by themselves.
    pub faults: Passing,
    /// Set once the thread is to end, with its exit status.
    pub exit: Option<i32>,
}

impl Thread {
    /// The guest's registers.
    pub fn state(&mut self) -> &mut CpuState {
        self.cpu.state()
    }
}

/// Counts faults at one address that should not happen again, lest a thread that cannot go on tries for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passing {
    addr: u64,
    times: u32,
}

impl Passing {
    /// Whether to try once more after a fault at `addr`.
    pub fn again(&mut self, addr: u64) -> bool {
        /// Threads that write to one page of code while others run it can meet each other some times in a row.
        const MOST: u32 = 1000;
        self.times = if self.addr == addr { self.times + 1 } else { 0 };
        self.addr = addr;
        self.times < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_stays_is_given_up_and_another_address_starts_anew() {
        let mut faults = Passing::default();
        assert_eq!((0..5000).filter(|_| faults.again(7)).count(), 1000);
        assert!(faults.again(8));
    }
}
