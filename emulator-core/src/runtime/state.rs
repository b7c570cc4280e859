//! The CPU state of one guest thread, as generated code and the prologue see it through the GS base.

use crate::host::cpu::VectorKind;
use rxbox_translate::state as at;
use std::mem::offset_of;
use std::sync::atomic::AtomicU32;

/// What the processor holds for the guest while the runtime runs, and what translated code needs of the
/// runtime.
#[repr(C, align(64))]
pub struct CpuState {
    /// General registers in the order of their numbers.
    pub gpr: [u64; 16],
    /// Guest pc.
    pub pc: u64,
    /// Guest flags.
    pub rflags: u64,
    /// Guest FS base.
    pub fs_base: u64,
    /// Guest GS base.
    pub gs_base: u64,
    /// The runtime's FS base.
    pub host_fs_base: u64,
    /// The runtime's stack while translated code runs.
    pub host_rsp: u64,
    /// Number of the exit taken.
    pub exit_id: u64,
    /// Target of the indirect branch that found no block.
    pub target: u64,
    /// Not zero: look after pending work before entering translated code.
    pub pending: AtomicU32,
    /// Guest MXCSR.
    pub mxcsr: u32,
    /// The runtime's MXCSR.
    pub host_mxcsr: u32,
    /// What the processor can save: see [`VectorKind`].
    pub vector_kind: u32,
    /// Address of the epilogue.
    pub leave: u64,
    /// Where the prologue jumps.
    pub jump: u64,
    /// Flags that the look-up stub saved.
    pub stub_flags: u64,
    /// Homes of local variables.
    pub locals: [u64; at::LOCAL_COUNT as usize],
    /// Which parts of the vector state are in use (XINUSE, the bits of XCR0) while the runtime runs.
    pub in_use: u64,
    /// One from the prologue until the cpu loop knows what the exit means.
    pub in_cache: AtomicU32,
    /// The selector that was loaded into the guest's gs, of which the host's knows nothing.
    pub gs_selector: u16,
    pad: u16,
    pad2: u64,
    /// Vector registers.
    pub vectors: [[u8; 64]; 32],
    /// Opmask registers.
    pub opmasks: [u64; 8],
    /// Host registers at the point where a signal stopped translated code, before state recovery.
    pub raw: RawStop,
}

/// Where and with what a signal stopped translated code.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RawStop {
    /// Host general registers in the order of their numbers.
    pub gpr: [u64; 16],
    /// Host pc.
    pub pc: u64,
    /// Flags.
    pub rflags: u64,
    /// The signal if it is a fault of this very instruction, else 0.
    pub signal: i32,
    /// Its si_code.
    pub code: i32,
    /// Its si_addr.
    pub addr: u64,
    /// The processor's trap number and error code, for the guest's signal frame.
    pub trapno: u64,
    /// As the kernel gives it.
    pub error_code: u64,
}

const _: () = {
    assert!(offset_of!(CpuState, gpr) == at::GPR as usize);
    assert!(offset_of!(CpuState, pc) == at::PC as usize);
    assert!(offset_of!(CpuState, rflags) == at::RFLAGS as usize);
    assert!(offset_of!(CpuState, fs_base) == at::FS_BASE as usize);
    assert!(offset_of!(CpuState, gs_base) == at::GS_BASE as usize);
    assert!(offset_of!(CpuState, host_fs_base) == at::HOST_FS_BASE as usize);
    assert!(offset_of!(CpuState, host_rsp) == at::HOST_RSP as usize);
    assert!(offset_of!(CpuState, exit_id) == at::EXIT_ID as usize);
    assert!(offset_of!(CpuState, target) == at::TARGET as usize);
    assert!(offset_of!(CpuState, pending) == at::PENDING as usize);
    assert!(offset_of!(CpuState, mxcsr) == at::MXCSR as usize);
    assert!(offset_of!(CpuState, host_mxcsr) == at::HOST_MXCSR as usize);
    assert!(offset_of!(CpuState, leave) == at::LEAVE as usize);
    assert!(offset_of!(CpuState, jump) == at::JUMP as usize);
    assert!(offset_of!(CpuState, stub_flags) == at::STUB_FLAGS as usize);
    assert!(offset_of!(CpuState, locals) == at::LOCALS as usize);
    assert!(offset_of!(CpuState, vectors) == at::VECTORS as usize);
    assert!(offset_of!(CpuState, opmasks) == at::OPMASKS as usize);
};

/// Flags of a process that starts: interrupts enabled, the always-one bit.
pub const INITIAL_RFLAGS: u64 = 0x202;
/// MXCSR of a process that starts: all exceptions masked.
pub const INITIAL_MXCSR: u32 = 0x1f80;
/// The flags that user mode may set with popf: CF PF AF ZF SF TF DF OF NT AC ID.
pub const USER_FLAGS: u64 = 0x24_4dd5;
/// The flags that come back from a signal frame (`FIX_EFLAGS` of the kernel): CF PF AF ZF SF TF DF OF RF AC.
pub const RETURN_FLAGS: u64 = 0x5_0dd5;
/// Trap flag. It is the guest's only while the runtime runs: translated code never runs with it.
pub const TRAP_FLAG: u64 = 1 << 8;
/// Resume flag: set in what a fault saves, and cleared by every instruction that completes.
pub const RESUME_FLAG: u64 = 1 << 16;
/// The six arithmetic flags.
pub const ARITH_FLAGS: u64 = 0x8d5;

impl Default for CpuState {
    fn default() -> CpuState {
        CpuState::new()
    }
}

impl CpuState {
    /// The state of a thread that starts.
    pub fn new() -> CpuState {
        CpuState {
            gpr: [0; 16],
            pc: 0,
            rflags: INITIAL_RFLAGS,
            fs_base: 0,
            gs_base: 0,
            host_fs_base: 0,
            host_rsp: 0,
            exit_id: 0,
            target: 0,
            pending: AtomicU32::new(0),
            mxcsr: INITIAL_MXCSR,
            host_mxcsr: INITIAL_MXCSR,
            vector_kind: VectorKind::Sse as u32,
            leave: 0,
            jump: 0,
            stub_flags: 0,
            locals: [0; at::LOCAL_COUNT as usize],
            in_use: 0,
            in_cache: AtomicU32::new(0),
            gs_selector: 0,
            pad: 0,
            pad2: 0,
            vectors: [[0; 64]; 32],
            opmasks: [0; 8],
            raw: RawStop::default(),
        }
    }

    /// Takes over the guest's registers, but for those that are the host's while the runtime runs (x87, MMX).
    pub fn copy_guest(&mut self, from: &CpuState) {
        (self.gpr, self.pc, self.rflags) = (from.gpr, from.pc, from.rflags);
        (self.fs_base, self.gs_base, self.gs_selector) = (from.fs_base, from.gs_base, from.gs_selector);
        (self.mxcsr, self.in_use) = (from.mxcsr, from.in_use);
        (self.vectors, self.opmasks) = (from.vectors, from.opmasks);
    }
}
