//! How the translator carries an instruction.
//!
//! A new class is a variant here, with its word in the tables' notation and what the encoding adds to it, an
//! arm of [`crate::frontend`], and, if the runtime carries it out, an arm of its emulation of single
//! instructions.

use super::form::Form;

/// How the translator carries an instruction. The front end has one arm per variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Runs as it is, except for its memory operand, which the front end may have to rewrite (rip-relative,
    /// gs).
    Native,
    /// Runs as it is and then stores the x87 instruction pointer, which is the host's: the runtime
    /// puts the guest's in its place.
    FpuEnvStore(FpuEnv),
    /// `jcc` with its condition code 0 to 15; the target is `next pc + disp`.
    Jcc {
        /// Condition code as in the opcode's low nibble.
        cc: u8,
        /// Signed displacement from the end of the instruction.
        disp: i32,
    },
    /// `loop`, `loope`, `loopne`, `jrcxz`, with `67` their ecx forms.
    Loop {
        /// The opcode byte, e0 to e3.
        opcode: u8,
        /// Signed displacement from the end of the instruction.
        disp: i8,
    },
    /// Direct `jmp`.
    Jmp {
        /// Signed displacement from the end of the instruction.
        disp: i32,
    },
    /// Direct `call`.
    Call {
        /// Signed displacement from the end of the instruction.
        disp: i32,
    },
    /// `jmp r/m64`.
    JmpIndirect,
    /// `call r/m64`.
    CallIndirect,
    /// `ret`, with the bytes to release after the return address.
    Ret {
        /// The immediate of `ret imm16`, else 0.
        release: u16,
    },
    /// `syscall`.
    Syscall,
    /// `cpuid`.
    Cpuid,
    /// `xgetbv`: copied, but the front end must agree with `cpuid`.
    Xgetbv,
    /// `rdtsc`.
    Rdtsc,
    /// `rdtscp`.
    Rdtscp,
    /// `popf`: may set TF and AC.
    Popf,
    /// `rdfsbase`/`wrfsbase` (copied: the guest's FS base is the host's).
    FsBase,
    /// `rdgsbase`: destination register, whether the operand is 64 bits wide.
    ReadGsBase {
        /// Destination register number.
        reg: u8,
        /// 64-bit operand (else zero-extended 32).
        wide: bool,
    },
    /// `wrgsbase`: source register, whether the operand is 64 bits wide.
    WriteGsBase {
        /// Source register number.
        reg: u8,
        /// 64-bit operand (else zero-extended 32).
        wide: bool,
    },
    /// Reads or loads a segment register (`mov sreg`, `push`/`pop fs/gs`, `lfs`, `lgs`, `lss`): gs by the
    /// runtime, the others as they are.
    Segment(SegmentOp),
    /// Loads the code segment too.
    Far(FarBranch),
    /// Raises an exception in user mode, always.
    Trap(Trap),
}

/// A branch that loads the code segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarBranch {
    /// `jmp m16:16`, `m16:32`, `m16:64`.
    Jump,
    /// `call` of the same.
    Call,
    /// `retf`, with the bytes to release behind the return address.
    Return {
        /// The immediate of `retf imm16`, else 0.
        release: u16,
    },
    /// `iret`.
    InterruptReturn,
}

/// The instructions that store the x87 instruction pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FpuEnv {
    /// `fnstenv`: FIP in the 32-bit field at offset 12, or with `66` the 16-bit field at 6.
    Fnstenv,
    /// `fnsave`: as `fnstenv`.
    Fnsave,
    /// `fxsave`, `fxsave64`: FIP in the 64-bit field at offset 8.
    Fxsave,
    /// `xsave`, `xsavec`, `xsaveopt`: as `fxsave`, if bit 0 of eax (and XCR0) asks for the x87 state.
    Xsave,
}

/// What a segment-register instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentOp {
    /// `mov r/m, sreg` with the segment register's number (es cs ss ds fs gs).
    Store(u8),
    /// `mov sreg, r/m`.
    Load(u8),
    /// `push fs` (4), `push gs` (5).
    Push(u8),
    /// `pop fs` (4), `pop gs` (5).
    Pop(u8),
    /// `lss` (2), `lfs` (4), `lgs` (5).
    FarPointer(u8),
}

/// The exception that an instruction always raises in user mode, with the signal that Linux makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// `int3`: SIGTRAP, SI_KERNEL, rip after the instruction.
    Breakpoint,
    /// `int1` (icebp): SIGTRAP, raised by the host, since processors differ in the rip that they report.
    DebugTrap,
    /// `int n`; 0x80 is the i386 system-call gate, all others are general protection.
    Interrupt(u8),
    /// `ud0`, `ud1`, `ud2` and encodings that the processor rejects: SIGILL, ILL_ILLOPN, rip at the
    /// instruction.
    InvalidOpcode,
    /// Privileged instructions, port access: SIGSEGV, SI_KERNEL, address 0.
    GeneralProtection,
}

impl Class {
    /// What the processor rejects.
    pub(super) const UNDEFINED: Class = Class::Trap(Trap::InvalidOpcode);

    /// The class that a word of the tables' notation stands for, with zeros for what the encoding determines.
    pub(super) const fn from_word(word: &[u8]) -> Option<Class> {
        Some(match word {
            b"jcc" => Class::Jcc { cc: 0, disp: 0 },
            b"loop" => Class::Loop { opcode: 0, disp: 0 },
            b"jmp" => Class::Jmp { disp: 0 },
            b"call" => Class::Call { disp: 0 },
            b"jmpi" => Class::JmpIndirect,
            b"calli" => Class::CallIndirect,
            b"ret" => Class::Ret { release: 0 },
            b"syscall" => Class::Syscall,
            b"cpuid" => Class::Cpuid,
            b"xgetbv" => Class::Xgetbv,
            b"rdtsc" => Class::Rdtsc,
            b"rdtscp" => Class::Rdtscp,
            b"popf" => Class::Popf,
            b"fsbase" => Class::FsBase,
            b"gsbase-read" => Class::ReadGsBase { reg: 0, wide: false },
            b"gsbase-write" => Class::WriteGsBase { reg: 0, wide: false },
            b"fnstenv" => Class::FpuEnvStore(FpuEnv::Fnstenv),
            b"fnsave" => Class::FpuEnvStore(FpuEnv::Fnsave),
            b"fxsave" => Class::FpuEnvStore(FpuEnv::Fxsave),
            b"xsave" => Class::FpuEnvStore(FpuEnv::Xsave),
            b"sreg-store" => Class::Segment(SegmentOp::Store(0)),
            b"sreg-load" => Class::Segment(SegmentOp::Load(0)),
            b"sreg-push" => Class::Segment(SegmentOp::Push(0)),
            b"sreg-pop" => Class::Segment(SegmentOp::Pop(0)),
            b"sreg-far" => Class::Segment(SegmentOp::FarPointer(0)),
            b"jmpf" => Class::Far(FarBranch::Jump),
            b"callf" => Class::Far(FarBranch::Call),
            b"retf" => Class::Far(FarBranch::Return { release: 0 }),
            b"iret" => Class::Far(FarBranch::InterruptReturn),
            b"int3" => Class::Trap(Trap::Breakpoint),
            b"int1" => Class::Trap(Trap::DebugTrap),
            b"int" => Class::Trap(Trap::Interrupt(0)),
            b"gp" => Class::Trap(Trap::GeneralProtection),
            b"ud" => Class::Trap(Trap::InvalidOpcode),
            _ => return None,
        })
    }

    /// The class of a row, completed with what the encoding adds to it; `None` if the encoding is invalid.
    pub(super) fn completed(self, form: &Form, immediate: i64) -> Option<Class> {
        let opcode = form.opcode;
        let (reg, wide) = (form.rm(), form.rex & 8 != 0);
        // Branch displacements are at most 32 bits wide, the others here at most 16.
        Some(match self {
            Class::Jcc { .. } => Class::Jcc { cc: opcode & 15, disp: immediate as i32 },
            Class::Loop { .. } => Class::Loop { opcode, disp: immediate as i8 },
            Class::Jmp { .. } => Class::Jmp { disp: immediate as i32 },
            Class::Call { .. } => Class::Call { disp: immediate as i32 },
            Class::Ret { .. } => Class::Ret { release: immediate as u16 },
            Class::Far(FarBranch::Return { .. }) => {
                Class::Far(FarBranch::Return { release: immediate as u16 })
            }
            Class::ReadGsBase { .. } => Class::ReadGsBase { reg, wide },
            Class::WriteGsBase { .. } => Class::WriteGsBase { reg, wide },
            Class::Segment(op) => segment(form, op)?,
            Class::Trap(Trap::Interrupt(_)) => Class::Trap(Trap::Interrupt(immediate as u8)),
            class => class,
        })
    }

    /// Of a direct branch, the displacement from the end of the instruction.
    pub(super) fn displacement(self) -> Option<i64> {
        match self {
            Class::Jcc { disp, .. } | Class::Jmp { disp } | Class::Call { disp } => Some(disp.into()),
            Class::Loop { disp, .. } => Some(disp.into()),
            _ => None,
        }
    }

    /// Whether it is a branch within the code segment.
    pub fn is_near_branch(self) -> bool {
        matches!(self, Class::JmpIndirect | Class::CallIndirect | Class::Ret { .. })
            || self.displacement().is_some()
    }

    /// Whether [`Class::completed`] adds nothing but a displacement: then one instruction of a form stands
    /// for all.
    pub(super) fn is_regular(self) -> bool {
        matches!(
            self,
            Class::Native
                | Class::Jcc { .. }
                | Class::Jmp { .. }
                | Class::Call { .. }
                | Class::JmpIndirect
                | Class::CallIndirect
        )
    }

    /// Whether the host may get to see the instruction's bytes.
    pub(super) fn is_copied(self) -> bool {
        !matches!(self, Class::Far(_)) && !matches!(self, Class::Trap(trap) if trap != Trap::DebugTrap)
    }
}

/// The segment register lies in modrm.reg, where not every number is one, or is implied by the opcode.
fn segment(form: &Form, op: SegmentOp) -> Option<Class> {
    let opcode = form.opcode;
    let named = form.modrm >> 3 & 7;
    let op = match op {
        SegmentOp::Store(_) | SegmentOp::Load(_) if named > 5 => return None,
        SegmentOp::Load(_) if named == 1 => return Some(Class::UNDEFINED),
        SegmentOp::Store(_) => SegmentOp::Store(named),
        SegmentOp::Load(_) => SegmentOp::Load(named),
        // 0f a0, a1: fs; a8, a9: gs.
        SegmentOp::Push(_) => SegmentOp::Push(4 + (opcode >> 3 & 1)),
        SegmentOp::Pop(_) => SegmentOp::Pop(4 + (opcode >> 3 & 1)),
        // 0f b2: ss; b4: fs; b5: gs.
        SegmentOp::FarPointer(_) => SegmentOp::FarPointer(opcode & 7),
    };
    Some(Class::Segment(op))
}
