//! Where the parts of an encoding lie, and the memory operand that it names.

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

impl Form {
    /// Register number in modrm.rm for a general register.
    pub fn rm(&self) -> u8 {
        self.modrm & 7 | (self.rex & 1) << 3
    }
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
