//! One row of the allow-list.

use crate::decode::class::Class;
use crate::ir::var::{Var, VarSet};

/// An instruction that is carried, or refused by name.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Row {
    /// Mnemonic (of a whole group of conditions or aliases: one of them).
    pub name: Mnemonic,
    /// Which encodings of the opcode this row is for: see [`accepts`].
    pub accepts: u32,
    /// Attributes: see the constants of this module.
    pub attributes: u32,
    /// Variables read besides the operands, in the form of [`implicit`].
    pub reads: u32,
    /// Variables written besides the operands, in the form of [`implicit`].
    pub writes: u32,
    /// The operands, in the order of the manual; behind the last one [`Place::None`].
    pub operands: [Operand; 4],
    /// How the translator carries it. Payloads that the encoding determines are zero here.
    pub class: Class,
    /// First opcode.
    pub opcode: u8,
    /// Number of consecutive opcodes: 1, 8 (register in the low bits) or 16 (condition in the low bits).
    pub span: u8,
    /// What follows the modrm part.
    pub immediate: Immediate,
    /// Factor of a one-byte displacement under EVEX.
    pub tuple: Tuple,
    /// Size in bytes of a broadcast element, 0 if the instruction has no broadcast.
    pub broadcast: u8,
}

impl Row {
    /// Whether the row has an attribute.
    pub(in crate::decode) const fn has(&self, attribute: u32) -> bool {
        self.attributes & attribute != 0
    }
}

/// The name of an instruction, filled up with zeros. It is in place because a row that held a reference would
/// be relocated when the program starts, and with it nearly every page of the tables copied in each process.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Mnemonic([u8; Mnemonic::LONGEST]);

impl Mnemonic {
    /// Length of the longest name, in bytes.
    const LONGEST: usize = 17;

    /// The name of no instruction.
    pub(in crate::decode) const EMPTY: Mnemonic = Mnemonic([0; Mnemonic::LONGEST]);

    /// The name that a table file gives; one longer than [`Mnemonic::LONGEST`] does not compile.
    pub(in crate::decode) const fn new(name: &[u8]) -> Mnemonic {
        let mut mnemonic = Mnemonic::EMPTY;
        mnemonic.0.split_at_mut(name.len()).0.copy_from_slice(name);
        mnemonic
    }

    /// The name as text.
    pub(in crate::decode) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default().trim_end_matches('\0')
    }
}

/// A modrm byte follows the opcode.
pub(in crate::decode) const MODRM: u32 = 1;
/// The mod field is ignored: the modrm byte always names registers (moves from and to control and debug
/// registers).
pub(in crate::decode) const NO_MOD: u32 = 1 << 1;
/// LOCK is allowed if the destination is memory.
pub(in crate::decode) const LOCK: u32 = 1 << 2;
/// With both operands the same register the result does not depend on it (`xor eax, eax`).
pub(in crate::decode) const IDIOM: u32 = 1 << 3;
/// The flags stay as they are if the immediate, a shift count, is 0 after masking.
pub(in crate::decode) const COUNT: u32 = 1 << 4;
/// Reads the flags of the condition in the opcode's low nibble.
pub(in crate::decode) const CONDITION: u32 = 1 << 5;
/// Repeatable string instruction.
pub(in crate::decode) const REP: u32 = 1 << 6;
/// Reads memory besides the operands, through the segment of a data access.
pub(in crate::decode) const LOAD: u32 = 1 << 7;
/// Writes memory besides the operands, through the segment of a data access.
pub(in crate::decode) const STORE: u32 = 1 << 8;
/// Pushes on the stack.
pub(in crate::decode) const PUSH: u32 = 1 << 9;
/// Pops from the stack.
pub(in crate::decode) const POP: u32 = 1 << 10;
/// Has an effect that no variable shows.
pub(in crate::decode) const EFFECT: u32 = 1 << 11;
/// May raise an exception although it has no memory operand.
pub(in crate::decode) const FAULT: u32 = 1 << 12;
/// Uses the x87 or MMX state and may raise a pending x87 exception.
pub(in crate::decode) const X87: u32 = 1 << 13;
/// SSE arithmetic: controlled by MXCSR, sets its sticky flags, may raise an exception.
pub(in crate::decode) const FLOAT: u32 = 1 << 14;
/// yaxpeax-x86 does not know it: the second opinion is not asked.
pub(in crate::decode) const UNKNOWN_TO_YAXPEAX: u32 = 1 << 15;
/// EVEX: a mask other than k0 is allowed.
pub(in crate::decode) const MASK: u32 = 1 << 16;
/// EVEX: zeroing masking is allowed on a register destination.
pub(in crate::decode) const ZEROING: u32 = 1 << 17;
/// EVEX: a mask other than k0 is required, and cleared by the instruction (gather, scatter).
pub(in crate::decode) const MASK_REQUIRED: u32 = 1 << 18;
/// EVEX: embedded rounding or exception suppression is allowed with register operands.
pub(in crate::decode) const ROUNDING: u32 = 1 << 19;
/// The destination must differ from the sources (and the gather's registers from each other), else #UD.
pub(in crate::decode) const DISTINCT: u32 = 1 << 20;
/// The index of the memory operand is a vector register.
pub(in crate::decode) const VSIB: u32 = 1 << 21;
/// An operand lies in the prefix's vvvv field, which must be 1111 otherwise.
pub(in crate::decode) const VVVV: u32 = 1 << 22;
/// Names a control register in the reg field.
pub(in crate::decode) const CONTROL: u32 = 1 << 23;
/// Names a debug register in the reg field.
pub(in crate::decode) const DEBUG: u32 = 1 << 24;

/// The fields of an encoding that tell rows of one opcode apart, each as a one-hot set, so that a row accepts
/// an encoding if all of the encoding's bits are among the row's. The `_AT` constants are the bit numbers of
/// the value 0.
pub(in crate::decode) mod accepts {
    /// Mandatory prefix: none, `66`, `f3`, `f2`, as in the pp field.
    pub(in crate::decode) const PREFIX_AT: u32 = 0;
    /// All prefixes.
    pub(in crate::decode) const PREFIXES: u32 = 0xf;
    /// W.
    pub(in crate::decode) const WIDTH_AT: u32 = 4;
    /// Both values of W.
    pub(in crate::decode) const WIDTHS: u32 = 3 << WIDTH_AT;
    /// Vector length field.
    pub(in crate::decode) const LENGTH_AT: u32 = 6;
    /// All lengths, also the reserved one.
    pub(in crate::decode) const LENGTHS: u32 = 0xf << LENGTH_AT;
    /// The modrm byte names memory.
    pub(in crate::decode) const MEMORY: u32 = 1 << 10;
    /// The modrm byte names a register.
    pub(in crate::decode) const REGISTER: u32 = 1 << 11;
    /// Either.
    pub(in crate::decode) const MODS: u32 = MEMORY | REGISTER;
    /// modrm.reg.
    pub(in crate::decode) const REG_AT: u32 = 12;
    /// All values of modrm.reg.
    pub(in crate::decode) const REGS: u32 = 0xff << REG_AT;
    /// modrm.rm.
    pub(in crate::decode) const RM_AT: u32 = 20;
    /// All values of modrm.rm.
    pub(in crate::decode) const RMS: u32 = 0xff << RM_AT;
    /// REX.B.
    pub(in crate::decode) const BASE_AT: u32 = 28;
    /// Both values of REX.B.
    pub(in crate::decode) const BASES: u32 = 3 << BASE_AT;
    /// Everything but the reserved vector length.
    pub(in crate::decode) const USUAL: u32 = PREFIXES | WIDTHS | 7 << LENGTH_AT | MODS | REGS | RMS | BASES;
}

/// Sets of variables in a word: the bit number is the variable's for all general registers, flags and the
/// other scalars; above them lie names for groups of vector registers.
pub(in crate::decode) mod implicit {
    use super::{Var, VarSet};

    /// Vector register 0.
    pub(in crate::decode) const VECTOR_0: u32 = 1 << 27;
    /// Vector registers 0 to 15.
    pub(in crate::decode) const VECTORS_LOW: u32 = 1 << 28;
    /// All vector and opmask registers.
    pub(in crate::decode) const VECTORS_ALL: u32 = 1 << 29;
    const SCALARS: u32 = VECTOR_0 - 1;

    /// The set that a word stands for.
    pub(in crate::decode) fn set(word: u32) -> VarSet {
        let mut bits = u128::from(word & SCALARS);
        if word & !SCALARS != 0 {
            let first = Var::vec(0).0;
            if word & VECTOR_0 != 0 {
                bits |= 1 << first;
            }
            if word & VECTORS_LOW != 0 {
                bits |= 0xffff << first;
            }
            if word & VECTORS_ALL != 0 {
                bits |= 0xff_ffff_ffff << first;
            }
        }
        VarSet(bits)
    }
}

/// An operand.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Operand {
    /// Where it is encoded and what kind of register it is.
    pub place: Place,
    /// Width of a general register.
    pub size: Size,
    /// The instruction uses its value.
    pub read: bool,
    /// The instruction changes its value.
    pub write: bool,
}

impl Operand {
    /// No operand.
    pub(in crate::decode) const NONE: Operand =
        Operand { place: Place::None, size: Size::Full, read: false, write: false };
}

/// Where an operand is encoded. The `Rm` places are memory if the modrm byte names memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Place {
    /// There is no operand.
    None,
    /// General register or memory in modrm.rm.
    RmGpr,
    /// General register in modrm.reg.
    RegGpr,
    /// General register in the opcode's low bits.
    OpcodeGpr,
    /// General register in vvvv.
    VvvvGpr,
    /// Vector register or memory in modrm.rm.
    RmVector,
    /// Vector register in modrm.reg.
    RegVector,
    /// Vector register in vvvv.
    VvvvVector,
    /// Vector register in the high bits of the immediate.
    ImmVector,
    /// Opmask register or memory in modrm.rm.
    RmMask,
    /// Opmask register in modrm.reg.
    RegMask,
    /// Two opmask registers, of which modrm.reg names either.
    RegMaskPair,
    /// Opmask register in vvvv.
    VvvvMask,
    /// MMX or x87 register or memory in modrm.rm.
    RmFpu,
    /// MMX register in modrm.reg.
    RegFpu,
    /// Memory only (with a vector index if the row has [`VSIB`]).
    Memory,
}

/// Width of a general register operand, as far as it decides whether a write replaces the whole register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Size {
    /// 8 bits: a write keeps the rest; without REX, numbers 4 to 7 are ah, ch, dh, bh.
    Byte,
    /// 16 bits: a write keeps the rest.
    Word,
    /// 16 bits with the `66` prefix and without REX.W, otherwise 32 or 64.
    Variable,
    /// 32 or 64 bits: a write replaces the whole register.
    Full,
}

/// What follows the modrm part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Immediate {
    /// So many bytes.
    Bytes(u8),
    /// 2 bytes with a 16-bit operand, else 4.
    UpTo4,
    /// 2, 4 or 8 bytes: as wide as the operand.
    UpTo8,
    /// An address: 8 bytes, 4 with the `67` prefix. It is the displacement of a memory operand without a
    /// modrm byte.
    Address,
}

/// How far one step of a one-byte displacement goes under EVEX, in bytes ("disp8*N").
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Tuple {
    /// The same for all vector lengths.
    Fixed(u8),
    /// The vector's size divided by this.
    Fraction(u8),
    /// `vmovddup`: 8, 32, 64.
    Duplicate,
}

impl Tuple {
    /// The factor for the vector length 0 (128 bits), 1 or 2.
    pub(in crate::decode) fn factor(self, length: u8) -> u8 {
        match self {
            Tuple::Fixed(n) => n,
            Tuple::Fraction(n) => (16 << length) / n,
            Tuple::Duplicate => [8, 32, 64, 64][usize::from(length & 3)],
        }
    }
}
