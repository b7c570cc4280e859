//! What decoding gives: a described instruction, or why there is none.

use super::class::Class;
use super::form::{Form, MemOperand, Space};
use crate::ir::var::VarSet;

/// One decoded and allow-listed guest instruction.
#[derive(Clone, Debug)]
pub struct Insn {
    /// Length in bytes, 1 to 15.
    pub len: u8,
    /// Where the parts of the encoding lie.
    pub form: Form,
    /// How the translator carries it.
    pub class: Class,
    /// The memory operand that the modrm byte names, if it names one (also for `lea` and long nops).
    pub mem: Option<MemOperand>,
    /// Variables read, including those only partly written (so that `mov al, 1` reads rax) and those that the
    /// address of the memory operand uses.
    pub reads: VarSet,
    /// Variables whose whole value is replaced in every case, without regard to the old value.
    /// A conditional or partial write is in `reads` *and* in `writes`.
    pub writes: VarSet,
    /// Reads or writes guest memory or may raise any exception (so the full state must be exact there).
    pub may_fault: bool,
    /// Has an effect besides its `writes` (memory write, fence, x87 exception state, rdtsc ordering, ...):
    /// never removed.
    pub side_effect: bool,
}

/// Why bytes did not become an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The slice ends before the instruction does; with more bytes it may decode.
    #[error("instruction runs past the readable bytes")]
    Truncated,
    /// More than 15 bytes.
    #[error("instruction longer than 15 bytes")]
    TooLong,
    /// The processor would raise #UD.
    #[error("invalid encoding")]
    Invalid,
    /// A valid instruction that is not in the project's table.
    #[error("unsupported instruction (map {map}, opcode {opcode:#04x}, {space:?})")]
    Unsupported {
        /// Opcode map.
        map: u8,
        /// Opcode byte.
        opcode: u8,
        /// Prefix scheme.
        space: Space,
    },
}
