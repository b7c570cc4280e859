//! The words of the [`super::notation`]: classes, attributes, variables.

use super::row::{self, implicit};
use super::text::{broken, split};
use crate::decode::{Class, FpuEnv, SegmentOp, Trap};
use crate::ir::var::Var;

/// The class that a word of the notation stands for.
pub(super) const fn class(word: &[u8]) -> Option<Class> {
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
        b"int3" => Class::Trap(Trap::Breakpoint),
        b"int1" => Class::Trap(Trap::DebugTrap),
        b"int" => Class::Trap(Trap::Interrupt(0)),
        b"gp" => Class::Trap(Trap::GeneralProtection),
        b"ud" => Class::Trap(Trap::InvalidOpcode),
        _ => return None,
    })
}

/// The attribute that a word stands for.
pub(super) const fn attribute_bits(word: &[u8]) -> u32 {
    match word {
        b"modrm" => row::MODRM,
        b"control" => row::MODRM | row::NO_MOD | row::CONTROL,
        b"debug" => row::MODRM | row::NO_MOD | row::DEBUG,
        b"lock" => row::LOCK,
        b"idiom" => row::IDIOM,
        b"count" => row::COUNT,
        b"cc" => row::CONDITION,
        b"rep" => row::REP,
        b"load" => row::LOAD,
        b"store" => row::STORE,
        b"push" => row::PUSH,
        b"pop" => row::POP,
        b"effect" => row::EFFECT,
        b"fault" => row::FAULT,
        b"x87" => row::X87,
        b"fp" => row::FLOAT,
        b"own" => row::UNKNOWN_TO_YAXPEAX,
        b"k" => row::MASK,
        b"kz" => row::MASK | row::ZEROING,
        b"kk" => row::MASK | row::MASK_REQUIRED,
        b"er" | b"sae" => row::ROUNDING,
        b"distinct" => row::DISTINCT,
        _ => broken("unknown attribute"),
    }
}

/// The variables that `r=`, `w=` or `x=` lists, in the form of [`implicit`].
pub(super) const fn implicit_bits(names: &'static [u8]) -> u32 {
    let (mut rest, mut bits) = (names, 0);
    while !rest.is_empty() {
        let (name, tail) = split(rest, b'+');
        rest = tail;
        bits |= match name {
            b"ax" => bit(Var::RAX),
            b"cx" => bit(Var::RCX),
            b"dx" => bit(Var::RDX),
            b"bx" => bit(Var::RBX),
            b"sp" => bit(Var::RSP),
            b"bp" => bit(Var::RBP),
            b"si" => bit(Var::RSI),
            b"di" => bit(Var::RDI),
            b"r11" => bit(Var::R11),
            b"fpu" => bit(Var::X87),
            b"mxcsr" => bit(Var::MXCSR),
            b"fs" => bit(Var::FS_BASE),
            b"gs" => bit(Var::GS_BASE),
            b"v0" => implicit::VECTOR_0,
            b"v" => implicit::VECTORS_LOW,
            b"vk" => implicit::VECTORS_ALL,
            flags => flag_bits(flags),
        };
    }
    bits
}

const fn flag_bits(letters: &[u8]) -> u32 {
    let (mut i, mut bits) = (0, 0);
    while i < letters.len() {
        bits |= match letters[i] {
            b'C' => bit(Var::CF),
            b'P' => bit(Var::PF),
            b'A' => bit(Var::AF),
            b'Z' => bit(Var::ZF),
            b'S' => bit(Var::SF),
            b'O' => bit(Var::OF),
            b'D' => bit(Var::DF),
            _ => broken("unknown variable"),
        };
        i += 1;
    }
    bits
}

const fn bit(v: Var) -> u32 {
    1 << v.0
}
