//! One guest thread: its processor, its slot of the channel, its signal state.
//!
//! Beside it what belongs to a single thread: its requests to the supervisor ([`request`]), the time that a
//! call under way still has ([`restart_block`]), the robust futexes that it holds ([`robust`]), how it is
//! traced ([`traced`]).

pub mod origins;
pub mod request;
pub mod restart_block;
pub mod robust;
pub mod traced;

use crate::channel::Slot;
use crate::guest::access;
use crate::process::Process;
use crate::runtime::cpu::Cpu;
use crate::runtime::state::CpuState;
use crate::signal::state::ThreadSignals;
use restart_block::{Deadline, Remaining};
use traced::Traced;

/// Runs a guest thread from its first instruction to its end: the cpu loop. A thread carries it along, so
/// that the calls that make threads do not have to know what stands above them.
pub type Life = fn(Thread);

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
    /// When a call that is going to be made again has waited long enough.
    pub deadline: Option<Deadline>,
    /// What remains of the time of the call under way, if it was made before.
    pub remaining: Option<Remaining>,
    /// Faults that went away by themselves.
    pub faults: TransientFaults,
    /// Execute one instruction, then raise SIGTRAP with TRAP_TRACE: what a tracer asks for with
    /// PTRACE_SINGLESTEP, and nothing that the guest's own flags show (its trap flag does the same). The cpu
    /// loop clears it as it raises the signal; a fault of the instruction, or a handler that is entered
    /// before it, leaves it set.
    pub single_step: bool,
    /// How it is traced.
    pub traced: Traced,
    /// It is known to the guest as a process of its own.
    pub companion: bool,
    /// Set once the thread is to end, with its exit status.
    pub exit: Option<i32>,
    /// What runs it.
    pub life: Life,
}

impl Thread {
    /// A thread that has done nothing yet.
    pub fn new(process: &'static Process, cpu: Cpu, slot: Slot, tid: i32, life: Life) -> Thread {
        Thread {
            process,
            cpu,
            slot,
            tid,
            signals: ThreadSignals::new(),
            clear_child_tid: 0,
            robust_list: (0, 0),
            deadline: None,
            remaining: None,
            faults: TransientFaults::default(),
            single_step: false,
            traced: Traced::default(),
            companion: false,
            exit: None,
            life,
        }
    }

    /// The guest's registers.
    pub fn state(&mut self) -> &mut CpuState {
        self.cpu.state()
    }

    /// The auxiliary vector of its program, as the guest has it now: nothing if its stack is gone.
    pub fn auxiliary_vector(&self) -> Vec<u8> {
        let span = self.process.memory.lock().auxiliary;
        let mut bytes = vec![0; span.len() as usize];
        if access::copy_in(&mut bytes, span.start).is_ok() { bytes } else { Vec::new() }
    }
}

/// Counts faults at one address that should not happen again, so that a thread that cannot go on does not try
/// for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransientFaults {
    addr: u64,
    times: u32,
}

impl TransientFaults {
    /// Whether to try once more after a fault at `addr`.
    pub fn again(&mut self, addr: u64) -> bool {
        /// Threads that write to one page of code while others run it can meet each other some times in a
        /// row.
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
    fn a_fault_that_stays_is_given_up_and_another_address_starts_from_zero() {
        let mut faults = TransientFaults::default();
        assert_eq!((0..5000).filter(|_| faults.again(7)).count(), 1000);
        assert!(faults.again(8));
    }
}
