//! From guest bytes to a described instruction.
//!
//! The rule is an allow-list: [`decode`] accepts an encoding only if a row of the project's own tables
//! (`table`) does and `rules` finds nothing that the processor would refuse. From the row follow the
//! length (`form`), what is read and written (`effect`) and how the translator carries it (`class`).
//! Encodings with legacy prefixes have the least regular lengths, so there a second decoder must agree
//! (`second`): guest code and host code never part over where an instruction ends. VEX and EVEX encodings
//! are regular, and that second decoder lacks many of them.
//!
//! Everything here is a pure function of the bytes, and no bytes make it panic.

mod class;
mod effect;
mod form;
mod memo;
mod rules;
mod second;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use memo::Decoder;
pub use text::text;

use crate::ir::var::VarSet;
use table::row;

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

/// Layout of an encoding. Offsets are from the first byte of the instruction; 0 means absent for all but
/// prefixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Which opcode map: 0 one byte, 1 `0f`, 2 `0f38`, 3 `0f3a`; 5 and 6 only under EVEX.
    pub map: u8,
    /// The opcode byte.
    pub opcode: u8,
    /// Legacy, VEX or EVEX.
    pub space: Space,
    /// Offset of the REX byte (legacy) or of the first byte of the VEX/EVEX prefix; 0 if there is none.
    /// (A REX at offset 0 has `has_rex` set.)
    pub rex_at: u8,
    /// The REX byte, 0 if absent. For VEX/EVEX the equivalent W, R, X, B bits as `0x40 | W<<3 | R<<2 | X<<1 |
    /// B`.
    pub rex: u8,
    /// Whether a REX prefix or VEX/EVEX prefix is there.
    pub has_rex: bool,
    /// Segment override in force: 0 none, else the prefix byte (only 0x64 and 0x65 mean anything in 64-bit
    /// mode).
    pub segment: u8,
    /// `66` prefix present (legacy), or the pp field equals 1.
    pub opsize: bool,
    /// `67` prefix present.
    pub addr32: bool,
    /// `f3`/`f2` prefix in force (the last one of them), or the pp field 2/3 translated to it; 0 if none.
    pub rep: u8,
    /// `f0` prefix present.
    pub lock: bool,
    /// Offset of the opcode byte.
    pub opcode_at: u8,
    /// Offset of the modrm byte, 0 if there is none.
    pub modrm_at: u8,
    /// The modrm byte.
    pub modrm: u8,
    /// Offset of the displacement, 0 if there is none.
    pub disp_at: u8,
    /// Size of the displacement in bytes: 0, 1, 4 (8 for the moffs forms a0 to a3, 4 if they have `67`).
    pub disp_size: u8,
    /// Offset of the immediate, 0 if there is none.
    pub imm_at: u8,
    /// Size of the immediate in bytes; all of them if there are two (3 for `enter`, 2 for `extrq`).
    pub imm_size: u8,
}

/// Which prefix scheme an encoding uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// Legacy and REX prefixes.
    #[default]
    Legacy,
    /// Two- and three-byte VEX.
    Vex,
    /// EVEX.
    Evex,
}

/// A memory operand in modrm form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemOperand {
    /// Base register number, `None` for absolute and rip-relative.
    pub base: Option<u8>,
    /// Index register number and scale 1, 2, 4, 8 (for vsib: a vector register).
    pub index: Option<(u8, u8)>,
    /// Displacement, sign-extended and already multiplied by the EVEX compressed-displacement factor.
    pub disp: i64,
    /// Address is relative to the end of the instruction.
    pub rip_relative: bool,
    /// The index is a vector register (gather, scatter).
    pub vsib: bool,
    /// Effective segment override: 0, 0x64 (fs) or 0x65 (gs).
    pub segment: u8,
    /// 32-bit address arithmetic (`67`).
    pub addr32: bool,
}

/// How the translator carries an instruction. The front end has one arm per variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Runs as it is, except for its memory operand, which the front end may have to rewrite (rip-relative,
    /// gs).
    Native,
    /// Runs as it is and then stores the x87 instruction pointer, which is the host's: the front end clears it.
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
    /// Reads or loads a segment register (`mov sreg`, `push`/`pop fs/gs`, `lfs`, `lgs`, `lss`): gs by the runtime,
    /// the others as they are.
    Segment(SegmentOp),
    /// Raises an exception in user mode, always.
    Trap(Trap),
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
    /// Privileged instructions, port access, far transfers that rxbox denies: SIGSEGV, SI_KERNEL, address 0.
    GeneralProtection,
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

/// Decodes the instruction at the start of `bytes`, of which no more than 15 are looked at.
///
/// # Errors
/// [`DecodeError`]. What follows an instruction that is refused early is not looked at: an unsupported opcode
/// at the end of the readable bytes is [`DecodeError::Unsupported`], not [`DecodeError::Truncated`].
pub fn decode(bytes: &[u8]) -> Result<Insn, DecodeError> {
    let mut cursor = form::Cursor::new(bytes);
    let result = read(&mut cursor, bytes);
    match cursor.excess() {
        Some(error) => Err(error),
        None => result,
    }
}

/// Decodes what the cursor reads, which may be more than there is.
fn read(cursor: &mut form::Cursor, bytes: &[u8]) -> Result<Insn, DecodeError> {
    let (mut e, row) = select(cursor)?;
    rules::check(&e, row)?;
    let named = e.form.modrm_at != 0 && !e.register_form() && !row.has(row::NO_MOD);
    let mem = if named { Some(e.memory(cursor, row)?) } else { None };
    rules::distinct(&e, row, mem.as_ref())?;
    let mem = e.immediate(cursor, row.immediate).or(mem);
    let class = class::class(&e, row)?;
    let len = cursor.at();
    if cursor.excess().is_none() {
        second::agree(&e, row, bytes, len)?;
    }
    let effect::Effects { reads, writes, may_fault, side_effect } = effect::effects(&e, row, mem.as_ref());
    Ok(Insn { len, form: e.form, class, mem, reads, writes, may_fault, side_effect })
}

/// Reads as far as the modrm byte and finds the row that carries the encoding.
fn select(cursor: &mut form::Cursor) -> Result<(form::Encoding, &'static row::Row), DecodeError> {
    let mut e = form::Encoding::parse(cursor)?;
    let rows = table::rows(e.form.space, e.form.map, e.form.opcode);
    let Some(first) = rows.first() else { return Err(e.unsupported()) };
    if first.has(row::MODRM) {
        e.modrm(cursor);
    }
    let key = e.accepted_by();
    let row = rows.iter().find(|row| row.accepts & key == key).ok_or(DecodeError::Invalid)?;
    Ok((e, row))
}
